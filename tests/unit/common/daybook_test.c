/* Lines of a day: written, read back, found, dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/date.h"
#include "common/daybook.h"

#define DAY 1460592000

static char folder[64];

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/daybook_test.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	for (int64_t day; daybook_first(folder, 0, INT64_MAX, &day);)
		daybook_drop(folder, day);
	return rmdir(folder);
}

static void days_are_found_in_their_order_and_dropped(void **state)
{
	struct buf text;
	int64_t day;
	(void)state;

	assert_false(daybook_first(folder, 0, INT64_MAX, &day));
	assert_false(daybook_first("/nonexistent", 0, INT64_MAX, &day));
	assert_int_equal(daybook_day(DAY + 7), DAY);
	assert_int_equal(daybook_write(folder, DAY + DAYBOOK_DAY_S, SV("second\n")).kind, FAULT_NONE);
	assert_int_equal(daybook_write(folder, DAY, SV("a\n")).kind, FAULT_NONE);
	assert_int_equal(daybook_write(folder, DAY, SV("b\nc\n")).kind, FAULT_NONE);
	assert_true(daybook_first(folder, 0, INT64_MAX, &day));
	assert_int_equal(day, DAY);
	assert_true(daybook_first(folder, DAY + 1, INT64_MAX, &day));
	assert_int_equal(day, DAY + DAYBOOK_DAY_S);
	assert_false(daybook_first(folder, 0, DAY - 1, &day));
	buf_init(&text, 100);
	assert_int_equal(daybook_read(folder, DAY, &text).kind, FAULT_NONE);
	assert_true(sv_eq(buf_sv(&text), SV("a\nb\nc\n")));
	daybook_drop(folder, DAY);
	assert_int_equal(daybook_read(folder, DAY, &text).kind, FAULT_NOT_FOUND);
	buf_done(&text);
}

static void other_files_are_left_alone(void **state)
{
	static const char *const names[] = { "2016-13-01", "2016-04-1", "x", "2016-04-14.old", "2016x04-14" };
	char path[128];
	int64_t day;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		f = fopen(path, "w");
		assert_non_null(f);
		fclose(f);
	}
	assert_false(daybook_first(folder, INT64_MIN, INT64_MAX, &day));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		assert_int_equal(unlink(path), 0);
	}
}

static void what_was_added_is_written_at_the_end_at_the_latest(void **state)
{
	int64_t today = daybook_day(date_now().seconds), day;
	struct loop *loop;
	struct daybook *b;
	struct buf text;
	(void)state;

	assert_int_equal(loop_new(&loop).kind, FAULT_NONE);
	b = daybook_new(loop, folder);
	daybook_add(b, SV("one"));
	loop_run_once(loop, 0);
	daybook_add(b, SV("two"));
	daybook_free(&b);
	loop_free(&loop);
	assert_true(daybook_first(folder, today, INT64_MAX, &day));
	buf_init(&text, 100);
	assert_int_equal(daybook_read(folder, day, &text).kind, FAULT_NONE);
	assert_true(sv_eq(buf_sv(&text), SV("one\ntwo\n")));
	buf_done(&text);
}

static void a_flood_is_bounded(void **state)
{
	static char line[DAYBOOK_LINE_MAX + 1];
	struct loop *loop;
	struct daybook *b;
	(void)state;

	memset(line, 'x', sizeof(line));
	assert_int_equal(loop_new(&loop).kind, FAULT_NONE);
	b = daybook_new(loop, folder);
	daybook_add(b, sv_from(line, sizeof(line)));    /* too long a line */
	for (int i = 0; i < 100; i++)
		daybook_add(b, sv_from(line, sizeof(line) - 1));
	daybook_free(&b);
	loop_free(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(days_are_found_in_their_order_and_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(other_files_are_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_added_is_written_at_the_end_at_the_latest, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flood_is_bounded, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
