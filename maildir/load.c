/* maildir/load.c - a mailbox from what lies in its folder: rows from names, identity from its sidecar (adopt_private.h). */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/log.h"
#include "common/memory.h"
#include "maildir/adopt_private.h"
#include "maildir/files.h"

#include "common/banned.h"

#define PROGRESS_EVERY 2048     /* messages */
#define ROWS_AHEAD 8            /* they lie in the order of the folder and are taken in that of their UIDs: each is a miss of the cache */

/* How a mailbox is loaded from names. */
struct load {
	struct account *account;
	struct kv_txn *kv;
	struct index_box box;           /* identity, name, dir set; counters are filled in */
	uint32_t keyword_count;
	uint64_t modseq;                /* of every row */
	store_progress_fn *progress;    /* NULL: nobody asks */
	void *arg;
	uint64_t before;                /* messages of the mailboxes before this one */
	uint32_t skip;                  /* UIDs left out beyond the ceiling, when it may be too old */
};

/* --- one mailbox's rows from its names ---------------------------------------------------------------------------- */

/* A row that waits for its turn. */
struct entry {
	uint32_t uid;
	uint32_t at;                    /* of its row in `rows` */
	bool is_dedup;                  /* its id is that of a delivery (filename_is_dedup_id()) */
};

struct listing {
	const struct load *load;
	struct buf rows;                /* as index_row_append() takes them, each with a NUL behind it */
	struct entry *entries;
	size_t count, cap;
	bool others;                    /* files that say no UID of this mailbox */
};

/* A name is taken apart once: what becomes of it waits as the row that it will be. */
static bool list_file(void *arg, const char *name, unsigned char type)
{
	struct listing *l = arg;
	struct index_row_head h = { .modseq = l->load->modseq };
	struct filename n;
	size_t len = strlen(name);

	if (type != DT_REG || !filename_parse(sv_from(name, len), &n))
		return true;
	if (!n.has_uid || n.uidvalidity != l->load->box.uidvalidity || !n.has_size || !n.has_wire_size) {
		l->others = true;
		return true;
	}
	adopt_keep_known_keywords(&n.keywords, l->load->keyword_count);
	h.size = n.wire_size;
	h.stored = n.size;
	h.savedate = n.saved;
	h.internaldate = n.has_internaldate ? n.internaldate : n.saved;
	h.keywords = n.keywords;
	h.flags = n.flags;
	h.name_len = (uint16_t)len;
	filename_email_digest(n.id, h.email);
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 256;
		l->entries = xrealloc(l->entries, l->cap * sizeof(*l->entries));
	}
	size_t at = l->rows.len;
	if (!buf_append(&l->rows, sv_from((const char *)&h, sizeof(h))) || !buf_append(&l->rows, sv_from(name, len + 1)))
		return false;
	l->entries[l->count++] = (struct entry){ n.uid, (uint32_t)at, filename_is_dedup_id(n.id) };
	return true;
}

/* in_uid_order - sorted by UID, and of one UID as they were read: by eight bits of the UID at a time, least significant ones first;
 * where all have the same bits there is nothing to do. */
static void in_uid_order(struct listing *l)
{
	struct entry *from = l->entries, *to = xcalloc(l->count ? l->count : 1, sizeof(*to));

	for (unsigned shift = 0; shift < 32; shift += 8) {
		size_t place[257] = { 0 };

		for (size_t i = 0; i < l->count; i++)
			place[(from[i].uid >> shift & 255) + 1]++;
		if (l->count && place[(from[0].uid >> shift & 255) + 1] == l->count)
			continue;
		for (size_t k = 1; k < 257; k++)
			place[k] += place[k - 1];
		for (size_t i = 0; i < l->count; i++)
			to[place[from[i].uid >> shift & 255]++] = from[i];
		struct entry *spare = from;
		from = to;
		to = spare;
	}
	l->entries = from;
	free(to);
}

static const char *row_name(const struct listing *l, size_t i)
{
	return l->rows.p + l->entries[i].at + sizeof(struct index_row_head);
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

static struct fault load_row(struct load *l, const struct listing *list, const struct entry *e)
{
	struct index_box *box = &l->box;
	const char *row = list->rows.p + e->at;
	struct index_row_head h;
	struct fault f = index_row_append(l->kv, box->id, e->uid, row);

	memcpy(&h, row, sizeof(h));
	if (!f.kind && e->is_dedup) {
		struct kv_key value;
		index_parsed_key(&value, box->id, e->uid);
		f = kv_put(l->kv, T_DEDUP, sv_from((const char *)h.email, 16), kv_key_view(&value));
	}
	box->messages++;
	box->unseen += !(h.flags & FLAG_SEEN);
	box->deleted += (h.flags & FLAG_DELETED) != 0;
	box->size += h.size;
	return f;
}

static struct fault load_rows(struct load *l, const struct listing *list)
{
	struct index_box *box = &l->box;
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < list->count; i++) {
		size_t keeps = i;

		if (i + ROWS_AHEAD < list->count)
			__builtin_prefetch(list->rows.p + list->entries[i + ROWS_AHEAD].at);
		if (l->progress && i % PROGRESS_EVERY == 0)
			l->progress(l->arg, l->before + i, l->before + list->count);
		for (; i + 1 < list->count && list->entries[i + 1].uid == list->entries[keeps].uid; i++) {
			const char *one = row_name(list, keeps), *two = row_name(list, i + 1);
			if (settle_twins(l->account, box->dir, one, two) == two)
				keeps = i + 1;
			box->needs_scan = 1;    /* the other one is new mail */
		}
		f = load_row(l, list, &list->entries[keeps]);
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

static struct fault load_box(struct load *l)
{
	struct listing list = { .load = l };
	struct index_box *box = &l->box;
	char path[BOX_PATH_MAX];
	bool has_new = false;
	struct fault f;

	box->messages = box->recent = box->unseen = box->deleted = 0;
	box->size = 0;
	box_path(path, box->dir, "cur", NULL);
	box->cur_mtime = files_mtime(l->account->maildir, path);
	buf_init(&list.rows, UINT32_MAX);
	f = files_each(l->account->maildir, path, list_file, &list);
	in_uid_order(&list);
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
	buf_done(&list.rows);
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

struct fault load_write_sidecar(struct account *a, const char *dir, const struct sidecar_mailbox *s)
{
	char path[BOX_PATH_MAX];
	struct buf text;
	struct fault f;

	box_path(path, dir, LAYOUT_MAILBOX_FILE, NULL);
	buf_init(&text, SIDECAR_MAX);
	f = sidecar_mailbox_write(s, &text);
	if (!f.kind)
		f = files_replace(a->maildir, path, buf_sv(&text), account_conf(a)->umask_file);
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
	f = load_write_sidecar(a, dir, out);
	if (f.kind)
		sidecar_mailbox_done(out);
	return f;
}

/* --- folders ---------------------------------------------------------------------------------------------------------- */

void folder_list_add(struct folder_list *l, const char *dir)
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
		folder_list_add(l, name);
	return true;
}

struct fault folder_list_read(struct folder_list *l)
{
	return files_each(l->account->maildir, ".", list_folder, l);
}

void folder_list_done(struct folder_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->dirs[i]);
	free(l->dirs);
}

/* --- into an index ---------------------------------------------------------------------------------------------------- */

struct fault load_folder(struct kv_txn *kv, void *arg)
{
	struct load_folder *r = arg;
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
		f = load_write_sidecar(r->account, r->dir, &r->side);
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

/* --- flags that names have not followed yet ------------------------------------------------------------------------------ */

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

struct fault load_flag_log(struct kv_txn *kv, void *arg)
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
