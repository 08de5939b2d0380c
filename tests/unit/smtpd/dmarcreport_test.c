/* DMARC aggregate reports: lines counted together, the XML made of them, records that ask for it, and who is invited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtpd/dmarcinvite.h"
#include "smtpd/dmarcreport.h"
#include "tests/unit/support/dns_table.h"

#define POLICY "\"p\":\"reject\",\"sp\":\"none\",\"np\":\"none\",\"adkim\":\"r\",\"aspf\":\"s\",\"testing\":\"n\""
#define GOOD "{\"policy\":\"a.test\"," POLICY ",\"from\":\"x.a.test\",\"ip\":\"192.0.2.1\",\"disposition\":\"none\",\"dkim\":\"pass\"," \
	     "\"spf\":\"fail\",\"envelope\":\"b.test\",\"spf_domain\":\"b.test\",\"spf_result\":\"softfail\"," \
	     "\"dkims\":[{\"domain\":\"a.test\",\"selector\":\"s1\",\"result\":\"pass\"}]}"
#define BAD "{\"policy\":\"a.test\"," POLICY ",\"from\":\"a.test\",\"ip\":\"2001:db8::1\",\"disposition\":\"none\",\"dkim\":\"fail\"," \
	    "\"spf\":\"fail\",\"reason\":\"trusted_forwarder\",\"comment\":\"<&>\",\"envelope\":\"\",\"spf_domain\":\"h.test\",\"spf_result\":\"none\"," \
	    "\"dkims\":[]}"

static const struct report_facts facts = { "us.test", "postmaster@us.test", "id1", 1460592000, "mx.us.test" };

static void messages_of_which_the_same_is_known_are_one_record(void **state)
{
	struct dmarcreport_day *d = dmarcreport_day_new();
	struct buf out;
	(void)state;

	for (int i = 0; i < 3; i++)
		dmarcreport_day_add(d, SV(GOOD));
	dmarcreport_day_add(d, SV(BAD));
	assert_int_equal(dmarcreport_day_count(d), 1);
	assert_string_equal(dmarcreport_day_domain(d, 0), "a.test");
	buf_init(&out, 10000);
	assert_true(dmarcreport_day_xml(d, 0, &facts, &out));
	assert_string_equal(
		buf_z(&out),
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n<version>1.0</version>\n"
		"<report_metadata>\n<org_name>us.test</org_name>\n<email>postmaster@us.test</email>\n<report_id>id1@mx.us.test</report_id>\n"
		"<date_range>\n<begin>1460592000</begin>\n<end>1460678399</end>\n</date_range>\n<generator>Postroom</generator>\n</report_metadata>\n"
		"<policy_published>\n<domain>a.test</domain>\n<discovery_method>treewalk</discovery_method>\n<p>reject</p>\n<sp>none</sp>\n"
		"<np>none</np>\n<adkim>r</adkim>\n<aspf>s</aspf>\n<testing>n</testing>\n</policy_published>\n"
		"<record>\n<row>\n<source_ip>192.0.2.1</source_ip>\n<count>3</count>\n<policy_evaluated>\n<disposition>none</disposition>\n"
		"<dkim>pass</dkim>\n<spf>fail</spf>\n</policy_evaluated>\n</row>\n<identifiers>\n<header_from>x.a.test</header_from>\n"
		"<envelope_from>b.test</envelope_from>\n</identifiers>\n<auth_results>\n<dkim>\n<domain>a.test</domain>\n<selector>s1</selector>\n"
		"<result>pass</result>\n</dkim>\n<spf>\n<domain>b.test</domain>\n<scope>mfrom</scope>\n<result>softfail</result>\n</spf>\n"
		"</auth_results>\n</record>\n"
		"<record>\n<row>\n<source_ip>2001:db8::1</source_ip>\n<count>1</count>\n<policy_evaluated>\n<disposition>none</disposition>\n"
		"<dkim>fail</dkim>\n<spf>fail</spf>\n<reason>\n<type>trusted_forwarder</type>\n<comment>&lt;&amp;&gt;</comment>\n</reason>\n"
		"</policy_evaluated>\n</row>\n<identifiers>\n<header_from>a.test</header_from>\n<envelope_from></envelope_from>\n</identifiers>\n"
		"<auth_results>\n<spf>\n<domain>h.test</domain>\n<scope>mfrom</scope>\n<result>none</result>\n</spf>\n</auth_results>\n</record>\n"
		"</feedback>\n");
	buf_done(&out);
	buf_init(&out, 500);
	assert_false(dmarcreport_day_xml(d, 0, &facts, &out));
	buf_done(&out);
	dmarcreport_day_free(&d);
}

static void what_is_no_line_is_nothing(void **state)
{
	static const struct sv bad[] = {
		SV_INIT(""), SV_INIT("{"), SV_INIT("[]"), SV_INIT("{}"), SV_INIT("{\"policy\":\"\",\"ip\":\"192.0.2.1\"}"),
		SV_INIT("{\"policy\":\"a.test\"}"), SV_INIT("{\"policy\":7,\"ip\":\"192.0.2.1\"}"),
	};
	struct dmarcreport_day *d = dmarcreport_day_new();
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		dmarcreport_day_add(d, bad[i]);
	assert_int_equal(dmarcreport_day_count(d), 0);
	dmarcreport_day_free(&d);
}

static void a_flood_of_sources_is_left_out_and_said(void **state)
{
	struct dmarcreport_day *d = dmarcreport_day_new();
	char line[300];
	struct buf out;
	(void)state;

	for (int i = 0; i < DMARCREPORT_ROWS_MAX + 7; i++) {
		snprintf(line, sizeof(line), "{\"policy\":\"a.test\",\"ip\":\"192.0.2.%d\"}", i);
		dmarcreport_day_add(d, sv_z(line));
	}
	buf_init(&out, DMARCREPORT_XML_MAX);
	assert_true(dmarcreport_day_xml(d, 0, &facts, &out));
	assert_non_null(strstr(buf_z(&out), "<error>7 more messages"));
	buf_done(&out);
	dmarcreport_day_free(&d);
}

static void records_name_where_reports_go(void **state)
{
	struct sv uris[REPORT_URIS_MAX];
	(void)state;

	assert_int_equal(dmarcreport_record_parse(SV("v=DMARC1; p=none; rua=mailto:a@b.test!10m , https://c.test/x, mailto:d@e.test"), uris), 2);
	assert_true(sv_eq(uris[0], SV("mailto:a@b.test!10m")));
	assert_true(sv_eq(report_uri_address(uris[0]), SV("a@b.test")));
	assert_true(sv_eq(uris[1], SV("mailto:d@e.test")));
	assert_int_equal(dmarcreport_record_parse(SV("v=DMARC1; p=reject"), uris), 0);
	assert_int_equal(dmarcreport_record_parse(SV("v=DMARC1"), uris), 0);
	assert_int_equal(dmarcreport_record_parse(SV("v=spf1 rua=mailto:a@b"), uris), 0);
	assert_int_equal(dmarcreport_record_parse(SV(""), uris), 0);
	assert_int_equal(report_uri_address(SV("https://a.test")).len, 0);
	assert_true(sv_eq(report_uri_address(SV("mailto:a@b?subject=x")), SV("a@b")));
}

/* ---- who is invited ---- */

static const struct dns_row zone[] = {
	{ "_dmarc.example.com", DNS_TXT, "v=DMARC1; p=none" },
	{ "example.com._report._dmarc.yes.example", DNS_TXT, "v=DMARC1;" },
	{ "example.com._report._dmarc.moved.example", DNS_TXT, "v=DMARC1; rua=mailto:new@moved.example" },
	{ "example.com._report._dmarc.evil.example", DNS_TXT, "v=DMARC1; rua=mailto:victim@other.example" },
	{ "example.com._report._dmarc.wrong.example", DNS_TXT, "v=spf1 -all" },
	{ "example.com._report._dmarc.down.example", DNS_TXT, "!" },
};

static const struct { const char *uri, *answer; } invitations[] = {
	{ "mailto:a@example.com", "mailto:a@example.com" },
	{ "mailto:a@reports.example.com", "mailto:a@reports.example.com" },     /* one organisation */
	{ "mailto:a@Yes.example!5m", "mailto:a@Yes.example!5m" },
	{ "mailto:a@moved.example", "mailto:new@moved.example" },
	{ "mailto:a@evil.example", "" },
	{ "mailto:a@wrong.example", "" },
	{ "mailto:a@down.example", "" },
	{ "mailto:a@no.example", "" },
	{ "mailto:nonsense", "" },
	{ "https://example.com/", "" },
};

static void keep(void *arg, struct sv uri)
{
	char *text = arg;

	assert_int_equal(text[0], '?');
	snprintf(text, 100, "%.*s", SV_FMT(uri));
}

static void only_who_asks_for_it_gets_reports_of_others(void **state)
{
	struct dns_table *t = *state;

	for (size_t i = 0; i < ARRAY_LEN(invitations); i++) {
		char text[100] = "?";
		struct report_invitation *invitation =
			dmarc_invite(t->loop, t->dns, SV("example.com"), sv_z(invitations[i].uri), keep, text);

		for (int k = 0; k < 200 && text[0] == '?'; k++)
			loop_run_once(t->loop, 0);
		assert_string_equal(text, invitations[i].answer);
		dmarc_invite_forget(&invitation);
	}
}

static void a_question_can_be_forgotten_at_any_time(void **state)
{
	struct dns_table *t = *state;

	for (int turns = 0; turns < 8; turns++) {
		char text[100] = "?";
		struct report_invitation *invitation =
			dmarc_invite(t->loop, t->dns, SV("example.com"), SV("mailto:a@yes.example"), keep, text);

		for (int k = 0; k < turns; k++)
			loop_run_once(t->loop, 0);
		dmarc_invite_forget(&invitation);
		text[0] = '?';
		loop_run_once(t->loop, 0);
		assert_int_equal(text[0], '?');
	}
}

static int setup(void **state)
{
	return dns_table_setup(state, zone, ARRAY_LEN(zone));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_which_the_same_is_known_are_one_record),
		cmocka_unit_test(what_is_no_line_is_nothing),
		cmocka_unit_test(a_flood_of_sources_is_left_out_and_said),
		cmocka_unit_test(records_name_where_reports_go),
		cmocka_unit_test_setup_teardown(only_who_asks_for_it_gets_reports_of_others, setup, dns_table_teardown),
		cmocka_unit_test_setup_teardown(a_question_can_be_forgotten_at_any_time, setup, dns_table_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
