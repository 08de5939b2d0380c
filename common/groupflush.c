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

/* run - with the mutex, which is open meanwhile. */
static void run(struct groupflush *g, struct fault (*flush)(void *arg), void *arg)
{
	struct fault f;

	g->begun++;
	pthread_mutex_unlock(&g->mutex);
	f = flush(arg);
	pthread_mutex_lock(&g->mutex);
	g->done = g->begun;
	if (f.kind) {           /* its text belongs to this thread */
		g->failed = g->done;
		g->kind = f.kind;
		snprintf(g->detail, sizeof(g->detail), "%s", f.detail ? f.detail : "");
	}
	pthread_cond_broadcast(&g->ended);
}

struct fault groupflush_wait(struct groupflush *g, struct fault (*flush)(void *arg), void *arg)
{
	struct fault f = FAULT_OK;
	uint64_t wanted;

	pthread_mutex_lock(&g->mutex);
	wanted = g->begun + 1;  /* one that runs now may have begun before the change */
	while (g->done < wanted && g->done < g->begun)
		pthread_cond_wait(&g->ended, &g->mutex);
	if (g->done < wanted)
		run(g, flush, arg);
	if (g->failed >= wanted)
		f = fault_detail(g->kind, "%s", g->detail);
	pthread_mutex_unlock(&g->mutex);
	return f;
}
