/* Whoever waits is covered by a flush that began after he came; and many who come together share few. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sched.h>
#include <semaphore.h>
#include <signal.h>

#include "common/groupflush.h"
#include "common/memory.h"

#include "common/banned.h"

#define THREADS 8
#define ROUNDS 200

/* A disk: what was changed, and how much of that is safe. */
struct disk {
	struct groupflush group;
	_Atomic uint64_t changes, safe;
	_Atomic unsigned flushes, inside;
	unsigned fail_from;             /* from this flush on, it fails; 0: never */
	sem_t *entered, *leave;         /* the first flush tells that it is in, and waits; NULL: it does not */
};

static struct fault flush(void *arg)
{
	struct disk *d = arg;
	uint64_t until = d->changes;    /* what is changed from here on, it may miss */
	unsigned number = ++d->flushes;

	assert_int_equal(++d->inside, 1);
	if (d->entered && number == 1) {
		sem_post(d->entered);
		sem_wait(d->leave);
	}
	d->inside--;
	if (d->fail_from && number >= d->fail_from)
		return fault_detail(FAULT_NO_SPACE, "flush %u", number);
	d->safe = until;
	return FAULT_OK;
}

static void *change_often(void *arg)
{
	struct disk *d = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t mine = ++d->changes;

		assert_int_equal(groupflush_wait(&d->group, flush, d).kind, FAULT_NONE);
		assert_true(d->safe >= mine);
	}
	return NULL;
}

static void what_was_changed_is_safe_when_the_wait_ends(void **state)
{
	struct disk d = { .changes = 0 };
	pthread_t threads[THREADS];

	(void)state;
	groupflush_init(&d.group);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, change_often, &d), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(d.safe == THREADS * ROUNDS && d.flushes <= THREADS * ROUNDS);
	groupflush_done(&d.group);
}

static _Atomic unsigned waited;

static void *change_once(void *arg)
{
	struct disk *d = arg;
	struct fault f;

	++d->changes;
	waited++;
	f = groupflush_wait(&d->group, flush, d);
	return f.kind ? sv_copy_z(sv_z(f.detail)) : NULL;
}

/* share - one flush runs while all others come: how many more are there, and what does each hear? */
static void share(struct disk *d, const char *expected)
{
	sem_t entered, leave;
	pthread_t first, others[THREADS];
	void *said;

	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	groupflush_init(&d->group);
	d->entered = &entered;
	d->leave = &leave;
	assert_int_equal(pthread_create(&first, NULL, change_once, d), 0);
	sem_wait(&entered);
	waited = 0;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&others[i], NULL, change_once, d), 0);
	while (waited < THREADS)
		sched_yield();
	sem_post(&leave);
	pthread_join(first, &said);
	assert_null(said);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(others[i], &said);
		if (!expected)
			assert_null(said);
		else
			assert_memory_equal(said, expected, strlen(expected));
		free(said);
	}
	groupflush_done(&d->group);
	sem_destroy(&entered);
	sem_destroy(&leave);
}

static void who_comes_during_a_flush_shares_the_next_one(void **state)
{
	struct disk d = { .changes = 0 };

	(void)state;
	share(&d, NULL);
	assert_true(d.safe == THREADS + 1);
	/* One for the first, one for all others; more only for those that were on their way in when it began. */
	assert_true(d.flushes >= 2 && d.flushes <= THREADS + 1);
}

static void a_flush_that_fails_fails_for_all_who_waited(void **state)
{
	struct disk d = { .fail_from = 2 };

	(void)state;
	share(&d, "flush ");
	assert_true(d.safe == 1);
	/* And it is tried again for whoever comes later. */
	d.fail_from = 0;
	groupflush_init(&d.group);
	assert_int_equal(groupflush_wait(&d.group, flush, &d).kind, FAULT_NONE);
	assert_true(d.safe == THREADS + 1);
	groupflush_done(&d.group);
}

/* --- a thread that wakes up late --------------------------------------------------------------------------------------------- */

static sem_t stopped, go_on;

static void stop(int signal)
{
	(void)signal;
	sem_post(&stopped);
	while (sem_wait(&go_on))
		;
}

static void *run_one(void *arg)
{
	struct disk *d = arg;

	return groupflush_wait(&d->group, flush, d).kind ? d : NULL;
}

static const void *newest_waiter(struct disk *d)
{
	pthread_mutex_lock(&d->group.mutex);
	const void *newest = d->group.waiters;

	pthread_mutex_unlock(&d->group.mutex);
	return newest;
}

static void who_wakes_up_late_hears_of_the_flush_that_covers_him(void **state)
{
	struct disk d = { .fail_from = 3 };
	struct sigaction action = { .sa_handler = stop };
	sem_t entered, leave;
	pthread_t first, late;
	void *failed;

	(void)state;
	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	sem_init(&stopped, 0, 0);
	sem_init(&go_on, 0, 0);
	sigaction(SIGUSR1, &action, NULL);
	groupflush_init(&d.group);
	d.entered = &entered;
	d.leave = &leave;
	assert_int_equal(pthread_create(&first, NULL, run_one, &d), 0);
	sem_wait(&entered);
	const void *one = newest_waiter(&d);

	assert_int_equal(pthread_create(&late, NULL, run_one, &d), 0);
	while (newest_waiter(&d) == one)
		sched_yield();
	/* It waits, or is about to, without the mutex: it can be stopped there while the second flush, which covers it, ends well,
	 * and the third one fails. */
	pthread_kill(late, SIGUSR1);
	sem_wait(&stopped);
	sem_post(&leave);
	pthread_join(first, &failed);
	assert_null(failed);
	assert_int_equal(groupflush_wait(&d.group, flush, &d).kind, FAULT_NONE);
	assert_int_equal(groupflush_wait(&d.group, flush, &d).kind, FAULT_NO_SPACE);
	sem_post(&go_on);
	pthread_join(late, &failed);
	assert_null(failed);
	assert_int_equal(d.flushes, 3);
	groupflush_done(&d.group);
	sem_destroy(&entered);
	sem_destroy(&leave);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_changed_is_safe_when_the_wait_ends),
		cmocka_unit_test(who_comes_during_a_flush_shares_the_next_one),
		cmocka_unit_test(a_flush_that_fails_fails_for_all_who_waited),
		cmocka_unit_test(who_wakes_up_late_hears_of_the_flush_that_covers_him),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
