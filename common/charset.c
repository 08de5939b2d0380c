#include "common/charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

/* Labels of mail and what iconv calls them. Nothing else ever reaches iconv_open: a label from a stranger may name a
 * converter that nobody has looked at for twenty years. NULL: done here. Sorted: found by bisection. */
static const struct {
	struct sv label;
	const char *iconv_name;
} charsets[] = {
	{ SV_INIT("ansi_x3.4-1968"), NULL },
	{ SV_INIT("ascii"), NULL },
	{ SV_INIT("big5"), "BIG5-HKSCS" },
	{ SV_INIT("big5-hkscs"), "BIG5-HKSCS" },
	{ SV_INIT("cp1250"), "CP1250" },
	{ SV_INIT("cp1251"), "CP1251" },
	{ SV_INIT("cp1252"), NULL },
	{ SV_INIT("cp1253"), "CP1253" },
	{ SV_INIT("cp1254"), "CP1254" },
	{ SV_INIT("cp1255"), "CP1255" },
	{ SV_INIT("cp1256"), "CP1256" },
	{ SV_INIT("cp1257"), "CP1257" },
	{ SV_INIT("cp1258"), "CP1258" },
	{ SV_INIT("cp437"), "IBM437" },
	{ SV_INIT("cp850"), "IBM850" },
	{ SV_INIT("cp852"), "IBM852" },
	{ SV_INIT("cp866"), "IBM866" },
	{ SV_INIT("cp874"), "CP874" },
	{ SV_INIT("cp932"), "CP932" },
	{ SV_INIT("cp936"), "GB18030" },
	{ SV_INIT("cp949"), "CP949" },
	{ SV_INIT("euc-jp"), "EUC-JP-MS" },
	{ SV_INIT("euc-kr"), "CP949" },
	{ SV_INIT("gb18030"), "GB18030" },
	{ SV_INIT("gb2312"), "GB18030" },
	{ SV_INIT("gb_2312-80"), "GB18030" },
	{ SV_INIT("gbk"), "GB18030" },
	{ SV_INIT("ibm437"), "IBM437" },
	{ SV_INIT("ibm850"), "IBM850" },
	{ SV_INIT("ibm852"), "IBM852" },
	{ SV_INIT("ibm866"), "IBM866" },
	{ SV_INIT("iso-2022-jp"), "ISO-2022-JP-2" },
	{ SV_INIT("iso-2022-jp-1"), "ISO-2022-JP-2" },
	{ SV_INIT("iso-2022-jp-2"), "ISO-2022-JP-2" },
	{ SV_INIT("iso-2022-kr"), "ISO-2022-KR" },
	{ SV_INIT("iso-8859-1"), NULL },
	{ SV_INIT("iso-8859-10"), "ISO-8859-10" },
	{ SV_INIT("iso-8859-11"), "CP874" },
	{ SV_INIT("iso-8859-13"), "ISO-8859-13" },
	{ SV_INIT("iso-8859-14"), "ISO-8859-14" },
	{ SV_INIT("iso-8859-15"), "ISO-8859-15" },
	{ SV_INIT("iso-8859-16"), "ISO-8859-16" },
	{ SV_INIT("iso-8859-2"), "ISO-8859-2" },
	{ SV_INIT("iso-8859-3"), "ISO-8859-3" },
	{ SV_INIT("iso-8859-4"), "ISO-8859-4" },
	{ SV_INIT("iso-8859-5"), "ISO-8859-5" },
	{ SV_INIT("iso-8859-6"), "ISO-8859-6" },
	{ SV_INIT("iso-8859-6-e"), "ISO-8859-6" },
	{ SV_INIT("iso-8859-6-i"), "ISO-8859-6" },
	{ SV_INIT("iso-8859-7"), "ISO-8859-7" },
	{ SV_INIT("iso-8859-8"), "ISO-8859-8" },
	{ SV_INIT("iso-8859-8-e"), "ISO-8859-8" },
	{ SV_INIT("iso-8859-8-i"), "ISO-8859-8" },
	{ SV_INIT("iso-8859-9"), "CP1254" },
	{ SV_INIT("iso8859-1"), NULL },
	{ SV_INIT("iso8859-15"), "ISO-8859-15" },
	{ SV_INIT("iso8859-2"), "ISO-8859-2" },
	{ SV_INIT("iso_8859-1"), NULL },
	{ SV_INIT("koi8-r"), "KOI8-R" },
	{ SV_INIT("koi8-u"), "KOI8-U" },
	{ SV_INIT("ks_c_5601-1987"), "CP949" },
	{ SV_INIT("latin1"), NULL },
	{ SV_INIT("macintosh"), "MACINTOSH" },
	{ SV_INIT("ms_kanji"), "CP932" },
	{ SV_INIT("shift-jis"), "CP932" },
	{ SV_INIT("shift_jis"), "CP932" },
	{ SV_INIT("sjis"), "CP932" },
	{ SV_INIT("tis-620"), "CP874" },
	{ SV_INIT("unicode-1-1-utf-7"), NULL },
	{ SV_INIT("unicode-1-1-utf-8"), NULL },
	{ SV_INIT("us-ascii"), NULL },
	{ SV_INIT("utf-16"), "UTF-16" },
	{ SV_INIT("utf-16be"), "UTF-16BE" },
	{ SV_INIT("utf-16le"), "UTF-16LE" },
	{ SV_INIT("utf-32"), "UTF-32" },
	{ SV_INIT("utf-7"), NULL },
	{ SV_INIT("utf-8"), NULL },
	{ SV_INIT("utf7"), NULL },
	{ SV_INIT("utf8"), NULL },
	{ SV_INIT("windows-1250"), "CP1250" },
	{ SV_INIT("windows-1251"), "CP1251" },
	{ SV_INIT("windows-1252"), NULL },
	{ SV_INIT("windows-1253"), "CP1253" },
	{ SV_INIT("windows-1254"), "CP1254" },
	{ SV_INIT("windows-1255"), "CP1255" },
	{ SV_INIT("windows-1256"), "CP1256" },
	{ SV_INIT("windows-1257"), "CP1257" },
	{ SV_INIT("windows-1258"), "CP1258" },
	{ SV_INIT("windows-31j"), "CP932" },
	{ SV_INIT("windows-874"), "CP874" },
	{ SV_INIT("windows-949"), "CP949" },
	{ SV_INIT("x-cp1251"), "CP1251" },
	{ SV_INIT("x-euc-jp"), "EUC-JP-MS" },
	{ SV_INIT("x-gbk"), "GB18030" },
	{ SV_INIT("x-mac-cyrillic"), "MAC-CYRILLIC" },
	{ SV_INIT("x-mac-roman"), "MACINTOSH" },
	{ SV_INIT("x-sjis"), "CP932" },
	{ SV_INIT("x-windows-949"), "CP949" },
};

/* Index in charsets, or SIZE_MAX. */
static size_t charset_find(struct sv label)
{
	size_t low = 0, high = ARRAY_LEN(charsets);

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = sv_cmp_nocase(label, charsets[mid].label);
		if (!order)
			return mid;
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return SIZE_MAX;
}

bool charset_is_known(struct sv label)
{
	return charset_find(label) != SIZE_MAX;
}

void charset_preload(void)
{
	/* Descriptors that are never closed keep their tables in memory; the pointers are held for leak checkers. */
	static iconv_t kept[ARRAY_LEN(charsets)];

	for (size_t i = 0; i < ARRAY_LEN(charsets); i++)
		if (charsets[i].iconv_name && (!i || charsets[i - 1].iconv_name != charsets[i].iconv_name) && !kept[i])
			kept[i] = iconv_open("UTF-8", charsets[i].iconv_name);
}

/* ---- well-formed UTF-8, and the part of a text that fits ---- */

#define REPLACEMENT SV("\xef\xbf\xbd")

/* How many octets the sequence at s has that can begin a UTF-8 character (at least 1), and whether it is a whole one.
 * *needs_more: the text ends inside of it. */
static size_t utf8_length(struct sv s, bool *is_good, bool *needs_more)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned char c = p[0];
	size_t want = c < 0x80 ? 1 : c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 :
		      c >= 0xf0 && c <= 0xf4 ? 4 : 0;
	size_t n = 1;

	*is_good = want == 1;
	*needs_more = false;
	if (want < 2)
		return 1;
	for (; n < want; n++) {
		unsigned char least = 0x80, most = 0xbf;
		if (n == s.len) {
			*needs_more = true;
			return n;
		}
		if (n == 1 && c == 0xe0)
			least = 0xa0;
		else if (n == 1 && c == 0xf0)
			least = 0x90;
		else if (n == 1 && c == 0xed)
			most = 0x9f;
		else if (n == 1 && c == 0xf4)
			most = 0x8f;
		if (p[n] < least || p[n] > most)
			return n;
	}
	*is_good = true;
	return n;
}

/* Append UTF-8, or what fits of it up to the end of a character. */
static bool append_cut(struct buf *out, struct sv s)
{
	size_t room = out->max - out->len;

	if (s.len <= room)
		return buf_append(out, s);
	while (room && ((unsigned char)s.p[room] & 0xc0) == 0x80)
		room--;
	(void)buf_append(out, sv_sub(s, 0, room));
	return false;
}

/* Clean s into out; what could be the beginning of a character at its end is left in *s if is_last is false. */
static bool clean(struct sv *s, bool is_last, struct buf *out)
{
	bool ok = true;

	while (ok && s->len) {
		size_t run = 0, n;
		bool is_good = true, needs_more = false;
		do {
			n = sv_ascii_len(sv_sub(*s, run, SIZE_MAX));
			if (!n)
				n = utf8_length(sv_sub(*s, run, SIZE_MAX), &is_good, &needs_more);
			if (is_good)
				run += n;
		} while (is_good && run < s->len);
		ok = append_cut(out, sv_sub(*s, 0, run));
		sv_skip(s, run);
		if (is_good || !ok)
			continue;
		if (needs_more && !is_last)
			return ok;
		ok = append_cut(out, REPLACEMENT);
		sv_skip(s, n);
	}
	return ok;
}

bool utf8_clean(struct sv in, struct buf *out)
{
	return clean(&in, true, out);
}

/* ---- converters ---- */

enum kind { KIND_UTF8 = 0, KIND_1252, KIND_UTF7, KIND_ICONV };

struct charset_converter {
	enum kind kind;
	iconv_t cd;
	char held[16];          /* the beginning of a character */
	size_t held_len;
	bool is_full;
	/* UTF-7 */
	uint32_t bits, high;    /* of the base64 so far; a surrogate that waits for its other half */
	unsigned bit_count;
	bool is_shifted, is_fresh;      /* inside of +...-; nothing came behind the + yet */
};

/* windows-1252 from 0x80 to 0x9f; the five that are not assigned are the controls they are in Latin-1. */
static const uint16_t windows_1252[32] = {
	0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x008d,
	0x017d, 0x008f, 0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a,
	0x0153, 0x009d, 0x017e, 0x0178,
};

static bool feed_1252(struct sv in, struct buf *out)
{
	bool ok = true;

	while (ok && in.len) {
		size_t run = 0;
		while (run < in.len && (unsigned char)in.p[run] < 0x80)
			run++;
		ok = append_cut(out, sv_sub(in, 0, run));
		sv_skip(&in, run);
		if (!ok || !in.len)
			break;
		unsigned c = (unsigned char)*in.p;
		char octets[3];
		size_t n = 2;
		if (c < 0xa0)
			c = windows_1252[c - 0x80];
		if (c < 0x800) {
			octets[0] = (char)(0xc0 | c >> 6);
			octets[1] = (char)(0x80 | (c & 63));
		} else {
			octets[0] = (char)(0xe0 | c >> 12);
			octets[1] = (char)(0x80 | (c >> 6 & 63));
			octets[2] = (char)(0x80 | (c & 63));
			n = 3;
		}
		ok = append_cut(out, sv_from(octets, n));
		sv_skip(&in, 1);
	}
	return ok;
}

/* A code point, or U+FFFD for half of a surrogate pair. */
static bool append_character(struct buf *out, uint32_t c)
{
	char octets[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	if (c >= 0xd800 && c <= 0xdfff)
		return append_cut(out, REPLACEMENT);
	for (size_t i = n; i-- > 1; c >>= 6)
		octets[i] = (char)(0x80 | (c & 63));
	octets[0] = (char)(n == 1 ? c : n == 2 ? 0xc0 | c : n == 3 ? 0xe0 | c : 0xf0 | c);
	return append_cut(out, sv_from(octets, n));
}

static bool utf7_unit(struct charset_converter *c, uint32_t unit, struct buf *out)
{
	bool is_low = unit >= 0xdc00 && unit <= 0xdfff;
	uint32_t high = c->high;
	bool ok = true;

	c->high = 0;
	if (high && is_low)
		return append_character(out, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
	if (high)
		ok = append_cut(out, REPLACEMENT);
	if (unit >= 0xd800 && unit <= 0xdbff) {
		c->high = unit;
		return ok;
	}
	return ok && append_character(out, unit);
}

/* RFC 2152. Done here because libc's converter answers differently when a text is cut differently. */
static bool feed_utf7(struct charset_converter *c, struct sv in, struct buf *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	bool ok = true;

	for (size_t i = 0; ok && i < in.len; i++) {
		char octet = in.p[i];
		const char *digit = octet ? strchr(digits, octet) : NULL;
		if (c->is_shifted && digit) {
			c->is_fresh = false;
			c->bits = (c->bits << 6 | (uint32_t)(digit - digits)) & 0x3fffff;
			c->bit_count += 6;
			if (c->bit_count >= 16) {
				c->bit_count -= 16;
				ok = utf7_unit(c, c->bits >> c->bit_count & 0xffff, out);
			}
			continue;
		}
		if (c->is_shifted) {
			if (c->high)
				ok = append_cut(out, REPLACEMENT);
			else if (c->is_fresh)
				ok = append_cut(out, SV("+"));
			c->is_shifted = false;
			c->high = 0;
			if (octet == '-')
				continue;
		}
		if (octet == '+') {
			c->is_shifted = c->is_fresh = true;
			c->bits = c->bit_count = 0;
		} else {
			ok = ok && (octet & 0x80 ? append_cut(out, REPLACEMENT) : append_cut(out, sv_from(&octet, 1)));
		}
	}
	return ok;
}

struct charset_converter *charset_converter_new(struct sv label)
{
	struct charset_converter *c = xcalloc(1, sizeof(*c));
	size_t i = charset_find(label);

	if (!label.len) {
		c->kind = KIND_1252;
	} else if (i != SIZE_MAX && charsets[i].iconv_name) {
		c->cd = iconv_open("UTF-8", charsets[i].iconv_name);
		/* A libc without this converter: what is UTF-8 or ASCII in it can still be read. */
		c->kind = c->cd == (iconv_t)-1 ? KIND_UTF8 : KIND_ICONV;
	} else if (i != SIZE_MAX && sv_ends(label, SV("7"))) {
		c->kind = KIND_UTF7;
	} else if (i != SIZE_MAX && !sv_starts_nocase(label, SV("utf")) && !sv_starts_nocase(label, SV("uni"))) {
		c->kind = KIND_1252;
	}
	return c;
}

void charset_converter_free(struct charset_converter **c)
{
	if (*c && (*c)->kind == KIND_ICONV)
		(void)iconv_close((*c)->cd);
	free(*c);
	*c = NULL;
}

/* Convert what can be; the incomplete character at the end stays in *in. */
static bool feed_iconv(struct charset_converter *c, struct sv *in, struct buf *out)
{
	while (in->len) {
		char text[4096] UNCLEARED;
		char *to = text, *from = (char *)(uintptr_t)in->p;      /* iconv does not write to it */
		size_t room = sizeof(text), left = in->len;
		int error = iconv(c->cd, &from, &left, &to, &room) == (size_t)-1 ? errno : 0;
		struct sv made = { text, sizeof(text) - room };
		sv_skip(in, in->len - left);
		/* Trust nobody: what comes out of libc is cleaned, too. */
		if (!utf8_clean(made, out))
			return false;
		if (error == EINVAL)
			return true;
		if (error && error != E2BIG) {
			if (!append_cut(out, REPLACEMENT))
				return false;
			sv_skip(in, 1);
		}
	}
	return true;
}

static bool feed_kind(struct charset_converter *c, struct sv *in, struct buf *out)
{
	return c->kind == KIND_ICONV ? feed_iconv(c, in, out) : clean(in, false, out);
}

bool charset_converter_feed(struct charset_converter *c, struct sv in, struct buf *out)
{
	bool ok = !c->is_full;

	if (c->kind == KIND_1252 || c->kind == KIND_UTF7) {
		ok = ok && (c->kind == KIND_1252 ? feed_1252(in, out) : feed_utf7(c, in, out));
		c->is_full = !ok;
		return ok;
	}
	while (ok && c->held_len && in.len) {   /* octet by octet, until the held beginning is a character or junk */
		c->held[c->held_len++] = *in.p;
		sv_skip(&in, 1);
		struct sv held = { c->held, c->held_len };
		ok = feed_kind(c, &held, out);
		if (held.len == sizeof(c->held)) {      /* no character is as long: one octet of it is junk */
			ok = ok && append_cut(out, REPLACEMENT);
			sv_skip(&held, 1);
		}
		memmove(c->held, held.p, held.len);
		c->held_len = held.len;
	}
	if (ok && in.len)
		ok = feed_kind(c, &in, out);
	while (ok && in.len) {
		c->held_len = in.len < sizeof(c->held) - 1 ? in.len : sizeof(c->held) - 1;
		memcpy(c->held, in.p, c->held_len);
		sv_skip(&in, c->held_len);
		if (!in.len)
			break;
		/* More than any character takes and yet no character: the first octet is junk. */
		ok = append_cut(out, REPLACEMENT);
		in.p -= c->held_len - 1;
		in.len += c->held_len - 1;
		c->held_len = 0;
		ok = ok && feed_kind(c, &in, out);
	}
	c->is_full = !ok;
	return ok;
}

bool charset_converter_finish(struct charset_converter *c, struct buf *out)
{
	bool ok = !c->is_full;

	if (c->held_len || c->high)
		ok = ok && append_cut(out, REPLACEMENT);
	else if (c->is_shifted && c->is_fresh)
		ok = ok && append_cut(out, SV("+"));
	c->held_len = c->high = 0;
	c->is_shifted = c->is_fresh = false;
	if (c->kind == KIND_ICONV) {    /* back to the initial state, with what the converter still had in it */
		char text[64], *to = text;
		size_t room = sizeof(text);
		if (iconv(c->cd, NULL, NULL, &to, &room) != (size_t)-1)
			ok = ok && utf8_clean(sv_from(text, sizeof(text) - room), out);
	}
	c->is_full = false;
	return ok;
}

bool charset_to_utf8(struct sv label, struct sv in, struct buf *out)
{
	struct charset_converter *c = charset_converter_new(label);
	bool ok = charset_converter_feed(c, in, out);

	ok = charset_converter_finish(c, out) && ok;
	charset_converter_free(&c);
	return ok;
}
