/* maildir/carry.c - copying and moving between somebody's own mailboxes and those of others, or among the latter: see
 * mailbox_copy(). Nothing is linked here: what arrives in another account is a message of that account, counted there, with
 * the flags that its reader may set there. */
#include <stdlib.h>

#include "common/memory.h"
#include "maildir/copy_private.h"
#include "maildir/incoming.h"
#include "maildir/mailbox_private.h"
#include "maildir/message.h"
#include "maildir/quota_private.h"

#include "common/banned.h"

#define CARRY_MAX 16            /* messages at a time */
#define PIECE ((size_t)64 << 10)
#define FOLLOW_MAX 8            /* how often a move runs after others' changes */

struct carrying {
	struct mailbox *from, *to;
	struct message_row rows[CARRY_MAX];
	size_t count;
	bool is_cut;                    /* there are more */
	uint64_t octets, messages;      /* of the whole set */
	struct keyword_table keywords;  /* of `from` */
	struct arena arena;
};

static bool take(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct carrying *x = arg;

	(void)parsed;
	x->is_cut = x->count == CARRY_MAX;
	if (!x->is_cut)
		x->rows[x->count++] = *row;
	return !x->is_cut;
}

static bool add_up(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct carrying *x = arg;

	(void)parsed;
	x->octets += row->size;
	x->messages++;
	return true;
}

/* check_quota - before anything is copied: a COPY that would fail in the middle had better not begin. */
static struct fault check_quota(struct carrying *x, const struct uidset *set)
{
	struct maildir_user there = { .account = x->to->account, .quota = x->to->quota };
	struct quota_usage usage;
	struct index_meta meta = { 0 };
	uint32_t resume = 0;
	struct fault f = FAULT_OK;

	if (!there.quota.bytes && !there.quota.messages)
		return f;
	do
		f = mailbox_scan(x->from, set, SCAN_ROW, &resume, add_up, x);
	while (!f.kind && resume);
	if (!f.kind)
		f = maildir_user_quota(&there, &usage);
	if (f.kind)
		return f;
	meta.bytes = usage.bytes;
	meta.messages = usage.messages;
	return quota_allows(&there.quota, &meta, x->octets, x->messages);
}

static struct fault stream(struct carrying *x, const struct message_row *row, struct incoming **out)
{
	struct maildir_user there = { .account = x->to->account };
	struct message_reader *reader = NULL;
	char *piece = NULL;
	uint64_t at = 0;
	size_t got = 1;
	struct fault f = message_open(x->from, row->uid, &reader);

	if (!f.kind)
		f = incoming_new(&there, NULL, message_size(reader), out);
	if (!f.kind)
		piece = xmalloc(PIECE);
	while (!f.kind && got) {
		f = message_read(reader, at, piece, PIECE, &got);
		if (!f.kind && got)
			f = incoming_write(*out, sv_from(piece, got));
		at += got;
	}
	free(piece);
	message_close(&reader);
	return f.kind ? f : incoming_finish(*out);
}

/* keywords_of - names of the keywords that a message has. */
static size_t keywords_of(const struct carrying *x, const struct message_row *row, struct sv *out)
{
	size_t n = 0;

	for (uint32_t i = 0; i < x->keywords.count; i++)
		if (row->keywords.w[i / 64] >> i % 64 & 1)
			out[n++] = x->keywords.names[i];
	return n;
}

/* put - what was taken, all or nothing. A message that went meanwhile is left out. */
static struct fault put(struct carrying *x, uint32_t *made)
{
	struct append_item items[CARRY_MAX] = { 0 };
	struct sv (*names)[KEYWORDS_MAX] = xcalloc(CARRY_MAX, sizeof(*names));
	size_t kept = 0;
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < x->count; i++) {
		struct append_item *item = &items[kept];

		f = stream(x, &x->rows[i], &item->message);
		if (f.kind == FAULT_GONE && !x->from->reader) {
			f = FAULT_OK;
			incoming_free(&item->message);
			continue;
		}
		item->flags = x->rows[i].flags;
		item->keywords = names[kept];
		item->keyword_count = keywords_of(x, &x->rows[i], names[kept]);
		item->has_internaldate = true;
		item->internaldate = x->rows[i].internaldate;
		x->rows[kept++] = x->rows[i];
	}
	x->count = kept;
	if (!f.kind)
		f = incoming_append(x->to, items, kept);
	for (size_t i = 0; i < CARRY_MAX; i++) {
		incoming_free(&items[i].message);
		if (!f.kind && i < kept)
			made[i] = items[i].uid;
	}
	free(names);
	return f;
}

/* --- a move's second half: what was read is removed, as it was read ------------------------------------------------------ */

/* change - one way of a change that somebody made to the original, made to the copy. */
static struct fault change(struct carrying *x, uint32_t uid, enum store_mode mode, uint32_t flags,
			   const struct message_row *keywords)
{
	struct sv names[KEYWORDS_MAX];
	struct flag_change c = { .mode = mode, .flags = flags, .keywords = names };
	struct uidset one = { 0 };
	uint32_t resume = 0;
	struct fault f;

	c.keyword_count = keywords_of(x, keywords, names);
	if (!flags && !c.keyword_count)
		return FAULT_OK;
	uidset_add(&one, uid, uid);
	f = mailbox_store_flags(x->to, &one, &c, &resume, NULL, NULL, NULL);
	uidset_done(&one);
	/* Flags that the mover may not set there were left out of the copy, too. */
	return f.kind == FAULT_DENIED ? FAULT_OK : f;
}

static struct fault follow_one(struct carrying *x, const struct message_row *was, const struct message_row *is, uint32_t made)
{
	struct message_row added = *is, removed = *was;
	struct fault f;

	for (size_t i = 0; i < ARRAY_LEN(is->keywords.w); i++) {
		added.keywords.w[i] &= ~was->keywords.w[i];
		removed.keywords.w[i] &= ~is->keywords.w[i];
	}
	f = change(x, made, STORE_ADD, is->flags & ~was->flags, &added);
	return f.kind ? f : change(x, made, STORE_REMOVE, was->flags & ~is->flags, &removed);
}

/* follow - the originals are read again, and what others changed at them since is done to the copies. *left: those that are
 * still there. */
static struct fault follow(struct carrying *x, const struct uidset *uids, const uint32_t *made, struct uidset *left)
{
	struct carrying *now = xcalloc(1, sizeof(*now));
	uint32_t resume = 0;
	struct fault f;

	do
		f = mailbox_scan(x->from, uids, SCAN_ROW, &resume, take, now);
	while (!f.kind && resume);
	arena_clear(&x->arena);
	if (!f.kind)
		f = mailbox_keywords(x->from, &x->arena, &x->keywords);
	for (size_t i = 0, k = 0; !f.kind && i < now->count; i++) {
		while (x->rows[k].uid != now->rows[i].uid)
			k++;
		if (x->rows[k].modseq != now->rows[i].modseq)
			f = follow_one(x, &x->rows[k], &now->rows[i], made[k]);
		x->rows[k] = now->rows[i];
		uidset_add(left, now->rows[i].uid, now->rows[i].uid);
	}
	free(now);
	return f;
}

/* take_back - copies of what was not moved: made[i] becomes 0. */
static struct fault take_back(struct carrying *x, const struct uidset *moved, uint32_t *made)
{
	struct uidset copies = { 0 };
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < x->count; i++)
		if (!uidset_has(moved, x->rows[i].uid)) {
			uidset_add(&copies, made[i], made[i]);
			made[i] = 0;
		}
	if (copies.count)
		f = mailbox_enter(x->to, false);
	if (!f.kind && copies.count) {
		copy_remove(x->to->account, x->to->id, &copies);
		account_leave(x->to->account);
	}
	uidset_done(&copies);
	return f;
}

static struct fault remove_as_read(struct carrying *x, const struct uidset *uids, struct uidset *gone)
{
	struct copy_filter filter = { .as_read = x->rows, .as_read_count = x->count };
	uint32_t resume = 0;
	struct fault f = FAULT_OK;

	do {
		f = mailbox_enter(x->from, false);
		if (f.kind)
			break;
		f = mailbox_needs(x->from, RIGHT_EXPUNGE);
		if (!f.kind)
			f = copy_expunge(x->from, uids, &filter, &resume, gone);
		account_leave(x->from->account);
	} while (!f.kind && resume);
	return f;
}

/* remove_taken - the originals go if they are as they were read, so that no device's change is lost between the two accounts,
 * which have no common transaction: what was changed meanwhile is changed at the copy as well, and tried again. What somebody
 * else removed was not moved: its copy goes again, as that of what is changed all the time, which stays where it is. After a
 * fault both stay: which of the two is whole is not known then. */
static struct fault remove_taken(struct carrying *x, uint32_t *made)
{
	struct uidset uids = { 0 }, moved = { 0 };
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < x->count; i++)
		uidset_add(&uids, x->rows[i].uid, x->rows[i].uid);
	for (int tries = 0; !f.kind && uids.count; tries++) {
		struct uidset left = { 0 };

		f = remove_as_read(x, &uids, &moved);
		if (!f.kind && uidset_total(&moved) < x->count)
			f = follow(x, &uids, made, &left);
		uidset_done(&uids);
		uids = left;
		if (!f.kind && uids.count && tries == FOLLOW_MAX)
			break;
	}
	if (!f.kind)
		f = take_back(x, &moved, made);
	if (!f.kind && uids.count)
		f = fault(FAULT_BUSY, "flags change all the time");
	uidset_done(&uids);
	uidset_done(&moved);
	return f;
}

struct fault carry(struct mailbox *from, const struct uidset *set, struct mailbox *to, bool move, uint32_t *resume,
		   copied_fn *fn, void *arg)
{
	struct carrying *x = xcalloc(1, sizeof(*x));
	uint32_t made[CARRY_MAX] = { 0 }, next = *resume;
	struct fault f = mailbox_needs(to, RIGHT_INSERT);

	x->from = from;
	x->to = to;
	arena_init(&x->arena, (size_t)64 << 10);
	if (!f.kind && move)    /* RFC 6851 §4.4: what STORE \Deleted and EXPUNGE would need */
		f = mailbox_needs(from, RIGHT_DELETE | RIGHT_EXPUNGE);
	if (!f.kind && !next)
		f = check_quota(x, set);
	do {
		if (!f.kind)
			f = mailbox_scan(from, set, SCAN_ROW, &next, take, x);
	} while (!f.kind && next && x->count < CARRY_MAX && !x->is_cut);
	if (!f.kind)    /* behind the rows: they may have keywords that are new */
		f = mailbox_keywords(from, &x->arena, &x->keywords);
	if (x->is_cut)
		next = x->rows[CARRY_MAX - 1].uid + 1;
	if (!f.kind && x->count)
		f = put(x, made);
	if (!f.kind && move)
		f = remove_taken(x, made);
	for (size_t i = 0; fn && i < x->count; i++)
		if (made[i])
			fn(arg, x->rows[i].uid, made[i]);
	if (!f.kind)
		*resume = next;
	arena_done(&x->arena);
	free(x);
	return f;
}
