#include "maildir/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/memory.h"
#include "maildir/adopt_private.h"
#include "maildir/facts.h"
#include "maildir/files.h"
#include "maildir/store_private.h"
#include "maildir/scripts_private.h"
#include "maildir/walk_private.h"

#include "common/banned.h"

#define COPY_PIECE ((size_t)1 << 20)
#define PROGRESS_EVERY 256
#define RESTORED_UIDS 1000000           /* skipped in each mailbox of a restored account */

/* One message of the snapshot, as it stands in the list file; the file's name follows. */
struct entry {
	uint64_t box;
	uint32_t box_index, uid;
	uint32_t flags;
	uint16_t name_len;
	uint8_t in_new, spare;
	struct keyword_bits keywords;
	uint8_t email[16];
	uint64_t size;
};

/* Names of a mailbox in the earlier copy, sorted. */
struct names {
	char **items;
	size_t count, cap;
};

struct backup {
	struct account *account;
	int to, previous;               /* Maildirs; previous may be -1 */
	struct backup_counts *counts;
	store_progress_fn *fn;
	void *arg;
	FILE *list;                     /* of entries: a million messages need no memory */
	uint64_t total;
	char (*dirs)[LAYOUT_DIR_MAX + 1];       /* by box_index */
	size_t dir_count;
	struct names known;             /* of the mailbox at hand */
	uint32_t known_box;
	bool has_known;
	bool can_link;                  /* source and target share a file system, as far as was seen */
	struct entry *lost;             /* their file was not where the row said */
	char (*lost_names)[FILENAME_MAX_LEN + 1];       /* what each is to be called */
	size_t lost_count, lost_cap;
};

/* --- the list ----------------------------------------------------------------------------------------------------- */

static struct fault list_box(struct backup *b, struct kv_txn *kv, uint64_t id, uint32_t box_index)
{
	struct walk w;
	struct fault f = walk_open(&w, kv, T_ROWS, id);

	if (!f.kind)
		f = walk_seek(&w, 0);
	while (!f.kind) {
		struct index_row row;
		f = walk_row(&w, &row);
		if (f.kind)
			break;
		struct entry e = { .box = id, .box_index = box_index, .uid = row.uid, .flags = row.h.flags,
				   .name_len = row.h.name_len, .in_new = row.h.in_new, .keywords = row.h.keywords,
				   .size = row.h.stored };
		memcpy(e.email, row.h.email, sizeof(e.email));
		if (fwrite(&e, sizeof(e), 1, b->list) != 1 || fwrite(row.name, e.name_len, 1, b->list) != 1) {
			f = fault_errno("write", "list of messages");
			break;
		}
		b->total++;
		f = walk_next(&w);
	}
	walk_close(&w);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static struct fault list_all(struct backup *b)
{
	struct kv_txn *kv = NULL;
	uint64_t *ids = NULL;
	size_t count = 0;
	struct fault f = account_read(b->account, &kv);

	if (!f.kind)
		f = adopt_box_ids(kv, &ids, &count);
	if (!f.kind)
		b->dirs = xcalloc(count ? count : 1, sizeof(*b->dirs));
	for (size_t i = 0; !f.kind && i < count; i++) {
		struct index_box box;
		f = index_box_get(kv, ids[i], &box);
		if (!f.kind)
			memcpy(b->dirs[i], box.dir, sizeof(box.dir));
		if (!f.kind)
			f = list_box(b, kv, ids[i], (uint32_t)i);
	}
	f = account_judge(b->account, f);
	b->dir_count = count;
	kv_read_end(&kv);
	free(ids);
	if (!f.kind && fflush(b->list))
		f = fault_errno("write", "list of messages");
	rewind(b->list);
	return f;
}

/* --- folders and sidecars ----------------------------------------------------------------------------------------- */

static struct fault copy_small(struct backup *b, const char *dir, const char *name)
{
	char path[BOX_PATH_MAX];
	struct buf text;

	box_path(path, dir, name, NULL);
	buf_init(&text, FACTS_MAX);
	struct fault f = files_read(b->account->maildir, path, &text);

	if (!f.kind)
		f = files_write_new(b->to, path, buf_sv(&text), 0600);
	buf_done(&text);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static struct fault make_folders(struct backup *b)
{
	static const char *const subs[] = { "cur", "new", "tmp" };
	char path[BOX_PATH_MAX];
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < b->dir_count; i++) {
		if (strcmp(b->dirs[i], ".") != 0)
			f = files_mkdir(b->to, b->dirs[i], 0700, NULL);
		for (size_t k = 0; !f.kind && k < ARRAY_LEN(subs); k++) {
			box_path(path, b->dirs[i], subs[k], NULL);
			f = files_mkdir(b->to, path, 0700, NULL);
		}
		b->counts->mailboxes++;
	}
	return f;
}

struct sidecars {
	struct backup *b;
	const char *dir;
	struct fault fault;
};

/* Everything of ours but the lock, what is half made, and the flag log, which the names in the copy have followed already. */
static bool copy_sidecar(void *arg, const char *name, unsigned char type)
{
	struct sidecars *s = arg;

	if (type == DT_REG && sv_starts(sv_z(name), SV("postroom-")) && strcmp(name, LAYOUT_LOCK_FILE) != 0 &&
	    strcmp(name, LAYOUT_FLAG_LOG) != 0 && !sv_starts(sv_z(name), SV("postroom-new.")) &&
	    strcmp(name, LAYOUT_ACCOUNT_FILE) != 0 && strcmp(name, LAYOUT_SUBSCRIPTIONS_FILE) != 0)
		s->fault = copy_small(s->b, s->dir, name);
	return !s->fault.kind;
}

/* After the list: what the sidecars say of UIDs and keywords then covers every name in it. */
static struct fault copy_sidecars(struct backup *b)
{
	struct fault f = copy_small(b, ".", LAYOUT_ACCOUNT_FILE);

	if (!f.kind)
		f = copy_small(b, ".", LAYOUT_SUBSCRIPTIONS_FILE);
	for (size_t i = 0; !f.kind && i < b->dir_count; i++) {
		struct sidecars s = { .b = b, .dir = b->dirs[i] };

		f = files_each(b->account->maildir, b->dirs[i], copy_sidecar, &s);
		if (!f.kind)
			f = s.fault;
		if (f.kind == FAULT_NOT_FOUND)  /* the mailbox was deleted behind the list */
			f = FAULT_OK;
		if (!f.kind && strcmp(b->dirs[i], ".") != 0)
			f = copy_small(b, b->dirs[i], "maildirfolder");
	}
	return f;
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static int name_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool note_known(void *arg, const char *name, unsigned char type)
{
	struct names *n = arg;

	(void)type;
	if (n->count == n->cap) {
		n->cap = n->cap ? n->cap * 2 : 256;
		n->items = xrealloc(n->items, n->cap * sizeof(*n->items));
	}
	n->items[n->count++] = xstrdup(name);
	return true;
}

static void drop_known(struct backup *b)
{
	for (size_t i = 0; i < b->known.count; i++)
		free(b->known.items[i]);
	free(b->known.items);
	b->known = (struct names){ 0 };
	b->has_known = false;
}

/* The earlier copy's name of this message: the same but for flags. NULL: it is new since then. */
static const char *find_known(struct backup *b, const struct entry *e, const char *name)
{
	char path[BOX_PATH_MAX];

	if (b->previous < 0)
		return NULL;
	if (!b->has_known || b->known_box != e->box_index) {
		drop_known(b);
		box_path(path, b->dirs[e->box_index], "cur", NULL);
		struct fault f = files_each(b->previous, path, note_known, &b->known);
		(void)f;                /* a mailbox that is new since then: nothing is known of it */
		if (b->known.count)
			qsort(b->known.items, b->known.count, sizeof(*b->known.items), name_order);
		b->known_box = e->box_index;
		b->has_known = true;
	}
	/* Everything before ":2," is the same, so it sorts right beside where this name would stand. */
	size_t low = 0, high = b->known.count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (strcmp(b->known.items[mid], name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t at = low ? low - 1 : 0; at < b->known.count && at <= low + 1; at++)
		if (filename_same_but_flags(sv_z(b->known.items[at]), sv_z(name)))
			return b->known.items[at];
	return NULL;
}

static struct fault copy_octets(struct backup *b, const char *from, const char *to)
{
	struct stat st;
	int in = -1;
	struct fault f = files_open_regular(b->account->maildir, from, &in);

	if (f.kind)
		return f;
	int out = files_open(b->to, to, O_WRONLY | O_CREAT | O_EXCL, 0600);

	if (out < 0)
		f = fault_errno("create", to);
	else if (fstat(in, &st))
		f = fault_errno("fstat", from);
	if (!f.kind && ioctl(out, FICLONE, in) != 0) {
		char *piece = xmalloc(COPY_PIECE);
		ssize_t n = 1;
		while (!f.kind && n) {
			n = read(in, piece, COPY_PIECE);
			if (n < 0 && errno == EINTR)
				continue;
			f = n < 0 ? fault_errno("read", from) : files_write_all(out, sv_from(piece, (size_t)n));
		}
		free(piece);
	}
	if (!f.kind) {
		/* INTERNALDATE of adopted mail lies in the time stamp until its name says it. */
		struct timespec times[2] = { st.st_atim, st.st_mtim };
		if (futimens(out, times))
			f = fault_errno("set time", to);
	}
	close(in);
	if (out >= 0 && close(out) && !f.kind)
		f = fault_errno("close", to);
	return f;
}

/* FAULT_NOT_FOUND: the source is not where it was. */
static struct fault take_file(struct backup *b, const struct entry *e, const char *from, const char *to, const char *name)
{
	char known[BOX_PATH_MAX];

	if (b->can_link) {
		if (linkat(b->account->maildir, from, b->to, to, 0) == 0) {
			b->counts->linked++;
			return FAULT_OK;
		}
		if (errno == ENOENT)
			return fault(FAULT_NOT_FOUND, "no such file");
		if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != EOPNOTSUPP)
			return fault_errno("link", to);
		b->can_link = errno == EMLINK;
	}
	const char *earlier = find_known(b, e, name);

	if (earlier) {
		box_path(known, b->dirs[e->box_index], "cur", earlier);
		if (linkat(b->previous, known, b->to, to, 0) == 0) {
			b->counts->known++;
			return FAULT_OK;
		}
	}
	struct fault f = copy_octets(b, from, to);

	if (!f.kind)
		b->counts->copied++;
	else if (f.kind != FAULT_NOT_FOUND)
		unlinkat(b->to, to, 0);
	return f;
}

static void note_lost(struct backup *b, const struct entry *e, const char *name)
{
	if (b->lost_count == b->lost_cap) {
		b->lost_cap = b->lost_cap ? b->lost_cap * 2 : 16;
		b->lost = xrealloc(b->lost, b->lost_cap * sizeof(*b->lost));
		b->lost_names = xrealloc(b->lost_names, b->lost_cap * sizeof(*b->lost_names));
	}
	b->lost[b->lost_count] = *e;
	memcpy(b->lost_names[b->lost_count], name, strlen(name) + 1);
	b->lost_count++;
}

static void count_message(struct backup *b, const struct entry *e)
{
	b->counts->messages++;
	b->counts->octets += e->size;
}

static struct fault take_entry(struct backup *b, const struct entry *e, const char *row_name)
{
	char from[BOX_PATH_MAX], to[BOX_PATH_MAX], name[FILENAME_MAX_LEN + 1];
	struct filename n;

	if (!filename_parse(sv_z(row_name), &n))
		return fault(FAULT_CORRUPT, "index: file name");
	n.flags = e->flags;
	n.keywords = e->keywords;
	if (!filename_write(&n, name))
		memcpy(name, row_name, strlen(row_name) + 1);
	box_path(from, b->dirs[e->box_index], e->in_new ? "new" : "cur", row_name);
	box_path(to, b->dirs[e->box_index], "cur", name);
	struct fault f = take_file(b, e, from, to, name);

	if (f.kind == FAULT_NOT_FOUND) {
		note_lost(b, e, name);
		return FAULT_OK;
	}
	if (!f.kind)
		count_message(b, e);
	return f;
}

static struct fault take_all(struct backup *b)
{
	struct entry e;
	char name[FILENAME_MAX_LEN + 1];
	uint64_t done = 0;
	struct fault f = FAULT_OK;

	while (!f.kind && fread(&e, sizeof(e), 1, b->list) == 1) {
		if (e.name_len > FILENAME_MAX_LEN || fread(name, e.name_len, 1, b->list) != 1)
			return fault(FAULT_INTERNAL, "list of messages: cut short");
		name[e.name_len] = '\0';
		f = take_entry(b, &e, name);
		if (b->fn && (++done % PROGRESS_EVERY == 0 || done == b->total))
			b->fn(b->arg, done, b->total);
	}
	return f;
}

/* Is what lies here now one of the lost? Then it is taken. */
static bool take_lost(struct backup *b, const struct index_box *box, const struct index_row *row)
{
	for (size_t i = 0; i < b->lost_count; i++) {
		char from[BOX_PATH_MAX], to[BOX_PATH_MAX];
		if (memcmp(row->h.email, b->lost[i].email, sizeof(row->h.email)) != 0)
			continue;
		box_path(from, box->dir, row->h.in_new ? "new" : "cur", row->name);
		box_path(to, b->dirs[b->lost[i].box_index], "cur", b->lost_names[i]);
		if (take_file(b, &b->lost[i], from, to, b->lost_names[i]).kind)
			continue;
		count_message(b, &b->lost[i]);
		b->lost[i] = b->lost[--b->lost_count];
		memcpy(b->lost_names[i], b->lost_names[b->lost_count], sizeof(b->lost_names[i]));
		return true;
	}
	return false;
}

static struct fault find_lost_in(struct backup *b, struct kv_txn *kv, uint64_t id, bool *found_any)
{
	struct index_box box;
	struct walk w = { .c = NULL };
	struct fault f = index_box_get(kv, id, &box);

	if (!f.kind)
		f = walk_open(&w, kv, T_ROWS, id);
	if (!f.kind)
		f = walk_seek(&w, 0);
	while (!f.kind && b->lost_count) {
		struct index_row row;
		f = walk_row(&w, &row);
		if (f.kind)
			break;
		if (take_lost(b, &box, &row))
			*found_any = true;
		f = walk_next(&w);
	}
	walk_close(&w);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

/* Renamed by a flag change, or moved: its digest is in a row elsewhere. */
static struct fault find_lost(struct backup *b, struct kv_txn *kv, bool *found_any)
{
	uint64_t *ids = NULL;
	size_t count = 0;
	struct fault f = adopt_box_ids(kv, &ids, &count);

	*found_any = false;
	for (size_t i = 0; !f.kind && b->lost_count && i < count; i++)
		f = find_lost_in(b, kv, ids[i], found_any);
	free(ids);
	return f;
}

static struct fault look_again(struct backup *b, bool *found_any)
{
	struct kv_txn *kv = NULL;
	struct fault f = account_read(b->account, &kv);

	if (f.kind)
		return f;
	f = account_judge(b->account, find_lost(b, kv, found_any));
	kv_read_end(&kv);
	return f;
}

/* Nothing is renamed while this looks. A second time, when the map had to grow: what was found is off the list. */
static struct fault look_alone(struct index_txn *t, void *arg)
{
	bool found_any;

	return find_lost(arg, t->kv, &found_any);
}

static struct fault backup_inside(struct backup *b)
{
	bool found_any = true;
	struct fault f = list_all(b);

	if (!f.kind)
		f = make_folders(b);
	if (!f.kind)
		f = copy_sidecars(b);
	if (!f.kind)
		f = take_all(b);
	/* Files can move again while we look, and faster than we do: then we have to look where nobody else may move any. What is
	 * not found there was expunged. */
	for (int round = 0; !f.kind && b->lost_count && found_any && round < 8; round++)
		f = look_again(b, &found_any);
	if (!f.kind && b->lost_count)
		f = index_update(b->account, look_alone, b);
	b->counts->gone += b->lost_count;
	return f;
}

struct fault store_backup_account(struct store *store, struct sv address, int to, int previous,
				  struct backup_counts *counts, store_progress_fn *fn, void *arg)
{
	struct backup b = { .to = -1, .previous = -1, .counts = counts, .fn = fn, .arg = arg, .can_link = true };
	struct fault f = store_account(store, address, &b.account);

	if (f.kind)
		return f;
	f = files_mkdir(to, LAYOUT_MAILDIR, 0700, NULL);
	if (!f.kind && (b.to = files_open(to, LAYOUT_MAILDIR, O_RDONLY | O_DIRECTORY, 0)) < 0)
		f = fault_errno("open", LAYOUT_MAILDIR);
	if (!f.kind && !(b.list = tmpfile()))
		f = fault_errno("make", "list of messages");
	if (previous >= 0)
		b.previous = files_open(previous, LAYOUT_MAILDIR, O_RDONLY | O_DIRECTORY, 0);
	if (!f.kind)
		f = account_enter(b.account);
	if (!f.kind) {
		f = backup_inside(&b);
		if (!f.kind)
			f = scripts_backup(b.account->dir, to);
		account_leave(b.account);
	}
	if (b.list)
		fclose(b.list);
	if (b.to >= 0)
		close(b.to);
	if (b.previous >= 0)
		close(b.previous);
	drop_known(&b);
	free(b.dirs);
	free(b.lost);
	free(b.lost_names);
	store_account_unref(&b.account);
	return f;
}

/* --- after a restore ---------------------------------------------------------------------------------------------- */

static struct fault raise_mailbox(int maildir, const char *dir)
{
	char path[BOX_PATH_MAX];
	struct sidecar_mailbox s;
	struct buf text;

	box_path(path, dir, LAYOUT_MAILBOX_FILE, NULL);
	buf_init(&text, SIDECAR_MAX);
	struct fault f = files_read(maildir, path, &text);

	if (!f.kind)
		f = sidecar_mailbox_parse(buf_sv(&text), &s);
	if (!f.kind) {
		s.generation++;
		s.uid_ceiling = s.uid_ceiling > UINT32_MAX - 2 * RESTORED_UIDS ? s.uid_ceiling :
										s.uid_ceiling + RESTORED_UIDS;
		buf_clear(&text);
		f = sidecar_mailbox_write(&s, &text);
		if (!f.kind)
			f = files_replace(maildir, path, buf_sv(&text), 0600);
		sidecar_mailbox_done(&s);
	}
	buf_done(&text);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct raising {
	int maildir;
	struct fault fault;
};

static bool raise_one(void *arg, const char *name, unsigned char type)
{
	struct raising *r = arg;
	(void)type;

	if (name[0] == '.' && name[1] != '\0')
		r->fault = raise_mailbox(r->maildir, name);
	return !r->fault.kind;
}

static struct fault raise_account(int maildir)
{
	struct sidecar_account s;
	struct buf text;

	buf_init(&text, SIDECAR_MAX);
	struct fault f = files_read(maildir, LAYOUT_ACCOUNT_FILE, &text);

	if (!f.kind)
		f = sidecar_account_parse(buf_sv(&text), &s);
	if (!f.kind) {
		s.generation++;
		s.uidvalidity_floor += UIDVALIDITY_BLOCK * 16;
		s.modseq_ceiling += (uint64_t)RESTORED_UIDS << 10;
		buf_clear(&text);
		f = sidecar_account_write(&s, &text);
		if (!f.kind)
			f = files_replace(maildir, LAYOUT_ACCOUNT_FILE, buf_sv(&text), 0600);
		sidecar_account_done(&s);
	}
	buf_done(&text);
	return f;
}

struct fault store_restored_account(int account)
{
	struct raising r = { .maildir = files_open(account, LAYOUT_MAILDIR, O_RDONLY | O_DIRECTORY, 0) };

	if (r.maildir < 0)
		return fault_errno("open", LAYOUT_MAILDIR);
	struct fault f = scripts_restored(account);

	if (!f.kind)
		f = raise_account(r.maildir);
	if (!f.kind)
		f = raise_mailbox(r.maildir, ".");
	if (!f.kind)
		f = files_each(r.maildir, ".", raise_one, &r);
	if (!f.kind)
		f = r.fault;
	if (!f.kind && fsync(r.maildir))
		f = fault_errno("flush", LAYOUT_MAILDIR);
	close(r.maildir);
	return f;
}
