/* maildir/rebuild.c - an index from names and sidecars alone: identity first, parsed data when somebody asks for it.
 *
 * The new index is made beside the old one and renamed into its place by who holds the account alone; everybody else
 * notices at his next step that the file he has open is not the file that lies there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "maildir/adopt_private.h"
#include "maildir/files.h"
#include "maildir/mark_private.h"
#include "maildir/quota_private.h"
#include "maildir/store_private.h"

#include "common/banned.h"

/* --- the account's sidecar ------------------------------------------------------------------------------------------ */

static struct fault write_account(struct account *a, const struct sidecar_account *s)
{
	struct buf text;
	struct fault f;

	buf_init(&text, SIDECAR_MAX);
	f = sidecar_account_write(s, &text);
	if (!f.kind)
		f = files_replace(a->maildir, LAYOUT_ACCOUNT_FILE, buf_sv(&text), account_conf(a)->umask_file);
	buf_done(&text);
	return f.kind ? f : files_sync_dir(a->maildir, ".");
}

static struct fault read_account(struct account *a, struct sidecar_account *out)
{
	struct buf text;
	struct fault f;

	buf_init(&text, SIDECAR_MAX);
	f = files_read(a->maildir, LAYOUT_ACCOUNT_FILE, &text);
	if (!f.kind)
		f = sidecar_account_parse(buf_sv(&text), out);
	buf_done(&text);
	if (f.kind == FAULT_NOT_FOUND || f.kind == FAULT_CORRUPT) {
		memset(out, 0, sizeof(*out));
		buf_init(&out->unknown, SIDECAR_UNKNOWN_MAX);
		f = FAULT_OK;
	}
	return f;
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

struct rebuild {
	struct load_folder load;
	struct kv_env *env;
};

static struct fault put_meta(struct kv_txn *kv, void *arg)
{
	const struct index_meta *meta = arg;

	return index_meta_put(kv, meta);
}

static struct fault get_meta(struct rebuild *r)
{
	struct kv_txn *kv;
	struct fault f = kv_read_begin(r->env, &kv);

	if (!f.kind)
		f = index_meta_get(kv, &r->load.meta);
	kv_read_end(&kv);
	return f;
}

struct folder {
	uint64_t id;
	size_t at;      /* in the listing: of two with one id the first is the mailbox */
	const char *dir;
};

static int by_id(const void *a, const void *b)
{
	const struct folder *x = a, *y = b;

	return x->id != y->id ? (x->id < y->id ? -1 : 1) : x->at < y->at ? -1 : x->at > y->at;
}

/* in_order - mailboxes by their ids, as their rows stand in the index: so each row is put behind the one before, and pages get full.
 * What has no sidecar yet gets one here, INBOX first. *out: to be freed, borrows the list. */
static struct fault in_order(struct account *a, const struct folder_list *list, uint32_t *uidvalidity_next, struct folder **out)
{
	struct folder *folders = xcalloc(list->count, sizeof(*folders));
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < list->count; i++) {
		struct sidecar_mailbox side = { 0 };

		f = load_sidecar(a, list->dirs[i], uidvalidity_next, &side);
		folders[i] = (struct folder){ side.id, i, list->dirs[i] };
		sidecar_mailbox_done(&side);
	}
	qsort(folders, list->count, sizeof(*folders), by_id);
	*out = folders;
	return f;
}

static struct fault fill(struct rebuild *r, struct sidecar_account *side)
{
	struct account *a = r->load.account;
	struct folder_list folders = { .account = a };
	struct folder *ordered = NULL;
	uint32_t now = (uint32_t)time(NULL), next;
	struct fault f;

	/* Behind everything that was ever told, also by an index that is lost together with its sidecar. */
	r->load.meta.modseq = (uint64_t)now << 20;
	if (r->load.meta.modseq < side->modseq_ceiling)
		r->load.meta.modseq = side->modseq_ceiling;
	next = side->uidvalidity_floor > now ? side->uidvalidity_floor : now;

	folder_list_add(&folders, ".");
	f = folder_list_read(&folders);
	if (!f.kind)
		f = kv_update(r->env, put_meta, &r->load.meta);
	if (!f.kind)
		f = in_order(a, &folders, &next, &ordered);
	for (size_t i = 0; !f.kind && i < folders.count; i++) {
		r->load.dir = ordered[i].dir;
		f = load_sidecar(a, r->load.dir, &next, &r->load.side);
		if (!f.kind)
			f = kv_update(r->env, load_folder, &r->load);
		sidecar_mailbox_done(&r->load.side);
		if (!f.kind)
			f = get_meta(r);
		r->load.before += r->load.messages;
	}
	free(ordered);
	folder_list_done(&folders);
	if (!f.kind)
		f = kv_update(r->env, load_flag_log, a);
	if (f.kind)
		return f;

	if (r->load.meta.uidvalidity_next < next)
		r->load.meta.uidvalidity_next = next;
	side->generation++;
	side->modseq_ceiling = r->load.meta.modseq + MODSEQ_BLOCK;
	side->uidvalidity_floor = r->load.meta.uidvalidity_next + UIDVALIDITY_BLOCK;
	f = write_account(a, side);
	r->load.meta.generation = side->generation;
	r->load.meta.modseq_ceiling = side->modseq_ceiling;
	r->load.meta.uidvalidity_floor = side->uidvalidity_floor;
	r->load.meta.changes_floor = r->load.meta.modseq;
	if (!f.kind)
		f = kv_update(r->env, put_meta, &r->load.meta);
	if (r->load.progress)
		r->load.progress(r->load.arg, r->load.before, r->load.before);
	return f;
}

static struct fault identify(struct rebuild *r, int dir)
{
	struct statx x;

	if (statx(dir, "data.mdb", AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &x))
		return fault_errno("stat", "data.mdb");
	r->load.meta.format = INDEX_FORMAT;
	r->load.meta.quota_told = QUOTA_TOLD_UNKNOWN;
	r->load.meta.unparsed = 1;
	r->load.meta.data_ino = x.stx_ino;
	r->load.meta.data_btime = x.stx_mask & STATX_BTIME ?
			     (int64_t)x.stx_btime.tv_sec * 1000000000 + x.stx_btime.tv_nsec : 0;
	return FAULT_OK;
}

struct fault rebuild_index(struct account *a, bool had_mark, store_progress_fn *fn, void *arg)
{
	static const struct kv_options options = {
		.kind = KV_DISPOSABLE, .create = true, .tables = index_tables, .table_count = T_COUNT,
	};
	struct rebuild r = { .load = { .account = a, .skip = had_mark ? 0 : UNKNOWN_SKIP, .progress = fn, .arg = arg } };
	struct sidecar_account side = { 0 };
	char temp[FILES_TEMP_LEN], old[FILES_TEMP_LEN];
	struct buf path;
	int64_t start = store_now_ms();
	int dir = -1;
	bool made;
	struct fault f;

	files_temp_name(LAYOUT_INDEX ".new", temp);
	files_temp_name(LAYOUT_INDEX ".old", old);
	buf_init(&path, 8192);
	if (!buf_appendf(&path, "%s/%s", a->path, temp) || !buf_z(&path))
		return fault(FAULT_LIMIT, "path too long");
	f = read_account(a, &side);
	/* An account that was never used has nothing to skip. */
	if (side.generation == 1)
		r.load.skip = 0;
	if (!f.kind)
		f = files_mkdir(a->dir, temp, 0700, NULL);
	if (!f.kind) {
		dir = files_open(a->dir, temp, O_RDONLY | O_DIRECTORY, 0);
		f = dir < 0 ? fault_errno("open", temp) : mark_set(dir, &made);
	}
	if (!f.kind)
		f = files_sync_dir(dir, ".");
	if (!f.kind)
		f = kv_env_open(buf_z(&path), &options, &r.env);
	if (!f.kind)
		f = identify(&r, dir);
	if (!f.kind)
		f = fill(&r, &side);
	kv_env_close(&r.env);
	if (dir >= 0)
		close(dir);

	if (!f.kind && renameat(a->dir, LAYOUT_INDEX, a->dir, old) && errno != ENOENT)
		f = fault_errno("rename", LAYOUT_INDEX);
	if (!f.kind)
		f = files_rename_new(a->dir, temp, a->dir, LAYOUT_INDEX);
	if (!f.kind)
		f = files_sync_dir(a->dir, ".");
	if (f.kind)
		files_remove_tree(a->dir, temp);
	if (files_exists(a->dir, old))
		files_remove_tree(a->dir, old);
	if (!f.kind)
		log_info(NULL, "store.index.made", KV_Z("account", a->address), KV_U64("messages", r.load.meta.messages),
			 KV_I64("took_ms", store_now_ms() - start));
	sidecar_account_done(&side);
	buf_done(&path);
	return f;
}
