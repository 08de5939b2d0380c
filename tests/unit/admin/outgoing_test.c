/* What `sendmail` makes of a message: domains for bare names, recipients, no Bcc, a From; and of its command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "admin/outgoing.h"
#include "admin/sendmail.h"

static struct outgoing m;

static void read_it(const char *text, size_t len, bool dot_ends)
{
	FILE *in = fmemopen((char *)(uintptr_t)text, len, "r");

	assert_int_equal(outgoing_read(&m, in, dot_ends).kind, FAULT_NONE);
	fclose(in);
}

static void prepare(const char *text)
{
	read_it(text, strlen(text), false);
	assert_int_equal(outgoing_prepare(&m, SV("alice@example.org"), SV("Alice A.")).kind, FAULT_NONE);
}

static void body_is(const char *wanted)
{
	char octets[200];
	size_t n;

	fseeko(m.file, m.body, SEEK_SET);
	n = fread(octets, 1, sizeof(octets), m.file);
	assert_int_equal(n, strlen(wanted));
	assert_memory_equal(octets, wanted, n);
}

static void header_is(const char *wanted)
{
	buf_append_c(&m.header, '\0');
	assert_string_equal(m.header.p, wanted);
}

static void headers_get_domains_and_lose_bcc(void **state)
{
	static const struct {
		const char *text, *header, *rcpts, *body;
	} cases[] = {
		{ "To: bob\nBcc: carol, d@x.example\nSubject: s\n\nHi\n",
		  "To: <bob@example.org>\r\nSubject: s\r\nFrom: \"Alice A.\" <alice@example.org>\r\n\r\n",
		  "bob@example.org carol@example.org d@x.example", "Hi\r\n" },
		{ "From: root (Cron Daemon)\nTo: \"B, B\" <bob>, c@d.example\r\n\n",
		  "From: Cron Daemon <alice@example.org>\r\nTo: \"B, B\" <bob@example.org>, <c@d.example>\r\n\r\n",
		  "bob@example.org c@d.example", "" },
		{ "From: a@b.example\nTo: (nobody) c@d.example,\n\te@f.example\n\nx",
		  "From: a@b.example\r\nTo: (nobody) c@d.example,\r\n\te@f.example\r\n\r\n", "c@d.example e@f.example", "x" },
		{ "To: a@b.example\nResent-To: c@d.example\nFrom: x@y.example\nCc: e@f.example\n\n",
		  "To: a@b.example\r\nResent-To: c@d.example\r\nFrom: x@y.example\r\nCc: e@f.example\r\n\r\n", "c@d.example", "" },
		{ "From alice Sat Jan  3 01:05:34 1996\nFrom: a@b.example\n\nx\n", "From: a@b.example\r\n\r\n", "", "x\r\n" },
		{ "no header at all\nTo: nobody\n", "From: \"Alice A.\" <alice@example.org>\r\n\r\n", "",
		  "no header at all\r\nTo: nobody\r\n" },
		{ "From: a@b.example\nTo: team: bob, carol;\n\n",
		  "From: a@b.example\r\nTo: team: <bob@example.org>, <carol@example.org>;\r\n\r\n",
		  "bob@example.org carol@example.org", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf rcpts;

		prepare(cases[i].text);
		header_is(cases[i].header);
		body_is(cases[i].body);
		buf_init(&rcpts, 1000);
		for (size_t k = 0; k < m.rcpt_count; k++)
			buf_appendf(&rcpts, "%s%s", k ? " " : "", m.rcpts[k]);
		buf_append_c(&rcpts, '\0');
		assert_string_equal(rcpts.p, cases[i].rcpts);
		buf_done(&rcpts);
		outgoing_done(&m);
	}
}

static void a_single_dot_ends_the_message_where_it_is_asked_to(void **state)
{
	static const char text[] = "a\n.b\n..\n.\r\nlost\n";

	(void)state;
	read_it(text, sizeof(text) - 1, true);
	body_is("a\r\n.b\r\n..\r\n");
	outgoing_done(&m);
	read_it(text, sizeof(text) - 1, false);
	body_is("a\r\n.b\r\n..\r\n.\r\nlost\r\n");
	outgoing_done(&m);
}

static void octets_above_127_are_seen_where_they_are(void **state)
{
	(void)state;
	prepare("From: a@b.example\n\nGr\xc3\xbc\xc3\x9f""e\n");
	assert_true(m.is_8bit && !m.is_utf8);
	outgoing_done(&m);
	prepare("From: a@b.example\nSubject: \xc3\xbc\n\nx\n");
	assert_true(!m.is_8bit && m.is_utf8);
	outgoing_done(&m);
}

static void nothing_is_no_message(void **state)
{
	FILE *in = fopen("/dev/null", "r");

	(void)state;
	assert_int_equal(outgoing_read(&m, in, true).kind, FAULT_INVALID);
	fclose(in);
	outgoing_done(&m);
}

#define PARSE(o, ...) \
	do { \
		char *words[] = { __VA_ARGS__, NULL }; \
		sendmail_parse((int)ARRAY_LEN(words) - 1, words, (o)); \
	} while (0)

static void command_lines_of_other_programs_are_understood(void **state)
{
	struct sendmail_options o;

	(void)state;
	PARSE(&o, "/usr/sbin/sendmail", "-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root");
	assert_true(o.mode == SENDMAIL_DELIVER && o.ignores_dots && !o.takes_header && o.rcpt_count == 1);
	assert_string_equal(o.name, "CronDaemon");
	PARSE(&o, "sendmail", "-ti", "-f", "a@b", "-N", "never", "--", "-x");
	assert_true(o.takes_header && o.ignores_dots && o.rcpt_count == 1);
	assert_string_equal(o.sender, "a@b");
	assert_string_equal(o.notify, "never");
	PARSE(&o, "sendmail", "-oi", "-oeq", "-t", "-v");
	assert_true(o.mode == SENDMAIL_DELIVER && o.takes_header && o.ignores_dots);
	PARSE(&o, "sendmail", "-bs");
	assert_int_equal(o.mode, SENDMAIL_SMTP);
	PARSE(&o, "sendmail", "-q30m");
	assert_int_equal(o.mode, SENDMAIL_FLUSH);
	PARSE(&o, "mailq");
	assert_int_equal(o.mode, SENDMAIL_LIST);
	PARSE(&o, "newaliases");
	assert_int_equal(o.mode, SENDMAIL_ALIASES);
	PARSE(&o, "sendmail", "-bd");
	assert_int_equal(o.mode, SENDMAIL_USAGE);
	PARSE(&o, "sendmail", "-f");
	assert_int_equal(o.mode, SENDMAIL_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_get_domains_and_lose_bcc),
		cmocka_unit_test(a_single_dot_ends_the_message_where_it_is_asked_to),
		cmocka_unit_test(octets_above_127_are_seen_where_they_are),
		cmocka_unit_test(nothing_is_no_message),
		cmocka_unit_test(command_lines_of_other_programs_are_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
