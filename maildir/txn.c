/* maildir/txn.c - one write transaction on an account, from mark to commit (account_private.h, index_private.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "maildir/account_private.h"
#include "maildir/files.h"
#include "maildir/mark_private.h"
#include "maildir/store_private.h"

#include "common/banned.h"

void index_intend(struct index_txn *t, uint64_t box)
{
	struct intent *i = &t->intent;

	if (!box)
		i->folders = 1;
	for (uint32_t k = 0; box && k < i->box_count && k < INTENT_BOXES; k++)
		if (i->boxes[k] == box)
			box = 0;
	if (box) {
		if (i->box_count < INTENT_BOXES)
			i->boxes[i->box_count] = box;
		i->box_count++;
	}
	intent_write(t->account->intent, i, t->meta.seq + 1);
	t->has_intent = true;
}

void index_intend_file(struct index_txn *t, uint64_t box, const char *name)
{
	struct intent *i = &t->intent;

	if (i->file_count == INTENT_FILES || strlen(name) >= INTENT_NAME_MAX) {
		index_intend(t, box);
		return;
	}
	i->files[i->file_count].box = box;
	memcpy(i->files[i->file_count].name, name, strlen(name) + 1);
	i->file_count++;
	intent_write(t->account->intent, i, t->meta.seq + 1);
	t->has_intent = true;
}

void index_intend_log(struct index_txn *t, uint64_t octets)
{
	t->intent.log_end = octets + 1;
	intent_write(t->account->intent, &t->intent, t->meta.seq + 1);
	t->has_intent = true;
}

/* Lines of a transaction that was not committed stand behind what the flag log had before. */
static bool cut_lines(struct account *a, const struct intent *i)
{
	struct stat st;

	if (!i->log_end)
		return true;
	bool is_cut = !fstat(a->flag_log, &st) && ((uint64_t)st.st_size <= i->log_end - 1 ||
						   !ftruncate(a->flag_log, (off_t)(i->log_end - 1)));
	if (!is_cut)
		log_error(NULL, "store.flags.cut", KV_Z("account", a->address), KV_Z("error", strerror(errno)));
	return is_cut;
}

/* False: not everything could be taken back. */
static bool undo_names(struct index_txn *t)
{
	int dir = t->account->maildir;
	bool all = true;

	while (t->undo_count) {
		struct index_undo *u = &t->undo[--t->undo_count];
		struct fault f = FAULT_OK;
		if (u->from)
			f = files_rename_new(dir, u->to, dir, u->from);
		else
			unlinkat(dir, u->to, 0);
		if (f.kind) {
			all = false;
			log_error(NULL, "store.undo", KV_Z("account", t->account->address), KV_Z("name", u->to),
				  KV_FAULT("fault", f));
		}
		free(u->from);
		free(u->to);
	}
	return all;
}

static void forget_undo(struct index_txn *t)
{
	while (t->undo_count) {
		struct index_undo *u = &t->undo[--t->undo_count];
		free(u->from);
		free(u->to);
	}
	free(t->undo);
	t->undo = NULL;
}

/* Nothing of this transaction is to stay: names first, while the lock is still held. */
static void give_up(struct index_txn *t)
{
	bool is_undone = undo_names(t);

	/* What cannot be taken back now is left, with the intent, to the next writer. */
	if (cut_lines(t->account, &t->intent) && is_undone && t->has_intent)
		intent_clear(t->account->intent);
	kv_abort(&t->kv);
	forget_undo(t);
}

/* The commit failed, and with it the lock went: take it again before names are taken back. If somebody was faster, he
 * found our intent and has adopted the files. */
static void undo_after_commit(struct index_txn *t)
{
	struct intent left;

	/* When the disk failed, the lock may not be had any more (kv_env_is_broken()). As long as the intent is ours nobody
	 * has looked at these names, and what was refused must not appear: then they are taken back without it. */
	if (t->has_intent && kv_write_begin(t->account->env, &t->kv).kind)
		t->kv = NULL;
	if (t->has_intent && intent_read(t->account->intent, &left) && left.seq == t->intent.seq) {
		bool is_undone = undo_names(t);
		if (cut_lines(t->account, &t->intent) && is_undone)
			intent_clear(t->account->intent);
	}
	kv_abort(&t->kv);
	forget_undo(t);
}

static bool raise_ceiling(struct sidecar_account *s, void *arg)
{
	const uint64_t *modseq = arg;

	if (s->modseq_ceiling > *modseq + MODSEQ_BLOCK / 2)
		return false;   /* somebody else did it */
	s->modseq_ceiling = (s->modseq_ceiling > *modseq ? s->modseq_ceiling : *modseq) + MODSEQ_BLOCK;
	return true;
}

struct uid_need {
	uint32_t least;         /* the ceiling must be at least this */
};

static bool raise_uids(struct sidecar_mailbox *s, void *arg)
{
	const struct uid_need *need = arg;

	if (s->uid_ceiling >= need->least && s->uid_ceiling - need->least >= UID_BLOCK / 2)
		return false;
	s->uid_ceiling = (s->uid_ceiling > need->least ? s->uid_ceiling : need->least) + UID_BLOCK;
	return true;
}

static struct fault renew_uids(struct account *a, uint64_t box, uint32_t count)
{
	struct kv_txn *kv;
	struct index_box b;
	struct fault f = account_read(a, &kv);

	if (f.kind)
		return f;
	f = index_box_get(kv, box, &b);
	kv_read_end(&kv);
	if (f.kind)
		return f;
	struct uid_need need = { b.uidnext + count };
	return account_edit_mailbox(a, box, raise_uids, &need);
}

/* Begin, and bring in order what a dead writer left. */
static struct fault begin(struct account *a, struct index_txn *t)
{
	struct intent left;
	bool made;
	struct fault f = mark_set(a->index_dir, &made);

	/* The folder is gone: somebody removes the index this very moment. What we commit goes with it; names and log stay. */
	if (f.kind == FAULT_NOT_FOUND)
		f = FAULT_OK;
	if (!f.kind && made)
		f = files_sync_dir(a->index_dir, ".");
	memset(t, 0, sizeof(*t));
	t->account = a;
	if (!f.kind)
		f = kv_write_begin(a->env, &t->kv);
	if (!f.kind)
		f = index_meta_get(t->kv, &t->meta);
	if (f.kind || !intent_read(a->intent, &left) || left.seq <= t->meta.seq)
		return f;

	log_warn(NULL, "store.recover", KV_Z("account", a->address), KV_U64("mailboxes", left.box_count),
		 KV_U64("files", left.file_count), KV_BOOL("folders", left.folders != 0));
	t->intent = left;       /* who finds us dead has all of it to do again */
	t->intent.log_end = 0;
	f = cut_lines(a, &left) ? adopt_recover(t, &left) : fault(FAULT_INTERNAL, "flag log cannot be cut");
	if (!f.kind)
		f = index_change_flush(t);
	t->meta.seq = left.seq;
	if (!f.kind)
		f = index_meta_put(t->kv, &t->meta);
	if (!f.kind)
		f = kv_commit(&t->kv);
	kv_abort(&t->kv);
	forget_undo(t);
	if (f.kind)
		return f;
	intent_clear(a->intent);
	return begin(a, t);     /* once: the intent is cleared */
}

void (*index_before_commit)(bool has_intent);

static struct fault commit(struct index_txn *t)
{
	struct fault f = index_change_flush(t);

	if (!f.kind && t->has_intent) {
		t->meta.seq = t->intent.seq;
		t->meta_changed = true;
	}
	if (!f.kind && t->meta_changed)
		f = index_meta_put(t->kv, &t->meta);
	if (f.kind)
		return f;
	if (index_before_commit)
		index_before_commit(t->has_intent);
	f = kv_commit(&t->kv);
	if (f.kind)
		undo_after_commit(t);
	return f;
}

static struct fault update(struct account *a, index_fn *fn, void *arg)
{
	for (int attempt = 0;; attempt++) {
		struct index_txn t;
		struct fault f = begin(a, &t);

		if (f.kind) {
			kv_abort(&t.kv);
			forget_undo(&t);
			return f;
		}
		if (t.meta.modseq + MODSEQ_MARGIN >= t.meta.modseq_ceiling) {
			uint64_t modseq = t.meta.modseq;
			give_up(&t);
			f = attempt < 8 ? account_edit_account(a, raise_ceiling, &modseq) :
			    fault(FAULT_INTERNAL, "MODSEQs cannot be reserved");
			if (f.kind)
				return f;
			continue;
		}
		f = fn(&t, arg);
		if (!f.kind)
			f = commit(&t);
		if (!f.kind) {
			uint64_t low = t.low_box, modseq = t.meta.modseq;
			forget_undo(&t);
			/* Reserve ahead, so that hardly anybody ever waits for it. The change itself is done. */
			if (low)
				f = renew_uids(a, low, UID_BLOCK / 2);
			if (!f.kind && t.meta_changed && modseq + MODSEQ_BLOCK / 2 > t.meta.modseq_ceiling)
				f = account_edit_account(a, raise_ceiling, &modseq);
			if (f.kind)
				log_warn(NULL, "store.reserve", KV_Z("account", a->address), KV_FAULT("fault", f));
			return FAULT_OK;
		}
		give_up(&t);
		if (attempt == 8)
			return f;
		if (t.renew_box) {
			f = renew_uids(a, t.renew_box, t.renew_count);
			if (f.kind)
				return f;
		} else if (f.kind != FAULT_BUSY) {      /* BUSY: the map had to grow (common/kv.h) */
			return f;
		}
	}
}

struct fault index_update(struct account *a, index_fn *fn, void *arg)
{
	struct fault f = update(a, fn, arg);

	if (f.kind == FAULT_READ_ONLY)
		atomic_store(&a->has_met_read_only, true);
	return account_judge(a, f);
}
