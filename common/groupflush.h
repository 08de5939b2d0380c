/* common/groupflush.h - one flush for all who wait for one. A flush that began after my change covers it: so of all threads that come
 * while one flush runs, one does the next for all of them.
 *
 * Any thread; groupflush_wait() blocks. */
#ifndef COMMON_GROUPFLUSH_H
#define COMMON_GROUPFLUSH_H

#include <pthread.h>

#include "common/fault.h"

struct groupflush_waiter;

struct groupflush {
	pthread_mutex_t mutex;
	pthread_cond_t ended;
	uint64_t begun, done;           /* flushes so far; they differ while one runs */
	struct groupflush_waiter *waiters;      /* who has not been told yet what became of the flush that covers them */
};

void groupflush_init(struct groupflush *g);
/** groupflush_done - nobody waits any more. */
void groupflush_done(struct groupflush *g);
/**
 * groupflush_wait - return when a flush that began after this call has ended; the caller's own or somebody else's.
 * @flush: flushes what all callers of this group share
 * Returns: what that flush gave. Where it failed, all who waited for it hear so.
 */
MUST_CHECK struct fault groupflush_wait(struct groupflush *g, struct fault (*flush)(void *arg), void *arg);

#endif
