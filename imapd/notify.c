/* imapd/notify.c - see notify.h. */
#include "imapd/notify.h"

#include <stdlib.h>

#include "common/crc32c.h"
#include "imapd/arrivals.h"
#include "imapd/list.h"
#include "maildir/metadata.h"

#include "common/banned.h"

#define OWN_MAX 8
#define HELD_MAX 30             /* mailboxes kept open, so that their folders, and others' accounts, give notice */

/* One annotation, as far as a change of it is to be seen. */
struct mark {
	char *entry;
	uint32_t crc;
};
struct marks {
	struct mark *items;
	size_t count;
};

/* A mailbox as the client knows it. */
struct known {
	struct mailbox_info info;       /* its name is owned */
	unsigned events;                /* that any group wants of it */
	struct marks marks;             /* loaded when its annotations are watched */
};
struct survey {
	struct known *rows;             /* in the order of names */
	size_t count, cap;
	bool is_too_much;
	uint64_t max;                   /* rows; more is NOTIFICATIONOVERFLOW (§5.8) */
};

struct notify {
	struct notify_group groups[NOTIFY_GROUPS_MAX];
	size_t group_count, name_count;
	bool has_selected, is_delayed;
	bool is_implicit;               /* NOTIFY was not used: there is ENABLE METADATA only */
	bool is_fresh;                  /* nothing is known yet */
	unsigned selected, others;      /* events, all groups together */
	char *items;
	struct survey known;
	struct marks server;
	struct mailbox *held[HELD_MAX];
	size_t held_count;
	char *own[OWN_MAX];
	size_t own_count;
	uint32_t arrived;               /* new messages from this UID on; 0: none */
};

/* ---- what is wanted ---- */

struct notify *notify_new(void)
{
	return xcalloc(1, sizeof(struct notify));
}

bool notify_add(struct notify *n, const struct notify_group *group, struct sv items)
{
	if (n->group_count == NOTIFY_GROUPS_MAX || n->name_count + group->name_count > NOTIFY_NAMES_MAX)
		return false;
	n->groups[n->group_count++] = *group;
	n->name_count += group->name_count;
	if (group->filter > FILTER_SELECTED_DELAYED) {
		n->others |= group->events;
		return true;
	}
	n->has_selected = true;
	n->is_delayed = group->filter == FILTER_SELECTED_DELAYED;
	n->selected = group->events;
	if (items.len)
		n->items = sv_copy_z(items);
	return true;
}

void notify_enable(struct room *room, unsigned events)
{
	struct notify_group group = { .filter = FILTER_ALL, .events = events };

	if (!room->notify) {
		room->notify = notify_new();
		room->notify->is_implicit = true;
	}
	room->metadata_events |= events;
	room->notify->is_fresh |= !room->notify->others;
	(void)notify_add(room->notify, &group, SV_NONE);        /* beyond 32 groups it waits for the next NOTIFY */
}

bool notify_is_used(const struct notify *n)
{
	return n && !n->is_implicit;
}

bool notify_is_watching(const struct notify *n)
{
	return n && (n->selected || n->others);
}

bool notify_is_due(const struct room *room)
{
	const struct notify *n = room->notify;

	return arrivals_wait(room) || (n && n->arrived && n->items);
}

bool notify_wants_items(const struct notify *n)
{
	return n && n->items;
}

bool notify_tells(const struct notify *n, enum notify_event event)
{
	return !n || n->is_implicit || n->selected & event;
}

/* notify_is_delayed - SELECTED-DELAYED: removals wait for a command that lets them be told (§6.1.2). */
static bool notify_is_delayed(const struct notify *n)
{
	return n && n->is_delayed;
}

void notify_arrived(struct notify *n, uint32_t uid)
{
	if (n && n->items && (!n->arrived || uid < n->arrived))
		n->arrived = uid;
}

void notify_own(struct notify *n, struct sv name)
{
	if (!n)
		return;
	if (n->own_count == OWN_MAX) {          /* the oldest is told, at worst */
		free(n->own[0]);
		memmove(n->own, n->own + 1, --n->own_count * sizeof(*n->own));
	}
	n->own[n->own_count++] = sv_copy_z(name);
}

static void forget_own(struct notify *n)
{
	while (n->own_count)
		free(n->own[--n->own_count]);
}

static bool is_below(struct sv name, struct sv above)
{
	return sv_eq(name, above) || (name.len > above.len && name.p[above.len] == '/' && sv_starts(name, above));
}

/* is_own - the name, or one above it: parents are made along, and show their children. */
static bool is_own(const struct notify *n, struct sv name)
{
	for (size_t i = 0; i < n->own_count; i++)
		if (is_below(sv_z(n->own[i]), name))
			return true;
	return false;
}

static bool is_personal(const struct mailbox_info *info)
{
	return !info->is_shared && !(sv_starts(info->name, SV(SHARED_PREFIX)) && sv_find(info->name, '@') != SIZE_MAX);
}

static bool matches(const struct notify_group *g, const struct mailbox_info *info, bool was_subscribed)
{
	switch (g->filter) {
	case FILTER_SELECTED:
	case FILTER_SELECTED_DELAYED:
		return false;
	case FILTER_ALL:
		return true;
	case FILTER_PERSONAL:
		return is_personal(info);
	case FILTER_SUBSCRIBED:
		return info->subscribed || was_subscribed;
	case FILTER_SUBTREE:
	case FILTER_MAILBOXES:
		for (size_t i = 0; i < g->name_count; i++)
			if (g->filter == FILTER_SUBTREE ? is_below(info->name, sv_z(g->names[i])) :
							  sv_eq(info->name, sv_z(g->names[i])))
				return true;
		return false;
	}
	return false;
}

/* wanted - of a mailbox: several groups add up (§6). */
static unsigned wanted(const struct notify *n, const struct mailbox_info *info, bool was_subscribed)
{
	unsigned events = 0;

	for (size_t i = 0; i < n->group_count; i++)
		if (matches(&n->groups[i], info, was_subscribed))
			events |= n->groups[i].events;
	return events;
}

/* ---- how things are ---- */

static void marks_done(struct marks *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->items[i].entry);
	free(m->items);
	*m = (struct marks){ 0 };
}

static bool add_mark(void *arg, const struct metadata_entry *e)
{
	struct marks *m = arg;

	m->items = xrealloc(m->items, (m->count + 1) * sizeof(*m->items));
	m->items[m->count++] = (struct mark){ sv_copy_z(e->name), crc32c(e->value) };
	return true;
}

static void load_marks(struct room *room, struct sv name, struct marks *out)
{
	struct fault f = mailbox_metadata(room->user, name, add_mark, out);

	if (f.kind)             /* not ours to see, or gone meanwhile */
		marks_done(out);
}

static void survey_done(struct survey *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free((char *)s->rows[i].info.name.p);
		marks_done(&s->rows[i].marks);
	}
	free(s->rows);
	*s = (struct survey){ 0 };
}

static bool add_row(void *arg, const struct mailbox_info *info)
{
	struct survey *s = arg;

	if (s->count == s->max) {
		s->is_too_much = true;
		return false;
	}
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 16;
		s->rows = xrealloc(s->rows, s->cap * sizeof(*s->rows));
	}
	s->rows[s->count] = (struct known){ .info = *info };
	s->rows[s->count++].info.name = (struct sv){ sv_copy_z(info->name), info->name.len };
	return true;
}

static struct fault take_survey(struct room *room, const struct notify *n, struct survey *out)
{
	struct mailbox_status status;

	*out = (struct survey){ .max = room->conf->imap.notify_mailboxes };
	/* What other programs put into a folder becomes part of the mailbox by being looked at. */
	struct fault f = mailbox_status(room->user, SV("INBOX"), &status);

	for (size_t i = 0; i < n->held_count; i++)
		(void)!mailbox_counters(n->held[i], &status).kind;

	if (!f.kind)
		f = mailbox_list(room->user, add_row, out);
	if (!f.kind && out->is_too_much)
		f = fault(FAULT_LIMIT, "more mailboxes than can be watched");
	if (f.kind)
		survey_done(out);
	return f;
}

static struct known *by_name(const struct survey *s, struct sv name)
{
	for (size_t i = 0; i < s->count; i++)
		if (sv_eq(s->rows[i].info.name, name))
			return &s->rows[i];
	return NULL;
}

static struct known *by_id(const struct survey *s, const char *id)
{
	for (size_t i = 0; *id && i < s->count; i++)
		if (s->rows[i].info.exists && !strcmp(s->rows[i].info.mailbox_id, id))
			return &s->rows[i];
	return NULL;
}

static void drop_held(struct notify *n)
{
	while (n->held_count)
		mailbox_close(&n->held[--n->held_count]);
}

/* is_held - a mailbox of somebody else is open while it is watched: that is how its account's notices come here. One of one's
 * own is, when its messages are watched: so its folder is looked after, too. INBOX is in any case. */
static bool is_held(const struct known *row)
{
	if (!row->info.exists || !(row->info.rights & RIGHT_READ) || sv_eq(row->info.name, SV("INBOX")))
		return false;
	return row->info.is_shared ? row->events : row->events & NOTIFY_MESSAGES;
}

/* hold - others' first: what their accounts do is not heard of otherwise. */
static void hold(struct command *c, struct notify *n)
{
	drop_held(n);
	for (int own = 0; own < 2; own++)
		for (size_t i = 0; i < n->known.count && n->held_count < HELD_MAX; i++) {
			const struct known *row = &n->known.rows[i];

			if (is_held(row) && row->info.is_shared == !own &&
			    !mailbox_open(c->room->user, row->info.name, &n->held[n->held_count]).kind)
				n->held_count++;
		}
}

static bool holds_differ(const struct survey *a, const struct survey *b)
{
	size_t before = 0, now = 0;

	for (size_t i = 0; i < a->count; i++)
		before += is_held(&a->rows[i]);
	for (size_t i = 0; i < b->count; i++) {
		const struct known *was = by_id(a, b->rows[i].info.mailbox_id);

		if (!is_held(&b->rows[i]))
			continue;
		if (!was || !is_held(was))
			return true;
		now++;
	}
	return before != now;
}

/* ---- telling ---- */

static bool is_selected(const struct room *room, struct sv name)
{
	return room->box && sv_eq(room->box_name, name);
}

static void write_status(struct command *c, const struct mailbox_info *info, bool with_unseen)
{
	const struct mailbox_status *s = &info->status;
	struct writer *w = &c->out;

	writer_z(w, "* STATUS ");
	command_write_mailbox(c, info->name);
	writer_f(w, " (MESSAGES %u UIDNEXT %u UIDVALIDITY %u", s->messages, s->uidnext, s->uidvalidity);
	if (with_unseen)
		writer_f(w, " UNSEEN %u", s->unseen);
	if (c->room->has_condstore)
		writer_f(w, " HIGHESTMODSEQ %llu", (unsigned long long)s->highestmodseq);
	writer_z(w, ")\r\n");
}

/* tell_messages - §5.1 to §5.3 in a mailbox that is not selected. */
static void tell_messages(struct command *c, const struct known *was, const struct known *now)
{
	const struct mailbox_status *a = &was->info.status, *b = &now->info.status;
	uint32_t came = b->uidnext - a->uidnext;
	bool is_new = a->uidvalidity != b->uidvalidity || came;
	bool is_less = b->messages < a->messages + came || b->messages < a->messages;
	bool is_unseen = !now->info.is_shared && a->unseen != b->unseen;
	bool is_flags = a->highestmodseq != b->highestmodseq && (c->room->has_condstore || is_unseen);

	if (!(now->info.rights & RIGHT_READ) || is_selected(c->room, now->info.name) ||
	    a->highestmodseq == b->highestmodseq)
		return;
	if ((is_new && now->events & NOTIFY_MESSAGE_NEW) || (is_less && now->events & NOTIFY_MESSAGE_EXPUNGE) ||
	    (is_flags && now->events & NOTIFY_FLAG_CHANGE))
		write_status(c, &now->info, is_unseen && now->events & NOTIFY_FLAG_CHANGE);
}

static const struct mark *find_mark(const struct marks *m, const char *entry)
{
	for (size_t i = 0; i < m->count; i++)
		if (sv_eq_nocase(sv_z(m->items[i].entry), sv_z(entry)))
			return &m->items[i];
	return NULL;
}

static void write_entry(struct command *c, struct sv name, const char *entry, bool *is_begun)
{
	if (!*is_begun) {
		writer_z(&c->out, "* METADATA ");
		command_write_mailbox(c, name);
	}
	writer_c(&c->out, ' ');
	writer_astring(&c->out, sv_z(entry));
	*is_begun = true;
}

/* tell_metadata - §5.6: the names of what is new, other or gone. */
static void tell_metadata(struct command *c, struct sv name, const struct marks *was, const struct marks *now)
{
	bool is_begun = false;

	for (size_t i = 0; i < now->count; i++) {
		const struct mark *old = find_mark(was, now->items[i].entry);

		if (!old || old->crc != now->items[i].crc)
			write_entry(c, name, now->items[i].entry, &is_begun);
	}
	for (size_t i = 0; i < was->count; i++)
		if (!find_mark(now, was->items[i].entry))
			write_entry(c, name, was->items[i].entry, &is_begun);
	if (is_begun)
		writer_crlf(&c->out);
}

/* tell_name - one LIST response, unless it was told in this look. */
struct names {
	struct command *c;
	struct notify *n;
	const struct survey *now;
	struct known *told;             /* rows of `now`, in their order: is_told */
	bool *is_told;
};

static void tell_row(struct names *x, const struct known *row, struct sv old_name, const char *attribute)
{
	size_t i = (size_t)(row - x->now->rows);

	if (!x->is_told[i])
		list_write_info(x->c, &row->info, old_name, attribute);
	x->is_told[i] = true;
}

static void tell_parent(struct names *x, struct sv name)
{
	size_t slash = sv_rfind(name, '/');
	struct known *row = slash == SIZE_MAX ? NULL : by_name(x->now, sv_sub(name, 0, slash));

	/* §5.4: the direct parent is affected, too. */
	if (row && row->events & NOTIFY_MAILBOX_NAME && !is_own(x->n, row->info.name))
		tell_row(x, row, SV_NONE, "");
}

/* moved_along - was this mailbox renamed only because one above it was? */
static bool moved_along(const struct survey *was, const struct survey *now, struct sv from, struct sv to)
{
	for (size_t i = 0; i < now->count; i++) {
		const struct mailbox_info *up = &now->rows[i].info;
		const struct known *old = up->exists ? by_id(was, up->mailbox_id) : NULL;

		if (!old || sv_eq(old->info.name, up->name) || sv_eq(up->name, to))
			continue;
		if (is_below(to, up->name) && is_below(from, old->info.name) &&
		    sv_eq(sv_sub(to, up->name.len, SIZE_MAX), sv_sub(from, old->info.name.len, SIZE_MAX)))
			return true;
	}
	return false;
}

/* tell_names - §5.4 and §5.5: made, renamed, removed, subscribed. */
static void tell_names(struct names *x, const struct survey *was)
{
	struct command *c = x->c;

	for (size_t i = 0; i < x->now->count; i++) {
		const struct known *row = &x->now->rows[i];
		const struct mailbox_info *info = &row->info;
		const struct known *here = by_name(was, info->name), *old = by_id(was, info->mailbox_id);
		bool is_same = here && here->info.exists == info->exists &&
			       !strcmp(here->info.mailbox_id, info->mailbox_id);

		if (is_own(x->n, info->name))
			continue;
		if (row->events & NOTIFY_MAILBOX_NAME && !is_same && info->exists) {
			if (!old)
				tell_row(x, row, SV_NONE, "");
			else if (!moved_along(was, x->now, old->info.name, info->name))
				tell_row(x, row, old->info.name, "");
			tell_parent(x, info->name);
		}
		/* Subscriptions stay with names: one that was renamed along with what is above it may have lost its own. */
		const struct known *before = here ? here : old;

		if (row->events & NOTIFY_SUBSCRIPTION && (before && before->info.subscribed) != info->subscribed)
			tell_row(x, row, SV_NONE, "");
	}
	for (size_t i = 0; i < was->count; i++) {
		const struct known *row = &was->rows[i];
		struct known *here = by_name(x->now, row->info.name);
		struct mailbox_info gone = { .name = row->info.name };

		if (is_own(x->n, row->info.name))
			continue;
		bool is_gone = row->info.exists && (!here || !here->info.exists) && !by_id(x->now, row->info.mailbox_id);

		if (is_gone && row->events & NOTIFY_MAILBOX_NAME) {
			if (here)
				tell_row(x, here, SV_NONE, "");
			else
				list_write_info(c, &gone, SV_NONE, "");
			tell_parent(x, row->info.name);
		} else if (!here && row->info.subscribed && row->events & NOTIFY_SUBSCRIPTION) {
			list_write_info(c, &gone, SV_NONE, "");
		}
	}
}

/* settle - events of each row, and the annotations of those whose are watched; what did not change is taken over. */
static void settle(struct command *c, struct notify *n, struct survey *now)
{
	for (size_t i = 0; i < now->count; i++) {
		struct known *row = &now->rows[i];
		struct known *old = by_id(&n->known, row->info.mailbox_id);
		const struct known *here = by_name(&n->known, row->info.name);

		row->events = wanted(n, &row->info, here && here->info.subscribed);
		if (!(row->events & NOTIFY_MAILBOX_METADATA) || !row->info.exists)
			continue;
		if (old && old->info.metadata == row->info.metadata) {
			row->marks = old->marks;
			old->marks = (struct marks){ 0 };
			old->info.metadata = UINT64_MAX;        /* nothing to compare */
		} else {
			load_marks(c->room, row->info.name, &row->marks);
		}
	}
}

static void tell_changes(struct command *c, struct notify *n, struct survey *now)
{
	struct names names = { .c = c, .n = n, .now = now, .is_told = xcalloc(now->count + 1, sizeof(bool)) };

	tell_names(&names, &n->known);
	for (size_t i = 0; i < now->count; i++) {
		const struct known *row = &now->rows[i];
		const struct known *old = by_id(&n->known, row->info.mailbox_id);

		if (!old)
			continue;
		if (row->events & NOTIFY_MESSAGES)
			tell_messages(c, old, row);
		if (row->events & NOTIFY_MAILBOX_METADATA && old->info.metadata != UINT64_MAX &&
		    !is_own(n, row->info.name))
			tell_metadata(c, row->info.name, &old->marks, &row->marks);
	}
	free(names.is_told);
}

static void tell_server(struct command *c, struct notify *n, bool is_first)
{
	struct marks now = { 0 };

	if (!(n->others & NOTIFY_SERVER_METADATA))
		return;
	load_marks(c->room, SV(""), &now);
	if (!is_first && !is_own(n, SV("")))
		tell_metadata(c, SV(""), &n->server, &now);
	marks_done(&n->server);
	n->server = now;
}

/* look_at_others - everything but the selected mailbox. */
static struct fault look_at_others(struct command *c, struct notify *n)
{
	struct survey now;

	if (!n->others)
		return FAULT_OK;
	if (n->is_fresh)
		return notify_begin(c, n, false);
	struct fault f = take_survey(c->room, n, &now);

	if (f.kind)
		return f;
	settle(c, n, &now);
	tell_changes(c, n, &now);
	tell_server(c, n, false);
	bool is_other = holds_differ(&n->known, &now);

	survey_done(&n->known);
	n->known = now;
	if (is_other)
		hold(c, n);
	forget_own(n);
	return f;
}

struct fault notify_begin(struct command *c, struct notify *n, bool wants_status)
{
	struct survey now;

	if (!n->others)
		return FAULT_OK;
	struct fault f = take_survey(c->room, n, &now);

	if (f.kind)
		return f;
	settle(c, n, &now);
	n->known = now;
	n->is_fresh = false;
	tell_server(c, n, true);
	hold(c, n);
	for (size_t i = 0; i < now.count; i++) {
		const struct known *row = &now.rows[i];

		if (!row->info.exists || !(row->events & NOTIFY_MESSAGES) || is_selected(c->room, row->info.name))
			continue;
		if (!(row->info.rights & RIGHT_READ))   /* §3.1 */
			list_write_info(c, &row->info, SV_NONE, "\\NoAccess");
		else if (wants_status)
			write_status(c, &row->info, false);
	}
	return f;
}

/* ---- items of new messages (§5.2) ---- */

static void queue_items(struct command *c, struct notify *n)
{
	uint32_t highest = view_highest(&c->room->view);
	struct uidset set = { 0 };

	if (n->arrived && n->items && n->arrived <= highest) {
		(void)uidset_add(&set, n->arrived, highest);
		arrivals_add(c->room, &set, sv_z(n->items));
		uidset_done(&set);
	}
	n->arrived = 0;
}

void notify_deselected(struct notify *n)
{
	if (n)
		n->arrived = 0;
}

void notify_free(struct notify **notify)
{
	struct notify *n = *notify;

	if (!n)
		return;
	drop_held(n);
	forget_own(n);
	survey_done(&n->known);
	marks_done(&n->server);
	for (size_t i = 0; i < n->group_count; i++) {
		for (size_t k = 0; k < n->groups[i].name_count; k++)
			free(n->groups[i].names[k]);
		free(n->groups[i].names);
	}
	free(n->items);
	free(n);
	*notify = NULL;
}

/* ---- a look ---- */

enum step notify_look(struct command *c, bool is_idle)
{
	struct notify *n = c->room->notify;
	bool may_expunge = is_idle || !notify_is_delayed(n), more = false;
	struct fault f = FAULT_OK;

	/* Between two steps of a FETCH no number may change. */
	if (c->room->box && !arrivals_are_fetched(c->room))
		f = room_updates(c, may_expunge ? UPDATES_EXPUNGE : 0, NULL, &more);
	if (f.kind == FAULT_GONE) {
		writer_z(&c->out, "* BYE The selected mailbox was deleted; log in again\r\n");
		return STEP_CLOSE;
	}
	if (more)
		return STEP_MORE;
	if (!f.kind && c->room->box) {
		if (n->selected)
			queue_items(c, n);
		enum step step = arrivals_step(c);

		if (step != STEP_DONE)
			return step;
	}
	if (!f.kind)
		f = look_at_others(c, n);
	if (f.kind == FAULT_LIMIT) {            /* §5.8 */
		writer_z(&c->out, "* OK [NOTIFICATIONOVERFLOW] Too much to watch; ask again for less\r\n");
		notify_free(&c->room->notify);
		c->room->notify = notify_new();
	} else if (f.kind) {
		log_warn(c->log, "imap.notify.failed", KV_SV("user", c->room->account), KV_FAULT("fault", f));
	}
	return STEP_WAIT;
}

static enum step run_events(struct command *c)
{
	enum step step = notify_look(c, false);

	return step == STEP_WAIT ? command_ok(c, "") : step;
}

const struct command_spec notify_events_spec = { "NOTIFY events", ST_LOGGED_IN, CMD_NO_UPDATES, CAP_NOTIFY, run_events,
						 "RFC 5465 §5" };
