/* Answers that were read before they were asked for: given in order, once, and forgotten when something else is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pop3d/ahead.h"

#include "common/banned.h"

static void add(struct ahead *a, uint32_t number, const char *answer)
{
	assert_true(buf_append(&a->octets, sv_z(answer)));
	ahead_end(a, number);
}

static void expect(struct ahead *a, uint32_t number, const char *answer)
{
	struct sv got;

	assert_true(ahead_take(a, number, &got));
	assert_true(sv_eq(got, sv_z(answer)));
}

static void answers_are_given_in_order_and_once(void **state)
{
	struct ahead a;
	struct sv none;
	(void)state;

	ahead_init(&a);
	add(&a, 7, "seven");
	add(&a, 8, "");
	add(&a, 9, "nine");
	expect(&a, 7, "seven");
	expect(&a, 8, "");
	expect(&a, 9, "nine");
	assert_false(ahead_take(&a, 10, &none));
	assert_int_equal(a.octets.cap, 0);
}

static void another_question_forgets_them(void **state)
{
	struct ahead a;
	struct sv none;
	(void)state;

	for (uint32_t asked = 1; asked < 10; asked++) {
		ahead_init(&a);
		add(&a, 4, "four");
		add(&a, 5, "five");
		expect(&a, 4, "four");
		if (asked == 5) {
			ahead_done(&a);
			continue;
		}
		assert_false(ahead_take(&a, asked, &none));
		assert_false(ahead_take(&a, 5, &none));
		assert_int_equal(a.octets.cap, 0);
	}
	ahead_init(&a);
	assert_false(ahead_take(&a, 1, &none));
}

static void half_an_answer_is_cut_off(void **state)
{
	struct ahead a;
	struct sv none;
	(void)state;

	ahead_init(&a);
	assert_true(buf_append(&a.octets, SV("half")));
	ahead_cut(&a);
	assert_int_equal(a.octets.cap, 0);
	add(&a, 2, "two");
	assert_true(buf_append(&a.octets, SV("half")));
	ahead_cut(&a);
	expect(&a, 2, "two");
	assert_false(ahead_take(&a, 3, &none));
}

static void room_is_bounded_in_octets_and_messages(void **state)
{
	struct ahead a;
	uint32_t n = 1;
	(void)state;

	ahead_init(&a);
	assert_true(ahead_has_room(&a, AHEAD_OCTETS - 1));
	assert_false(ahead_has_room(&a, AHEAD_OCTETS));
	assert_false(ahead_has_room(&a, UINT64_MAX));
	for (; ahead_has_room(&a, 1); n++)
		add(&a, n, "x");
	assert_int_equal(a.count, AHEAD_MESSAGES);
	ahead_done(&a);
	for (n = 0; n < AHEAD_OCTETS / 16384; n++) {
		assert_true(ahead_has_room(&a, 16383));
		for (unsigned i = 0; i < 16384; i++)
			assert_true(buf_append_c(&a.octets, '.'));
		ahead_end(&a, n + 1);
	}
	assert_false(ahead_has_room(&a, 0));
	ahead_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_given_in_order_and_once),
		cmocka_unit_test(another_question_forgets_them),
		cmocka_unit_test(half_an_answer_is_cut_off),
		cmocka_unit_test(room_is_bounded_in_octets_and_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
