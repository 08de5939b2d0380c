#include "common/groupflush.h"

#include <stdio.h>

#include "common/banned.h"

void groupflush_init(struct groupflush *g)
{
	*g = (struct groupflush){ .begun = 0 };
	pthread_mutex_init(&g->mutex, NULL);
	pthread_cond_init(&g->ended, NULL);
}

void groupflush_done(struct groupflush *g)
{
	pthread_cond_destroy(&g->ended);
	pthread_mutex_destroy(&g->mutex);
}

/* On the stack of who waits. A later flush may have ended, otherwise than this one, before the thread runs again: what it hears is
 * noted for it when its own ends. */
struct groupflush_waiter {
	struct groupflush_waiter *next;
	uint64_t wanted;                /* the first flush that covers it */
	enum fault_kind kind;           /* what that one gave */
	char detail[256];
};

static void tell(struct groupflush *g, struct fault f)
{
	for (struct groupflush_waiter **at = &g->waiters; *at;) {
		struct groupflush_waiter *w = *at;

		if (w->wanted > g->done) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->kind = f.kind;
		snprintf(w->detail, sizeof(w->detail), "%s", f.kind && f.detail ? f.detail : "");
	}
	pthread_cond_broadcast(&g->ended);
}

/* run - with the mutex, which is open meanwhile. */
static void run(struct groupflush *g, struct fault (*flush)(void *arg), void *arg)
{
	struct fault f;

	g->begun++;
	pthread_mutex_unlock(&g->mutex);
	f = flush(arg);
	pthread_mutex_lock(&g->mutex);
	g->done = g->begun;
	tell(g, f);             /* its text belongs to this thread */
}

struct fault groupflush_wait(struct groupflush *g, struct fault (*flush)(void *arg), void *arg)
{
	struct groupflush_waiter me = { .kind = FAULT_NONE };

	pthread_mutex_lock(&g->mutex);
	me.wanted = g->begun + 1;       /* one that runs now may have begun before the change */
	me.next = g->waiters;
	g->waiters = &me;
	while (g->done < me.wanted && g->done < g->begun)
		pthread_cond_wait(&g->ended, &g->mutex);
	if (g->done < me.wanted)
		run(g, flush, arg);
	pthread_mutex_unlock(&g->mutex);
	return me.kind ? fault_detail(me.kind, "%s", me.detail) : FAULT_OK;
}
