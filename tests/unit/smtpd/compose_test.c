/* What filters send: as the standards say, and no word of a peer or a script breaks out of its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/compose.h"

static const char original[] = "From: =?utf-8?q?J=C3=BCrgen?= <j@far.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
			       "Message-ID: <m@far.example>\r\nReferences: <a@far.example>\r\n <b@far.example>\r\n\r\nHello.\r\n";

struct world {
	struct mime_message *message;
	struct compose c;
	struct buf out;
};

static void begin(struct world *w, const char *text)
{
	w->message = mime_parse(sv_z(text));
	buf_init(&w->out, COMPOSE_MAX);
	w->c = (struct compose){
		.hostname = SV("mail.example.org"), .id = SV("id1"), .account = SV("alice@example.org"), .rcpt = SV("alice+x@example.org"),
		.sender = SV("j@far.example"), .message = w->message, .header = sv_sub(sv_z(text), 0, (size_t)w->message->header_len),
		.now = { 1000000000, 0 },
	};
}

static void end(struct world *w)
{
	mime_message_free(&w->message);
	buf_done(&w->out);
}

static bool has(struct world *w, const char *text)
{
	return sv_search(buf_sv(&w->out), sv_z(text)) != SIZE_MAX;
}

/* Every header line is a field that we write, or goes on with one. */
static void has_only_fields(struct sv text, const char *known)
{
	struct sv line;

	while (sv_split(&text, '\n', &line)) {
		char name[64];

		assert_true(line.len && line.p[line.len - 1] == '\r' && line.len <= 998);
		if (line.len == 1)
			return;
		if (*line.p == ' ' || *line.p == '\t')
			continue;
		snprintf(name, sizeof(name), "|%.*s|", SV_FMT(sv_sub(line, 0, sv_find(line, ':'))));
		if (!strstr(known, name))
			fail_msg("a field that nobody asked for: %s", name);
	}
	fail_msg("a header without end");
}

#define FIELDS "|Date|Message-ID|From|To|Subject|In-Reply-To|References|Auto-Submitted|MIME-Version|Content-Type|" \
	       "Content-Transfer-Encoding|Importance|"

static void a_vacation_is_as_rfc_5230_section_5_says(void **state)
{
	struct sieve_action a = { .kind = SIEVE_VACATION, .address = SV("j@far.example"), .subject = SV("Auto: Grüße"),
				  .text = SV("Ich bin weg.\r\n.\r\nFrom here") };
	struct world w;
	(void)state;

	begin(&w, original);
	assert_true(compose_vacation(&w.out, &w.c, &a));
	has_only_fields(buf_sv(&w.out), FIELDS);
	assert_true(has(&w, "From: <alice@example.org>\r\n") && has(&w, "To: <j@far.example>\r\n"));
	assert_true(has(&w, "Subject: =?utf-8?B?QXV0bzogR3LDvMOfZQ==?=\r\n"));
	assert_true(has(&w, "In-Reply-To: <m@far.example>\r\nReferences: <a@far.example>\r\n <b@far.example>\r\n <m@far.example>\r\n"));
	assert_true(has(&w, "Auto-Submitted: auto-replied (vacation)\r\n"));
	buf_clear(&w.out);
	a.from = SV("\"A. Lice\" <al@example.org>");
	a.is_mime = true;
	a.text = SV("Content-Type: text/html;\n charset=utf-8\nFrom: <boss@example.org>\nBcc: x@y\n\n<b>x</b>");
	assert_true(compose_vacation(&w.out, &w.c, &a));
	assert_true(has(&w, "From: \"A. Lice\" <al@example.org>\r\n"));
	assert_true(has(&w, "MIME-Version: 1.0\r\nContent-Type: text/html;\r\n charset=utf-8\r\n\r\n<b>x</b>\r\n"));
	assert_false(has(&w, "boss") || has(&w, "Bcc"));
	end(&w);
}

static void without_a_message_id_nothing_is_referred_to(void **state)
{
	struct sieve_action a = { .kind = SIEVE_VACATION, .address = SV("j@far.example"), .subject = SV("x"), .text = SV("y") };
	struct world w;
	(void)state;

	begin(&w, "Subject: x\r\n\r\n");
	assert_true(compose_vacation(&w.out, &w.c, &a));
	assert_false(has(&w, "In-Reply-To") || has(&w, "References"));
	end(&w);
}

static void words_of_others_stay_in_their_place(void **state)
{
	static const char evil[] = "Message-ID: <a\r\nBcc: x@y>\r\nSubject: =?utf-8?q?a=0D=0ABcc:_x@y?=\r\nFrom: =?utf-8?q?b=0ABcc:_c?= <q@r>\r\n"
				   "References: <a\r\n\tb@c>\r\n\r\n";
	struct sieve_action vacation = { .kind = SIEVE_VACATION, .address = SV("j@far.example\r\nBcc: x@y"), .from = SV("a@b\r\nBcc: x@y"),
					 .subject = SV("s\r\nBcc: x@y\r\n\r\nbody"), .text = SV("y") };
	struct sieve_action notify = { .kind = SIEVE_NOTIFY, .method = SV("mailto:a%0D%0ABcc:x@y.example?subject=q%0D%0ABcc:%20x"),
				       .importance = 1, .from = SV("a@b\nBcc: x@y") };
	struct sieve_action refusal = { .kind = SIEVE_EREJECT, .text = SV("no\r\n--postroom-id1--\r\nBcc: x") };
	struct world w;
	(void)state;

	begin(&w, evil);
	w.c.account = SV("alice@example.org\r\nBcc: x@y");
	w.c.sender = SV("j@far.example\r\nBcc: x@y");
	assert_true(compose_vacation(&w.out, &w.c, &vacation));
	has_only_fields(buf_sv(&w.out), FIELDS);
	buf_clear(&w.out);
	assert_true(compose_notify(&w.out, &w.c, &notify));
	has_only_fields(buf_sv(&w.out), FIELDS);
	notify.method = SV("mailto:a@y.example");
	buf_clear(&w.out);
	assert_true(compose_notify(&w.out, &w.c, &notify));
	has_only_fields(buf_sv(&w.out), FIELDS);
	buf_clear(&w.out);
	assert_true(compose_refusal(&w.out, &w.c, &refusal));
	has_only_fields(buf_sv(&w.out), FIELDS);
	end(&w);
}

static void a_notification_has_its_receivers_and_subject(void **state)
{
	struct sieve_action a = { .kind = SIEVE_NOTIFY, .method = SV("mailto:a@x.example,b%2Bc@x.example?to=d@x.example&subject=Hi%20there&body=Text"),
				  .importance = 3 };
	struct world w;
	struct buf address;
	size_t at = 0;
	(void)state;

	begin(&w, original);
	buf_init(&address, 1000);
	assert_true(compose_notify(&w.out, &w.c, &a));
	has_only_fields(buf_sv(&w.out), FIELDS);
	assert_true(has(&w, "To: <a@x.example>,\r\n <b+c@x.example>,\r\n <d@x.example>\r\n"));
	assert_true(has(&w, "Subject: Hi there\r\n") && has(&w, "Importance: Low\r\n") && has(&w, "\r\n\r\nText\r\n"));
	assert_true(has(&w, "Auto-Submitted: auto-notified; owner-email=\"alice@example.org\"\r\n"));
	while (compose_notify_next(a.method, &at, &address))
		;
	assert_int_equal(at, 3);
	/* Without a subject of its own: the message's; :message stands above all (RFC 5436 §2.7). */
	a.method = SV("mailto:a@x.example");
	buf_clear(&w.out);
	assert_true(compose_notify(&w.out, &w.c, &a));
	assert_true(has(&w, "Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n"));
	a.text = SV("Above");
	buf_clear(&w.out);
	assert_true(compose_notify(&w.out, &w.c, &a));
	assert_true(has(&w, "Subject: Above\r\n"));
	buf_done(&address);
	end(&w);
}

static void refusals_are_reports(void **state)
{
	struct sieve_action a = { .kind = SIEVE_EREJECT, .text = SV("No birdseed,\r\neither!") };
	struct world w;
	(void)state;

	begin(&w, original);
	assert_true(compose_refusal(&w.out, &w.c, &a));
	has_only_fields(buf_sv(&w.out), FIELDS);
	assert_true(has(&w, "report-type=delivery-status") && has(&w, "Reporting-MTA: dns; mail.example.org\r\n"));
	assert_true(has(&w, "Final-Recipient: rfc822; alice+x@example.org\r\nAction: failed\r\nStatus: 5.7.1\r\n"));
	assert_true(has(&w, "No birdseed,\r\neither!\r\n") && has(&w, "Content-Type: text/rfc822-headers\r\n\r\nFrom: =?utf-8"));
	assert_false(has(&w, "\r\nHello.\r\n"));
	a.kind = SIEVE_REJECT;
	buf_clear(&w.out);
	assert_true(compose_refusal(&w.out, &w.c, &a));
	assert_true(has(&w, "Disposition: automatic-action/MDN-sent-automatically; deleted\r\n"));
	assert_true(has(&w, "Original-Message-ID: <m@far.example>\r\n"));
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vacation_is_as_rfc_5230_section_5_says),
		cmocka_unit_test(without_a_message_id_nothing_is_referred_to),
		cmocka_unit_test(words_of_others_stay_in_their_place),
		cmocka_unit_test(a_notification_has_its_receivers_and_subject),
		cmocka_unit_test(refusals_are_reports),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
