#include "common/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/readonly.h"

#include "common/banned.h"

#define MEMORY_FOLDER "/dev/shm"
#define FORMAT_WORD "postroom "
#define LOOKS_MAX 5000          /* by others at a pid file that is to be taken */
#define LOOK_US 1000

struct instance {
	char *paths[INSTANCE_PLACES];
	uint32_t format;
};

/* The layout: every name below ROOT stands here and nowhere else. */
static const struct {
	const char *name;
	bool is_folder;
	bool is_secret;         /* nobody else may read it */
} places[INSTANCE_PLACES] = {
	[INSTANCE_ROOT]        = { "",              true,  false },
	[INSTANCE_FORMAT_FILE] = { "format",        false, false },
	[INSTANCE_CONF]        = { "postroom.conf", false, false },
	[INSTANCE_DIRECTORY]   = { "directory",     true,  true },
	[INSTANCE_MAIL]        = { "mail",          true,  false },
	[INSTANCE_QUEUE]       = { "queue",         true,  true },
	[INSTANCE_SIEVE]       = { "sieve",         true,  false },
	[INSTANCE_EVENTS]      = { "events",        true,  false },
	[INSTANCE_KEYS]        = { "keys",          true,  true },
	[INSTANCE_TLS]         = { "tls",           true,  false },
	[INSTANCE_TLS_CERT]    = { "tls/cert.pem",  false, false },
	[INSTANCE_TLS_KEY]     = { "tls/key.pem",   false, true },
	[INSTANCE_ISSUER]      = { "issuer",        true,  false },
	[INSTANCE_RUN]         = { "run",           true,  true },
	[INSTANCE_MIGRATING]   = { "migrating",     false, false },
};

static char *join(const char *folder, const char *name, const char *suffix)
{
	struct buf b;
	size_t len;

	buf_init(&b, SIZE_MAX / 2);
	(void)buf_appendf(&b, "%s%s%s%s", folder, name[0] ? "/" : "", name, suffix);
	(void)buf_append_c(&b, '\0');
	return buf_take(&b, &len);
}

/* Where run/ is while it cannot be where it belongs. @root: there */
static char *memory_run(const char *root, uid_t *owner)
{
	struct stat st = { 0 };
	char name[80];

	(void)!stat(root, &st);
	*owner = st.st_uid;
	snprintf(name, sizeof(name), "postroom-%u-%llx-%llx", (unsigned)st.st_uid, (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	return join(MEMORY_FOLDER, name, "");
}

/* Anybody may make a folder of that name: it counts when it is the owner's, and nobody else's business. */
static bool is_own_folder(const char *path, uid_t owner)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == owner && !(st.st_mode & 077);
}

/* @root: absolute */
static struct instance *instance_new(const char *root)
{
	struct instance *instance = xcalloc(1, sizeof(*instance));
	uid_t owner;

	for (size_t i = 0; i < INSTANCE_PLACES; i++)
		instance->paths[i] = join(root, places[i].name, "");
	char *run = memory_run(root, &owner);

	if (is_own_folder(run, owner)) {
		free(instance->paths[INSTANCE_RUN]);
		instance->paths[INSTANCE_RUN] = run;
	} else {
		free(run);
	}
	return instance;
}

void instance_close(struct instance **instance)
{
	if (!*instance)
		return;
	for (size_t i = 0; i < INSTANCE_PLACES; i++)
		free((*instance)->paths[i]);
	free(*instance);
	*instance = NULL;
}

const char *instance_path(const struct instance *instance, enum instance_place place)
{
	return instance->paths[place];
}

char *instance_run_path(const struct instance *instance, const char *name, const char *suffix)
{
	return join(instance->paths[INSTANCE_RUN], name, suffix);
}

/* ---- opening ---- */

struct fault instance_format_read(const char *path, uint32_t *format)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	char text[64];
	ssize_t n;
	struct sv s;

	if (fd < 0)
		return fault_errno("open", path);
	n = read(fd, text, sizeof(text));
	close(fd);
	if (n < 0)
		return fault_errno("read", path);
	s = sv_trim(sv_from(text, (size_t)n));
	if (!sv_starts(s, SV(FORMAT_WORD)) ||
	    !sv_to_u32(sv_sub(s, sizeof(FORMAT_WORD) - 1, SIZE_MAX), format) || *format == 0)
		return fault_detail(FAULT_CORRUPT, "%s does not say \"" FORMAT_WORD "%d\"", path,
				    INSTANCE_FORMAT);
	return *format <= INSTANCE_FORMAT ? FAULT_OK : fault(FAULT_UNSUPPORTED, "of a newer Postroom");
}

static struct fault check_format(struct instance *instance, bool to_migrate)
{
	const char *root = instance->paths[INSTANCE_ROOT];
	struct fault f = instance_format_read(instance->paths[INSTANCE_FORMAT_FILE], &instance->format);

	if (f.kind == FAULT_NOT_FOUND)
		return fault_detail(FAULT_NOT_FOUND, "%s is not an instance: it has no file \"%s\"", root, places[INSTANCE_FORMAT_FILE].name);
	if (f.kind == FAULT_UNSUPPORTED && access(instance->paths[INSTANCE_MIGRATING], F_OK) == 0)
		return fault_detail(FAULT_UNSUPPORTED, "%s is on its way to format %u of a newer Postroom: use the newer program", root,
				    instance->format);
	if (f.kind == FAULT_UNSUPPORTED)
		return fault_detail(FAULT_UNSUPPORTED,
				    "%s was made by a newer Postroom (format %u; this one reads up to %d): use the newer program, or go back "
				    "with it (`postroom migrate --back`)",
				    root, instance->format, INSTANCE_FORMAT);
	if (!f.kind && !to_migrate && instance->format == INSTANCE_FORMAT && access(instance->paths[INSTANCE_MIGRATING], F_OK) == 0)
		return fault_detail(FAULT_BUSY, "%s is on its way to format %d: `postroom serve` or `postroom migrate` goes on with that", root,
				    INSTANCE_FORMAT);
	return f;
}

static struct fault check_permissions(const struct instance *instance)
{
	struct stat st;
	const char *root = instance->paths[INSTANCE_ROOT];

	if (stat(root, &st) != 0)
		return fault_errno("look at", root);
	if (geteuid() != 0 && st.st_uid != geteuid())
		return fault_detail(FAULT_DENIED,
				    "%s belongs to user %u, and this is user %u: run it as its "
				    "owner or as root",
				    root, (unsigned)st.st_uid, (unsigned)geteuid());
	for (size_t i = 0; i < INSTANCE_PLACES; i++) {
		const char *path = instance->paths[i];
		mode_t wrong;

		if (stat(path, &st) != 0) {
			if (errno == ENOENT)
				continue;
			return fault_errno("look at", path);
		}
		wrong = st.st_mode & (places[i].is_secret ? 077 : 022);
		if (wrong)
			return fault_detail(FAULT_DENIED, "%s may be %s by others: chmod %s %s",
					    path, wrong & 022 ? "changed" : "read",
					    places[i].is_secret ? "go=" : "go-w", path);
	}
	return FAULT_OK;
}

static struct fault make_folder(const char *path)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return FAULT_OK;
	return fault_errno("make folder", path);
}

struct fault instance_make_folders(const struct instance *instance)
{
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < INSTANCE_PLACES; i++)
		if (places[i].is_folder)
			f = make_folder(instance->paths[i]);
	return f;
}

uint32_t instance_format(const struct instance *instance)
{
	return instance->format;
}

static struct fault open_at(const char *root, bool to_migrate, struct instance **out)
{
	char *absolute = realpath(root, NULL);
	struct instance *instance;
	struct fault f;

	if (!absolute)
		return errno == ENOENT
			       ? fault_detail(FAULT_NOT_FOUND, "there is no folder %s", root)
			       : fault_errno("look at", root);
	instance = instance_new(absolute);
	free(absolute);
	f = check_format(instance, to_migrate);
	if (!f.kind)
		f = check_permissions(instance);
	if (!f.kind)
		f = make_folder(instance->paths[INSTANCE_RUN]); /* may lie on a file system that a
								   boot empties */
	if (f.kind)
		instance_close(&instance);
	else
		*out = instance;
	return f;
}

struct fault instance_open(const char *root, struct instance **out)
{
	return open_at(root, false, out);
}

struct fault instance_open_to_migrate(const char *root, struct instance **out)
{
	return open_at(root, true, out);
}

/* ---- where nothing can be written ---- */

/* Does any of our processes hold a pid file there? */
static bool is_served(const struct instance *instance)
{
	DIR *run = opendir(instance->paths[INSTANCE_RUN]);
	bool any = false;
	struct dirent *e;

	while (run && !any && (e = readdir(run))) {
		struct sv name = sv_z(e->d_name);

		if (!sv_ends(name, SV(".pid")))
			continue;
		char *daemon = sv_copy_z(sv_sub(name, 0, name.len - 4));

		any = pidfile_holder(instance, daemon) != 0;
		free(daemon);
	}
	if (run)
		closedir(run);
	return any;
}

/* What is there already may be anybody's, or point anywhere: only a folder that we made is given away. */
static struct fault make_memory_run(const char *path, uid_t owner)
{
	struct fault f = FAULT_OK;

	if (mkdir(path, 0700) != 0) {
		if (errno != EEXIST)
			return fault_errno("make folder", path);
	} else if (owner != geteuid()) {
		int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0 || fchown(fd, owner, (gid_t)-1) != 0)
			f = fault_errno("give away", path);
		if (fd >= 0)
			close(fd);
	}
	if (!f.kind && !is_own_folder(path, owner))
		f = fault_detail(FAULT_DENIED, "%s is somebody else's", path);
	return f;
}

static void remove_run(const char *path)
{
	DIR *run = opendir(path);
	struct dirent *e;

	while (run && (e = readdir(run)))
		unlinkat(dirfd(run), e->d_name, 0);
	if (run)
		closedir(run);
	rmdir(path);
}

struct fault instance_settle_run(struct instance *instance)
{
	char *own = join(instance->paths[INSTANCE_ROOT], places[INSTANCE_RUN].name, "");
	bool is_in_memory = strcmp(own, instance->paths[INSTANCE_RUN]) != 0;
	bool has_place = path_has_room(own);
	struct fault f = FAULT_OK;
	uid_t owner;

	if (is_in_memory == !has_place || is_served(instance)) {
		free(own);
		return FAULT_OK;
	}
	if (is_in_memory) {
		remove_run(instance->paths[INSTANCE_RUN]);
		f = make_folder(own);
	} else {
		free(own);
		own = memory_run(instance->paths[INSTANCE_ROOT], &owner);
		f = make_memory_run(own, owner);
	}
	if (f.kind) {
		free(own);
		return f;
	}
	free(instance->paths[INSTANCE_RUN]);
	instance->paths[INSTANCE_RUN] = own;
	return FAULT_OK;
}

void instance_leave_run(const struct instance *instance)
{
	const char *run = instance->paths[INSTANCE_RUN];

	if (sv_starts(sv_z(run), SV(MEMORY_FOLDER "/postroom-")) && !is_served(instance))
		remove_run(run);
}

const char *instance_read_only(const struct instance *instance)
{
	/* Certificates or keys that somebody mounts for reading alone keep no mail out. */
	if (!path_is_read_only(instance->paths[INSTANCE_MAIL]) && !path_is_read_only(instance->paths[INSTANCE_QUEUE]))
		return NULL;
	for (size_t i = 0; i < INSTANCE_PLACES; i++)
		if (places[i].is_folder && path_is_read_only(instance->paths[i]))
			return instance->paths[i];
	return NULL;
}

/* ---- making ---- */

static bool is_ours(const char *name)
{
	static const char *const others[] = { ".", "..", "lost+found" };

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (strcmp(name, others[i]) == 0)
			return true;
	for (size_t i = 0; i < INSTANCE_PLACES; i++)
		if (strcmp(name, places[i].name) == 0)
			return true;
	return false;
}

/* What an earlier attempt left is used again; anything else is somebody else's. */
static struct fault check_vacant(const char *root)
{
	DIR *dir = opendir(root);
	struct dirent *e;
	struct fault f = FAULT_OK;

	if (!dir)
		return fault_errno("read folder", root);
	while (!f.kind && (e = readdir(dir))) {
		if (strcmp(e->d_name, places[INSTANCE_FORMAT_FILE].name) == 0)
			f = fault_detail(FAULT_EXISTS, "%s is an instance already", root);
		else if (!is_ours(e->d_name))
			f = fault_detail(FAULT_EXISTS, "%s is not empty: it has \"%.100s\"", root,
					 e->d_name);
	}
	closedir(dir);
	return f;
}

struct fault instance_create(const char *root, struct instance **out)
{
	struct instance *instance = NULL;
	char *absolute;
	struct fault f = make_folder(root);

	if (f.kind)
		return f;
	absolute = realpath(root, NULL);
	if (!absolute)
		return fault_errno("look at", root);
	f = check_vacant(absolute);
	if (!f.kind)
		instance = instance_new(absolute);
	if (!f.kind)
		f = instance_make_folders(instance);
	if (!f.kind)
		f = check_permissions(instance);
	free(absolute);
	if (f.kind)
		instance_close(&instance);
	else
		*out = instance;
	return f;
}

static struct fault sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fault f = FAULT_OK;

	if (fd < 0)
		return fault_errno("open folder", path);
	if (fsync(fd) != 0)
		f = fault_errno("flush folder", path);
	close(fd);
	return f;
}

struct fault instance_stamp(struct instance *instance, uint32_t format)
{
	const char *path = instance->paths[INSTANCE_FORMAT_FILE];
	char *aside = join(path, "", ".new");
	int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct fault f = FAULT_OK;

	if (fd < 0)
		f = fault_errno("make", aside);
	if (!f.kind && (dprintf(fd, FORMAT_WORD "%u\n", format) < 0 || fsync(fd) != 0))
		f = fault_errno("write", aside);
	if (fd >= 0 && close(fd) != 0 && !f.kind)
		f = fault_errno("close", aside);
	if (!f.kind && rename(aside, path) != 0)
		f = fault_errno("rename", aside);
	if (!f.kind) {
		instance->format = format;
		f = sync_folder(instance->paths[INSTANCE_ROOT]);
	}
	free(aside);
	return f;
}

struct fault instance_seal(struct instance *instance)
{
	return instance_stamp(instance, INSTANCE_FORMAT);
}

/* ---- pid files ---- */

/* Whoever asks pidfile_holder() has a shared lock for a moment, and must not keep the one away who is to hold it. */
static bool is_only_looked_at(int fd)
{
	return flock(fd, LOCK_SH | LOCK_NB) == 0;
}

static bool is_at(int fd, const char *path)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

/* Opens and locks; -1 with errno EWOULDBLOCK when another process holds it. */
static int lock_pidfile(const char *path)
{
	for (unsigned looks = 0;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return -1;
		if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
			int e = errno;
			bool again = e == EWOULDBLOCK && looks++ < LOOKS_MAX && is_only_looked_at(fd);

			close(fd);
			if (again) {
				usleep(LOOK_US);
				continue;
			}
			errno = e;
			return -1;
		}
		/* The holder before us may have removed the name between our open and our lock. */
		if (is_at(fd, path))
			return fd;
		close(fd);
	}
}

static pid_t read_pid(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	char text[32];
	ssize_t n;
	uint32_t pid;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text));
	close(fd);
	if (n <= 0 || !sv_to_u32(sv_trim(sv_from(text, (size_t)n)), &pid) || pid > INT_MAX)
		return 0;
	return (pid_t)pid;
}

struct fault pidfile_take(const struct instance *instance, const char *name, struct pidfile *out)
{
	char *path = instance_run_path(instance, name, ".pid");
	int fd = lock_pidfile(path);
	struct fault f = FAULT_OK;

	if (fd < 0 && errno == EWOULDBLOCK)
		f = fault_detail(FAULT_IN_USE, "%s runs already, as process %d", name,
				 (int)read_pid(path));
	else if (fd < 0)
		f = fault_errno("open", path);
	if (!f.kind && (ftruncate(fd, 0) != 0 || dprintf(fd, "%d\n", (int)getpid()) < 0))
		f = fault_errno("write", path);
	if (f.kind) {
		if (fd >= 0)
			close(fd);
		free(path);
		return f;
	}
	*out = (struct pidfile){ fd, path };
	return FAULT_OK;
}

struct fault pidfile_keep(const struct instance *instance, const char *name, int fd, struct pidfile *out)
{
	char *path = instance_run_path(instance, name, ".pid");

	/* The lock is the open file's, so it is still there. */
	if (is_at(fd, path) && flock(fd, LOCK_EX | LOCK_NB) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) {
		*out = (struct pidfile){ fd, path };
		return FAULT_OK;
	}
	close(fd);
	free(path);
	return fault(FAULT_NOT_FOUND, "no pid file of ours");
}

void pidfile_drop(struct pidfile *pidfile)
{
	if (pidfile->fd >= 0) {
		unlink(pidfile->path);  /* while it is locked, so it is ours */
		close(pidfile->fd);
	}
	free(pidfile->path);
	*pidfile = PIDFILE_NONE;
}

pid_t pidfile_holder(const struct instance *instance, const char *name)
{
	char *path = instance_run_path(instance, name, ".pid");
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	pid_t pid = 0;

	if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		pid = read_pid(path);
	if (fd >= 0)
		close(fd);
	free(path);
	return pid;
}

pid_t pidfile_holder_at(const char *root, const char *name)
{
	struct instance *instance = instance_new(root);
	pid_t pid = pidfile_holder(instance, name);

	instance_close(&instance);
	return pid;
}
