/* maildir/adopt.c - what lies in the folders becomes what stands in the index (account_private.h, adopt_*).
 *
 * In a live index a file whose name says a UID that has no row is new mail and gets a new UID; only a rebuild trusts
 * such names. A file whose row has it under other flags was renamed by somebody else: his changes are laid onto ours. A row
 * is dropped only if its name is not there inside a transaction and two scans in a row did not see the file:
 * readdir misses files while names change. */
#include "maildir/adopt_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/lines.h"
#include "common/log.h"
#include "common/memory.h"
#include "maildir/files.h"
#include "maildir/store_private.h"
#include "maildir/walk_private.h"

#include "common/banned.h"

#define SETTLED_NS ((int64_t)2000000000)        /* a folder time older than this cannot hide a later change */
#define SMALL_BOX 256                           /* messages: scanning so few costs less than wondering */

/* --- one look ---------------------------------------------------------------------------------------------------- */

struct look {
	struct account *account;
	struct kv_txn *kv;
	struct index_box *box;
	struct found *found;
	size_t count, cap;
	uint32_t *seen;                 /* UIDs whose files are there, be it under other flags than their rows say */
	size_t seen_count, seen_cap;
	bool in_new;
	struct fault fault;
};

static void look_done(struct look *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->found[i].name);
	free(l->found);
	free(l->seen);
	l->found = NULL;
	l->seen = NULL;
	l->count = l->cap = l->seen_count = l->seen_cap = 0;
}

static void note_seen(struct look *l, uint32_t uid)
{
	if (l->seen_count == l->seen_cap) {
		l->seen_cap = l->seen_cap ? l->seen_cap * 2 : 256;
		l->seen = xrealloc(l->seen, l->seen_cap * sizeof(*l->seen));
	}
	l->seen[l->seen_count++] = uid;
}

static bool look_at(void *arg, const char *name, unsigned char type)
{
	struct look *l = arg;
	struct filename n;
	struct index_row row;

	if (type != DT_REG || !filename_parse(sv_z(name), &n))
		return true;
	if (!l->in_new && n.has_uid && n.uidvalidity == l->box->uidvalidity) {
		struct fault f = index_row_get(l->kv, l->box->id, n.uid, &row);
		if (!f.kind && !strcmp(row.name, name)) {
			note_seen(l, n.uid);
			return true;
		}
		/* Under other flags it is there, too, even if it has got others again by the time it is adopted. */
		if (!f.kind && filename_same_but_flags(sv_z(row.name), sv_z(name)))
			note_seen(l, n.uid);
		if (f.kind && f.kind != FAULT_NOT_FOUND) {
			l->fault = f;
			return false;
		}
	}
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->found = xrealloc(l->found, l->cap * sizeof(*l->found));
	}
	l->found[l->count++] = (struct found){ .name = xstrdup(name), .in_new = l->in_new, .saved = n.saved };
	return true;
}

static int by_arrival(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->saved != y->saved ? (x->saved < y->saved ? -1 : 1) : strcmp(x->name, y->name);
}

static int by_uid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The rows whose files were not seen. */
static struct fault find_missing(struct look *l, struct uidset *missing)
{
	struct walk w;
	size_t at = 0;
	struct fault f = walk_open(&w, l->kv, T_ROWS, l->box->id);

	if (l->seen_count)
		qsort(l->seen, l->seen_count, sizeof(*l->seen), by_uid);
	if (!f.kind)
		f = walk_seek(&w, 0);
	for (; !f.kind; f = walk_next(&w)) {
		while (at < l->seen_count && l->seen[at] < w.uid)
			at++;
		if (at == l->seen_count || l->seen[at] != w.uid)
			uidset_add(missing, w.uid, w.uid);
	}
	walk_close(&w);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

/* Read the folders; *missing gets the rows whose files were not there (only when cur/ was read). */
static struct fault look(struct look *l, bool cur, struct uidset *missing)
{
	char path[BOX_PATH_MAX];
	struct fault f;

	look_done(l);
	l->fault = FAULT_OK;
	l->in_new = true;
	box_path(path, l->box->dir, "new", NULL);
	f = files_each(l->account->maildir, path, look_at, l);
	if (f.kind == FAULT_NOT_FOUND)  /* a folder without new/: somebody tidied up */
		f = FAULT_OK;
	if (!f.kind && cur) {
		l->in_new = false;
		box_path(path, l->box->dir, "cur", NULL);
		f = files_each(l->account->maildir, path, look_at, l);
	}
	if (!f.kind)
		f = account_judge(l->account, l->fault);
	if (l->count)
		qsort(l->found, l->count, sizeof(*l->found), by_arrival);
	return f.kind || !cur ? f : account_judge(l->account, find_missing(l, missing));
}

/* --- what a file is ---------------------------------------------------------------------------------------------- */

bool adopt_measure(struct account *a, const char *dir, struct found *found)
{
	char path[BOX_PATH_MAX], piece[65536] UNCLEARED;
	struct filename n;
	struct stat st;
	int fd;

	box_path(path, dir, found->in_new ? "new" : "cur", found->name);
	if (fstatat(a->maildir, path, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return false;
	found->size = found->wire_size = (uint64_t)st.st_size;
	found->mtime = st.st_mtim.tv_sec;
	/* The name says both sizes, and the one we can check is true, if need be of a packed file. */
	bool says_sizes = filename_parse(sv_z(found->name), &n) && n.has_size && n.has_wire_size && n.wire_size >= n.size;

	if (says_sizes && n.size == found->size) {
		found->wire_size = n.wire_size;
		return true;
	}
	if (files_open_sized(a->maildir, path, &fd, &found->size).kind)
		return false;
	found->wire_size = found->size;
	if (says_sizes && files_is_packed(fd, n.size)) {
		found->size = n.size;
		found->wire_size = n.wire_size;
		close(fd);
		return true;
	}
	uint64_t bare = 0;
	char last = 0;
	ssize_t got = 0;
	while ((got = read(fd, piece, sizeof(piece))) > 0 || (got < 0 && errno == EINTR)) {
		for (ssize_t i = 0; i < got; i++) {
			bare += piece[i] == '\n' && last != '\r';
			last = piece[i];
		}
	}
	found->wire_size += bare;
	close(fd);
	return !got;
}

void adopt_keep_known_keywords(struct keyword_bits *bits, uint32_t count)
{
	for (unsigned w = 0; w < 2; w++) {
		uint32_t have = count > w * 64 ? count - w * 64 : 0;
		if (have < 64)
			bits->w[w] &= ((uint64_t)1 << have) - 1;
	}
}

/* Theirs onto ours: what the other program changed against the name we knew; where both changed a flag, ours stands. */
static uint64_t merge(uint64_t ours, uint64_t known, uint64_t theirs)
{
	return ours ^ ((theirs ^ known) & ~(ours ^ known));
}

static struct fault take_new_name(struct index_txn *t, struct index_box *box, struct index_row *row, const char *name,
				  uint32_t keyword_count)
{
	struct filename was, is;
	struct keyword_bits bits;
	struct flag_record record = { .box = box->id };
	struct buf line;
	struct fault f;

	if (!filename_parse(sv_from(row->name, row->h.name_len), &was) || !filename_parse(sv_z(name), &is))
		return fault(FAULT_CORRUPT, "file name in the index");
	uint32_t flags = (uint32_t)merge(row->h.flags, was.flags, is.flags);
	for (unsigned w = 0; w < 2; w++)
		bits.w[w] = merge(row->h.keywords.w[w], was.keywords.w[w], is.keywords.w[w]);
	adopt_keep_known_keywords(&bits, keyword_count);
	row->h.name_len = (uint16_t)strlen(name);
	memcpy(row->name, name, row->h.name_len + 1u);
	bool is_changed = flags != row->h.flags || bits.w[0] != row->h.keywords.w[0] || bits.w[1] != row->h.keywords.w[1];
	bool is_in_name = flags == is.flags && bits.w[0] == is.keywords.w[0] && bits.w[1] == is.keywords.w[1];
	f = is_changed ? index_row_flags(t, box, row, flags, &bits) : index_row_put(t->kv, box->id, row);
	if (f.kind || (!is_changed && is_in_name))
		return f;
	/* Into the log too, or a rebuild would lay an older line of it over this change; or it would not know of ours, whose line
	 * may be gone: whoever let names follow the log did not find this one. */
	record.flags = flags;
	record.keywords = bits;
	uidset_add(&record.uids, row->uid, row->uid);
	buf_init(&line, FLAGLOG_LINE_MAX);
	if (!flaglog_write(&record, &line))
		BUG("one UID does not fit a line");
	f = account_log_flags(t, buf_sv(&line));
	buf_done(&line);
	uidset_done(&record.uids);
	return f;
}

bool adopt_describe(struct account *a, const struct found *found, const struct index_box *box, uint32_t uid,
		    uint32_t keyword_count, struct index_row *row)
{
	char base[FILENAME_BASE_MAX + 64], id[FILENAME_ID_LEN + 1];
	struct filename n;

	if (!filename_parse(sv_z(found->name), &n))
		return false;
	if (!n.is_valid_base || n.base.len > FILENAME_BASE_MAX) {
		/* A name that cannot carry ours: a new one with an id that follows from the old. */
		filename_dedup_id(n.base, id);
		id[0] = 'f';
		n.saved = n.saved ? n.saved : found->mtime;
		snprintf(base, sizeof(base), "%lld.%s.%s", (long long)(n.saved < 0 ? 0 : n.saved), id,
			 store_host(a->store));
		n.base = sv_z(base);
		n.id = sv_z(id);
	}
	if (!n.has_internaldate && found->mtime != n.saved && !n.has_uid) {
		n.has_internaldate = true;      /* the time of the file is the best that other programs tell */
		n.internaldate = found->mtime;
	}
	adopt_keep_known_keywords(&n.keywords, keyword_count);
	n.has_size = n.has_wire_size = n.has_uid = true;
	n.has_stored_size = false;
	n.size = found->size;
	n.wire_size = found->wire_size;
	n.uidvalidity = box->uidvalidity;
	n.uid = uid;
	memset(row, 0, sizeof(*row));
	row->uid = uid;
	row->h.size = n.wire_size;
	row->h.stored = n.size;
	row->h.savedate = n.saved;
	row->h.internaldate = n.has_internaldate ? n.internaldate : n.saved;
	row->h.keywords = n.keywords;
	row->h.flags = n.flags;
	filename_email_digest(n.id, row->h.email);
	if (!filename_write(&n, row->name))
		return false;
	row->h.name_len = (uint16_t)strlen(row->name);
	return true;
}

/* --- laying it into the index ------------------------------------------------------------------------------------ */

static bool same_inode(int dir, const char *a, const char *b)
{
	struct stat x, y;

	return !fstatat(dir, a, &x, AT_SYMLINK_NOFOLLOW) && !fstatat(dir, b, &y, AT_SYMLINK_NOFOLLOW) &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static struct fault adopt_one(struct index_txn *t, struct index_box *box, struct found *found, uint32_t keyword_count)
{
	int dir = t->account->maildir;
	char here[BOX_PATH_MAX], there[BOX_PATH_MAX];
	struct filename n;
	struct index_row row;
	uint32_t uid;
	struct fault f;

	box_path(here, box->dir, found->in_new ? "new" : "cur", found->name);
	if (!filename_parse(sv_z(found->name), &n))
		return FAULT_OK;
	if (!found->in_new && n.has_uid && n.uidvalidity == box->uidvalidity) {
		if (!files_exists(dir, here))
			return FAULT_OK;        /* renamed again meanwhile: the next look finds it */
		f = index_row_get(t->kv, box->id, n.uid, &row);
		if (f.kind && f.kind != FAULT_NOT_FOUND)
			return f;
		if (!f.kind) {
			if (!strcmp(row.name, found->name))
				return FAULT_OK;
			box_path(there, box->dir, "cur", row.name);
			bool is_there = files_exists(dir, there);
			if (!is_there && filename_same_but_flags(sv_z(row.name), sv_z(found->name)))
				return take_new_name(t, box, &row, found->name, keyword_count);
			if (is_there && same_inode(dir, here, there)) {
				/* Two names of one inode: half a rename by hand. The row keeps its own. */
				index_intend(t, box->id);
				return unlinkat(dir, here, 0) ? fault_errno("unlink", here) : FAULT_OK;
			}
		}
	}
	f = index_take_uids(t, box, 1, &uid);
	if (f.kind)
		return f;
	if (!adopt_describe(t->account, found, box, uid, keyword_count, &row))
		return FAULT_OK;
	box_path(there, box->dir, "cur", row.name);
	index_intend(t, box->id);
	/* The very next UID: then this is what a writer died over before its row was there. */
	if (strcmp(here, there)) {
		f = files_rename_new(dir, here, dir, there);
		if (f.kind)     /* renamed or removed meanwhile: nobody gets its UID */
			return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
		index_undo_note(t, here, there);
	}
	t->meta.unparsed++;
	t->meta_changed = true;
	atomic_store(&t->account->is_filled, false);
	return index_row_add(t, box, &row);
}

static struct fault drop_one(struct index_txn *t, struct index_box *box, uint32_t uid)
{
	struct index_row row;
	char path[BOX_PATH_MAX];
	struct fault f = index_row_get(t->kv, box->id, uid, &row);

	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	box_path(path, box->dir, "cur", row.name);
	return files_exists(t->account->maildir, path) ? FAULT_OK : index_row_del(t, box, &row);
}

struct adoption {
	uint64_t box;
	struct found *found;            /* one chunk */
	size_t count;
	const struct uidset *gone;      /* rows to drop if they are still without file, from resume on */
	uint32_t resume, next;
};

static struct fault adopt_chunk(struct index_txn *t, void *arg)
{
	struct adoption *ad = arg;
	struct index_box box;
	struct keyword_names names;
	struct fault f = index_box_get(t->kv, ad->box, &box);
	uint32_t uid = ad->gone ? uidset_next(ad->gone, ad->resume) : 0;

	if (!f.kind)
		f = index_keywords_get(t->kv, ad->box, &names);
	if (f.kind)
		return f;
	adopt_check_times(t->account, &box);
	for (size_t i = 0; !f.kind && i < ad->count; i++)
		f = adopt_one(t, &box, &ad->found[i], names.count);
	for (unsigned n = 0; !f.kind && uid && n < CHUNK_MAX; n++) {
		f = drop_one(t, &box, uid);
		uid = uid == UINT32_MAX ? 0 : uidset_next(ad->gone, uid + 1);
	}
	ad->next = uid;
	adopt_note_times(t->account, &box);
	return f.kind ? f : index_box_put(t->kv, &box);
}

static void intersect(struct uidset *set, const struct uidset *with)
{
	struct uidset both = { 0 };
	uint32_t uid = uidset_next(set, 1);

	while (uid) {
		if (uidset_has(with, uid))
			uidset_add(&both, uid, uid);
		uid = uid == UINT32_MAX ? 0 : uidset_next(set, uid + 1);
	}
	uidset_done(set);
	*set = both;
}

struct settled {
	uint64_t box;
	int64_t cur, new;
	bool looked_at_cur;
};

static struct fault note_settled(struct index_txn *t, void *arg)
{
	const struct settled *s = arg;
	struct index_box box;
	struct fault f = index_box_get(t->kv, s->box, &box);

	if (f.kind)
		return f;
	if (s->looked_at_cur) {
		box.cur_mtime = s->cur;
		box.needs_scan = 0;
	}
	box.new_mtime = s->new;
	return index_box_put(t->kv, &box);
}

static int64_t wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t folder_time(struct account *a, const char *dir, const char *sub)
{
	char path[BOX_PATH_MAX];

	box_path(path, dir, sub, NULL);
	return files_mtime(a->maildir, path);
}

/* One round: look, adopt what is new, drop what two looks missed. *quiet: there was nothing to do. */
static struct fault scan_round(struct account *a, uint64_t id, bool cur, struct uidset *missing_before, bool has_before,
			       bool *quiet)
{
	struct index_box box;
	struct kv_txn *kv;
	struct uidset missing = { 0 }, gone = { 0 };
	struct settled settled = { .box = id, .looked_at_cur = cur };
	struct fault f = account_read(a, &kv);

	if (f.kind)
		return f;
	struct look l = { .account = a, .kv = kv, .box = &box };
	f = index_box_get(kv, id, &box);
	if (!f.kind) {
		settled.cur = folder_time(a, box.dir, "cur");
		settled.new = folder_time(a, box.dir, "new");
		if (wall_ns() - settled.new < SETTLED_NS)
			settled.new = 0;        /* too young: a later delivery could leave the same time */
		f = look(&l, cur, &missing);
	}
	kv_read_end(&kv);
	size_t kept = 0;
	for (size_t i = 0; !f.kind && i < l.count; i++) {
		if (adopt_measure(a, box.dir, &l.found[i]))
			l.found[kept++] = l.found[i];
		else
			free(l.found[i].name);
	}
	if (!f.kind)
		l.count = kept;
	for (size_t at = 0; !f.kind && at < l.count; at += CHUNK_MAX) {
		struct adoption ad = { .box = id, .found = l.found + at,
				       .count = l.count - at > CHUNK_MAX ? CHUNK_MAX : l.count - at };
		f = index_update(a, adopt_chunk, &ad);
	}
	if (!f.kind && has_before) {
		uidset_copy(&gone, &missing);
		intersect(&gone, missing_before);
		struct adoption ad = { .box = id, .gone = &gone, .resume = 1 };
		while (!f.kind && uidset_next(&gone, ad.resume)) {
			f = index_update(a, adopt_chunk, &ad);
			if (!ad.next)
				break;
			ad.resume = ad.next;
		}
	}
	*quiet = !l.count && !missing.count;
	/* A folder that is still too young says nothing new each time. */
	bool is_noted = settled.new == box.new_mtime && (!cur || (settled.cur == box.cur_mtime && !box.needs_scan));
	if (!f.kind && *quiet && !is_noted)
		f = index_update(a, note_settled, &settled);
	if (l.count && !f.kind)
		log_info(NULL, "store.adopted", KV_Z("account", a->address), KV_Z("mailbox", box.name),
			 KV_U64("files", l.count));
	uidset_done(missing_before);
	*missing_before = missing;
	uidset_done(&gone);
	look_done(&l);
	return f;
}

static struct fault scan(struct account *a, uint64_t id, bool cur)
{
	struct uidset missing = { 0 };
	bool quiet = false;
	struct fault f = FAULT_OK;

	for (int round = 0; !f.kind && !quiet && round < 5; round++)
		f = scan_round(a, id, cur, &missing, round > 0 && cur, &quiet);
	uidset_done(&missing);
	return f;
}

struct fault adopt_scan(struct account *a, uint64_t box)
{
	return scan(a, box, true);
}

struct fault adopt_refresh(struct account *a, uint64_t id)
{
	struct index_box box;
	struct kv_txn *kv;
	struct fault f = account_read(a, &kv);

	if (f.kind)
		return f;
	f = index_box_get(kv, id, &box);
	kv_read_end(&kv);
	if (f.kind || account_is_refreshed(id) || atomic_load(&a->is_read_only))
		return f;
	int64_t cur = folder_time(a, box.dir, "cur"), new = folder_time(a, box.dir, "new");
	if (!cur && !strcmp(box.dir, ".")) {
		/* INBOX is always there: its folders are made again. */
		(void)!files_mkdir(a->maildir, "cur", account_conf(a)->umask_dir, NULL).kind;
		(void)!files_mkdir(a->maildir, "new", account_conf(a)->umask_dir, NULL).kind;
		(void)!files_mkdir(a->maildir, "tmp", account_conf(a)->umask_dir, NULL).kind;
		cur = folder_time(a, box.dir, "cur");
	}
	if (!cur) {
		/* The folder is gone: removed or renamed by another program. */
		f = adopt_folders(a);
		return f.kind ? f : fault(FAULT_NOT_FOUND, "mailbox folder is gone");
	}
	bool look_cur = box.needs_scan || cur != box.cur_mtime ||
			(box.messages <= SMALL_BOX && files_is_fresh(cur));
	if (look_cur || new != box.new_mtime)
		f = scan(a, id, look_cur);
	if (fault_is_unwritable(f.kind))        /* what cannot be noted is not shown until it can */
		f = FAULT_OK;
	if (!f.kind)
		account_note_refreshed(id);
	return f;
}

struct fault adopt_find(struct account *a, uint64_t id, const char *dir)
{
	return folder_time(a, dir, "cur") ? FAULT_OK : adopt_refresh(a, id);
}

/* Between a change by another program and one of ours in the same tick of the kernel's clock there is no difference to see:
 * it is then noticed with the next change. */
void adopt_check_times(struct account *a, struct index_box *box)
{
	if (!box->needs_scan && folder_time(a, box->dir, "cur") != box->cur_mtime)
		box->needs_scan = 1;
}

void adopt_note_times(struct account *a, struct index_box *box)
{
	box->cur_mtime = folder_time(a, box->dir, "cur");
}

/* --- after a crash, inside the transaction that found the intent -------------------------------------------------- */

static struct fault recover_box(struct index_txn *t, uint64_t id)
{
	struct index_box box;
	struct keyword_names names;
	struct uidset missing = { 0 }, again = { 0 };
	struct fault f = index_box_get(t->kv, id, &box);

	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	f = index_keywords_get(t->kv, id, &names);
	struct look l = { .account = t->account, .kv = t->kv, .box = &box };
	if (!f.kind)
		f = look(&l, true, &missing);
	for (size_t i = 0; !f.kind && i < l.count; i++)
		if (adopt_measure(t->account, box.dir, &l.found[i])) {
			f = adopt_one(t, &box, &l.found[i], names.count);
			if (t->renew_box) {     /* no UIDs left, and no reserving in here: later, then */
				t->renew_box = 0;
				box.needs_scan = 1;
				f = FAULT_OK;
				break;
			}
		}
	if (!f.kind)
		f = look(&l, true, &again);
	intersect(&missing, &again);
	for (uint32_t uid = uidset_next(&missing, 1); !f.kind && uid; uid = uidset_next(&missing, uid + 1)) {
		f = drop_one(t, &box, uid);
		if (uid == UINT32_MAX)
			break;
	}
	look_done(&l);
	uidset_done(&missing);
	uidset_done(&again);
	adopt_note_times(t->account, &box);
	return f.kind ? f : index_box_put(t->kv, &box);
}

/* A delivery: did its file get the name? Then it gets its row. */
static struct fault recover_file(struct index_txn *t, const struct intent_file *file)
{
	struct found found = { .name = (char *)(uintptr_t)file->name };
	struct keyword_names names;
	struct index_box box;
	struct fault f = index_box_get(t->kv, file->box, &box);

	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	if (!adopt_measure(t->account, box.dir, &found))
		return FAULT_OK;
	f = index_keywords_get(t->kv, file->box, &names);
	if (!f.kind)
		f = adopt_one(t, &box, &found, names.count);
	if (t->renew_box) {
		t->renew_box = 0;
		box.needs_scan = 1;
		f = FAULT_OK;
	}
	adopt_note_times(t->account, &box);
	return f.kind ? f : index_box_put(t->kv, &box);
}

static struct fault recover_all(struct index_txn *t)
{
	uint64_t *ids = NULL;
	size_t count = 0;
	struct fault f = adopt_box_ids(t->kv, &ids, &count);

	for (size_t i = 0; !f.kind && i < count; i++)
		f = recover_box(t, ids[i]);
	free(ids);
	return f;
}

struct fault adopt_recover(struct index_txn *t, const struct intent *intent)
{
	struct fault f = intent->folders ? adopt_sync_folders(t) : FAULT_OK;

	for (uint32_t i = 0; !f.kind && i < intent->file_count; i++)
		f = recover_file(t, &intent->files[i]);
	if (!f.kind && intent->box_count > INTENT_BOXES)
		f = recover_all(t);
	for (uint32_t i = 0; !f.kind && i < intent->box_count && i < INTENT_BOXES; i++)
		f = recover_box(t, intent->boxes[i]);
	return f;
}
