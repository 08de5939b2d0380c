#include "common/loop.h"

#include <signal.h>
#include <stdlib.h>

#include <uv.h>

#include "common/loop_private.h"
#include "common/memory.h"

#include "common/banned.h"

#define ROUNDS_BEFORE_QUEUED 4

/* --- timers: a binary heap of pointers, each timer knowing its place --- */

/* The heap is ordered by looked_at_ms, when the loop will look at a timer. due_ms, when it is to
 * fire, may be later: then it goes back into the heap instead. So moving a deadline away, which
 * happens at every command, touches nothing but the timer, and the heap is put right once per
 * deadline. */

static void put(struct loop *loop, size_t place, struct timer *t)
{
	loop->timers[place - 1] = t;
	t->place = place;
}

static void sift_up(struct loop *loop, struct timer *t)
{
	size_t at = t->place;

	while (at > 1 && loop->timers[at / 2 - 1]->looked_at_ms > t->looked_at_ms) {
		put(loop, at, loop->timers[at / 2 - 1]);
		at /= 2;
	}
	put(loop, at, t);
}

static void sift_down(struct loop *loop, struct timer *t)
{
	size_t at = t->place, n = loop->timer_count;

	for (;;) {
		size_t child = 2 * at;

		if (child > n)
			break;
		if (child < n && loop->timers[child]->looked_at_ms <
		                 loop->timers[child - 1]->looked_at_ms)
			child++;
		if (loop->timers[child - 1]->looked_at_ms >= t->looked_at_ms)
			break;
		put(loop, at, loop->timers[child - 1]);
		at = child;
	}
	put(loop, at, t);
}

static void on_tick(uv_timer_t *tick);

/* Have libuv wake us when the first timer wants to be looked at. */
static void arm_tick(struct loop *loop)
{
	if (!loop->timer_count || loop->is_ending) {
		uv_timer_stop(&loop->tick);
		loop->tick_ms = UINT64_MAX;
		return;
	}
	uint64_t first = loop->timers[0]->looked_at_ms, now = loop_now_ms(loop);

	if (first == loop->tick_ms && uv_is_active((uv_handle_t *)&loop->tick))
		return;
	loop->tick_ms = first;
	uv_timer_start(&loop->tick, on_tick, first > now ? first - now : 0, 0);
}

static void on_tick(uv_timer_t *tick)
{
	struct loop *loop = tick->data;
	uint64_t now = loop_now_ms(loop);

	/* A timer that starts itself again with no delay waits for the next tick: others want their
	 * turn. */
	for (size_t budget = loop->timer_count; budget && loop->timer_count; budget--) {
		struct timer *t = loop->timers[0];

		if (t->looked_at_ms > now)
			break;
		if (t->due_ms > now) {
			t->looked_at_ms = t->due_ms;
			sift_down(loop, t);
			continue;
		}
		timer_stop(t);
		t->fire(t);
	}
	loop->tick_ms = UINT64_MAX;
	arm_tick(loop);
}

void timer_init(struct timer *t, struct loop *loop, void (*fire)(struct timer *t))
{
	*t = (struct timer){ .fire = fire, .loop = loop };
}

void timer_start_ms(struct timer *t, uint64_t delay_ms)
{
	struct loop *loop = t->loop;
	uint64_t now = loop_now_ms(loop);

	t->due_ms = delay_ms < UINT64_MAX - now ? now + delay_ms : UINT64_MAX - 1;
	if (t->place && t->due_ms >= t->looked_at_ms)
		return;
	t->looked_at_ms = t->due_ms;
	if (!t->place) {
		if (loop->timer_count == loop->timer_cap) {
			loop->timer_cap = loop->timer_cap ? 2 * loop->timer_cap : 64;
			loop->timers =
				xrealloc(loop->timers, loop->timer_cap * sizeof(*loop->timers));
		}
		t->place = ++loop->timer_count;
	}
	sift_up(loop, t);
	if (t->place == 1)
		arm_tick(loop);
}

void timer_stop(struct timer *t)
{
	struct loop *loop = t->loop;
	size_t place = t->place;

	if (!place)
		return;
	struct timer *last = loop->timers[--loop->timer_count];

	t->place = 0;
	if (last == t)
		return;         /* the tick may come for nothing; it arms itself again */
	put(loop, place, last);
	sift_up(loop, last);
	sift_down(loop, last);
}

/* --- deferred calls --- */

void deferred_init(struct deferred *d, struct loop *loop, void (*run)(struct deferred *d))
{
	*d = (struct deferred){ .run = run, .loop = loop };
}

/* add - at the end of a list, unless it stands in one. */
static void add(struct deferred *d, struct deferred ***end)
{
	if (d->at)
		return;
	d->next = NULL;
	d->at = *end;
	**end = d;
	*end = &d->next;
}

void deferred_call(struct deferred *d)
{
	add(d, &d->loop->deferred_end);
}

void deferred_queue(struct deferred *d)
{
	add(d, &d->loop->queued_end);
}

void deferred_cancel(struct deferred *d)
{
	struct loop *loop = d->loop;

	if (!d->at)
		return;
	*d->at = d->next;
	if (d->next)
		d->next->at = d->at;
	/* One of three lists: those asked for, those being run now, those queued. */
	if (loop->deferred_end == &d->next)
		loop->deferred_end = d->at;
	if (loop->queued_end == &d->next)
		loop->queued_end = d->at;
	d->at = NULL;
}

/* Returns whether there were any. */
static bool run_deferred(struct loop *loop)
{
	if (!loop->deferred || loop->is_ending)
		return false;
	/* Take the list over: what is asked for from here on belongs to the next turn. */
	struct deferred *round = loop->deferred;

	round->at = &round;
	loop->deferred = NULL;
	loop->deferred_end = &loop->deferred;
	while (round) {
		struct deferred *d = round;

		deferred_cancel(d);
		d->run(d);
	}
	return true;
}

static void run_queued(struct loop *loop)
{
	if (!loop->queued || loop->is_ending)
		return;
	uint64_t until_ns = uv_hrtime() + LOOP_QUEUED_US * (uint64_t)1000;

	do {
		struct deferred *d = loop->queued;

		deferred_cancel(d);
		d->run(d);
	} while (loop->queued && uv_hrtime() < until_ns);
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct loop *loop = prepare->data;

	/* More may have been asked for, or loop_run_once() has what it waits for: do not sleep. */
	if (run_deferred(loop) || loop->queued)
		uv_idle_start(&loop->awake, loop->on_awake);
	else
		uv_idle_stop(&loop->awake);
}

static void on_check(uv_check_t *check)
{
	struct loop *loop = check->data;

	run_deferred(loop);
	if (!loop->queued)
		return;
	/* What was deferred defers what it leads to: a command, its answer, the sending of it. */
	for (int round = 0; round < ROUNDS_BEFORE_QUEUED && run_deferred(loop); round++)
		continue;
	run_queued(loop);
	run_deferred(loop);
}

static void on_awake(uv_idle_t *awake)
{
	(void)awake;
}

/* --- the loop --- */

struct fault loop_new(struct loop **out)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));
	int e = uv_loop_init(&loop->uv);

	if (e) {
		free(loop);
		return fault_detail(FAULT_INTERNAL, "event loop: %s", uv_strerror(e));
	}
	struct fault f = work_init(loop);

	if (f.kind) {
		uv_loop_close(&loop->uv);
		free(loop);
		return f;
	}
	/* A peer that is gone is an error of write(2), not the end of us. */
	signal(SIGPIPE, SIG_IGN);
	loop->uv.data = loop;
	loop->deferred_end = &loop->deferred;
	loop->queued_end = &loop->queued;
	loop->tick_ms = UINT64_MAX;
	loop->on_awake = on_awake;
	uv_timer_init(&loop->uv, &loop->tick);
	uv_prepare_init(&loop->uv, &loop->prepare);
	uv_check_init(&loop->uv, &loop->check);
	uv_idle_init(&loop->uv, &loop->awake);
	loop->tick.data = loop->prepare.data = loop->check.data = loop->awake.data = loop;
	uv_prepare_start(&loop->prepare, on_prepare);
	uv_check_start(&loop->check, on_check);
	*out = loop;
	return FAULT_OK;
}

static void close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

void loop_free(struct loop **plo)
{
	struct loop *loop = *plo;

	if (!loop)
		return;
	loop->is_ending = true;
	while (loop->members) {
		struct loop_member *m = loop->members;
		loop_leave(m);
		m->close(m);
	}
	work_end(loop);
	while (loop->members) {         /* a done function may have made one */
		struct loop_member *m = loop->members;
		loop_leave(m);
		m->close(m);
	}
	uv_walk(&loop->uv, close_handle, NULL);
	while (uv_run(&loop->uv, UV_RUN_DEFAULT))
		continue;
	int e = uv_loop_close(&loop->uv);

	if (e)
		BUG("event loop: %s", uv_strerror(e));
	work_free(loop);
	free(loop->timers);
	free(loop->scratch);
	free(loop);
	*plo = NULL;
}

void loop_run(struct loop *loop)
{
	while (!loop->is_stopping)
		uv_run(&loop->uv, UV_RUN_ONCE);
	loop->is_stopping = false;
}

static void on_patience_end(struct timer *t)
{
	uv_stop(&t->loop->uv); /* timers run before the wait, too: it must not begin then */
}

void loop_run_once(struct loop *loop, uint32_t wait_ms)
{
	struct timer patience;

	if (!wait_ms) {
		uv_run(&loop->uv, UV_RUN_NOWAIT);
		return;
	}
	timer_init(&patience, loop, on_patience_end);
	timer_start_ms(&patience, wait_ms);
	uv_run(&loop->uv, UV_RUN_ONCE);
	timer_stop(&patience);
}

void loop_stop(struct loop *loop)
{
	loop->is_stopping = true;
	/* Nothing else may be going on that would end the wait. */
	uv_stop(&loop->uv);
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
	return &loop->uv;
}

uint64_t loop_now_ms(const struct loop *loop)
{
	return uv_now(&loop->uv) + loop->skipped_ms;
}

void loop_skip_ms(struct loop *loop, uint64_t ms)
{
	loop->skipped_ms += ms;
	loop->tick_ms = UINT64_MAX;
	arm_tick(loop);
}

void loop_join(struct loop *loop, struct loop_member *m)
{
	m->next = loop->members;
	m->at = &loop->members;
	if (m->next)
		m->next->at = &m->next;
	loop->members = m;
}

void loop_leave(struct loop_member *m)
{
	if (!m->at)
		return;
	*m->at = m->next;
	if (m->next)
		m->next->at = m->at;
	m->at = NULL;
}
