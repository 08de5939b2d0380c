/* Jobs: every accepted one is done exactly once, classes do not starve each other, the queue has an
 * end, and so has the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>

#include "common/memory.h"
#include "common/work.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define THREADS 4

struct job {
	struct work work;
	pthread_t ran_on;
	int runs, dones;
	bool was_cancelled;
};

static sem_t started, go;
static pthread_t loop_thread;
static bool is_submitting;

static int setup(void **state)
{
	struct loop *loop;

	if (loop_new(&loop).kind)
		return -1;
	work_setup(loop, THREADS, 10);
	sem_init(&started, 0, 0);
	sem_init(&go, 0, 0);
	loop_thread = pthread_self();
	*state = loop;
	return 0;
}

static int teardown(void **state)
{
	struct loop *loop = *state;

	loop_free(&loop);
	return 0;
}

static void run_at_once(struct work *w)
{
	struct job *job = CONTAINER_OF(w, struct job, work);

	job->ran_on = pthread_self();
	job->runs++;
}

static void run_when_told(struct work *w)
{
	sem_post(&started);
	sem_wait(&go);
	run_at_once(w);
}

static void on_done(struct work *w, bool is_cancelled)
{
	struct job *job = CONTAINER_OF(w, struct job, work);

	assert_true(pthread_equal(pthread_self(), loop_thread));
	assert_false(is_submitting);
	job->dones++;
	job->was_cancelled = is_cancelled;
}

static enum fault_kind submit(struct loop *loop, enum work_class class, struct job *job,
                              void (*run)(struct work *w))
{
	job->work.run = run;
	job->work.done = on_done;
	is_submitting = true;
	enum fault_kind kind = work_submit(loop, class, &job->work).kind;

	is_submitting = false;
	return kind;
}

static void wait_for(struct loop *loop, const int *what, int value)
{
	while (*what != value)
		loop_run_once(loop, 1000);
}

static void a_job_runs_elsewhere_and_is_done_here(void **state)
{
	struct loop *loop = *state;
	struct job job = { 0 };
	assert_int_equal(submit(loop, WORK_MAIL, &job, run_at_once), FAULT_NONE);
	wait_for(loop, &job.dones, 1);
	assert_int_equal(job.runs, 1);
	assert_false(job.was_cancelled);
	assert_false(pthread_equal(job.ran_on, loop_thread));
	/* The same struct may be used again. */
	assert_int_equal(submit(loop, WORK_AUTH, &job, run_at_once), FAULT_NONE);
	wait_for(loop, &job.dones, 2);
	assert_int_equal(work_stats(loop, WORK_MAIL).finished, 1);
	assert_int_equal(work_stats(loop, WORK_AUTH).finished, 1);
}

static void a_job_that_does_not_block_needs_no_thread_but_has_the_same_promises(void **state)
{
	struct loop *loop = *state;
	struct job job = { .work = { .run = run_at_once, .done = on_done } }, taken_back = job, too_late = job;

	is_submitting = true;
	OK(work_soon(loop, &job.work));
	OK(work_soon(loop, &taken_back.work));
	assert_true(work_cancel(loop, &taken_back.work));
	is_submitting = false;
	assert_int_equal(job.runs, 0);
	wait_for(loop, &job.dones, 1);
	wait_for(loop, &taken_back.dones, 1);
	assert_int_equal(job.runs, 1);
	assert_false(job.was_cancelled);
	assert_true(pthread_equal(job.ran_on, loop_thread));
	assert_int_equal(taken_back.runs, 0);
	assert_true(taken_back.was_cancelled);
	OK(work_soon(loop, &too_late.work));
	loop_free(&loop);
	*state = NULL;
	assert_int_equal(too_late.runs, 0);
	assert_int_equal(too_late.dones, 1);
	assert_true(too_late.was_cancelled);
}

static void a_full_queue_refuses_and_the_rest_is_done(void **state)
{
	struct loop *loop = *state;
	struct job jobs[THREADS - 1 + 10] = { 0 }, one_more = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		assert_int_equal(submit(loop, WORK_MAIL, &jobs[i], run_when_told), FAULT_NONE);
	assert_int_equal(submit(loop, WORK_MAIL, &one_more, run_at_once), FAULT_BUSY);
	assert_int_equal(work_stats(loop, WORK_MAIL).waiting, 10);
	assert_int_equal(work_stats(loop, WORK_MAIL).running, THREADS - 1);
	assert_int_equal(work_stats(loop, WORK_MAIL).refused, 1);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		sem_post(&go);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		wait_for(loop, &jobs[i].dones, 1);
	assert_int_equal(one_more.dones, 0);
	assert_int_equal(work_stats(loop, WORK_MAIL).waiting, 0);
	assert_int_equal(work_stats(loop, WORK_MAIL).running, 0);
}

static void neither_class_can_keep_the_other_from_the_threads(void **state)
{
	struct loop *loop = *state;
	struct job mail[THREADS + 2] = { 0 }, auth[THREADS + 2] = { 0 }, quick = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(mail); i++)
		assert_int_equal(submit(loop, WORK_MAIL, &mail[i], run_when_told), FAULT_NONE);
	for (int i = 0; i < THREADS - 1; i++)
		sem_wait(&started);
	/* All mail is stuck; a login still goes through. */
	assert_int_equal(submit(loop, WORK_AUTH, &quick, run_at_once), FAULT_NONE);
	wait_for(loop, &quick.dones, 1);
	for (size_t i = 0; i < ARRAY_LEN(mail); i++)
		sem_post(&go);
	for (size_t i = 0; i < ARRAY_LEN(mail); i++)
		wait_for(loop, &mail[i].dones, 1);
	while (!sem_trywait(&started))
		continue;
	/* All hashing is stuck; mail still goes through. */
	for (size_t i = 0; i < ARRAY_LEN(auth); i++)
		assert_int_equal(submit(loop, WORK_AUTH, &auth[i], run_when_told), FAULT_NONE);
	for (int i = 0; i < THREADS / 2; i++)
		sem_wait(&started);
	assert_int_equal(work_stats(loop, WORK_AUTH).running, THREADS / 2);
	assert_int_equal(submit(loop, WORK_MAIL, &quick, run_at_once), FAULT_NONE);
	wait_for(loop, &quick.dones, 2);
	for (size_t i = 0; i < ARRAY_LEN(auth); i++)
		sem_post(&go);
	for (size_t i = 0; i < ARRAY_LEN(auth); i++)
		wait_for(loop, &auth[i].dones, 1);
}

struct priority {
	struct work work;
	int nice, dones;
};

static void see_priority(struct work *w)
{
	CONTAINER_OF(w, struct priority, work)->nice = getpriority(PRIO_PROCESS, 0);
}

static void on_priority_seen(struct work *w, bool is_cancelled)
{
	assert_false(is_cancelled);
	CONTAINER_OF(w, struct priority, work)->dones++;
}

static void hashing_leaves_the_processor_to_the_loop_and_to_mail(void **state)
{
	struct loop *loop = *state;
	struct priority jobs[WORK_CLASSES];
	int own = getpriority(PRIO_PROCESS, 0), low = own + WORK_AUTH_NICE;

	for (int round = 0; round < 2; round++)
		for (size_t c = 0; c < WORK_CLASSES; c++) {
			jobs[c] = (struct priority){ .work = { .run = see_priority, .done = on_priority_seen } };
			OK(work_submit(loop, (enum work_class)c, &jobs[c].work));
			wait_for(loop, &jobs[c].dones, 1);
		}
	assert_int_equal(jobs[WORK_MAIL].nice, own);
	assert_int_equal(jobs[WORK_AUTH].nice, low < 19 ? low : 19);    /* the lowest there is */
	assert_int_equal(getpriority(PRIO_PROCESS, 0), own);
}

/* Threads of the size of the limit on stacks, which no address space has. */
static void without_another_thread_each_class_has_those_there_are(void **state)
{
	struct loop *loop = *state;
	struct job mail[2] = { 0 }, auth[2] = { 0 };
	struct rlimit was, huge;

	assert_int_equal(getrlimit(RLIMIT_STACK, &was), 0);
	huge = (struct rlimit){ (rlim_t)1 << 52, was.rlim_max };
	if (huge.rlim_max < huge.rlim_cur)
		skip();
	assert_int_equal(submit(loop, WORK_MAIL, &mail[0], run_when_told), FAULT_NONE);
	assert_int_equal(setrlimit(RLIMIT_STACK, &huge), 0);
	assert_int_equal(submit(loop, WORK_AUTH, &auth[0], run_at_once), FAULT_NONE);
	assert_int_equal(submit(loop, WORK_MAIL, &mail[1], run_at_once), FAULT_NONE);
	assert_int_equal(work_stats(loop, WORK_AUTH).waiting + work_stats(loop, WORK_MAIL).waiting, 2);
	sem_post(&go);
	wait_for(loop, &auth[0].dones, 1);
	wait_for(loop, &mail[1].dones, 1);
	/* Also when nothing else is going on that it could wait for. */
	assert_int_equal(submit(loop, WORK_AUTH, &auth[1], run_at_once), FAULT_NONE);
	wait_for(loop, &auth[1].dones, 1);
	assert_true(pthread_equal(auth[1].ran_on, mail[0].ran_on));
	assert_int_equal(setrlimit(RLIMIT_STACK, &was), 0);
}

static void a_waiting_job_can_be_taken_back_and_a_running_one_cannot(void **state)
{
	struct loop *loop = *state;
	struct job jobs[THREADS + 3] = { 0 };
	const size_t last = ARRAY_LEN(jobs) - 1;
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		assert_int_equal(submit(loop, WORK_MAIL, &jobs[i], run_when_told), FAULT_NONE);
	for (int i = 0; i < THREADS - 1; i++)
		sem_wait(&started);
	assert_false(work_cancel(loop, &jobs[0].work));
	assert_true(work_cancel(loop, &jobs[last].work));
	assert_false(work_cancel(loop, &jobs[last].work));
	assert_true(work_cancel(loop, &jobs[last - 2].work));
	assert_int_equal(jobs[last].dones, 0);
	wait_for(loop, &jobs[last].dones, 1);
	assert_true(jobs[last].was_cancelled && jobs[last - 2].was_cancelled);
	assert_int_equal(jobs[last].runs + jobs[last - 2].runs, 0);
	/* The queue's end is in order after its last job left. */
	assert_int_equal(submit(loop, WORK_MAIL, &jobs[last], run_when_told), FAULT_NONE);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		sem_post(&go);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		wait_for(loop, &jobs[i].dones, i == last ? 2 : 1);
	assert_int_equal(jobs[last].runs, 1);
	assert_false(work_cancel(loop, &jobs[0].work));
}

static void *let_go_later(void *arg)
{
	(void)arg;
	for (int i = 0; i < THREADS - 1; i++)
		sem_wait(&started);
	for (int i = 0; i < THREADS - 1; i++)
		sem_post(&go);
	return NULL;
}

static struct loop *ending;

static void on_done_submit_again(struct work *w, bool is_cancelled)
{
	on_done(w, is_cancelled);
	assert_int_equal(work_submit(ending, WORK_MAIL, w).kind, FAULT_UNAVAILABLE);
}

static void at_the_end_waiting_jobs_are_cancelled_and_running_ones_finish(void **state)
{
	struct job jobs[THREADS + 5] = { 0 };
	pthread_t helper;
	struct loop *loop;
	int runs = 0, cancelled = 0;
	(void)state;
	assert_int_equal(setup((void **)&loop), 0);
	ending = loop;
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		assert_int_equal(submit(loop, WORK_MAIL, &jobs[i], run_when_told), FAULT_NONE);
		jobs[i].work.done = on_done_submit_again;
	}
	pthread_create(&helper, NULL, let_go_later, NULL);
	loop_free(&loop);
	pthread_join(helper, NULL);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		assert_int_equal(jobs[i].dones, 1);
		assert_int_equal(jobs[i].runs, !jobs[i].was_cancelled);
		runs += jobs[i].runs;
		cancelled += jobs[i].was_cancelled;
	}
	assert_int_equal(runs, THREADS - 1);
	assert_int_equal(cancelled, ARRAY_LEN(jobs) - (THREADS - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_job_runs_elsewhere_and_is_done_here, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_job_that_does_not_block_needs_no_thread_but_has_the_same_promises,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_queue_refuses_and_the_rest_is_done, setup,
						teardown),
		cmocka_unit_test_setup_teardown(hashing_leaves_the_processor_to_the_loop_and_to_mail, setup, teardown),
		cmocka_unit_test_setup_teardown(neither_class_can_keep_the_other_from_the_threads,
						setup, teardown),
		cmocka_unit_test_setup_teardown(without_another_thread_each_class_has_those_there_are, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_waiting_job_can_be_taken_back_and_a_running_one_cannot, setup, teardown),
		cmocka_unit_test(at_the_end_waiting_jobs_are_cancelled_and_running_ones_finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
