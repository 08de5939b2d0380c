/* Answers of other servers: the same however they are cut, bounded, and harmless as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "smtpd/relay/answer.h"

#include "common/banned.h"

static const struct {
	const char *in;
	enum feed feed;
	unsigned code;
	const char *status, *text;
	size_t left;
} cases[] = {
	{ "220 mx.example ESMTP\r\n", FEED_DONE, 220, "", "mx.example ESMTP", 0 },
	{ "250-mx.example\r\n250-SIZE 100\r\n250 PIPELINING\r\nrest", FEED_DONE, 250, "",
	  "mx.example\nSIZE 100\nPIPELINING", 4 },
	{ "550 5.1.1 no such user\r\n", FEED_DONE, 550, "5.1.1", "no such user", 0 },
	{ "550-5.7.26 one\r\n550 5.7.26 two\r\n", FEED_DONE, 550, "5.7.26", "one\ntwo", 0 },
	{ "550 4.1.1 another class\r\n", FEED_DONE, 550, "", "4.1.1 another class", 0 },
	{ "550 5.1 short\r\n", FEED_DONE, 550, "", "5.1 short", 0 },
	{ "550 5..11 odd\r\n", FEED_DONE, 550, "", "5..11 odd", 0 },
	{ "354\r\n", FEED_DONE, 354, "", "", 0 },
	{ "250 bare\n", FEED_DONE, 250, "", "bare", 0 },
	{ "250-one\r\n251 two\r\n", FEED_BAD, 0, NULL, NULL, 0 },
	{ "hello\r\n", FEED_BAD, 0, NULL, NULL, 0 },
	{ "25\r\n", FEED_BAD, 0, NULL, NULL, 0 },
	{ "\r\n", FEED_BAD, 0, NULL, NULL, 0 },
	{ "250x\r\n", FEED_BAD, 0, NULL, NULL, 0 },
	{ "199 low\r\n", FEED_BAD, 0, NULL, NULL, 0 },
	{ "600 high\r\n", FEED_BAD, 0, NULL, NULL, 0 },
	{ "+50 sign\r\n", FEED_BAD, 0, NULL, NULL, 0 },
	{ "250-not the last\r\n", FEED_MORE, 0, NULL, NULL, 0 },
};

static void an_answer_is_the_same_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].in);

		for (size_t cut = 0; cut <= len; cut++) {
			struct answer a;
			struct sv first = sv_from(cases[i].in, cut);
			struct sv rest = sv_from(cases[i].in + cut, len - cut);
			enum feed got;

			answer_init(&a);
			got = answer_feed(&a, &first);
			if (got == FEED_MORE)
				got = answer_feed(&a, &rest);
			assert_int_equal(got, cases[i].feed);
			if (got == FEED_DONE) {
				assert_int_equal(a.code, cases[i].code);
				assert_string_equal(a.status, cases[i].status);
				assert_true(sv_eq(buf_sv(&a.text), sv_z(cases[i].text)));
				assert_int_equal(first.len + rest.len, cases[i].left);
			}
			answer_done(&a);
		}
	}
}

static void the_next_answer_begins_anew(void **state)
{
	struct answer a;
	struct sv in = SV("550 5.1.1 no\r\n250 ok\r\n");

	(void)state;
	answer_init(&a);
	assert_int_equal(answer_feed(&a, &in), FEED_DONE);
	assert_int_equal(answer_feed(&a, &in), FEED_DONE);
	assert_int_equal(a.code, 250);
	assert_string_equal(a.status, "");
	assert_true(sv_eq(buf_sv(&a.text), SV("ok")));
	answer_done(&a);
}

static void a_megabyte_is_no_answer(void **state)
{
	char *big = xmalloc(1 << 20);
	struct sv in = sv_from(big, 1 << 20);
	struct answer a;

	(void)state;
	memset(big, 'x', 1 << 20);
	memcpy(big, "250-", 4);
	answer_init(&a);
	while (in.len && answer_feed(&a, &in) == FEED_MORE)
		continue;
	in = SV("\r\n");
	assert_int_equal(answer_feed(&a, &in), FEED_BAD);
	assert_true(a.line.line.cap <= 2 * ANSWER_LINE_MAX);
	answer_done(&a);
	answer_init(&a);
	for (int i = 0; i < ANSWER_LINES_MAX; i++) {
		in = SV("250-line\r\n");
		assert_int_equal(answer_feed(&a, &in), FEED_MORE);
	}
	in = SV("250 last\r\n");
	assert_int_equal(answer_feed(&a, &in), FEED_BAD);
	answer_done(&a);
	free(big);
}

static void nothing_in_it_breaks_out_of_a_line(void **state)
{
	struct answer a;
	static const char odd[] = "550-5.1.1 a\x1b[31m\r\n550 5.1.1 b\0c\xff\xc2\x85\r\n";
	struct sv in = sv_from(odd, sizeof(odd) - 1);
	struct buf out;

	(void)state;
	answer_init(&a);
	assert_int_equal(answer_feed(&a, &in), FEED_DONE);
	buf_init(&out, 100);
	assert_true(answer_append(&a, &out));
	assert_true(sv_eq(buf_sv(&out), SV("550 5.1.1 a?[31m b?c???")));
	buf_clear(&out);
	assert_true(answer_clean(&out, SV("gr\xc3\xbc\xc3\x9f\x65 \xc2\x85.")));
	assert_true(sv_eq(buf_sv(&out), SV("gr\xc3\xbc\xc3\x9f\x65 ?.")));
	buf_done(&out);
	answer_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_the_same_however_it_is_cut),
		cmocka_unit_test(the_next_answer_begins_anew),
		cmocka_unit_test(a_megabyte_is_no_answer),
		cmocka_unit_test(nothing_in_it_breaks_out_of_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
