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
		change.flags = mailbox_flags(t->box, uid, row.h.flags);
		change.keywords = row.h.keywords;
	}
	t->last = modseq;
	t->stopped = !t->fn(t->arg, &change);
	return FAULT_OK;
}

static bool decode_run(struct sv key, struct sv value, uint64_t *first, struct index_run *run)
{
	if (value.len < sizeof(*run) || !kv_take_u64(&key, first))
		return false;
	memcpy(run, value.p, sizeof(*run));
	return run->count <= CHUNK_MAX && value.len == sizeof(*run) + run->count * sizeof(uint32_t);
}

static uint32_t run_uid(struct sv value, uint32_t i)
{
	uint32_t uid;

	memcpy(&uid, value.p + sizeof(struct index_run) + i * sizeof(uid), sizeof(uid));
	return uid;
}

static struct fault tell_run(void *arg, struct sv key, struct sv value, bool *stop)
{
	struct tell *t = arg;
	struct index_run run;
	uint64_t first;
	struct fault f = FAULT_OK;

	if (!decode_run(key, value, &first, &run))
		return fault(FAULT_CORRUPT, "index: change");
	if (run.box != t->box->id)
		return FAULT_OK;
	for (uint32_t i = 0; !f.kind && !t->stopped && i < run.count; i++)
		if (first + i > t->since)
			f = tell_one(t, run.kind, run_uid(value, i), first + i);
	*stop = t->stopped;
	return f;
}

/* Call fn for each run that reaches behind `since`. */
typedef struct fault run_fn(void *arg, struct sv key, struct sv value, bool *stop);

static struct fault each_run(struct kv_txn *kv, uint64_t since, run_fn *fn, void *arg)
{
	struct kv_cursor *c = NULL;
	struct kv_key key;
	struct sv k, v;
	bool stop = false;
	struct fault f = kv_cursor_open(kv, T_CHANGES, &c);

	if (f.kind)
		return f;
	kv_key_init(&key);
	kv_key_u64(&key, since + 1);
	/* The run that begins before may reach behind `since`. */
	f = kv_cursor_seek_back(c, kv_key_view(&key), &k, &v);
	if (f.kind == FAULT_NOT_FOUND)
		f = kv_cursor_seek(c, kv_key_view(&key), &k, &v);
	while (!f.kind && !stop) {
		f = fn(arg, k, v, &stop);
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
			f = each_run(t.kv, since, tell_run, &t);
		if (!f.kind && t.stopped)
			*until = t.last;
	}
	kv_read_end(&t.kv);
	f = account_judge(box->account, f);
	account_leave(box->account);
	uidset_done(&t.fresh);
	return f;
}

struct application {
	uint64_t box, since;
	struct uidset *uids;
};

static struct fault apply_run(void *arg, struct sv key, struct sv value, bool *stop)
{
	const struct application *a = arg;
	struct index_run run;
	uint64_t first;

	(void)stop;
	if (!decode_run(key, value, &first, &run))
		return fault(FAULT_CORRUPT, "index: change");
	for (uint32_t i = 0; run.box == a->box && i < run.count; i++) {
		uint32_t uid = run_uid(value, i);
		if (first + i > a->since && run.kind == RUN_NEW)
			uidset_add(a->uids, uid, uid);
		else if (first + i > a->since && run.kind == RUN_EXPUNGED)
			uidset_remove(a->uids, uid, uid);
	}
	return FAULT_OK;
}

struct fault changes_apply(struct kv_txn *kv, uint64_t box, uint64_t since, struct uidset *uids)
{
	struct application a = { box, since, uids };
	struct index_meta meta;
	struct fault f = index_meta_get(kv, &meta);

	if (!f.kind && since < meta.changes_floor)
		f = fault(FAULT_GONE, "history does not reach back so far");
	return f.kind ? f : each_run(kv, since, apply_run, &a);
}

/* What was expunged, in the order of MODSEQs: sorted before it becomes a set. */
struct removals {
	uint64_t box, since;
	uint32_t *uids;
	size_t count, cap;
};

static struct fault take_removals(void *arg, struct sv key, struct sv value, bool *stop)
{
	struct removals *r = arg;
	struct index_run run;
	uint64_t first;

	(void)stop;
	if (!decode_run(key, value, &first, &run))
		return fault(FAULT_CORRUPT, "index: change");
	if (run.box != r->box || run.kind != RUN_EXPUNGED)
		return FAULT_OK;
	if (r->count + run.count > r->cap) {
		r->cap = (r->count + run.count) * 2;
		r->uids = xrealloc(r->uids, r->cap * sizeof(*r->uids));
	}
	for (uint32_t i = 0; i < run.count; i++)
		if (first + i > r->since)
			r->uids[r->count++] = run_uid(value, i);
	return FAULT_OK;
}

static int by_uid(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* all_absent - every UID ever given that is in no row now. */
static struct fault all_absent(struct mailbox *box, struct uidset *out)
{
	struct mailbox_status status;
	struct uidset now = { 0 };
	uint64_t modseq;
	uint32_t next = 1;
	struct fault f = mailbox_counters(box, &status);

	if (!f.kind)
		f = mailbox_uids(box, &now, &modseq);
	for (size_t i = 0; !f.kind && i < now.count && now.ranges[i].first < status.uidnext; i++) {
		if (now.ranges[i].first > next)
			uidset_add(out, next, now.ranges[i].first - 1);
		next = now.ranges[i].last + 1;
	}
	if (!f.kind && next && next < status.uidnext)
		uidset_add(out, next, status.uidnext - 1);
	uidset_done(&now);
	return f;
}

struct fault mailbox_vanished(struct mailbox *box, uint64_t since, struct uidset *out)
{
	struct removals r = { .box = box->id, .since = since };
	struct kv_txn *kv = NULL;
	struct index_box record;
	struct index_meta meta;
	bool is_known = false;
	struct fault f = mailbox_enter(box, true);

	if (f.kind)
		return f;
	f = mailbox_snapshot(box, &kv, &record);
	if (!f.kind)
		f = index_meta_get(kv, &meta);
	if (!f.kind) {
		uint64_t highest = record.highestmodseq ? record.highestmodseq : 1;

		is_known = since == highest || (since < highest && since >= meta.changes_floor);
		if (is_known && since < highest)
			f = each_run(kv, since, take_removals, &r);
	}
	kv_read_end(&kv);
	f = account_judge(box->account, f);
	account_leave(box->account);
	if (!f.kind && !is_known) {
		f = all_absent(box, out);
	} else if (!f.kind && r.count) {
		qsort(r.uids, r.count, sizeof(*r.uids), by_uid);
		for (size_t i = 0; i < r.count; i++)
			uidset_add(out, r.uids[i], r.uids[i]);
	}
	free(r.uids);
	return f;
}
