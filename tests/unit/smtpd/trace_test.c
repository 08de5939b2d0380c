/* The lines we add on top: their form, and that a peer's words stay where they belong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtpd/trace.h"

static struct trace sample(void)
{
	struct trace t = {
		.hostname = "mail.example.test", .helo = SV("client.test"), .protocol = "ESMTPS",
		.tls = SV("TLSv1.3 X"), .id = SV("id1"), .for_rcpt = SV("bob@example.test"),
		.now = { .seconds = 0 },
	};

	assert_true(netaddr_parse(SV("192.0.2.7"), &t.peer));
	return t;
}

static void received_names_who_how_and_when(void **state)
{
	struct trace t = sample();
	struct buf out;
	(void)state;

	buf_init(&out, TRACE_MAX);
	assert_true(trace_received(&out, &t));
	assert_string_equal(buf_z(&out),
			    "Received: from client.test ([192.0.2.7])\r\n\t(using TLSv1.3 X)\r\n"
			    "\tby mail.example.test (Postroom) with ESMTPS id id1\r\n\tfor "
			    "<bob@example.test>;\r\n"
			    "\tThu, 01 Jan 1970 00:00:00 +0000\r\n");
	buf_clear(&out);
	t.tls = t.for_rcpt = t.helo = SV_NONE;
	assert_true(netaddr_parse(SV("2001:db8::1"), &t.peer));
	assert_true(trace_received(&out, &t));
	assert_string_equal(buf_z(&out), "Received: from unknown ([IPv6:2001:db8::1])\r\n"
			    "\tby mail.example.test (Postroom) with ESMTPS id id1;\r\n"
			    "\tThu, 01 Jan 1970 00:00:00 +0000\r\n");
	buf_done(&out);
}

static void a_helo_cannot_write_header_lines(void **state)
{
	struct trace t = sample();
	struct buf out;
	char all[256];
	size_t lines = 0;
	(void)state;

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	t.helo = sv_from(all, sizeof(all));
	buf_init(&out, TRACE_MAX);
	assert_true(trace_received(&out, &t));
	for (size_t i = 0; i < out.len; i++) {
		assert_true(out.p[i] == '\r' || out.p[i] == '\n' || out.p[i] == '\t' ||
			    (out.p[i] >= ' ' && out.p[i] < 127));
		lines += out.p[i] == '\n';
	}
	assert_int_equal(lines, 5);
	buf_done(&out);
}

static void what_does_not_fit_leaves_nothing_behind(void **state)
{
	struct trace t = sample();
	(void)state;

	for (size_t max = 0; max < 180; max++) {
		struct buf out;

		buf_init(&out, max);
		if (!trace_received(&out, &t))
			assert_int_equal(out.len, 0);
		buf_done(&out);
	}
}

static void the_with_word_follows_rfc_3848(void **state)
{
	(void)state;
	assert_string_equal(trace_protocol(LISTENER_MX, false, false, false, false), "SMTP");
	assert_string_equal(trace_protocol(LISTENER_MX, true, false, false, false), "ESMTP");
	assert_string_equal(trace_protocol(LISTENER_MX, true, true, false, false), "ESMTPS");
	assert_string_equal(trace_protocol(LISTENER_SUBMISSION, true, false, true, false),
			    "ESMTPA");
	assert_string_equal(trace_protocol(LISTENER_SUBMISSIONS, true, true, true, false),
			    "ESMTPSA");
	assert_string_equal(trace_protocol(LISTENER_LMTP, true, false, false, false), "LMTP");
	assert_string_equal(trace_protocol(LISTENER_MX, true, true, false, true), "UTF8SMTPS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(received_names_who_how_and_when),
		cmocka_unit_test(a_helo_cannot_write_header_lines),
		cmocka_unit_test(what_does_not_fit_leaves_nothing_behind),
		cmocka_unit_test(the_with_word_follows_rfc_3848),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
