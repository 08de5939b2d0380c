/* What strangers may not tell: taken out, however the octets are cut; all else stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "smtpd/strip.h"

#include "common/banned.h"

#define AR "Authentication-Results:"

static const struct { const char *in, *out; } cases[] = {
	{ AR " mx.example.test; spf=pass\r\nSubject: x\r\n\r\nbody", "Subject: x\r\n\r\nbody" },
	{ "A: b\r\n" AR " mx.example.test;\r\n\tspf=pass;\r\n dkim=pass\r\nC: d\r\n\r\n", "A: b\r\nC: d\r\n\r\n" },
	{ AR " MX.Example.TEST. 1; spf=pass\r\n\r\n", "\r\n" },
	{ AR "mx.example.test;none\r\n\r\n", "\r\n" },
	{ "authentication-RESULTS : (a (b) c)\r\n\t\"mx.example.test\"; none\r\n\r\n", "\r\n" },
	{ AR "\r\n mx.example.test; none\r\nX: y\r\n\r\n", "X: y\r\n\r\n" },
	{ AR " other.example; spf=pass\r\n\r\n", AR " other.example; spf=pass\r\n\r\n" },
	{ AR " mx.example.test.evil.example; spf=pass\r\n\r\n", AR " mx.example.test.evil.example; spf=pass\r\n\r\n" },
	{ AR " other.example;\r\n\tspf=pass\r\nX: y\r\n\r\n", AR " other.example;\r\n\tspf=pass\r\nX: y\r\n\r\n" },
	{ "Authentication-Resultss: mx.example.test\r\n\r\n", "Authentication-Resultss: mx.example.test\r\n\r\n" },
	{ "Authentication-Result", "Authentication-Result" },
	{ "X-Postroom-Junk: no\r\nReturn-Path: <a@b>\r\nReturn: x\r\n\r\nX-Postroom-Junk: body\r\n",
	  "Return: x\r\n\r\nX-Postroom-Junk: body\r\n" },
	{ "X: y\r\n\r\n" AR " mx.example.test; none\r\n", "X: y\r\n\r\n" AR " mx.example.test; none\r\n" },
	{ "\r\n" AR " mx.example.test; none\r\n", "\r\n" AR " mx.example.test; none\r\n" },
	{ " folded at the top\r\nX: y\r\n\r\n", " folded at the top\r\nX: y\r\n\r\n" },
	{ "X:\r\rY: z\r\n\r\n", "X:\r\rY: z\r\n\r\n" },
	{ "", "" },
};

static bool sink(void *ctx, struct sv octets)
{
	return buf_append(ctx, octets);
}

static void what_claims_to_be_ours_goes_and_all_else_stays(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sv in = sv_z(cases[i].in);

		for (size_t cut = 0; cut <= in.len; cut++) {
			struct strip s;
			struct buf out;

			buf_init(&out, 10000);
			strip_init(&s, "mx.example.test", sink, &out);
			assert_true(strip_feed(&s, sv_sub(in, 0, cut)));
			assert_true(strip_feed(&s, sv_sub(in, cut, SIZE_MAX)));
			assert_true(strip_finish(&s));
			if (!sv_eq(buf_sv(&out), sv_z(cases[i].out)))
				fail_msg("case %zu cut at %zu: %.*s", i, cut, SV_FMT(buf_sv(&out)));
			buf_done(&out);
		}
	}
}

static void a_name_hidden_behind_a_long_comment_goes_too(void **state)
{
	struct strip s;
	struct buf out, in;
	(void)state;

	buf_init(&in, 100000);
	buf_init(&out, 100000);
	buf_append(&in, SV(AR " ("));
	for (int i = 0; i < 3000; i++)
		buf_append(&in, SV("x\r\n "));
	buf_append(&in, SV(") mx.example.test; spf=pass\r\nX: y\r\n\r\n"));
	strip_init(&s, "mx.example.test", sink, &out);
	for (size_t i = 0; i < in.len; i++)
		assert_true(strip_feed(&s, sv_sub(buf_sv(&in), i, 1)));
	assert_true(strip_finish(&s));
	assert_true(sv_eq(buf_sv(&out), SV("X: y\r\n\r\n")));
	assert_int_equal(s.taken, 1);
	buf_done(&in);
	buf_done(&out);
}

static unsigned pieces;

static bool counting_sink(void *ctx, struct sv octets)
{
	pieces++;
	return sink(ctx, octets);
}

static void a_header_goes_on_in_large_pieces(void **state)
{
	struct strip s;
	struct buf out, in;

	(void)state;
	buf_init(&in, 100000);
	buf_init(&out, 100000);
	for (int i = 0; i < 300; i++)
		buf_append(&in, SV("X-Field: of some\r\n\tlines, as they are in a signature\r\n"));
	buf_append(&in, SV("\r\nbody\r\n"));
	strip_init(&s, "mx.example.test", counting_sink, &out);
	pieces = 0;
	assert_true(strip_feed(&s, buf_sv(&in)));
	assert_true(strip_finish(&s));
	assert_true(sv_eq(buf_sv(&out), buf_sv(&in)));
	assert_in_range(pieces, 1, in.len / 4096);
	buf_done(&in);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_claims_to_be_ours_goes_and_all_else_stays),
		cmocka_unit_test(a_name_hidden_behind_a_long_comment_goes_too),
		cmocka_unit_test(a_header_goes_on_in_large_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
