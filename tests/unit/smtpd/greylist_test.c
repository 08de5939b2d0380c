/* Suspects come again: what is remembered, for how long, and what a clock that jumps does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtpd/greylist.h"

#include "common/banned.h"

#define NOW 1800000000
#define WAIT_MS 300000
#define DAY 86400

static char folder[] = "/tmp/postroom-greylist-XXXXXX", path[64];
static struct greylist *g;
static const uint8_t one[GREYLIST_KEY_LEN] = { 1 }, two[GREYLIST_KEY_LEN] = { 2 };

static int setup(void **state)
{
	(void)state;
	if (!folder[0] || !mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/list", folder);
	return greylist_open(path, &g).kind ? -1 : 0;
}

static int teardown(void **state)
{
	char file[96];

	(void)state;
	greylist_close(&g);
	snprintf(file, sizeof(file), "%s/data.mdb", path);
	unlink(file);
	snprintf(file, sizeof(file), "%s/lock.mdb", path);
	unlink(file);
	rmdir(path);
	rmdir(folder);
	memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
	return 0;
}

static bool early(const uint8_t *key, int64_t now_s)
{
	return greylist_is_early(g, key, now_s, WAIT_MS);
}

static void knock(const uint8_t *key, int64_t now_s)
{
	assert_int_equal(greylist_note(g, key, now_s, WAIT_MS).kind, FAULT_NONE);
}

static void who_comes_again_is_let_in_and_remembered(void **state)
{
	(void)state;
	assert_true(early(one, NOW));
	assert_true(early(one, NOW + 1000));    /* looking does not count */
	knock(one, NOW);
	assert_true(early(one, NOW + 299));
	knock(one, NOW + 299);
	assert_false(early(one, NOW + 300));    /* knocking too early does not begin anew */
	assert_true(early(two, NOW + 300));
	knock(one, NOW + 300);
	assert_false(early(one, NOW + 35 * DAY));
	knock(one, NOW + 35 * DAY);
	assert_false(early(one, NOW + 70 * DAY));
	assert_true(early(one, NOW + 72 * DAY));
}

static void who_does_not_come_again_is_forgotten(void **state)
{
	(void)state;
	knock(one, NOW);
	assert_false(early(one, NOW + DAY));
	assert_true(early(one, NOW + 3 * DAY));
	knock(two, NOW);
	knock(two, NOW + 600);
	greylist_tidy(g, NOW + 3 * DAY);
	assert_false(early(two, NOW + 3 * DAY));
	greylist_tidy(g, NOW + 100 * DAY);
	assert_true(early(two, NOW + 600));
}

static void it_survives_a_restart(void **state)
{
	(void)state;
	knock(one, NOW);
	greylist_close(&g);
	assert_int_equal(greylist_open(path, &g).kind, FAULT_NONE);
	assert_false(early(one, NOW + 300));
}

static void a_clock_that_jumps_puts_nobody_off_for_long(void **state)
{
	(void)state;
	knock(one, NOW);
	assert_false(early(one, NOW - 10 * 365 * DAY));
	knock(one, NOW - 10 * 365 * DAY);       /* written anew */
	assert_false(early(one, NOW - 10 * 365 * DAY + 300));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_comes_again_is_let_in_and_remembered, setup, teardown),
		cmocka_unit_test_setup_teardown(who_does_not_come_again_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(it_survives_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(a_clock_that_jumps_puts_nobody_off_for_long, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
