#include "admin/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/memory.h"

#include "common/banned.h"

#define MANIFEST "manifest"
#define MANIFEST_LINE "postroom-backup 1"
#define PIECE ((size_t)1 << 20)
#define OPEN_FOLDERS 32         /* descriptors that nftw may use */

/* ---- names ---- */

/* "2026-11-21T201530Z", or with "-2" behind it. */
static bool is_snapshot_name(const char *name)
{
	static const char form[] = "dddd-dd-ddTddddddZ";
	size_t i = 0;

	for (; form[i]; i++)
		if (form[i] == 'd' ? !ascii_is_digit(name[i]) : name[i] != form[i])
			return false;
	return name[i] == '\0' || name[i] == '-';
}

bool snapshot_find(const char *dir, char out[SNAPSHOT_PATH_MAX])
{
	char path[SNAPSHOT_PATH_MAX + 16];
	char newest[NAME_MAX + 1] = "";
	struct dirent *entry;

	snprintf(path, sizeof(path), "%s/" MANIFEST, dir);
	if (access(path, R_OK) == 0)
		return snprintf(out, SNAPSHOT_PATH_MAX, "%s", dir) < SNAPSHOT_PATH_MAX;
	DIR *d = opendir(dir);

	if (!d)
		return false;
	while ((entry = readdir(d)))
		if (is_snapshot_name(entry->d_name) && strcmp(entry->d_name, newest) > 0)
			memcpy(newest, entry->d_name, strlen(entry->d_name) + 1);
	closedir(d);
	return newest[0] && snprintf(out, SNAPSHOT_PATH_MAX, "%s/%s", dir, newest) < SNAPSHOT_PATH_MAX;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

void snapshot_remove(const char *path)
{
	nftw(path, remove_one, OPEN_FOLDERS, FTW_PHYS | FTW_DEPTH);
}

void snapshot_remove_unfinished(const char *dir)
{
	char path[SNAPSHOT_PATH_MAX];
	struct dirent *entry;
	DIR *d = opendir(dir);

	if (!d)
		return;
	while ((entry = readdir(d)))
		if (sv_starts(sv_z(entry->d_name), SV(SNAPSHOT_UNFINISHED)) &&
		    snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name) < (int)sizeof(path))
			snapshot_remove(path);
	closedir(d);
}

/* ---- copying ---- */

static struct fault copy_descriptor(int in, int out, const char *to)
{
	char *piece = xmalloc(PIECE);
	struct fault f = FAULT_OK;
	ssize_t n;

	while (!f.kind && (n = read(in, piece, PIECE)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			f = fault_errno("read", to);
		for (ssize_t done = 0; !f.kind && done < n;) {
			ssize_t w = write(out, piece + done, (size_t)(n - done));
			if (w < 0 && errno != EINTR)
				f = fault_errno("write", to);
			done += w > 0 ? w : 0;
		}
	}
	free(piece);
	return f;
}

struct fault copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	struct stat st;
	struct fault f = FAULT_OK;

	if (in < 0)
		return fault_errno("open", from);
	if (fstat(in, &st) != 0)
		f = fault_errno("look at", from);
	int out = f.kind ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, st.st_mode & 0700);

	if (!f.kind && out < 0)
		f = fault_errno("create", to);
	if (!f.kind)
		f = copy_descriptor(in, out, to);
	if (!f.kind && fsync(out) != 0)
		f = fault_errno("flush", to);
	close(in);
	if (out >= 0 && close(out) != 0 && !f.kind)
		f = fault_errno("close", to);
	return f;
}

/* nftw takes no argument. The command line has one thread. */
static struct {
	const char *from, *to;
	bool link;
	struct fault fault;
} copying;

static int copy_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	char to[SNAPSHOT_PATH_MAX];
	const char *base = path + ftw->base;

	if (snprintf(to, sizeof(to), "%s%s", copying.to, path + strlen(copying.from)) >= (int)sizeof(to)) {
		copying.fault = fault_detail(FAULT_LIMIT, "%s: the path is too long", path);
		return 1;
	}
	if (type == FTW_D) {
		if (mkdir(to, 0700) == 0 || errno == EEXIST)
			return 0;
		copying.fault = fault_errno("create", to);
		return 1;
	}
	if (type != FTW_F || !S_ISREG(st->st_mode) || sv_ends(sv_z(base), SV(".mdb")))
		return 0;
	if (copying.link && link(path, to) == 0)
		return 0;
	copying.fault = copy_file(path, to);
	if (copying.fault.kind == FAULT_NOT_FOUND)
		copying.fault = FAULT_OK;       /* delivered or removed meanwhile */
	return copying.fault.kind != FAULT_NONE;
}

struct fault copy_tree(const char *from, const char *to, bool link)
{
	copying.from = from;
	copying.to = to;
	copying.link = link;
	copying.fault = FAULT_OK;
	if (nftw(from, copy_one, OPEN_FOLDERS, FTW_PHYS) < 0 && errno != ENOENT)
		return fault_errno("walk", from);
	return copying.fault;
}

/* ---- manifests ---- */

struct row {
	char digest[65];
	uint64_t size, inode;
	char *path;
	bool seen;
};

struct rows {
	struct row *items;
	size_t count, cap;
};

static struct row *add_row(struct rows *r)
{
	if (r->count == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 1024;
		r->items = xrealloc(r->items, r->cap * sizeof(*r->items));
	}
	r->items[r->count] = (struct row){ .path = NULL };
	return &r->items[r->count++];
}

static void rows_done(struct rows *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->items[i].path);
	free(r->items);
	*r = (struct rows){ 0 };
}

static int by_inode(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->path, ((const struct row *)b)->path);
}

static bool parse_row(struct sv line, struct row *row)
{
	struct sv digest, size, inode;

	if (!sv_split(&line, ' ', &digest) || digest.len != 64 || !sv_split(&line, ' ', &size) ||
	    !sv_to_u64(size, &row->size) || !sv_split(&line, ' ', &inode) || !sv_to_u64(inode, &row->inode) ||
	    !line.len)
		return false;
	memcpy(row->digest, digest.p, 64);
	row->digest[64] = '\0';
	row->path = sv_copy_z(line);
	return true;
}

static struct fault manifest_read(const char *root, struct rows *out)
{
	char path[SNAPSHOT_PATH_MAX + 16], *line = NULL;
	size_t cap = 0;
	ssize_t n;
	bool is_begun = false, is_ended = false;

	snprintf(path, sizeof(path), "%s/" MANIFEST, root);
	FILE *file = fopen(path, "re");

	if (!file)
		return fault_errno("open", path);
	struct fault f = FAULT_OK;

	while (!f.kind && (n = getline(&line, &cap, file)) > 0) {
		struct sv text = sv_from(line, (size_t)n - (line[n - 1] == '\n'));
		uint64_t count;
		if (!is_begun) {
			is_begun = sv_eq(text, SV(MANIFEST_LINE));
			if (!is_begun)
				f = fault_detail(FAULT_UNSUPPORTED, "%s is not a manifest that this program knows", path);
		} else if (sv_starts(text, SV("end "))) {
			is_ended = sv_to_u64(sv_sub(text, 4, SIZE_MAX), &count) && count == out->count;
		} else if (is_ended || !parse_row(text, add_row(out))) {
			f = fault_detail(FAULT_CORRUPT, "%s: line %zu makes no sense", path, out->count + 1);
		}
	}
	if (!f.kind && !is_ended)
		f = fault_detail(FAULT_CORRUPT, "%s is cut short", path);
	free(line);
	fclose(file);
	return f;
}

static struct fault digest_file(const char *path, char out[65], uint64_t *size)
{
	struct crypt_digest *d = crypt_digest_new(CRYPT_SHA256);
	uint8_t digest[CRYPT_HASH_MAX];
	char *piece = xmalloc(PIECE);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct fault f = fd < 0 ? fault_errno("open", path) : FAULT_OK;
	ssize_t n = 1;

	*size = 0;
	while (!f.kind && n) {
		n = read(fd, piece, PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			f = fault_errno("read", path);
		if (n > 0)
			crypt_digest_add(d, sv_from(piece, (size_t)n));
		*size += n > 0 ? (uint64_t)n : 0;
	}
	crypt_hex(digest, crypt_digest_get(d, digest), out);
	crypt_digest_free(&d);
	free(piece);
	if (fd >= 0)
		close(fd);
	return f;
}

static struct {
	size_t root_len;
	struct rows *rows;
} listing;

static int list_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (type != FTW_F || (ftw->level == 1 && strcmp(path + ftw->base, MANIFEST) == 0))
		return 0;
	struct row *row = add_row(listing.rows);

	row->path = xstrdup(path + listing.root_len + 1);
	row->size = (uint64_t)st->st_size;
	row->inode = st->st_ino;
	return 0;
}

static struct fault list_files(const char *root, struct rows *out)
{
	listing.root_len = strlen(root);
	listing.rows = out;
	int rc = nftw(root, list_one, OPEN_FOLDERS, FTW_PHYS);
	listing.rows = NULL;            /* it is the caller's */
	if (rc < 0)
		return fault_errno("walk", root);
	if (out->count)
		qsort(out->items, out->count, sizeof(*out->items), by_path);
	return FAULT_OK;
}

static struct fault write_rows(const char *root, const struct rows *rows)
{
	char path[SNAPSHOT_PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/" MANIFEST, root);
	FILE *file = fopen(path, "wxe");

	if (!file)
		return fault_errno("create", path);
	fprintf(file, "%s\n", MANIFEST_LINE);
	for (size_t i = 0; i < rows->count; i++)
		fprintf(file, "%s %llu %llu %s\n", rows->items[i].digest, (unsigned long long)rows->items[i].size,
			(unsigned long long)rows->items[i].inode, rows->items[i].path);
	fprintf(file, "end %zu\n", rows->count);
	bool fine = fflush(file) == 0 && fsync(fileno(file)) == 0;
	struct fault f = fine ? FAULT_OK : fault_errno("write", path);

	if (fclose(file) != 0 && !f.kind)
		f = fault_errno("close", path);
	return f;
}

struct fault manifest_write(const char *root, const char *previous, struct progress *progress, uint64_t *files)
{
	struct rows rows = { 0 }, known = { 0 };
	struct fault f = list_files(root, &rows);

	if (previous && manifest_read(previous, &known).kind)
		rows_done(&known);      /* then everything is read anew */
	if (known.count)
		qsort(known.items, known.count, sizeof(*known.items), by_inode);
	for (size_t i = 0; !f.kind && i < rows.count; i++) {
		char path[2 * SNAPSHOT_PATH_MAX];
		struct row *row = &rows.items[i];
		/* As long as the earlier backup holds the inode, it cannot be another file's. */
		const struct row *same = known.count ? bsearch(row, known.items, known.count, sizeof(*row), by_inode) : NULL;
		snprintf(path, sizeof(path), "%s/%s", root, row->path);
		if (strchr(row->path, '\n'))
			f = fault_detail(FAULT_INVALID, "%s: a file name with a line end", path);
		else if (same && same->size == row->size)
			memcpy(row->digest, same->digest, sizeof(row->digest));
		else
			f = digest_file(path, row->digest, &row->size);
		progress_update(progress, i + 1, rows.count);
	}
	if (!f.kind)
		f = write_rows(root, &rows);
	*files = rows.count;
	rows_done(&rows);
	rows_done(&known);
	return f;
}

struct fault manifest_check(const char *root, struct progress *progress, manifest_difference_fn *fn, void *arg,
			    uint64_t *files)
{
	struct rows rows = { 0 }, found = { 0 };
	struct fault f = manifest_read(root, &rows);

	if (!f.kind)
		f = list_files(root, &found);
	if (rows.count)
		qsort(rows.items, rows.count, sizeof(*rows.items), by_path);
	for (size_t i = 0; !f.kind && i < found.count; i++) {
		char path[2 * SNAPSHOT_PATH_MAX], digest[65];
		struct row *want = rows.count ? bsearch(&found.items[i], rows.items, rows.count, sizeof(*rows.items), by_path) :
						NULL;
		uint64_t size;
		if (!want) {
			fn(arg, found.items[i].path, "is not in the manifest");
			continue;
		}
		want->seen = true;
		snprintf(path, sizeof(path), "%s/%s", root, want->path);
		if (digest_file(path, digest, &size).kind)
			fn(arg, want->path, "cannot be read");
		else if (size != want->size)
			fn(arg, want->path, "has another size");
		else if (strcmp(digest, want->digest) != 0)
			fn(arg, want->path, "has other content");
		progress_update(progress, i + 1, found.count);
	}
	for (size_t i = 0; !f.kind && i < rows.count; i++)
		if (!rows.items[i].seen)
			fn(arg, rows.items[i].path, "is missing");
	*files = rows.count;
	rows_done(&rows);
	rows_done(&found);
	return f;
}
