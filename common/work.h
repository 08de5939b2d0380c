/* common/work.h - jobs: what blocks (files, LMDB, password hashing) runs on a thread pool, never on
 * the loop. A job is a struct of the caller with a struct work inside. It carries copies in and
 * results out; run() sees the job only, done() is on the loop's thread again and owns it. The
 * caller keeps the job alive until done(), which comes exactly once for every accepted job, and
 * never from inside work_submit().
 *
 * Two classes share the processor, so that a storm of logins cannot hold up mail, nor mail hold up
 * logins: at most half of the jobs that run hash passwords, and mail leaves at least one to them. Hashing
 * happens at a lower priority (setpriority(2)): however many strangers try passwords, the loop, and mail, are
 * given the processor before them. Behind
 * each class stands a queue, first come first served, with a limit of its own; beyond it a job is
 * refused with FAULT_BUSY, and the peer gets a temporary answer. */
#ifndef COMMON_WORK_H
#define COMMON_WORK_H

#include "common/bytes.h"
#include "common/fault.h"
#include "common/loop.h"

enum work_class {
	WORK_MAIL,      /* files and indexes */
	WORK_AUTH,      /* password hashing and everything before login */
	WORK_CLASSES,
};

/* Zero-initialise it, set run and done. */
struct work {
	void (*run)(struct work *w);                    /* on a pool thread */
	/* On the loop. is_cancelled: the process is ending or work_cancel() was called, and run()
	 * never ran. */
	void (*done)(struct work *w, bool is_cancelled);
	struct work *next;                              /* the rest is work.c's */
	uint64_t asked_ms;
	enum work_class class;
	bool is_offered;
	unsigned state;
};

struct work_stats {
	uint64_t accepted, finished, refused, cancelled;        /* since start */
	uint64_t longest_wait_ms;                               /* in the queue, since start */
	uint32_t running, waiting;                              /* now */
};

#define WORK_THREADS_DEFAULT 8
#define WORK_AUTH_NICE 10       /* about a tenth of the processor where others want it, too (sched(7)) */
#define WORK_WAITING_DEFAULT 1024

/**
 * work_setup - choose how many jobs run at the same time (setting workers.threads; 1 to 64) and the length of
 * each queue. Once per process, before the first job: the pool's size is fixed from then on.
 * Without it the defaults hold.
 */
void work_setup(struct loop *loop, uint32_t threads, uint32_t waiting_max);
/** work_set_brackets - called on the pool thread right before and right behind each job's run(), for what a job holds
 * as a whole. Set before the first job; NULL: none. */
void work_set_brackets(void (*begin)(void), void (*end)(void));
/** work_submit - have w run. FAULT_BUSY: the queue is full (done is not called); FAULT_UNAVAILABLE:
 *  the loop is ending. */
MUST_CHECK struct fault work_submit(struct loop *loop, enum work_class class, struct work *w);
/** work_soon - for a job of which its owner knows that it will not block: run() and done() are called on the loop, at the end of
 *  this turn. All else is as with work_submit(), but it waits for no thread and stands in no statistics. FAULT_UNAVAILABLE: the loop
 *  is ending. */
MUST_CHECK struct fault work_soon(struct loop *loop, struct work *w);
/** work_cancel - a waiting job is taken back: false when it already runs. done(w, true) still
 *  comes, in a later turn. */
bool work_cancel(struct loop *loop, struct work *w);
/** work_offer - from inside run(): let an idle thread run w beside it. Only while fewer jobs run and wait than the machine has
 *  cores, and never on a thread that is kept for logins; else done(w, true) comes, or false is returned and nothing does. Nobody
 *  waits for it, and it stands in no statistics but `running`. For crew.h, which is what to use. */
bool work_offer(struct work *w);
/** work_idle - from anywhere: how many offers could find a core that nobody wants; 0 outside of run(). */
uint32_t work_idle(void);
/** work_is_pressed - from inside the run() of what was offered: do others want its thread or its core by now? */
bool work_is_pressed(void);
/** work_set_cores - as how many cores work_offer() counts, for tests. Before the first job. */
void work_set_cores(struct loop *loop, uint32_t cores);
/** work_stats - counters of one class, for `postroom status`. */
struct work_stats work_stats(const struct loop *loop, enum work_class class);

#endif
