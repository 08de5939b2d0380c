#include "common/charset.h"

#include "common/banned.h"

/* RFC 3501 §5.1.3: base64 with ',' for '/', without padding, of UTF-16 in network order. */
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int digit_value(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static bool append_utf8(struct buf *out, uint32_t c)
{
	char octets[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; c >>= 6)
		octets[i] = (char)(0x80 | (c & 63));
	octets[0] = (char)(n == 1 ? c : n == 2 ? 0xc0 | c : n == 3 ? 0xe0 | c : 0xf0 | c);
	return buf_append(out, sv_from(octets, n));
}

static bool is_printable(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

/* The base64 between & and -, which is not empty. */
static bool take_shifted(struct sv *in, struct buf *out)
{
	uint32_t bits = 0, high = 0;
	unsigned count = 0;
	bool any = false;

	for (; in->len && *in->p != '-'; sv_skip(in, 1)) {
		int v = digit_value(*in->p);
		if (v < 0)
			return false;
		bits = (bits << 6 | (uint32_t)v) & 0x3fffff;
		count += 6;
		if (count < 16)
			continue;
		count -= 16;
		uint32_t unit = bits >> count & 0xffff;
		bool is_low = unit >= 0xdc00 && unit <= 0xdfff;
		if (is_low != (high != 0) || is_printable(unit) || !unit)
			return false;
		if (unit >= 0xd800 && unit <= 0xdbff) {
			high = unit;
			continue;
		}
		if (is_low)
			unit = 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00);
		high = 0;
		any = true;
		if (!append_utf8(out, unit))
			return false;
	}
	/* Ends by '-', with whole characters, and what is left of the last digit is less than one, and zero. */
	return in->len && any && !high && count < 6 && !(bits & ((1u << count) - 1));
}

bool mutf7_to_utf8(struct sv name, struct buf *out)
{
	size_t before = out->len;
	bool was_shifted = false;

	while (name.len) {
		char c = *name.p;
		bool is_shift = c == '&' && !(name.len > 1 && name.p[1] == '-');
		if (!is_printable((unsigned char)c) || (is_shift && was_shifted))
			goto bad;
		sv_skip(&name, 1);
		was_shifted = is_shift;
		if (is_shift ? !take_shifted(&name, out) : !buf_append_c(out, c))
			goto bad;
		if (c == '&')
			sv_skip(&name, 1);      /* the '-' */
	}
	return true;
bad:
	out->len = before;
	return false;
}

/* The character at the beginning of well-formed UTF-8. */
static uint32_t take_character(struct sv *s)
{
	unsigned char first = (unsigned char)*s->p;
	size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	uint32_t c = n == 1 ? first : first & (0x7fu >> n);

	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)s->p[i] & 63);
	sv_skip(s, n);
	return c;
}

bool utf8_to_mutf7(struct sv name, struct buf *out)
{
	size_t before = out->len;
	uint32_t bits = 0;
	unsigned count = 0;
	bool is_shifted = false, ok = sv_is_utf8(name);

	while (ok && name.len) {
		uint32_t c = take_character(&name);
		if (!c) {
			ok = false;
			break;
		}
		if (is_printable(c)) {
			if (is_shifted) {
				ok = (!count || buf_append_c(out, digits[bits << (6 - count) & 63])) && buf_append_c(out, '-');
				is_shifted = false;
			}
			ok = ok && buf_append_c(out, (char)c) && (c != '&' || buf_append_c(out, '-'));
			continue;
		}
		if (!is_shifted) {
			ok = buf_append_c(out, '&');
			is_shifted = true;
			count = 0;
		}
		uint32_t units[2] = { c, 0 };
		size_t n = 1;
		if (c > 0xffff) {
			units[0] = 0xd800 + ((c - 0x10000) >> 10);
			units[1] = 0xdc00 + ((c - 0x10000) & 0x3ff);
			n = 2;
		}
		for (size_t i = 0; i < n; i++) {
			bits = (bits << 16 | units[i]) & 0x3fffff;
			for (count += 16; ok && count >= 6; count -= 6)
				ok = buf_append_c(out, digits[bits >> (count - 6) & 63]);
		}
	}
	if (ok && is_shifted)
		ok = (!count || buf_append_c(out, digits[bits << (6 - count) & 63])) && buf_append_c(out, '-');
	if (!ok)
		out->len = before;
	return ok;
}
