/* Who runs a mail server, by its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/conf.h"
#include "common/provider.h"

#include "common/banned.h"

static char google[] = "google=google.com", microsoft[] = "microsoft=protection.outlook.com", special[] = "vip=vip.protection.outlook.com",
	    junk[] = "none";
static char *items[] = { google, microsoft, special, junk };
static const struct conf_list table = { items, ARRAY_LEN(items) };

static void a_host_belongs_to_the_longest_suffix(void **state)
{
	static const struct { const char *host, *name; } cases[] = {
		{ "aspmx.l.google.com", "google" }, { "ASPMX.L.GOOGLE.COM.", "google" }, { "google.com", "google" },
		{ "notgoogle.com", "" }, { "google.com.evil.example", "" }, { "", "" }, { ".", "" }, { "com", "" },
		{ "a.mail.protection.outlook.com", "microsoft" }, { "a.vip.protection.outlook.com", "vip" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_true(sv_eq(provider_of(&table, sv_z(cases[i].host)), sv_z(cases[i].name)));
}

static void whom_nobody_knows_is_called_by_two_labels(void **state)
{
	static const struct { const char *remote, *name; } cases[] = {
		{ "aspmx.l.google.com [192.0.2.1]", "google" }, { "mx.mail.example.net [192.0.2.1]", "example.net" },
		{ "example.net [192.0.2.1]", "example.net" }, { "localhost [127.0.0.1]", "localhost" }, { "[192.0.2.1]", "" }, { "", "" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_true(sv_eq(provider_of_remote(&table, sv_z(cases[i].remote)), sv_z(cases[i].name)));
}

static void words_of_the_table_have_a_name_and_a_suffix(void **state)
{
	struct sv name, suffix;
	(void)state;
	assert_true(provider_parse(SV("a=b.c"), &name, &suffix) && sv_eq(name, SV("a")) && sv_eq(suffix, SV("b.c")));
	assert_false(provider_parse(SV("a"), &name, &suffix));
	assert_false(provider_parse(SV("a="), &name, &suffix));
	assert_false(provider_parse(SV("=b"), &name, &suffix));
	assert_false(provider_parse(SV("a=.b"), &name, &suffix));
	assert_false(provider_parse(SV("a=b=c"), &name, &suffix));
	assert_false(provider_parse(SV("a=b c"), &name, &suffix));
	assert_false(provider_parse(SV(""), &name, &suffix));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_belongs_to_the_longest_suffix),
		cmocka_unit_test(whom_nobody_knows_is_called_by_two_labels),
		cmocka_unit_test(words_of_the_table_have_a_name_and_a_suffix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
