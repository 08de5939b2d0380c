/* Lines of the log, read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "admin/logline.h"

#include "common/banned.h"

static const char usual[] = "ts=2026-11-22T05:34:29.118Z level=info daemon=smtpd pid=7 sid=3c99619d peer=192.0.2.7 event=deliver.done "
			    "queue_id=k0tvabs3r8b5rfim to=bob@example.org mailbox=\"R\xc3\xa9sum\xc3\xa9 \\\"x\\\"\" message_id=\"\" why=\"a\\x00b\"";

static void what_the_logger_wrote_is_read(void **state)
{
	static struct logline line;
	struct buf text;

	(void)state;
	assert_true(logline_parse(&line, sv_z(usual)));
	assert_int_equal(line.seconds, 1795325669);
	assert_int_equal(line.milliseconds, 118);
	assert_true(sv_eq(logline_get(&line, "event"), SV("deliver.done")));
	assert_true(sv_eq(logline_get(&line, "mailbox"), SV("R\xc3\xa9sum\xc3\xa9 \"x\"")));
	assert_true(sv_eq(logline_get(&line, "why"), SV("a\0b")));
	assert_int_equal(logline_get(&line, "message_id").len, 0);
	assert_int_equal(logline_get(&line, "nothing").len, 0);

	/* Whatever the value: it comes back. */
	char value[256];

	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (char)i;
	buf_init(&text, LOG_LINE_MAX);
	log_format(&text, LOG_LEVEL_INFO, NULL, "a.b", (const struct log_field[]){ KV_SV("v", sv_from(value, sizeof(value))), KV_END });
	assert_true(text.len && text.p[text.len - 1] == '\n');
	assert_true(logline_parse(&line, sv_sub(buf_sv(&text), 0, text.len - 1)));
	/* The logger cuts at LOG_FIELD_MAX octets of text. */
	assert_true(sv_ends(logline_get(&line, "v"), SV("...")));
	assert_memory_equal(logline_get(&line, "v").p, value, 100);
	buf_done(&text);
}

static void other_lines_are_not_taken_for_ours(void **state)
{
	static const char *const lines[] = {
		"", "hello", "event", "event=", "level=info", "x=1 event=", "event=a.b \"", "event=a.b c", "event=a.b c=\"d", "event=a.b c=\"d\"e",
		"event=a.b  c=d", "Event=a.b", "event=a.b c=\033[31m", "==1234==ERROR: AddressSanitizer: event=x", "event=a.b c=\"\\", " event=a.b",
	};
	static struct logline line;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		assert_false(logline_parse(&line, sv_z(lines[i])));
	assert_true(logline_parse(&line, SV("event=a.b c=")));
	assert_int_equal(line.seconds, INT64_MIN);
}

static void a_line_cut_anywhere_is_read_or_refused(void **state)
{
	static struct logline line;

	(void)state;
	for (size_t n = 0; n < sizeof(usual); n++) {
		/* From the heap, exactly so long: one octet too far is seen. */
		char *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, usual, n);
		if (logline_parse(&line, sv_from(copy, n)))
			assert_true(logline_get(&line, "event").len > 0);
		free(copy);
	}
}

static void more_fields_than_fit_are_left_out(void **state)
{
	static struct logline line;
	char text[2048] = "event=a.b";

	(void)state;
	for (int i = 0; i < 200; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " f=%d", i);
	assert_true(logline_parse(&line, sv_z(text)));
	assert_int_equal(line.count, LOGLINE_FIELDS_MAX);
}

static void times_are_those_of_the_file_and_of_the_journal(void **state)
{
	int64_t seconds;
	unsigned ms;

	(void)state;
	assert_true(logline_time(SV("2026-11-22T05:34:29.118999+0000"), &seconds, &ms));
	assert_int_equal(seconds, 1795325669);
	assert_int_equal(ms, 118);
	assert_true(logline_time(SV("1970-01-01T00:00:00Z"), &seconds, &ms));
	assert_int_equal(seconds, 0);
	assert_false(logline_time(SV("2026-11-22"), &seconds, &ms));
	assert_false(logline_time(SV("2026-11-22T05:34:29.118+0100"), &seconds, &ms));
	assert_false(logline_time(SV("2026-13-22T05:34:29Z"), &seconds, &ms));
	assert_false(logline_time(SV(""), &seconds, &ms));
}

static void an_address_is_found_whole_in_any_field(void **state)
{
	static const struct {
		const char *value, *address;
		bool is_there;
	} cases[] = {
		{ "bob@example.org", "bob@example.org", true },
		{ "Bob@Example.ORG", "bob@example.org", true },
		{ "max.bob@example.org", "bob@example.org", false },
		{ "bob@example.org.evil.example", "bob@example.org", false },
		{ "<bob@example.org>,<x@y.example>", "bob@example.org", true },
		{ "bob@example.org", "example.org", true },
		{ "bob@mail.example.org", "example.org", false },
		{ "bob@example.orgx", "example.org", false },
		{ "b", "bob@example.org", false },
		{ "", "bob@example.org", false },
	};
	static struct logline line;
	char text[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(text, sizeof(text), "event=a.b to=\"%s\"", cases[i].value);
		assert_true(logline_parse(&line, sv_z(text)));
		assert_int_equal(logline_is_about(&line, sv_z(cases[i].address)), cases[i].is_there);
	}
	assert_true(logline_parse(&line, sv_z(usual)));
	assert_true(logline_has_value(&line, SV("k0tvabs3r8b5rfim")));
	assert_true(logline_has_value(&line, SV("3c99619d")));
	assert_false(logline_has_value(&line, SV("k0tv")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_logger_wrote_is_read),
		cmocka_unit_test(other_lines_are_not_taken_for_ours),
		cmocka_unit_test(a_line_cut_anywhere_is_read_or_refused),
		cmocka_unit_test(more_fields_than_fit_are_left_out),
		cmocka_unit_test(times_are_those_of_the_file_and_of_the_journal),
		cmocka_unit_test(an_address_is_found_whole_in_any_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
