/* Many hands: each piece is done once, whoever does it; helpers come where a core is idle, go when others want it, and nobody
 * waits for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "common/crew.h"
#include "common/memory.h"
#include "common/work.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define PIECES 100
#define PATIENCE_S 120

/* A job that does its pieces with a crew. */
struct task {
	struct work work;
	void (*before)(struct task *t, size_t piece, bool is_helper);
	pthread_t caller;
	size_t count;
	_Atomic unsigned done[PIECES];
	_Atomic unsigned helped, own;
	sem_t helper_is_in, go, caller_may_go;
	int dones;
};

static void wait_sem(sem_t *sem)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	if (sem_timedwait(sem, &until))
		BUG("nobody came in %d s", PATIENCE_S);
}

static void do_piece(void *arg, size_t piece)
{
	struct task *t = arg;
	bool is_helper = !pthread_equal(pthread_self(), t->caller);

	atomic_fetch_add(is_helper ? &t->helped : &t->own, 1);
	if (t->before)
		t->before(t, piece, is_helper);
	atomic_fetch_add(&t->done[piece], 1);
}

static void run_task(struct work *w)
{
	struct task *t = CONTAINER_OF(w, struct task, work);

	t->caller = pthread_self();
	crew_run(t->count, do_piece, t);
	for (size_t i = 0; i < PIECES; i++)
		if (atomic_load(&t->done[i]) != (i < t->count))
			BUG("piece %zu was done %u times", i, t->done[i]);
}

static void on_done(struct work *w, bool is_cancelled)
{
	assert_false(is_cancelled);
	CONTAINER_OF(w, struct task, work)->dones++;
}

static void task_init(struct task *t, size_t count)
{
	*t = (struct task){ .work = { .run = run_task, .done = on_done }, .count = count };
	sem_init(&t->helper_is_in, 0, 0);
	sem_init(&t->go, 0, 0);
	sem_init(&t->caller_may_go, 0, 0);
}

static struct loop *new_loop(uint32_t threads, uint32_t cores)
{
	struct loop *loop;

	OK(loop_new(&loop));
	work_setup(loop, threads, 10);
	work_set_cores(loop, cores);
	return loop;
}

static void wait_for(struct loop *loop, const int *what, int value)
{
	while (*what != value)
		loop_run_once(loop, 1000);
}

static void outside_of_a_job_the_caller_does_all_pieces(void **state)
{
	struct task t;

	(void)state;
	task_init(&t, PIECES);
	run_task(&t.work);
	assert_int_equal(t.own, PIECES);
	task_init(&t, 0);
	run_task(&t.work);
	assert_int_equal(t.own, 0);
}

static void on_a_machine_with_one_core_or_one_thread_nobody_helps(void **state)
{
	static const uint32_t settings[][2] = { { 4, 1 }, { 1, 4 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		struct loop *loop = new_loop(settings[i][0], settings[i][1]);
		struct task t;

		task_init(&t, PIECES);
		OK(work_submit(loop, WORK_MAIL, &t.work));
		wait_for(loop, &t.dones, 1);
		assert_int_equal(t.own, PIECES);
		assert_int_equal(t.helped, 0);
		loop_free(&loop);
	}
}

/* The caller's first piece ends when a helper has one: only with a helper can it go on at all. */
static void together(struct task *t, size_t piece, bool is_helper)
{
	(void)piece;
	if (is_helper)
		sem_post(&t->helper_is_in);
	else if (atomic_load(&t->own) == 1)
		wait_sem(&t->helper_is_in);
}

static void where_a_core_is_idle_a_thread_helps(void **state)
{
	struct loop *loop = new_loop(4, 2);
	struct task t;

	(void)state;
	/* Again and again: what helped before may help at once again. */
	for (int i = 0; i < 20; i++) {
		task_init(&t, PIECES);
		t.before = together;
		OK(work_submit(loop, WORK_MAIL, &t.work));
		wait_for(loop, &t.dones, 1);
		while (work_stats(loop, WORK_MAIL).running)     /* until the helper has left, too */
			loop_run_once(loop, 1000);
		assert_true(t.helped > 0);
		assert_int_equal(t.own + t.helped, PIECES);
	}
	assert_int_equal(work_stats(loop, WORK_MAIL).accepted, 20);
	assert_int_equal(work_stats(loop, WORK_MAIL).finished, 20);
	loop_free(&loop);
}

/* The caller stays in its first piece until the helper has gone. */
static void helper_is_sent_away(struct task *t, size_t piece, bool is_helper)
{
	(void)piece;
	if (is_helper) {
		sem_post(&t->helper_is_in);
		wait_sem(&t->go);
	} else if (atomic_load(&t->own) == 1) {
		wait_sem(&t->caller_may_go);
	}
}

static void run_when_told(struct work *w)
{
	wait_sem(&CONTAINER_OF(w, struct task, work)->go);
}

static void a_helper_leaves_when_others_want(struct loop *loop, bool has_thread)
{
	struct task t, other;

	task_init(&t, PIECES);
	task_init(&other, 0);
	t.before = helper_is_sent_away;
	other.work.run = run_when_told;
	OK(work_submit(loop, WORK_MAIL, &t.work));
	while (sem_trywait(&t.helper_is_in))
		loop_run_once(loop, 10);
	assert_int_equal(work_stats(loop, WORK_MAIL).running, 2);
	OK(work_submit(loop, WORK_MAIL, &other.work));
	assert_int_equal(work_stats(loop, WORK_MAIL).waiting, !has_thread);
	sem_post(&t.go);
	while (work_stats(loop, WORK_MAIL).running != 2 || work_stats(loop, WORK_MAIL).waiting)
		loop_run_once(loop, 1000);
	sem_post(&t.caller_may_go);
	wait_for(loop, &t.dones, 1);
	assert_int_equal(t.helped, 1);
	assert_int_equal(t.own, PIECES - 1);
	sem_post(&other.go);
	wait_for(loop, &other.dones, 1);
	loop_free(&loop);
}

static void a_helper_leaves_between_two_pieces_when_others_want_the_core(void **state)
{
	(void)state;
	a_helper_leaves_when_others_want(new_loop(4, 2), true);
}

/* Three threads, of which two are for mail, and many cores. */
static void a_helper_leaves_when_others_want_its_thread_however_many_cores_there_are(void **state)
{
	(void)state;
	a_helper_leaves_when_others_want(new_loop(3, 16), false);
}

/* One thread of the two is kept for logins. */
static void no_helper_takes_the_thread_that_is_kept_for_logins(void **state)
{
	struct loop *loop = new_loop(2, 4);
	struct task t;

	(void)state;
	task_init(&t, PIECES);
	OK(work_submit(loop, WORK_MAIL, &t.work));
	wait_for(loop, &t.dones, 1);
	assert_int_equal(t.own, PIECES);
	loop_free(&loop);
}

static void the_loop_ends_while_a_crew_is_at_work(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct loop *loop = new_loop(4, 3);
		struct task t;

		task_init(&t, PIECES);
		OK(work_submit(loop, WORK_MAIL, &t.work));
		if (i % 2)
			loop_run_once(loop, 0);
		loop_free(&loop);
		assert_int_equal(t.dones, 1);
		assert_int_equal(t.own + t.helped, PIECES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outside_of_a_job_the_caller_does_all_pieces),
		cmocka_unit_test(on_a_machine_with_one_core_or_one_thread_nobody_helps),
		cmocka_unit_test(where_a_core_is_idle_a_thread_helps),
		cmocka_unit_test(a_helper_leaves_between_two_pieces_when_others_want_the_core),
		cmocka_unit_test(a_helper_leaves_when_others_want_its_thread_however_many_cores_there_are),
		cmocka_unit_test(no_helper_takes_the_thread_that_is_kept_for_logins),
		cmocka_unit_test(the_loop_ends_while_a_crew_is_at_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
