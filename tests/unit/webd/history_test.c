/* The last day, hour by hour: growth is counted, not what counters show, and nothing that was stored can break it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "webd/history.h"

#define NOON (500000 * 3600ll)  /* the beginning of some hour */

static struct history_sample sample_of(uint64_t uptime_s, uint64_t logins, uint64_t queued)
{
	struct history_sample s = { .count = 1, .queued = queued };

	memcpy(s.speakers[0].name, "imapd", 6);
	s.speakers[0].uptime_s = uptime_s;
	s.speakers[0].counters[HISTORY_LOGINS] = logins;
	return s;
}

static void add(struct history *h, int64_t at_s, uint64_t uptime_s, uint64_t logins, uint64_t queued)
{
	struct history_sample s = sample_of(uptime_s, logins, queued);

	history_add(h, at_s, &s);
}

/* @ago: hours before now_s */
static struct history_hour hour(struct history *h, int64_t now_s, int ago)
{
	struct history_hour hours[HISTORY_HOURS];

	history_get(h, now_s, hours);
	assert_int_equal(hours[HISTORY_HOURS - 1 - ago].hour, now_s / 3600 - ago);
	return hours[HISTORY_HOURS - 1 - ago];
}

static void growth_counts_and_what_was_before_does_not(void **state)
{
	struct history *h = history_new();

	(void)state;
	add(h, NOON, 100000, 5000, 3);          /* it has been running for long: that was not this hour */
	assert_int_equal(hour(h, NOON, 0).figures[HISTORY_LOGINS], 0);
	add(h, NOON + 60, 100060, 5004, 9);
	add(h, NOON + 120, 100120, 5004, 1);
	assert_int_equal(hour(h, NOON, 0).figures[HISTORY_LOGINS], 4);
	assert_int_equal(hour(h, NOON, 0).figures[HISTORY_QUEUE], 9);   /* the most that waited */
	add(h, NOON + 3600, 103600, 5005, 0);
	assert_int_equal(hour(h, NOON + 3600, 0).figures[HISTORY_LOGINS], 1);
	assert_int_equal(hour(h, NOON + 3600, 1).figures[HISTORY_LOGINS], 4);
	history_free(&h);
}

static void a_young_daemon_that_did_not_answer_once_is_not_counted_again(void **state)
{
	struct history *h = history_new();
	struct history_sample nobody = { .count = 0 };

	(void)state;
	add(h, NOON, 10, 5, 0);
	history_add(h, NOON + 60, &nobody);
	add(h, NOON + 120, 130, 7, 0);
	assert_int_equal(hour(h, NOON, 0).figures[HISTORY_LOGINS], 7);
	history_free(&h);
}

static void a_young_daemon_is_not_counted_again_by_the_next_process(void **state)
{
	struct history *h = history_new(), *next = history_new();
	struct buf text;

	(void)state;
	buf_init(&text, HISTORY_TEXT_MAX);
	add(h, NOON, 10, 5, 0);
	assert_true(history_write(h, &text));
	history_read(next, NOON + 60, buf_sv(&text));
	add(next, NOON + 60, 70, 8, 0);         /* what came between two processes is not known */
	add(next, NOON + 120, 130, 9, 0);
	assert_int_equal(hour(next, NOON, 0).figures[HISTORY_LOGINS], 6);
	add(next, NOON + 180, 20, 2, 0);        /* it was started again */
	assert_int_equal(hour(next, NOON, 0).figures[HISTORY_LOGINS], 8);
	buf_done(&text);
	history_free(&h);
	history_free(&next);
}

static void who_has_just_started_is_counted_from_his_start(void **state)
{
	struct history *h = history_new();

	(void)state;
	add(h, NOON, 2, 7, 0);
	add(h, NOON + 60, 62, 8, 0);
	assert_int_equal(hour(h, NOON, 0).figures[HISTORY_LOGINS], 8);
	add(h, NOON + 120, 5, 2, 0);            /* started again */
	assert_int_equal(hour(h, NOON, 0).figures[HISTORY_LOGINS], 10);
	add(h, NOON + 180, 9999, 1, 0);         /* one of its workers was: nobody knows how much */
	assert_int_equal(hour(h, NOON, 0).figures[HISTORY_LOGINS], 10);
	history_free(&h);
}

static void hours_without_samples_are_unknown_and_old_ones_go(void **state)
{
	struct history *h = history_new();
	int64_t later = NOON + 5 * 3600;

	(void)state;
	add(h, NOON, 1, 1, 0);
	add(h, later, 18001, 1, 0);
	assert_true(hour(h, later, 5).is_known && hour(h, later, 0).is_known);
	assert_false(hour(h, later, 4).is_known || hour(h, later, 23).is_known);
	assert_false(hour(h, NOON + 24 * 3600, 23).is_known);
	add(h, NOON + 24 * 3600, 86401, 1, 0);  /* the same place of the ring */
	assert_int_equal(hour(h, NOON + 24 * 3600, 0).figures[HISTORY_LOGINS], 0);
	add(h, NOON, 90000, 3, 0);              /* a clock set back */
	assert_int_equal(hour(h, NOON + 24 * 3600, 0).figures[HISTORY_LOGINS], 2);
	history_free(&h);
}

static void it_comes_back_as_it_was_written(void **state)
{
	struct history *h = history_new(), *again;
	struct history_hour a[HISTORY_HOURS], b[HISTORY_HOURS];
	struct buf text;

	(void)state;
	buf_init(&text, HISTORY_TEXT_MAX);
	for (int i = 0; i < 40; i++)
		add(h, NOON + i * 3600, 1, (uint64_t)i, (uint64_t)i * 2);
	assert_true(history_write(h, &text));
	history_get(h, NOON + 39 * 3600, a);
	for (size_t cut = 0; cut <= text.len; cut++) {          /* a file cut anywhere gives what is whole */
		char *exact = malloc(cut ? cut : 1);

		memcpy(exact, text.p, cut);
		again = history_new();
		history_read(again, NOON + 39 * 3600, sv_from(exact, cut));
		history_get(again, NOON + 39 * 3600, b);
		if (cut == text.len)
			assert_memory_equal(a, b, sizeof(a));
		history_free(&again);
		free(exact);
	}
	buf_done(&text);
	history_free(&h);
}

static void what_is_no_good_is_left_out(void **state)
{
	static const char *const bad[] = {
		"", "postroom-hours 2\n500000 1 1 1 1 1 1 1\n", "postroom-hours 1\n500000 1 1 1 1 1 1\n", "postroom-hours 1\n500000 1 1 1 1 1 1 1 1\n",
		"postroom-hours 1\n-1 1 1 1 1 1 1 1\n", "postroom-hours 1\n500001 1 1 1 1 1 1 1\n", "postroom-hours 1\n499976 1 1 1 1 1 1 1\n",
		"postroom-hours 1\n99999999999 1 1 1 1 1 1 1\n", "postroom-hours 1\n500000 1 1 1 1 1 1 99999999999999999999\n",
		"postroom-hours 1\n\n \n500000\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct history *h = history_new();
		struct history_hour hours[HISTORY_HOURS];

		history_read(h, NOON, sv_z(bad[i]));
		history_get(h, NOON, hours);
		for (size_t k = 0; k < HISTORY_HOURS; k++)
			assert_false(hours[k].is_known);
		history_free(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(growth_counts_and_what_was_before_does_not),
		cmocka_unit_test(a_young_daemon_that_did_not_answer_once_is_not_counted_again),
		cmocka_unit_test(a_young_daemon_is_not_counted_again_by_the_next_process),
		cmocka_unit_test(who_has_just_started_is_counted_from_his_start),
		cmocka_unit_test(hours_without_samples_are_unknown_and_old_ones_go),
		cmocka_unit_test(it_comes_back_as_it_was_written),
		cmocka_unit_test(what_is_no_good_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
