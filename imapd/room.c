/* imapd/room.c - see room.h. */
#include "imapd/room.h"

#include <stdlib.h>

#include "common/charset.h"
#include "imapd/arrivals.h"
#include "imapd/command.h"
#include "imapd/contexts.h"
#include "imapd/notify.h"

#include "common/banned.h"

#define CHANGES_PER_CHUNK 2048
#define EXPUNGES_PER_CHUNK 4096
#define KEYWORDS_ARENA_MAX ((size_t)64 << 10)

/* Behind the FLAG_ bits of maildir/mailbox.h, for the cache of texts. */
#define TEXT_RECENT (1u << 30)
#define TEXT_USED   (1u << 31)

bool room_name(const struct room *room, struct sv wire, struct buf *utf8)
{
	/* RFC 9755 §3: octets that modified UTF-7 cannot have are UTF-8, enabled or not. */
	bool is_utf8 = room->is_utf8 ||
		       (sv_has_8bit(wire) && capability_has(room->on, CAP_UTF8_ACCEPT));

	if (!is_utf8)
		return mutf7_to_utf8(wire, utf8);
	return sv_is_utf8(wire) && buf_append(utf8, wire);
}

void room_deselect(struct room *room)
{
	contexts_done(room);
	mailbox_close(&room->box);
	free((char *)room->box_name.p);
	room->box_name = SV_NONE;
	view_done(&room->view);
	room->is_readonly = room->is_held_back = false;
	room->keywords_told = 0;
	room->rescan_uid = 0;
	room->fresh_uid = 0;
	room->fresh_modseq = 0;
	notify_deselected(room->notify);
	arrivals_done(room);
}

void room_done(struct room *room)
{
	room_deselect(room);
	notify_free(&room->notify);
	maildir_user_close(&room->user);
}

/* ---- flags ---- */

static void append_flag(struct buf *b, const char *name)
{
	if (b->len > 1)
		buf_append_c(b, ' ');
	buf_append(b, sv_z(name));
}

static void flags_text(const struct keyword_table *table, uint32_t flags, struct keyword_bits bits,
		       struct buf *b)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} system_flags[] = {
		{ FLAG_ANSWERED, "\\Answered" }, { FLAG_FLAGGED, "\\Flagged" },
		{ FLAG_DELETED, "\\Deleted" },   { FLAG_SEEN, "\\Seen" },
		{ FLAG_DRAFT, "\\Draft" },       { TEXT_RECENT, "\\Recent" },
	};

	buf_append_c(b, '(');
	for (size_t i = 0; i < ARRAY_LEN(system_flags); i++)
		if (flags & system_flags[i].bit)
			append_flag(b, system_flags[i].name);
	for (uint32_t i = 0; i < table->count; i++) {
		if (!(bits.w[i / 64] >> (i % 64) & 1))
			continue;
		if (b->len > 1)
			buf_append_c(b, ' ');
		buf_append(b, table->names[i]);
	}
	buf_append_c(b, ')');
}

/* keep_flags - the text of a combination that is met for the first time. */
static struct sv keep_flags(struct keywords *k, size_t slot, uint32_t key, struct keyword_bits bits)
{
	struct buf text = { .max = KEYWORDS_MAX * (KEYWORD_LEN_MAX + 1) + 128 };

	flags_text(&k->table, key, bits, &text);
	struct sv kept = arena_copy(&k->own, buf_sv(&text));

	if (!kept.p) {          /* thousands of combinations in one mailbox: start over */
		arena_clear(&k->own);
		memset(k->cache, 0, sizeof(k->cache));
		kept = arena_copy(&k->own, buf_sv(&text));
	}
	buf_done(&text);
	k->cache[slot].flags = key;
	k->cache[slot].bits = bits;
	k->cache[slot].text = kept.p;
	k->cache[slot].len = (uint32_t)kept.len;
	return kept;
}

struct sv keywords_flags(struct keywords *k, uint32_t flags, struct keyword_bits bits,
			 bool is_recent)
{
	uint32_t key = flags | TEXT_USED | (is_recent ? TEXT_RECENT : 0);
	size_t slot = (flags & 31) | (is_recent ? 32 : 0);

	if (bits.w[0] | bits.w[1])
		slot = (key ^ bits.w[0] * 0x9e3779b97f4a7c15u ^ bits.w[1] * 0xc2b2ae3d27d4eb4fu) *
			       0x9e3779b97f4a7c15u >> 57 | 128;

	if (k->cache[slot].flags == key && k->cache[slot].bits.w[0] == bits.w[0] &&
	    k->cache[slot].bits.w[1] == bits.w[1])
		return sv_from(k->cache[slot].text, k->cache[slot].len);
	return keep_flags(k, slot, key, bits);
}

void keywords_free(struct keywords **k)
{
	if (!*k)
		return;
	arena_done(&(*k)->names);
	arena_done(&(*k)->own);
	free(*k);
	*k = NULL;
}

/* RFC 3501 §7.2.6 and §7.1 PERMANENTFLAGS: `\*` invites new keywords; without it tags stay on one
 * computer. */
void room_write_flags(struct command *c)
{
	static const uint32_t all =
		FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DELETED | FLAG_SEEN | FLAG_DRAFT;
	struct keyword_bits bits = { { UINT64_MAX, UINT64_MAX } }, none = { { 0, 0 } };
	struct keywords *k = c->keywords;
	bool may_write = mailbox_may(c->room->box, RIGHT_WRITE);
	struct sv text = keywords_flags(k, all, bits, false);
	uint32_t allowed = may_write ? all : FLAG_SEEN | FLAG_DELETED;

	writer_z(&c->out, "* FLAGS ");
	writer_put(&c->out, text);
	writer_z(&c->out, "\r\n* OK [PERMANENTFLAGS ");
	if (c->room->is_readonly) {
		writer_z(&c->out, "()] Read-only mailbox\r\n");
	} else {
		/* RFC 4314 §5.1.1: what the rights allow. */
		if (!mailbox_may(c->room->box, RIGHT_SEEN))
			allowed &= ~(uint32_t)FLAG_SEEN;
		if (!mailbox_may(c->room->box, RIGHT_DELETE))
			allowed &= ~(uint32_t)FLAG_DELETED;
		text = keywords_flags(k, allowed, may_write ? bits : none, false);
		writer_put(&c->out, sv_sub(text, 0, text.len - 1));
		writer_z(&c->out, may_write && k->table.count < KEYWORDS_MAX ? " \\*)] Flags permitted\r\n"
								: ")] Flags permitted\r\n");
	}
	c->room->keywords_told = k->table.count;
	c->room->rights_told = mailbox_granted(c->room->box);
}

struct fault room_keywords(struct command *c, bool fresh)
{
	struct keywords *k = c->keywords;

	if (k && !fresh)
		return FAULT_OK;
	if (!k) {
		k = xcalloc(1, sizeof(*k));
		arena_init(&k->names, KEYWORDS_ARENA_MAX);
		arena_init(&k->own, KEYWORDS_ARENA_MAX);
		c->keywords = k;
	} else {
		arena_clear(&k->names);
		arena_clear(&k->own);
		memset(k->cache, 0, sizeof(k->cache));
	}
	struct fault f = mailbox_keywords(c->room->box, &k->names, &k->table);

	if (!f.kind && k->table.count > c->room->keywords_told)
		room_write_flags(c);
	return f;
}

bool keywords_cover(const struct keywords *k, struct keyword_bits bits)
{
	uint32_t n = k->table.count;
	uint64_t low = n >= 64 ? 0 : UINT64_MAX << n, high = n >= 128  ? 0
							     : n <= 64 ? UINT64_MAX
								       : UINT64_MAX << (n - 64);

	return !(bits.w[0] & low) && !(bits.w[1] & high);
}

/* ---- what was told already ---- */

void told_add(struct told *t, uint32_t uid, uint64_t modseq)
{
	if (t->count == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->items = xrealloc(t->items, t->cap * sizeof(*t->items));
	}
	t->items[t->count].uid = uid;
	t->items[t->count++].modseq = modseq;
}

void told_done(struct told *t)
{
	free(t->items);
	*t = (struct told){ 0 };
}

/* told_has - items come in the order in which messages were changed: by UID. */
static bool told_has(const struct told *t, uint32_t uid, uint64_t modseq)
{
	size_t low = 0, high = t ? t->count : 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->items[mid].uid == uid)
			return t->items[mid].modseq >= modseq;
		if (t->items[mid].uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

/* ---- updates ---- */

struct changes {
	struct change *items;
	size_t count, cap;
	bool is_cut;            /* there are more */
};

/* Changes with one MODSEQ belong to one transaction and are taken together, so that "since" can
 * stand behind them. */
static bool take_change(void *arg, const struct change *change)
{
	struct changes *all = arg;

	if (all->count >= CHANGES_PER_CHUNK &&
	    all->items[all->count - 1].modseq != change->modseq) {
		all->is_cut = true;
		return false;
	}
	if (all->count == all->cap) {
		all->cap = all->cap ? all->cap * 2 : 64;
		all->items = xrealloc(all->items, all->cap * sizeof(*all->items));
	}
	all->items[all->count++] = *change;
	return true;
}

static int by_uid(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static bool add_new(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct room *room = arg;

	(void)parsed;
	view_add(&room->view, row->uid);
	if (row->modseq > room->fresh_modseq)
		room->fresh_modseq = row->modseq;
	return true;
}

/* is_arrival - does it tell of a message as it came? */
static bool is_arrival(const struct room *room, const struct change *change)
{
	return change->uid >= room->fresh_uid && change->modseq <= room->fresh_modseq;
}

/* is_news - must this change be told as FETCH? Not when the client knows it, or learned of the
 * message only afterwards. */
static bool is_news(const struct room *room, const struct change *change, const struct told *told)
{
	if (change->kind == CHANGE_EXPUNGED || is_arrival(room, change))
		return false;
	return !told_has(told, change->uid, change->modseq);
}

/* find_new - messages above the highest UID we know. Changes come in the order of MODSEQ, in which
 * a message that was flagged since it came stands behind younger ones: the rows are asked instead,
 * which ascend. */
static struct fault find_new(struct room *room)
{
	struct uidset above = { 0 };
	struct fault f = FAULT_OK;
	uint32_t resume = 0;

	if (view_highest(&room->view) == UINT32_MAX)
		return FAULT_OK;
	room->fresh_uid = view_highest(&room->view) + 1;
	room->fresh_modseq = 0;
	uidset_add(&above, view_highest(&room->view) + 1, UINT32_MAX);
	do
		f = mailbox_scan(room->box, &above, SCAN_ROW, &resume, add_new, room);
	while (!f.kind && resume);
	uidset_done(&above);
	if (!f.kind)
		f = mailbox_claim_recent(room->box, room->is_readonly, &room->view.recent);
	return f;
}

static void write_expunge(void *arg, uint32_t seq, uint32_t uid)
{
	struct command *c = arg;

	(void)uid;
	writer_c(&c->out, '*');
	writer_c(&c->out, ' ');
	writer_u64(&c->out, seq);
	writer_z(&c->out, " EXPUNGE\r\n");
}

static void take_vanished(void *arg, uint32_t seq, uint32_t uid)
{
	(void)seq;
	uidset_add(arg, uid, uid);
}

/* tell_removals - a chunk of what is gone; true when there may be more. RFC 7162 §3.2.10: one VANISHED for many
 * EXPUNGEs. */
static bool tell_removals(struct command *c)
{
	struct uidset vanished = { 0 };
	struct view *v = &c->room->view;

	if (!c->room->has_qresync && !c->room->has_uidonly)
		return view_expunge(v, EXPUNGES_PER_CHUNK, write_expunge, c) == EXPUNGES_PER_CHUNK;
	bool more = view_expunge(v, EXPUNGES_PER_CHUNK, take_vanished, &vanished) == EXPUNGES_PER_CHUNK;

	if (vanished.count) {
		writer_z(&c->out, "* VANISHED ");
		writer_uidset(&c->out, &vanished);
		writer_crlf(&c->out);
	}
	uidset_done(&vanished);
	return more;
}

/* room_recent_count - messages with \Recent in this session. */
static uint32_t room_recent_count(const struct room *room)
{
	struct uidset both = { 0 };

	uidset_intersect(&room->view.recent, &room->view.uids, &both);
	uint32_t n = (uint32_t)uidset_total(&both);

	uidset_done(&both);
	return n;
}

bool room_is_recent(const struct room *room, uint32_t uid)
{
	return room->view.recent.count && !room->is_rev2 && uidset_has(&room->view.recent, uid);
}

void room_write_exists(struct command *c)
{
	writer_f(&c->out, "* %u EXISTS\r\n", c->room->view.count);
	if (!c->room->is_rev2)
		writer_f(&c->out, "* %u RECENT\r\n", room_recent_count(c->room));
}

static void tell_new(struct command *c)
{
	struct view *v = &c->room->view;

	if (v->count <= v->told)
		return;
	v->told = v->count;
	room_write_exists(c);
}

void room_write_fetch_start(struct command *c, uint32_t seq, uint32_t uid)
{
	bool is_uid = c->room->has_uidonly;

	writer_put(&c->out, SV("* "));
	writer_u64(&c->out, is_uid ? uid : seq);
	writer_put(&c->out, is_uid ? SV(" UIDFETCH (") : SV(" FETCH ("));
}

void room_write_fetch_flags(struct command *c, uint32_t seq, uint32_t uid, uint32_t flags,
			    struct keyword_bits keywords, uint64_t modseq)
{
	struct writer *w = &c->out;

	room_write_fetch_start(c, seq, uid);
	/* RFC 3501 §6.4.8: with a UID command, always; else where the client shows that it thinks
	 * in UIDs (RFC 7162 §3.2.4, RFC 9051 §7.5.2, RFC 5465 §5.1). */
	if (!c->room->has_uidonly && (c->is_uid || c->room->has_condstore || c->room->is_rev2 || notify_is_used(c->room->notify))) {
		writer_put(w, SV("UID "));
		writer_u64(w, uid);
		writer_c(w, ' ');
	}
	writer_put(w, SV("FLAGS "));
	writer_put(w, keywords_flags(c->keywords, flags, keywords,
				     room_is_recent(c->room, uid)));
	if (c->room->has_condstore) {
		writer_put(w, SV(" MODSEQ ("));
		writer_u64(w, modseq);
		writer_c(w, ')');
	}
	writer_put(w, SV(")\r\n"));
}

static struct fault write_flag_changes(struct command *c, const struct changes *all,
				       const struct told *told)
{
	struct view_cursor cursor = view_cursor(&c->room->view);
	struct fault f = FAULT_OK;
	bool is_covered = c->keywords != NULL;

	for (size_t i = 0; i < all->count && is_covered; i++)
		is_covered = keywords_cover(c->keywords, all->items[i].keywords);
	f = room_keywords(c, !is_covered);
	for (size_t i = 0; i < all->count && !f.kind; i++) {
		const struct change *change = &all->items[i];

		uint32_t seq =
			is_news(c->room, change, told) ? view_cursor_seq(&cursor, change->uid) : 0;

		if (seq)
			room_write_fetch_flags(c, seq, change->uid, change->flags, change->keywords,
					       change->modseq);
	}
	return f;
}

/* lose_history - the store forgot what happened since: compare what is there, and tell all flags
 * again. */
static struct fault lose_history(struct room *room)
{
	struct uidset now = { 0 }, gone = { 0 };
	uint64_t modseq = 0;
	struct fault f = mailbox_uids(room->box, &now, &modseq);

	if (!f.kind) {
		uidset_copy(&gone, &room->view.uids);
		uidset_subtract(&gone, &now);
		if (gone.count && !room->view.gone.count)
			room->view.gone_modseq = room->view.modseq + 1;
		for (size_t i = 0; i < gone.count; i++)
			uidset_add(&room->view.gone, gone.ranges[i].first, gone.ranges[i].last);
		for (uint32_t uid = uidset_next(&now, view_highest(&room->view) + 1); uid;
		     uid = uidset_next(&now, uid + 1)) {
			view_add(&room->view, uid);
			if (uid == UINT32_MAX)
				break;
		}
		room->view.modseq = modseq;
		room->fresh_modseq = 0;
		room->rescan_uid = 1;
		f = mailbox_claim_recent(room->box, room->is_readonly, &room->view.recent);
	}
	uidset_done(&now);
	uidset_done(&gone);
	return f;
}

struct rescan {
	struct command *c;
	struct view_cursor cursor;
	uint32_t next;
};

static bool rescan_row(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct rescan *r = arg;
	uint32_t seq = view_cursor_seq(&r->cursor, row->uid);

	(void)parsed;
	if (seq)
		room_write_fetch_flags(r->c, seq, row->uid, row->flags, row->keywords, row->modseq);
	r->next = row->uid;
	return !command_is_full(r->c);
}

static struct fault rescan(struct command *c)
{
	struct rescan r = { c, view_cursor(&c->room->view), 0 };
	uint32_t resume = c->room->rescan_uid;
	struct fault f = room_keywords(c, true);

	while (!f.kind && resume && !command_is_full(c))
		f = mailbox_scan(c->room->box, &c->room->view.uids, SCAN_ROW, &resume, rescan_row,
				 &r);
	c->room->rescan_uid = resume;
	return f;
}

/* tell_contexts - what searches that are kept up to date make of the changes; of everything, when nobody knows what
 * changed. */
static struct fault tell_contexts(struct command *c, const struct changes *all, bool has_lost)
{
	struct uidset changed = { 0 }, arrived = { 0 };

	for (size_t i = 0; i < all->count; i++) {
		const struct change *change = &all->items[i];

		if (change->kind == CHANGE_EXPUNGED)
			continue;
		uidset_add(&changed, change->uid, change->uid);
		if (!has_lost && is_arrival(c->room, change))
			uidset_add(&arrived, change->uid, change->uid);
	}
	struct fault f = contexts_tell_changed(c, has_lost ? &c->room->view.uids : &changed, &arrived);

	uidset_done(&changed);
	uidset_done(&arrived);
	return f;
}

struct fault room_updates(struct command *c, unsigned how, const struct told *told, bool *more)
{
	struct room *room = c->room;
	struct changes all = { 0 };
	uint64_t until = 0;
	uint32_t old_highest = view_highest(&room->view);
	bool has_new = false, has_flags = false, has_lost = false;

	*more = false;
	if (!room->box || !notify_tells(room->notify, NOTIFY_MESSAGE_NEW))
		return FAULT_OK;
	struct fault f = mailbox_changes(room->box, room->view.modseq, take_change, &all, &until);

	if (f.kind == FAULT_GONE && until) {
		f = lose_history(room);
		has_lost = true;
	} else if (!f.kind) {
		for (size_t i = 0; i < all.count; i++) {
			const struct change *change = &all.items[i];

			if (change->kind == CHANGE_EXPUNGED)
				view_lose(&room->view, change->uid, change->modseq);
			else if (change->uid > old_highest)
				has_new = true;
			else if (is_news(room, change, told) && notify_tells(room->notify, NOTIFY_FLAG_CHANGE))
				has_flags = true;
		}
		if (has_new)
			f = find_new(room);
		room->view.modseq = all.is_cut ? all.items[all.count - 1].modseq : until;
		*more = all.is_cut;
	}
	if (!f.kind && how & UPDATES_EXPUNGE && room->view.gone.count) {
		contexts_tell_gone(c, &room->view.gone);
		*more |= tell_removals(c);
	}
	if (!f.kind && view_highest(&room->view) > old_highest)
		notify_arrived(room->notify, old_highest + 1);
	if (!f.kind)
		tell_new(c);
	if (!f.kind && has_flags) {
		qsort(all.items, all.count, sizeof(*all.items), by_uid);
		f = write_flag_changes(c, &all, told);
	}
	/* RFC 4314 §5.1.1: other rights may mean other flags. */
	if (!f.kind && mailbox_granted(room->box) != room->rights_told) {
		f = room_keywords(c, true);
		if (!f.kind && mailbox_granted(room->box) != room->rights_told)
			room_write_flags(c);
	}
	if (!f.kind && room->rescan_uid) {
		f = rescan(c);
		*more |= room->rescan_uid != 0;
	}
	if (!f.kind && room->contexts)
		f = tell_contexts(c, &all, has_lost);
	free(all.items);
	return f;
}
