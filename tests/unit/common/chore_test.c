/* Housekeeping runs again and again, never twice at a time, and not when there is nothing to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>

#include "common/chore.h"

struct house {
	pthread_mutex_t lock;
	unsigned runs, inside, most_inside;
	bool is_due;
};

static void clean(void *arg)
{
	struct house *h = arg;

	pthread_mutex_lock(&h->lock);
	h->runs++;
	if (++h->inside > h->most_inside)
		h->most_inside = h->inside;
	pthread_mutex_unlock(&h->lock);
	pthread_mutex_lock(&h->lock);
	h->inside--;
	pthread_mutex_unlock(&h->lock);
}

static bool is_due(void *arg)
{
	return ((struct house *)arg)->is_due;
}

static unsigned runs(struct house *h)
{
	pthread_mutex_lock(&h->lock);
	unsigned n = h->runs;
	pthread_mutex_unlock(&h->lock);
	return n;
}

/* Let the loop's clock pass `count` periods, with turns for the pool to answer. */
static void pass(struct loop *loop, const struct chore *c, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		loop_skip_ms(loop, c->every_ms);
		do
			loop_run_once(loop, 1);
		while (c->is_running);
	}
}

static void a_chore_runs_when_it_is_due_until_it_is_stopped(void **state)
{
	struct house h = { .lock = PTHREAD_MUTEX_INITIALIZER, .is_due = true };
	struct chore c = { .run = clean, .is_due = is_due, .arg = &h, .every_ms = 1000 };
	struct chore never = { 0 };
	struct loop *loop;
	(void)state;

	assert_int_equal(loop_new(&loop).kind, FAULT_NONE);
	chore_stop(&never);
	chore_start(&c, loop, 5000);
	pass(loop, &c, 4);
	assert_int_equal(runs(&h), 0);
	pass(loop, &c, 4);
	unsigned before = runs(&h);
	assert_true(before >= 2);
	h.is_due = false;
	pass(loop, &c, 5);
	assert_int_equal(runs(&h), before);
	h.is_due = true;
	pass(loop, &c, 2);
	assert_true(runs(&h) > before);
	chore_stop(&c);
	before = runs(&h);
	pass(loop, &c, 5);
	assert_int_equal(runs(&h), before);
	assert_int_equal(h.most_inside, 1);
	loop_free(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chore_runs_when_it_is_due_until_it_is_stopped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
