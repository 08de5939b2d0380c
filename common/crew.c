#include "common/crew.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/memory.h"
#include "common/work.h"

#include "common/banned.h"

/* A helper may be told to come when all is done already, so what it looks at lives until the last one has let go. */
struct crew {
	pthread_mutex_t mutex;
	pthread_cond_t is_still;        /* nobody but the caller is inside of a piece */
	crew_fn *fn;
	void *arg;
	size_t next, count;
	unsigned inside;                /* helpers */
	unsigned refs;
	struct helper {
		struct work work;
		struct crew *crew;
	} helpers[CREW_HELPERS];
};

static void let_go(struct crew *c)
{
	pthread_mutex_lock(&c->mutex);
	bool is_last = --c->refs == 0;

	pthread_mutex_unlock(&c->mutex);
	if (!is_last)
		return;
	pthread_cond_destroy(&c->is_still);
	pthread_mutex_destroy(&c->mutex);
	free(c);
}

static bool take(struct crew *c, size_t *piece)
{
	if (c->next == c->count)
		return false;
	*piece = c->next++;
	return true;
}

static void help(struct work *w)        /* another pool thread */
{
	struct crew *c = CONTAINER_OF(w, struct helper, work)->crew;
	size_t piece;

	pthread_mutex_lock(&c->mutex);
	c->inside++;
	while (!work_is_pressed() && take(c, &piece)) {
		pthread_mutex_unlock(&c->mutex);
		c->fn(c->arg, piece);
		pthread_mutex_lock(&c->mutex);
	}
	if (!--c->inside)
		pthread_cond_signal(&c->is_still);
	pthread_mutex_unlock(&c->mutex);
}

static void helped(struct work *w, bool is_cancelled)   /* the loop */
{
	(void)is_cancelled;
	let_go(CONTAINER_OF(w, struct helper, work)->crew);
}

/* call_helpers - one each for what the caller cannot do at once. */
static void call_helpers(struct crew *c, uint32_t idle)
{
	for (size_t i = 0; i < ARRAY_LEN(c->helpers) && i < idle && i + 1 < c->count; i++) {
		struct helper *h = &c->helpers[i];

		h->crew = c;
		h->work = (struct work){ .run = help, .done = helped };
		pthread_mutex_lock(&c->mutex);
		c->refs++;
		pthread_mutex_unlock(&c->mutex);
		if (!work_offer(&h->work)) {
			let_go(c);
			return;
		}
	}
}

static void work_through(struct crew *c)
{
	size_t piece;

	pthread_mutex_lock(&c->mutex);
	while (take(c, &piece)) {
		pthread_mutex_unlock(&c->mutex);
		c->fn(c->arg, piece);
		pthread_mutex_lock(&c->mutex);
	}
	while (c->inside)
		pthread_cond_wait(&c->is_still, &c->mutex);
	pthread_mutex_unlock(&c->mutex);
}

void crew_run(size_t count, crew_fn *fn, void *arg)
{
	uint32_t idle = count < 2 ? 0 : work_idle();

	if (!idle) {
		for (size_t i = 0; i < count; i++)
			fn(arg, i);
		return;
	}
	struct crew *c = xcalloc(1, sizeof(*c));

	pthread_mutex_init(&c->mutex, NULL);
	pthread_cond_init(&c->is_still, NULL);
	c->fn = fn;
	c->arg = arg;
	c->count = count;
	c->refs = 1;
	call_helpers(c, idle);
	work_through(c);
	let_go(c);
}
