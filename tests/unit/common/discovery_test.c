/* What mail programs are told: made of the listeners, escaped, and the same for everybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/conf.h"
#include "common/discovery.h"

static struct conf *conf_of(const char *text)
{
	struct conf_report report = { NULL, 0, false };
	struct conf *conf = NULL;
	struct fault f = conf_parse(sv_z(text), "test", "/tmp", &report, &conf);

	assert_int_equal(f.kind, FAULT_NONE);
	conf_report_done(&report);
	return conf;
}

static bool has(const struct buf *text, const char *what)
{
	return sv_search(buf_sv(text), sv_z(what)) != SIZE_MAX;
}

static void services_are_the_listeners_that_others_can_reach(void **state)
{
	struct conf *conf = conf_of("hostname m.example.org\n"
				    "listener a {\n kind imaps\n address 127.0.0.1\n port 1\n}\n"
				    "listener b {\n kind imaps\n port 993\n}\n"
				    "listener c {\n kind submission\n port 587\n}\n"
				    "listener d {\n kind pop3\n tls none\n}\n");
	struct buf out;

	(void)state;
	assert_int_equal(discovery_service(conf, DISCOVERY_IMAP).port, 993);
	assert_false(discovery_service(conf, DISCOVERY_IMAP).is_starttls);
	assert_int_equal(discovery_service(conf, DISCOVERY_SMTP).port, 587);
	assert_true(discovery_service(conf, DISCOVERY_SMTP).is_starttls);
	assert_int_equal(discovery_service(conf, DISCOVERY_POP3).port, 0);      /* nobody is sent to where passwords go in clear */
	buf_init(&out, DISCOVERY_MAX);
	assert_true(discovery_autoconfig(conf, SV("example.org"), &out));
	assert_true(has(&out, "<port>587</port>\n      <socketType>STARTTLS</socketType>") && !has(&out, "pop3"));
	buf_done(&out);
	conf_unref(&conf);
}

static void texts_from_outside_are_escaped(void **state)
{
	struct conf *conf = conf_default("/tmp");
	struct buf out;

	(void)state;
	buf_init(&out, DISCOVERY_MAX);
	assert_true(discovery_autodiscover(conf, SV("example.org"), SV("<a>&\"'\x01\xff@b"), &out));
	assert_true(has(&out, "<LoginName>&lt;a&gt;&amp;&quot;&#39;@b</LoginName>"));
	buf_clear(&out);
	assert_true(discovery_mobileconfig(conf, SV("example.org"), SV("a@b"), SV("p<w"), &out));
	assert_true(has(&out, "<key>IncomingPassword</key>\n      <string>p&lt;w</string>"));
	buf_done(&out);
	conf_unref(&conf);
}

static void an_answer_that_does_not_fit_is_none(void **state)
{
	struct conf *conf = conf_default("/tmp");

	(void)state;
	for (size_t max = 0; max < 3000; max += 7) {
		struct buf out;
		bool all;

		buf_init(&out, max);
		all = discovery_autoconfig(conf, SV("example.org"), &out);
		assert_true(!all || sv_ends(buf_sv(&out), SV("</clientConfig>\n")));
		buf_clear(&out);
		all = discovery_mobileconfig(conf, SV("example.org"), SV("a@b"), SV_NONE, &out);
		assert_true(!all || sv_ends(buf_sv(&out), SV("</plist>\n")));
		buf_done(&out);
	}
	conf_unref(&conf);
}

static void the_address_of_an_autodiscover_request_is_found_in_any_xml(void **state)
{
	static const struct {
		const char *xml, *want;
		bool wants_other;
	} cases[] = {
		{ "<Request><EMailAddress>a@b</EMailAddress></Request>", "a@b", false },
		{ "<x:EMAILADDRESS y=\"1\"> a@b\r\n</x:EMAILADDRESS>", "a@b", false },
		{ "<EMailAddress>a&amp;b&lt;&gt;&quot;&apos;&bogus;@c<", "a&b<>\"'&bogus;@c", false },
		{ "<EMailAddress></EMailAddress><EMailAddress>b@c</EMailAddress><EMailAddress>d@e</EMailAddress>", "b@c", false },
		{ "<AcceptableResponseSchema>http://x/mobilesync/y</AcceptableResponseSchema><EMailAddress>a@b</EMailAddress>", "a@b", true },
		{ "", NULL, false }, { "<", NULL, false }, { "<>", NULL, false }, { "<EMailAddress", NULL, false },
		{ "<EMailAddress>", NULL, false }, { "EMailAddress>a@b", NULL, false }, { "<XEMailAddress>a@b<", NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t n = strlen(cases[i].xml);
		char *copy = malloc(n ? n : 1);
		struct buf out;
		bool other, found;

		memcpy(copy, cases[i].xml, n);
		buf_init(&out, 100);
		found = discovery_autodiscover_address(sv_from(copy, n), &out, &other);
		if (found != (cases[i].want != NULL) || (found && !sv_eq(buf_sv(&out), sv_z(cases[i].want))) || other != cases[i].wants_other)
			fail_msg("case %zu: %d '%.*s' %d", i, found, SV_FMT(buf_sv(&out)), other);
		buf_done(&out);
		free(copy);
	}
}

static void the_policys_id_changes_with_the_policy(void **state)
{
	struct conf *testing = conf_of("hostname m.example.org\n"), *enforce = conf_of("hostname m.example.org\nmta-sts-policy enforce\n"),
		    *again = conf_of("hostname m.example.org\nport-offset 10000\n");
	char id[3][DISCOVERY_STS_ID_LEN + 1];

	(void)state;
	discovery_sts_id(testing, id[0]);
	discovery_sts_id(enforce, id[1]);
	discovery_sts_id(again, id[2]);
	assert_string_not_equal(id[0], id[1]);
	assert_string_equal(id[0], id[2]);
	assert_int_equal(strlen(id[0]), DISCOVERY_STS_ID_LEN);
	conf_unref(&testing);
	conf_unref(&enforce);
	conf_unref(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(services_are_the_listeners_that_others_can_reach),
		cmocka_unit_test(texts_from_outside_are_escaped),
		cmocka_unit_test(an_answer_that_does_not_fit_is_none),
		cmocka_unit_test(the_address_of_an_autodiscover_request_is_found_in_any_xml),
		cmocka_unit_test(the_policys_id_changes_with_the_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
