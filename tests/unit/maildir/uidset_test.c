/* UID sets against a plain bitmap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "maildir/uidset.h"

#define SPAN 64

static void check_against(const struct uidset *set, const bool *bits)
{
	uint32_t total = 0;

	for (uint32_t u = 1; u < SPAN; u++) {
		total += bits[u];
		assert_int_equal(uidset_has(set, u), bits[u]);
		assert_int_equal(uidset_rank(set, u), total);
		if (bits[u]) {
			uint32_t last = u;
			while (last + 1 < SPAN && bits[last + 1])
				last++;
			assert_int_equal(uidset_at(set, total), u);
			assert_int_equal(uidset_run(set, u), last);
		}
		uint32_t next = u;
		while (next < SPAN && !bits[next])
			next++;
		assert_int_equal(uidset_next(set, u), next < SPAN ? next : 0);
	}
	assert_int_equal(uidset_total(set), total);
	assert_int_equal(uidset_at(set, total + 1), 0);
	for (size_t i = 0; i < set->count; i++) {
		assert_true(set->ranges[i].first <= set->ranges[i].last);
		if (i)
			assert_true(set->ranges[i].first > set->ranges[i - 1].last + 1);
	}
}

static void random_changes_give_the_same_set_as_a_bitmap(void **state)
{
	(void)state;
	srand(7);
	for (int round = 0; round < 300; round++) {
		struct uidset set = { 0 };
		bool bits[SPAN] = { false };

		for (int step = 0; step < 40; step++) {
			uint32_t a = 1 + (uint32_t)rand() % (SPAN - 1);
			uint32_t b = a + (uint32_t)rand() % 6;
			bool add = rand() % 2;
			if (b >= SPAN)
				b = SPAN - 1;
			assert_true(add ? uidset_add(&set, b, a) : uidset_remove(&set, a, b));
			for (uint32_t u = a; u <= b; u++)
				bits[u] = add;
			check_against(&set, bits);
		}
		uidset_done(&set);
	}
}

static void the_whole_space_is_one_range(void **state)
{
	struct uidset set = { 0 };
	(void)state;
	assert_true(uidset_add(&set, 0, UINT32_MAX));
	assert_int_equal(set.count, 1);
	assert_true(uidset_total(&set) == UINT32_MAX);
	assert_int_equal(uidset_at(&set, UINT32_MAX), UINT32_MAX);
	assert_int_equal(uidset_rank(&set, UINT32_MAX), UINT32_MAX);
	assert_true(uidset_remove(&set, UINT32_MAX, UINT32_MAX));
	assert_false(uidset_has(&set, UINT32_MAX));
	assert_true(uidset_remove(&set, 1, UINT32_MAX));
	assert_int_equal(set.count, 0);
	assert_int_equal(uidset_next(&set, 1), 0);
	uidset_done(&set);
}

static void a_bounded_set_refuses_more_ranges_and_stays_as_it_was(void **state)
{
	struct uidset set = { .max_ranges = 2 };
	(void)state;
	assert_true(uidset_add(&set, 1, 1));
	assert_true(uidset_add(&set, 5, 9));
	assert_false(uidset_add(&set, 20, 20));
	assert_false(uidset_remove(&set, 7, 7));
	assert_true(uidset_add(&set, 2, 4));
	assert_int_equal(set.count, 1);
	assert_true(uidset_remove(&set, 7, 7));
	assert_int_equal(uidset_total(&set), 8);
	uidset_done(&set);
}

static void it_is_written_as_imap_writes_it(void **state)
{
	struct uidset set = { 0 }, copy;
	struct buf out;
	(void)state;
	buf_init(&out, 12);
	assert_true(uidset_write(&set, &out));
	assert_int_equal(out.len, 0);
	uidset_add(&set, 7, 7);
	uidset_add(&set, 1, 3);
	uidset_copy(&copy, &set);
	assert_true(uidset_write(&copy, &out));
	assert_true(sv_eq(buf_sv(&out), SV("1:3,7")));
	uidset_add(&set, 4000000000u, UINT32_MAX);
	assert_false(uidset_write(&set, &out));
	assert_true(sv_eq(buf_sv(&out), SV("1:3,7")));
	uidset_done(&set);
	uidset_done(&copy);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_changes_give_the_same_set_as_a_bitmap),
		cmocka_unit_test(the_whole_space_is_one_range),
		cmocka_unit_test(a_bounded_set_refuses_more_ranges_and_stays_as_it_was),
		cmocka_unit_test(it_is_written_as_imap_writes_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
