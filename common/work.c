#include "common/work.h"

#include <stdio.h>
#include <stdlib.h>

#include <uv.h>

#include "common/loop_private.h"
#include "common/memory.h"

#include "common/banned.h"

enum work_state { WORK_IDLE = 0, WORK_WAITING, WORK_RUNNING, WORK_CANCELLED };

/* A job on its way through libuv. There are as many as threads: more would only wait where neither
 * their class nor their age counts. */
struct slot {
	uv_work_t req;
	struct work_pool *pool;
	struct work *work;      /* NULL: free */
};

struct fifo {
	struct work *first, **end;
};

struct work_pool {
	struct loop *loop;
	struct slot *slots;
	uint32_t threads, waiting_max;
	uint32_t running;
	struct fifo waiting[WORK_CLASSES];
	uint32_t running_max[WORK_CLASSES];
	struct work_stats stats[WORK_CLASSES];
	struct fifo cancelled;
	struct deferred tell_cancelled;
	bool is_ending;
};

static void fifo_init(struct fifo *f)
{
	f->first = NULL;
	f->end = &f->first;
}

static void fifo_add(struct fifo *f, struct work *w)
{
	w->next = NULL;
	*f->end = w;
	f->end = &w->next;
}

static struct work *fifo_take(struct fifo *f)
{
	struct work *w = f->first;

	if (w) {
		f->first = w->next;
		if (!f->first)
			f->end = &f->first;
	}
	return w;
}

static bool fifo_remove(struct fifo *f, struct work *w)
{
	for (struct work **at = &f->first; *at; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			if (!w->next)
				f->end = at;
			return true;
		}
	}
	return false;
}

static void tell_cancelled(struct work_pool *pool)
{
	struct work *w;

	while ((w = fifo_take(&pool->cancelled))) {
		w->state = WORK_IDLE;
		w->done(w, true);
	}
}

static void on_tell_cancelled(struct deferred *d)
{
	tell_cancelled(CONTAINER_OF(d, struct work_pool, tell_cancelled));
}

void work_init(struct loop *loop)
{
	struct work_pool *pool = xcalloc(1, sizeof(*pool));

	pool->loop = loop;
	for (size_t c = 0; c < WORK_CLASSES; c++)
		fifo_init(&pool->waiting[c]);
	fifo_init(&pool->cancelled);
	deferred_init(&pool->tell_cancelled, loop, on_tell_cancelled);
	loop->work = pool;
}

void work_setup(struct loop *loop, uint32_t threads, uint32_t waiting_max)
{
	struct work_pool *pool = loop->work;
	char text[16];

	if (pool->slots)
		BUG("work_setup after the first job");
	if (threads < 1 || threads > 64)
		BUG("%u threads", threads);
	snprintf(text, sizeof(text), "%u", threads);
	setenv("UV_THREADPOOL_SIZE", text, 1);  /* libuv reads it at the first job */
	pool->threads = threads;
	pool->waiting_max = waiting_max;
	pool->running_max[WORK_MAIL] = threads > 1 ? threads - 1 : 1;
	pool->running_max[WORK_AUTH] = threads > 1 ? threads / 2 : 1;
	pool->slots = xcalloc(threads, sizeof(*pool->slots));
	for (uint32_t i = 0; i < threads; i++)
		pool->slots[i].pool = pool;
}

/* The class whose first job has waited longest, among those that may use another thread. */
static struct fifo *next_class(struct work_pool *pool)
{
	struct fifo *best = NULL;

	for (size_t c = 0; c < WORK_CLASSES; c++) {
		struct fifo *f = &pool->waiting[c];

		if (!f->first || pool->stats[c].running >= pool->running_max[c])
			continue;
		if (!best || f->first->asked_ms < best->first->asked_ms)
			best = f;
	}
	return best;
}

static void (*bracket_begin)(void);
static void (*bracket_end)(void);

void work_set_brackets(void (*begin)(void), void (*end)(void))
{
	bracket_begin = begin;
	bracket_end = end;
}

static void run_job(uv_work_t *req)             /* pool thread */
{
	struct slot *slot = CONTAINER_OF(req, struct slot, req);

	if (bracket_begin)
		bracket_begin();
	slot->work->run(slot->work);
	if (bracket_end)
		bracket_end();
}

static void start_jobs(struct work_pool *pool);

static void job_done(uv_work_t *req, int status)
{
	struct slot *slot = CONTAINER_OF(req, struct slot, req);
	struct work_pool *pool = slot->pool;
	struct work *w = slot->work;
	struct work_stats *stats = &pool->stats[w->class];

	(void)status;           /* we never uv_cancel(): what libuv has, runs */
	slot->work = NULL;
	pool->running--;
	stats->running--;
	stats->finished++;
	w->state = WORK_IDLE;
	start_jobs(pool);       /* before done(), which may take its time */
	w->done(w, false);
}

static void start_job(struct work_pool *pool, struct work *w)
{
	struct work_stats *stats = &pool->stats[w->class];
	struct slot *slot = pool->slots;
	uint64_t waited_ms = loop_now_ms(pool->loop) - w->asked_ms;

	while (slot->work)
		slot++;
	if (waited_ms > stats->longest_wait_ms)
		stats->longest_wait_ms = waited_ms;
	slot->work = w;
	w->state = WORK_RUNNING;
	stats->running++;
	pool->running++;
	int e = uv_queue_work(&pool->loop->uv, &slot->req, run_job, job_done);

	if (e)
		BUG("uv_queue_work: %s", uv_strerror(e));
}

static void start_jobs(struct work_pool *pool)
{
	struct fifo *f;

	while (pool->running < pool->threads && (f = next_class(pool))) {
		struct work *w = fifo_take(f);
		pool->stats[w->class].waiting--;
		start_job(pool, w);
	}
}

struct fault work_submit(struct loop *loop, enum work_class class, struct work *w)
{
	struct work_pool *pool = loop->work;
	struct work_stats *stats = &pool->stats[class];

	if (!pool->slots)
		work_setup(loop, WORK_THREADS_DEFAULT, WORK_WAITING_DEFAULT);
	if (w->state != WORK_IDLE)
		BUG("a job submitted twice");
	if (pool->is_ending)
		return fault(FAULT_UNAVAILABLE, "the process is ending");
	if (stats->waiting >= pool->waiting_max) {
		stats->refused++;
		return fault(FAULT_BUSY, "too many jobs are waiting");
	}
	stats->accepted++;
	w->class = class;
	w->asked_ms = loop_now_ms(loop);
	w->state = WORK_WAITING;
	stats->waiting++;
	fifo_add(&pool->waiting[class], w);
	start_jobs(pool);
	return FAULT_OK;
}

bool work_cancel(struct loop *loop, struct work *w)
{
	struct work_pool *pool = loop->work;

	if (w->state != WORK_WAITING || !fifo_remove(&pool->waiting[w->class], w))
		return false;
	pool->stats[w->class].waiting--;
	pool->stats[w->class].cancelled++;
	w->state = WORK_CANCELLED;
	fifo_add(&pool->cancelled, w);
	deferred_call(&pool->tell_cancelled);
	return true;
}

struct work_stats work_stats(const struct loop *loop, enum work_class class)
{
	return loop->work->stats[class];
}

void work_end(struct loop *loop)
{
	struct work_pool *pool = loop->work;

	pool->is_ending = true;
	for (size_t c = 0; c < WORK_CLASSES; c++) {
		while (pool->waiting[c].first)
			work_cancel(loop, pool->waiting[c].first);
	}
	deferred_cancel(&pool->tell_cancelled);
	tell_cancelled(pool);
	while (pool->running)
		uv_run(&loop->uv, UV_RUN_ONCE);
}

void work_free(struct loop *loop)
{
	free(loop->work->slots);
	free(loop->work);
	loop->work = NULL;
}
