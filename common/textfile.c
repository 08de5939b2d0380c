#include "common/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"

#include "common/banned.h"

struct fault textfile_make(const char *path, struct sv text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	struct fault f = FAULT_OK;

	if (fd < 0)
		return fault_errno("create", path);
	while (text.len && !f.kind) {
		ssize_t n = write(fd, text.p, text.len);

		if (n > 0)
			sv_skip(&text, (size_t)n);
		else if (errno != EINTR)
			f = fault_errno("write", path);
	}
	if (!f.kind && fsync(fd) != 0)
		f = fault_errno("flush", path);
	if (close(fd) != 0 && !f.kind)
		f = fault_errno("close", path);
	if (f.kind)
		unlink(path);
	return f;
}

struct fault textfile_sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fault f = FAULT_OK;

	if (fd < 0)
		return fault_errno("open", dir);
	if (fsync(fd) != 0)
		f = fault_errno("flush", dir);
	close(fd);
	return f;
}

/* sync_parent - of the folder that a file lies in. */
static struct fault sync_parent(const char *path)
{
	struct sv whole = sv_z(path);
	size_t slash = sv_rfind(whole, '/');
	char *dir = slash == SIZE_MAX ? xstrdup(".") : sv_copy_z(sv_sub(whole, 0, slash ? slash : 1));
	struct fault f = textfile_sync_dir(dir);

	free(dir);
	return f;
}

/* @like: whose mode and owner it gets; NULL: ours, 0600 */
static struct fault replace(const char *path, struct sv text, const struct stat *like)
{
	struct buf aside;
	struct fault f;

	buf_init(&aside, 8192);
	if (!buf_appendf(&aside, "%s.%ld.new", path, (long)getpid()) || !buf_z(&aside)) {
		buf_done(&aside);
		return fault(FAULT_LIMIT, "path too long");
	}
	unlink(buf_z(&aside));  /* of a process of this number that was killed */
	f = textfile_make(buf_z(&aside), text, 0600);
	/* Whose it is, only root can keep. */
	if (!f.kind && like && chown(buf_z(&aside), like->st_uid, like->st_gid) != 0)
		(void)!chown(buf_z(&aside), (uid_t)-1, like->st_gid);
	if (!f.kind && like && chmod(buf_z(&aside), like->st_mode & 0777) != 0)
		f = fault_errno("chmod", buf_z(&aside));
	if (!f.kind && rename(buf_z(&aside), path) != 0)
		f = fault_errno("rename", path);
	if (f.kind)
		unlink(buf_z(&aside));
	if (!f.kind)
		f = sync_parent(path);
	buf_done(&aside);
	return f;
}

struct fault textfile_replace(const char *path, struct sv text)
{
	return replace(path, text, NULL);
}

struct fault textfile_rewrite(const char *path, struct sv text)
{
	struct stat st;

	return stat(path, &st) == 0 ? replace(path, text, &st) : fault_errno("look at", path);
}

struct fault textfile_read(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	struct fault f = FAULT_OK;
	char part[4096];
	ssize_t n;

	if (fd < 0)
		return fault_errno("open", path);
	while ((n = read(fd, part, sizeof(part))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			f = fault_errno("read", path);
		else if (!buf_append(out, sv_from(part, (size_t)n)))
			f = fault_detail(FAULT_LIMIT, "%s is too long", path);
		if (f.kind)
			break;
	}
	close(fd);
	secret_wipe(part, sizeof(part));
	return f;
}
