#include "common/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/memory.h"

#include "common/banned.h"

void shared_boot_id(char out[SHARED_BOOT_LEN])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	memset(out, 0, SHARED_BOOT_LEN);
	if (fd < 0)
		return;
	if (read(fd, out, SHARED_BOOT_LEN - 1) < 0)
		memset(out, 0, SHARED_BOOT_LEN);
	close(fd);
}

/* The memory is all zeroes. */
static void begin(const struct shared_kind *kind, struct shared_head *head, const char boot[SHARED_BOOT_LEN])
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&head->lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
	if (kind->begin)
		kind->begin(head);
	memcpy(head->boot, boot, SHARED_BOOT_LEN);
	head->size = kind->size;
	head->magic = kind->magic;
}

void *shared_new(const struct shared_kind *kind)
{
	const char boot[SHARED_BOOT_LEN] = "";
	void *memory = mmap(NULL, kind->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		BUG("no %zu octets of shared memory", kind->size);
	begin(kind, memory, boot);
	return memory;
}

static int open_beside(const char *path, const char *suffix, int flags)
{
	size_t len = strlen(path), more = strlen(suffix) + 1;
	char *name = xmalloc(len + more);

	memcpy(name, path, len);
	memcpy(name + len, suffix, more);
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

	free(name);
	return fd;
}

/* The file is whole, or made whole: on a full disk a hole in it would end who writes there. Its name is replaced, never its
 * content: others may have the old one mapped. */
static struct fault make_file(const struct shared_kind *kind, const char *path, const char boot[SHARED_BOOT_LEN], int *out)
{
	char *name = xmalloc(strlen(path) + 5);
	struct fault f = FAULT_OK;
	void *memory = MAP_FAILED;
	int error = 0;

	memcpy(name, path, strlen(path));
	memcpy(name + strlen(path), ".new", 5);
	int fd = open_beside(path, ".new", O_TRUNC);

	if (fd >= 0 && !(error = posix_fallocate(fd, 0, (off_t)kind->size)))
		memory = mmap(NULL, kind->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (error)
		errno = error;
	if (memory == MAP_FAILED) {
		f = fault_errno("make", name);
	} else {
		begin(kind, memory, boot);
		munmap(memory, kind->size);
		if (rename(name, path))
			f = fault_errno("rename", name);
	}
	if (f.kind && fd >= 0) {
		close(fd);
		unlink(name);
		fd = -1;
	}
	*out = fd;
	free(name);
	return f;
}

static void *map(const struct shared_kind *kind, int fd, const char boot[SHARED_BOOT_LEN])
{
	struct shared_head *head;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || st.st_size != (off_t)kind->size)
		return NULL;
	head = mmap(NULL, kind->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (head == MAP_FAILED)
		return NULL;
	if (head->magic == kind->magic && head->size == kind->size && memcmp(head->boot, boot, SHARED_BOOT_LEN) == 0)
		return head;
	munmap(head, kind->size);
	return NULL;
}

struct fault shared_open(const struct shared_kind *kind, const char *path, bool create, void **out, int *fd_out)
{
	char boot[SHARED_BOOT_LEN];
	/* One process at a time decides whether the file that is there will do. */
	int lock = create ? open_beside(path, ".lock", 0) : -1;
	struct fault f = FAULT_OK;

	if (lock >= 0)
		flock(lock, LOCK_EX);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	shared_boot_id(boot);
	*out = map(kind, fd, boot);
	if (!*out && create) {
		if (fd >= 0)
			close(fd);
		f = make_file(kind, path, boot, &fd);
		if (!f.kind && !(*out = map(kind, fd, boot)))
			f = fault_errno("map", path);
	} else if (!*out) {
		f = fault_detail(FAULT_NOT_FOUND, "%s: not made since the machine was started", path);
	}
	if (!f.kind && fd_out)
		*fd_out = fd;
	else if (fd >= 0)
		close(fd);
	if (lock >= 0)
		close(lock);
	return f;
}

void shared_free(const struct shared_kind *kind, void **memory)
{
	if (*memory)
		munmap(*memory, kind->size);
	*memory = NULL;
}

bool shared_take(struct shared_head *head, uint32_t wait_ms)
{
	struct timespec until;
	int error = pthread_mutex_trylock(&head->lock);

	if (error == EBUSY) {
		clock_gettime(CLOCK_MONOTONIC, &until);       /* nobody sets this one */
		until.tv_sec += wait_ms / 1000;
		until.tv_nsec += (long)(wait_ms % 1000) * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		error = pthread_mutex_clocklock(&head->lock, CLOCK_MONOTONIC, &until);
	}
	if (error == EOWNERDEAD)
		error = pthread_mutex_consistent(&head->lock);
	return error == 0;
}

void shared_give(struct shared_head *head)
{
	pthread_mutex_unlock(&head->lock);
}
