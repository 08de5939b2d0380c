/* Ranges of results, counted from both ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imapd/partial.h"
#include "imapd/view.h"
#include "tests/unit/imapd/parsed.h"

static bool read_range(const char *text, struct partial *out)
{
	struct grammar g;
	struct args args = parsed(&g, text);
	bool is_good = partial_read(&args, out) && args_end(&args);

	out->text = SV_NONE;
	grammar_done(&g);
	return is_good;
}

static void a_range_picks_members_by_rank(void **state)
{
	static const struct { const char *range, *all, *want; } cases[] = {
		{ "1:3", "10:20", "10:12" }, { "3:1", "10:20", "10:12" }, { "2:2", "5,7,9", "7" }, { "2:9", "5,7,9", "7,9" },
		{ "4:9", "5,7,9", "" }, { "-1:-1", "5,7,9", "9" }, { "-1:-2", "5,7,9", "7,9" }, { "-3:-2", "5,7,9", "5,7" },
		{ "-2:-9", "5,7,9", "5,7" }, { "-4:-9", "5,7,9", "" }, { "1:4294967295", "5,7:9", "5,7:9" },
		{ "-4294967295:-1", "1:4294967295", "1:4294967295" }, { "1:1", "", "" }, { "3:4", "1:2,5:6,9", "5:6" },
		{ "2:3", "1:2,5:6,9", "2,5" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct uidset all = { 0 }, out = { 0 };
		struct partial p;
		struct buf text = { .max = 1000 };

		assert_true(read_range(cases[i].range, &p));
		if (*cases[i].all)
			assert_int_equal(uidset_parse(sv_z(cases[i].all), 0, &all), SET_OK);
		partial_of(&p, &all, &out);
		assert_true(uidset_write(&out, &text));
		assert_string_equal(buf_z(&text), cases[i].want);
		uidset_done(&all);
		uidset_done(&out);
		buf_done(&text);
	}
}

static void what_is_no_range_is_refused(void **state)
{
	static const char *const wrong[] = { "1", "1:", ":1", "0:1", "1:0", "-1:1", "1:-1", "--1:-1", "1:2:3", "1:*", "x:y",
					     "01:2", "1:4294967296", "\"1:2\"", "-:-", "-0:-1" };
	struct partial p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (read_range(wrong[i], &p))
			fail_msg("taken: %s", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_picks_members_by_rank),
		cmocka_unit_test(what_is_no_range_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
