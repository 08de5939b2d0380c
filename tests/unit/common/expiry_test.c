/* Words of the option `expire`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/expiry.h"

static void rules_are_read(void **state)
{
	static const struct {
		struct sv word;
		enum expiry_what what;
		struct sv name;
		int64_t age_s;
	} cases[] = {
		{ SV_INIT("trash=30d"), EXPIRY_TRASH, SV_INIT("trash"), 30 * 86400 },
		{ SV_INIT("junk=2w"), EXPIRY_JUNK, SV_INIT("junk"), 14 * 86400 },
		{ SV_INIT("Trash=1h"), EXPIRY_NAME, SV_INIT("Trash"), 3600 },
		{ SV_INIT("Lists/News=90d"), EXPIRY_NAME, SV_INIT("Lists/News"), 90 * 86400 },
		{ SV_INIT("Lists/*=90d"), EXPIRY_PREFIX, SV_INIT("Lists/"), 90 * 86400 },
		{ SV_INIT("a=b=1d"), EXPIRY_NAME, SV_INIT("a=b"), 86400 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct expiry_rule rule;

		assert_true(expiry_parse(cases[i].word, &rule));
		assert_int_equal(rule.what, cases[i].what);
		assert_true(sv_eq(rule.name, cases[i].name));
		assert_int_equal(rule.age_s, cases[i].age_s);
	}
}

static void what_is_no_rule_is_refused(void **state)
{
	static const struct sv words[] = {
		SV_INIT(""), SV_INIT("="), SV_INIT("trash"), SV_INIT("trash="), SV_INIT("=30d"), SV_INIT("trash=30"), SV_INIT("trash=d"), SV_INIT("trash=0d"),
		SV_INIT("trash=-1d"), SV_INIT("trash=30m"), SV_INIT("*=30d"), SV_INIT("trash=99999999999999999999d"), SV_INIT("trash=400000d"),
	};
	struct expiry_rule rule;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		assert_false(expiry_parse(words[i], &rule));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_read),
		cmocka_unit_test(what_is_no_rule_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
