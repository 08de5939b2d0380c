/* tests/unit/support/in_job.h - a function run as imapd runs a step: as a job, while so many cores are there. */
#ifndef SUPPORT_IN_JOB_H
#define SUPPORT_IN_JOB_H

#include "common/loop.h"
#include "common/memory.h"
#include "common/work.h"
#include "maildir/store.h"

struct in_job {
	struct work work;
	void (*fn)(void *arg);
	void *arg;
	bool is_done;
};

static inline void in_job_run(struct work *w)
{
	struct in_job *job = CONTAINER_OF(w, struct in_job, work);

	job->fn(job->arg);
}

static inline void in_job_done(struct work *w, bool is_cancelled)
{
	(void)is_cancelled;
	CONTAINER_OF(w, struct in_job, work)->is_done = true;
}

static inline void in_job(uint32_t cores, void (*fn)(void *arg), void *arg)
{
	struct in_job job = { .work = { .run = in_job_run, .done = in_job_done }, .fn = fn, .arg = arg };
	struct loop *loop;

	if (loop_new(&loop).kind)
		BUG("no loop");
	work_setup(loop, 4, 10);
	work_set_cores(loop, cores);
	work_set_brackets(store_job_begin, store_job_end);
	if (work_submit(loop, WORK_MAIL, &job.work).kind)
		BUG("no job");
	while (!job.is_done)
		loop_run_once(loop, 1000);
	loop_free(&loop);
}

#endif
