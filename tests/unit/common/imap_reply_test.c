/* Responses of IMAP servers, cut anywhere: tokens, literals kept and streamed, and what is no IMAP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/imap_reply.h"

static void show(const struct imap_reply *r, struct buf *out)
{
	static const char marks[] = "?aqtl()";

	for (size_t i = 0; i < r->count; i++) {
		const struct imap_reply_token *t = &r->tokens[i];

		assert_true(buf_appendf(out, "%c%s%.*s ", marks[t->kind], t->is_streamed ? "*" : "", SV_FMT(imap_reply_text(r, i))));
	}
	assert_true(buf_append_c(out, '\n'));
}

/* read_all - what is told of the octets, given as two pieces of exact size. Literals of 5 octets are streamed. */
static void read_all(struct sv all, size_t cut, struct buf *out)
{
	enum imap_reply_event event = IMAP_REPLY_MORE;
	struct imap_reply r;

	imap_reply_init(&r);
	for (int half = 0; half < 2 && event != IMAP_REPLY_BAD; half++) {
		struct sv from = half ? sv_sub(all, cut, SIZE_MAX) : sv_sub(all, 0, cut);
		char *copy = malloc(from.len ? from.len : 1);
		struct sv in = sv_from(copy, from.len);

		if (from.len)
			memcpy(copy, from.p, from.len);
		while ((event = imap_reply_feed(&r, &in)) != IMAP_REPLY_MORE && event != IMAP_REPLY_BAD) {
			if (event == IMAP_REPLY_LITERAL && r.literal == 5)
				imap_reply_stream(&r);
			if (event == IMAP_REPLY_PIECE)
				assert_true(buf_append(out, r.piece));
			if (event == IMAP_REPLY_LITERAL_END)
				assert_true(buf_append_c(out, '|'));
			if (event == IMAP_REPLY_DONE) {
				show(&r, out);
				imap_reply_next(&r);
			}
		}
		free(copy);
	}
	if (event == IMAP_REPLY_BAD)
		assert_true(buf_appendf(out, "bad: %s", r.why));
	imap_reply_done(&r);
}

static const struct { struct sv in; const char *told; } cases[] = {
	{ SV_INIT("* OK [UIDVALIDITY 7] hello \"(\r\n"), "a* aOK t[UIDVALIDITY 7] hello \"( \n" },
	{ SV_INIT("t1 NO\r\n+ \r\n+ go {3}\r\n"), "at1 aNO \na+ \na+ tgo {3} \n" },
	/* Whatever the text begins with. */
	{ SV_INIT("t1 NO (full\r\n* OK \"x\r\n* BAD {9}\r\n+ )\r\n"), "at1 aNO t(full \na* aOK t\"x \na* aBAD t{9} \na+ t) \n" },
	{ SV_INIT("* LIST (\\Sent \\X) \"/\" \"a\\\"b\\\\c\"\r\n"), "a* aLIST ( a\\Sent a\\X ) q/ qa\"b\\c \n" },
	{ SV_INIT("* LIST () NIL {3}\r\na\"(\r\n"), "a* aLIST ( ) aNIL la\"( \n" },
	{ SV_INIT("* 1 FETCH (BODY[] {5}\r\nhello UID 7)\r\n"), "hello|a* a1 aFETCH ( aBODY[] l* aUID a7 ) \n" },
	{ SV_INIT("* 1 FETCH (BODY[HEADER.FIELDS (A B)]<0> ~{2}\r\n\1\2)\r\n"),
	  "a* a1 aFETCH ( aBODY[HEADER.FIELDS (A B)]<0> l\1\2 ) \n" },
	{ SV_INIT("* 1 FETCH (FLAGS ([x $Junk) X {0}\r\n)\r\n"), "a* a1 aFETCH ( aFLAGS ( a[x a$Junk ) aX l ) \n" },
	{ SV_INIT("* CAPABILITY A B\n* BYE\n"), "a* aCAPABILITY aA aB \na* aBYE \n" },
	{ SV_INIT("* (\r\n"), "bad: a list was not closed" },
	{ SV_INIT("* )\r\n"), "bad: a list was closed that is none" },
	{ SV_INIT("* \"x\r\n"), "bad: a quoted string without its end" },
	{ SV_INIT("* {}\r\n"), "bad: a literal without a size" },
	{ SV_INIT("* {12a}\r\n"), "bad: a literal without a size" },
	{ SV_INIT("* {9999999999999999999}\r\n"), "bad: a literal without a size" },
	{ SV_INIT("* BODY[X\r\n"), "bad: a section without its end" },
	{ SV_INIT("* A\rB\r\n"), "bad: a line end that is none" },
	{ SV_INIT("\r\n"), "bad: an empty line" },
};

static void responses_read_the_same_at_every_cut(void **state)
{
	struct buf out;
	(void)state;

	buf_init(&out, 1 << 16);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t cut = 0; cut <= cases[i].in.len; cut++) {
			buf_clear(&out);
			read_all(cases[i].in, cut, &out);
			if (strcmp(buf_z(&out), cases[i].told) != 0)
				fail_msg("%.*s cut at %zu: %s", SV_FMT(cases[i].in), cut, buf_z(&out));
		}
	buf_done(&out);
}

static void what_is_larger_than_the_limits_is_not_kept(void **state)
{
	struct buf in, out;
	(void)state;

	buf_init(&in, (size_t)1 << 20);
	buf_init(&out, (size_t)1 << 20);
	/* A literal is read past, and the response goes on behind it. */
	assert_true(buf_appendf(&in, "* X {%zu}\r\n", IMAP_REPLY_LITERAL_MAX + 1));
	for (size_t i = 0; i < IMAP_REPLY_LITERAL_MAX + 1; i++)
		assert_true(buf_append_c(&in, 'x'));
	assert_true(buf_append(&in, SV(" Y\r\n")));
	read_all(buf_sv(&in), 20000, &out);
	assert_string_equal(buf_z(&out), "a* aX l* aY \n");
	/* A line, and lists in lists, end the conversation. */
	buf_clear(&in);
	buf_clear(&out);
	for (size_t i = 0; i <= IMAP_REPLY_LINE_MAX; i++)
		assert_true(buf_append_c(&in, 'x'));
	read_all(buf_sv(&in), 1, &out);
	assert_string_equal(buf_z(&out), "bad: a response longer than we take");
	buf_clear(&in);
	buf_clear(&out);
	for (size_t i = 0; i <= IMAP_REPLY_DEPTH_MAX; i++)
		assert_true(buf_append_c(&in, '('));
	read_all(buf_sv(&in), 1, &out);
	assert_string_equal(buf_z(&out), "bad: more in one response than we take");
	buf_clear(&in);
	buf_clear(&out);
	for (size_t i = 0; i <= IMAP_REPLY_TOKENS_MAX; i++)
		assert_true(buf_append(&in, SV("a ")));
	read_all(buf_sv(&in), 1, &out);
	assert_string_equal(buf_z(&out), "bad: more in one response than we take");
	buf_done(&in);
	buf_done(&out);
}

static void a_response_code_is_told_apart_from_its_text(void **state)
{
	struct sv name, value;
	(void)state;

	assert_true(imap_reply_code(SV("[UIDVALIDITY 7] x"), &name, &value));
	assert_true(sv_eq(name, SV("UIDVALIDITY")) && sv_eq(value, SV("7")));
	assert_true(imap_reply_code(SV("[ALERT]"), &name, &value));
	assert_true(sv_eq(name, SV("ALERT")) && !value.len);
	assert_false(imap_reply_code(SV("plain"), &name, &value));
	assert_false(imap_reply_code(SV("[open"), &name, &value));
	assert_false(imap_reply_code(SV("[]"), &name, &value));
	assert_false(imap_reply_code(SV_NONE, &name, &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(responses_read_the_same_at_every_cut),
		cmocka_unit_test(what_is_larger_than_the_limits_is_not_kept),
		cmocka_unit_test(a_response_code_is_told_apart_from_its_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
