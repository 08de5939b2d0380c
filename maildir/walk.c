/* maildir/walk.c - see walk_private.h. */
#include "maildir/walk_private.h"

#include <endian.h>
#include <string.h>

#include "common/banned.h"

static size_t own_len(const struct walk *w)
{
	return w->from.len - sizeof(w->uid);
}

/* is_own - the same mailbox's key; each kind of key has eight octets or more before the UID. */
static bool is_own(const struct walk *w)
{
	uint64_t a[2], b[2];

	memcpy(&a[0], w->key.p, sizeof(a[0]));
	memcpy(&b[0], w->from.octets, sizeof(b[0]));
	memcpy(&a[1], w->key.p + own_len(w) - sizeof(a[1]), sizeof(a[1]));
	memcpy(&b[1], w->from.octets + own_len(w) - sizeof(b[1]), sizeof(b[1]));
	return a[0] == b[0] && a[1] == b[1];
}

/* The octets are compared, not taken apart: a FETCH of everything comes here for each message. */
static struct fault settle(struct walk *w, struct fault f)
{
	if (f.kind)
		return f;
	if (w->key.len != w->from.len)
		return fault(FAULT_CORRUPT, "index: row key");
	if (!is_own(w))
		return fault(FAULT_NOT_FOUND, "end of mailbox");
	memcpy(&w->uid, w->key.p + own_len(w), sizeof(w->uid));
	w->uid = be32toh(w->uid);
	return f;
}

struct fault walk_open(struct walk *w, struct kv_txn *kv, enum index_table table, uint64_t box)
{
	*w = (struct walk){ .box = box };
	if (table == T_PARSED)
		index_parsed_key(&w->from, box, 0);
	else
		index_row_key(&w->from, box, 0);
	return kv_cursor_open(kv, table, &w->c);
}

void walk_close(struct walk *w)
{
	kv_cursor_close(&w->c);
}

struct fault walk_seek(struct walk *w, uint32_t uid)
{
	const uint32_t octets = htobe32(uid);

	memcpy(w->from.octets + own_len(w), &octets, sizeof(octets));
	return settle(w, kv_cursor_seek(w->c, kv_key_view(&w->from), &w->key, &w->value));
}

struct fault walk_next(struct walk *w)
{
	return settle(w, kv_cursor_next(w->c, &w->key, &w->value));
}

struct fault walk_find(struct walk *w, uint32_t uid)
{
	struct fault f = FAULT_OK;

	if (w->uid && w->uid < uid)
		f = walk_next(w);
	if (f.kind || w->uid != uid)
		f = walk_seek(w, uid);
	return f.kind || w->uid == uid ? f : fault(FAULT_NOT_FOUND, "no such UID");
}

struct fault walk_into(struct walk *w, const struct uidset *set)
{
	struct fault f = FAULT_OK;
	uint32_t next;

	while (set && !f.kind && (next = uidset_next(set, w->uid)) != w->uid)
		f = next ? walk_seek(w, next) : fault(FAULT_NOT_FOUND, "end of the set");
	return f;
}

struct fault walk_head(const struct walk *w, struct index_row_head *out)
{
	if (w->value.len < sizeof(*out))
		return fault(FAULT_CORRUPT, "index: message row");
	memcpy(out, w->value.p, sizeof(*out));
	return FAULT_OK;
}

struct fault walk_row(const struct walk *w, struct index_row *out)
{
	out->uid = w->uid;
	return index_row_decode(w->value, out) ? FAULT_OK : fault(FAULT_CORRUPT, "index: message row");
}

struct fault walk_rows(struct kv_txn *kv, uint64_t box, uint32_t from, struct index_row *rows, size_t most, size_t *count)
{
	struct walk w;
	struct fault f = walk_open(&w, kv, T_ROWS, box);

	*count = 0;
	if (!f.kind)
		f = walk_seek(&w, from);
	while (!f.kind && *count < most) {
		f = walk_row(&w, &rows[*count]);
		if (!f.kind) {
			++*count;
			f = walk_next(&w);
		}
	}
	walk_close(&w);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}
