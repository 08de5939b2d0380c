#include "common/transfer.h"

#include "common/header.h"
#include "common/memory.h"

#include "common/banned.h"

enum transfer transfer_from(struct sv value)
{
	static const struct {
		struct sv name;
		enum transfer kind;
	} known[] = {
		{ SV_INIT("7bit"), TRANSFER_7BIT },
		{ SV_INIT("8bit"), TRANSFER_8BIT },
		{ SV_INIT("binary"), TRANSFER_BINARY },
		{ SV_INIT("base64"), TRANSFER_BASE64 },
		{ SV_INIT("quoted-printable"), TRANSFER_QUOTED_PRINTABLE },
	};
	size_t n = 0;

	value = sv_trim(value);
	header_skip_cfws(&value);       /* (who does this) base64 */
	while (n < value.len && (ascii_is_alpha(value.p[n]) || ascii_is_digit(value.p[n]) || value.p[n] == '-'))
		n++;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (sv_eq_nocase(sv_sub(value, 0, n), known[i].name))
			return known[i].kind;
	return n || value.len ? TRANSFER_OTHER : TRANSFER_7BIT;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Value + 1 of each digit, so that 0 says "none". */
static const unsigned char base64_values[256] = {
	['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8, ['I'] = 9,
	['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17,
	['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25,
	['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33,
	['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41,
	['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49,
	['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56, ['4'] = 57,
	['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

bool base64_encode(struct sv in, struct buf *out)
{
	if (in.len > out->max / 4 * 3 || !buf_reserve(out, (in.len + 2) / 3 * 4))
		return false;
	char *p = out->p + out->len;
	size_t i = 0;

	for (; i + 3 <= in.len; i += 3) {
		uint32_t bits = (uint32_t)(unsigned char)in.p[i] << 16 | (uint32_t)(unsigned char)in.p[i + 1] << 8 |
				(unsigned char)in.p[i + 2];
		*p++ = base64_digits[bits >> 18];
		*p++ = base64_digits[bits >> 12 & 63];
		*p++ = base64_digits[bits >> 6 & 63];
		*p++ = base64_digits[bits & 63];
	}
	if (i < in.len) {
		uint32_t bits = (uint32_t)(unsigned char)in.p[i] << 16;
		bool has_two = i + 2 == in.len;
		if (has_two)
			bits |= (uint32_t)(unsigned char)in.p[i + 1] << 8;
		*p++ = base64_digits[bits >> 18];
		*p++ = base64_digits[bits >> 12 & 63];
		*p++ = has_two ? base64_digits[bits >> 6 & 63] : '=';
		*p++ = '=';
	}
	if (in.len)
		out->len = (size_t)(p - out->p);
	return true;
}

bool base64_decode(struct sv in, struct buf *out)
{
	size_t before = out->len;

	if (in.len % 4)
		return false;
	for (size_t i = 0; i < in.len; i += 4) {
		size_t digits = 0;
		uint32_t bits = 0;
		while (digits < 4) {
			unsigned char v = base64_values[(unsigned char)in.p[i + digits]];
			if (!v)
				break;
			bits = bits << 6 | (uint32_t)(v - 1);
			digits++;
		}
		if (digits < 4) {       /* only the last quantum is padded, and its unused bits are zero */
			if (i + 4 != in.len || digits < 2 || in.p[i + 3] != '=' || (digits == 2 && in.p[i + 2] != '='))
				goto bad;
			bits <<= 6 * (4 - digits);
			if (bits & (digits == 2 ? 0xffff : 0xff))
				goto bad;
		}
		char octets[3] = { (char)(bits >> 16), (char)(bits >> 8 & 255), (char)(bits & 255) };
		if (!buf_append(out, sv_from(octets, digits - 1)))
			goto bad;
	}
	return true;
bad:
	if (out->len > before)  /* nothing of a refused secret stays behind */
		secret_wipe(out->p + before, out->len - before);
	out->len = before;
	return false;
}

bool base64url_decode(struct sv in, struct buf *out)
{
	struct buf text;
	bool good = true;

	buf_init(&text, in.len + 4);
	for (size_t i = 0; i < in.len && good; i++) {
		char c = in.p[i];

		good = c != '+' && c != '/' && c != '=' && buf_append_c(&text, c == '-' ? '+' : c == '_' ? '/' : c);
	}
	while (good && text.len % 4)
		good = buf_append_c(&text, '=');
	good = good && base64_decode(buf_sv(&text), out);
	buf_wipe(&text);
	return good;
}

/* ---- incremental ---- */

enum qp_state { QP_TEXT = 0, QP_CR, QP_EQUALS, QP_HEX, QP_SOFT, QP_SOFT_CR };

void transfer_decoder_init(struct transfer_decoder *d, enum transfer kind)
{
	*d = (struct transfer_decoder){ .kind = kind };
}

static bool base64_feed(struct transfer_decoder *d, struct sv in, struct buf *out)
{
	if (!buf_reserve(out, in.len < 16 ? 16 : in.len))
		return false;
	char *p = out->p + out->len;

	for (size_t i = 0; i < in.len; i++) {
		unsigned char v = base64_values[(unsigned char)in.p[i]];
		if (!v) {
			/* Padding ends a quantum; text may begin again behind it, as when two bodies were glued. */
			if (in.p[i] == '=') {
				if (d->count >= 2)
					*p++ = (char)(d->bits >> (d->count == 2 ? 4 : 10) & 255);
				if (d->count == 3)
					*p++ = (char)(d->bits >> 2 & 255);
				d->bits = 0;
				d->count = 0;
			}
			continue;
		}
		d->bits = d->bits << 6 | (uint32_t)(v - 1);
		if (++d->count == 4) {
			*p++ = (char)(d->bits >> 16 & 255);
			*p++ = (char)(d->bits >> 8 & 255);
			*p++ = (char)(d->bits & 255);
			d->bits = 0;
			d->count = 0;
		}
	}
	out->len = (size_t)(p - out->p);
	return true;
}

/* Blanks that turned out not to stand at a line's end are text. */
static bool qp_give_blanks(struct transfer_decoder *d, struct buf *out)
{
	size_t n = d->held_len;

	d->held_len = 0;
	return buf_append(out, sv_from(d->held, n));
}

static bool qp_feed(struct transfer_decoder *d, struct sv in, struct buf *out)
{
	bool ok = true;
	size_t i = 0;

	while (ok && i < in.len) {
		char c = in.p[i++];
		switch ((enum qp_state)d->state) {
		case QP_TEXT:
			if (c == ' ' || c == '\t') {
				if (d->held_len == sizeof(d->held))     /* so many are meant */
					ok = qp_give_blanks(d, out);
				d->held[d->held_len++] = c;
			} else if (c == '\r') {
				d->state = QP_CR;
			} else if (c == '\n') {
				d->held_len = 0;
				ok = buf_append_c(out, '\n');
			} else if (c == '=') {
				ok = qp_give_blanks(d, out);
				d->state = QP_EQUALS;
			} else {
				size_t from = i - 1;
				while (i < in.len && !memchr("= \t\r\n", in.p[i], 5))
					i++;
				ok = qp_give_blanks(d, out) && buf_append(out, sv_sub(in, from, i - from));
			}
			break;
		case QP_CR:
			d->state = QP_TEXT;
			if (c == '\n') {
				d->held_len = 0;
				ok = buf_append(out, SV("\r\n"));
			} else {
				ok = qp_give_blanks(d, out) && buf_append_c(out, '\r');
				i--;
			}
			break;
		case QP_EQUALS:
			if (ascii_hex(c) >= 0) {
				d->held[0] = c;
				d->state = QP_HEX;
			} else if (c == '\n') {
				d->state = QP_TEXT;
			} else if (c == '\r') {
				d->state = QP_SOFT_CR;
			} else if (c == ' ' || c == '\t') {
				d->state = QP_SOFT;
			} else {
				ok = buf_append_c(out, '=');
				d->state = QP_TEXT;
				i--;
			}
			break;
		case QP_HEX:
			d->state = QP_TEXT;
			if (ascii_hex(c) >= 0) {
				ok = buf_append_c(out, (char)(ascii_hex(d->held[0]) << 4 | ascii_hex(c)));
			} else {
				ok = buf_append_c(out, '=') && buf_append_c(out, d->held[0]);
				i--;
			}
			break;
		case QP_SOFT:           /* "= " at the end of a line: blanks added on the way */
			if (c == '\n') {
				d->state = QP_TEXT;
			} else if (c == '\r') {
				d->state = QP_SOFT_CR;
			} else if (c != ' ' && c != '\t') {
				ok = buf_append(out, SV("= "));
				d->state = QP_TEXT;
				i--;
			}
			break;
		case QP_SOFT_CR:
			d->state = QP_TEXT;
			if (c != '\n')
				i--;
			break;
		}
	}
	return ok;
}

bool transfer_decoder_feed(struct transfer_decoder *d, struct sv in, struct buf *out)
{
	switch (d->kind) {
	case TRANSFER_BASE64:
		return base64_feed(d, in, out);
	case TRANSFER_QUOTED_PRINTABLE:
		return qp_feed(d, in, out);
	case TRANSFER_7BIT:
	case TRANSFER_8BIT:
	case TRANSFER_BINARY:
	case TRANSFER_OTHER:
		break;
	}
	return buf_append(out, in);
}

bool transfer_decoder_finish(struct transfer_decoder *d, struct buf *out)
{
	bool ok = true;

	if (d->kind == TRANSFER_BASE64) {
		if (d->count >= 2)
			ok = buf_append_c(out, (char)(d->bits >> (d->count == 2 ? 4 : 10) & 255));
		if (d->count == 3)
			ok = ok && buf_append_c(out, (char)(d->bits >> 2 & 255));
	} else if (d->kind == TRANSFER_QUOTED_PRINTABLE) {
		if (d->state == QP_HEX)
			ok = buf_append_c(out, '=') && buf_append_c(out, d->held[0]);
		else if (d->state == QP_CR)
			ok = qp_give_blanks(d, out) && buf_append_c(out, '\r');
	}
	transfer_decoder_init(d, d->kind);
	return ok;
}
