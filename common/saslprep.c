#include "common/saslprep.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "common/memory.h"

#include "common/banned.h"

struct range {
	uint32_t first, last;
};

/* RFC 3454 C.1.2: become U+0020 (RFC 4013 §2.1). */
static const struct range spaces[] = {
	{ 0xa0, 0xa0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200b }, { 0x202f, 0x202f }, { 0x205f, 0x205f }, { 0x3000, 0x3000 },
};

/* RFC 3454 B.1: become nothing. */
static const struct range nothings[] = {
	{ 0xad, 0xad }, { 0x34f, 0x34f }, { 0x1806, 0x1806 }, { 0x180b, 0x180d }, { 0x200c, 0x200d }, { 0x2060, 0x2060 },
	{ 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff },
};

/* RFC 4013 §2.3: C.1.2 (above), C.2.1, C.2.2, C.3, C.4, C.6, C.7, C.8, C.9; C.5 is no UTF-8. */
static const struct range prohibited[] = {
	{ 0x0, 0x1f }, { 0x7f, 0x9f }, { 0x340, 0x341 }, { 0x6dd, 0x6dd }, { 0x70f, 0x70f }, { 0x180e, 0x180e },
	{ 0x200c, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x2063 }, { 0x206a, 0x206f }, { 0x2ff0, 0x2ffb },
	{ 0xe000, 0xf8ff }, { 0xfdd0, 0xfdef }, { 0xfeff, 0xfeff }, { 0xfff9, 0xffff }, { 0x1d173, 0x1d17a },
	{ 0xe0001, 0xe0001 }, { 0xe0020, 0xe007f }, { 0xf0000, 0x10ffff },
};

static bool is_in(const struct range *table, size_t count, uint32_t c)
{
	for (size_t i = 0; i < count && table[i].first <= c; i++)
		if (c <= table[i].last)
			return true;
	return (c & 0xfffe) == 0xfffe && table == prohibited;
}

/* Take one character off well-formed UTF-8; *raw is what it was. */
static uint32_t take(struct sv *s, struct sv *raw)
{
	unsigned char lead = (unsigned char)s->p[0];
	size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	uint32_t c = len == 1 ? lead : lead & (0xffu >> (len + 1));

	for (size_t i = 1; i < len; i++)
		c = c << 6 | ((unsigned char)s->p[i] & 0x3f);
	*raw = sv_sub(*s, 0, len);
	sv_skip(s, len);
	return c;
}

static bool is_allowed(struct sv s)
{
	struct sv raw;

	while (s.len)
		if (is_in(prohibited, ARRAY_LEN(prohibited), take(&s, &raw)))
			return false;
	return true;
}

static bool append_nfkc(struct sv in, struct buf *out)
{
	utf8proc_uint8_t *normal = NULL;
	utf8proc_ssize_t len = utf8proc_map((const utf8proc_uint8_t *)in.p, (utf8proc_ssize_t)in.len, &normal,
					    UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
	struct sv s = sv_from((char *)normal, len > 0 ? (size_t)len : 0);
	bool ok = len >= 0 && is_allowed(s) && buf_append(out, s);

	if (normal)
		secret_wipe(normal, s.len);
	free(normal);
	return ok;
}

/* We differ from RFC 4013 §2.4: mixed directions are not refused. Refusing only means "use the octets as they are",
 * and a password that was set by such text is the same text at each login. */
bool saslprep(struct sv in, struct buf *out)
{
	struct buf mapped;
	struct sv rest = in, raw;
	bool ok = true;

	if (!sv_has_8bit(in))
		return is_allowed(in) && buf_append(out, in);
	if (!sv_is_utf8(in))
		return false;
	buf_init(&mapped, in.len);
	while (rest.len && ok) {
		uint32_t c = take(&rest, &raw);

		if (is_in(spaces, ARRAY_LEN(spaces), c))
			ok = buf_append_c(&mapped, ' ');
		else if (!is_in(nothings, ARRAY_LEN(nothings), c))
			ok = buf_append(&mapped, raw);
	}
	ok = ok && append_nfkc(buf_sv(&mapped), out);
	buf_wipe(&mapped);
	return ok;
}
