/* Notices to senders, each beside the file that it must be: tests/unit/smtpd/golden/dsn_*.eml. With DSN_GOLDEN=write in the
 * environment the files are written instead: read what changed before it is committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/relay/dsn.h"

#include "common/banned.h"

static const struct sv message = {
	"From: Alice <alice@example.org>\r\nTo: friend@example.net\r\nSubject: Lunch\r\n\r\nAt noon?\r\n", 85
};

static void read_golden(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "rb");
	int c;

	if (!f)
		fail_msg("%s is missing", path);
	while ((c = fgetc(f)) != EOF)
		assert_true(buf_append_c(out, (char)c));
	fclose(f);
}

static void check(const char *name, const struct dsn *d)
{
	const char *source = getenv("POSTROOM_SOURCE"), *mode = getenv("DSN_GOLDEN");
	char path[4096];
	struct buf made, golden;
	struct sv rest, line;

	buf_init(&made, DSN_MAX);
	buf_init(&golden, DSN_MAX);
	assert_true(dsn_write(d, &made));
	snprintf(path, sizeof(path), "%s/tests/unit/smtpd/golden/dsn_%s.eml", source ? source : "..", name);
	if (mode && !strcmp(mode, "write")) {
		FILE *f = fopen(path, "wb");

		assert_non_null(f);
		assert_int_equal(fwrite(made.p, 1, made.len, f), made.len);
		fclose(f);
	}
	read_golden(path, &golden);
	if (!sv_eq(buf_sv(&made), buf_sv(&golden)))
		fail_msg("%s differs:\n%.*s", path, SV_FMT(buf_sv(&made)));
	/* RFC 5322 §2.1.1; and nothing of what others said breaks a line. */
	rest = buf_sv(&made);
	while (sv_split(&rest, '\n', &line))
		assert_true(line.len <= 999 && (!rest.len || (line.len && line.p[line.len - 1] == '\r')));
	buf_done(&made);
	buf_done(&golden);
}

static struct dsn base(enum spool_notice notice, const struct dsn_rcpt *rcpts, size_t count)
{
	return (struct dsn){
		.notice = notice,
		.hostname = "mail.example.org",
		.id = SV("k0t7nmx73j75ejbr"),
		.from = SV("postmaster@example.org"),
		.to = SV("alice@example.org"),
		.original_id = SV("k0t7nmqwv9lqabou"),
		.now = { .seconds = 1795304572 },
		.received_s = 1795304000,
		.until_s = 1795736000,
		.rcpts = rcpts,
		.count = count,
		.returned = message,
		.is_whole = true,
	};
}

static void a_failure_says_who_said_what_and_what_it_means(void **state)
{
	const struct dsn_rcpt rcpts[] = {
		{ .address = SV("friend@example.net"), .original = SV("rfc822;Friend@example.net"), .action = DSN_FAILED,
		  .status = SV("5.1.1"), .remote = SV("mx.example.net [192.0.2.1]"),
		  .reply = SV("550 5.1.1 No such user here"), .at_s = 1795304572 },
		{ .address = SV("\"odd name\"@example.com"), .action = DSN_FAILED, .status = SV("5.1.10"),
		  .reply = SV("5.1.10 example.com takes no mail (null MX, RFC 7505)"), .at_s = 1795304572 },
		{ .address = SV("x@example.edu"), .action = DSN_FAILED, .status = SV("5.7.26"),
		  .remote = SV("mx.example.edu [2001:db8::1]"),
		  .reply = SV("550 5.7.26 This mail has been blocked because the sender is unauthenticated. \x1b[31m Read "
			      "https://support.example.edu/a-very-long-address-that-cannot-be-broken-anywhere-at-all/and-goes-on"),
		  .at_s = 1795304572 },
	};
	struct dsn d = base(SPOOL_NOTICE_FAILURE, rcpts, ARRAY_LEN(rcpts));

	(void)state;
	d.envelope_id = SV("QQ314159");
	check("failure", &d);
}

static void a_delay_says_until_when(void **state)
{
	const struct dsn_rcpt rcpt = { .address = SV("friend@example.net"), .action = DSN_DELAYED, .status = SV("4.4.1"),
				       .reply = SV("4.4.1 mx.example.net [192.0.2.1]: connect: no answer in time"),
				       .at_s = 1795304572 };
	struct dsn d = base(SPOOL_NOTICE_DELAY, &rcpt, 1);

	(void)state;
	d.is_whole = false;
	d.returned = sv_sub(message, 0, 73);
	check("delay", &d);
}

static void success_is_delivered_or_relayed(void **state)
{
	const struct dsn_rcpt rcpts[] = {
		{ .address = SV("friend@example.net"), .action = DSN_RELAYED, .status = SV("2.0.0"),
		  .remote = SV("mx.example.net [192.0.2.1]"), .reply = SV("250 2.0.0 taken"), .at_s = 1795304572 },
		{ .address = SV("bob@example.org"), .action = DSN_DELIVERED, .status = SV("2.0.0"), .at_s = 1795304572 },
	};
	struct dsn d = base(SPOOL_NOTICE_SUCCESS, rcpts, ARRAY_LEN(rcpts));

	(void)state;
	d.is_whole = false;
	d.returned = sv_sub(message, 0, 73);
	check("success", &d);
}

static void an_international_address_needs_the_international_form(void **state)
{
	const struct dsn_rcpt rcpt = { .address = SV("j\xc3\xbcrgen@example.net"), .action = DSN_FAILED, .status = SV("5.6.7"),
				       .reply = SV("5.6.7 the other server does not take international mail (SMTPUTF8)"),
				       .at_s = 1795304572 };
	struct dsn d = base(SPOOL_NOTICE_FAILURE, &rcpt, 1);

	(void)state;
	check("utf8", &d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_says_who_said_what_and_what_it_means),
		cmocka_unit_test(a_delay_says_until_when),
		cmocka_unit_test(success_is_delivered_or_relayed),
		cmocka_unit_test(an_international_address_needs_the_international_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
