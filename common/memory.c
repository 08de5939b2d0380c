#include "common/memory.h"

#include <malloc.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/banned.h"

#define TRIM_AT (2 * MEMORY_LARGE)      /* octets free at the end of a heap, from which on they go back to the kernel */

void memory_setup(void)
{
	/* Either call ends the learning. Where they are not obeyed (a sanitizer's allocator), nothing learns. */
#ifdef __GLIBC__
	(void)mallopt(M_MMAP_THRESHOLD, MEMORY_LARGE);
	(void)mallopt(M_TRIM_THRESHOLD, TRIM_AT);
#endif
}

static __attribute__((noreturn)) void out_of_memory(size_t n)
{
	fprintf(stderr, "event=host.no_memory asked=%zu\n", n);
	abort();
}

void *xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		out_of_memory(n);
	return p;
}

void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		out_of_memory(size);
	return p;
}

void *xrealloc(void *p, size_t n)
{
	p = realloc(p, n ? n : 1);
	if (!p)
		out_of_memory(n);
	return p;
}

char *xstrdup(const char *z)
{
	size_t n = strlen(z) + 1;

	return memcpy(xmalloc(n), z, n);
}

char *sv_copy_z(struct sv s)
{
	char *z = xmalloc(s.len + 1);

	if (s.len)
		memcpy(z, s.p, s.len);
	z[s.len] = '\0';
	return z;
}

void secret_wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}

void secret_free(char **p)
{
	if (*p) {
		secret_wipe(*p, strlen(*p));
		free(*p);
		*p = NULL;
	}
}

struct arena_block {
	struct arena_block *next;
	size_t len, cap;
	alignas(max_align_t) char data[];
};

#define ARENA_BLOCK ((size_t)4096 - sizeof(struct arena_block))

void *arena_alloc(struct arena *a, size_t n)
{
	const size_t align = alignof(max_align_t);

	if (n > SIZE_MAX - align)
		return NULL;
	n = (n + align - 1) & ~(align - 1);
	if (!n)
		n = align;
	if (n > a->max - a->used)
		return NULL;
	struct arena_block *b = a->blocks;

	if (!b || b->cap - b->len < n) {
		size_t cap = n > ARENA_BLOCK ? n : ARENA_BLOCK;
		b = xmalloc(sizeof(*b) + cap);
		b->len = 0;
		b->cap = cap;
		/* An outsize piece goes behind the current block, which still has room for small ones. */
		if (a->blocks && n > ARENA_BLOCK) {
			b->next = a->blocks->next;
			a->blocks->next = b;
		} else {
			b->next = a->blocks;
			a->blocks = b;
		}
	}
	void *p = b->data + b->len;

	b->len += n;
	a->used += n;
	return memset(p, 0, n);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		return NULL;
	return arena_alloc(a, n);
}

struct sv arena_copy(struct arena *a, struct sv s)
{
	char *p = s.len < SIZE_MAX ? arena_alloc(a, s.len + 1) : NULL;

	if (!p)
		return SV_NONE;
	if (s.len)
		memcpy(p, s.p, s.len);
	return (struct sv){ p, s.len };
}

void arena_clear(struct arena *a)
{
	struct arena_block *keep = NULL;

	while (a->blocks) {
		struct arena_block *b = a->blocks;
		a->blocks = b->next;
		if (!keep && b->cap == ARENA_BLOCK)
			keep = b;
		else
			free(b);
	}
	if (keep) {
		keep->next = NULL;
		keep->len = 0;
	}
	a->blocks = keep;
	a->used = 0;
}

void arena_done(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *b = a->blocks;
		a->blocks = b->next;
		free(b);
	}
	a->used = 0;
}
