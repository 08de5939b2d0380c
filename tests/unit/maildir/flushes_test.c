/* Flushes that are asked for together are each done once, and none is forgotten when one fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdatomic.h>

#include "maildir/flushes.h"

#include "common/banned.h"

#define MANY 50

struct disk {
	_Atomic unsigned done[MANY], begun;
	size_t fails;                   /* this one, and those behind it; MANY: none */
};

static void setup(struct disk *d)
{
	*d = (struct disk){ .fails = MANY };
}

static struct fault flush(void *arg, size_t i)
{
	struct disk *d = arg;

	d->begun++;
	if (i >= d->fails)
		return fault_detail(FAULT_NO_SPACE, "flush %zu", i);
	d->done[i]++;
	return FAULT_OK;
}

static void each_is_done_once_however_many_there_are(void **state)
{
	(void)state;
	for (size_t count = 0; count <= MANY; count++) {
		struct disk d;

		setup(&d);
		assert_int_equal(flushes_run(count, flush, &d).kind, FAULT_NONE);
		assert_int_equal(d.begun, count);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(d.done[i], 1);
	}
}

static void a_fault_of_any_is_that_of_all_and_ends_the_rest(void **state)
{
	(void)state;
	for (size_t fails = 0; fails < MANY; fails += 7) {
		struct disk d;

		setup(&d);
		d.fails = fails;
		char expected[32];

		snprintf(expected, sizeof(expected), "flush %zu", fails);
		struct fault f = flushes_run(MANY, flush, &d);

		assert_int_equal(f.kind, FAULT_NO_SPACE);
		assert_string_equal(f.detail, expected);
		assert_int_equal(d.begun, fails + 1);   /* nobody helps outside of a job */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_done_once_however_many_there_are),
		cmocka_unit_test(a_fault_of_any_is_that_of_all_and_ends_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
