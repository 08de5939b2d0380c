/* TLS reports as text: lines counted together, the report made of them, the record that asks for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtpd/tlsreport.h"

#define GOOD "{\"domain\":\"a.test\",\"type\":\"sts\",\"policy\":\"version: STSv1\\nmode: enforce\\nmx: *.a.test\\nmax_age: 60\",\"host\":\"mx.a.test\"," \
	     "\"ip\":\"192.0.2.1\",\"result\":\"\",\"reason\":\"\"}"
#define BAD "{\"domain\":\"a.test\",\"type\":\"sts\",\"policy\":\"version: STSv1\\nmode: enforce\\nmx: *.a.test\\nmax_age: 60\",\"host\":\"mx.a.test\"," \
	    "\"ip\":\"192.0.2.1\",\"result\":\"certificate-expired\",\"reason\":\"old\"}"

static void lines_are_counted_together(void **state)
{
	struct tlsreport_day *d = tlsreport_day_new();
	const struct report_facts facts = { "us.test", "postmaster@us.test", "id1", 1460592000, "mx.us.test" };
	struct buf out;
	(void)state;

	for (int i = 0; i < 3; i++)
		tlsreport_day_add(d, SV(GOOD));
	tlsreport_day_add(d, SV(BAD));
	tlsreport_day_add(d, SV(BAD));
	tlsreport_day_add(d, SV("{\"domain\":\"b.test\",\"type\":\"no-policy-found\",\"result\":\"\"}"));
	assert_int_equal(tlsreport_day_count(d), 2);
	assert_string_equal(tlsreport_day_domain(d, 0), "a.test");
	buf_init(&out, 10000);
	assert_true(tlsreport_day_json(d, 0, &facts, &out));
	assert_string_equal(
		buf_z(&out),
		"{\"organization-name\":\"us.test\",\"date-range\":{\"start-datetime\":\"2016-04-14T00:00:00Z\","
		"\"end-datetime\":\"2016-04-14T23:59:59Z\"},\"contact-info\":\"postmaster@us.test\",\"report-id\":\"id1\","
		"\"policies\":[{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\",\"mode: enforce\","
		"\"mx: *.a.test\",\"max_age: 60\"],\"policy-domain\":\"a.test\",\"mx-host\":[\"*.a.test\"]},"
		"\"summary\":{\"total-successful-session-count\":3,\"total-failure-session-count\":2},"
		"\"failure-details\":[{\"result-type\":\"certificate-expired\",\"receiving-mx-hostname\":\"mx.a.test\","
		"\"receiving-ip\":\"192.0.2.1\",\"failed-session-count\":2,\"failure-reason-code\":\"old\"}]}]}");
	buf_clear(&out);
	assert_true(tlsreport_day_json(d, 1, &facts, &out));
	assert_non_null(strstr(buf_z(&out), "\"policy-type\":\"no-policy-found\",\"policy-domain\":\"b.test\""));
	buf_done(&out);
	buf_init(&out, 100);
	assert_false(tlsreport_day_json(d, 0, &facts, &out));
	buf_done(&out);
	tlsreport_day_free(&d);
}

static void what_is_no_line_is_nothing(void **state)
{
	static const struct sv bad[] = {
		SV_INIT(""), SV_INIT("{"), SV_INIT("[]"), SV_INIT("{}"), SV_INIT("{\"domain\":\"\",\"type\":\"sts\"}"),
		SV_INIT("{\"domain\":\"a\",\"type\":\"x\"}"), SV_INIT("{\"domain\":5,\"type\":\"sts\"}"),
	};
	struct tlsreport_day *d = tlsreport_day_new();
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		tlsreport_day_add(d, bad[i]);
	assert_int_equal(tlsreport_day_count(d), 0);
	tlsreport_day_free(&d);
}

static void floods_are_counted_and_not_kept(void **state)
{
	struct tlsreport_day *d = tlsreport_day_new();
	const struct report_facts facts = { "us.test", "p@us.test", "id1", 0, "mx.us.test" };
	struct buf out;
	char line[300];
	(void)state;

	for (int i = 0; i < 200; i++) {
		snprintf(line, sizeof(line), "{\"domain\":\"a.test\",\"type\":\"sts\",\"policy\":\"%d\",\"result\":\"x\",\"reason\":\"%d\"}",
			 i % 20, i);
		tlsreport_day_add(d, sv_z(line));
	}
	for (int i = 0; i < TLSREPORT_DOMAINS_MAX + 10; i++) {
		snprintf(line, sizeof(line), "{\"domain\":\"d%d.test\",\"type\":\"tlsa\",\"result\":\"\"}", i);
		tlsreport_day_add(d, sv_z(line));
	}
	assert_int_equal(tlsreport_day_count(d), TLSREPORT_DOMAINS_MAX);
	buf_init(&out, TLSREPORT_JSON_MAX);
	assert_true(tlsreport_day_json(d, 0, &facts, &out));
	assert_true(out.len < 20000);
	buf_done(&out);
	tlsreport_day_free(&d);
}

static void records_name_where_reports_go(void **state)
{
	struct sv uris[REPORT_URIS_MAX];
	(void)state;

	assert_int_equal(tlsreport_record_parse(SV("v=TLSRPTv1; rua=mailto:a@b.test , https://c.test/x,ftp://d"), uris), 2);
	assert_true(sv_eq(uris[0], SV("mailto:a@b.test")));
	assert_true(sv_eq(uris[1], SV("https://c.test/x")));
	assert_int_equal(tlsreport_record_parse(SV("v=TLSRPTv1;rua=mailto:1,mailto:2,mailto:3,mailto:4,mailto:5"), uris), 4);
	assert_int_equal(tlsreport_record_parse(SV("v=TLSRPTv1"), uris), 0);
	assert_int_equal(tlsreport_record_parse(SV("v=TLSRPTv2; rua=mailto:a@b"), uris), 0);
	assert_int_equal(tlsreport_record_parse(SV("rua=mailto:a@b; v=TLSRPTv1"), uris), 0);
	assert_int_equal(tlsreport_record_parse(SV(""), uris), 0);
}

static void failures_have_the_names_of_the_standard(void **state)
{
	struct tlspolicy_answer sts = { .kind = TLSPOLICY_VERIFY, .source = TLSPOLICY_STS },
				dane = { .kind = TLSPOLICY_PASS_OVER, .source = TLSPOLICY_DANE };
	(void)state;

	assert_string_equal(tlsreport_result(&sts, SV("TLS: its certificate is not trusted")), "certificate-not-trusted");
	assert_string_equal(tlsreport_result(&sts, SV("its certificate has expired, or is not valid yet")), "certificate-expired");
	assert_string_equal(tlsreport_result(&sts, SV("its certificate is for another name")), "certificate-host-mismatch");
	assert_string_equal(tlsreport_result(&sts, SV("TLS is required, and it does not offer STARTTLS")), "starttls-not-supported");
	assert_string_equal(tlsreport_result(&sts, SV("unsupported protocol")), "validation-failure");
	assert_string_equal(tlsreport_result(&dane, SV("the TLSA record of x cannot be looked up: bogus")), "dnssec-invalid");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_counted_together),
		cmocka_unit_test(what_is_no_line_is_nothing),
		cmocka_unit_test(floods_are_counted_and_not_kept),
		cmocka_unit_test(records_name_where_reports_go),
		cmocka_unit_test(failures_have_the_names_of_the_standard),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
