/* maildir/rebuild.c - an index from names and sidecars alone: identity first, parsed data when somebody asks for it.
 *
 * The new index is made beside the old one and renamed into its place by who holds the account alone; everybody else
 * notices at his next step that the file he has open is not the file that lies there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/log.h"
#include "common/memory.h"
#include "maildir/adopt_private.h"
#include "maildir/files.h"
#include "maildir/mark_private.h"
#include "maildir/quota_private.h"
#include "maildir/store_private.h"

#include "common/banned.h"

#define UNKNOWN_SKIP 100000     /* UIDs left out when the sidecars may be older than the lost index */
#define PROGRESS_EVERY 2048     /* messages */

/* --- one mailbox's rows from its names ---------------------------------------------------------------------------- */

struct entry {
	uint32_t uid;
	uint32_t at;                    /* of its name in `names` */
};

struct listing {
	uint32_t uidvalidity;
	struct buf names;               /* each with a NUL */
	struct entry *entries;
	size_t count, cap;
	bool others;                    /* files that say no UID of this mailbox */
};

static bool list_file(void *arg, const char *name, unsigned char type)
{
	struct listing *l = arg;
	struct filename n;

	if (type != DT_REG || !filename_parse(sv_z(name), &n))
		return true;
	if (!n.has_uid || n.uidvalidity != l->uidvalidity || !n.has_size || !n.has_wire_size) {
		l->others = true;
		return true;
	}
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 256;
		l->entries = xrealloc(l->entries, l->cap * sizeof(*l->entries));
	}
	if (l->names.len > UINT32_MAX - 512 || !buf_append(&l->names, sv_from(name, strlen(name) + 1)))
		return false;
	l->entries[l->count++] = (struct entry){ n.uid, (uint32_t)(l->names.len - strlen(name) - 1) };
	return true;
}

static int entry_order(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->uid != y->uid ? (x->uid < y->uid ? -1 : 1) : x->at < y->at ? -1 : x->at > y->at;
}

/* Two files say the same UID: which one keeps it? The older; of two names of one inode one is removed. */
static const char *settle_twins(struct account *a, const char *dir, const char *one, const char *two)
{
	char x[BOX_PATH_MAX], y[BOX_PATH_MAX];
	struct stat sx, sy;

	box_path(x, dir, "cur", one);
	box_path(y, dir, "cur", two);
	if (fstatat(a->maildir, x, &sx, AT_SYMLINK_NOFOLLOW))
		return two;
	if (fstatat(a->maildir, y, &sy, AT_SYMLINK_NOFOLLOW))
		return one;
	if (sx.st_ino == sy.st_ino && sx.st_dev == sy.st_dev) {
		unlinkat(a->maildir, y, 0);
		return one;
	}
	return sx.st_ctim.tv_sec < sy.st_ctim.tv_sec ||
	       (sx.st_ctim.tv_sec == sy.st_ctim.tv_sec && sx.st_ctim.tv_nsec <= sy.st_ctim.tv_nsec) ? one : two;
}

static struct fault load_rows(struct load *l, const struct listing *list)
{
	struct index_box *box = &l->box;
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < list->count; i++) {
		const char *name = list->names.p + list->entries[i].at;
		uint32_t uid = list->entries[i].uid;
		struct index_row row;
		struct filename n;

		if (l->progress && i % PROGRESS_EVERY == 0)
			l->progress(l->arg, l->before + i, l->before + list->count);
		for (; i + 1 < list->count && list->entries[i + 1].uid == uid; i++) {
			name = settle_twins(l->account, box->dir, name, list->names.p + list->entries[i + 1].at);
			box->needs_scan = 1;    /* the other one is new mail */
		}
		if (!filename_parse(sv_z(name), &n))
			continue;
		adopt_keep_known_keywords(&n.keywords, l->keyword_count);
		row.uid = uid;
		row.h = (struct index_row_head){
			.modseq = l->modseq, .size = n.wire_size, .stored = n.size, .savedate = n.saved,
			.internaldate = n.has_internaldate ? n.internaldate : n.saved, .keywords = n.keywords,
			.flags = n.flags, .name_len = (uint16_t)strlen(name),
		};
		filename_email_digest(n.id, row.h.email);
		memcpy(row.name, name, row.h.name_len + 1u);
		f = index_row_put(l->kv, box->id, &row);
		if (!f.kind && filename_is_dedup_id(n.id)) {
			struct kv_key value;
			index_parsed_key(&value, box->id, uid);
			f = kv_put(l->kv, T_DEDUP, sv_from((const char *)row.h.email, 16), kv_key_view(&value));
		}
		box->messages++;
		box->unseen += !(row.h.flags & FLAG_SEEN);
		box->deleted += (row.h.flags & FLAG_DELETED) != 0;
		box->size += row.h.size;
	}
	return f;
}

static bool any_name(void *arg, const char *name, unsigned char type)
{
	(void)name;
	(void)type;
	*(bool *)arg = true;
	return false;
}

struct fault load_box(struct load *l)
{
	struct listing list = { .uidvalidity = l->box.uidvalidity };
	struct index_box *box = &l->box;
	char path[BOX_PATH_MAX];
	bool has_new = false;
	struct fault f;

	box->messages = box->recent = box->unseen = box->deleted = 0;
	box->size = 0;
	box_path(path, box->dir, "cur", NULL);
	box->cur_mtime = files_mtime(l->account->maildir, path);
	buf_init(&list.names, UINT32_MAX);
	f = files_each(l->account->maildir, path, list_file, &list);
	if (list.count)
		qsort(list.entries, list.count, sizeof(*list.entries), entry_order);
	uint32_t highest = list.count ? list.entries[list.count - 1].uid : 0;
	if (highest > UINT32_MAX - 4 * UNKNOWN_SKIP)
		highest = UINT32_MAX - 4 * UNKNOWN_SKIP;

	box->needs_scan = list.others;
	box->uidnext = (box->uid_ceiling > highest ? box->uid_ceiling : highest + 1) +
		       (box->uid_ceiling > 1 ? l->skip : 0);
	if (!box->uidnext)
		box->uidnext = 1;
	box->recent_mark = box->uidnext - 1;
	box->unseen_hint = 1;
	box->highestmodseq = l->modseq;
	if (!f.kind)
		f = load_rows(l, &list);
	box_path(path, box->dir, "new", NULL);
	if (!f.kind) {
		(void)!files_each(l->account->maildir, path, any_name, &has_new).kind;
		box->new_mtime = has_new ? 0 : files_mtime(l->account->maildir, path);
	}
	free(list.entries);
	buf_done(&list.names);
	return f;
}

/* --- sidecars ------------------------------------------------------------------------------------------------------ */

bool load_is_mailbox(struct account *a, const char *dir)
{
	char path[BOX_PATH_MAX];
	struct stat st;

	if (fstatat(a->maildir, dir, &st, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(st.st_mode))
		return false;
	box_path(path, dir, "cur", NULL);
	return !fstatat(a->maildir, path, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode);
}

struct highest {
	uint32_t uidvalidity, uid;
};

static bool find_highest(void *arg, const char *name, unsigned char type)
{
	struct highest *h = arg;
	struct filename n;

	(void)type;
	if (!filename_parse(sv_z(name), &n) || !n.has_uid || n.uidvalidity < h->uidvalidity)
		return true;
	if (n.uidvalidity > h->uidvalidity)
		h->uid = 0;
	h->uidvalidity = n.uidvalidity;
	if (n.uid > h->uid)
		h->uid = n.uid;
	return true;
}

static struct fault write_sidecar(struct account *a, const char *dir, const struct sidecar_mailbox *s)
{
	char temp[BOX_PATH_MAX], path[BOX_PATH_MAX], unique[FILES_TEMP_LEN];
	struct buf text;
	struct fault f;

	files_temp_name("postroom-new", unique);
	box_path(temp, dir, unique, NULL);
	box_path(path, dir, LAYOUT_MAILBOX_FILE, NULL);
	buf_init(&text, SIDECAR_MAX);
	f = sidecar_mailbox_write(s, &text);
	if (!f.kind)
		f = files_write_new(a->maildir, temp, buf_sv(&text), account_conf(a)->umask_file);
	if (!f.kind && renameat(a->maildir, temp, a->maildir, path)) {
		f = fault_errno("replace", path);
		unlinkat(a->maildir, temp, 0);
	}
	buf_done(&text);
	return f.kind ? f : files_sync_dir(a->maildir, dir);
}

struct fault load_sidecar(struct account *a, const char *dir, uint32_t *uidvalidity_next, struct sidecar_mailbox *out)
{
	static const char *const parts[] = { "cur", "new", "tmp" };
	char path[BOX_PATH_MAX];
	struct buf text;
	struct highest h = { 0, 0 };
	struct fault f;

	buf_init(&text, SIDECAR_MAX);
	box_path(path, dir, LAYOUT_MAILBOX_FILE, NULL);
	f = files_read(a->maildir, path, &text);
	if (!f.kind)
		f = sidecar_mailbox_parse(buf_sv(&text), out);
	buf_done(&text);
	if (f.kind != FAULT_NOT_FOUND && f.kind != FAULT_CORRUPT)
		return f;

	/* A mailbox of another program, or a damaged sidecar: UIDVALIDITY and the highest UID stand in the names. */
	log_warn(NULL, "store.sidecar.made", KV_Z("account", a->address), KV_Z("folder", dir), KV_FAULT("fault", f));
	f = FAULT_OK;
	for (size_t i = 0; !f.kind && i < ARRAY_LEN(parts); i++) {
		box_path(path, dir, parts[i], NULL);
		f = files_mkdir(a->maildir, path, account_conf(a)->umask_dir, NULL);
	}
	box_path(path, dir, "cur", NULL);
	if (!f.kind)
		f = files_each(a->maildir, path, find_highest, &h);
	if (f.kind)
		return f;
	memset(out, 0, sizeof(*out));
	buf_init(&out->unknown, SIDECAR_UNKNOWN_MAX);
	out->generation = 1;
	while (!out->id)
		crypt_random(&out->id, sizeof(out->id));
	out->uidvalidity = h.uidvalidity ? h.uidvalidity : (*uidvalidity_next)++;
	out->uid_ceiling = (h.uid > UINT32_MAX - 4 * UNKNOWN_SKIP ? h.uid : h.uid + (h.uid ? UNKNOWN_SKIP : 0)) + 1;
	if (h.uidvalidity >= *uidvalidity_next)
		*uidvalidity_next = h.uidvalidity + 1;
	f = write_sidecar(a, dir, out);
	if (f.kind)
		sidecar_mailbox_done(out);
	return f;
}

/* --- the account's sidecar ------------------------------------------------------------------------------------------ */

static struct fault write_account(struct account *a, const struct sidecar_account *s)
{
	char temp[FILES_TEMP_LEN];
	struct buf text;
	struct fault f;

	files_temp_name("postroom-new", temp);
	buf_init(&text, SIDECAR_MAX);
	f = sidecar_account_write(s, &text);
	if (!f.kind)
		f = files_write_new(a->maildir, temp, buf_sv(&text), account_conf(a)->umask_file);
	if (!f.kind && renameat(a->maildir, temp, a->maildir, LAYOUT_ACCOUNT_FILE)) {
		f = fault_errno("replace", LAYOUT_ACCOUNT_FILE);
		unlinkat(a->maildir, temp, 0);
	}
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

struct folder_list {
	struct account *account;
	char **dirs;
	size_t count, cap;
};

static void add_folder(struct folder_list *l, const char *dir)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 16;
		l->dirs = xrealloc(l->dirs, l->cap * sizeof(*l->dirs));
	}
	l->dirs[l->count++] = xstrdup(dir);
}

static bool list_folder(void *arg, const char *name, unsigned char type)
{
	struct folder_list *l = arg;

	if (type == DT_DIR && name[0] == '.' && l->count < MAILBOX_COUNT_MAX && load_is_mailbox(l->account, name))
		add_folder(l, name);
	return true;
}

static void folder_list_done(struct folder_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->dirs[i]);
	free(l->dirs);
}

struct rebuild {
	struct account *account;
	struct kv_env *env;
	struct index_meta meta;
	uint32_t skip;
	struct sidecar_mailbox side;    /* the mailbox being loaded */
	const char *dir;
	uint64_t messages, before;      /* in it; in those before */
	store_progress_fn *progress;    /* NULL: nobody asks */
	void *arg;
};

static struct fault add_box(struct kv_txn *kv, void *arg)
{
	struct rebuild *r = arg;
	struct index_txn t = { .account = r->account, .kv = kv, .meta = r->meta };
	struct load l = { .account = r->account, .kv = kv, .keyword_count = r->side.keywords.count,
			  .modseq = r->meta.modseq, .skip = r->skip, .progress = r->progress, .arg = r->arg,
			  .before = r->before };
	struct index_box *box = &l.box, other;
	struct buf name;
	struct fault f;

	buf_init(&name, MAILBOX_NAME_MAX);
	if (!layout_name(sv_z(r->dir), &name)) {
		log_warn(NULL, "store.folder.unreadable", KV_Z("account", r->account->address), KV_Z("folder", r->dir));
		return FAULT_OK;
	}
	box->id = r->side.id;
	box->uidvalidity = r->side.uidvalidity;
	box->uid_ceiling = r->side.uid_ceiling;
	box->special_use = r->side.special_use;
	box->generation = r->side.generation;
	memcpy(box->name, name.p, name.len);
	snprintf(box->dir, sizeof(box->dir), "%s", r->dir);
	buf_done(&name);
	if (!index_box_get(kv, box->id, &other).kind || !index_box_find(kv, sv_z(box->name), &other).kind) {
		log_warn(NULL, "store.folder.twin", KV_Z("account", r->account->address), KV_Z("folder", r->dir));
		return FAULT_OK;
	}
	f = load_box(&l);
	if (!f.kind && box->uidnext > r->side.uid_ceiling) {
		/* UIDNEXT will be told: the next rebuild must not say less. */
		r->side.uid_ceiling = box->uid_ceiling = box->uidnext;
		box->generation = ++r->side.generation;
		f = write_sidecar(r->account, r->dir, &r->side);
	}
	if (!f.kind)
		f = index_box_add(&t, box);
	if (!f.kind)
		f = index_keywords_put(kv, box->id, &r->side.keywords);
	r->messages = box->messages;
	index_count(&t, box, box->size, box->messages);
	if (box->uidvalidity >= t.meta.uidvalidity_next)
		t.meta.uidvalidity_next = box->uidvalidity + 1;
	if (!f.kind)
		f = index_meta_put(kv, &t.meta);
	return f;
}

struct replay {
	struct kv_txn *kv;
	struct fault fault;
};

static struct fault replay_uid(struct kv_txn *kv, struct index_box *box, const struct flag_record *r, uint32_t uid)
{
	struct index_row row;
	struct fault f = index_row_get(kv, r->box, uid, &row);

	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	box->unseen += !(r->flags & FLAG_SEEN);
	box->unseen -= !(row.h.flags & FLAG_SEEN);
	box->deleted += (r->flags & FLAG_DELETED) != 0;
	box->deleted -= (row.h.flags & FLAG_DELETED) != 0;
	row.h.flags = r->flags;
	row.h.keywords = r->keywords;
	return index_row_put(kv, r->box, &row);
}

static bool replay_record(void *arg, const struct flag_record *r)
{
	struct replay *p = arg;
	struct index_box box;

	p->fault = index_box_get(p->kv, r->box, &box);
	if (p->fault.kind == FAULT_NOT_FOUND) {
		p->fault = FAULT_OK;    /* of a mailbox that is gone */
		return true;
	}
	uint64_t tried = 0;
	for (uint32_t uid = uidset_next(&r->uids, 1); !p->fault.kind && uid && uid < box.uidnext && tried < 1u << 24;
	     uid = uidset_next(&r->uids, uid + 1), tried++)
		p->fault = replay_uid(p->kv, &box, r, uid);
	if (!p->fault.kind)
		p->fault = index_box_put(p->kv, &box);
	return !p->fault.kind;
}

static struct fault replay_log(struct kv_txn *kv, void *arg)
{
	struct account *a = arg;
	struct replay p = { .kv = kv };
	struct buf log;
	struct fault f;

	buf_init(&log, (size_t)1 << 32);
	f = files_read(a->maildir, LAYOUT_FLAG_LOG, &log);
	if (!f.kind)
		flaglog_parse(buf_sv(&log), replay_record, &p);
	buf_done(&log);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f.kind ? f : p.fault;
}

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
		f = index_meta_get(kv, &r->meta);
	kv_read_end(&kv);
	return f;
}

static struct fault fill(struct rebuild *r, struct sidecar_account *side)
{
	struct account *a = r->account;
	struct folder_list folders = { .account = a };
	uint32_t now = (uint32_t)time(NULL), next;
	struct fault f;

	/* Behind everything that was ever told, also by an index that is lost together with its sidecar. */
	r->meta.modseq = (uint64_t)now << 20;
	if (r->meta.modseq < side->modseq_ceiling)
		r->meta.modseq = side->modseq_ceiling;
	next = side->uidvalidity_floor > now ? side->uidvalidity_floor : now;

	add_folder(&folders, ".");
	f = files_each(a->maildir, ".", list_folder, &folders);
	if (!f.kind)
		f = kv_update(r->env, put_meta, &r->meta);
	for (size_t i = 0; !f.kind && i < folders.count; i++) {
		r->dir = folders.dirs[i];
		f = load_sidecar(a, r->dir, &next, &r->side);
		if (!f.kind)
			f = kv_update(r->env, add_box, r);
		sidecar_mailbox_done(&r->side);
		if (!f.kind)
			f = get_meta(r);
		r->before += r->messages;
	}
	folder_list_done(&folders);
	if (!f.kind)
		f = kv_update(r->env, replay_log, a);
	if (f.kind)
		return f;

	if (r->meta.uidvalidity_next < next)
		r->meta.uidvalidity_next = next;
	side->generation++;
	side->modseq_ceiling = r->meta.modseq + MODSEQ_BLOCK;
	side->uidvalidity_floor = r->meta.uidvalidity_next + UIDVALIDITY_BLOCK;
	f = write_account(a, side);
	r->meta.generation = side->generation;
	r->meta.modseq_ceiling = side->modseq_ceiling;
	r->meta.uidvalidity_floor = side->uidvalidity_floor;
	r->meta.changes_floor = r->meta.modseq;
	if (!f.kind)
		f = kv_update(r->env, put_meta, &r->meta);
	if (r->progress)
		r->progress(r->arg, r->before, r->before);
	return f;
}

static struct fault identify(struct rebuild *r, int dir)
{
	struct statx x;

	if (statx(dir, "data.mdb", AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &x))
		return fault_errno("stat", "data.mdb");
	r->meta.format = INDEX_FORMAT;
	r->meta.quota_told = QUOTA_TOLD_UNKNOWN;
	r->meta.unparsed = 1;
	r->meta.data_ino = x.stx_ino;
	r->meta.data_btime = x.stx_mask & STATX_BTIME ?
			     (int64_t)x.stx_btime.tv_sec * 1000000000 + x.stx_btime.tv_nsec : 0;
	return FAULT_OK;
}

struct fault rebuild_index(struct account *a, bool had_mark, store_progress_fn *fn, void *arg)
{
	static const struct kv_options options = {
		.kind = KV_DISPOSABLE, .create = true, .tables = index_tables, .table_count = T_COUNT,
	};
	struct rebuild r = { .account = a, .skip = had_mark ? 0 : UNKNOWN_SKIP, .progress = fn, .arg = arg };
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
		r.skip = 0;
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
		log_info(NULL, "store.index.made", KV_Z("account", a->address), KV_U64("messages", r.meta.messages),
			 KV_I64("took_ms", store_now_ms() - start));
	sidecar_account_done(&side);
	buf_done(&path);
	return f;
}

/* --- folders that come and go under a live index --------------------------------------------------------------------- */

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
		if (kv_take_u64(&key, &id))
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
			add_folder(known, box.dir);
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
	struct rebuild r = { .account = t->account, .meta = t->meta, .side = side, .dir = dir };
	/* Its rows count as new from here on, so that nobody who knows a MODSEQ misses one. */
	r.meta.modseq = r.meta.changes_floor = t->meta.modseq + 1;
	if (!f.kind)
		f = index_change_flush(t);
	if (!f.kind)
		f = add_box(t->kv, &r);
	if (!f.kind)
		f = replay_log(t->kv, t->account);
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
		f = files_each(t->account->maildir, ".", list_folder, &found);
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
				f = write_sidecar(a, found->dirs[i], &side);
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

		f = files_each(a->maildir, ".", list_folder, &found);
		if (!f.kind)
			f = prepare_folders(a, &found);
		want = found.count + 1;
		folder_list_done(&found);
		if (!f.kind)
			f = index_update(a, sync_folders, NULL);
		if (!f.kind)
			f = count_boxes(a, &known);
		if (known >= want)
			break;
	}
	return f;
}
