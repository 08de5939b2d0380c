/* common/chore.h - housekeeping: a job that runs again and again on the worker pool, never twice at a time.
 * Loop thread only, but for run(). */
#ifndef COMMON_CHORE_H
#define COMMON_CHORE_H

#include "common/loop.h"
#include "common/work.h"

/* Zero-initialised it is stopped. Embedded in what outlives the loop. */
struct chore {
	void (*run)(void *arg);         /* on a pool thread */
	bool (*is_due)(void *arg);      /* on the loop, before each run; NULL: always */
	void *arg;
	uint32_t every_ms;
	struct loop *loop;              /* the rest is the chore's own */
	struct timer timer;
	struct work work;
	bool is_running;
};

/** chore_start - run it after first_ms, then every_ms after each run. When the pool is full it waits for its next turn. */
void chore_start(struct chore *c, struct loop *loop, uint32_t first_ms);
/** chore_stop - not again; one that runs is finished. Fine when not started. */
void chore_stop(struct chore *c);

#endif
