/* maildir/adopt_folders.c - folders that come and go under a live index: what other programs made, renamed, copied and removed, and
 * what a process that died left half done (account_private.h, adopt_private.h). */
#include <stdlib.h>
#include <string.h>

#include "common/crypt.h"
#include "common/memory.h"
#include "maildir/adopt_private.h"
#include "maildir/files.h"

#include "common/banned.h"

struct fault adopt_box_ids(struct kv_txn *kv, uint64_t **ids, size_t *count)
{
	struct kv_cursor *c = NULL;
	struct sv key;
	size_t cap = 0;
	struct fault f = kv_cursor_open(kv, T_BOXES, &c);

	*ids = NULL;
	*count = 0;
	if (!f.kind)
		f = kv_cursor_seek(c, SV_NONE, &key, NULL);
	while (!f.kind) {
		uint64_t id;
		if (*count == cap) {
			cap = cap ? cap * 2 : 16;
			*ids = xrealloc(*ids, cap * sizeof(**ids));
		}
		if (!kv_take_u64(&key, &id) || key.len) {
			f = fault(FAULT_CORRUPT, "index: mailbox key");
			break;
		}
		(*ids)[(*count)++] = id;
		f = kv_cursor_next(c, &key, NULL);
	}
	kv_cursor_close(&c);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

/* The id that a folder's sidecar says; 0 when it has none that can be read. */
static uint64_t folder_id(struct account *a, const char *dir)
{
	char path[BOX_PATH_MAX];
	struct sidecar_mailbox side;
	struct buf text;
	uint64_t id = 0;

	buf_init(&text, SIDECAR_MAX);
	box_path(path, dir, LAYOUT_MAILBOX_FILE, NULL);
	if (!files_read(a->maildir, path, &text).kind && !sidecar_mailbox_parse(buf_sv(&text), &side).kind) {
		id = side.id;
		sidecar_mailbox_done(&side);
	}
	buf_done(&text);
	return id;
}

/* A mailbox whose folder is not where it was: renamed, by another program or a process that died, or gone. */
static struct fault settle_moved(struct index_txn *t, struct index_box *box, const struct folder_list *found)
{
	struct index_box other;
	struct buf name;
	struct fault f = FAULT_OK;

	buf_init(&name, MAILBOX_NAME_MAX);
	for (size_t i = 0; i < found->count; i++) {
		if (folder_id(t->account, found->dirs[i]) != box->id)
			continue;
		buf_clear(&name);
		if (!layout_name(sv_z(found->dirs[i]), &name))
			break;
		/* Its name may still belong to a mailbox that moved as well: that one is settled first, or dropped. */
		f = index_box_find(t->kv, buf_sv(&name), &other);
		if (!f.kind && other.id != box->id && folder_id(t->account, other.dir) != other.id)
			f = index_box_drop(t, &other);
		if (!f.kind || f.kind == FAULT_NOT_FOUND)
			f = index_box_rename(t, box, buf_sv(&name), sv_z(found->dirs[i]));
		buf_done(&name);
		return f;
	}
	buf_done(&name);
	return index_box_drop(t, box);
}

static struct fault settle_known(struct index_txn *t, const struct folder_list *found, struct folder_list *known)
{
	uint64_t *ids = NULL;
	size_t count = 0;
	struct fault f = adopt_box_ids(t->kv, &ids, &count);

	for (size_t i = 0; !f.kind && i < count; i++) {
		struct index_box box;

		f = index_box_get(t->kv, ids[i], &box);
		if (f.kind == FAULT_NOT_FOUND) {        /* dropped in favour of another one */
			f = FAULT_OK;
			continue;
		}
		if (f.kind)
			break;
		/* A folder without a readable sidecar is still the one we knew: the index can write it anew. */
		uint64_t id = strcmp(box.dir, ".") && load_is_mailbox(t->account, box.dir) ?
			      folder_id(t->account, box.dir) : 0;
		bool is_there = !strcmp(box.dir, ".") || id == box.id || (!id && load_is_mailbox(t->account, box.dir));
		if (!is_there)
			f = settle_moved(t, &box, found);
		if (!f.kind && !index_box_get(t->kv, ids[i], &box).kind)
			folder_list_add(known, box.dir);
	}
	free(ids);
	return f;
}

static bool is_known(const struct folder_list *known, const char *dir)
{
	for (size_t i = 0; i < known->count; i++)
		if (!strcmp(known->dirs[i], dir))
			return true;
	return false;
}

/* A folder that the index does not know: restored, or another program's. */
static struct fault add_unknown(struct index_txn *t, const char *dir)
{
	struct sidecar_mailbox side;
	struct index_box other;
	struct buf text;
	char path[BOX_PATH_MAX];
	struct fault f;

	buf_init(&text, SIDECAR_MAX);
	box_path(path, dir, LAYOUT_MAILBOX_FILE, NULL);
	f = files_read(t->account->maildir, path, &text);
	if (!f.kind)
		f = sidecar_mailbox_parse(buf_sv(&text), &side);
	buf_done(&text);
	if (f.kind)
		return FAULT_OK;
	if (!index_box_get(t->kv, side.id, &other).kind) {
		sidecar_mailbox_done(&side);
		return FAULT_OK;        /* a copy of a mailbox: adopt_folders() gives it an identity of its own */
	}
	struct kv_key dead;
	kv_key_init(&dead);
	kv_key_u8(&dead, 'x');
	kv_key_u64(&dead, side.id);
	bool left;
	f = FAULT_OK;
	struct sv was_dead;
	while (!f.kind && !kv_get(t->kv, T_META, kv_key_view(&dead), &was_dead).kind)
		f = index_purge(t, 1u << 16, &left);
	struct load_folder r = { .account = t->account, .meta = t->meta, .side = side, .dir = dir };
	/* Its rows count as new from here on, so that nobody who knows a MODSEQ misses one. */
	r.meta.modseq = r.meta.changes_floor = t->meta.modseq + 1;
	if (!f.kind)
		f = index_change_flush(t);
	if (!f.kind)
		f = load_folder(t->kv, &r);
	if (!f.kind)
		f = load_flag_log(t->kv, t->account);
	if (!f.kind)
		f = index_meta_get(t->kv, &t->meta);
	t->meta_changed = true;
	sidecar_mailbox_done(&side);
	return f;
}

struct fault adopt_sync_folders(struct index_txn *t)
{
	struct folder_list known = { .account = t->account }, found = { .account = t->account };
	struct fault f = index_meta_put(t->kv, &t->meta);

	if (!f.kind)
		f = folder_list_read(&found);
	if (!f.kind)
		f = settle_known(t, &found, &known);
	for (size_t i = 0; !f.kind && i < found.count; i++)
		if (!is_known(&known, found.dirs[i])) {
			f = index_meta_put(t->kv, &t->meta);
			if (!f.kind)
				f = add_unknown(t, found.dirs[i]);
		}
	folder_list_done(&known);
	folder_list_done(&found);
	return f;
}

static struct fault sync_folders(struct index_txn *t, void *arg)
{
	(void)arg;
	return adopt_sync_folders(t);
}

/* Give folders without a sidecar, or with another mailbox's, one of their own. */
static struct fault prepare_folders(struct account *a, struct folder_list *found)
{
	struct kv_txn *kv = NULL;
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < found->count; i++) {
		struct sidecar_mailbox side;
		struct index_box box;
		uint32_t uidvalidity = 0, next;
		char path[BOX_PATH_MAX];
		bool is_copy = false;

		box_path(path, found->dirs[i], LAYOUT_MAILBOX_FILE, NULL);
		if (!files_exists(a->maildir, path))
			f = account_new_uidvalidity(a, &uidvalidity);
		next = uidvalidity;
		if (!f.kind)
			f = load_sidecar(a, found->dirs[i], &next, &side);
		if (f.kind == FAULT_NOT_FOUND || (f.kind && !load_is_mailbox(a, found->dirs[i]))) {
			f = FAULT_OK;           /* renamed or removed since the folders were listed */
			continue;
		}
		if (!f.kind)
			f = account_read(a, &kv);
		if (f.kind)
			return f;
		f = index_box_get(kv, side.id, &box);
		is_copy = !f.kind && strcmp(box.dir, found->dirs[i]) && load_is_mailbox(a, box.dir);
		kv_read_end(&kv);
		f = f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
		if (!f.kind && is_copy) {
			f = account_new_uidvalidity(a, &side.uidvalidity);
			crypt_random(&side.id, sizeof(side.id));
			side.generation++;
			side.special_use = 0;
			if (!f.kind)
				f = load_write_sidecar(a, found->dirs[i], &side);
		}
		sidecar_mailbox_done(&side);
	}
	return f;
}

static struct fault count_boxes(struct account *a, size_t *count)
{
	struct kv_txn *kv = NULL;
	uint64_t *ids = NULL;
	struct fault f = account_read(a, &kv);

	if (!f.kind)
		f = adopt_box_ids(kv, &ids, count);
	kv_read_end(&kv);
	free(ids);
	return f;
}

struct fault adopt_folders(struct account *a)
{
	struct fault f = FAULT_OK;
	size_t known = 0;

	/* Twice when some were left out: a copy of a mailbox that was renamed looks like the mailbox itself at first. */
	for (int round = 0; !f.kind && round < 2; round++) {
		struct folder_list found = { .account = a };
		size_t want;

		f = folder_list_read(&found);
		if (!f.kind)
			f = prepare_folders(a, &found);
		want = found.count + 1;
		folder_list_done(&found);
		if (!f.kind)
			f = index_update(a, sync_folders, NULL);
		if (f.kind == FAULT_NOT_FOUND)  /* one went in the middle of it: once more, or at the next occasion */
			f = FAULT_OK;
		if (!f.kind)
			f = count_boxes(a, &known);
		if (known >= want)
			break;
	}
	return f;
}
