#include "maildir/rejects_private.h"

#include <stdlib.h>

#include "maildir/adopt_private.h"
#include "maildir/copy_private.h"
#include "maildir/walk_private.h"

#include "common/banned.h"

static const struct sv names[] = { SV_INIT("Rejects"), SV_INIT("Refused mail") };

/* find - FAULT_NOT_FOUND: no mailbox has the use. */
static struct fault find(struct kv_txn *kv, uint64_t *id)
{
	struct index_box box;
	uint64_t *ids = NULL;
	size_t count = 0;
	struct fault f = FAULT_OK;
	bool found = false;

	for (size_t i = 0; i < ARRAY_LEN(names) && !found; i++)
		found = !index_box_find(kv, names[i], &box).kind && box.special_use & USE_REJECTS;
	if (!found)
		f = adopt_box_ids(kv, &ids, &count);
	for (size_t i = 0; i < count && !found && !f.kind; i++) {
		f = index_box_get(kv, ids[i], &box);
		found = !f.kind && box.special_use & USE_REJECTS;
	}
	free(ids);
	if (found)
		*id = box.id;
	return f.kind || found ? f : fault(FAULT_NOT_FOUND, "no such mailbox");
}

static struct fault find_now(struct account *a, uint64_t *id)
{
	struct kv_txn *kv = NULL;
	struct fault f = account_read(a, &kv);

	if (!f.kind)
		f = find(kv, id);
	kv_read_end(&kv);
	return f;
}

struct fault rejects_box(struct account *a, uint64_t *id)
{
	struct fault f = find_now(a, id);

	for (size_t i = 0; i < ARRAY_LEN(names) && f.kind == FAULT_NOT_FOUND; i++) {
		struct fault made = folders_create(a, names[i], USE_REJECTS, id);

		if (made.kind != FAULT_EXISTS)
			return made;
		f = find_now(a, id);    /* another process was faster, or it is a user's own */
	}
	return f.kind == FAULT_NOT_FOUND ? fault(FAULT_EXISTS, "mailboxes called Rejects are the user's own") : f;
}

/* The oldest, until a tenth more than needed is free. */
static struct fault oldest(struct kv_txn *kv, const struct index_box *box, uint64_t size, struct uidset *out)
{
	uint64_t most = REJECTS_SIZE_MAX - REJECTS_SIZE_MAX / 10, left = box->size;
	uint32_t messages = box->messages;
	struct walk w;
	struct fault f = walk_open(&w, kv, T_ROWS, box->id);

	most = size < most ? most - size : 0;
	if (!f.kind)
		f = walk_seek(&w, 0);
	while (!f.kind && (left > most || messages > REJECTS_MESSAGES_MAX * 9 / 10)) {
		struct index_row_head h;
		f = walk_head(&w, &h);
		if (f.kind)
			break;
		uidset_add(out, w.uid, w.uid);
		left -= h.size < left ? h.size : left;
		messages -= messages > 0;
		f = walk_next(&w);
	}
	walk_close(&w);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault rejects_make_room(struct account *a, uint64_t id, uint64_t size)
{
	struct uidset gone = { 0 };
	struct index_box box;
	struct kv_txn *kv = NULL;
	struct fault f = size > REJECTS_SIZE_MAX ? fault(FAULT_LIMIT, "too large to be kept") : account_read(a, &kv);

	if (!f.kind)
		f = index_box_get(kv, id, &box);
	if (!f.kind && (box.messages >= REJECTS_MESSAGES_MAX || box.size > REJECTS_SIZE_MAX - size))
		f = account_judge(a, oldest(kv, &box, size, &gone));
	kv_read_end(&kv);
	if (!f.kind && gone.count)
		copy_remove(a, id, &gone);
	uidset_done(&gone);
	return f;
}
