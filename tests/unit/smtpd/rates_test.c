/* Counting per minute in memory of fixed size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtpd/rates.h"

#include "common/banned.h"

static struct netaddr address(unsigned n)
{
	struct netaddr a = { .family = NET_IPV6 };

	a.ip[0] = 0x20;
	for (unsigned i = 0; i < 4; i++)
		a.ip[4 + i] = (uint8_t)(n >> (24 - 8 * i));
	return a;
}

static void a_minute_is_forgotten_little_by_little(void **state)
{
	struct rates *r = rates_new();
	struct netaddr a = address(1), b = address(2);
	(void)state;

	for (uint32_t i = 1; i <= 100; i++)
		assert_int_equal(rates_add(r, &a, 120000 + i, 1), i);
	assert_int_equal(rates_add(r, &b, 120200, 5), 5);
	assert_int_equal(rates_add(r, &a, 180000, 0), 100);
	assert_int_equal(rates_add(r, &a, 210000, 0), 50);
	assert_int_equal(rates_add(r, &a, 239999, 0), 0);
	assert_int_equal(rates_add(r, &a, 240000, 1), 1);
	assert_int_equal(rates_add(r, &a, 10000000, 1), 1);
	rates_free(&r);
	assert_null(r);
}

static void many_addresses_take_no_more_memory_and_a_busy_one_is_remembered(void **state)
{
	struct rates *r = rates_new();
	struct netaddr busy = address(0);
	uint32_t seen = 0;
	(void)state;

	for (unsigned i = 1; i < 200000; i++) {
		struct netaddr other = address(i);

		assert_true(rates_add(r, &other, 60000 + i, 1) >= 1);
		if (i % 10 == 0)
			seen = rates_add(r, &busy, 60000 + i, 1);
	}
	assert_true(seen > 1);
	rates_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_minute_is_forgotten_little_by_little),
		cmocka_unit_test(many_addresses_take_no_more_memory_and_a_busy_one_is_remembered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
