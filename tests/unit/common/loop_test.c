/* The loop: timers fire in order and once, moving them is lazy, deferred calls wait their turn, the
 * end is orderly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "common/loop.h"
#include "common/memory.h"

static int setup(void **state)
{
	struct loop *loop;

	if (loop_new(&loop).kind)
		return -1;
	*state = loop;
	return 0;
}

static int teardown(void **state)
{
	struct loop *loop = *state;

	loop_free(&loop);
	return loop != NULL;
}

struct shot {
	struct timer timer;
	int number;
};

static int fired[5000], fired_count;

static void on_fire(struct timer *t)
{
	struct shot *shot = CONTAINER_OF(t, struct shot, timer);

	assert_false(timer_is_running(t));
	fired[fired_count++] = shot->number;
}

static void pass_ms(struct loop *loop, uint64_t ms)
{
	loop_skip_ms(loop, ms);
	loop_run_once(loop, 0);
}

static void timers_fire_once_in_the_order_of_their_deadlines(void **state)
{
	struct loop *loop = *state;
	struct shot *shots = calloc(1000, sizeof(*shots));
	(void)state;
	fired_count = 0;
	for (int i = 0; i < 1000; i++) {
		shots[i].number = (i * 7919) % 1000;
		timer_init(&shots[i].timer, loop, on_fire);
		timer_start_ms(&shots[i].timer, 1000000 + (uint64_t)shots[i].number * 1000);
	}
	for (int i = 0; i < 1000; i++) {
		if (shots[i].number % 3 == 0)
			timer_stop(&shots[i].timer);
	}
	pass_ms(loop, 999000);
	assert_int_equal(fired_count, 0);
	pass_ms(loop, 10000000);
	assert_int_equal(fired_count, 666);
	for (int i = 1; i < fired_count; i++)
		assert_true(fired[i - 1] < fired[i] && fired[i] % 3 != 0);
	pass_ms(loop, 10000000);
	assert_int_equal(fired_count, 666);
	free(shots);
}

static void a_timer_moved_to_later_fires_at_the_later_time_only(void **state)
{
	struct loop *loop = *state;
	struct shot shot = { .number = 1 };
	fired_count = 0;
	timer_init(&shot.timer, loop, on_fire);
	timer_start_ms(&shot.timer, 100000);
	for (int i = 0; i < 10; i++) {
		pass_ms(loop, 60000);
		timer_start_ms(&shot.timer, 100000);    /* another command came */
	}
	assert_int_equal(fired_count, 0);
	pass_ms(loop, 99000);
	assert_int_equal(fired_count, 0);
	pass_ms(loop, 1001);
	assert_int_equal(fired_count, 1);
}

static void a_timer_moved_to_earlier_fires_at_the_earlier_time(void **state)
{
	struct loop *loop = *state;
	struct shot late = { .number = 1 }, early = { .number = 2 };
	fired_count = 0;
	timer_init(&late.timer, loop, on_fire);
	timer_init(&early.timer, loop, on_fire);
	timer_start_ms(&late.timer, 50000);
	timer_start_ms(&early.timer, 900000);
	timer_start_ms(&early.timer, 10000);
	pass_ms(loop, 20000);
	assert_int_equal(fired_count, 1);
	assert_int_equal(fired[0], 2);
	timer_stop(&late.timer);
	timer_stop(&late.timer);
}

/* Against a plain list: a thousand random starts, stops and jumps of the clock. */
static void the_heap_agrees_with_a_list(void **state)
{
	struct loop *loop = *state;
	struct shot shots[50] = { 0 };
	uint64_t due[50] = { 0 };
	unsigned seed = 1;
	for (int i = 0; i < 50; i++) {
		shots[i].number = i;
		timer_init(&shots[i].timer, loop, on_fire);
	}
	for (int step = 0; step < 2000; step++) {
		int i = rand_r(&seed) % 50;
		switch (rand_r(&seed) % 4) {
		case 0:
		case 1: {
			uint64_t ms = 10000 + (uint64_t)(rand_r(&seed) % 100) * 10000;
			timer_start_ms(&shots[i].timer, ms);
			due[i] = loop_now_ms(loop) + ms;
			break;
		}
		case 2:
			timer_stop(&shots[i].timer);
			due[i] = 0;
			break;
		default:
			fired_count = 0;
			pass_ms(loop, 40000);
			for (int k = 0; k < 50; k++) {
				bool is_due = due[k] && due[k] <= loop_now_ms(loop);
				bool was_fired = false;
				for (int f = 0; f < fired_count; f++)
					was_fired |= fired[f] == k;
				assert_int_equal(is_due, was_fired);
				if (is_due)
					due[k] = 0;
				assert_int_equal(timer_is_running(&shots[k].timer), due[k] != 0);
			}
		}
	}
	for (int i = 0; i < 50; i++)
		timer_stop(&shots[i].timer);
}

static void a_timer_may_be_freed_in_its_own_call(struct timer *t)
{
	fired_count++;
	free(CONTAINER_OF(t, struct shot, timer));
}

static void timers_may_be_freed_when_they_fire(void **state)
{
	struct loop *loop = *state;
	fired_count = 0;
	for (int i = 0; i < 10; i++) {
		struct shot *shot = calloc(1, sizeof(*shot));
		timer_init(&shot->timer, loop, a_timer_may_be_freed_in_its_own_call);
		timer_start_ms(&shot->timer, 1000);
	}
	pass_ms(loop, 2000);
	assert_int_equal(fired_count, 10);
}

static void a_real_millisecond_passes_too(void **state)
{
	struct loop *loop = *state;
	struct shot shot = { .number = 1 };
	fired_count = 0;
	timer_init(&shot.timer, loop, on_fire);
	timer_start_ms(&shot.timer, 1);
	while (!fired_count)
		loop_run_once(loop, 1000);
	assert_int_equal(fired_count, 1);
}

struct call {
	struct deferred deferred;
	struct call *other;
	int number;
};

static void on_call(struct deferred *d)
{
	struct call *call = CONTAINER_OF(d, struct call, deferred);

	fired[fired_count++] = call->number;
	if (call->number == 2)
		deferred_call(d);       /* again, later */
	if (call->other) {
		deferred_cancel(&call->other->deferred);
		free(call->other);
		call->other = NULL;
	}
	call->number += 10;
}

static void deferred_calls_keep_their_order_and_may_cancel_each_other(void **state)
{
	struct loop *loop = *state;
	struct call calls[4] = { 0 };
	struct call *gone = calloc(1, sizeof(*gone));
	fired_count = 0;
	gone->number = 99;
	for (int i = 0; i < 4; i++) {
		calls[i].number = i + 1;
		deferred_init(&calls[i].deferred, loop, on_call);
	}
	deferred_init(&gone->deferred, loop, on_call);
	calls[2].other = gone;
	for (int i = 0; i < 3; i++)
		deferred_call(&calls[i].deferred);
	deferred_call(&gone->deferred);
	deferred_call(&calls[3].deferred);
	deferred_call(&calls[0].deferred);      /* already asked for */
	assert_int_equal(fired_count, 0);
	loop_run_once(loop, 0);
	loop_run_once(loop, 0);
	static const int expected[] = { 1, 2, 3, 4, 12 };
	assert_int_equal(fired_count, 5);
	assert_memory_equal(fired, expected, sizeof(expected));
	deferred_call(&calls[0].deferred);
	deferred_call(&calls[1].deferred);
	deferred_cancel(&calls[1].deferred);    /* the last one: the next goes to the right place */
	deferred_call(&calls[3].deferred);
	loop_run_once(loop, 0);
	assert_int_equal(fired_count, 7);
	assert_int_equal(fired[6], 14);
}

/* A stranger whose turn takes long, and what happened when. */
struct slow {
	struct deferred turn;
	int number;
	bool again;
};

static void spend(uint64_t us)
{
	struct timespec from, now;

	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((uint64_t)(now.tv_sec - from.tv_sec) * 1000000 + (uint64_t)now.tv_nsec / 1000 < us + (uint64_t)from.tv_nsec / 1000);
}

static void on_slow(struct deferred *d)
{
	struct slow *slow = CONTAINER_OF(d, struct slow, turn);

	fired[fired_count++] = slow->number;
	spend(LOOP_QUEUED_US + 1);
	if (slow->again)
		deferred_queue(d);
}

static void a_crowd_of_strangers_waits_for_its_turns_in_order_and_others_come_between(void **state)
{
	struct loop *loop = *state;
	struct slow crowd[5] = { 0 };
	struct call known = { .number = 100 };
	static const int expected[] = { 0, 100, 1, 110, 3, 4, 1 };

	fired_count = 0;
	deferred_init(&known.deferred, loop, on_call);
	for (int i = 0; i < 5; i++) {
		crowd[i].number = i;
		deferred_init(&crowd[i].turn, loop, on_slow);
		deferred_queue(&crowd[i].turn);
		deferred_queue(&crowd[i].turn);         /* keeps its place */
		deferred_call(&crowd[i].turn);
	}
	crowd[1].again = true;
	loop_run_once(loop, 0);
	assert_int_equal(fired_count, 1);       /* more than it had, so it is the only one of this turn */
	deferred_call(&known.deferred);
	loop_run_once(loop, 0);
	assert_int_equal(fired_count, 3);
	crowd[1].again = false;
	deferred_cancel(&crowd[2].turn);        /* in the middle: hung up meanwhile */
	deferred_call(&known.deferred);
	while (deferred_is_waiting(&crowd[1].turn) || deferred_is_waiting(&crowd[4].turn))
		loop_run_once(loop, 60000);     /* does not sleep as long as one is left */
	assert_int_equal(fired_count, (int)ARRAY_LEN(expected));
	assert_memory_equal(fired, expected, sizeof(expected));
}

static void the_last_stranger_may_leave_the_queue_and_the_next_one_comes_in(void **state)
{
	struct loop *loop = *state;
	struct call calls[3] = { { .number = 1 }, { .number = 3 }, { .number = 5 } };

	fired_count = 0;
	for (int i = 0; i < 3; i++)
		deferred_init(&calls[i].deferred, loop, on_call);
	deferred_queue(&calls[0].deferred);
	deferred_queue(&calls[1].deferred);
	deferred_cancel(&calls[1].deferred);
	deferred_queue(&calls[2].deferred);
	while (fired_count < 2)
		loop_run_once(loop, 0);
	assert_true(fired[0] == 1 && fired[1] == 5);
	assert_false(deferred_is_waiting(&calls[1].deferred) || deferred_is_waiting(&calls[2].deferred));
	deferred_queue(&calls[1].deferred);
	deferred_cancel(&calls[1].deferred);
	loop_run_once(loop, 0);
	assert_int_equal(fired_count, 2);
}

static void on_stop(struct timer *t)
{
	loop_stop(t->loop);
}

static void the_loop_runs_until_it_is_stopped(void **state)
{
	struct loop *loop = *state;
	struct timer t;
	timer_init(&t, loop, on_stop);
	for (int i = 0; i < 3; i++) {
		timer_start_ms(&t, 1);
		loop_run(loop);
	}
	loop_stop(loop);        /* before it runs: it does not even begin */
	loop_run(loop);
}

struct guest {
	struct loop_member member;
	bool is_closed;
};

static void on_guest_close(struct loop_member *m)
{
	CONTAINER_OF(m, struct guest, member)->is_closed = true;
}

static void members_are_closed_with_the_loop_unless_they_left(void **state)
{
	struct loop *loop;
	struct guest guests[3] = { 0 };
	struct timer never;
	struct deferred not_any_more;
	(void)state;
	assert_int_equal(loop_new(&loop).kind, FAULT_NONE);
	for (int i = 0; i < 3; i++) {
		guests[i].member.close = on_guest_close;
		loop_join(loop, &guests[i].member);
	}
	loop_leave(&guests[1].member);
	loop_leave(&guests[1].member);
	timer_init(&never, loop, on_fire);
	timer_start_ms(&never, 0);
	deferred_init(&not_any_more, loop, on_call);
	deferred_call(&not_any_more);
	fired_count = 0;
	loop_free(&loop);
	assert_null(loop);
	assert_true(guests[0].is_closed && !guests[1].is_closed && guests[2].is_closed);
	assert_int_equal(fired_count, 0);
	loop_free(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timers_fire_once_in_the_order_of_their_deadlines,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_timer_moved_to_later_fires_at_the_later_time_only,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_timer_moved_to_earlier_fires_at_the_earlier_time,
						setup, teardown),
		cmocka_unit_test_setup_teardown(the_heap_agrees_with_a_list, setup, teardown),
		cmocka_unit_test_setup_teardown(timers_may_be_freed_when_they_fire, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_real_millisecond_passes_too, setup, teardown),
		cmocka_unit_test_setup_teardown(
			deferred_calls_keep_their_order_and_may_cancel_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(a_crowd_of_strangers_waits_for_its_turns_in_order_and_others_come_between,
						setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_stranger_may_leave_the_queue_and_the_next_one_comes_in, setup, teardown),
		cmocka_unit_test_setup_teardown(the_loop_runs_until_it_is_stopped, setup, teardown),
		cmocka_unit_test(members_are_closed_with_the_loop_unless_they_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
