/* Whole SMTP sessions in one process: every command in every order, every cut, every failure of the
 * store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"
#include "smtpd/session_private.h"
#include "tests/support/smtp_world.h"

static struct world world;

static int setup(void **state)
{
	(void)state;
	world_open(&world, "");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_close(&world);
	assert_int_equal(fake.open_incoming, 0);
	assert_int_equal(fake.open_drops, 0);
	return 0;
}

/* talk - send everything at once, read everything. The answer is borrowed until the next one. */
static const char *talk_cut(enum conf_listener_kind kind, struct sv octets, size_t cut)
{
	static struct buf out;
	int fd = world_connect(&world, kind);

	buf_done(&out);
	buf_init(&out, 1 << 20);
	assert_true(world_wait(&world, fd, &out, "220 "));
	assert_true(world_say(fd, sv_sub(octets, 0, cut)));
	for (int i = 0; cut < octets.len && i < 3; i++)
		loop_run_once(world.worker.loop, 0);
	world_say(fd, sv_sub(octets, cut, octets.len));
	world_finish(&world, fd, &out);
	return buf_z(&out);
}

static const char *talk(enum conf_listener_kind kind, const char *text)
{
	return talk_cut(kind, sv_z(text), strlen(text));
}

/* codes - the first digits of each reply line that ends a reply. */
static const char *codes(const char *output)
{
	static char list[1024];
	size_t n = 0;

	for (const char *line = output; *line;) {
		const char *end = strstr(line, "\r\n");

		assert_non_null(end);
		if (end - line >= 4 && line[3] == ' ' && n < sizeof(list) - 5) {
			memcpy(list + n, line, 3);
			list[n + 3] = ' ';
			n += 4;
		}
		line = end + 2;
	}
	list[n ? n - 1 : 0] = '\0';
	return list;
}

#define MESSAGE "From: x@there.test\r\nSubject: hello\r\n\r\ntext\r\n"

static struct sv only_message(void)
{
	assert_int_equal(fake.count, 1);
	return buf_sv(&fake.messages->text);
}

static void a_message_for_one_of_us_arrives_below_our_headers(void **state)
{
	(void)state;
	/* LMTP is where everything may be sent at once */
	assert_string_equal(
		codes(talk(LISTENER_LMTP,
			   "LHLO me\r\nMAIL FROM:<x@there.test>\r\n"
			   "RCPT TO:<bob@example.test>\r\nDATA\r\n" MESSAGE ".\r\nQUIT\r\n")),
		"220 250 250 250 354 250 221");
	assert_true(sv_starts(only_message(),
			      SV("Return-Path: <x@there.test>\r\nReceived: from me\r\n")));
	assert_true(sv_ends(only_message(), SV(MESSAGE)));
	assert_string_equal(fake.messages->account, "bob@example.test");
}

static void a_session_answers_the_same_however_it_is_cut(void **state)
{
	static const char dialogue[] =
		"lhlo me\r\nNOOP\r\nMAIL FROM:<> SIZE=100\r\nRCPT TO:<bob@example.test>\r\nRCPT "
		"TO:<nobody@example.test>\r\n"
		"RCPT TO:<x@elsewhere.test>\r\nDATA\r\nSubject: a\r\n\r\n..dot\r\n.\r\nRSET\r\n"
		"MAIL FROM:<a@b.test>\r\nRCPT TO:<team@example.test>\r\nBDAT 5\r\nhelloBDAT "
		"0\r\nBDAT 3 LAST\r\n\r\n.VRFY x\r\nQUIT\r\n";
	(void)state;
	for (size_t cut = 0; cut < sizeof(dialogue); cut++) {
		fake_forget();
		assert_string_equal(
			codes(talk_cut(LISTENER_LMTP, sv_z(dialogue), cut)),
			"220 250 250 250 250 550 550 354 250 250 250 250 250 250 250 252 221");
		assert_int_equal(fake.count, 3);
	}
}

static void nothing_arrives_from_a_session_that_was_cut_before_its_end(void **state)
{
	static const char dialogue[] =
		"LHLO me\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n" MESSAGE
		".\r\n";
	static const char chunks[] = "LHLO me\r\nMAIL FROM:<a@b.test>\r\nRCPT "
				     "TO:<bob@example.test>\r\nBDAT 5\r\n12345BDAT 3 LAST\r\nabc";
	(void)state;
	for (size_t n = 0; n < sizeof(dialogue) - 1; n++)
		talk_cut(LISTENER_LMTP, sv_from(dialogue, n), n);
	for (size_t n = 0; n < sizeof(chunks) - 1; n++)
		talk_cut(LISTENER_LMTP, sv_from(chunks, n), n);
	assert_int_equal(fake.count, 0);
	talk(LISTENER_LMTP, dialogue);
	talk(LISTENER_LMTP, chunks);
	assert_int_equal(fake.count, 2);
}

/* One dialogue per line: what is sent, command by command, and the codes that answer it. */
static void commands_are_answered_in_every_state(void **state)
{
	static const struct { enum conf_listener_kind kind; const char *sent, *codes;
	} cases[] = {
		{ LISTENER_MX, "MAIL FROM:<a@b.test>", "503" },
		{ LISTENER_MX, "NOOP|RSET|HELP|VRFY x|EXPN x|ETRN x|QUIT",
		  "250 250 214 252 502 502 221" },
		{ LISTENER_MX, "HELO", "501" },
		{ LISTENER_MX, "EHLO a|DATA", "250 503" },
		{ LISTENER_MX, "EHLO a|RCPT TO:<bob@example.test>", "250 503" },
		{ LISTENER_MX, "EHLO a|MAIL FROM:<a@b.test>|MAIL FROM:<a@b.test>|DATA",
		  "250 250 503 503" },
		{ LISTENER_MX, "EHLO a|MAIL FROM:<a@b.test>|EHLO a|RCPT TO:<bob@example.test>",
		  "250 250 250 503" },
		{ LISTENER_MX, "EHLO a|MAIL FROM:<a@b.test>|RSET|RCPT TO:<bob@example.test>",
		  "250 250 250 503" },
		{ LISTENER_MX, "EHLO a|MAIL FROM: <a@b.test>", "250 501" },
		{ LISTENER_MX, "EHLO a|MAIL FROM:a@b.test", "250 501" },
		{ LISTENER_MX, "EHLO a|MAIL FROM:<a@b.test> SIZE=999999999", "250 552" },
		{ LISTENER_MX, "EHLO a|MAIL FROM:<a@b.test> SIZE=1 SIZE=1", "250 501" },
		{ LISTENER_MX, "EHLO a|MAIL FROM:<a@b.test> SIZE=x", "250 501" },
		{ LISTENER_MX, "EHLO a|MAIL FROM:<a@b.test> RET=HDRS", "250 250" },
		{ LISTENER_MX, "EHLO a|MAIL FROM:<a@b.test> MT-PRIORITY=1", "250 555" },
		{ LISTENER_MX, "EHLO a|MAIL FROM:<a@b.test> BODY=8BITMIME SMTPUTF8 SIZE=1",
		  "250 250" },
		{ LISTENER_MX, "EHLO a|MAIL FROM:<a@b.test> BODY=BINARYMIME|RCPT TO:<bob@example.test>|DATA|BDAT 0|RSET", "250 250 250 503 250 250" },
		{ LISTENER_MX, "EHLO a|MAIL FROM:<\xc3\xa4@b.test>", "250 553" },
		{ LISTENER_MX, "EHLO a|MAIL FROM:<\xc3\xa4@b.test> SMTPUTF8", "250 250" },
		{ LISTENER_MX,
		  "EHLO a|MAIL FROM:<a@b.test>|RCPT TO:<bob@example.test> NOTIFY=NEVER",
		  "250 250 250" },
		{ LISTENER_MX,
		  "EHLO a|MAIL FROM:<>|RCPT TO:<bob@example.test>|RCPT TO:<alice@example.test>",
		  "250 250 250 452" },
		{ LISTENER_MX,
		  "EHLO a|MAIL FROM:<a@b.test>|RCPT TO:<postmaster>|RCPT "
		  "TO:<Postmaster@example.test>",
		  "250 250 250 250" },
		{ LISTENER_MX, "EHLO a|AUTH PLAIN|AUTH", "250 503 503" },
		{ LISTENER_MX, "EHLO a|BDAT 0 LAST|BDAT 0|BDAT x", "250 503 503 501" },
		{ LISTENER_MX,
		  "EHLO a|MAIL FROM:<a@b.test>|RCPT TO:<bob@example.test>|BDAT 0|DATA|RCPT "
		  "TO:<alice@example.test>|RSET|DATA",
		  "250 250 250 250 503 503 250 503" },
		{ LISTENER_MX, "EHLO a|LHLO a|XCLIENT NAME=x|FROB", "250 500 550 500" },
		{ LISTENER_MX, "GET / HTTP/1.1", "421" },
		{ LISTENER_MX, "EHLO a|QUIT now|QUIT", "250 501 221" },
		{ LISTENER_MX, "EHLO a|STARTTLS", "250 502" },
		{ LISTENER_LMTP, "EHLO a|HELO a|LHLO a", "500 500 250" },
		{ LISTENER_LMTP, "LHLO a|MAIL FROM:<a@b.test>|DATA", "250 250 503" },
		{ LISTENER_SUBMISSION, "EHLO|MAIL FROM:<alice@example.test>", "250 530" },
		{ LISTENER_SUBMISSION, "|EHLO [192.168.0.2]|", "250" },
		{ LISTENER_SUBMISSION,
		  "EHLO a|AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABzZXNhbWU=|MAIL "
		  "FROM:<bob@example.test>|"
		  "MAIL FROM:<x@elsewhere.test>|MAIL FROM: alice@example.test|RCPT "
		  "TO:<x@elsewhere.test>|RSET",
		  "250 235 550 550 250 250 250" },
		{ LISTENER_SUBMISSION, "EHLO a|AUTH PLAIN ****|AUTH NTLM|AUTH PLAIN|*",
		  "250 501 504 334 501" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int fd = world_connect(&world, cases[i].kind);
		struct sv rest = sv_z(cases[i].sent), part;
		struct buf out;

		buf_init(&out, 1 << 20);
		assert_true(world_wait(&world, fd, &out, "220 "));
		while (sv_split(&rest, '|', &part)) {
			size_t had = out.len;

			world_say(fd, part);
			world_say(fd, SV("\r\n"));
			/* an empty line has no answer */
			for (int turn = 0;
			     part.len && out.len == had && world.server.sessions && turn < 500;
			     turn++) {
				loop_run_once(world.worker.loop, 10);
				world_read(fd, &out);
			}
		}
		world_finish(&world, fd, &out);
		if (strcmp(codes(buf_z(&out)) + 4, cases[i].codes))
			fail_msg("%s:\n got %s\nwant %s\n%s", cases[i].sent, codes(buf_z(&out)) + 4,
				 cases[i].codes, buf_z(&out));
		buf_done(&out);
	}
}

static void a_failing_store_is_a_temporary_answer_and_nothing_arrives(void **state)
{
	static const struct { enum fault_kind kind; const char *code;
	} cases[] = {
		{ FAULT_INTERNAL, "451" }, { FAULT_NO_SPACE, "452" },  { FAULT_BUSY, "450" },
		{ FAULT_CORRUPT, "451" },  { FAULT_NOT_FOUND, "451" }, { FAULT_DENIED, "451" },
		{ FAULT_QUOTA, "552" },
	};
	struct fault *const where[] = { &fake.fail_new, &fake.fail_write, &fake.fail_finish,
					&fake.fail_deliver };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t j = 0; j < ARRAY_LEN(where); j++) {
			char want[64];

			*where[j] = fault(cases[i].kind, "told to fail");
			snprintf(want, sizeof(want), "220 250 250 250 354 %s 221", cases[i].code);
			assert_string_equal(
				codes(talk(LISTENER_LMTP,
					   "LHLO me\r\nMAIL FROM:<x@there.test>\r\n"
					   "RCPT TO:<bob@example.test>\r\nDATA\r\n" MESSAGE
					   ".\r\nQUIT\r\n")),
				want);
			*where[j] = FAULT_OK;
			assert_int_equal(fake.count, 0);
		}
}

static void lmtp_answers_for_each_recipient(void **state)
{
	static const char dialogue[] =
		"LHLO me\r\nMAIL FROM:<x@there.test>\r\nRCPT TO:<alice@example.test>\r\n"
		"RCPT TO:<bob@example.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n" MESSAGE
		".\r\nQUIT\r\n";
	(void)state;
	fake.fail_deliver = fault(FAULT_QUOTA, "told to fail");
	fake.fail_account = "bob@example.test";
	assert_string_equal(codes(talk(LISTENER_LMTP, dialogue)),
			    "220 250 250 250 250 250 354 250 552 250 221");
	assert_int_equal(fake.count, 2);
	fake.fail_deliver = FAULT_OK;
	fake.fail_account = NULL;
	fake_forget();
	assert_string_equal(codes(talk(LISTENER_LMTP, dialogue)),
			    "220 250 250 250 250 250 354 250 250 250 221");
	assert_int_equal(fake.count, 2);        /* together, each mailbox once */
}

static uint64_t queued(void)
{
	uint64_t n = 0;

	must(queue_count(world.server.queue, &n));
	return n;
}

static void an_alias_may_lead_out_and_all_or_nothing_is_taken(void **state)
{
	static const char dialogue[] =
		"LHLO me\r\nMAIL FROM:<x@there.test>\r\nRCPT TO:<mixed@example.test>\r\n"
		"DATA\r\n" MESSAGE ".\r\nQUIT\r\n";
	(void)state;
	fake.fail_deliver = fault(FAULT_INTERNAL, "told to fail");
	assert_string_equal(codes(talk(LISTENER_LMTP, dialogue)), "220 250 250 250 354 451 221");
	assert_int_equal(fake.count, 0);
	assert_int_equal(queued(), 0);
	fake.fail_deliver = FAULT_OK;
	assert_string_equal(codes(talk(LISTENER_LMTP, dialogue)), "220 250 250 250 354 250 221");
	assert_int_equal(fake.count, 1);
	assert_int_equal(queued(), 1);
}

static void the_command_table_is_sorted_and_says_its_sources(void **state)
{
	(void)state;
	for (size_t i = 0; i < smtp_command_count; i++) {
		const struct smtp_command *c = &smtp_commands[i];

		assert_true(strlen(c->source) > 0 && c->run && c->states && c->listeners);
		if (i)
			assert_true(strcmp(smtp_commands[i - 1].name, c->name) <= 0);
		/* one row for each listener */
		for (unsigned kind = 1; kind <= LISTENER_LMTP; kind <<= 1)
			if (c->listeners & kind)
				assert_ptr_equal(smtp_command_find(sv_z(c->name), kind), c);
	}
	assert_null(smtp_command_find(SV("GET"), LISTENER_MX));
	assert_null(smtp_command_find(SV(""), LISTENER_MX));
	assert_null(smtp_command_find(SV("MAI"), LISTENER_MX));
	assert_non_null(smtp_command_find(SV("mail"), LISTENER_MX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_command_table_is_sorted_and_says_its_sources),
		cmocka_unit_test_setup_teardown(a_message_for_one_of_us_arrives_below_our_headers,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_session_answers_the_same_however_it_is_cut, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			nothing_arrives_from_a_session_that_was_cut_before_its_end, setup,
			teardown),
		cmocka_unit_test_setup_teardown(commands_are_answered_in_every_state, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_failing_store_is_a_temporary_answer_and_nothing_arrives, setup, teardown),
		cmocka_unit_test_setup_teardown(lmtp_answers_for_each_recipient, setup, teardown),
		cmocka_unit_test_setup_teardown(an_alias_may_lead_out_and_all_or_nothing_is_taken,
						setup, teardown),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
