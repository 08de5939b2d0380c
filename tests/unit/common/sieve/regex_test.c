/* Regular expressions: what they match, what they remember, and that no pattern takes for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/sieve/regex.h"

static bool matches(const char *pattern, struct sv text, bool ignore_case, struct sv groups[REGEX_GROUPS_MAX])
{
	struct arena a, scratch;
	const char *error = NULL;
	bool failed, found;

	arena_init(&a, (size_t)1 << 20);
	arena_init(&scratch, (size_t)128 << 10);
	struct regex *re = regex_compile(&a, sv_z(pattern), ignore_case, &error);
	if (!re)
		fail_msg("%s: %s", pattern, error);
	found = regex_run(re, text, &scratch, groups, &failed);
	assert_false(failed);
	arena_done(&a);
	arena_done(&scratch);
	return found;
}

static void patterns_match_as_posix_says(void **state)
{
	/* group: what the whole match is, then each group; "-": took no part */
	static const struct { const char *pattern, *text, *groups; } cases[] = {
		{ "abc", "xabcx", "abc" }, { "", "x", "" }, { "a*", "baa", "" }, { "^a", "ba", NULL }, { "a$", "ab", NULL },
		{ "^$", "", "" }, { "^ab$", "ab", "ab" }, { "a|ab|abc", "xabcx", "abc" }, { "(a|ab)(c|bcd)", "abcd", "abcd|a|bcd" },
		{ "x*", "xxx", "xxx" }, { "(a+)(b?)", "aab", "aab|aa|b" }, { "(a)|(b)", "b", "b|-|b" }, { "[a-c]+", "xxabcdx", "abc" },
		{ "[^a-c]+", "abxyc", "xy" }, { "[]a]+", "x]a]", "]a]" }, { "[^]a]", "]b", "b" }, { "[a-]+", "b-a-", "-a-" },
		{ "[[:digit:]]{2,3}", "a1b1234", "123" }, { "a{3}", "aa", NULL }, { "a{2}", "aaa", "aa" }, { "a{0,1}b", "aab", "ab" },
		{ "a{2,}", "baaaa", "aaaa" }, { "\\.", "a.b", "." }, { "a\\*b", "a*b", "a*b" }, { "\\w+\\W\\w+", "ab cd", "ab cd" },
		{ "\\s\\S", "a b", " b" }, { "(((a)))", "a", "a|a|a|a" }, { "(a*)*", "aa", "aa|aa" }, { "(a|b)*c", "abac", "abac|a" },
		{ ".", "\xc3\xa9", "\xc3\xa9" }, { "^.$", "\xe2\x82\xac", "\xe2\x82\xac" }, { "[\xc3\xa0-\xc3\xbc]", "x\xc3\xa9", "\xc3\xa9" },
		{ "^.$", "\xff", "\xff" }, { "[[.a.]-c]", "b", "b" }, { "[[=a=]]", "a", "a" }, { "()", "x", "|" }, { "(|a)b", "ab", "ab|a" },
		{ "^\\$\\^", "$^", "$^" }, { "a.c", "a\nc", "a\nc" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sv groups[REGEX_GROUPS_MAX];
		char *copy = sv_copy_z(sv_z(cases[i].text));
		bool found = matches(cases[i].pattern, sv_z(copy), false, groups);

		if (found != (cases[i].groups != NULL))
			fail_msg("/%s/ on %s", cases[i].pattern, cases[i].text);
		struct sv rest = sv_z(cases[i].groups), part;
		size_t n = 0;
		do {
			if (!found)
				break;
			size_t bar = sv_find(rest, '|');
			part = sv_sub(rest, 0, bar);
			if (sv_eq(part, SV("-")) ? groups[n].p != NULL : !sv_eq(groups[n], part))
				fail_msg("/%s/ on %s: group %zu is %.*s", cases[i].pattern, cases[i].text, n, SV_FMT(groups[n]));
			n++;
			rest = bar == SIZE_MAX ? SV_NONE : sv_sub(rest, bar + 1, SIZE_MAX);
			if (bar == SIZE_MAX)
				break;
		} while (n < REGEX_GROUPS_MAX);
		free(copy);
	}
}

static void case_is_ignored_when_asked(void **state)
{
	(void)state;
	assert_true(matches("^aBc[d-f]$", SV("AbCE"), true, NULL));
	assert_false(matches("^aBc$", SV("AbC"), false, NULL));
	assert_false(matches("^[^a]$", SV("A"), true, NULL));
}

static void wrong_patterns_are_named(void **state)
{
	static const char *const cases[] = {
		"(", "(a", "[a", "[", "[]", "[[:digit:]", "[[:foo:]]", "*", "+a", "a|*", "a**", "a{1", "a{2,1}", "a{256}", "a{,2}", "a{x}",
		"\\", "(a)\\1", "\\b", "[b-a]", "[[.ab.]]", "((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))",
		"((a{255}){255}){255}", "(.{200}){200}",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		const char *error = NULL;

		arena_init(&a, (size_t)1 << 20);
		if (regex_compile(&a, sv_z(cases[i]), false, &error))
			fail_msg("/%s/ was taken", cases[i]);
		assert_non_null(error);
		arena_done(&a);
	}
}

/* Patterns that take a backtracking machine exponential time. */
static void bombs_take_the_time_of_their_size(void **state)
{
	static const char *const cases[] = { "^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)(.*)(.*)b$",
					     "a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?aaaaaaaaaaaaaaaaaaaa!" };
	char text[4096];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '.';
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_false(matches(cases[i], sv_from(text, sizeof(text)), false, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_as_posix_says),
		cmocka_unit_test(case_is_ignored_when_asked),
		cmocka_unit_test(wrong_patterns_are_named),
		cmocka_unit_test(bombs_take_the_time_of_their_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
