/* common/memory.h - memory of the host, arenas for a session or a command, and secrets.
 * Two kinds of "no memory" differ: the peer asked for too much (arena_alloc gives NULL, the caller answers
 * FAULT_LIMIT); the host has none (xmalloc logs and aborts, which the store survives anyway). */
#ifndef COMMON_MEMORY_H
#define COMMON_MEMORY_H

#include "common/bytes.h"

/**
 * memory_setup - how the C library's allocator is to behave in a daemon; first thing in main().
 * What is as large as MEMORY_LARGE is always a mapping of its own. The allocator would otherwise learn from the first such piece
 * that is freed to take the next ones from its heaps; those that LMDB keeps for each environment (3 MiB, of which it hardly ever touches
 * one page) would then cost real memory, because calloc() has to clear what was used before.
 */
#define MEMORY_LARGE (512u << 10)
void memory_setup(void);

/** xmalloc, xcalloc, xrealloc, xstrdup - never NULL; abort when the host has no memory. free() them. */
void *xmalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t n) __attribute__((returns_nonnull));
char *xstrdup(const char *z) __attribute__((malloc, returns_nonnull));
/** sv_copy_z - a NUL-terminated copy of s on the heap; octets behind a NUL in s are copied too. */
char *sv_copy_z(struct sv s);

/** secret_wipe - overwrite; not optimised away. */
void secret_wipe(void *p, size_t n);
/** secret_free - wipe a NUL-terminated secret, free it, set *p to NULL. NULL is fine. */
void secret_free(char **p);

/* An arena: many small pieces that die together. Zero-initialised with a max it is empty. */
struct arena {
	struct arena_block *blocks;
	size_t used;    /* octets handed out, rounding included */
	size_t max;     /* never passed */
};

static inline void arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){ .max = max };
}
/** arena_alloc - zeroed, aligned for any type; NULL when the arena's max would be passed. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc));
/** arena_array - count elements of size octets, the product checked; NULL when too much. */
void *arena_array(struct arena *a, size_t count, size_t size) __attribute__((malloc));
/** arena_copy - a copy of s with a NUL behind it; p is NULL when too much. */
struct sv arena_copy(struct arena *a, struct sv s);
/** arena_clear - forget every piece; keeps one block for the next command. */
void arena_clear(struct arena *a);
/** arena_done - give all memory back. */
void arena_done(struct arena *a);

#endif
