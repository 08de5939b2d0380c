/* maildir/refill.c - see refill_private.h, and store_refill() in store.h. */
#include "maildir/refill_private.h"

#include <stdlib.h>

#include "common/crew.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/mime.h"
#include "maildir/adopt_private.h"
#include "maildir/message_private.h"

#include "common/banned.h"

#define PARSED_MAX ((size_t)8 << 20)
#define READ_SIZE ((size_t)64 << 10)
#define PIECE 16                        /* messages: a third of a millisecond, if they are small */
#define LOOK_ROWS 4096                  /* in one snapshot */

void refill_init(struct refill *r, uint64_t box)
{
	*r = (struct refill){ .box = box, .octets_max = REFILL_OCTETS, .read_max = REFILL_READ,
			       .fresh = xcalloc(REFILL_CHUNK, sizeof(*r->fresh)) };
}

static struct refill_item *add(struct refill *r)
{
	if (r->count == REFILL_CHUNK)
		BUG("more messages than a chunk");
	return &r->fresh[r->count++];
}

void refill_add(struct refill *r, uint32_t uid)
{
	add(r)->uid = uid;
}

void refill_add_row(struct refill *r, const char *dir, const struct index_row *row)
{
	struct refill_item *fresh = add(r);

	fresh->uid = row->uid;
	message_place_of(dir, row, &fresh->place);
	r->has_places = true;
}

bool refill_is_parsed(struct kv_txn *kv, uint64_t box, uint32_t uid)
{
	struct kv_key key;
	struct sv v;

	index_parsed_key(&key, box, uid);
	return !kv_get(kv, T_PARSED, kv_key_view(&key), &v).kind;
}

static struct fault put_fresh(struct index_txn *t, void *arg)
{
	const struct refill *r = arg;
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < r->count; i++) {
		struct kv_key key;
		struct sv row;
		if (!r->fresh[i].encoded.len)
			continue;
		index_row_key(&key, r->box, r->fresh[i].uid);
		if (kv_get(t->kv, T_ROWS, kv_key_view(&key), &row).kind)
			continue;       /* expunged meanwhile */
		f = index_parsed_put(t->kv, r->box, r->fresh[i].uid, buf_sv(&r->fresh[i].encoded));
	}
	return f;
}

/* Closes the reader. */
static struct fault parse(struct refill *r, struct message_reader *reader, char *piece, struct buf *encoded)
{
	struct mime_parser *p = mime_parser_new();
	struct fault f = FAULT_OK;
	uint64_t offset = 0;
	size_t got = 1;

	buf_init(encoded, PARSED_MAX);
	while (!f.kind && got) {
		f = message_read_raw(reader, offset, piece, READ_SIZE, &got);
		if (!f.kind)
			mime_parser_feed(p, sv_from(piece, got));
		offset += got;
	}
	message_close(&reader);
	atomic_fetch_add(&r->read, offset);
	if (!f.kind) {
		struct mime_message *m = mime_parser_finish(p);
		if (!mime_encode(m, encoded))
			buf_done(encoded);
		mime_message_free(&m);
	}
	mime_parser_free(&p);
	return f;
}

/* is_due - the first one is parsed however large it is, so that each chunk leads further. */
static bool is_due(struct refill *r, size_t i)
{
	return !i || (atomic_load(&r->octets) < r->octets_max && atomic_load(&r->read) < r->read_max);
}

static void note_parsed(struct refill *r, struct refill_item *fresh)
{
	fresh->state = REFILL_TRIED;
	atomic_fetch_add(&r->octets, fresh->encoded.len);
}

/* By name, beside others who do the same: files and memory, nothing else. */
static void parse_piece(void *arg, size_t n)
{
	struct refill *r = arg;
	char *piece = xmalloc(READ_SIZE);

	for (size_t i = n * PIECE; i < r->count && i < (n + 1) * PIECE && is_due(r, i); i++) {
		struct refill_item *fresh = &r->fresh[i];
		struct message_reader *reader;

		/* Renamed since, or gone, or damaged: the index is asked again, by the one thread that may. */
		fresh->state = REFILL_AGAIN;
		if (!message_open_named(r->account, &fresh->place, &reader).kind &&
		    !parse(r, reader, piece, &fresh->encoded).kind)
			note_parsed(r, fresh);
	}
	free(piece);
}

static void parse_file(struct mailbox *box, struct refill *r, struct refill_item *fresh, char *piece)
{
	struct message_reader *reader;

	buf_done(&fresh->encoded);
	if (!message_open_inside(box, fresh->uid, &reader).kind && parse(r, reader, piece, &fresh->encoded).kind)
		buf_done(&fresh->encoded);
	note_parsed(r, fresh);
}

/* What is not parsed yet is parsed the usual way, or left out with all that follow. */
static void parse_rest(struct mailbox *box, struct refill *r)
{
	char *piece = xmalloc(READ_SIZE);
	size_t done = 0;

	for (; done < r->count; done++) {
		struct refill_item *fresh = &r->fresh[done];

		if (fresh->state != REFILL_TRIED && !is_due(r, done))
			break;
		if (fresh->state != REFILL_TRIED)
			parse_file(box, r, fresh, piece);
	}
	while (r->count > done)
		buf_done(&r->fresh[--r->count].encoded);
	free(piece);
}

void refill_run(struct mailbox *box, struct refill *r)
{
	r->account = box->account;
	if (r->has_places)
		crew_run((r->count + PIECE - 1) / PIECE, parse_piece, r);
	parse_rest(box, r);
	struct fault f = index_update(box->account, put_fresh, r);
	if (f.kind)
		log_warn(NULL, "store.refill", KV_Z("account", box->account->address), KV_FAULT("fault", f));
}

const struct refill_item *refill_find(const struct refill *r, uint32_t uid)
{
	size_t from = 0, to = r->count;

	while (from < to) {
		size_t middle = (from + to) / 2;

		if (r->fresh[middle].uid < uid)
			from = middle + 1;
		else
			to = middle;
	}
	return from < r->count && r->fresh[from].uid == uid ? &r->fresh[from] : NULL;
}

void refill_done(struct refill *r)
{
	for (size_t i = 0; i < r->count; i++)
		buf_done(&r->fresh[i].encoded);
	free(r->fresh);
}

/* --- in the background ------------------------------------------------------------------------------------------------- */

/* Where the pass over an account stands: at this UID of this mailbox, mailboxes in the order of their ids. */
struct place {
	uint64_t box;
	uint32_t uid;
};

/* The next messages without parsed form, at most a chunk; *at moves behind what was looked at, box 0: to the end. */
static struct fault find_unparsed(struct account *a, struct place *at, struct refill *r)
{
	struct kv_txn *kv = NULL;
	struct kv_cursor *c = NULL;
	struct kv_key key;
	struct sv k;
	unsigned looked = 0;
	struct fault f = account_read(a, &kv);

	index_row_key(&key, at->box, at->uid);
	if (!f.kind)
		f = kv_cursor_open(kv, T_ROWS, &c);
	if (!f.kind)
		f = kv_cursor_seek(c, kv_key_view(&key), &k, NULL);
	for (; !f.kind; f = kv_cursor_next(c, &k, NULL), looked++) {
		uint32_t owner, uid;
		uint64_t box;
		if (!kv_take_u32(&k, &owner) || !kv_take_u64(&k, &box) || !kv_take_u32(&k, &uid) || k.len) {
			f = fault(FAULT_CORRUPT, "index: row key");
			break;
		}
		if (owner) {            /* rows of others' flags stand behind all messages */
			f = fault(FAULT_NOT_FOUND, "end of messages");
			break;
		}
		*at = (struct place){ box, uid };
		if (looked == LOOK_ROWS || r->count == REFILL_CHUNK || (r->count && r->box != box))
			break;
		r->box = box;
		if (!refill_is_parsed(kv, box, uid))
			refill_add(r, uid);
	}
	if (f.kind == FAULT_NOT_FOUND) {
		*at = (struct place){ 0, 0 };
		f = FAULT_OK;
	}
	kv_cursor_close(&c);
	kv_read_end(&kv);
	return account_judge(a, f);
}

static struct fault note_filled(struct index_txn *t, void *arg)
{
	const uint32_t *was = arg;

	if (t->meta.unparsed == *was) {         /* nobody added mail meanwhile that wants a pass of its own */
		t->meta.unparsed = 0;
		t->meta_changed = true;
	}
	return FAULT_OK;
}

static struct fault unparsed_of(struct account *a, uint32_t *out)
{
	struct index_meta meta;
	struct kv_txn *kv = NULL;
	struct fault f = account_read(a, &kv);

	if (!f.kind)
		f = index_meta_get(kv, &meta);
	kv_read_end(&kv);
	*out = f.kind ? 0 : meta.unparsed;
	return f;
}

static struct fault refill_inside(struct account *a, int64_t until_ms, bool *is_done)
{
	uint32_t unparsed;
	struct fault f = unparsed_of(a, &unparsed);

	*is_done = !f.kind && !unparsed;
	if (*is_done || f.kind)
		return f;
	/* A new wave of mail, or another index: from the start. */
	if (a->refill_wave != unparsed) {
		a->refill_wave = unparsed;
		a->refill_box = a->refill_uid = 0;
	}
	struct place at = { a->refill_box, (uint32_t)a->refill_uid };

	do {
		struct refill r;
		refill_init(&r, 0);
		f = find_unparsed(a, &at, &r);
		if (!f.kind && r.count) {
			struct mailbox box = { .account = a, .id = r.box, .lock = -1 };
			size_t planned = r.count;
			refill_run(&box, &r);
			if (r.count < planned)
				at = (struct place){ r.box, r.fresh[r.count].uid };
		}
		refill_done(&r);
		*is_done = !f.kind && !at.box;
	} while (!f.kind && !*is_done && store_now_ms() < until_ms);
	a->refill_box = at.box;
	a->refill_uid = at.uid;
	if (*is_done)
		f = index_update(a, note_filled, &unparsed);
	return f;
}

bool refill_account(struct account *a, int64_t until_ms)
{
	int64_t left_ms = atomic_load(&a->left_ms);
	bool is_done = true;
	struct fault f;

	if (!atomic_load(&a->is_open) || atomic_load(&a->is_read_only) || atomic_load(&a->is_filled) || atomic_exchange(&a->is_refilling, true))
		return false;
	f = account_enter(a);
	if (!f.kind) {
		f = refill_inside(a, until_ms, &is_done);
		account_leave_quietly(a, left_ms);
	}
	if (f.kind)
		log_warn(NULL, "store.refill", KV_Z("account", a->address), KV_FAULT("fault", f));
	atomic_store(&a->is_filled, is_done || f.kind);
	atomic_store(&a->is_refilling, false);
	return true;
}
