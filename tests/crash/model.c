/* tests/crash/model.c - see model.h. */
#include "tests/crash/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

#define LOOKS 100               /* more changes of one message than a script makes */
#define FLAGS_SAFE_MS 2500      /* promised: 2 s (flaglog.h); the invariant asks for 5 s */

struct look {
	uint32_t flags;
	uint64_t keywords;
	int64_t told_ms;                /* 0: long ago; INT64_MAX: never told */
};

/* A message in a mailbox. */
struct place {
	uint32_t ident, uid;            /* uid 0: not known */
	int box;
	unsigned least, most, count;
	struct look looks[LOOKS];       /* any of them */
	unsigned look_count;
	int was;                        /* in before; -1 */
	int twin;                       /* in at least one of the two; -1 */
	bool is_touched;                /* an operation was about it */
	bool was_expunged, was_refused, in_flight;
	int found;                      /* in after; -1 */
};

struct model_box {
	char name[BOX_NAME], other[BOX_NAME];   /* other: allowed as well, "" when there is none */
	char id[24];                    /* "" when it was not there before */
	unsigned least, most;
	int was, found;
	int group;                      /* renamed together: all or none; -1 */
	uint64_t told_modseq;
	uint32_t told_uid;              /* the highest one that was told of a new message */
};

/* A UID that was told. */
struct told {
	int box;
	uint32_t uid, ident;
};

struct model {
	const struct snapshot *before;
	struct model_box *boxes;
	unsigned box_count, box_cap, groups;
	struct place *places;
	unsigned count, cap;
	struct told *told;
	unsigned told_count, told_cap;
};

/* --- what UIDs ever meant ---------------------------------------------------------------------------------------------- */

struct uid_meaning {
	uint32_t uidvalidity, uid, ident;
	char box[24];
};

struct uid_history {
	struct uid_meaning *slots;
	size_t cap, used;
};

struct uid_history *uid_history_new(void)
{
	struct uid_history *h = xcalloc(1, sizeof(*h));

	h->cap = 1 << 12;
	h->slots = xcalloc(h->cap, sizeof(*h->slots));
	return h;
}

void uid_history_free(struct uid_history **h)
{
	if (!*h)
		return;
	free((*h)->slots);
	free(*h);
	*h = NULL;
}

static struct uid_meaning *find_meaning(struct uid_history *h, const char *box, uint32_t uidvalidity, uint32_t uid)
{
	char key[64];
	int n = snprintf(key, sizeof(key), "%s %u %u", box, uidvalidity, uid);
	size_t at = sv_hash(sv_from(key, (size_t)n)) % h->cap;

	while (h->slots[at].ident && (h->slots[at].uid != uid || h->slots[at].uidvalidity != uidvalidity ||
				      strcmp(h->slots[at].box, box)))
		at = (at + 1) % h->cap;
	return &h->slots[at];
}

/* What this UID means; false when it meant another message before. */
static bool learn_uid(struct uid_history *h, const char *box, uint32_t uidvalidity, uint32_t uid, uint32_t ident)
{
	if (h->used * 2 > h->cap) {
		struct uid_history old = *h;
		h->cap *= 2;
		h->slots = xcalloc(h->cap, sizeof(*h->slots));
		for (size_t i = 0; i < old.cap; i++)
			if (old.slots[i].ident)
				*find_meaning(h, old.slots[i].box, old.slots[i].uidvalidity, old.slots[i].uid) = old.slots[i];
		free(old.slots);
	}
	struct uid_meaning *m = find_meaning(h, box, uidvalidity, uid);
	if (m->ident)
		return m->ident == ident;
	m->uidvalidity = uidvalidity;
	m->uid = uid;
	m->ident = ident;
	snprintf(m->box, sizeof(m->box), "%s", box);
	h->used++;
	return true;
}

/* --- building ---------------------------------------------------------------------------------------------------------- */

static struct model_box *add_box(struct model *m, const char *name)
{
	if (m->box_count == m->box_cap) {
		m->box_cap = m->box_cap ? m->box_cap * 2 : 64;
		m->boxes = xrealloc(m->boxes, m->box_cap * sizeof(*m->boxes));
	}
	struct model_box *b = &m->boxes[m->box_count++];
	*b = (struct model_box){ .least = 1, .most = 1, .was = -1, .found = -1, .group = -1 };
	snprintf(b->name, sizeof(b->name), "%s", name);
	return b;
}

static struct place *add_place(struct model *m, int box, uint32_t ident)
{
	if (m->count == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 256;
		m->places = xrealloc(m->places, m->cap * sizeof(*m->places));
	}
	struct place *p = &m->places[m->count++];
	*p = (struct place){ .ident = ident, .box = box, .was = -1, .twin = -1, .found = -1 };
	return p;
}

static struct place *find_place(struct model *m, int box, uint32_t ident)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->places[i].box == box && m->places[i].ident == ident)
			return &m->places[i];
	return NULL;
}

/* The mailbox of this name, as far as acknowledged. -1: none. */
static int find_box(const struct model *m, const char *name)
{
	for (unsigned i = m->box_count; i-- > 0;)
		if (m->boxes[i].most && !strcmp(m->boxes[i].name, name))
			return (int)i;
	return -1;
}

struct model *model_new(const struct snapshot *before)
{
	struct model *m = xcalloc(1, sizeof(*m));

	m->before = before;
	for (unsigned i = 0; i < before->box_count; i++) {
		struct model_box *b = add_box(m, before->boxes[i].name);
		b->was = (int)i;
		memcpy(b->id, before->boxes[i].id, sizeof(b->id));
		b->told_modseq = before->boxes[i].modseq;
	}
	for (unsigned i = 0; i < before->message_count; i++) {
		const struct seen_message *s = &before->messages[i];
		struct place *p = add_place(m, s->box, s->ident);
		p->least = p->most = 1;
		p->uid = s->uid;
		p->was = (int)i;
		p->looks[p->look_count++] = (struct look){ s->flags, s->keywords, 0 };
	}
	return m;
}

void model_free(struct model **m)
{
	if (!*m)
		return;
	free((*m)->boxes);
	free((*m)->places);
	free((*m)->told);
	free(*m);
	*m = NULL;
}

/* --- taking the journal in ----------------------------------------------------------------------------------------------- */

enum outcome { ACKED, IN_FLIGHT, REFUSED };

static void note_told(struct model *m, int box, uint32_t uid, uint32_t ident)
{
	if (m->told_count == m->told_cap) {
		m->told_cap = m->told_cap ? m->told_cap * 2 : 256;
		m->told = xrealloc(m->told, m->told_cap * sizeof(*m->told));
	}
	m->told[m->told_count++] = (struct told){ box, uid, ident };
	if (m->boxes[box].told_uid < uid)
		m->boxes[box].told_uid = uid;
}

static void put(struct model *m, int box, uint32_t ident, uint32_t uid, enum outcome o, struct look look)
{
	struct place *p = find_place(m, box, ident);

	if (!p)
		p = add_place(m, box, ident);
	p->is_touched = true;
	p->was_refused = p->was_refused || o == REFUSED;
	p->in_flight = p->in_flight || o == IN_FLIGHT;
	if (o == REFUSED)
		return;
	p->most = 1;
	p->look_count = 0;
	p->looks[p->look_count++] = look;
	if (o == ACKED) {
		p->least = 1;
		p->uid = uid;
		p->was_expunged = false;
		if (uid)
			note_told(m, box, uid, ident);
	} else {
		p->uid = 0;
	}
}

static void take_away(struct model *m, int box, uint32_t ident, enum outcome o)
{
	struct place *p = find_place(m, box, ident);

	if (!p || o == REFUSED)
		return;
	p->is_touched = true;
	p->least = 0;
	if (o == ACKED) {
		p->most = 0;
		p->was_expunged = true;
	}
}

static void set_look(struct model *m, int box, uint32_t ident, enum outcome o, struct look look, bool is_power, int64_t cut_ms)
{
	struct place *p = find_place(m, box, ident);

	if (!p || o == REFUSED)
		return;
	p->is_touched = true;
	/* What is surely on disk replaces everything; else it is one more possibility. */
	if (o == ACKED && (!is_power || look.told_ms < cut_ms - FLAGS_SAFE_MS))
		p->look_count = 0;
	if (p->look_count == LOOKS) {
		memmove(p->looks, p->looks + 1, (LOOKS - 1) * sizeof(p->looks[0]));
		p->look_count--;
	}
	p->looks[p->look_count++] = look;
}

static struct look look_of(struct model *m, int box, uint32_t ident)
{
	struct place *p = find_place(m, box, ident);

	return p && p->look_count ? p->looks[p->look_count - 1] : (struct look){ 0, 0, 0 };
}

/* A place that is known to be there. */
static struct place *the_place(struct model *m, int box, uint32_t ident)
{
	struct place *p = find_place(m, box, ident);

	if (!p)
		BUG("message %u has no place", ident);
	return p;
}

static void apply_transfer(struct model *m, const struct op *op, enum outcome o)
{
	int from = find_box(m, op->box), to = find_box(m, op->to);
	bool is_move = op->kind == OP_MOVE;

	for (uint32_t i = 0; i < op->count && from >= 0 && to >= 0; i++) {
		struct place *source = find_place(m, from, op->ident[i]);
		if (!source || !source->most)
			continue;
		/* A refused MOVE may have been done: it is in one of the two then as well. */
		enum outcome how = o == REFUSED && is_move ? IN_FLIGHT : o;
		if (o == ACKED && !op->uid[i])
			continue;               /* was not there any more */
		put(m, to, op->ident[i], op->uid[i], how, look_of(m, from, op->ident[i]));
		/* A source that has several possible looks gives them all. */
		source = the_place(m, from, op->ident[i]);
		struct place *target = the_place(m, to, op->ident[i]);
		memcpy(target->looks, source->looks, sizeof(target->looks));
		target->look_count = source->look_count;
		if (is_move) {
			if (how == IN_FLIGHT && source->least) {
				source->twin = (int)(target - m->places);
				target->twin = (int)(source - m->places);
			}
			take_away(m, from, op->ident[i], how);
		}
	}
}

static void apply_rename(struct model *m, const struct op *op, enum outcome o)
{
	size_t len = strlen(op->box);
	int group = (int)m->groups++;

	if (!strcmp(op->box + 1, "/INBOX")) {
		struct model_box *b = add_box(m, op->to);
		int from = find_box(m, op->box), to = (int)(b - m->boxes);
		b->least = o == ACKED;
		for (unsigned i = m->count; i-- > 0;) {
			struct place p = m->places[i];
			if (p.box != from || !p.most)
				continue;
			put(m, to, p.ident, 0, o == REFUSED ? IN_FLIGHT : o, p.looks[0]);
			struct place *target = the_place(m, to, p.ident);
			memcpy(target->looks, p.looks, sizeof(p.looks));
			target->look_count = p.look_count;
			target->uid = 0;
			if (o == ACKED) {
				take_away(m, from, p.ident, ACKED);
			} else {
				m->places[i].twin = (int)(target - m->places);
				target->twin = (int)i;
				take_away(m, from, p.ident, IN_FLIGHT);
			}
		}
		return;
	}
	for (unsigned i = 0; i < m->box_count; i++) {
		struct model_box *b = &m->boxes[i];
		char name[BOX_NAME * 2];
		if (!b->most || strncmp(b->name, op->box, len) || (b->name[len] && b->name[len] != '/'))
			continue;
		snprintf(name, sizeof(name), "%s%s", op->to, b->name + len);
		if (o == ACKED) {
			snprintf(b->name, sizeof(b->name), "%.79s", name);
		} else {
			snprintf(b->other, sizeof(b->other), "%.79s", name);
			b->group = group;
		}
	}
}

static void apply_op(struct model *m, const struct op *op, enum outcome o, enum ending ending, int64_t cut_ms, struct report *r)
{
	int box = find_box(m, op->box);
	struct look look = { op->flags, op->keywords, o == ACKED ? op->done_ms : INT64_MAX };
	bool is_power = ending == ENDED_POWER;

	switch (op->kind) {
	case OP_DELIVER:
		r->deliveries += o == ACKED;
		r->acked += o == ACKED ? op->count : 0;
		for (uint32_t i = 0; i < op->count; i++) {
			char name[24];
			snprintf(name, sizeof(name), "%u/INBOX", i);
			if (find_box(m, name) >= 0)
				put(m, find_box(m, name), op->ident[0], op->uid[i], o, (struct look){ 0, 0, 0 });
		}
		break;
	case OP_APPEND:
		r->acked += o == ACKED ? op->count : 0;
		for (uint32_t i = 0; i < op->count && box >= 0; i++)
			put(m, box, op->ident[i], op->uid[i], o, look);
		break;
	case OP_STORE:
		r->flags_acked += o == ACKED ? op->count : 0;
		for (uint32_t i = 0; i < op->count && box >= 0; i++)
			set_look(m, box, op->ident[i], o, look, is_power, cut_ms);
		break;
	case OP_COPY:
	case OP_MOVE:
		r->acked += o == ACKED ? op->count : 0;
		r->moves += op->count;
		apply_transfer(m, op, o);
		break;
	case OP_EXPUNGE:
	case OP_EXPIRE:
		r->expunged += o == ACKED ? op->count : 0;
		for (uint32_t i = 0; i < op->count && box >= 0; i++)
			take_away(m, box, op->ident[i], o == REFUSED ? IN_FLIGHT : o);
		break;
	case OP_CREATE:
		if (box < 0)
			add_box(m, op->box)->least = o == ACKED;
		break;
	case OP_DELETE:
		if (box >= 0) {
			m->boxes[box].least = 0;
			m->boxes[box].most = o != ACKED;
		}
		break;
	case OP_RENAME:
		apply_rename(m, op, o);
		break;
	case OP_SUBSCRIBE:
	case OP_REBUILD:
	case OP_TIDY:
	case OP_REOPEN:
	case OP_PACK:
	case OP_NONE:
		break;
	}
	if (op->modseq && o == ACKED) {         /* asked for right behind the answer */
		int told = op->kind == OP_DELIVER ? find_box(m, "0/INBOX") : find_box(m, op->box);
		if (told >= 0 && m->boxes[told].told_modseq < op->modseq)
			m->boxes[told].told_modseq = op->modseq;
	}
}

void model_apply(struct model *m, const struct script *s, enum ending ending, int64_t cut_ms, struct report *r)
{
	uint64_t in_flight = 0;

	for (unsigned i = 0; i < s->count; i++) {
		const struct op *op = &s->ops[i];
		enum outcome o;
		if (op->state == STATE_PLANNED)
			break;
		r->ops++;
		/* Answered by a worker that did not know yet that the power was gone: no client ever saw it. */
		if (op->state == STATE_BEGUN || (ending == ENDED_POWER && op->done_ms >= cut_ms))
			o = IN_FLIGHT;
		else if (!op->fault)
			o = ACKED;
		else    /* flags, removals and names may be half done; a message that was refused must not be there */
			o = ending == ENDED_FAULTS || ending == ENDED_POWER || op->kind == OP_STORE || op->kind >= OP_CREATE ?
			    IN_FLIGHT : REFUSED;
		if (o == IN_FLIGHT)
			in_flight += op->count ? op->count : 1;
		apply_op(m, op, o, ending, cut_ms, r);
	}
	if (in_flight > r->max_inflight)
		r->max_inflight = in_flight;
}

/* --- comparing ----------------------------------------------------------------------------------------------------------- */

static enum breach pick(enum ending e, enum breach usual, enum breach rebuilt)
{
	return e == ENDED_REBUILT ? rebuilt : usual;
}

static void compare_boxes(struct model *m, const struct snapshot *after, enum ending e, int *box_of, struct report *r)
{
	const struct snapshot *before = m->before;
	int choice[SEEN_BOXES];

	memset(choice, -1, sizeof(choice));
	for (unsigned i = 0; i < after->box_count; i++)
		box_of[i] = -1;
	/* By identity first, then by name: a mailbox made anew has the name of one that went. */
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < m->box_count; i++) {
			struct model_box *b = &m->boxes[i];
			for (unsigned k = 0; k < after->box_count && b->found < 0 && b->most; k++)
				if (box_of[k] < 0 && (pass ? !b->id[0] && !strcmp(b->name, after->boxes[k].name) :
						      b->id[0] && !strcmp(b->id, after->boxes[k].id))) {
					b->found = (int)k;
					box_of[k] = (int)i;
				}
		}
	for (unsigned i = 0; i < m->box_count; i++) {
		struct model_box *b = &m->boxes[i];
		if (b->found < 0) {
			if (b->least)
				breach(r, pick(e, LOST, REBUILD_OTHER), "mailbox %s is gone", b->name);
			continue;
		}
		const struct seen_box *now = &after->boxes[b->found];
		bool is_new_name = b->other[0] && !strcmp(now->name, b->other);
		if (strcmp(now->name, b->name) && !is_new_name)
			breach(r, pick(e, UNREADABLE, REBUILD_OTHER), "mailbox %s is called %s", b->name, now->name);
		if (b->group >= 0 && b->group < SEEN_BOXES) {
			if (choice[b->group] >= 0 && choice[b->group] != is_new_name)
				breach(r, UNREADABLE, "%s was renamed without what it was renamed with", b->name);
			choice[b->group] = is_new_name;
		}
		if (now->modseq < b->told_modseq)
			breach(r, MODSEQ_REGRESS, "%s: HIGHESTMODSEQ was %llu, is %llu", now->name,
			       (unsigned long long)b->told_modseq, (unsigned long long)now->modseq);
		if (now->uidnext <= b->told_uid)
			breach(r, REUSED, "%s: UID %u was told, UIDNEXT is %u", now->name, b->told_uid, now->uidnext);
		if (b->was < 0) {
			for (unsigned k = 0; k < before->box_count; k++)
				if (!strcmp(before->boxes[k].name, now->name) &&
				    before->boxes[k].uidvalidity >= now->uidvalidity)
					breach(r, REUSED, "%s was made anew with UIDVALIDITY %u after %u", now->name,
					       now->uidvalidity, before->boxes[k].uidvalidity);
			continue;
		}
		const struct seen_box *was = &before->boxes[b->was];
		if (was->uidvalidity != now->uidvalidity)
			breach(r, pick(e, CHANGED, REBUILD_UID), "%s: UIDVALIDITY was %u, is %u", now->name, was->uidvalidity,
			       now->uidvalidity);
		if (was->uidnext > now->uidnext)
			breach(r, pick(e, REUSED, REBUILD_UID), "%s: UIDNEXT was %u, is %u", now->name, was->uidnext,
			       now->uidnext);
		if (was->special_use != now->special_use)
			breach(r, pick(e, LOST, REBUILD_OTHER), "%s: special use was %x, is %x", now->name, was->special_use,
			       now->special_use);
		if (e == ENDED_REBUILT && was->subscribed != now->subscribed)
			breach(r, REBUILD_OTHER, "%s: subscription", now->name);
	}
	for (unsigned k = 0; k < after->box_count; k++)
		if (box_of[k] < 0)
			breach(r, pick(e, UNREADABLE, REBUILD_OTHER), "mailbox %s came from nowhere", after->boxes[k].name);
}

static bool is_told(const struct snapshot *after, int box, uint32_t uid)
{
	for (unsigned i = 0; i < after->told_count; i++)
		if (after->told[i].box == box && after->told[i].uid == uid)
			return true;
	return false;
}

static void compare_look(struct place *p, const struct seen_message *now, const char *box, enum ending e, struct report *r)
{
	for (unsigned i = 0; i < p->look_count; i++)
		if (p->looks[i].flags == now->flags && p->looks[i].keywords == now->keywords)
			return;
	const struct look *last = &p->looks[p->look_count ? p->look_count - 1 : 0];
	breach(r, e == ENDED_REBUILT ? REBUILD_FLAG : e == ENDED_POWER ? FLAGS_LOST_POWER : FLAGS_LOST_KILL,
	       "%s UID %u ident %u: flags %x keywords %llx, told %x %llx", box, now->uid, now->ident, now->flags,
	       (unsigned long long)now->keywords, last->flags, (unsigned long long)last->keywords);
}

static void compare_message(struct model *m, const struct snapshot *after, unsigned at, struct model_box *box, enum ending e,
			    struct uid_history *history, struct report *r)
{
	const struct seen_message *now = &after->messages[at];
	const char *name = after->boxes[now->box].name;
	struct place *p = find_place(m, (int)(box - m->boxes), now->ident);

	if (!now->is_whole)
		breach(r, PARTIAL, "%s UID %u ident %u is not whole", name, now->uid, now->ident);
	if (!learn_uid(history, after->boxes[now->box].id, after->boxes[now->box].uidvalidity, now->uid, now->ident))
		breach(r, pick(e, REUSED, REBUILD_UID), "%s UID %u is ident %u now, meant another message before", name,
		       now->uid, now->ident);
	if (!p) {
		breach(r, PARTIAL, "%s UID %u ident %u came from nowhere", name, now->uid, now->ident);
		return;
	}
	p->count++;
	if (p->count > p->most) {
		breach(r, p->was_expunged ? RESURRECTED : DUP_NO_CRASH, "%s UID %u ident %u: %u of it, may be %u%s", name,
		       now->uid, now->ident, p->count, p->most, p->was_refused ? " (it was refused)" : "");
		return;
	}
	p->found = (int)at;
	if (p->uid && p->uid != now->uid)
		breach(r, pick(e, CHANGED, REBUILD_UID), "%s ident %u: UID was %u, is %u", name, now->ident, p->uid, now->uid);
	/* A message that is new to us must look new to everybody who knew UIDNEXT. */
	if (p->was < 0 && box->was >= 0 && now->uid < m->before->boxes[box->was].uidnext)
		breach(r, pick(e, REUSED, REBUILD_UID), "%s ident %u: new, with UID %u below UIDNEXT %u", name, now->ident,
		       now->uid, m->before->boxes[box->was].uidnext);
	compare_look(p, now, name, e, r);
	if (p->was >= 0 && p->uid) {
		const struct seen_message *was = &m->before->messages[p->was];
		if (was->internaldate != now->internaldate || was->savedate != now->savedate || was->size != now->size ||
		    strcmp(was->email_id, now->email_id) || strcmp(was->uidl, now->uidl))
			breach(r, pick(e, CHANGED, REBUILD_OTHER), "%s UID %u ident %u: date, size or id: %lld %lld %llu %s %s, "
			       "was %lld %lld %llu %s %s", name, now->uid, now->ident, (long long)now->internaldate,
			       (long long)now->savedate, (unsigned long long)now->size, now->email_id, now->uidl,
			       (long long)was->internaldate, (long long)was->savedate, (unsigned long long)was->size,
			       was->email_id, was->uidl);
	}
}

/* Whoever knew the mailbox as it was before must be told of every difference. */
static void compare_told(struct model *m, const struct place *p, const struct snapshot *after, struct report *r)
{
	const struct model_box *box = &m->boxes[p->box];

	if (box->was < 0 || box->found < 0 || !after->boxes[box->found].has_history)
		return;
	const struct seen_message *was = p->was >= 0 ? &m->before->messages[p->was] : NULL;
	const struct seen_message *now = p->found >= 0 ? &after->messages[p->found] : NULL;
	uint32_t uid = now ? now->uid : was ? was->uid : 0;
	bool differs = !was != !now || (was && now && (was->flags != now->flags || was->keywords != now->keywords ||
						       was->uid != now->uid));

	if (differs && !is_told(after, box->found, uid))
		breach(r, MISSED_CHANGE, "%s UID %u ident %u: %s, and nobody was told", after->boxes[box->found].name, uid,
		       p->ident, !was ? "new" : !now ? "gone" : "flags");
}

static void compare_place(struct model *m, struct place *p, const struct snapshot *after, enum ending e, struct report *r)
{
	const struct model_box *box = &m->boxes[p->box];

	if (box->found < 0)
		return;         /* the mailbox went, with all in it, and was allowed to */
	if (p->count < p->least)
		breach(r, pick(e, p->was >= 0 && !p->is_touched ? COLLATERAL : LOST, REBUILD_OTHER), "%s ident %u UID %u is gone",
		       after->boxes[box->found].name, p->ident, p->uid);
	/* Two that stand for one: counted once, from its source. */
	if (p->twin >= 0 && (int)(p - m->places) < p->twin) {
		const struct place *twin = &m->places[p->twin];
		if (!p->count && !twin->count)
			breach(r, IN_NEITHER, "%s ident %u is in neither source nor target", box->name, p->ident);
		r->both += p->count && twin->count;
	}
	if (e != ENDED_REBUILT)
		compare_told(m, p, after, r);
}

void model_compare(struct model *m, const struct snapshot *after, enum ending e, struct uid_history *history, struct report *r)
{
	int box_of[SEEN_BOXES];

	if (!after->is_complete) {
		breach(r, UNREADABLE, "account cannot be read: %s", after->fault[0] ? after->fault : "the reader died or hung");
		return;
	}
	compare_boxes(m, after, e, box_of, r);
	for (unsigned i = 0; i < after->message_count; i++)
		if (box_of[after->messages[i].box] >= 0)
			compare_message(m, after, i, &m->boxes[box_of[after->messages[i].box]], e, history, r);
	/* Told UIDs mean what they meant, also when the message was removed since. */
	for (unsigned i = 0; i < m->told_count; i++) {
		const struct told *told = &m->told[i];
		const struct model_box *b = &m->boxes[told->box];
		if (b->found >= 0 && !learn_uid(history, after->boxes[b->found].id, after->boxes[b->found].uidvalidity,
						told->uid, told->ident))
			breach(r, REUSED, "%s UID %u was told for ident %u and means another message", b->name, told->uid,
			       told->ident);
	}
	for (unsigned i = 0; i < m->count; i++)
		compare_place(m, &m->places[i], after, e, r);
	if (after->files != after->message_count)
		breach(r, PARTIAL, "%u files, %u messages", after->files, after->message_count);
	if (after->differences)
		breach(r, UNREADABLE, "index and files differ %u times: %s", after->differences, after->difference);
	if (e == ENDED_REBUILT)
		r->mailboxes_rebuilt += after->box_count;
}
