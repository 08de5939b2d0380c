/* maildir/pack.c - see pack.h. */
#include "maildir/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/zstd.h"
#include "maildir/adopt_private.h"
#include "maildir/files.h"
#include "maildir/pack_private.h"
#include "maildir/store_private.h"
#include "maildir/walk_private.h"

#include "common/banned.h"

#define PACK_MIN 4096           /* octets: a smaller file takes one block of the disk either way */
#define ROWS_AT_ONCE 256
#define LINKS_MAX (1u << 16)    /* remembered; beyond that a file with several names becomes several */
#define PIECE ((size_t)256 << 10)

bool pack_octets(int from, uint64_t octets, int to)
{
	uint64_t packed;

	/* A tenth at least, or reading it is not worth the unpacking. */
	return octets >= PACK_MIN && !zstd_pack(from, to, &packed).kind && packed < octets - octets / 10 && !fdatasync(to);
}

static bool unpack_octets(int from, uint64_t octets, int to)
{
	struct zstd_reader *r = zstd_reader_new(from);
	char *piece = xmalloc(PIECE);
	uint64_t at = 0;
	size_t got = 1;
	struct fault f = FAULT_OK;

	while (!f.kind && got) {
		f = zstd_read(r, at, piece, PIECE, &got);
		if (!f.kind && got)
			f = files_write_all(to, sv_from(piece, got));
		at += f.kind ? 0 : got;
	}
	zstd_reader_free(&r);
	free(piece);
	return !f.kind && at == octets && !fdatasync(to);
}

/* --- files with several names ------------------------------------------------------------------------------------------- */

struct pack_links {
	struct pack_link {
		dev_t dev;
		ino_t ino;              /* as it was; 0: free */
		char *path;             /* of one that took its place */
	} *slots;
	size_t count;
};

struct pack_links *pack_links_new(void)
{
	struct pack_links *l = xcalloc(1, sizeof(*l));

	l->slots = xcalloc(2 * LINKS_MAX, sizeof(*l->slots));
	return l;
}

void pack_links_free(struct pack_links **links)
{
	if (!*links)
		return;
	for (size_t i = 0; i < 2 * LINKS_MAX; i++)
		free((*links)->slots[i].path);
	free((*links)->slots);
	free(*links);
	*links = NULL;
}

/* The slot of a file, or the free one where it belongs. */
static struct pack_link *find_link(struct pack_links *l, const struct stat *st)
{
	size_t at = (size_t)(st->st_ino * 0x9e3779b97f4a7c15u >> 40) % (2 * LINKS_MAX);

	while (l->slots[at].ino && (l->slots[at].ino != st->st_ino || l->slots[at].dev != st->st_dev))
		at = (at + 1) % (2 * LINKS_MAX);
	return &l->slots[at];
}

/* --- one message --------------------------------------------------------------------------------------------------------- */

struct packing {
	struct account *account;
	struct index_box box;
	struct index_row rows[ROWS_AT_ONCE];
	size_t count;
	bool pack;
	struct pack_links *links;
	struct pack_counts *counts;
};

/* Has the message still this file? Then the other one takes its place. */
struct exchange {
	uint64_t box;
	uint32_t uid;
	const struct stat *was;
	const char *temp;
	char path[BOX_PATH_MAX];        /* out: where it lies now */
	bool is_done;
};

static struct fault put_in_place(struct index_txn *t, void *arg)
{
	struct exchange *x = arg;
	struct index_box box;
	struct index_row row;
	struct stat st;
	struct fault f = index_box_get(t->kv, x->box, &box);

	if (!f.kind)
		f = index_row_get(t->kv, x->box, x->uid, &row);
	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;        /* expunged, or the mailbox deleted */
	box_path(x->path, box.dir, "cur", row.name);
	if (fstatat(t->account->maildir, x->path, &st, AT_SYMLINK_NOFOLLOW) || st.st_ino != x->was->st_ino ||
	    st.st_dev != x->was->st_dev)
		return FAULT_OK;        /* another program was here */
	adopt_check_times(t->account, &box);
	if (renameat(t->account->maildir, x->temp, t->account->maildir, x->path))
		return fault_errno("rename", x->temp);
	x->is_done = true;
	adopt_note_times(t->account, &box);
	return index_box_put(t->kv, &box);
}

/* The other form of the file, flushed, in tmp/. False: it stays as it is. */
static bool make_other(struct packing *p, int fd, const struct stat *st, uint64_t octets, const char *temp)
{
	struct pack_link *link = p->links ? find_link(p->links, st) : NULL;      /* the last of its names, too */
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	int dir = p->account->maildir;

	if (link && link->ino && !linkat(AT_FDCWD, link->path, dir, temp, 0)) {
		int there = files_open(dir, temp, O_RDONLY, 0);
		struct stat now;
		bool fits = there >= 0 && !fstat(there, &now) &&
			    (p->pack ? files_is_packed(there, octets) : (uint64_t)now.st_size == octets);
		if (there >= 0)
			close(there);
		if (fits)
			return true;
		unlinkat(dir, temp, 0);
	}
	int to = files_open(dir, temp, O_RDWR | O_CREAT | O_EXCL, st->st_mode & 0777);
	if (to < 0)
		return false;
	bool ok = (p->pack ? pack_octets(fd, octets, to) : unpack_octets(fd, octets, to)) && !futimens(to, times);
	close(to);
	if (!ok)
		unlinkat(dir, temp, 0);
	return ok;
}

static void remember(struct packing *p, const struct stat *was, const char *path)
{
	struct pack_link *link = p->links && was->st_nlink > 1 ? find_link(p->links, was) : NULL;
	char full[PATH_MAX];

	if (!link || (!link->ino && p->links->count == LINKS_MAX))
		return;
	snprintf(full, sizeof(full), "%s/" LAYOUT_MAILDIR "/%s", p->account->path, path);
	p->links->count += !link->ino;
	free(link->path);
	*link = (struct pack_link){ was->st_dev, was->st_ino, xstrdup(full) };
}

static struct fault change_one(struct packing *p, const struct index_row *row)
{
	char path[BOX_PATH_MAX], name[FILES_TEMP_LEN], temp[BOX_PATH_MAX];
	struct exchange x = { .box = p->box.id, .uid = row->uid };
	struct stat st, now;
	struct fault f = FAULT_OK;
	int fd;

	box_path(path, p->box.dir, "cur", row->name);
	if (files_open_regular(p->account->maildir, path, &fd).kind)
		return FAULT_OK;        /* moved meanwhile: the next run finds it */
	p->counts->messages++;
	bool is_plain = !fstat(fd, &st) && (uint64_t)st.st_size == row->h.stored;
	bool is_packed = !is_plain && zstd_is_packed(fd);
	if (p->pack ? !is_plain : !is_packed) {
		p->counts->failed += !is_plain && !is_packed;
		close(fd);
		return FAULT_OK;
	}
	files_temp_name("postroom", name);
	box_path(temp, ".", "tmp", name);
	bool made = make_other(p, fd, &st, row->h.stored, temp);
	close(fd);
	if (!made) {
		p->counts->failed += !p->pack;
		return FAULT_OK;
	}
	x.was = &st;
	x.temp = temp;
	if (fstatat(p->account->maildir, temp, &now, AT_SYMLINK_NOFOLLOW))
		f = fault_errno("look at", temp);
	if (!f.kind)
		f = index_update(p->account, put_in_place, &x);
	if (!x.is_done) {
		unlinkat(p->account->maildir, temp, 0);
		return f;
	}
	remember(p, &st, x.path);
	p->counts->changed++;
	p->counts->before += (uint64_t)st.st_size;
	p->counts->after += (uint64_t)now.st_size;
	return f;
}

/* --- an account ---------------------------------------------------------------------------------------------------------- */

static struct fault take_rows(struct packing *p, uint32_t from)
{
	struct kv_txn *kv = NULL;
	struct fault f = account_read(p->account, &kv);

	if (!f.kind)
		f = index_box_get(kv, p->box.id, &p->box);
	if (!f.kind)
		f = account_judge(p->account, walk_rows(kv, p->box.id, from, p->rows, ROWS_AT_ONCE, &p->count));
	kv_read_end(&kv);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;        /* a mailbox that was deleted meanwhile */
}

static struct fault list_boxes(struct account *a, uint64_t **ids, size_t *count, uint64_t *messages)
{
	struct kv_txn *kv = NULL;
	struct index_meta meta;
	struct fault f = account_enter(a);

	if (f.kind)
		return f;
	f = account_read(a, &kv);
	if (!f.kind)
		f = index_meta_get(kv, &meta);
	if (!f.kind) {
		*messages = meta.messages;
		f = account_judge(a, adopt_box_ids(kv, ids, count));
	}
	kv_read_end(&kv);
	account_leave(a);
	return f;
}

/* The account is left after each chunk: whoever wants it alone gets it. */
static struct fault change_some(struct packing *p, uint32_t from)
{
	struct fault f = account_enter(p->account);

	p->count = 0;
	if (f.kind)
		return f;
	f = take_rows(p, from);
	for (size_t i = 0; !f.kind && i < p->count; i++)
		f = change_one(p, &p->rows[i]);
	account_leave(p->account);
	return f;
}

struct fault store_pack_account(struct store *store, struct sv address, bool pack, struct pack_links *links,
				struct pack_counts *counts, store_progress_fn *fn, void *arg)
{
	struct packing *p = xcalloc(1, sizeof(*p));
	uint64_t *ids = NULL, total = 0, done = 0;
	size_t count = 0;
	struct fault f = store_account(store, address, &p->account);

	if (f.kind) {
		free(p);
		return f;
	}
	p->pack = pack;
	p->links = links;
	p->counts = counts;
	f = list_boxes(p->account, &ids, &count, &total);
	for (size_t i = 0; !f.kind && i < count; i++) {
		uint32_t from = 0;
		p->box.id = ids[i];
		do {
			f = change_some(p, from);
			if (p->count)
				from = p->rows[p->count - 1].uid;
			done += p->count;
			if (fn)
				fn(arg, done, total > done ? total : done);
		} while (!f.kind && p->count == ROWS_AT_ONCE && from++ < UINT32_MAX);
	}
	if (!f.kind)
		log_info(NULL, pack ? "store.packed" : "store.unpacked", KV_Z("account", p->account->address),
			 KV_U64("changed", counts->changed));
	store_account_unref(&p->account);
	free(ids);
	free(p);
	return f;
}
