/* Lists whose words have a form: what is good is taken, what is not is named with what was expected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/conf_private.h"

static const struct {
	const char *option, *word;
	bool is_good;
} cases[] = {
	{ "dns-lists", "none", true },
	{ "dns-lists", "zen.example.net", true },
	{ "dns-lists", "zen.example.net=100", true },
	{ "dns-lists", "wl.example.net=-2", true },
	{ "dns-lists", "zen", false },
	{ "dns-lists", "zen.example.net=101", false },
	{ "dns-lists", "zen.example.net=x", false },
	{ "dns-lists", "=2", false },
	{ "dns-lists", "http://zen.example.net", false },
	{ "dmarc-exceptions", "lists.example.org=none", true },
	{ "dmarc-exceptions", "example.org=Reject", true },
	{ "dmarc-exceptions", "example.org", false },
	{ "dmarc-exceptions", "example.org=accept", false },
	{ "dmarc-exceptions", "=none", false },
	{ "milters", "127.0.0.1:11332", true },
	{ "milters", "[::1]:11332", true },
	{ "milters", "/run/filter.sock", true },
	{ "milters", "rspamd:127.0.0.1:11333", true },
	{ "submission-milters", "rspamd:/run/rspamd.sock", true },
	{ "milters", "rspamd:localhost", false },
	{ "milters", "127.0.0.1", false },
	{ "milters", "localhost:11332", false },
	{ "milters", "unix:/run/filter.sock", false },
	{ "report-addresses", "reports@example.org", true },
	{ "report-addresses", "example.org", false },
	{ "report-addresses", "@example.org", false },
	{ "smarthosts", "anything", true },
};

static void words_of_another_form_are_refused_and_named(void **state)
{
	struct buf why;
	(void)state;

	buf_init(&why, 1000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct conf_option *option = conf_option_find(sv_z(cases[i].option));
		struct sv word = sv_z(cases[i].word);

		assert_non_null(option);
		buf_clear(&why);
		if (conf_words_check(option, &word, 1, &why) != cases[i].is_good)
			fail_msg("%s %s", cases[i].option, cases[i].word);
		assert_int_equal(why.len > 0, !cases[i].is_good);
		if (!cases[i].is_good)
			assert_non_null(strstr(buf_z(&why), cases[i].word));
	}
	buf_done(&why);
}

static void none_stands_alone(void **state)
{
	const struct sv words[] = { SV_INIT("none"), SV_INIT("zen.example.net") };
	struct buf why;
	(void)state;

	buf_init(&why, 1000);
	assert_false(conf_words_check(conf_option_find(SV("dns-lists")), words, 2, &why));
	buf_done(&why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_of_another_form_are_refused_and_named),
		cmocka_unit_test(none_stands_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
