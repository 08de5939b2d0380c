/* Loaded into a program by LD_PRELOAD: how many octets of its heap are in use, and how many were at most, exactly, whatever the
 * allocator makes of them. They stand in the file HEAP_PEAK_FOLDER/PID as two numbers of 64 bits that others may read while the program
 * runs: in use now, the most ever. Who writes the first into the second begins anew.
 *
 * Pieces that are mapped by themselves count as well: a message that is mapped anonymously or allocated whole is seen either way.
 * Needs glibc; no sanitizer may be in the program. */
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/banned.h"

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
extern void __libc_free(void *p);

struct counts {
	_Atomic int64_t now, most;
};
static struct counts before;            /* until the file is there */
static struct counts *counts = &before;

__attribute__((constructor)) static void open_file(void)
{
	const char *folder = getenv("HEAP_PEAK_FOLDER");
	char path[4096];
	struct counts *shared;
	int fd;

	if (!folder || snprintf(path, sizeof(path), "%s/%d", folder, (int)getpid()) >= (int)sizeof(path))
		return;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*shared)))
		abort();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (shared == MAP_FAILED)
		abort();
	atomic_store(&shared->now, atomic_load(&before.now));
	atomic_store(&shared->most, atomic_load(&before.most));
	counts = shared;
}

static void add(int64_t octets)
{
	int64_t now = atomic_fetch_add(&counts->now, octets) + octets, most = atomic_load(&counts->most);

	while (now > most && !atomic_compare_exchange_weak(&counts->most, &most, now))
		;
}

static int64_t size_of(void *p)
{
	return p ? (int64_t)malloc_usable_size(p) : 0;
}

static void *added(void *p)
{
	add(size_of(p));
	return p;
}

void *malloc(size_t n)
{
	return added(__libc_malloc(n));
}

void *calloc(size_t count, size_t size)
{
	return added(__libc_calloc(count, size));
}

void *realloc(void *p, size_t n)
{
	int64_t had = size_of(p);
	void *q = __libc_realloc(p, n);

	if (q || !n)
		add(size_of(q) - had);
	return q;
}

void *memalign(size_t align, size_t n)
{
	return added(__libc_memalign(align, n));
}

void *aligned_alloc(size_t align, size_t n)
{
	return added(__libc_memalign(align, n));
}

int posix_memalign(void **out, size_t align, size_t n)
{
	void *p = added(__libc_memalign(align, n));

	if (!p)
		return 12; /* ENOMEM */
	*out = p;
	return 0;
}

void free(void *p)
{
	add(-size_of(p));
	__libc_free(p);
}
