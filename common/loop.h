/* common/loop.h - one event loop per process: timers, deferred calls, and an orderly end. A thin
 * layer over libuv. Everything here belongs to the thread that runs the loop; work for other
 * threads goes through common/work.h. Timers and deferred calls are plain embedded structs:
 * stopped, they may be freed at once (libuv's own handles may not, which is why they are not used
 * for this). */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include "common/bytes.h"
#include "common/fault.h"

struct loop;
struct uv_loop_s;

/** loop_new - a loop of its own. SIGPIPE is ignored from here on. FAULT_INTERNAL when libuv has no
 *  descriptor. */
MUST_CHECK struct fault loop_new(struct loop **out);
/**
 * loop_free - close what is still open, then free the loop. NULL is fine. Members (streams,
 * listeners) are closed hard, waiting jobs are cancelled, running ones are waited for and their
 * done functions called; then libuv's remaining handles are closed without a callback of their own.
 * No timer and no deferred call fires any more.
 */
void loop_free(struct loop **loop);
/** loop_run - serve until loop_stop(). */
void loop_run(struct loop *loop);
/** loop_run_once - one turn: wait at most wait_ms for something to happen, handle what happened.
 *  For tests and tools. */
void loop_run_once(struct loop *loop, uint32_t wait_ms);
/** loop_stop - make loop_run() return after the current turn. */
void loop_stop(struct loop *loop);
/** loop_uv - libuv's loop, for handles that this layer does not cover (signals, children, inotify).
 *  */
struct uv_loop_s *loop_uv(struct loop *loop);
/** loop_now_ms - monotonic time, read once per turn: free to call. Never goes back, unlike the wall
 *  clock. */
uint64_t loop_now_ms(const struct loop *loop);
/** loop_skip_ms - let the loop's clock jump ahead, so that a test need not wait for a deadline. */
void loop_skip_ms(struct loop *loop, uint64_t ms);

/* A one-shot timer. Starting it again before it fired moves it; moving it to later costs one store,
 * so a session may do that for every command it reads. */
struct timer {
	/* The timer is stopped when this is called, and may be started or freed in it. */
	void (*fire)(struct timer *t);
	struct loop *loop;      /* the rest is the loop's */
	uint64_t due_ms, looked_at_ms;
	size_t place;
};

/** timer_init - not running yet. */
void timer_init(struct timer *t, struct loop *loop, void (*fire)(struct timer *t));
/** timer_start_ms - fire once, delay_ms from now (0: in the next turn). */
void timer_start_ms(struct timer *t, uint64_t delay_ms);
/** timer_stop - do not fire. Fine when not running. Afterwards *t may be freed. */
void timer_stop(struct timer *t);
static inline bool timer_is_running(const struct timer *t)
{
	return t->place != 0;
}

/* A call put off to the end of this turn of the loop: for what must not happen inside the caller.
 * */
struct deferred {
	void (*run)(struct deferred *d);
	struct loop *loop;              /* the rest is the loop's */
	struct deferred *next, **at;
};

void deferred_init(struct deferred *d, struct loop *loop, void (*run)(struct deferred *d));
/** deferred_call - run it once, soon; calling it again before that changes nothing. Calls run in
 *  the order asked. What a deferred call asks for runs in a later round, so it cannot starve the
 *  loop. */
void deferred_call(struct deferred *d);
/**
 * deferred_queue - run it at the end of a turn in which its time has come: for peers who have not proven who they are, so that work
 * for a crowd of them does not keep those waiting who have. First come first served, when everything that woke the loop has been
 * handled; in one turn as many as begin within LOOP_QUEUED_US, at least one. The loop does not sleep while any are left. Queueing it
 * again before it ran changes nothing, and neither does deferred_call().
 */
#define LOOP_QUEUED_US 1000
void deferred_queue(struct deferred *d);
/** deferred_cancel - do not run it. Afterwards *d may be freed. */
void deferred_cancel(struct deferred *d);
static inline bool deferred_is_waiting(const struct deferred *d)
{
	return d->at != NULL;
}

/* Something that lives on the loop and must be closed before it ends. */
struct loop_member {
	/* Called by loop_free(): leave the list, close handles. */
	void (*close)(struct loop_member *m);
	struct loop_member *next, **at;
};

void loop_join(struct loop *loop, struct loop_member *m);
void loop_leave(struct loop_member *m);

#endif
