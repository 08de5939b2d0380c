/* Command lines taken apart, and replies in form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtpd/grammar.h"

#define MX LISTENER_MX
#define SUB LISTENER_SUBMISSION
#define OLD LISTENER_LEGACY

static void paths_and_parameters_are_read_or_refused(void **state)
{
	static const struct {
		enum conf_listener_kind on;
		const char *args;
		enum reply_id reply;
	} cases[] = {
		{ MX, "FROM:<a@b.test>", REPLY_OK },
		{ MX, "from:<>", REPLY_OK },
		{ MX, "FROM:<a@b.test>  SIZE=1 ", REPLY_OK },
		{ MX, "FROM:<a@b.test> size=00000000000000000001", REPLY_OK },
		{ MX, "FROM:<a@b.test> SIZE=000000000000000000001", REPLY_BAD_ARGUMENT },
		{ MX, "FROM:<a@b.test> SIZE=99999999999999999999", REPLY_OK },
		{ MX, "FROM:<a@b.test> SIZE=-1", REPLY_BAD_ARGUMENT },
		{ MX, "FROM:<a@b.test> SIZE", REPLY_BAD_ARGUMENT },
		{ MX, "FROM:<a@b.test> SIZE=", REPLY_BAD_ARGUMENT },
		{ MX, "FROM:<a@b.test> SMTPUTF8=1", REPLY_BAD_ARGUMENT },
		{ MX, "FROM:<a@b.test> BODY=8bitmime", REPLY_OK },
		{ MX, "FROM:<a@b.test> BODY=BinaryMIME", REPLY_OK },
		{ LISTENER_LEGACY, "FROM:<a@b.test> BODY=8BITMIME", REPLY_OK },
		{ LISTENER_LEGACY, "FROM:<a@b.test> BODY=BINARYMIME", REPLY_BAD_ARGUMENT },
		{ MX, "FROM:<a@b.test> BODY=9BIT", REPLY_BAD_ARGUMENT },
		{ MX, "FROM:<a@b.test> AUTH=<>", REPLY_UNKNOWN_PARAM },
		{ SUB, "FROM:<a@b.test> AUTH=<>", REPLY_OK },
		{ MX, "FROM:<a@b.test> X=\x01", REPLY_BAD_ARGUMENT },
		{ MX, "FROM:<a@b.test> =1", REPLY_BAD_ARGUMENT },
		{ MX, "FROM:<a@b.test> -X=1", REPLY_BAD_ARGUMENT },
		{ MX, "FROM:<a@b.test>SIZE=1", REPLY_BAD_SENDER },
		{ MX, "FROM:<a@b.test> BODY=7BIT body=8BITMIME", REPLY_PARAM_TWICE },
		{ MX, "FROM: <a@b.test>", REPLY_BAD_SENDER },
		{ SUB, "FROM: <a@b.test>", REPLY_OK },
		{ MX, "FROM:a@b.test", REPLY_BAD_SENDER },
		{ SUB, "FROM:a@b.test", REPLY_OK },
		{ SUB, "FROM: a@b.test SIZE=5", REPLY_OK },
		{ MX, "FROM:<a@b@c>", REPLY_BAD_SENDER },
		{ MX, "FROM:<a@b.test", REPLY_BAD_SENDER },
		{ MX, "FROM", REPLY_BAD_ARGUMENT },
		{ MX, "", REPLY_BAD_ARGUMENT },
		{ MX, "TO:<a@b.test>", REPLY_BAD_ARGUMENT },
		{ MX, "FROM:<@r.test:a@b.test>", REPLY_OK },
		{ MX, "FROM:<\"\"@b.test>", REPLY_BAD_SENDER },
		{ OLD, "FROM: a@b.test", REPLY_OK },
		{ OLD, "FROM:<scanner>", REPLY_OK },
		{ OLD, "FROM:<'a@b.test'>", REPLY_OK },
		{ OLD, "FROM: 'a@b.test' SIZE=5", REPLY_OK },
		{ OLD, "FROM:<'a@b.test>", REPLY_OK },
		{ OLD, "FROM:<'a@b.te'st>", REPLY_OK },
		{ OLD, "FROM:'", REPLY_OK },
		{ OLD, "FROM:''", REPLY_BAD_SENDER },
		{ OLD, "FROM:<''>", REPLY_OK },
		{ SUB, "FROM:<'a@b.test'>", REPLY_BAD_SENDER },
		{ OLD, "FROM:<a@b.test> RET=HDRS", REPLY_UNKNOWN_PARAM },
		{ OLD, "FROM:<a@b.test> REQUIRETLS", REPLY_UNKNOWN_PARAM },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena;
		struct smtp_path path;
		size_t n = strlen(cases[i].args);
		char *exact = malloc(n ? n : 1);
		enum reply_id r;

		memcpy(exact, cases[i].args, n);
		arena_init(&arena, 32768);
		r = smtp_parse_path(&arena, sv_from(exact, n), SMTP_MAIL_FROM, cases[i].on, &path);
		if (r != cases[i].reply)
			fail_msg("%s: %s, not %s", cases[i].args, reply_get(r)->text,
				 reply_get(cases[i].reply)->text);
		arena_done(&arena);
		free(exact);
	}
}

static void original_recipients_are_xtext_or_utf8(void **state)
{
	static const struct { enum conf_listener_kind on; const char *args; enum reply_id reply; } cases[] = {
		{ MX, "TO:<a@b.test> ORCPT=rfc822;a+2Bx@b.test", REPLY_OK },
		{ MX, "TO:<a@b.test> ORCPT=utf-8;\xc3\xa4@b.test NOTIFY=NEVER", REPLY_OK },
		{ MX, "TO:<a@b.test> ORCPT=utf-8;\\x{e4}@b.test", REPLY_OK },
		{ MX, "TO:<a@b.test> ORCPT=rfc822;\xc3\xa4@b.test", REPLY_BAD_ARGUMENT },
		{ MX, "TO:<a@b.test> ORCPT=utf-8;\xc3\xa4+a", REPLY_BAD_ARGUMENT },
		{ MX, "TO:<a@b.test> ORCPT=utf-8;", REPLY_BAD_ARGUMENT },
		{ MX, "TO:<a@b.test> ORCPT=;a", REPLY_BAD_ARGUMENT },
		{ LISTENER_LMTP, "TO:<a@b.test> ORCPT=rfc822;a@b.test", REPLY_UNKNOWN_PARAM },
		{ OLD, "TO:<a@b.test> NOTIFY=NEVER", REPLY_UNKNOWN_PARAM },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena;
		struct smtp_path path;

		arena_init(&arena, 32768);
		assert_int_equal(smtp_parse_path(&arena, sv_z(cases[i].args), SMTP_RCPT_TO, cases[i].on, &path), cases[i].reply);
		arena_done(&arena);
	}
}

static void quotes_of_old_devices_are_none_of_the_address(void **state)
{
	static const char *const cases[] = { "TO:<'bob@example.test'>", "TO: 'bob@example.test'", "TO:<bob@example.test>", "TO:'bob'@example.test" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena;
		struct smtp_path path;

		arena_init(&arena, 32768);
		assert_int_equal(smtp_parse_path(&arena, sv_z(cases[i]), SMTP_RCPT_TO, OLD, &path), REPLY_OK);
		assert_true(sv_eq(path.address.local, SV("bob")));
		assert_true(sv_eq(path.address.domain, SV("example.test")));
		arena_done(&arena);
	}
}

static void a_size_no_number_can_hold_is_too_big_not_small(void **state)
{
	struct arena arena;
	struct smtp_path path;
	(void)state;
	arena_init(&arena, 32768);
	assert_int_equal(smtp_parse_path(&arena, SV("FROM:<> SIZE=99999999999999999999"),
					 SMTP_MAIL_FROM, MX, &path),
			 REPLY_OK);
	assert_true(path.has_size && path.size == UINT64_MAX && path.address.is_null);
	assert_int_equal(smtp_parse_path(&arena, SV("TO:<>"), SMTP_RCPT_TO, MX, &path),
			 REPLY_BAD_RCPT);
	arena_done(&arena);
}

static void too_many_parameters_are_a_syntax_error(void **state)
{
	struct arena arena;
	struct smtp_path path;
	struct buf line;
	(void)state;
	arena_init(&arena, 32768);
	buf_init(&line, 4096);
	buf_append(&line, SV("FROM:<>"));
	for (int i = 0; i < 30; i++)
		buf_appendf(&line, " P%d=x", i);
	/* the first unknown one is refused; none is read beyond the limit */
	assert_int_equal(smtp_parse_path(&arena, buf_sv(&line), SMTP_MAIL_FROM, MX, &path),
			 REPLY_UNKNOWN_PARAM);
	assert_true(path.param_count <= SMTP_PARAMS_MAX);
	buf_done(&line);
	arena_done(&arena);
}

static void chunk_sizes_are_numbers_and_last_is_a_word(void **state)
{
	static const struct { const char *args; bool ok; uint64_t size; bool last;
	} cases[] = {
		{ "0", true, 0, false },
		{ "86 LAST", true, 86, true },
		{ "1 last", true, 1, true },
		{ "1  LAST ", true, 1, true },
		{ "", false, 0, false },
		{ "x", false, 0, false },
		{ "-1", false, 0, false },
		{ "1 FIRST", false, 0, false },
		{ "99999999999999999999", false, 0, false },
		{ "1 LAST LAST", false, 0, false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t size = 0;
		bool last = false;

		assert_int_equal(smtp_parse_bdat(sv_z(cases[i].args), &size, &last), cases[i].ok);
		if (cases[i].ok)
			assert_true(size == cases[i].size && last == cases[i].last);
	}
}

static void every_reply_has_the_form_the_standard_wants(void **state)
{
	(void)state;
	for (unsigned i = 0; i < REPLY_COUNT; i++) {
		const struct reply *r = reply_get((enum reply_id)i);
		struct buf out;

		assert_in_range(r->code, 200, 599);
		if (r->enhanced)        /* RFC 2034 §4: the classes agree */
			assert_int_equal(r->enhanced[0], '0' + r->code / 100);
		assert_int_equal(r->reason != NULL, r->code >= 400);
		buf_init(&out, 4096);
		assert_true(reply_write(&out, r->code, r->enhanced, sv_z(r->text)));
		assert_true(out.len <= 2 * REPLY_LINE_MAX && sv_ends(buf_sv(&out), SV("\r\n")));
		buf_done(&out);
	}
}

static void replies_of_several_lines_carry_their_code_on_each_and_nothing_unprintable(void **state)
{
	struct buf out;
	char text[2000];
	(void)state;
	buf_init(&out, 8192);
	assert_true(reply_write(&out, 550, "5.7.1", SV("one\r\ntwo \xff\x01\n")));
	assert_string_equal(buf_z(&out), "550-5.7.1 one?\r\n550-5.7.1 two ??\r\n550 5.7.1 \r\n");
	buf_clear(&out);
	memset(text, 'x', sizeof(text));
	assert_true(reply_write(&out, 250, NULL, sv_from(text, sizeof(text))));
	assert_int_equal(out.len, REPLY_LINE_MAX);
	buf_done(&out);
	buf_init(&out, 10);
	assert_false(reply_write(&out, 250, NULL, SV("too long for it")));
	assert_int_equal(out.len, 0);
	buf_done(&out);
}

static void internal_faults_are_temporary(void **state)
{
	(void)state;
	for (int kind = FAULT_NOT_FOUND; kind <= FAULT_INTERNAL; kind++) {
		unsigned code = reply_get(reply_for_fault((enum fault_kind)kind))->code;

		if (kind == FAULT_LIMIT || kind == FAULT_QUOTA)
			assert_int_equal(code, 552);
		else
			assert_in_range(code, 400, 499);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_and_parameters_are_read_or_refused),
		cmocka_unit_test(original_recipients_are_xtext_or_utf8),
		cmocka_unit_test(quotes_of_old_devices_are_none_of_the_address),
		cmocka_unit_test(a_size_no_number_can_hold_is_too_big_not_small),
		cmocka_unit_test(too_many_parameters_are_a_syntax_error),
		cmocka_unit_test(chunk_sizes_are_numbers_and_last_is_a_word),
		cmocka_unit_test(every_reply_has_the_form_the_standard_wants),
		cmocka_unit_test(
			replies_of_several_lines_carry_their_code_on_each_and_nothing_unprintable),
		cmocka_unit_test(internal_faults_are_temporary),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
