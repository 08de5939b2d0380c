/* When the doctor looks again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/rounds.h"

#define WEEK_MS ((uint64_t)7 * 86400 * 1000)

static void he_looks_when_the_time_is_over_and_soon_when_it_was_missed(void **state)
{
	(void)state;
	assert_int_equal(rounds_wait_ms(1000000, 1000000, WEEK_MS), WEEK_MS);
	assert_int_equal(rounds_wait_ms(1000000 + 86400, 1000000, WEEK_MS), WEEK_MS / 7 * 6);
	assert_int_equal(rounds_wait_ms(1000000 + 8 * 86400, 1000000, WEEK_MS), 5000);
	assert_int_equal(rounds_wait_ms(1000000, 0, WEEK_MS), 5000);
}

static void a_look_in_the_future_counts_as_now(void **state)
{
	(void)state;
	assert_int_equal(rounds_wait_ms(1000000, 2000000, WEEK_MS), WEEK_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(he_looks_when_the_time_is_over_and_soon_when_it_was_missed),
		cmocka_unit_test(a_look_in_the_future_counts_as_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
