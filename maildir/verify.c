#include "maildir/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/memory.h"
#include "common/zstd.h"
#include "maildir/adopt_private.h"
#include "maildir/files.h"
#include "maildir/store_private.h"
#include "maildir/walk_private.h"

#include "common/banned.h"

#define ROWS_AT_ONCE 500        /* no snapshot is held while files are read */
#define PIECE ((size_t)256 << 10)

struct verify {
	struct account *account;
	struct index_box box;
	struct index_row *rows;
	size_t count;
	char *piece;
	store_difference_fn *fn;
	void *arg;
	struct verify_counts *counts;
	store_progress_fn *progress;
	void *progress_arg;
	uint64_t done, total;
};

/* The next rows of the mailbox, from UID `from` on. */
static struct fault take_rows(struct verify *v, uint32_t from)
{
	struct kv_txn *kv = NULL;
	struct fault f = account_read(v->account, &kv);

	v->count = 0;
	if (!f.kind)
		f = walk_rows(kv, v->box.id, from, v->rows, ROWS_AT_ONCE, &v->count);
	kv_read_end(&kv);
	return f;
}

/* Where the row says, or where a flag change has put it meanwhile. *fd is -1 with errno; ESTALE: it was expunged or moved meanwhile. A
 * fault is the index's, which then says nothing about the message. */
static struct fault open_message(struct verify *v, const struct index_row *row, int *fd)
{
	struct index_row now;
	struct kv_txn *kv = NULL;
	char path[BOX_PATH_MAX];

	box_path(path, v->box.dir, row->h.in_new ? "new" : "cur", row->name);
	*fd = files_open(v->account->maildir, path, O_RDONLY | O_NONBLOCK, 0);
	if (*fd >= 0 || errno != ENOENT)
		return FAULT_OK;
	struct fault f = account_read(v->account, &kv);

	if (!f.kind)
		f = index_row_get(kv, v->box.id, row->uid, &now);
	kv_read_end(&kv);
	if (f.kind == FAULT_NOT_FOUND)
		errno = ESTALE;
	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	box_path(path, v->box.dir, now.h.in_new ? "new" : "cur", now.name);
	*fd = files_open(v->account->maildir, path, O_RDONLY | O_NONBLOCK, 0);
	return FAULT_OK;
}

static void damaged(struct verify *v, const struct index_row *row, const char *what)
{
	v->counts->damaged++;
	v->fn(v->arg, v->box.name, row->uid, what);
}

/* The next octets of a message; 0 at its end, less on a fault. */
static ssize_t read_octets(struct verify *v, int fd, struct zstd_reader *packed, uint64_t at)
{
	size_t got;

	if (packed)
		return zstd_read(packed, at, v->piece, PIECE, &got).kind ? -1 : (ssize_t)got;
	for (;;) {
		ssize_t n = read(fd, v->piece, PIECE);
		if (n >= 0 || errno != EINTR)
			return n;
	}
}

static void verify_octets(struct verify *v, const struct index_row *row, int fd)
{
	struct crypt_digest *digest = crypt_digest_new(CRYPT_SHA256);
	struct zstd_reader *packed = files_unpacked_reader(fd, row->h.stored);
	char id[FILENAME_ID_LEN + 1];
	struct filename n;
	uint64_t size = 0;
	ssize_t got;

	while ((got = read_octets(v, fd, packed, size)) > 0) {
		crypt_digest_add(digest, sv_from(v->piece, (size_t)got));
		size += (uint64_t)got;
	}
	zstd_reader_free(&packed);
	/* What was read for this alone should not push mail in use out of the page cache. */
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	filename_content_id(digest, id);
	crypt_digest_free(&digest);
	v->counts->octets += size;
	if (got < 0) {
		damaged(v, row, "the file cannot be read, or unpacked");
	} else if (size != row->h.stored) {
		damaged(v, row, "the file has another size than its name says");
	} else if (filename_parse(sv_from(row->name, row->h.name_len), &n) && filename_is_content_id(n.id)) {
		v->counts->digests++;
		if (!sv_eq(n.id, sv_z(id)))
			damaged(v, row, "the file has other content than was delivered");
	}
}

static struct fault verify_one(struct verify *v, const struct index_row *row)
{
	int fd;
	struct fault f = open_message(v, row, &fd);

	if (f.kind || (fd < 0 && errno == ESTALE))
		return f;
	v->counts->messages++;
	if (fd < 0) {
		damaged(v, row, errno == ENOENT ? "the file is missing" : "the file cannot be opened");
		return FAULT_OK;
	}
	verify_octets(v, row, fd);
	close(fd);
	return FAULT_OK;
}

static struct fault verify_box(struct verify *v)
{
	uint32_t from = 0;
	struct fault f;

	do {
		f = take_rows(v, from);
		for (size_t i = 0; !f.kind && i < v->count; i++) {
			f = verify_one(v, &v->rows[i]);
			if (v->progress)
				v->progress(v->progress_arg, ++v->done, v->total);
		}
		if (v->count)
			from = v->rows[v->count - 1].uid + 1;
	} while (!f.kind && v->count == ROWS_AT_ONCE && from);
	return f;
}

struct fault store_verify_account(struct store *store, struct sv address, store_difference_fn *fn, void *arg,
				  struct verify_counts *counts, store_progress_fn *progress, void *progress_arg)
{
	struct verify v = { .fn = fn, .arg = arg, .counts = counts, .progress = progress, .progress_arg = progress_arg };
	struct kv_txn *kv = NULL;
	struct index_meta meta;
	uint64_t *ids = NULL;
	size_t count = 0;
	struct fault f = store_account(store, address, &v.account);

	if (f.kind)
		return f;
	f = account_enter(v.account);
	if (f.kind) {
		store_account_unref(&v.account);
		return f;
	}
	v.rows = xcalloc(ROWS_AT_ONCE, sizeof(*v.rows));
	v.piece = xmalloc(PIECE);
	f = account_read(v.account, &kv);
	if (!f.kind)
		f = index_meta_get(kv, &meta);
	if (!f.kind)
		f = adopt_box_ids(kv, &ids, &count);
	kv_read_end(&kv);
	v.total = f.kind ? 0 : meta.messages;
	for (size_t i = 0; !f.kind && i < count; i++) {
		f = account_read(v.account, &kv);
		if (!f.kind)
			f = index_box_get(kv, ids[i], &v.box);
		kv_read_end(&kv);
		if (f.kind == FAULT_NOT_FOUND)
			f = FAULT_OK;           /* deleted meanwhile */
		else if (!f.kind)
			f = verify_box(&v);
	}
	free(ids);
	free(v.rows);
	free(v.piece);
	account_leave(v.account);
	store_account_unref(&v.account);
	return f;
}
