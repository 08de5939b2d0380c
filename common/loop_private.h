/* common/loop_private.h - what the loop keeps, for loop.c, work.c and stream.c. */
#ifndef COMMON_LOOP_PRIVATE_H
#define COMMON_LOOP_PRIVATE_H

#include <uv.h>

#include "common/loop.h"

#define LOOP_SCRATCH ((size_t)64 << 10)

struct loop {
	uv_loop_t uv;
	uv_timer_t tick;                /* wakes us for the first timer */
	uv_prepare_t prepare;           /* deferred calls run before the loop sleeps ... */
	uv_check_t check;               /* ... and after it was woken */
	uv_idle_t awake;                /* active: do not sleep */
	uv_idle_cb on_awake;
	uint64_t tick_ms;               /* what the tick is set to; UINT64_MAX: nothing */
	uint64_t skipped_ms;            /* loop_skip_ms() */
	struct timer **timers;          /* heap by looked_at_ms */
	size_t timer_count, timer_cap;
	struct deferred *deferred, **deferred_end;
	struct deferred *queued, **queued_end;
	struct loop_member *members;
	struct work_pool *work;
	char *scratch; /* LOOP_SCRATCH octets for whoever reads a socket right now, or NULL */
	bool is_stopping, is_ending;
};

/* work.c's part of a loop's life. */
MUST_CHECK struct fault work_init(struct loop *loop);
/* Cancel what waits, wait for what runs; no job is accepted any more. */
void work_end(struct loop *loop);
void work_free(struct loop *loop);

#endif
