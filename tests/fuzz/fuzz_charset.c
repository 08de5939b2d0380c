/* tests/fuzz/fuzz_charset.c - any octets in any charset, as encoded-words, transfer encodings and mailbox names: UTF-8 comes
 * out, bounded, the same however it is cut. The first octet chooses the charset, the second the cut. */
#include <stdlib.h>

#include "common/charset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void convert(struct sv label, struct sv text, size_t step, struct buf *out)
{
	struct charset_converter *c = charset_converter_new(label);

	for (size_t at = 0; at < text.len; at += step)
		if (!charset_converter_feed(c, sv_sub(text, at, step), out))
			abort();
	if (!charset_converter_finish(c, out))
		abort();
	charset_converter_free(&c);
}

static void decode(enum transfer kind, struct sv text, size_t step, struct buf *out)
{
	struct transfer_decoder d;

	transfer_decoder_init(&d, kind);
	for (size_t at = 0; at < text.len; at += step)
		if (!transfer_decoder_feed(&d, sv_sub(text, at, step), out))
			abort();
	if (!transfer_decoder_finish(&d, out) || out->len > text.len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const labels[] = {
		"utf-8", "us-ascii", "windows-1252", "iso-8859-2", "iso-2022-jp", "shift_jis", "euc-jp", "gb18030", "big5",
		"euc-kr", "iso-2022-kr", "utf-16", "utf-16be", "utf-7", "koi8-r", "no-such-charset",
	};
	if (size < 2)
		return 0;
	struct sv label = sv_z(labels[data[0] % ARRAY_LEN(labels)]), text = { (const char *)data + 2, size - 2 };
	size_t step = data[1] % 11 + 1;
	struct buf whole, cut;

	buf_init(&whole, 8 * size + 256);
	buf_init(&cut, 8 * size + 256);
	convert(label, text, text.len + 1, &whole);
	convert(label, text, step, &cut);
	if (!sv_is_utf8(buf_sv(&whole)) || !sv_eq(buf_sv(&whole), buf_sv(&cut)))
		abort();
	for (int kind = TRANSFER_BASE64; kind <= TRANSFER_QUOTED_PRINTABLE; kind++) {
		buf_clear(&whole);
		buf_clear(&cut);
		decode((enum transfer)kind, text, text.len + 1, &whole);
		decode((enum transfer)kind, text, step, &cut);
		if (!sv_eq(buf_sv(&whole), buf_sv(&cut)))
			abort();
	}
	buf_clear(&whole);
	if (!charset_decode_words(text, &whole) || !sv_is_utf8(buf_sv(&whole)))
		abort();
	buf_clear(&cut);
	struct buf small;
	buf_init(&small, step);
	(void)charset_decode_words(text, &small);       /* cut, and at a character */
	if (!sv_is_utf8(buf_sv(&small)))
		abort();
	buf_done(&small);
	buf_clear(&whole);
	if (mutf7_to_utf8(text, &whole))        /* one name, one spelling */
		if (!sv_is_utf8(buf_sv(&whole)) || !utf8_to_mutf7(buf_sv(&whole), &cut) || !sv_eq(buf_sv(&cut), text))
			abort();
	buf_clear(&whole);
	buf_clear(&cut);
	if (utf8_to_mutf7(text, &whole))
		if (!mutf7_to_utf8(buf_sv(&whole), &cut) || !sv_eq(buf_sv(&cut), text))
			abort();
	buf_done(&whole);
	buf_done(&cut);
	struct buf folded;
	buf_init(&folded, 64 * size + 64);
	if (!utf8_casemap(text, &folded))
		abort();
	buf_clear(&folded);
	(void)utf8_nfc(text, &folded);
	buf_clear(&folded);
	if (!utf8_clean(text, &folded) || !sv_is_utf8(buf_sv(&folded)))
		abort();
	buf_done(&folded);
	return 0;
}
