/* The brake: thirty of a hundred, over fifty recipients, for each user alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "smtpd/relay/brake.h"

#include "common/banned.h"

static void too_many_of_the_last_fifty_and_not_before(void **state)
{
	struct brake *b = brake_new();

	(void)state;
	for (int i = 0; i < 49; i++)
		assert_int_equal(brake_note(b, SV("a@x"), true, 30), 0);
	assert_int_equal(brake_note(b, SV("a@x"), false, 30), 49);
	assert_int_equal(brake_note(b, SV("a@x"), true, 30), 0);        /* from the beginning */
	brake_free(&b);
	assert_null(b);
}

static void failures_of_long_ago_do_not_count(void **state)
{
	struct brake *b = brake_new();

	(void)state;
	for (int i = 0; i < 14; i++)
		assert_int_equal(brake_note(b, SV("a@x"), true, 30), 0);
	for (int i = 0; i < 36; i++)
		assert_int_equal(brake_note(b, SV("a@x"), false, 30), 0);
	for (int i = 0; i < 500; i++)
		assert_int_equal(brake_note(b, SV("a@x"), i % 4 == 0, 30), 0);
	brake_free(&b);
}

static void users_count_alone_and_the_silent_are_forgotten(void **state)
{
	struct brake *b = brake_new();
	char name[32];

	(void)state;
	for (int i = 0; i < 49; i++)
		assert_int_equal(brake_note(b, SV("a@x"), true, 30), 0);
	assert_int_equal(brake_note(b, SV("b@x"), true, 30), 0);
	for (int i = 0; i < BRAKE_USERS; i++) {
		snprintf(name, sizeof(name), "u%d@x", i);
		assert_int_equal(brake_note(b, sv_z(name), true, 30), 0);
	}
	assert_int_equal(brake_note(b, SV("a@x"), true, 30), 0);
	brake_free(&b);
}

static void counts_are_written_down_and_read_again(void **state)
{
	struct brake *b = brake_new(), *again = brake_new(), *third = brake_new();
	struct buf text;

	(void)state;
	buf_init(&text, BRAKE_NOTE_MAX);
	assert_false(brake_write(b, &text));            /* nothing was noted */
	for (int i = 0; i < 49; i++)
		assert_int_equal(brake_note(b, SV("a b@x"), i % 2, 30), 0);
	assert_int_equal(brake_note(b, SV("c@x"), true, 30), 0);
	assert_true(brake_write(b, &text));
	assert_false(brake_write(b, &text));
	brake_read(again, buf_sv(&text));
	assert_int_equal(brake_note(again, SV("a b@x"), true, 30), 25);
	for (size_t cut = 0; cut <= text.len; cut++)
		brake_read(third, sv_sub(buf_sv(&text), cut, SIZE_MAX));
	brake_read(third, SV("1 99 0 a@x\n18446744073709551615 1 1 a@x\n\n1 1 1 \n1 1 g a@x\n"));
	assert_int_equal(brake_note(third, SV("a@x"), true, 30), 0);
	buf_done(&text);
	brake_free(&b);
	brake_free(&again);
	brake_free(&third);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(too_many_of_the_last_fifty_and_not_before),
		cmocka_unit_test(failures_of_long_ago_do_not_count),
		cmocka_unit_test(counts_are_written_down_and_read_again),
		cmocka_unit_test(users_count_alone_and_the_silent_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
