/* maildir/changes.c - what happened to a mailbox since a MODSEQ: see mailbox.h. */
#include <stdlib.h>

#include "common/memory.h"
#include "maildir/mailbox_private.h"

#include "common/banned.h"

struct tell {
	struct mailbox *box;
	struct kv_txn *kv;
	uint64_t since;
	struct uidset fresh;            /* came after `since` */
	change_fn *fn;
	void *arg;
	uint64_t last;                  /* MODSEQ of what was told last */
	bool stopped;
};

static struct fault tell_one(struct tell *t, uint32_t kind, uint32_t uid, uint64_t modseq)
{
	struct change change = { .uid = uid, .modseq = modseq };

	if (kind == RUN_EXPUNGED) {
		if (uidset_has(&t->fresh, uid))
			return FAULT_OK;        /* came and went: nobody needs to know */
		change.kind = CHANGE_EXPUNGED;
	} else {
		struct index_row row;
		struct fault f = index_row_get(t->kv, t->box->id, uid, &row);
		if (kind == RUN_NEW)
			uidset_add(&t->fresh, uid, uid);
		if (f.kind)
			return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
		if (row.h.modseq != modseq)
			return FAULT_OK;        /* a later change tells it */
		change.kind = uidset_has(&t->fresh, uid) ? CHANGE_NEW : CHANGE_FLAGS;
		change.flags = row.h.flags;
		change.keywords = row.h.keywords;
	}
	t->last = modseq;
	t->stopped = !t->fn(t->arg, &change);
	return FAULT_OK;
}

static struct fault tell_run(struct tell *t, struct sv key, struct sv value)
{
	struct index_run run;
	uint64_t first;
	struct fault f = FAULT_OK;

	if (value.len < sizeof(run) || !kv_take_u64(&key, &first))
		return fault(FAULT_CORRUPT, "index: change");
	memcpy(&run, value.p, sizeof(run));
	if (run.count > CHUNK_MAX || value.len != sizeof(run) + run.count * sizeof(uint32_t))
		return fault(FAULT_CORRUPT, "index: change");
	if (run.box != t->box->id)
		return FAULT_OK;
	for (uint32_t i = 0; !f.kind && !t->stopped && i < run.count; i++) {
		uint32_t uid;
		if (first + i <= t->since)
			continue;
		memcpy(&uid, value.p + sizeof(run) + i * sizeof(uid), sizeof(uid));
		f = tell_one(t, run.kind, uid, first + i);
	}
	return f;
}

static struct fault tell_all(struct tell *t)
{
	struct kv_cursor *c = NULL;
	struct kv_key key;
	struct sv k, v;
	struct fault f = kv_cursor_open(t->kv, T_CHANGES, &c);

	if (f.kind)
		return f;
	kv_key_init(&key);
	kv_key_u64(&key, t->since + 1);
	/* The run that begins before may reach behind `since`. */
	f = kv_cursor_seek_back(c, kv_key_view(&key), &k, &v);
	if (f.kind == FAULT_NOT_FOUND)
		f = kv_cursor_seek(c, kv_key_view(&key), &k, &v);
	while (!f.kind && !t->stopped) {
		f = tell_run(t, k, v);
		if (!f.kind)
			f = kv_cursor_next(c, &k, &v);
	}
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault mailbox_changes(struct mailbox *box, uint64_t since, change_fn *fn, void *arg, uint64_t *until)
{
	struct tell t = { .box = box, .since = since, .fn = fn, .arg = arg };
	struct index_box record;
	struct index_meta meta;
	struct fault f = mailbox_enter(box, true);

	if (f.kind)
		return f;
	f = mailbox_snapshot(box, &t.kv, &record);
	if (!f.kind)
		f = index_meta_get(t.kv, &meta);
	if (!f.kind) {
		*until = record.highestmodseq > since ? record.highestmodseq : since;
		if (record.highestmodseq > since && since < meta.changes_floor)
			f = fault(FAULT_GONE, "history does not reach back so far");
		else if (record.highestmodseq > since)
			f = tell_all(&t);
		if (!f.kind && t.stopped)
			*until = t.last;
	}
	kv_read_end(&t.kv);
	f = account_judge(box->account, f);
	account_leave(box->account);
	uidset_done(&t.fresh);
	return f;
}
