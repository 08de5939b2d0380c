/* Arguments of a command: each has its type, and the place stays where one is not what was asked for. */
#include "tests/unit/imapd/parsed.h"

static void arguments_have_their_types(void **state)
{
	struct grammar g;
	struct args a = parsed(&g, "atom a]b \\Seen $kw 5 4294967296 (x (y)) 1:* %x \"s\" INBOX"), list, inner;
	struct sv s;
	uint32_t n;
	uint64_t big;

	(void)state;
	assert_false(args_string(&a, &s));
	assert_true(args_atom(&a, &s) && sv_eq(s, SV("atom")));
	assert_false(args_atom(&a, &s));
	assert_true(args_astring(&a, &s) && sv_eq(s, SV("a]b")));
	assert_false(args_astring(&a, &s));
	assert_true(args_flag(&a, &s) && sv_eq(s, SV("\\Seen")));
	assert_true(args_flag(&a, &s) && sv_eq(s, SV("$kw")));
	assert_true(args_u32(&a, &n) && n == 5);
	assert_false(args_u32(&a, &n));
	assert_true(args_u64(&a, &big) && big == 4294967296u);
	assert_false(args_atom(&a, &s));
	assert_true(args_open(&a, &list));
	assert_true(args_word(&list, "X"));
	assert_true(args_open(&list, &inner));
	assert_true(args_end(&list));
	assert_true(args_word(&inner, "y") && args_end(&inner));
	assert_false(args_atom(&a, &s));
	assert_true(args_raw(&a, &s) && sv_eq(s, SV("1:*")));
	assert_false(args_astring(&a, &s));
	assert_true(args_pattern(&a, &s) && sv_eq(s, SV("%x")));
	assert_true(args_string(&a, &s) && sv_eq(s, SV("s")));
	assert_false(args_word(&a, "inbo"));
	assert_true(args_word(&a, "inbox"));
	assert_true(args_end(&a));
	assert_false(args_raw(&a, &s) || args_open(&a, &list) || args_astring(&a, &s));
	grammar_done(&g);
}

static void words_that_touch_are_not_two_arguments(void **state)
{
	struct grammar g;
	struct args a = parsed(&g, "\"a\"b (c)(d) e"), list;
	struct sv s;

	(void)state;
	assert_true(args_string(&a, &s));
	assert_false(args_atom(&a, &s));
	assert_true(args_glued(&a, &s) && sv_eq(s, SV("b")));
	assert_true(args_open(&a, &list));
	assert_false(args_open(&a, &list));
	grammar_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_have_their_types),
		cmocka_unit_test(words_that_touch_are_not_two_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
