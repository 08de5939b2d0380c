/* Reports of others: DMARC's XML and TLS's JSON, packed or not, as lines; and messages that bring them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/daybook.h"
#include "common/deflate.h"
#include "common/memory.h"
#include "common/transfer.h"
#include "smtpd/feedback.h"

#define ROW(ip, count, disposition, dkim, spf) \
	"<record><row><source_ip>" ip "</source_ip><count>" count "</count><policy_evaluated><disposition>" disposition "</disposition><dkim>" dkim \
	"</dkim><spf>" spf "</spf></policy_evaluated></row><identifiers><header_from>example.org</header_from></identifiers>" \
	"<auth_results><spf><domain>d.test</domain><result>fail</result></spf></auth_results></record>"
#define XML_REPORT "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>Big &amp; Co</org_name><email>n@big.test</email>" \
	"<report_id>r-1</report_id><date_range><begin>1460592000</begin><end>1460678399</end></date_range></report_metadata>" \
	"<policy_published><domain>example.org</domain><p>quarantine</p></policy_published>" \
	ROW("192.0.2.1", "7", "none", "pass", "fail") ROW("192.0.2.2", "2", "none", "fail", "pass") \
	ROW("192.0.2.66", "30", "quarantine", "fail", "fail") "</feedback>"
#define XML_LINE "{\"at\":5,\"kind\":\"dmarc\",\"domain\":\"example.org\",\"by\":\"Big & Co\",\"sender\":\"big.test\",\"proven\":true,\"id\":\"r-1\"," \
	"\"begin\":1460592000,\"end\":1460678399,\"policy\":\"quarantine\",\"passed\":9,\"failed\":30,\"failures\":[{\"ip\":\"192.0.2.66\",\"count\":30," \
	"\"what\":\"quarantine\",\"domain\":\"example.org\"}]}"
#define TLS_REPORT "{\"organization-name\":\"Big\",\"date-range\":{\"start-datetime\":\"2016-04-14T00:00:00Z\",\"end-datetime\":\"2016-04-14T23:59:59Z\"}," \
	"\"contact-info\":\"n@big.test\",\"report-id\":\"t-1\",\"policies\":[{\"policy\":{\"policy-type\":\"sts\",\"policy-domain\":\"example.org\"}," \
	"\"summary\":{\"total-successful-session-count\":5326,\"total-failure-session-count\":303},\"failure-details\":[{\"result-type\":" \
	"\"certificate-expired\",\"sending-mta-ip\":\"2001:db8::1\",\"receiving-mx-hostname\":\"mx.example.org\",\"receiving-ip\":\"192.0.2.9\"," \
	"\"failed-session-count\":100}]}]}"
#define TLS_LINE "{\"at\":5,\"kind\":\"tls\",\"domain\":\"example.org\",\"by\":\"Big\",\"sender\":\"big.test\",\"proven\":true,\"id\":\"t-1\"," \
	"\"begin\":1460592000,\"end\":1460678399,\"policy\":\"sts\",\"passed\":5326,\"failed\":303,\"failures\":[{\"ip\":\"192.0.2.9\",\"count\":100," \
	"\"what\":\"certificate-expired\",\"domain\":\"example.org\",\"host\":\"mx.example.org\"}]}"

static const struct feedback_mail mail = { 5, SV_INIT("big.test"), true };

static void check(struct sv octets, const char *line)
{
	struct buf out;

	buf_init(&out, DAYBOOK_LINE_MAX);
	assert_int_equal(feedback_parse(octets, &mail, &out).kind, FAULT_NONE);
	assert_string_equal(buf_z(&out), line);
	buf_done(&out);
}

/* zip - one file, deflated or stored, as mail programs make it: sizes behind the data when `is_streamed`. */
static void zip(struct sv text, bool is_stored, bool is_streamed, struct buf *out)
{
	char head[30] = "PK\3\4\24";
	struct buf gz;

	buf_init(&gz, 100000);
	head[6] = is_streamed ? 8 : 0;
	head[8] = is_stored ? 0 : 8;
	head[26] = 5;
	head[28] = 2;
	if (!is_streamed) {
		head[18] = (char)(text.len & 0xff);
		head[19] = (char)(text.len >> 8);
	}
	assert_true(buf_append(out, sv_from(head, 30)) && buf_append(out, SV("a.xmlEX")));
	/* a gzip file is 10 octets, the stream, and 8 octets */
	assert_true(gzip_pack(text, &gz));
	assert_true(buf_append(out, is_stored ? text : sv_sub(buf_sv(&gz), 10, gz.len - 18)));
	assert_true(buf_append(out, SV("PK\1\2 and what follows")));
	buf_done(&gz);
}

static void reports_are_read_packed_or_not(void **state)
{
	static const struct { struct sv text; const char *line; } reports[] = {
		{ SV_INIT(XML_REPORT), XML_LINE }, { SV_INIT(TLS_REPORT), TLS_LINE },
	};
	struct buf packed;
	(void)state;

	buf_init(&packed, 100000);
	for (size_t i = 0; i < ARRAY_LEN(reports); i++) {
		check(reports[i].text, reports[i].line);
		assert_true(gzip_pack(reports[i].text, &packed));
		check(buf_sv(&packed), reports[i].line);
		for (int form = 0; form < 4; form++) {
			buf_clear(&packed);
			if (form == 3)
				continue;       /* stored, and its size not known: nobody could read it */
			zip(reports[i].text, form & 1, form & 2, &packed);
			check(buf_sv(&packed), reports[i].line);
		}
		buf_clear(&packed);
	}
	buf_done(&packed);
}

static void what_is_no_report_leaves_no_line(void **state)
{
	static const struct sv bad[] = {
		SV_INIT(""), SV_INIT("hello"), SV_INIT("{}"), SV_INIT("{\"policies\":[]}"), SV_INIT("<html/>"), SV_INIT("<feedback/>"),
		SV_INIT("\x1f\x8b"), SV_INIT("\x1f\x8b\x08\0\0\0\0\0\0\0"), SV_INIT("PK\3\4"),
		SV_INIT("PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff"),
		SV_INIT("<feedback><policy_published><domain>a</domain></policy_published>"),
	};
	struct buf out;
	(void)state;

	buf_init(&out, DAYBOOK_LINE_MAX);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_not_equal(feedback_parse(bad[i], &mail, &out).kind, FAULT_NONE);
		assert_int_equal(out.len, 0);
	}
	buf_done(&out);
}

static void every_cut_of_a_packed_report_is_refused(void **state)
{
	struct buf packed, out;
	(void)state;

	buf_init(&packed, 100000);
	buf_init(&out, DAYBOOK_LINE_MAX);
	assert_true(gzip_pack(SV(XML_REPORT), &packed));
	for (size_t n = 0; n < packed.len; n++) {
		char *copy = malloc(n + 1);

		memcpy(copy, packed.p, n);
		assert_int_not_equal(feedback_parse(sv_from(copy, n), &mail, &out).kind, FAULT_NONE);
		free(copy);
	}
	buf_done(&packed);
	buf_done(&out);
}

static void a_bomb_stops_at_the_limit(void **state)
{
	struct buf zeros, bomb, out;
	(void)state;

	buf_init(&zeros, 2 * FEEDBACK_DOCUMENT_MAX);
	buf_init(&bomb, 2 * FEEDBACK_DOCUMENT_MAX);
	buf_init(&out, DAYBOOK_LINE_MAX);
	assert_true(buf_reserve(&zeros, FEEDBACK_DOCUMENT_MAX + 1));
	memset(zeros.p, ' ', FEEDBACK_DOCUMENT_MAX + 1);
	zeros.len = FEEDBACK_DOCUMENT_MAX + 1;
	assert_true(gzip_pack(buf_sv(&zeros), &bomb));
	assert_int_equal(feedback_parse(buf_sv(&bomb), &mail, &out).kind, FAULT_LIMIT);
	buf_done(&zeros);
	buf_done(&bomb);
	buf_done(&out);
}

static void values_that_grow_in_memory_are_counted_first(void **state)
{
	struct buf json, out;
	(void)state;

	buf_init(&json, 1u << 20);
	buf_init(&out, DAYBOOK_LINE_MAX);
	assert_true(buf_append(&json, SV("{\"policies\":[[]")));
	for (int i = 0; i < FEEDBACK_VALUES_MAX / 2; i++)
		assert_true(buf_append(&json, SV(",[]")));
	assert_true(buf_append(&json, SV("]}")));
	assert_int_equal(feedback_parse(buf_sv(&json), &mail, &out).kind, FAULT_LIMIT);
	buf_done(&json);
	buf_done(&out);
}

static void numbers_and_rows_of_strangers_are_bounded(void **state)
{
	struct buf xml, out;
	(void)state;

	buf_init(&xml, 1u << 20);
	buf_init(&out, DAYBOOK_LINE_MAX);
	assert_true(buf_append(&xml, SV("<feedback><policy_published><domain>a.test</domain></policy_published>")));
	for (int i = 0; i < 3 * FEEDBACK_ROWS_MAX; i++)
		assert_true(buf_append(&xml, SV(ROW("192.0.2.1", "18446744073709551615", "none", "fail", "fail"))));
	assert_true(buf_append(&xml, SV("</feedback>")));
	assert_int_equal(feedback_parse(buf_sv(&xml), &mail, &out).kind, FAULT_NONE);
	assert_non_null(strstr(buf_z(&out), "\"failed\":9223372036854775807"));
	buf_done(&xml);
	buf_done(&out);
}

static void messages_bring_reports_as_attachments(void **state)
{
	struct complaint complaint;
	struct buf packed, text, lines;
	(void)state;

	buf_init(&packed, 100000);
	buf_init(&text, 200000);
	buf_init(&lines, 100000);
	assert_true(gzip_pack(SV(XML_REPORT), &packed));
	assert_true(buf_append(&text, SV("From: n@big.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
					 "--b\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n--b\r\nContent-Type: application/octet-stream\r\n"
					 "Content-Transfer-Encoding: base64\r\n\r\n")));
	assert_true(base64_encode(buf_sv(&packed), &text));
	assert_true(buf_append(&text, SV("\r\n--b\r\nContent-Type: application/tlsrpt+json\r\n\r\n" TLS_REPORT
					 "\r\n--b\r\nContent-Type: application/zip\r\n\r\nPK\r\n--b--\r\n")));
	assert_int_equal(feedback_take(buf_sv(&text), &mail, &lines, &complaint), 2);
	assert_string_equal(buf_z(&lines), XML_LINE "\n" TLS_LINE "\n");
	buf_clear(&lines);
	assert_int_equal(feedback_take(SV("Subject: x\r\n\r\nhello\r\n"), &mail, &lines, &complaint), 0);
	buf_clear(&text);
	assert_true(buf_append(&text, SV("Content-Type: text/xml\r\n\r\n" XML_REPORT)));
	assert_int_equal(feedback_take(buf_sv(&text), &mail, &lines, &complaint), 1);
	buf_done(&packed);
	buf_done(&text);
	buf_done(&lines);
}

#define ARF(type, fields, header) \
	"From: <fbl@big.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n" \
	"--b\r\nContent-Type: text/plain\r\n\r\nSomebody complained.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n" \
	"Feedback-Type: " type "\r\nUser-Agent: Big/1\r\nVersion: 1\r\nSource-IP: 192.0.2.5\r\n" fields \
	"\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: News <news@example.org>\r\nMessage-ID: <1@example.org>\r\n" header \
	"\r\nBuy!\r\n--b--\r\n"

static void complaints_are_read_and_what_is_none_is_not(void **state)
{
	struct sv text = SV(ARF("Abuse", "Original-Rcpt-To: <Friend@big.test>\r\nOriginal-Mail-From: <bounce@example.org>\r\n",
				"List-Unsubscribe: <https://mail.example.org/unsubscribe/ab_-9>\r\n"));
	struct complaint c;
	struct buf lines;
	(void)state;

	buf_init(&lines, DAYBOOK_LINE_MAX + 1);
	assert_int_equal(feedback_take(text, &mail, &lines, &c), 1);
	assert_string_equal(buf_z(&lines), "{\"at\":5,\"kind\":\"complaint\",\"domain\":\"example.org\",\"by\":\"Big/1\",\"sender\":\"big.test\","
					   "\"proven\":true,\"id\":\"<1@example.org>\",\"begin\":0,\"end\":0,\"policy\":\"abuse\",\"passed\":0,\"failed\":1,"
					   "\"failures\":[{\"ip\":\"192.0.2.5\",\"count\":1,\"what\":\"abuse\",\"domain\":\"news@example.org\","
					   "\"host\":\"Friend@big.test\"}]}\n");
	assert_string_equal(c.recipient, "Friend@big.test");
	assert_string_equal(c.sender, "news@example.org");
	assert_string_equal(c.token, "ab_-9");
	assert_true(complaint_is_about_spam(&c));
	buf_clear(&lines);
	/* The recipient's name was taken out, but for a field of Outlook's. */
	assert_int_equal(feedback_take(SV(ARF("fraud", "Original-Rcpt-To: [redacted]\r\n", "X-HmXmrOriginalRecipient: a@big.test\r\n")), &mail, &lines,
				       &c), 1);
	assert_string_equal(c.recipient, "a@big.test");
	buf_clear(&lines);
	assert_int_equal(feedback_take(SV(ARF("not-spam", "", "")), &mail, &lines, &c), 1);
	assert_false(complaint_is_about_spam(&c));
	buf_clear(&lines);
	for (size_t cut = 0; cut < text.len; cut++) {   /* cut off anywhere: nothing is believed that was not there */
		char *copy = sv_copy_z(sv_sub(text, 0, cut));

		buf_clear(&lines);
		(void)feedback_take(sv_from(copy, cut), &mail, &lines, &c);
		assert_true(!c.type[0] || sv_starts(SV("abuse"), sv_z(c.type)));
		free(copy);
	}
	buf_done(&lines);
}

/* reports_behind - how many of ten reports are read, with n parts of 6 MiB unpacked in front of them. */
static size_t reports_behind(unsigned n)
{
	struct buf spaces, packed, text, lines;
	struct complaint complaint;
	size_t count;

	buf_init(&spaces, 6u << 20);
	buf_init(&packed, 16u << 20);        /* zlib wants room for what cannot be packed */
	buf_init(&text, 4u << 20);
	buf_init(&lines, 100000);
	assert_true(buf_reserve(&spaces, 6u << 20));
	memset(spaces.p, ' ', 6u << 20);
	spaces.len = 6u << 20;
	assert_true(gzip_pack(buf_sv(&spaces), &packed));
	assert_true(buf_append(&text, SV("Content-Type: multipart/mixed; boundary=b\r\n")));
	for (unsigned i = 0; i < n; i++) {
		assert_true(buf_append(&text, SV("\r\n--b\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n")));
		assert_true(base64_encode(buf_sv(&packed), &text));
	}
	for (unsigned i = 0; i < 10; i++)
		assert_true(buf_append(&text, SV("\r\n--b\r\nContent-Type: application/tlsrpt+json\r\n\r\n" TLS_REPORT)));
	assert_true(buf_append(&text, SV("\r\n--b--\r\n")));
	count = feedback_take(buf_sv(&text), &mail, &lines, &complaint);
	buf_done(&spaces);
	buf_done(&packed);
	buf_done(&text);
	buf_done(&lines);
	return count;
}

static void all_reports_of_a_message_together_have_one_limit(void **state)
{
	(void)state;
	assert_int_equal(reports_behind(2), 10);        /* 12 of 16 MiB */
	assert_int_equal(reports_behind(3), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(complaints_are_read_and_what_is_none_is_not),
		cmocka_unit_test(reports_are_read_packed_or_not),
		cmocka_unit_test(what_is_no_report_leaves_no_line),
		cmocka_unit_test(every_cut_of_a_packed_report_is_refused),
		cmocka_unit_test(a_bomb_stops_at_the_limit),
		cmocka_unit_test(values_that_grow_in_memory_are_counted_first),
		cmocka_unit_test(numbers_and_rows_of_strangers_are_bounded),
		cmocka_unit_test(messages_bring_reports_as_attachments),
		cmocka_unit_test(all_reports_of_a_message_together_have_one_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
