/* What we write ourselves: any program reads it, and nothing in it begins a field of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/charset.h"
#include "common/header.h"
#include "common/mime_write.h"
#include "common/transfer.h"

static void field(const char *text, const char *expected)
{
	struct buf out;

	buf_init(&out, 65536);
	assert_true(mime_write_text_field(&out, SV("Subject"), sv_z(text)));
	assert_string_equal(buf_z(&out), expected);
	buf_done(&out);
}

static void a_field_is_ascii_folded_and_of_one_piece(void **state)
{
	(void)state;
	field("Hello", "Subject: Hello\r\n");
	field("", "Subject: \r\n");
	field("Evil\r\nBcc: x@y", "Subject: Evil  Bcc: x@y\r\n");
	field("Grüße", "Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n");
	field("=?utf-8?q?x?=", "Subject: =?utf-8?B?PT91dGYtOD9xP3g/PQ==?=\r\n");
	field("one two three four five six seven eight nine ten eleven twelve thirteen fourteen",
	      "Subject: one two three four five six seven eight nine ten eleven twelve\r\n thirteen fourteen\r\n");
}

static void long_words_come_back_as_they_were(void **state)
{
	struct buf text, out, plain, back;
	(void)state;

	buf_init(&text, 65536);
	buf_init(&out, 65536);
	buf_init(&plain, 65536);
	buf_init(&back, 65536);
	for (int i = 0; i < 300; i++)
		(void)buf_append(&text, i % 3 ? SV("ü") : SV("x€ "));
	assert_true(mime_write_text_field(&out, SV("Subject"), buf_sv(&text)));
	for (struct sv rest = buf_sv(&out), line; rest.len && sv_split(&rest, '\n', &line); )
		assert_true(line.len <= 79);
	assert_true(header_unfold(sv_sub(buf_sv(&out), 8, SIZE_MAX), &plain));
	assert_true(charset_decode_words(buf_sv(&plain), &back));
	assert_true(sv_eq(buf_sv(&back), buf_sv(&text)));
	buf_done(&text);
	buf_done(&out);
	buf_done(&plain);
	buf_done(&back);
}

static void texts_come_back_as_they_were(void **state)
{
	static const char *const texts[] = { "plain\r\n", "Grüße\r\n", ".dot\r\nFrom here\r\n", "trailing \r\nüx \r\n", "=3D=\r\nü\r\n" };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct transfer_decoder d;
		struct buf out, back;
		size_t body;

		buf_init(&out, 65536);
		buf_init(&back, 65536);
		assert_true(mime_write_plain(&out, sv_z(texts[i])));
		body = sv_search(buf_sv(&out), SV("\r\n\r\n")) + 4;
		transfer_decoder_init(&d, sv_search(buf_sv(&out), SV("quoted-printable")) == SIZE_MAX ? TRANSFER_7BIT :
				      TRANSFER_QUOTED_PRINTABLE);
		assert_false(sv_has_8bit(buf_sv(&out)));
		assert_true(transfer_decoder_feed(&d, sv_sub(buf_sv(&out), body, SIZE_MAX), &back));
		assert_true(transfer_decoder_finish(&d, &back));
		assert_string_equal(buf_z(&back), texts[i]);
		buf_done(&out);
		buf_done(&back);
	}
}

static void lines_end_in_crlf_and_are_short(void **state)
{
	struct buf out, text;
	(void)state;

	buf_init(&out, 65536);
	buf_init(&text, 65536);
	assert_true(mime_write_crlf(&out, SV("a\nb\r\nc\rd\n\ne")));
	assert_string_equal(buf_z(&out), "a\r\nb\r\ncd\r\n\r\ne\r\n");
	for (int i = 0; i < 5000; i++)
		(void)buf_append_c(&text, 'x');
	buf_clear(&out);
	assert_true(mime_write_plain(&out, buf_sv(&text)));
	for (struct sv rest = buf_sv(&out), line; rest.len && sv_split(&rest, '\n', &line); )
		assert_true(line.len <= 78);
	buf_done(&out);
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_field_is_ascii_folded_and_of_one_piece),
		cmocka_unit_test(long_words_come_back_as_they_were),
		cmocka_unit_test(texts_come_back_as_they_were),
		cmocka_unit_test(lines_end_in_crlf_and_are_short),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
