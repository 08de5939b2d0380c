/* The parser of IMAP commands: each case whole, at every cut point, and octet by octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/imapd/grammar_trace.h"
#include "tests/unit/imapd/parsed.h"

#define IN(s) s, sizeof(s) - 1

struct grammar_case {
	const char *in;
	size_t len;
	const char *want;
};

static const struct grammar_case cases[] = {
	{ IN("a1 NOOP\r\n"), "C a2:a1 a4:NOOP\n" },
	{ IN("\r\n\r\na1 NOOP\r\na2 NOOP\r\n"), "C a2:a1 a4:NOOP\nC a2:a2 a4:NOOP\n" },
	{ IN(" a1  NOOP \r\n"), "C a2:a1 a4:NOOP\n" },
	{ IN("a LOGIN \"b\\\"\\\\c\" \"\"\r\n"), "C a1:a a5:LOGIN q4:b\"\\c q0:\n" },
	{ IN("a LOGIN {3}\r\nb c {1+}\r\nd\r\n"), "+C a1:a a5:LOGIN l3:b c l1:d\n" },
	{ IN("a LOGIN \"\xc3\xa4\" {2}\r\n\xff\xfe\r\n"), "+C a1:a a5:LOGIN q2:\xc3\xa4 l2:\xff\xfe\n" },
	{ IN("a LOGIN \"\xff\" b\r\nc NOOP\r\n"), "B t1:a\nC a1:c a4:NOOP\n" },
	{ IN("a X {0}\r\n\r\n"), "+C a1:a a1:X l0:\n" },
	{ IN("a X (b (c) () \"d\")\r\n"), "C a1:a a1:X ( a1:b~ ( a1:c~ )~ ( )~ q1:d )~\n" },
	{ IN("a F 1:* (BODY[HEADER.FIELDS (To)]<0.1>)\r\n"),
	  "C a1:a a1:F a3:1:* ( a18:BODY[HEADER.FIELDS~ ( a2:To~ )~ a6:]<0.1>~ )~\n" },
	/* literals: the line goes on behind them */
	{ IN("a X {1}\r\nb{1}\r\nc\r\n"), "++C a1:a a1:X l1:b l1:c~\n" },
	{ IN("a X ~{2}\r\n\0b\r\n"), "+C a1:a a1:X l2:" },
	{ IN("a X {2}\r\n\0b d\r\nb N\r\n"), "+B t1:a\nC a1:b a1:N\n" },
	/* APPEND streams what is behind its mailbox */
	{ IN("a APPEND {5+}\r\nINBOX (\\Seen) {3}\r\nx\r\n\r\nb N\r\n"),
	  "+ S3:x\r\n\nC a1:a a6:APPEND l5:INBOX ( a5:\\Seen~ )~ s0:\nC a1:b a1:N\n" },
	{ IN("a APPEND x {0}\r\n\r\n"), "+ S0:\nC a1:a a6:APPEND a1:x s0:\n" },
	{ IN("a APPEND x {2000}\r\nb N\r\n"), "+refused\nC a1:b a1:N\n" },
	/* IDLE and the line behind it, in one packet with the next command */
	{ IN("a IDLE\r\nDONE\r\nb SELECT x\r\n"), "C a1:a a4:IDLE\n L4:DONE\nC a1:b a6:SELECT a1:x\n" },
	{ IN("a IDLE\r\nDONEDONEDONE\r\nb N\r\n"), "C a1:a a4:IDLE\nB t1:a\nC a1:b a1:N\n" },
	{ IN("a IDLE\r\n\r\n"), "C a1:a a4:IDLE\n L0:\n" },
	{ IN("a IDLE\r\nDONE\nb N\r\n"), "C a1:a a4:IDLE\nB t1:a\nC a1:b a1:N\n" },
	/* what is wrong, and the next command all the same */
	{ IN("a X \"b\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X (b\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X b)\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X ((((b))))\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X \"b\\c\"\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X \"b\\\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X b\"c\"\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X \0\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X \xe4\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a N\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a N\rx\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("\nb N\r\n"), "B t0:\nC a1:b a1:N\n" },
	{ IN("\"a\" N\r\nb N\r\n"), "B t0:\nC a1:b a1:N\n" },
	{ IN("a X {}\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X {1x}\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X {1}x\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X {99999999999999999999}\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X {1+}\n\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	/* a literal that nobody asked for belongs to the bad command, whatever it holds (RFC 7888 §4) */
	{ IN("a X ) {4+}\r\nq N\r x{3+}\r\n\r\n) y\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X \xff{3+}\r\nq N\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a X ) {4}\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	/* limits: of one literal, of all, of lists, of tokens, of the line */
	{ IN("a X {31}\r\nb N\r\n"), "too-big\nC a1:b a1:N\n" },
	{ IN("a X {31+}\r\n0123456789012345678901234567890 y\r\nb N\r\n"), "B! t1:a\nC a1:b a1:N\n" },
	{ IN("a X {21+}\r\n012345678901234567890\r\nb N\r\n"), "B! t1:a\nC a1:b a1:N\n" },
	{ IN("a X {30}\r\n012345678901234567890123456789 {30}\r\n012345678901234567890123456789 {1}\r\nb N\r\n"),
	  "++too-big\nC a1:b a1:N\n" },
	{ IN("a X {121+}\r\nxxxx"), "O\n" },
	{ IN("a X ) {121+}\r\nxxxx"), "O\n" },
	{ IN("a 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0\r\nb N\r\n"), "B t1:a\nC a1:b a1:N\n" },
	{ IN("a 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n"
	     "b N\r\n"), "B t1:a\nC a1:b a1:N\n" },
};

static void commands_are_read_alike_however_they_are_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sv in = sv_from(cases[i].in, cases[i].len);
		char *whole = trace_cut(in, 0, 0);

		/* The trace of a NUL ends the C string: then the beginning is compared. */
		if (strncmp(whole, cases[i].want, strlen(cases[i].want)))
			fail_msg("case %zu: got:\n%swanted:\n%s", i, whole, cases[i].want);
		if (!memchr(cases[i].in, 0, cases[i].len) && strcmp(whole, cases[i].want))
			fail_msg("case %zu: got:\n%swanted:\n%s", i, whole, cases[i].want);
		for (size_t cut = 0; cut <= in.len; cut++) {
			char *other = trace_cut(in, cut, 0);

			if (strcmp(other, whole))
				fail_msg("case %zu cut at %zu: got:\n%swanted:\n%s", i, cut, other, whole);
			free(other);
		}
		char *bytes = trace_cut(in, 0, 1);

		assert_string_equal(bytes, whole);
		free(bytes);
		free(whole);
	}
}

static void a_line_without_end_is_given_up(void **state)
{
	struct buf in = { .max = 4096 };

	(void)state;
	buf_append(&in, SV("a X "));
	for (int i = 0; i < 600; i++)
		buf_append_c(&in, 'x');
	char *whole = trace_cut(buf_sv(&in), 0, 0), *bytes = trace_cut(buf_sv(&in), 0, 1);

	assert_string_equal(whole, "O\n");
	assert_string_equal(bytes, "O\n");
	free(whole);
	free(bytes);
	buf_done(&in);
}

static void a_tag_is_told_only_when_it_is_one(void **state)
{
	static const struct { const char *line, *tag; } tags[] = {
		{ "a1 x\r\n", "a1" }, { "a+ x\r\n", "" }, { "* x\r\n", "" }, { "a]b x\r\n", "a]b" }, { "\\a x\r\n", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		struct grammar g;

		parsed_line(&g, sv_z(tags[i].line));
		assert_true(sv_eq(grammar_tag(&g), sv_z(tags[i].tag)));
		grammar_done(&g);
	}
}

static void an_idle_parser_holds_no_memory(void **state)
{
	struct grammar g;

	(void)state;
	parsed(&g, "LOGIN user secret");
	grammar_next(&g);
	grammar_idle(&g);
	assert_null(g.text.p);
	assert_null(g.tokens);
	assert_true(grammar_is_idle(&g));
	grammar_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_read_alike_however_they_are_cut),
		cmocka_unit_test(a_line_without_end_is_given_up),
		cmocka_unit_test(a_tag_is_told_only_when_it_is_one),
		cmocka_unit_test(an_idle_parser_holds_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
