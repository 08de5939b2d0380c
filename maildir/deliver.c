/* maildir/deliver.c - see incoming.h, incoming_deliver(): one message into many places, all or none.
 *
 * Accounts are done one after the other, in the order of their addresses: first all names, then all flushes. A row may be
 * seen before it is durable; it is not acknowledged, and its UID is not given again. What an earlier account has is taken back
 * when a later one cannot have it. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/mime.h"
#include "maildir/copy_private.h"
#include "maildir/files.h"
#include "maildir/incoming_private.h"
#include "maildir/quota_private.h"
#include "maildir/rejects_private.h"

#include "common/banned.h"

struct target {
	struct delivery *want;
	struct placing place;
	uint64_t box;
	char dir[LAYOUT_DIR_MAX + 1];
	char temp[BOX_PATH_MAX];        /* a link of ours, removed when it was not used */
	char id[FILENAME_ID_LEN + 1];
	bool is_placed, is_own_temp;
};

/* All places in one account. */
struct group {
	struct incoming *in;
	struct target **targets;
	size_t count;
	bool is_warning_due;            /* out: its quota is nearly used up */
};

static struct fault find_box(struct account *a, struct sv name, uint64_t *id)
{
	struct kv_txn *kv = NULL;
	struct index_box box;
	struct fault f = account_read(a, &kv);

	if (!f.kind)
		f = index_box_find(kv, name, &box);
	kv_read_end(&kv);
	if (!f.kind && box.special_use & USE_REJECTS)
		return fault(FAULT_NOT_FOUND, "not for what is accepted");
	if (!f.kind)
		*id = box.id;
	return f;
}

/* The mailbox a place means: made when it may be, else INBOX. */
static struct fault resolve(struct account *a, struct target *g, struct buf *name)
{
	struct fault f = mailbox_name_check(g->want->mailbox.len ? g->want->mailbox : SV("INBOX"), name);

	if (g->want->is_reject) {
		f = rejects_box(a, &g->box);
		return f.kind ? f : rejects_make_room(a, g->box, g->place.wire_size);
	}
	struct fault found = f.kind ? f : find_box(a, buf_sv(name), &g->box);

	if (found.kind == FAULT_NOT_FOUND && g->want->create) {
		found = folders_create(a, buf_sv(name), 0, &g->box);
		if (found.kind == FAULT_EXISTS)
			found = find_box(a, buf_sv(name), &g->box);
	}
	if (found.kind == FAULT_NOT_FOUND || found.kind == FAULT_INVALID || found.kind == FAULT_LIMIT)
		found = find_box(a, SV("INBOX"), &g->box);      /* better there than nowhere */
	return found;
}

static struct fault prepare(struct group *group, struct account *a, struct target *g)
{
	struct delivery *want = g->want;
	struct incoming *in = want->message ? want->message : group->in;
	struct buf name;
	struct fault f;

	buf_init(&name, MAILBOX_NAME_MAX + 1);
	incoming_describe(in, &g->place);
	g->place.flags = want->flags | (want->is_reject ? FLAG_SEEN : 0);
	f = resolve(a, g, &name);
	if (!f.kind)
		f = account_keywords(a, g->box, want->keywords, want->keyword_count, true, &g->place.keywords);
	if (f.kind == FAULT_LIMIT || f.kind == FAULT_INVALID)
		f = FAULT_OK;   /* a label more or less: the mail counts */
	if (!f.kind && want->dedup_id.len) {
		struct buf pair;
		buf_init(&pair, 8192);
		if (buf_append(&pair, want->dedup_id) && buf_append_c(&pair, '\n') && buf_append(&pair, buf_sv(&name))) {
			filename_dedup_id(buf_sv(&pair), g->id);
			g->place.id = g->id;
		}
		buf_done(&pair);
	}
	buf_done(&name);
	if (f.kind)
		return f;
	g->place.temp = in->temp;
	if (!g->is_own_temp) {
		f = incoming_bring(in, a, g->temp);
		g->place.temp = g->temp;
	}
	return f;
}

/* Mail from the queue may have come before, and the process died before the queue was told. */
static struct fault find_earlier(struct index_txn *t, struct target *g, bool *found)
{
	uint8_t digest[16];
	struct sv v;
	uint64_t box;
	uint32_t uid;
	struct index_row row;
	struct index_box record;

	*found = false;
	if (!g->id[0])
		return FAULT_OK;
	filename_email_digest(sv_z(g->id), digest);
	struct fault f = kv_get(t->kv, T_DEDUP, sv_from((const char *)digest, 16), &v);
	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	if (!kv_take_u64(&v, &box) || !kv_take_u32(&v, &uid))
		return fault(FAULT_CORRUPT, "index: dedup");
	f = index_row_get(t->kv, box, uid, &row);
	if (!f.kind)
		f = index_box_get(t->kv, box, &record);
	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	*found = true;
	g->want->uid = uid;
	g->want->uidvalidity = record.uidvalidity;
	return FAULT_OK;
}

static struct fault place_one(struct index_txn *t, struct target *g)
{
	struct index_box record;
	bool is_there;
	struct fault f = find_earlier(t, g, &is_there);

	g->is_placed = false;
	if (f.kind || is_there)
		return f;
	f = index_box_get(t->kv, g->box, &record);
	if (f.kind)
		return f;
	if (!g->want->is_reject)
		f = quota_allows(&g->want->drop->quota, &t->meta, g->place.wire_size, 1);
	if (f.kind)
		return f;
	adopt_check_times(t->account, &record);
	f = place_file(t, &record, &g->place);
	adopt_note_times(t->account, &record);
	if (f.kind)
		return f;
	g->is_placed = true;
	g->want->uid = g->place.uid;
	g->want->uidvalidity = record.uidvalidity;
	memcpy(g->dir, record.dir, sizeof(g->dir));
	return index_box_put(t->kv, &record);
}

static struct fault place_group(struct index_txn *t, void *arg)
{
	struct group *group = arg;
	const struct quota *quota = &group->targets[0]->want->drop->quota;

	quota_before(t, quota);
	for (size_t i = 0; i < group->count; i++) {
		struct fault f = place_one(t, group->targets[i]);
		if (f.kind) {
			group->targets[i]->want->result = f;
			return f;
		}
		group->targets[i]->want->result = FAULT_OK;
	}
	group->is_warning_due = quota_is_due(t, quota);
	return FAULT_OK;
}

static void take_back(struct group *group)
{
	for (size_t i = 0; i < group->count; i++) {
		struct target *g = group->targets[i];
		struct uidset uid = { 0 };
		if (!g->is_placed)
			continue;
		uidset_add(&uid, g->place.uid, g->place.uid);
		copy_remove(g->want->drop->account, g->box, &uid);
		uidset_done(&uid);
		g->is_placed = false;
	}
}

static struct fault place_all(struct group *group)
{
	struct account *a = group->targets[0]->want->drop->account;
	struct fault f = account_enter(a);
	bool is_inside = !f.kind;

	for (size_t i = 0; !f.kind && i < group->count; i++) {
		f = prepare(group, a, group->targets[i]);
		if (f.kind)
			group->targets[i]->want->result = f;
	}
	if (!f.kind)
		f = index_update(a, place_group, group);
	for (size_t i = 0; i < group->count; i++) {
		struct target *g = group->targets[i];
		if (f.kind)             /* nothing of this account was committed */
			g->is_placed = false;
		if (is_inside && g->temp[0] && !g->is_placed)
			unlinkat(a->maildir, g->temp, 0);
		if (g->is_own_temp && g->is_placed)
			(g->want->message ? g->want->message : group->in)->temp[0] = '\0';
		if (f.kind && !g->want->result.kind)
			g->want->result = f;
	}
	if (is_inside)
		account_leave(a);
	return f;
}

/* Flush the names of one account. The first flush of many carries most of the others with it: one journal. */
static struct fault sync_all(struct group *group)
{
	struct account *a = group->targets[0]->want->drop->account;
	struct fault f = account_enter(a);
	bool is_inside = !f.kind;

	for (size_t i = 0; !f.kind && i < group->count; i++) {
		if (!group->targets[i]->is_placed || (i && group->targets[i]->box == group->targets[i - 1]->box))
			continue;
		f = account_sync_cur(a, group->targets[i]->dir);
	}
	for (size_t i = 0; f.kind && i < group->count; i++)
		group->targets[i]->want->result = f;
	if (is_inside)
		account_leave(a);
	return f;
}

static int by_account(const void *x, const void *y)
{
	const struct target *a = *(struct target *const *)x, *b = *(struct target *const *)y;
	int order = strcmp(a->want->drop->account->address, b->want->drop->account->address);

	return order ? order : (a < b ? -1 : a > b);
}

struct fault incoming_deliver(struct incoming *in, struct delivery *places, size_t count)
{
	struct target *targets, **order;
	struct group *groups;
	size_t group_count = 0, done = 0;
	struct fault f = in->is_finished && !in->is_unflushed ? in->fault : fault(FAULT_INTERNAL, "message is not finished");

	if (f.kind || !count)
		return f;
	targets = xcalloc(count, sizeof(*targets));
	order = xcalloc(count, sizeof(*order));
	groups = xcalloc(count, sizeof(*groups));
	for (size_t i = 0; i < count; i++) {
		targets[i].want = &places[i];
		places[i].uid = 0;
		places[i].result = FAULT_OK;
		if (!f.kind && places[i].message)
			f = places[i].message->is_finished ? places[i].message->fault : fault(FAULT_INTERNAL, "message is not finished");
		order[i] = &targets[i];
	}
	qsort(order, count, sizeof(*order), by_account);
	for (size_t i = 0; i < count; i++) {
		if (!i || order[i]->want->drop->account != order[i - 1]->want->drop->account)
			groups[group_count++] = (struct group){ .in = in, .targets = &order[i] };
		groups[group_count - 1].count++;
	}
	/* One place on the same file system takes the file itself; several take links of it. */
	struct incoming *only = places[0].message ? places[0].message : in;

	targets[0].is_own_temp = count == 1 && places[0].drop->account == only->account && only->temp[0];
	while (!f.kind && done < group_count)
		f = place_all(&groups[done++]);
	for (size_t i = 0; !f.kind && i < group_count; i++)
		f = sync_all(&groups[i]);
	for (size_t i = 0; !f.kind && i < group_count; i++)
		if (groups[i].is_warning_due)
			quota_warn(groups[i].targets[0]->want->drop->account, &groups[i].targets[0]->want->drop->quota);
	if (f.kind) {
		f = store_internal(f);
		for (size_t i = 0; i < done; i++) {
			struct account *a = groups[i].targets[0]->want->drop->account;
			if (!account_enter(a).kind) {
				take_back(&groups[i]);
				account_leave(a);
			}
		}
		for (size_t i = 0; i < count; i++) {
			places[i].uid = 0;
			places[i].result = store_internal(places[i].result);
			if (!places[i].result.kind)
				places[i].result = fault(FAULT_UNAVAILABLE, "another recipient's mailbox failed");
		}
	}
	free(targets);
	free(order);
	free(groups);
	return f;
}
