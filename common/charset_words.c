#include "common/charset.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

/* RFC 2047 §2 says 75. A longer text is none; else many beginnings without an end would each be read to the end. */
#define WORD_MAX ((size_t)4 << 10)

/* =?charset*language?B?text?= (RFC 2047 §2, RFC 2231 §5) */
struct word {
	struct sv charset, text;
	bool is_base64;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The part up to the next '?', which must come before any space. */
static bool take_part(struct sv *s, struct sv *part)
{
	size_t n = 0;

	while (n < s->len && s->p[n] != '?' && s->p[n] > ' ' && s->p[n] < 127)
		n++;
	if (n == s->len || s->p[n] != '?')
		return false;
	*part = sv_sub(*s, 0, n);
	sv_skip(s, n + 1);
	return true;
}

/* An encoded-word at the beginning of *s; *s is moved behind it if it can be decoded. */
static bool take_encoded_word(struct sv *s, struct word *w)
{
	struct sv rest = *s, encoding;

	if (!sv_starts(rest, SV("=?")))
		return false;
	sv_skip(&rest, 2);
	if (!take_part(&rest, &w->charset) || !take_part(&rest, &encoding))
		return false;
	w->is_base64 = sv_eq_nocase(encoding, SV("B"));
	if (!w->is_base64 && !sv_eq_nocase(encoding, SV("Q")))
		return false;
	/* Q text may hold raw 8-bit octets and a '?' where programs forget to encode: it ends at the next "?=". */
	size_t n = 0;

	rest = sv_sub(rest, 0, WORD_MAX);
	while (n + 1 < rest.len && !(rest.p[n] == '?' && rest.p[n + 1] == '='))
		if (is_space(rest.p[n++]))
			return false;
	if (n + 1 >= rest.len)
		return false;
	w->text = sv_sub(rest, 0, n);
	sv_skip(&rest, n + 2);
	rest.len = (size_t)(s->p + s->len - rest.p);
	size_t star = sv_find(w->charset, '*');

	if (star != SIZE_MAX)
		w->charset.len = star;
	if (!charset_is_known(w->charset))
		return false;
	*s = rest;
	return true;
}

static void decode_text(const struct word *w, struct buf *out)
{
	struct sv t = w->text;

	if (w->is_base64) {
		struct transfer_decoder d;
		transfer_decoder_init(&d, TRANSFER_BASE64);
		(void)transfer_decoder_feed(&d, t, out);
		(void)transfer_decoder_finish(&d, out);
		return;
	}
	for (size_t i = 0; i < t.len; i++) {
		char c = t.p[i];
		if (c == '=' && i + 2 < t.len && ascii_hex(t.p[i + 1]) >= 0 && ascii_hex(t.p[i + 2]) >= 0) {
			c = (char)(ascii_hex(t.p[i + 1]) << 4 | ascii_hex(t.p[i + 2]));
			i += 2;
		} else if (c == '_') {
			c = ' ';
		}
		(void)buf_append_c(out, c);
	}
}

static bool give_plain(struct sv s, struct buf *out)
{
	if (!sv_has_8bit(s))
		return buf_append(out, s) || (buf_append(out, sv_sub(s, 0, out->max - out->len)), false);
	return charset_to_utf8(sv_is_utf8(s) ? SV("utf-8") : SV("windows-1252"), s, out);
}

/* A run of encoded-words of one charset. */
struct run {
	struct charset_converter *converter;
	struct sv charset;
};

static bool run_end(struct run *r, struct buf *out)
{
	bool ok = !r->converter || charset_converter_finish(r->converter, out);

	charset_converter_free(&r->converter);
	return ok;
}

bool charset_decode_words(struct sv value, struct buf *out)
{
	struct run run = { 0 };
	struct buf octets;
	size_t first = out->len, plain = 0, at = 0;
	bool ok = true, was_word = false;

	buf_init(&octets, value.len + 64);
	while (ok && at < value.len) {
		/* Words begin at the start, behind a space, or (as some programs write) behind anything. */
		const char *equals = memchr(value.p + at, '=', value.len - at);
		if (!equals)
			break;
		struct word w;
		struct sv rest = sv_sub(value, (size_t)(equals - value.p), SIZE_MAX);
		size_t start = (size_t)(equals - value.p);
		if (!take_encoded_word(&rest, &w)) {
			at = start + 1;
			continue;
		}
		struct sv between = sv_sub(value, plain, start - plain);
		if (!was_word || sv_trim(between).len) {
			ok = run_end(&run, out) && give_plain(between, out);
		} else if (run.converter && !sv_eq_nocase(run.charset, w.charset)) {
			ok = run_end(&run, out);
		}
		if (!run.converter) {
			run.converter = charset_converter_new(w.charset);
			run.charset = w.charset;
		}
		buf_clear(&octets);
		decode_text(&w, &octets);
		ok = ok && charset_converter_feed(run.converter, buf_sv(&octets), out);
		was_word = true;
		at = plain = value.len - rest.len;
	}
	ok = run_end(&run, out) && ok;
	ok = ok && give_plain(sv_sub(value, plain, SIZE_MAX), out);
	for (size_t i = first; i < out->len; i++)       /* a line end in a decoded text could become one in a header */
		if (out->p[i] == '\r' || out->p[i] == '\n' || out->p[i] == '\0')
			out->p[i] = ' ';
	buf_done(&octets);
	return ok;
}
