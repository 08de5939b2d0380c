/* base64 and quoted-printable: strict for protocols, forgiving for mail, the same at every cut point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/transfer.h"

#define S SV_INIT

static void assert_sv(struct sv got, struct sv want)
{
	if (!sv_eq(got, want))
		fail_msg("got '%.*s', wanted '%.*s'", SV_FMT(got), SV_FMT(want));
}

static void base64_agrees_with_the_vectors_of_rfc_4648(void **state)
{
	static const struct { struct sv plain, coded; } cases[] = {
		{ S(""), S("") }, { S("f"), S("Zg==") }, { S("fo"), S("Zm8=") }, { S("foo"), S("Zm9v") },
		{ S("foob"), S("Zm9vYg==") }, { S("fooba"), S("Zm9vYmE=") }, { S("foobar"), S("Zm9vYmFy") },
		{ S("\0alice\0s\xc3\xa9"), S("AGFsaWNlAHPDqQ==") }, { S("\xff\xfe\xfd"), S("//79") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b;
		buf_init(&b, 100);
		assert_true(base64_encode(cases[i].plain, &b));
		assert_sv(buf_sv(&b), cases[i].coded);
		buf_clear(&b);
		assert_true(base64_decode(cases[i].coded, &b));
		assert_sv(buf_sv(&b), cases[i].plain);
		buf_done(&b);
	}
}

static void strict_base64_refuses_everything_else(void **state)
{
	static const struct sv bad[] = {
		S("Z"), S("Zg"), S("Zg="), S("Zg==="), S("Z==="), S("===="), S("="), S("Zm9v\n"), S("Zm9v "), S("Zm 9v"),
		S("Zh=="), S("Zm9="), S("Zg==Zg=="), S("Zm9v===="), S("Zm-v"), S("Zm_v"), S("Zm9\0"), S("Z=9v"), S("Zg=v"),
		S("\xc3\xa4\xc3\xa4"), S("*"),
	};
	struct buf b;
	(void)state;
	buf_init(&b, 100);
	assert_true(buf_append(&b, SV("kept")));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (base64_decode(bad[i], &b))
			fail_msg("'%.*s' was taken", SV_FMT(bad[i]));
		assert_sv(buf_sv(&b), SV("kept"));
	}
	b.max = 8;
	assert_false(base64_decode(SV("Zm9vYmFy"), &b));
	assert_false(base64_encode(SV("foob"), &b));
	assert_sv(buf_sv(&b), SV("kept"));
	buf_done(&b);
}

static void base64_of_every_length_comes_back_and_obeys_the_limit(void **state)
{
	char data[100];
	struct buf text, back;
	(void)state;
	for (size_t n = 0; n < sizeof(data); n++)
		data[n] = (char)(n * 151 + 7);
	for (size_t n = 0; n <= sizeof(data); n++) {
		buf_init(&text, (n + 2) / 3 * 4);
		buf_init(&back, n);
		assert_true(base64_encode(sv_from(data, n), &text));
		assert_true(base64_decode(buf_sv(&text), &back));
		assert_sv(buf_sv(&back), sv_from(data, n));
		assert_false(base64_encode(SV("x"), &text));
		assert_false(base64_decode(SV("eHh4"), &back));
		assert_int_equal(back.len, n);
		buf_done(&text);
		buf_done(&back);
	}
}

static void bodies_are_decoded_alike_however_they_are_cut(void **state)
{
	static const struct { enum transfer kind; struct sv in, out; } cases[] = {
		{ TRANSFER_BASE64, S("Zm9v\r\nYmFy\r\n"), S("foobar") },
		{ TRANSFER_BASE64, S("Zm9vYg==\r\n"), S("foob") },
		{ TRANSFER_BASE64, S("Zm9vYg"), S("foob") },
		{ TRANSFER_BASE64, S("Zm9vYmE"), S("fooba") },
		{ TRANSFER_BASE64, S("Zm9vY"), S("foo") },
		{ TRANSFER_BASE64, S("Z!m*9\0v"), S("foo") },
		{ TRANSFER_BASE64, S("Zg==Zm8="), S("ffo") },
		{ TRANSFER_BASE64, S("====="), S("") },
		{ TRANSFER_QUOTED_PRINTABLE, S("a=3Db=\r\nc=0A"), S("a=bc\n") },
		{ TRANSFER_QUOTED_PRINTABLE, S("a \t \r\nb  c \n d "), S("a\r\nb  c\n d") },
		{ TRANSFER_QUOTED_PRINTABLE, S("a= \t\r\nb=\nc=  x=\ty"), S("abc= x= y") },
		{ TRANSFER_QUOTED_PRINTABLE, S("=c3=A9=XY=4=="), S("\xc3\xa9=XY=4=") },
		{ TRANSFER_QUOTED_PRINTABLE, S("a \rb\r\r\n"), S("a \rb\r\r\n") },
		{ TRANSFER_QUOTED_PRINTABLE, S("=4"), S("=4") },
		{ TRANSFER_QUOTED_PRINTABLE, S("x=\ry"), S("xy") },
		{ TRANSFER_QUOTED_PRINTABLE, S("a \r"), S("a \r") },
		{ TRANSFER_QUOTED_PRINTABLE, S("a                                                                      b"),
		  S("a                                                                      b") },
		{ TRANSFER_8BIT, S("a=3D \r\n"), S("a=3D \r\n") },
		{ TRANSFER_OTHER, S("begin 644"), S("begin 644") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t cut = 0; cut <= cases[i].in.len; cut++) {
			struct transfer_decoder d;
			struct buf b;
			char *copy = sv_copy_z(cases[i].in);
			buf_init(&b, 1000);
			transfer_decoder_init(&d, cases[i].kind);
			assert_true(transfer_decoder_feed(&d, sv_from(copy, cut), &b));
			assert_true(transfer_decoder_feed(&d, sv_from(copy + cut, cases[i].in.len - cut), &b));
			assert_true(transfer_decoder_finish(&d, &b));
			assert_sv(buf_sv(&b), cases[i].out);
			buf_done(&b);
			free(copy);
		}
}

static void encodings_are_named_with_case_comments_and_spaces(void **state)
{
	(void)state;
	assert_int_equal(transfer_from(SV(" BASE64 ")), TRANSFER_BASE64);
	assert_int_equal(transfer_from(SV("Quoted-Printable (x)")), TRANSFER_QUOTED_PRINTABLE);
	assert_int_equal(transfer_from(SV(" (a (nested \\) one)) 8bit")), TRANSFER_8BIT);
	assert_int_equal(transfer_from(SV("binary;x")), TRANSFER_BINARY);
	assert_int_equal(transfer_from(SV("7BIT")), TRANSFER_7BIT);
	assert_int_equal(transfer_from(SV("")), TRANSFER_7BIT);
	assert_int_equal(transfer_from(SV("x-uuencode")), TRANSFER_OTHER);
	assert_int_equal(transfer_from(SV("base64ish")), TRANSFER_OTHER);
	assert_int_equal(transfer_from(SV("(never ends")), TRANSFER_7BIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_agrees_with_the_vectors_of_rfc_4648),
		cmocka_unit_test(strict_base64_refuses_everything_else),
		cmocka_unit_test(base64_of_every_length_comes_back_and_obeys_the_limit),
		cmocka_unit_test(bodies_are_decoded_alike_however_they_are_cut),
		cmocka_unit_test(encodings_are_named_with_case_comments_and_spaces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
