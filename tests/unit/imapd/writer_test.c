/* Responses: whatever is written, the answer stays grammatical. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imapd/capability.h"
#include "imapd/use.h"
#include "imapd/writer.h"
#include "maildir/mailbox.h"

typedef void write_fn(struct writer *w, struct sv s);

static void strings_are_written_so_that_they_can_be_read(void **state)
{
	static const struct { write_fn *fn; struct sv in; const char *want; } cases[] = {
		{ writer_string, { "abc", 3 }, "\"abc\"" },
		{ writer_string, { "", 0 }, "\"\"" },
		{ writer_string, { "a\"\\b", 4 }, "\"a\\\"\\\\b\"" },
		{ writer_string, { "a\r\nb", 4 }, "{4}\r\na\r\nb" },
		{ writer_string, { "\xc3\xa4", 2 }, "{2}\r\n\xc3\xa4" },
		{ writer_string, { "a\0b", 3 }, "{3}\r\na\x80" "b" },
		{ writer_astring, { "INBOX", 5 }, "INBOX" },
		{ writer_astring, { "a b", 3 }, "\"a b\"" },
		{ writer_astring, { "nil", 3 }, "\"nil\"" },
		{ writer_astring, { "a]b", 3 }, "a]b" },
		{ writer_astring, { "a*", 2 }, "\"a*\"" },
		{ writer_astring, { "", 0 }, "\"\"" },
		{ writer_quoted, { "a\rb", 3 }, "\"a?b\"" },
		{ writer_mailbox, { "Entw\xc3\xbcrfe & more", 16 }, "\"Entw&APw-rfe &- more\"" },
		{ writer_mailbox, { "INBOX", 5 }, "INBOX" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct writer w;

		writer_init(&w, 1000);
		cases[i].fn(&w, cases[i].in);
		assert_false(w.is_full);
		if (!sv_eq(buf_sv(&w.buf), sv_z(cases[i].want)))
			fail_msg("case %zu: got %s", i, buf_z(&w.buf));
		writer_done(&w);
	}
}

static void a_writer_remembers_that_it_overflowed(void **state)
{
	struct writer w;

	(void)state;
	writer_init(&w, 8);
	writer_z(&w, "12345678");
	assert_false(w.is_full);
	writer_c(&w, 'x');
	assert_true(w.is_full);
	assert_int_equal(w.buf.len, 8);
	writer_done(&w);
}

static void answers_carry_their_codes(void **state)
{
	struct writer w;

	(void)state;
	writer_init(&w, 1000);
	writer_answer(&w, SV("a1"), (struct answer){ "OK", NULL, "Done" }, SV_NONE);
	writer_answer(&w, SV_NONE, (struct answer){ "OK", "CLOSED", "Closed" }, SV_NONE);
	writer_answer(&w, SV("a2"), (struct answer){ "OK", NULL, "Copied" }, SV("COPYUID 1 2 3"));
	assert_string_equal(buf_z(&w.buf), "a1 OK Done\r\n* OK [CLOSED] Closed\r\na2 OK [COPYUID 1 2 3] Copied\r\n");
	writer_done(&w);
}

static void every_fault_has_a_wording_and_none_tells_a_wrong_password(void **state)
{
	(void)state;
	for (int kind = FAULT_NONE; kind <= FAULT_INTERNAL; kind++) {
		struct answer a = answer_for((enum fault_kind)kind);

		assert_string_equal(a.word, kind == FAULT_NONE ? "OK" : "NO");
		assert_true(a.text && *a.text);
		assert_int_equal(a.code && !strcmp(a.code, "AUTHENTICATIONFAILED"), kind == FAULT_AUTH);
	}
}

#define SOME_ROWS                                                                                                      \
	(CAPABILITY_BIT(CAP_NONE) | CAPABILITY_BIT(CAP_SASL_IR) | CAPABILITY_BIT(CAP_UIDPLUS) |                        \
	 CAPABILITY_BIT(CAP_CONDSTORE))

static void capabilities_depend_on_where_the_client_stands(void **state)
{
	static const struct { struct capability_context context; const char *want; } cases[] = {
		{ { SOME_ROWS, false, true, true, NULL, 0, NULL, 0 }, "CAPABILITY IMAP4rev1 SASL-IR STARTTLS LOGINDISABLED" },
		{ { SOME_ROWS, false, false, false, "PLAIN LOGIN", 0, NULL, 0 },
		  "CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN" },
		{ { SOME_ROWS, true, false, false, "PLAIN", 0, NULL, 0 }, "CAPABILITY IMAP4rev1 SASL-IR UIDPLUS CONDSTORE" },
		{ { SOME_ROWS & ~CAPABILITY_BIT(CAP_CONDSTORE), true, false, false, NULL, 0, NULL, 0 },
		  "CAPABILITY IMAP4rev1 SASL-IR UIDPLUS" },
		{ { CAPABILITY_BIT(CAP_NONE) | CAPABILITY_BIT(CAP_APPENDLIMIT), true, false, false, NULL, 65536, NULL, 0 },
		  "CAPABILITY IMAP4rev1 APPENDLIMIT=65536" },
		{ { CAPABILITY_BIT(CAP_NONE) | CAPABILITY_BIT(CAP_MESSAGELIMIT) | CAPABILITY_BIT(CAP_SAVELIMIT), true, false, false, NULL, 0,
		    NULL, 1000 },
		  "CAPABILITY IMAP4rev1 MESSAGELIMIT=1000 SAVELIMIT=1000" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct writer w;

		writer_init(&w, 1000);
		capability_write(&w, &cases[i].context);
		assert_string_equal(buf_z(&w.buf), cases[i].want);
		writer_done(&w);
	}
	assert_int_equal(capability_find(SV("condstore")), CAP_CONDSTORE);
	assert_int_equal(capability_find(SV("appendlimit")), CAP_APPENDLIMIT);
	assert_int_equal(capability_find(SV("APPENDLIMIT=")), CAP_APPENDLIMIT);
	assert_int_equal(capability_find(SV("IMAP4rev1")), CAP_NONE);
	assert_int_equal(capability_find(SV("X-UNKNOWN")), CAP_NONE);
	for (size_t i = CAP_NONE; i < CAP_COUNT; i++)
		assert_true(capability_has(CAPABILITIES_ALL, (enum capability)i));
}

static void a_capability_is_whole_or_not_there(void **state)
{
	capability_set without = capability_settle(CAPABILITIES_ALL & ~CAPABILITY_BIT(CAP_ESEARCH));

	(void)state;
	assert_true(capability_settle(CAPABILITIES_ALL) == CAPABILITIES_ALL);
	assert_false(capability_has(without, CAP_REV2));
	assert_false(capability_has(without, CAP_SEARCHRES));
	assert_true(capability_has(without, CAP_SORT));
	assert_false(capability_has(capability_settle(CAPABILITIES_ALL & ~CAPABILITY_BIT(CAP_CONDSTORE)), CAP_QRESYNC));
}

static void special_uses_have_one_spelling(void **state)
{
	struct writer w;

	(void)state;
	writer_init(&w, 100);
	use_write(&w, USE_SENT | USE_JUNK);
	assert_string_equal(buf_z(&w.buf), " \\Sent \\Junk");
	assert_int_equal(use_find(SV("\\drafts")), USE_DRAFTS);
	assert_int_equal(use_find(SV("\\Draft")), 0);
	writer_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_written_so_that_they_can_be_read),
		cmocka_unit_test(a_writer_remembers_that_it_overflowed),
		cmocka_unit_test(answers_carry_their_codes),
		cmocka_unit_test(every_fault_has_a_wording_and_none_tells_a_wrong_password),
		cmocka_unit_test(a_capability_is_whole_or_not_there),
		cmocka_unit_test(capabilities_depend_on_where_the_client_stands),
		cmocka_unit_test(special_uses_have_one_spelling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
