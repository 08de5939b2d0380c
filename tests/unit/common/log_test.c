/* The log: what untrusted text may do to a line, what a line costs, where it goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/events.h"
#include "common/log.h"
#include "common/memory.h"

#include "common/banned.h"

static char line_memory[LOG_LINE_MAX + 1];

static const char *line_of(const struct log_ctx *ctx, const struct log_field *fields)
{
	struct buf b;

	buf_init(&b, LOG_LINE_MAX);
	log_format(&b, LOG_LEVEL_INFO, ctx, "test.event", fields);
	memcpy(line_memory, b.p, b.len);
	line_memory[b.len] = '\0';
	buf_done(&b);
	return line_memory;
}

static void a_line_carries_session_peer_event_and_typed_fields(void **state)
{
	struct log_ctx ctx = { .sid = "3f9c1a2b", .peer = "192.0.2.7" };
	(void)state;

	log_start("testd");
	assert_string_equal(
		line_of(&ctx,
			(const struct log_field[]){ KV_SV("mailbox", SV("INBOX")), KV_U64("uid", 7),
						    KV_I64("delta", -3), KV_I64("least", INT64_MIN),
						    KV_BOOL("tls", true), KV_END }),
		"level=info daemon=testd sid=3f9c1a2b peer=192.0.2.7 event=test.event "
		"mailbox=INBOX uid=7 "
		"delta=-3 least=-9223372036854775808 tls=yes\n");
	assert_string_equal(
		line_of(NULL,
			(const struct log_field[]){
				KV_FAULT("error", fault(FAULT_BUSY, "locked by 12")), KV_END }),
		"level=info daemon=testd event=test.event error=busy error_detail=\"locked by "
		"12\"\n");
}

static void untrusted_text_cannot_make_lines_or_fields(void **state)
{
	static const struct { struct sv in; const char *out; } cases[] = {
		{ { "plain", 5 }, "plain" },
		{ { "", 0 }, "\"\"" },
		{ { "a b", 3 }, "\"a b\"" },
		{ { "a=b", 3 }, "\"a=b\"" },
		{ { "q\"q\\", 4 }, "\"q\\\"q\\\\\"" },
		{ { "x\r\nlevel=error", 14 }, "\"x\\x0d\\x0alevel=error\"" },
		{ { "\0\x1b[2J\x7f", 6 }, "\"\\x00\\x1b[2J\\x7f\"" },
		{ { "Entw\xc3\xbcrfe", 9 }, "\"Entw\xc3\xbcrfe\"" },
		{ { "\xc3", 1 }, "\"\\xc3\"" },                       /* cut character */
		{ { "\xc2\x85", 2 }, "\"\\xc2\\x85\"" },             /* C1: next line */
		{ { "\xe2\x80\xae", 3 }, "\"\\xe2\\x80\\xae\"" },   /* right-to-left override */
		{ { "\xe2\x80\xa8", 3 }, "\"\\xe2\\x80\\xa8\"" },   /* line separator */
		{ { "\xed\xa0\x80", 3 }, "\"\\xed\\xa0\\x80\"" },   /* surrogate */
		{ { "\xf0\x9f\x93\xac", 4 }, "\"\xf0\x9f\x93\xac\"" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[128];
		char *exact = xmalloc(cases[i].in.len);

		memcpy(exact, cases[i].in.p, cases[i].in.len);
		snprintf(want, sizeof(want), "level=info daemon=testd event=test.event v=%s\n",
			 cases[i].out);
		assert_string_equal(line_of(NULL, (const struct log_field[]){
			KV_SV("v", sv_from(exact, cases[i].in.len)), KV_END }), want);
		free(exact);
	}
}

static void a_value_is_cut_at_its_limit_and_says_so(void **state)
{
	char big[LOG_FIELD_MAX + 1];
	const char *text;
	(void)state;

	memset(big, 'x', sizeof(big));
	text = strstr(line_of(NULL, (const struct log_field[]){
		KV_SV("v", sv_from(big, LOG_FIELD_MAX)), KV_END }), "v=x");
	assert_int_equal(strlen(text), 2 + LOG_FIELD_MAX + 1);
	assert_null(strstr(text, "..."));
	text = strstr(line_of(NULL, (const struct log_field[]){
		KV_SV("v", sv_from(big, LOG_FIELD_MAX + 1)), KV_END }), "v=x");
	assert_int_equal(strlen(text), 2 + LOG_FIELD_MAX + 1);
	assert_string_equal(text + strlen(text) - 5, "x...\n");

	memset(big, '\n', sizeof(big));
	text = strstr(line_of(NULL, (const struct log_field[]){
		KV_SV("v", sv_from(big, sizeof(big))), KV_END }), "v=");
	assert_true(strlen(text) <= 2 + 2 + LOG_FIELD_MAX + 1);
	assert_string_equal(text + strlen(text) - 9, "\\x0a...\"\n");
}

static void a_line_is_never_longer_than_one_write_may_be(void **state)
{
	char big[LOG_FIELD_MAX];
	struct log_field fields[20];
	const char *text;
	(void)state;

	memset(big, 'y', sizeof(big));
	for (size_t i = 0; i < ARRAY_LEN(fields) - 1; i++)
		fields[i] = KV_SV("v", sv_from(big, sizeof(big)));
	fields[ARRAY_LEN(fields) - 1] = KV_END;
	text = line_of(NULL, fields);
	assert_true(strlen(text) <= LOG_LINE_MAX);
	assert_string_equal(text + strlen(text) - 10, "y cut=yes\n");
}

static unsigned evaluated;
static uint64_t count_evaluation(void)
{
	return ++evaluated;
}

static void a_level_that_is_off_costs_no_evaluation_and_changes_live(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_WARN);
	log_info(NULL, "test.off", KV_U64("n", count_evaluation()));
	log_debug(NULL, "test.off");
	assert_int_equal(evaluated, 0);
	assert_false(log_wants(LOG_LEVEL_INFO));
	log_set_level(LOG_LEVEL_DEBUG);
	assert_true(log_wants(LOG_LEVEL_DEBUG));
	log_set_level(LOG_LEVEL_INFO);
}

static size_t file_size(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (size_t)st.st_size;
}

static void the_log_file_is_appended_to_and_reopened_after_rotation(void **state)
{
	char dir[] = "/tmp/postroom-log-XXXXXX";
	char path[64], old[64];
	size_t before;
	int terminal = dup(STDERR_FILENO);
	(void)state;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(old, sizeof(old), "%s/log.1", dir);
	assert_int_equal(log_set_file(path).kind, FAULT_NONE);
	log_info(NULL, "test.one");
	before = file_size(path);
	assert_true(before > 0);
	assert_int_equal(rename(path, old), 0);
	log_info(NULL, "test.two");     /* not lost: still the old file */
	assert_true(file_size(old) > before);
	assert_int_equal(log_set_file(path).kind, FAULT_NONE);
	assert_int_equal(file_size(path), 0);
	event_emit(NULL, EVENT_DAEMON_STOP, KV_Z("reason", "test"));
	assert_true(file_size(path) > 0);
	/* A log that cannot be opened leaves the one that works. */
	before = file_size(path);
	assert_int_not_equal(log_set_file("/nonexistent/log").kind, FAULT_NONE);
	log_info(NULL, "test.three");
	assert_true(file_size(path) > before);
	assert_int_equal(log_set_file("").kind, FAULT_NONE);
	assert_int_equal(dup2(terminal, STDERR_FILENO), STDERR_FILENO);
	close(terminal);
	unlink(path);
	unlink(old);
	rmdir(dir);
}

static void session_ids_are_hex_and_peers_hold_no_text(void **state)
{
	struct log_ctx a, b;
	(void)state;

	log_ctx_init(&a);
	log_ctx_init(&b);
	assert_int_equal(strlen(a.sid), 8);
	assert_int_equal(strspn(a.sid, "0123456789abcdef"), 8);
	assert_string_not_equal(a.sid, b.sid);
	log_ctx_set_peer(&a, SV("2001:db8::1%eth0"));
	assert_string_equal(a.peer, "2001:db8::1%eth0");
	log_ctx_set_peer(&a, SV("192.0.2.1 event=fake"));
	assert_string_equal(a.peer, "192.0.2.1");
}

static void every_event_is_documented_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EVENT_COUNT; i++) {
		const struct event_info *e = event_info((enum event)i);

		assert_non_null(strchr(e->name, '.'));
		assert_int_equal(e->meaning[strlen(e->meaning) - 1], '.');
		assert_true(e->fields[0] != '\0');
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(e->name, event_info((enum event)j)->name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_carries_session_peer_event_and_typed_fields),
		cmocka_unit_test(untrusted_text_cannot_make_lines_or_fields),
		cmocka_unit_test(a_value_is_cut_at_its_limit_and_says_so),
		cmocka_unit_test(a_line_is_never_longer_than_one_write_may_be),
		cmocka_unit_test(a_level_that_is_off_costs_no_evaluation_and_changes_live),
		cmocka_unit_test(the_log_file_is_appended_to_and_reopened_after_rotation),
		cmocka_unit_test(session_ids_are_hex_and_peers_hold_no_text),
		cmocka_unit_test(every_event_is_documented_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
