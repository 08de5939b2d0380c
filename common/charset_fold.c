#include "common/charset.h"

#include <stdlib.h>

#include <utf8proc.h>

#include "common/banned.h"

#define EACH(octet) (UINT64_C(0x0101010101010101) * (octet))

/* Most of all mail is ASCII, where titlecase is the capital letter and nothing decomposes. */
static bool upper_append(struct buf *out, struct sv ascii)
{
	size_t n = out->max - out->len < ascii.len ? out->max - out->len : ascii.len;

	(void)buf_reserve(out, n);
	char *to = n ? out->p + out->len : NULL;

	size_t i = 0;

	/* Eight at a time: no sum carries into the next octet, since all of them are below 128. */
	for (; i + 8 <= n; i += 8) {
		uint64_t x;
		memcpy(&x, ascii.p + i, sizeof(x));
		uint64_t from_a = x + EACH(128 - 'a'), behind_z = x + EACH(127 - 'z');
		x ^= ((from_a ^ behind_z) & EACH(128)) >> 2;
		memcpy(to + i, &x, sizeof(x));
	}
	for (; i < n; i++)
		to[i] = ascii_upper(ascii.p[i]);
	out->len += n;
	return n == ascii.len;
}

bool utf8_casemap(struct sv in, struct buf *out)
{
	while (in.len) {
		utf8proc_int32_t c, parts[32];
		size_t ascii = sv_ascii_len(in);
		if (ascii) {
			if (!upper_append(out, sv_sub(in, 0, ascii)))
				return false;
			sv_skip(&in, ascii);
			continue;
		}
		utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)in.p, (utf8proc_ssize_t)in.len, &c);
		if (n <= 0) {           /* no UTF-8: equal octets shall stay equal */
			if (!buf_append_c(out, *in.p))
				return false;
			sv_skip(&in, 1);
			continue;
		}
		sv_skip(&in, (size_t)n);
		/* RFC 5051 §2.1: (a) titlecase, (b) full compatibility decomposition, without reordering. */
		int boundary = 0;
		utf8proc_ssize_t count = utf8proc_decompose_char(utf8proc_totitle(c), parts, (utf8proc_ssize_t)ARRAY_LEN(parts),
								 UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundary);
		if (count < 0 || count > (utf8proc_ssize_t)ARRAY_LEN(parts)) {
			parts[0] = c;
			count = 1;
		}
		for (utf8proc_ssize_t i = 0; i < count; i++) {
			utf8proc_uint8_t octets[4];
			utf8proc_ssize_t len = utf8proc_encode_char(parts[i], octets);
			if (!buf_append(out, sv_from((const char *)octets, (size_t)len)))
				return false;
		}
	}
	return true;
}

bool utf8_nfc(struct sv in, struct buf *out)
{
	if (!sv_has_8bit(in))
		return buf_append(out, in);
	if (!sv_is_utf8(in))
		return false;
	utf8proc_uint8_t *made = NULL;
	utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)in.p, (utf8proc_ssize_t)in.len, &made,
					  UTF8PROC_STABLE | UTF8PROC_COMPOSE);
	bool ok = n >= 0 && buf_append(out, sv_from((const char *)made, (size_t)n));

	free(made);
	return ok;
}
