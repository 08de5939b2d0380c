/* The flag log: records go both ways, and a torn end costs only itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "maildir/flaglog.h"

struct seen { unsigned count; uint64_t uids; struct flag_record last; };

static bool count(void *arg, const struct flag_record *r)
{
	struct seen *s = arg;
	s->count++;
	s->uids += uidset_total(&r->uids);
	s->last = *r;
	return true;
}

static void records_go_both_ways_and_long_sets_are_split(void **state)
{
	struct flag_record r = { .box = 0xfeed, .flags = FLAG_SEEN | FLAG_DRAFT, .keywords = { { 5, 1ull << 63 } } };
	struct buf log;
	struct seen seen = { 0 };
	(void)state;
	buf_init(&log, 1 << 20);
	for (uint32_t i = 1; i <= 1000; i++)
		uidset_add(&r.uids, 4294960000u + i * 3, 4294960000u + i * 3 + 1);
	assert_true(flaglog_write(&r, &log));
	assert_int_equal(flaglog_parse(buf_sv(&log), count, &seen), log.len);
	assert_int_equal(seen.count, 4);
	assert_int_equal(seen.uids, 2000);
	assert_true(seen.last.box == 0xfeed && seen.last.flags == r.flags && seen.last.keywords.w[1] == 1ull << 63 &&
		    seen.last.keywords.w[0] == 5);
	buf_done(&log);
	uidset_done(&r.uids);
}

static void a_torn_or_damaged_line_costs_only_itself(void **state)
{
	struct flag_record r = { .box = 1, .flags = 1 };
	struct buf log;
	(void)state;
	buf_init(&log, 1 << 20);
	for (uint32_t i = 1; i <= 3; i++) {
		uidset_add(&r.uids, i * 10, i * 10);
		assert_true(flaglog_write(&r, &log));
	}
	size_t line = sv_find(buf_sv(&log), '\n') + 1;
	for (size_t cut = 0; cut <= log.len; cut++) {
		struct seen seen = { 0 };
		size_t used = flaglog_parse(sv_from(log.p, cut), count, &seen);
		assert_true(used <= cut && (!used || log.p[used - 1] == '\n'));
	}
	for (size_t i = 0; i < line; i++) {
		struct seen seen = { 0 };
		log.p[i] ^= 1;
		flaglog_parse(buf_sv(&log), count, &seen);
		assert_true(seen.count == 2 || (i == line - 1 && seen.count == 1));
		log.p[i] ^= 1;
	}
	buf_done(&log);
	uidset_done(&r.uids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_go_both_ways_and_long_sets_are_split),
		cmocka_unit_test(a_torn_or_damaged_line_costs_only_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
