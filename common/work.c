#include "common/work.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <uv.h>

#include "common/loop_private.h"
#include "common/memory.h"

#include "common/banned.h"

enum work_state { WORK_IDLE = 0, WORK_WAITING, WORK_RUNNING, WORK_SOON, WORK_CANCELLED };

/* A thread and the job it has. The loop alone decides who runs what, so a job is handed over by one semaphore, without a
 * lock that both could meet at, and comes back by one eventfd. (libuv's own pool needs up to twice the system calls.) The
 * first free thread is taken: it was the last one to work, and others are not even started before they are needed. Each class has
 * threads of its own, since nobody may give himself back the priority that a thread of WORK_AUTH has given up (setpriority(2)). */
struct slot {
	struct work_pool *pool;
	enum work_class class;
	struct work *work;      /* NULL: free. The thread's own from wake to finished */
	struct slot *next;      /* in finished */
	uv_thread_t thread;
	uv_sem_t wake;          /* work is there, or the end */
	bool has_thread;
};

struct fifo {
	struct work *first, **end;
};

struct work_pool {
	struct loop *loop;
	struct slot *slots[WORK_CLASSES];       /* running_max of each */
	uint32_t threads, waiting_max;
	uint32_t running;
	uint32_t cores;
	_Atomic uint32_t wanted;        /* threads: jobs that run or wait, and what was offered and runs */
	uv_mutex_t mutex;       /* for finished and offered */
	struct slot *finished;
	struct work *offered;
	int finished_fd;        /* an eventfd, written to when the first one is finished or offered */
	uv_poll_t finished_poll;
	struct fifo waiting[WORK_CLASSES];
	uint32_t running_max[WORK_CLASSES];
	struct work_stats stats[WORK_CLASSES];
	struct fifo cancelled, soon;
	struct deferred tell_cancelled, run_soon;
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

static void on_run_soon(struct deferred *d)
{
	struct work_pool *pool = CONTAINER_OF(d, struct work_pool, run_soon);
	struct work *w;

	while ((w = fifo_take(&pool->soon))) {
		w->state = WORK_RUNNING;
		w->run(w);
		w->state = WORK_IDLE;
		w->done(w, false);
	}
}

static void on_finished(uv_poll_t *poll, int status, int events);

struct fault work_init(struct loop *loop)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), e;

	if (fd < 0)
		return fault_errno("eventfd", "event loop");
	struct work_pool *pool = xcalloc(1, sizeof(*pool));

	pool->loop = loop;
	pool->finished_fd = fd;
	pool->cores = uv_available_parallelism();
	e = uv_poll_init(&loop->uv, &pool->finished_poll, fd);
	if (!e)
		e = uv_poll_start(&pool->finished_poll, UV_READABLE, on_finished);
	if (!e)
		e = uv_mutex_init(&pool->mutex);
	if (e)
		BUG("event loop: %s", uv_strerror(e));
	for (size_t c = 0; c < WORK_CLASSES; c++)
		fifo_init(&pool->waiting[c]);
	fifo_init(&pool->cancelled);
	fifo_init(&pool->soon);
	deferred_init(&pool->tell_cancelled, loop, on_tell_cancelled);
	deferred_init(&pool->run_soon, loop, on_run_soon);
	loop->work = pool;
	return FAULT_OK;
}

void work_setup(struct loop *loop, uint32_t threads, uint32_t waiting_max)
{
	struct work_pool *pool = loop->work;

	if (pool->slots[0])
		BUG("work_setup after the first job");
	if (threads < 1 || threads > 64)
		BUG("%u threads", threads);
	pool->threads = threads;
	pool->waiting_max = waiting_max;
	pool->running_max[WORK_MAIL] = threads > 1 ? threads - 1 : 1;
	pool->running_max[WORK_AUTH] = threads > 1 ? threads / 2 : 1;
	for (size_t c = 0; c < WORK_CLASSES; c++) {
		pool->slots[c] = xcalloc(pool->running_max[c], sizeof(**pool->slots));
		for (uint32_t i = 0; i < pool->running_max[c]; i++) {
			pool->slots[c][i].pool = pool;
			pool->slots[c][i].class = (enum work_class)c;
		}
	}
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

/* tell_loop - whoever finds others in the lists knows that it is told already. */
static void tell_loop(struct work_pool *pool)
{
	while (write(pool->finished_fd, &(uint64_t){ 1 }, sizeof(uint64_t)) < 0)
		if (errno != EINTR)
			BUG("eventfd: %s", strerrordesc_np(errno));
}

/* hand_over - a slot that has finished, or else work that is offered, to the loop. */
static void hand_over(struct work_pool *pool, struct slot *finished, struct work *offered)
{
	bool is_first;

	uv_mutex_lock(&pool->mutex);
	is_first = !pool->finished && !pool->offered;
	if (finished) {
		finished->next = pool->finished;
		pool->finished = finished;
	} else {
		offered->next = pool->offered;
		pool->offered = offered;
	}
	uv_mutex_unlock(&pool->mutex);
	if (is_first)
		tell_loop(pool);
}

static _Thread_local struct work_pool *here;    /* of the pool thread that runs */

static void run_job(struct slot *slot)          /* pool thread */
{
	struct work_pool *pool = slot->pool;

	if (bracket_begin)
		bracket_begin();
	slot->work->run(slot->work);
	if (bracket_end)
		bracket_end();
	/* Its core is free now, and not when the loop comes to it: the caller may want it again at once. */
	if (slot->work->is_offered)
		atomic_fetch_sub(&pool->wanted, 1);
	hand_over(pool, slot, NULL);
}

static void run_jobs(void *arg)                 /* pool thread */
{
	struct slot *slot = arg;

	here = slot->pool;
	/* Linux has a priority for each thread. Refused, it costs others some speed and nothing else. */
	if (slot->class == WORK_AUTH)
		(void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + WORK_AUTH_NICE);
	for (;;) {
		uv_sem_wait(&slot->wake);
		if (!slot->work)
			return;
		run_job(slot);
	}
}

static void start_jobs(struct work_pool *pool);

static void job_done(struct slot *slot)
{
	struct work_pool *pool = slot->pool;
	struct work *w = slot->work;
	struct work_stats *stats = &pool->stats[w->class];

	slot->work = NULL;
	pool->running--;
	stats->running--;
	if (!w->is_offered) {
		atomic_fetch_sub(&pool->wanted, 1);
		stats->finished++;
	}
	w->state = WORK_IDLE;
	start_jobs(pool);       /* before done(), which may take its time */
	w->done(w, false);
}

/* start_thread - what a slot needs when it is used for the first time. False: the machine has no more threads for us. */
static bool start_thread(struct slot *slot)
{
	if (uv_sem_init(&slot->wake, 0) != 0)
		return false;
	slot->has_thread = uv_thread_create(&slot->thread, run_jobs, slot) == 0;
	if (!slot->has_thread)
		uv_sem_destroy(&slot->wake);
	return slot->has_thread;
}

/* first_free - NULL: all have work, which may be the other class's. */
static struct slot *first_free(struct work_pool *pool, enum work_class class)
{
	for (uint32_t i = 0; i < pool->running_max[class]; i++)
		if (!pool->slots[class][i].work)
			return &pool->slots[class][i];
	return NULL;
}

/* free_slot - the first of the class that has no work, or of the other where the machine has no more threads for us. NULL: none, so that
 * jobs wait for those there are. The class may run another job. */
static struct slot *free_slot(struct work_pool *pool, enum work_class class)
{
	struct slot *slot;

	if (pool->running == pool->threads)
		return NULL;
	slot = first_free(pool, class);
	if (slot && (slot->has_thread || start_thread(slot)))
		return slot;
	for (size_t c = 0; c < WORK_CLASSES; c++) {
		slot = first_free(pool, (enum work_class)c);
		if (slot && slot->has_thread)
			return slot;
	}
	if (!pool->running)
		BUG("not one thread can be started");
	return NULL;
}

static void start_job(struct work_pool *pool, struct slot *slot, struct work *w)
{
	struct work_stats *stats = &pool->stats[w->class];
	uint64_t waited_ms = loop_now_ms(pool->loop) - w->asked_ms;

	if (waited_ms > stats->longest_wait_ms)
		stats->longest_wait_ms = waited_ms;
	slot->work = w;
	w->state = WORK_RUNNING;
	stats->running++;
	pool->running++;
	uv_sem_post(&slot->wake);
}

static void start_jobs(struct work_pool *pool)
{
	struct slot *slot;
	struct fifo *f;

	while ((f = next_class(pool)) && (slot = free_slot(pool, f->first->class))) {
		struct work *w = fifo_take(f);
		pool->stats[w->class].waiting--;
		start_job(pool, slot, w);
	}
}

/* room - how many may be wanted before somebody is in another's way: where there are more cores than threads, on a thread. */
static uint32_t room(const struct work_pool *pool)
{
	uint32_t threads = pool->running_max[WORK_MAIL];

	return pool->cores < threads ? pool->cores : threads;
}

/* start_offered - what finds a thread that nobody else wants. */
static void start_offered(struct work_pool *pool, struct work *offered)
{
	const struct work_stats *stats = &pool->stats[WORK_MAIL];
	struct slot *slot;
	struct work *w;

	while ((w = offered)) {
		offered = w->next;
		if (!pool->is_ending && stats->running < pool->running_max[WORK_MAIL] &&
		    atomic_load(&pool->wanted) < room(pool) && (slot = free_slot(pool, WORK_MAIL))) {
			atomic_fetch_add(&pool->wanted, 1);
			w->asked_ms = loop_now_ms(pool->loop);
			start_job(pool, slot, w);
		} else {
			w->state = WORK_IDLE;
			w->done(w, true);
		}
	}
}

static void on_finished(uv_poll_t *poll, int status, int events)
{
	struct work_pool *pool = CONTAINER_OF(poll, struct work_pool, finished_poll);
	struct slot *slot, *in_order = NULL;
	struct work *offered;
	uint64_t count;

	(void)status;
	(void)events;
	(void)!read(pool->finished_fd, &count, sizeof(count));
	uv_mutex_lock(&pool->mutex);
	while ((slot = pool->finished)) {
		pool->finished = slot->next;
		slot->next = in_order;
		in_order = slot;
	}
	offered = pool->offered;
	pool->offered = NULL;
	uv_mutex_unlock(&pool->mutex);
	while ((slot = in_order)) {
		in_order = slot->next;  /* before it has its next job */
		job_done(slot);
	}
	start_offered(pool, offered);
}

struct fault work_submit(struct loop *loop, enum work_class class, struct work *w)
{
	struct work_pool *pool = loop->work;
	struct work_stats *stats = &pool->stats[class];

	if (!pool->slots[0])
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
	atomic_fetch_add(&pool->wanted, 1);
	w->is_offered = false;
	w->class = class;
	w->asked_ms = loop_now_ms(loop);
	w->state = WORK_WAITING;
	stats->waiting++;
	fifo_add(&pool->waiting[class], w);
	start_jobs(pool);
	return FAULT_OK;
}

struct fault work_soon(struct loop *loop, struct work *w)
{
	struct work_pool *pool = loop->work;

	if (w->state != WORK_IDLE)
		BUG("a job submitted twice");
	if (pool->is_ending)
		return fault(FAULT_UNAVAILABLE, "the process is ending");
	w->state = WORK_SOON;
	fifo_add(&pool->soon, w);
	deferred_call(&pool->run_soon);
	return FAULT_OK;
}

bool work_cancel(struct loop *loop, struct work *w)
{
	struct work_pool *pool = loop->work;

	if (w->state == WORK_SOON) {
		(void)fifo_remove(&pool->soon, w);
	} else if (w->state == WORK_WAITING) {
		(void)fifo_remove(&pool->waiting[w->class], w);
		pool->stats[w->class].waiting--;
		atomic_fetch_sub(&pool->wanted, 1);
		pool->stats[w->class].cancelled++;
	} else {
		return false;
	}
	w->state = WORK_CANCELLED;
	fifo_add(&pool->cancelled, w);
	deferred_call(&pool->tell_cancelled);
	return true;
}

uint32_t work_idle(void)
{
	uint32_t wanted = here ? atomic_load(&here->wanted) : 0;

	return here && wanted < room(here) ? room(here) - wanted : 0;
}

bool work_offer(struct work *w)
{
	if (!work_idle())
		return false;
	w->class = WORK_MAIL;
	w->is_offered = true;
	w->state = WORK_WAITING;
	hand_over(here, NULL, w);
	return true;
}

bool work_is_pressed(void)
{
	return atomic_load(&here->wanted) > room(here);
}

void work_set_cores(struct loop *loop, uint32_t cores)
{
	loop->work->cores = cores;
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
	while (pool->soon.first)
		work_cancel(loop, pool->soon.first);
	deferred_cancel(&pool->run_soon);
	deferred_cancel(&pool->tell_cancelled);
	tell_cancelled(pool);
	while (pool->running)
		uv_run(&loop->uv, UV_RUN_ONCE);
}

/* No job runs any more, and the poll handle was closed with the loop's others. */
void work_free(struct loop *loop)
{
	struct work_pool *pool = loop->work;

	for (size_t c = 0; c < WORK_CLASSES && pool->slots[c]; c++) {
		for (struct slot *slot = pool->slots[c]; slot < pool->slots[c] + pool->running_max[c]; slot++) {
			if (!slot->has_thread)
				continue;
			uv_sem_post(&slot->wake);       /* without work: the end */
			uv_thread_join(&slot->thread);
			uv_sem_destroy(&slot->wake);
		}
		free(pool->slots[c]);
	}
	close(pool->finished_fd);
	uv_mutex_destroy(&pool->mutex);
	free(pool);
	loop->work = NULL;
}
