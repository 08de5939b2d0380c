/* ManageSieve's grammar: each input whole and cut at every octet gives the same, within limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "imapd/managesieve_grammar.h"

#define MAX 64

/* What a grammar makes of the input, as text. */
static void note(struct ms_grammar *g, enum ms_event event, struct buf *out)
{
	static const char *const names[] = { "more", "command", "bad", "large", "overflow" };
	struct sv text;
	uint32_t n;

	(void)buf_appendf(out, "%s", names[event]);
	for (size_t i = 0; event == MS_COMMAND && i <= g->arg_count; i++) {
		if (!i)
			(void)buf_appendf(out, " %.*s", SV_FMT(ms_grammar_verb(g)));
		else if (ms_grammar_string(g, i - 1, &text))
			(void)buf_appendf(out, " '%.*s'", SV_FMT(text));
		else if (ms_grammar_number(g, i - 1, &n))
			(void)buf_appendf(out, " %u", n);
	}
	(void)buf_append_c(out, '|');
}

static void run(const char *input, size_t cut, bool is_response, struct buf *out)
{
	size_t len = strlen(input);
	struct ms_grammar g;

	ms_grammar_init(&g, MAX);
	if (is_response)
		ms_grammar_expect_string(&g);
	for (size_t at = 0; at < len; ) {
		size_t n = cut && at < cut ? cut - at : cut ? len - at : 1;
		char *copy = malloc(n);
		struct sv in = sv_from(copy, n);
		enum ms_event event = MS_MORE;

		memcpy(copy, input + at, n);
		while (in.len && event != MS_OVERFLOW) {
			event = ms_grammar_feed(&g, &in);
			if (event)
				note(&g, event, out);
		}
		free(copy);
		at += n;
	}
	ms_grammar_done(&g);
}

static void gives(const char *input, const char *expected, bool is_response)
{
	struct buf out;

	for (size_t cut = 0; cut <= strlen(input); cut++) {
		buf_init(&out, 65536);
		run(input, cut, is_response, &out);
		assert_string_equal(buf_z(&out), expected);
		buf_done(&out);
	}
}

static void commands_are_taken_apart(void **state)
{
	(void)state;
	gives("LOGOUT\r\n", "command LOGOUT|", false);
	gives("NOOP \"a\\\"b\\\\c\"\r\nNOOP\r\n", "command NOOP 'a\"b\\c'|command NOOP|", false);
	gives("PUTSCRIPT \"x\" {8+}\r\nkeep;\r\n;\r\nLOGOUT\r\n", "command PUTSCRIPT 'x' 'keep;\r\n;'|command LOGOUT|", false);
	gives("PUTSCRIPT {1+}\r\nx {0+}\r\n\r\n", "command PUTSCRIPT 'x' ''|", false);
	gives("HAVESPACE \"x\" 4294967295\r\n", "command HAVESPACE 'x' 4294967295|", false);
	gives("SETACTIVE \"\"\r\n", "command SETACTIVE ''|", false);
}

static void what_is_wrong_is_read_to_its_end(void **state)
{
	static const char *const lines[] = {
		" NOOP", "NOOP ", "NOOP  \"a\"", "NOOP \"a", "NOOP \"a\\b\"", "NOOP (a)", "NOOP \"a\" \"b\" \"c\"", "HAVESPACE \"x\" 4294967296",
		"HAVESPACE \"x\" 01", "NOOP {3}", "NOOP {+}", "NOOP {1x+}", "NOOP a", "\"NOOP\"", "", "NOOP \"a\"b", "NOOP\x01",
		"THISISAVERYLONGNAMEOFACOMMANDTHATDOESNOTEXIST",
	};
	char text[256];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		snprintf(text, sizeof(text), "%s\r\nLOGOUT\r\n", lines[i]);
		gives(text, "bad|command LOGOUT|", false);
	}
	gives("NOOP\nLOGOUT\r\n", "bad|command LOGOUT|", false);
	/* The literals of a wrong command are no commands. */
	gives("NOOP nonsense {8+}\r\nLOGOUT\r\n\r\nLOGOUT\r\n", "bad|command LOGOUT|", false);
	gives("NOOP \"a\" \"b\" {8+}\r\nLOGOUT\r\n {4+}\r\nxxxx\r\nLOGOUT\r\n", "bad|command LOGOUT|", false);
}

static void what_is_too_large_is_read_and_dropped(void **state)
{
	char text[512] = "PUTSCRIPT \"x\" {100+}\r\n";
	(void)state;

	memset(text + strlen(text), 'y', 100);
	memcpy(text + strlen(text), "\r\nLOGOUT\r\n", 11);
	gives(text, "large|command LOGOUT|", false);
	gives("NOOP \"0123456789012345678901234567890123456789012345678901234567890123456789\"\r\nLOGOUT\r\n",
	      "large|command LOGOUT|", false);
	gives("PUTSCRIPT \"x\" {4000000000+}\r\nx", "overflow|", false);
	gives("NOOP bad {40000000000+}\r\nx", "overflow|", false);
}

static void a_response_is_one_string(void **state)
{
	(void)state;
	gives("\"abc=\"\r\nNOOP\r\n", "command  'abc='|command NOOP|", true);
	gives("{4+}\r\nabc=\r\n", "command  'abc='|", true);
	gives("abc=\r\nNOOP\r\n", "bad|command NOOP|", true);
	gives("\"a\" \"b\"\r\nNOOP\r\n", "bad|command NOOP|", true);
}

static void a_line_without_end_is_given_up(void **state)
{
	struct ms_grammar g;
	char piece[4096];
	enum ms_event event = MS_MORE;
	(void)state;

	memset(piece, 'x', sizeof(piece));
	ms_grammar_init(&g, MAX);
	for (int i = 0; i < 100 && event == MS_MORE; i++) {
		struct sv in = sv_from(piece, sizeof(piece));

		event = ms_grammar_feed(&g, &in);
	}
	assert_int_equal(event, MS_OVERFLOW);
	ms_grammar_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_taken_apart),
		cmocka_unit_test(what_is_wrong_is_read_to_its_end),
		cmocka_unit_test(what_is_too_large_is_read_and_dropped),
		cmocka_unit_test(a_response_is_one_string),
		cmocka_unit_test(a_line_without_end_is_given_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
