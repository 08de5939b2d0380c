/* maildir/files.c - see files.h. */
#include "maildir/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/log.h"

#include "common/zstd.h"

#include "common/banned.h"

#define FRESH_NS ((int64_t)20000000)
#define FUTURE_NS ((int64_t)3600000000000)

/* Without openat2 (Linux before 5.6, or a filter that hides it): one O_NOFOLLOW step per component. */
static int open_stepwise(int dir, const char *path, int flags, mode_t mode)
{
	int at = dir;
	const char *slash;

	while ((slash = strchr(path, '/'))) {
		char part[256];
		size_t len = (size_t)(slash - path);
		int next;

		if (!len || len >= sizeof(part)) {
			errno = ENAMETOOLONG;
			next = -1;
		} else {
			memcpy(part, path, len);
			part[len] = '\0';
			next = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		}
		if (at != dir) {
			int kept = errno;
			close(at);
			errno = kept;
		}
		if (next < 0)
			return -1;
		at = next;
		path = slash + 1;
	}
	int fd = openat(at, path, flags, mode);

	if (at != dir) {
		int kept = errno;
		close(at);
		errno = kept;
	}
	return fd;
}

int files_open(int dir, const char *path, int flags, mode_t mode)
{
	static _Atomic bool has_openat2 = true;

	flags |= O_NOFOLLOW | O_CLOEXEC;
	if (!strchr(path, '/'))
		return openat(dir, path, flags, mode);
	if (atomic_load_explicit(&has_openat2, memory_order_relaxed)) {
		struct open_how how = {
			.flags = (unsigned)flags, .mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0,
			.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
		};
		for (int tries = 0;; tries++) {
			long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
			if (fd >= 0)
				return (int)fd;
			if (errno == EAGAIN && tries < 10)      /* a rename somewhere on the way: look again */
				continue;
			if (errno != ENOSYS && errno != EPERM)
				return -1;
			break;
		}
		atomic_store_explicit(&has_openat2, false, memory_order_relaxed);
	}
	return open_stepwise(dir, path, flags, mode);
}

struct fault files_open_regular(int dir, const char *path, int *out)
{
	uint64_t size;

	return files_open_sized(dir, path, out, &size);
}

struct fault files_open_sized(int dir, const char *path, int *out, uint64_t *size)
{
	struct stat st;
	int fd = files_open(dir, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

	if (fd < 0)
		return errno == ELOOP ? fault_detail(FAULT_CORRUPT, "%s is a symbolic link", path) :
		       fault_errno("open", path);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return fault_detail(FAULT_CORRUPT, "%s is no regular file", path);
	}
	*out = fd;
	*size = (uint64_t)st.st_size;
	return FAULT_OK;
}

struct zstd_reader *files_unpacked_reader(int fd, uint64_t octets)
{
	struct stat st;

	if (fstat(fd, &st) || (uint64_t)st.st_size == octets || !zstd_is_packed(fd))
		return NULL;
	return zstd_reader_new(fd);
}

bool files_is_packed(int fd, uint64_t octets)
{
	uint64_t unpacked;

	return zstd_is_packed(fd) && !zstd_octets(fd, &unpacked).kind && unpacked == octets;
}

struct fault files_read(int dir, const char *path, struct buf *out)
{
	int fd;
	struct fault f = files_open_regular(dir, path, &fd);

	if (f.kind)
		return f;
	for (;;) {
		char piece[16384];
		ssize_t n = read(fd, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			f = fault_errno("read", path);
		else if (n && !buf_append(out, sv_from(piece, (size_t)n)))
			f = fault_detail(FAULT_LIMIT, "%s is too long", path);
		if (f.kind || !n)
			break;
	}
	close(fd);
	return f;
}

void files_temp_name(const char *prefix, char out[FILES_TEMP_LEN])
{
	char text[21];

	crypt_random_text(text, sizeof(text) - 1);
	snprintf(out, FILES_TEMP_LEN, "%.48s.%s", prefix, text);
}

struct fault files_write_all(int fd, struct sv octets)
{
	while (octets.len) {
		ssize_t n = write(fd, octets.p, octets.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno("write", "file");
		sv_skip(&octets, (size_t)n);
	}
	return FAULT_OK;
}

static struct fault write_new(int dir, const char *path, struct sv content, mode_t mode, bool flush)
{
	struct fault f;
	int fd = files_open(dir, path, O_WRONLY | O_CREAT | O_EXCL, mode);

	if (fd < 0)
		return fault_errno("create", path);
	f = files_write_all(fd, content);
	if (!f.kind && flush && fdatasync(fd))
		f = fault_errno("flush", path);
	if (close(fd) && !f.kind)
		f = fault_errno("close", path);
	if (f.kind)
		unlinkat(dir, path, 0);
	return f;
}

struct fault files_write_new(int dir, const char *path, struct sv content, mode_t mode)
{
	return write_new(dir, path, content, mode, true);
}

struct fault files_write_unflushed(int dir, const char *path, struct sv content, mode_t mode)
{
	return write_new(dir, path, content, mode, false);
}

struct fault files_replace(int dir, const char *path, struct sv content, mode_t mode)
{
	const char *slash = strrchr(path, '/');
	size_t folder = slash ? (size_t)(slash + 1 - path) : 0;
	char temp[PATH_MAX];

	if (folder >= sizeof(temp) - FILES_TEMP_LEN)
		return fault(FAULT_LIMIT, "path too long");
	memcpy(temp, path, folder);
	files_temp_name("postroom-new", temp + folder);
	struct fault f = files_write_new(dir, temp, content, mode);

	if (!f.kind && renameat(dir, temp, dir, path)) {
		f = fault_errno("replace", path);
		unlinkat(dir, temp, 0);
	}
	return f;
}

struct fault files_sync_file(int dir, const char *path)
{
	struct fault f = FAULT_OK;
	int fd = files_open(dir, path, O_RDONLY, 0);

	if (fd < 0)
		return fault_errno("open", path);
	if (fsync(fd))
		f = fault_errno("flush", path);
	close(fd);
	return f;
}

struct fault files_mkdir(int dir, const char *path, mode_t mode, bool *made)
{
	bool is_new = !mkdirat(dir, path, mode);

	if (made)
		*made = is_new;
	return is_new || errno == EEXIST ? FAULT_OK : fault_errno("mkdir", path);
}

struct fault files_sync_dir(int dir, const char *path)
{
	struct fault f = FAULT_OK;
	int fd = files_open(dir, path, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fault_errno("open", path);
	if (fsync(fd))
		f = fault_errno("flush", path);
	close(fd);
	return f;
}

struct fault files_rename_new(int from_dir, const char *from, int to_dir, const char *to)
{
	if (!renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE)) {
		/* A rename between two links of one inode does nothing and reports success. */
		return FAULT_OK;
	}
	if (errno != EINVAL && errno != ENOSYS)
		return fault_errno("rename", from);
	if (files_exists(to_dir, to)) {
		errno = EEXIST;
		return fault_errno("rename", to);
	}
	if (!linkat(from_dir, from, to_dir, to, 0)) {
		unlinkat(from_dir, from, 0);
		return FAULT_OK;
	}
	if (errno == EPERM && !renameat(from_dir, from, to_dir, to))    /* a folder: those have no second links */
		return FAULT_OK;
	return fault_errno("link", from);
}

bool files_exists(int dir, const char *path)
{
	struct stat st;

	return !fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW);
}

int64_t files_mtime(int dir, const char *path)
{
	struct stat st;

	if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

bool files_is_fresh(int64_t mtime)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	int64_t age = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec - mtime;

	return age < FRESH_NS && age > -FUTURE_NS;
}

struct fault files_each(int dir, const char *path, files_each_fn *fn, void *arg)
{
	struct fault f = FAULT_OK;
	int fd = files_open(dir, path, O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		f = fault_errno("open", path);
		if (fd >= 0)
			close(fd);
		return f;
	}
	for (;;) {
		errno = 0;
		struct dirent *e = readdir(d);
		if (!e) {
			if (errno)
				f = fault_errno("read folder", path);
			break;
		}
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		unsigned char type = e->d_type;
		if (type == DT_UNKNOWN) {
			struct stat st;
			if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
				continue;
			type = S_ISREG(st.st_mode) ? DT_REG : S_ISDIR(st.st_mode) ? DT_DIR :
			       S_ISLNK(st.st_mode) ? DT_LNK : DT_FIFO;
		}
		if (!fn(arg, e->d_name, type))
			break;
	}
	closedir(d);
	return f;
}

/* Three levels are enough for a mailbox (mailbox, cur, file); the loop keeps its own stack. */
#define TREE_DEPTH 8

void files_remove_tree(int dir, const char *path)
{
	DIR *open_dirs[TREE_DEPTH];
	char names[TREE_DEPTH][256];
	int depth = 0;
	int fd = files_open(dir, path, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0 || !(open_dirs[0] = fdopendir(fd))) {
		if (fd >= 0)
			close(fd);
		unlinkat(dir, path, 0);
		return;
	}
	while (depth >= 0) {
		struct dirent *e = readdir(open_dirs[depth]);
		int at = dirfd(open_dirs[depth]);

		if (!e) {
			closedir(open_dirs[depth--]);
			if (depth >= 0)
				unlinkat(dirfd(open_dirs[depth]), names[depth + 1], AT_REMOVEDIR);
			continue;
		}
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (e->d_type != DT_DIR && !unlinkat(at, e->d_name, 0))
			continue;
		if (depth + 1 == TREE_DEPTH)
			continue;
		int below = openat(at, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		DIR *d = below < 0 ? NULL : fdopendir(below);
		if (!d) {
			if (below >= 0)
				close(below);
			continue;
		}
		open_dirs[++depth] = d;
		snprintf(names[depth], sizeof(names[depth]), "%s", e->d_name);
	}
	if (unlinkat(dir, path, AT_REMOVEDIR) && errno != ENOENT)
		log_warn(NULL, "store.remove_tree.left", KV_Z("path", path), KV_Z("error", strerror(errno)));
}
