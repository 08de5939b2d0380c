/* Characters: any octets in, well-formed UTF-8 out; names of mailboxes with one spelling only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/charset.h"
#include "common/memory.h"

#define S SV_INIT
#define FFFD "\xef\xbf\xbd"

static void assert_sv(struct sv got, struct sv want, struct sv of)
{
	if (!sv_eq(got, want))
		fail_msg("'%.*s': got '%.*s', wanted '%.*s'", SV_FMT(of), SV_FMT(got), SV_FMT(want));
}

static void charsets_are_converted_alike_however_they_are_cut(void **state)
{
	static const struct { struct sv label, in, out; } cases[] = {
		{ S("utf-8"), S("gr\xc3\xbc\xc3\x9f \xf0\x9f\x93\xa7"), S("gr\xc3\xbc\xc3\x9f \xf0\x9f\x93\xa7") },
		{ S("UTF-8"), S("a\xff" "b\xc3"), S("a" FFFD "b" FFFD) },
		{ S("utf-8"), S("\xe2\x82z\xf0\x9f\x93"), S(FFFD "z" FFFD) },
		{ S("utf-8"), S("\xed\xa0\x80"), S(FFFD FFFD FFFD) },
		{ S("utf-8"), S("\xc0\xaf\xf5"), S(FFFD FFFD FFFD) },
		{ S("us-ascii"), S("caf\xe9 \x80"), S("caf\xc3\xa9 \xe2\x82\xac") },
		{ S(""), S("caf\xe9"), S("caf\xc3\xa9") },
		{ S("ISO-8859-1"), S("\x93x\x94"), S("\xe2\x80\x9cx\xe2\x80\x9d") },
		{ S("iso-8859-2"), S("\xb9"), S("\xc5\xa1") },
		{ S("iso-8859-15"), S("\xa4"), S("\xe2\x82\xac") },
		{ S("koi8-r"), S("\xf0\xd2\xc9\xd7\xc5\xd4"), S("\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82") },
		{ S("iso-2022-jp"), S("\x1b$B$3$s\x1b(B!"), S("\xe3\x81\x93\xe3\x82\x93!") },
		{ S("Shift_JIS"), S("\x82\xb1\x82\xf1!"), S("\xe3\x81\x93\xe3\x82\x93!") },
		{ S("euc-jp"), S("\xa4\xb3\xa4\xf3"), S("\xe3\x81\x93\xe3\x82\x93") },
		{ S("gb2312"), S("\xc4\xe3\xba\xc3"), S("\xe4\xbd\xa0\xe5\xa5\xbd") },
		{ S("gb18030"), S("\x94\x39\xda\x33"), S("\xf0\x9f\x92\xa9") },
		{ S("big5"), S("\xa7\x41\xa6\x6e"), S("\xe4\xbd\xa0\xe5\xa5\xbd") },
		{ S("euc-kr"), S("\xc7\xd1"), S("\xed\x95\x9c") },
		{ S("shift_jis"), S("a\x82"), S("a" FFFD) },
		{ S("shift_jis"), S("\xff" "b"), S(FFFD "b") },
		{ S("iso-8859-8-i"), S("\xf9"), S("\xd7\xa9") },
		{ S("windows-1251"), S("\xcf"), S("\xd0\x9f") },
		{ S("utf-16"), S("\xfe\xff\0a\xd8\x3d\xdc\xa9"), S("a\xf0\x9f\x92\xa9") },
		{ S("utf-16be"), S("\0a\xd8\x3d"), S("a" FFFD) },
		{ S("utf-7"), S("a&+AOQ-b"), S("a&\xc3\xa4" "b") },
		{ S("utf-7"), S("1 +- 1 +2D3cqQ-+AOQ x+(+2D0-+2D0AYQ-+3Kk-\xff+"),
		  S("1 + 1 \xf0\x9f\x92\xa9\xc3\xa4 x+(" FFFD FFFD "a" FFFD FFFD "+") },
		/* unknown: UTF-8 if it is */
		{ S("x-nothing"), S("\xc3\xa4\xe4"), S("\xc3\xa4" FFFD) },
		{ S("iso-2022-cn-ext"), S("a\x1b"), S("a\x1b") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t cut = 0; cut <= cases[i].in.len; cut++)
			for (size_t second = cut; second <= cases[i].in.len; second++) {
				struct buf b;
				struct charset_converter *c = charset_converter_new(cases[i].label);
				char *copy = malloc(cases[i].in.len);
				struct sv in = { copy, cases[i].in.len };
				memcpy(copy, cases[i].in.p, in.len);
				buf_init(&b, 1000);
				assert_true(charset_converter_feed(c, sv_sub(in, 0, cut), &b));
				assert_true(charset_converter_feed(c, sv_sub(in, cut, second - cut), &b));
				assert_true(charset_converter_feed(c, sv_sub(in, second, SIZE_MAX), &b));
				assert_true(charset_converter_finish(c, &b));
				assert_sv(buf_sv(&b), cases[i].out, cases[i].in);
				assert_true(b.len <= 4 * in.len);
				charset_converter_free(&c);
				buf_done(&b);
				free(copy);
			}
}

static void only_listed_labels_are_known(void **state)
{
	static const char *const known[] = {
		"utf-8", "UTF8", "us-ascii", "ISO-8859-1", "latin1", "windows-1252", "Windows-1251", "gbk", "gb_2312-80",
		"GB18030", "big5", "shift_jis", "Shift-JIS", "sjis", "euc-jp", "iso-2022-jp", "iso-2022-kr", "euc-kr",
		"ks_c_5601-1987", "koi8-r", "koi8-u", "iso-8859-6-e", "iso-8859-16", "iso_8859-1", "iso8859-1", "tis-620",
		"macintosh", "x-mac-cyrillic", "x-sjis", "unicode-1-1-utf-7", "utf-7", "utf-16", "ansi_x3.4-1968", "cp437",
		"windows-874", "x-windows-949", "cp866", "ms_kanji", "unicode-1-1-utf-8",
	};
	static const char *const unknown[] = {
		"", "iso-2022-cn-ext", "ISO-2022-CN-EXT", "hz-gb-2312", "x-unknown", "utf-8//TRANSLIT", "UTF-8 ", "ucs-2",
		"../../x", "ebcdic-us", "%s",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!charset_is_known(sv_z(known[i])))
			fail_msg("%s is not known", known[i]);
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		if (charset_is_known(sv_z(unknown[i])))
			fail_msg("%s is known", unknown[i]);
	charset_preload();
}

static void output_ends_at_a_character_when_the_buffer_is_full(void **state)
{
	(void)state;
	for (size_t max = 0; max < 12; max++) {
		struct buf b;
		buf_init(&b, max);
		bool fits = charset_to_utf8(SV("utf-8"), SV("a\xc3\xbc\xf0\x9f\x93\xa7" "b"), &b);
		assert_int_equal(fits, max >= 8);
		assert_true(sv_is_utf8(buf_sv(&b)));
		buf_clear(&b);
		(void)charset_to_utf8(SV("shift_jis"), SV("\x82\xb1\x82\xf1\xff!"), &b);
		assert_true(sv_is_utf8(buf_sv(&b)));
		buf_clear(&b);
		(void)charset_decode_words(SV("=?utf-8?q?=C3=BC=C3=BC?= \xfc"), &b);
		assert_true(sv_is_utf8(buf_sv(&b)));
		buf_done(&b);
	}
}

static void encoded_words_are_decoded(void **state)
{
	static const struct { struct sv in, out; } cases[] = {
		{ S(""), S("") },
		{ S("plain = text =? x"), S("plain = text =? x") },
		/* RFC 2047 §8 */
		{ S("=?ISO-8859-1?Q?a?="), S("a") },
		{ S("=?ISO-8859-1?Q?a?= b"), S("a b") },
		{ S("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?="), S("ab") },
		{ S("=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?="), S("ab") },
		{ S("=?ISO-8859-1?Q?a_b?="), S("a b") },
		{ S("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?="), S("a b") },
		{ S("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>"), S("Keith Moore <moore@cs.utk.edu>") },
		{ S("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?="),
		  S("If you can read this you understand the example.") },
		{ S("=?utf-8*en?q?J=C3=B6rg?="), S("J\xc3\xb6rg") },
		/* a character split over two words */
		{ S("=?utf-8?q?J=C3?= =?UTF-8?b?tnJn?="), S("J\xc3\xb6rg") },
		{ S("=?utf-8?q?J=C3?= =?iso-8859-1?q?rg?="), S("J" FFFD "rg") },
		{ S("=?utf-8?q?J=C3?= x =?utf-8?q?=B6?="), S("J" FFFD " x " FFFD) },
		/* malformed ones stay */
		{ S("=?utf-8?q?a b?="), S("=?utf-8?q?a b?=") },
		{ S("=?utf-8?x?ab?="), S("=?utf-8?x?ab?=") },
		{ S("=?x-none?q?ab?="), S("=?x-none?q?ab?=") },
		{ S("=?utf-8?q?ab"), S("=?utf-8?q?ab") },
		{ S("=?utf-8?q?ab?"), S("=?utf-8?q?ab?") },
		{ S("=?utf-8?q"), S("=?utf-8?q") },
		{ S("=??q?a?="), S("=??q?a?=") },
		{ S("x=?utf-8?q?=C3=BC?=y"), S("x\xc3\xbcy") },
		{ S("=?utf-8?q?a?b?="), S("a?b") },
		{ S("=?utf-8?q?=GG=4?="), S("=GG=4") },
		{ S("=?utf-8?q?\?="), S("") },
		{ S("=?utf-8?b?!!!?="), S("") },
		{ S("=?utf-8?q?a=0D=0ABcc:=00x?="), S("a  Bcc: x") },
		/* raw octets */
		{ S("J\xc3\xb6rg"), S("J\xc3\xb6rg") },
		{ S("J\xf6rg"), S("J\xc3\xb6rg") },
		{ S("J\xf6rg =?utf-8?q?=C3=B6?="), S("J\xc3\xb6rg \xc3\xb6") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b;
		buf_init(&b, 1000);
		for (size_t n = 0; n <= cases[i].in.len; n++) {
			char *copy = malloc(n ? n : 1);
			memcpy(copy, cases[i].in.p, n);
			buf_clear(&b);
			assert_true(charset_decode_words(sv_from(copy, n), &b));
			assert_true(sv_is_utf8(buf_sv(&b)));
			free(copy);
		}
		assert_sv(buf_sv(&b), cases[i].out, cases[i].in);
		buf_done(&b);
	}
}

static void texts_that_people_call_equal_fold_to_the_same(void **state)
{
	static const struct { struct sv a, b; bool is_equal; } cases[] = {
		{ S("Stra\xc3\x9f" "e"), S("STRA\xc3\x9f" "E"), true },
		{ S("\xc3\xbc"), S("\xc3\x9c"), true },
		{ S("\xc3\xbc"), S("u\xcc\x88"), true },                        /* composed, decomposed */
		{ S("\xef\xac\x81"), S("fi"), false },                          /* RFC 5051: title first, then decompose */
		{ S("\xd0\xbf"), S("\xd0\x9f"), true },
		{ S("\xef\xbc\xa1"), S("a"), true },                            /* full width */
		{ S("\xed\x95\x9c"), S("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"), true },
		{ S("\xff\xfe" "a"), S("\xff\xfe" "A"), true },
		{ S("a"), S("b"), false },
		{ S("u"), S("\xc3\xbc"), false },                               /* the comparator keeps marks */
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf a, b;
		buf_init(&a, 100);
		buf_init(&b, 100);
		assert_true(utf8_casemap(cases[i].a, &a));
		assert_true(utf8_casemap(cases[i].b, &b));
		if (sv_eq(buf_sv(&a), buf_sv(&b)) != cases[i].is_equal)
			fail_msg("'%.*s' and '%.*s': '%.*s' and '%.*s'", SV_FMT(cases[i].a), SV_FMT(cases[i].b),
				 SV_FMT(buf_sv(&a)), SV_FMT(buf_sv(&b)));
		buf_done(&a);
		buf_done(&b);
	}
	struct buf b;
	buf_init(&b, 100);
	assert_true(utf8_nfc(SV("u\xcc\x88"), &b));
	assert_sv(buf_sv(&b), SV("\xc3\xbc"), SV("nfc"));
	assert_false(utf8_nfc(SV("\xff"), &b));
	assert_true(utf8_clean(SV("\xff!"), &b));
	assert_sv(buf_sv(&b), SV("\xc3\xbc" FFFD "!"), SV("clean"));
	buf_done(&b);
}

static void mailbox_names_have_one_spelling(void **state)
{
	static const struct { struct sv utf7, utf8; } good[] = {
		{ S(""), S("") },
		{ S("INBOX"), S("INBOX") },
		{ S("~peter/mail/&U,BTFw-/&ZeVnLIqe-"), S("~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e") },
		{ S("&Jjo-!"), S("\xe2\x98\xba!") },
		{ S("a&-b"), S("a&b") },
		{ S("&-"), S("&") },
		{ S("&-&-"), S("&&") },
		{ S("Entw&APw-rfe"), S("Entw\xc3\xbcrfe") },
		{ S("&2D3cqQ-"), S("\xf0\x9f\x92\xa9") },
		{ S("&AOQ-&-"), S("\xc3\xa4&") },
		{ S("&AAE-"), S("\x01") },
		{ S("&AOQA9g-"), S("\xc3\xa4\xc3\xb6") },
		{ S("&AOQA9gD8-"), S("\xc3\xa4\xc3\xb6\xc3\xbc") },
	};
	static const struct sv bad[] = {
		S("&"), S("a&b"), S("&Jjo"), S("&Jjo!"), S("&U,BTFw-&ZeVnLIqe-"), S("&AGE-"), S("&ACY-"), S("&AAA-"),
		S("&2D0-"), S("&3Kk-"), S("&2D0AYQ-"), S("&2D3YPQ-"), S("&Jjp-"), S("&JjoA-"), S("&Jj-"), S("&A-"), S("&AOQ=-"),
		S("&AO/-"), S("\xc3\xa4"), S("a\x01"), S("a\x7f"), S("a\0"), S("&AOR-"), S("&AOQAA-"), S("&AOQAAA-"),
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct buf b;
		buf_init(&b, 100);
		if (!mutf7_to_utf8(good[i].utf7, &b))
			fail_msg("'%.*s' was refused", SV_FMT(good[i].utf7));
		assert_sv(buf_sv(&b), good[i].utf8, good[i].utf7);
		buf_clear(&b);
		assert_true(utf8_to_mutf7(good[i].utf8, &b));
		assert_sv(buf_sv(&b), good[i].utf7, good[i].utf8);
		buf_done(&b);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct buf b;
		buf_init(&b, 100);
		if (mutf7_to_utf8(bad[i], &b))
			fail_msg("'%.*s' was taken", SV_FMT(bad[i]));
		assert_int_equal(b.len, 0);
		buf_done(&b);
	}
	struct buf b;
	buf_init(&b, 100);
	assert_false(utf8_to_mutf7(SV("\xff"), &b));
	assert_false(utf8_to_mutf7(SV("a\0b"), &b));
	buf_done(&b);
	buf_init(&b, 3);
	assert_false(utf8_to_mutf7(SV("a\xc3\xa4"), &b));
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

static void every_ascii_octet_folds_to_its_capital_at_every_place(void **state)
{
	(void)state;
	for (size_t at = 0; at < 19; at++)
		for (int c = 0; c < 128; c++) {
			char text[19], want[19];
			struct buf folded;

			memset(text, c ^ 'q' ? 'q' : 'r', sizeof(text));
			text[at] = (char)c;
			for (size_t i = 0; i < sizeof(text); i++)
				want[i] = ascii_upper(text[i]);
			buf_init(&folded, sizeof(text));
			assert_true(utf8_casemap(sv_from(text, sizeof(text)), &folded));
			assert_true(sv_eq(buf_sv(&folded), sv_from(want, sizeof(want))));
			buf_done(&folded);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_ascii_octet_folds_to_its_capital_at_every_place),
		cmocka_unit_test(charsets_are_converted_alike_however_they_are_cut),
		cmocka_unit_test(only_listed_labels_are_known),
		cmocka_unit_test(output_ends_at_a_character_when_the_buffer_is_full),
		cmocka_unit_test(encoded_words_are_decoded),
		cmocka_unit_test(texts_that_people_call_equal_fold_to_the_same),
		cmocka_unit_test(mailbox_names_have_one_spelling),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
