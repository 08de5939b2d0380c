/* Counting per minute in memory of fixed size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

static struct rates *opened(const char *path)
{
	struct rates *r = NULL;

	assert_int_equal(rates_open(path, &r).kind, FAULT_NONE);
	return r;
}

static void a_minute_is_forgotten_little_by_little(void **state)
{
	struct rates *r = opened(NULL);
	struct netaddr a = address(1), b = address(2);
	(void)state;

	for (uint32_t i = 1; i <= 100; i++)
		assert_int_equal(rates_add(r, RATES_MESSAGES, &a, 120000 + i, 1), i);
	assert_int_equal(rates_add(r, RATES_MESSAGES, &b, 120200, 5), 5);
	assert_int_equal(rates_add(r, RATES_MESSAGES, &a, 180000, 0), 100);
	assert_int_equal(rates_add(r, RATES_MESSAGES, &a, 210000, 0), 50);
	assert_int_equal(rates_add(r, RATES_MESSAGES, &a, 239999, 0), 0);
	assert_int_equal(rates_add(r, RATES_MESSAGES, &a, 240000, 1), 1);
	assert_int_equal(rates_add(r, RATES_MESSAGES, &a, 10000000, 1), 1);
	rates_free(&r);
	assert_null(r);
}

static void many_addresses_take_no_more_memory_and_a_busy_one_is_remembered(void **state)
{
	struct rates *r = opened(NULL);
	struct netaddr busy = address(0);
	uint32_t seen = 0;
	(void)state;

	for (unsigned i = 1; i < 200000; i++) {
		struct netaddr other = address(i);

		assert_true(rates_add(r, RATES_MESSAGES, &other, 60000 + i, 1) >= 1);
		if (i % 10 == 0)
			seen = rates_add(r, RATES_MESSAGES, &busy, 60000 + i, 1);
	}
	assert_true(seen > 1);
	rates_free(&r);
}

static void all_who_open_it_count_together_and_what_was_counted_outlives_them(void **state)
{
	char folder[] = "/tmp/postroom-rates-XXXXXX", path[64];
	struct netaddr a = address(1);
	struct rates *one, *two;
	(void)state;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/rates", folder);
	one = opened(path);
	two = opened(path);
	assert_int_equal(rates_add(one, RATES_MESSAGES, &a, 60000, 3), 3);
	assert_int_equal(rates_add(two, RATES_MESSAGES, &a, 60001, 4), 7);
	assert_int_equal(rates_add(two, RATES_RECIPIENTS, &a, 60001, 1), 1);
	rates_free(&one);
	rates_free(&two);
	one = opened(path);
	assert_int_equal(rates_add(one, RATES_MESSAGES, &a, 60002, 1), 8);
	rates_free(&one);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/rates.lock", folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void a_clock_read_before_the_minute_began_takes_nothing_back(void **state)
{
	struct rates *r = opened(NULL);
	struct netaddr a = address(1);
	(void)state;

	assert_int_equal(rates_add(r, RATES_MESSAGES, &a, 120000, 5), 5);
	assert_int_equal(rates_add(r, RATES_MESSAGES, &a, 119999, 1), 6);
	assert_int_equal(rates_add(r, RATES_MESSAGES, &a, 120001, 1), 7);
	rates_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_minute_is_forgotten_little_by_little),
		cmocka_unit_test(all_who_open_it_count_together_and_what_was_counted_outlives_them),
		cmocka_unit_test(a_clock_read_before_the_minute_began_takes_nothing_back),
		cmocka_unit_test(many_addresses_take_no_more_memory_and_a_busy_one_is_remembered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
