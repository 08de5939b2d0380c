/* tests/guard/cost.c - see counts.h. */
#include "tests/guard/cost.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if __has_include(<valgrind/callgrind.h>)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <valgrind/callgrind.h>
#define INSTRUCTIONS 1
#else
#define INSTRUCTIONS 0
#endif

#include "common/banned.h"

static _Atomic uint64_t copied, allocations;
static uint64_t copied_before, allocations_before, copied_at_pause, allocations_at_pause;

/* The linker's --wrap sends each call of memcpy() to __wrap_memcpy(), and what is called __real_memcpy() is the library's. */
void *__real_memcpy(void *to, const void *from, size_t n);
void *__wrap_memcpy(void *to, const void *from, size_t n);
void *__real_memmove(void *to, const void *from, size_t n);
void *__wrap_memmove(void *to, const void *from, size_t n);
void *__real___memcpy_chk(void *to, const void *from, size_t n, size_t room);
void *__wrap___memcpy_chk(void *to, const void *from, size_t n, size_t room);
void *__real___memmove_chk(void *to, const void *from, size_t n, size_t room);
void *__wrap___memmove_chk(void *to, const void *from, size_t n, size_t room);
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

static void add(_Atomic uint64_t *sum, uint64_t n)
{
	atomic_fetch_add_explicit(sum, n, memory_order_relaxed);
}

void *__wrap_memcpy(void *to, const void *from, size_t n)
{
	add(&copied, n);
	return __real_memcpy(to, from, n);
}

void *__wrap_memmove(void *to, const void *from, size_t n)
{
	add(&copied, n);
	return __real_memmove(to, from, n);
}

void *__wrap___memcpy_chk(void *to, const void *from, size_t n, size_t room)
{
	add(&copied, n);
	return __real___memcpy_chk(to, from, n, room);
}

void *__wrap___memmove_chk(void *to, const void *from, size_t n, size_t room)
{
	add(&copied, n);
	return __real___memmove_chk(to, from, n, room);
}

void *__wrap_malloc(size_t n)
{
	add(&allocations, 1);
	return __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t n)
{
	add(&allocations, 1);
	return __real_calloc(count, n);
}

void *__wrap_realloc(void *p, size_t n)
{
	add(&allocations, 1);
	return __real_realloc(p, n);
}

void cost_begin(void)
{
	copied_before = atomic_load(&copied);
	allocations_before = atomic_load(&allocations);
#if INSTRUCTIONS
	CALLGRIND_START_INSTRUMENTATION;
	CALLGRIND_ZERO_STATS;
#endif
}

void cost_pause(void)
{
#if INSTRUCTIONS
	CALLGRIND_TOGGLE_COLLECT;
#endif
	copied_at_pause = atomic_load(&copied);
	allocations_at_pause = atomic_load(&allocations);
}

void cost_resume(void)
{
	copied_before += atomic_load(&copied) - copied_at_pause;
	allocations_before += atomic_load(&allocations) - allocations_at_pause;
#if INSTRUCTIONS
	CALLGRIND_TOGGLE_COLLECT;
#endif
}

void cost_end(const char *step, unsigned ops)
{
#if INSTRUCTIONS
	CALLGRIND_DUMP_STATS_AT(step);
	CALLGRIND_STOP_INSTRUMENTATION;
#endif
	printf("{\"step\": \"%s\", \"ops\": %u, \"copied\": %.1f, \"allocations\": %.1f}\n", step, ops,
	       (double)(atomic_load(&copied) - copied_before) / ops,
	       (double)(atomic_load(&allocations) - allocations_before) / ops);
	fflush(stdout);
}
