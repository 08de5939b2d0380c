/* The first words of a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "imapd/preview.h"

#include "common/banned.h"

static void make(struct sv text, bool is_html, struct buf *out)
{
	char *copy = xmalloc(text.len + !text.len);

	memcpy(copy, text.p, text.len);
	preview_make(sv_from(copy, text.len), is_html, out);
	free(copy);
}

static void words_are_left_and_nothing_else(void **state)
{
	static const struct { const char *text; bool is_html; const char *want; } cases[] = {
		{ "", false, "" },
		{ "  Hello,\r\n\r\n\tworld!  \r\n", false, "Hello, world!" },
		{ "> you said\r\n> this\r\nI say that\r\n", false, "I say that" },
		{ "a\xc2\xa0\xc2\xad" "b\xe2\x80\x8c\xef\xbb\xbf" "c\x01" "d", false, "a bc d" },
		{ "gr\xc3\xbc\xc3\x9f" "e \xf0\x9f\x98\x80 \xf0\x9f", false, "gr\xc3\xbc\xc3\x9f" "e \xf0\x9f\x98\x80" },
		{ "\xff\xfe", false, "" },
		{ "1 < 2 & <b>", false, "1 < 2 & <b>" },
		{ "<html><head><title>x</title><style>p{}</style></head><body><p>One</p><p>two <b>th</b>ree", true, "One two three" },
		{ "<!-- hidden --><DIV>a&nbsp;&amp;&#98;&#x63;&lt;&bogus;&</DIV>", true, "a &bc<&bogus;&" },
		{ "<script>var a = '<p>';</SCRIPT>text", true, "text" },
		{ "<style>never closed", true, "" },
		{ "<p", true, "" },
		{ "1 < 2 <3", true, "1 < 2 <3" },
		{ "&#0;&#1114112;&#xd800;&#;&;x", true, "&#;&;x" },
		{ "<img alt=\"x\">caf&eacute;", true, "caf\xc3\xa9" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out = { .max = PREVIEW_MAX };

		make(sv_z(cases[i].text), cases[i].is_html, &out);
		if (!sv_eq(buf_sv(&out), sv_z(cases[i].want)))
			fail_msg("%s: %.*s", cases[i].text, SV_FMT(buf_sv(&out)));
		buf_done(&out);
	}
}

static void no_more_than_200_characters(void **state)
{
	static const char *const units[] = { "x", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "ab ", "&amp;" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		struct buf text = { .max = 1 << 16 }, out = { .max = PREVIEW_MAX };
		size_t chars = 0;

		for (int n = 0; n < 1000; n++)
			buf_append(&text, sv_z(units[i]));
		make(buf_sv(&text), true, &out);
		assert_true(sv_is_utf8(buf_sv(&out)));
		for (size_t at = 0; at < out.len; at++)
			chars += (out.p[at] & 0xc0) != 0x80;
		assert_true(chars <= PREVIEW_CHARS && chars >= PREVIEW_CHARS - 1);
		buf_done(&text);
		buf_done(&out);
	}
}

static void every_beginning_of_a_text_has_a_preview(void **state)
{
	struct sv text = SV("<html><head>\xc3\xbc</head><!-- -->&#xe4;<style>a</style><p>Gr\xc3\xbc\xc3\x9f" "e &amp; <b>mehr</b>");

	(void)state;
	for (size_t n = 0; n <= text.len; n++)
		for (int is_html = 0; is_html < 2; is_html++) {
			struct buf out = { .max = PREVIEW_MAX };

			make(sv_sub(text, 0, n), is_html, &out);
			assert_true(sv_is_utf8(buf_sv(&out)));
			buf_done(&out);
		}
}

static void the_first_plain_text_is_taken_else_the_first_html(void **state)
{
	static const struct { const char *message, *want; } cases[] = {
		{ "\r\nhello\r\n", "plain" },
		{ "Content-Type: image/png\r\n\r\nxxxx\r\n", NULL },
		{ "Content-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nhello\r\n", NULL },
		{ "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>one\r\n"
		  "--b\r\nContent-Type: text/plain\r\n\r\ntwo\r\n--b--\r\n", "plain" },
		{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\none\r\n"
		  "--b\r\nContent-Type: text/html\r\n\r\n<p>two\r\n--b--\r\n", "html" },
		{ "Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\n"
		  "Version: 1\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\nx\r\n--b--\r\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct mime_message *m = mime_parse(sv_z(cases[i].message));
		struct mime_part part;

		assert_int_equal(preview_part(m, &part), cases[i].want != NULL);
		if (cases[i].want)
			assert_true(sv_eq(part.subtype, sv_z(cases[i].want)));
		mime_message_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_left_and_nothing_else),
		cmocka_unit_test(no_more_than_200_characters),
		cmocka_unit_test(every_beginning_of_a_text_has_a_preview),
		cmocka_unit_test(the_first_plain_text_is_taken_else_the_first_html),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
