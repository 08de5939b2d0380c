/* maildir/filename.c - see filename.h. */
#include "maildir/filename.h"

#include "common/crypt.h"

#include "common/banned.h"

__extension__ typedef unsigned __int128 u128;   /* 102 keyword bits and room to shift */

#define LETTER(c) (1u << ((c) - 'A'))
#define EACH(octet) (UINT64_C(0x0101010101010101) * (octet))

static const struct { char letter; uint32_t flag; } flag_letters[] = {  /* in the order they are written */
	{ 'D', FLAG_DRAFT }, { 'F', FLAG_FLAGGED }, { 'R', FLAG_ANSWERED }, { 'S', FLAG_SEEN }, { 'T', FLAG_DELETED },
};

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Keyword bits 26.. as hexadecimal, most significant digit first. */
static bool parse_keywords(struct sv s, struct keyword_bits *k)
{
	u128 v = 0;

	if (!s.len || s.len > 26)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		int d = hex_value(s.p[i]);
		if (d < 0)
			return false;
		v = v << 4 | (unsigned)d;
	}
	if (v >> (KEYWORDS_MAX - 26))
		return false;
	v <<= 26;
	k->w[0] |= (uint64_t)v;
	k->w[1] |= (uint64_t)(v >> 64);
	return true;
}

static bool parse_date(struct sv s, int64_t *out)
{
	uint64_t n;
	bool negative = s.len && s.p[0] == '-';

	if (negative)
		sv_skip(&s, 1);
	if (!sv_to_u64(s, &n) || n > (uint64_t)1 << 40)
		return false;
	*out = negative ? -(int64_t)n : (int64_t)n;
	return true;
}

static void parse_field(struct sv field, struct filename *n)
{
	struct sv v;

	if (field.len < 3 || field.p[1] != '=')
		return;
	v = sv_sub(field, 2, SIZE_MAX);
	switch (field.p[0]) {
	case 'S':
		n->has_size = sv_to_u64(v, &n->size);
		break;
	case 'W':
		n->has_wire_size = sv_to_u64(v, &n->wire_size);
		break;
	case 'Z':
		n->has_stored_size = sv_to_u64(v, &n->stored_size);
		break;
	case 'U': {
		size_t dot = sv_find(v, '.');
		n->has_uid = dot != SIZE_MAX && sv_to_u32(sv_sub(v, 0, dot), &n->uidvalidity) &&
			     sv_to_u32(sv_sub(v, dot + 1, SIZE_MAX), &n->uid) && n->uid && n->uidvalidity;
		break;
	}
	case 'T':
		n->has_internaldate = parse_date(v, &n->internaldate);
		break;
	case 'K':
		parse_keywords(v, &n->keywords);
		break;
	}
}

static void parse_flags(struct sv s, struct filename *n)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		if (c >= 'a' && c <= 'z') {
			n->keywords.w[0] |= (uint64_t)1 << (c - 'a');
		} else if (c >= 'A' && c <= 'Z') {
			uint32_t flag = 0;
			for (size_t k = 0; k < ARRAY_LEN(flag_letters); k++)
				if (flag_letters[k].letter == c)
					flag = flag_letters[k].flag;
			n->flags |= flag;
			if (!flag)
				n->other_flags |= LETTER(c);
		} else {
			return;         /* "2,FS,extension": nobody writes these, nobody reads them */
		}
	}
}

static void parse_base(struct filename *n)
{
	struct sv rest = n->base, saved, id;
	uint64_t when;

	n->id = n->base;
	if (!sv_split(&rest, '.', &saved) || !sv_to_u64(saved, &when) || when > (uint64_t)1 << 40)
		return;
	n->saved = (int64_t)when;
	if (!sv_split(&rest, '.', &id) || !id.len || !rest.len)
		return;
	n->id = id;
	n->is_valid_base = true;
}

static bool is_foul(unsigned char c)
{
	return c == '/' || c < 0x20 || c == 0x7f;
}

/* has_foul - is one of eight octets '/' or a control character? */
static bool has_foul(const char *p)
{
	uint64_t eight, slash, del;

	memcpy(&eight, p, sizeof(eight));
	slash = eight ^ EACH('/');
	del = eight ^ EACH(0x7f);
	return (((eight - EACH(0x20)) & ~eight) | ((slash - EACH(1)) & ~slash) | ((del - EACH(1)) & ~del)) & EACH(0x80);
}

static bool is_clean(struct sv name)
{
	size_t i = 0;

	for (; name.len - i >= 8; i += 8)
		if (has_foul(name.p + i))
			return false;
	for (; i < name.len; i++)
		if (is_foul((unsigned char)name.p[i]))
			return false;
	return true;
}

bool filename_parse(struct sv name, struct filename *out)
{
	struct sv fields, field;

	memset(out, 0, sizeof(*out));
	if (!name.len || name.len > FILENAME_MAX_LEN || name.p[0] == '.' || !is_clean(name))
		return false;
	size_t colon = sv_find(name, ':');
	struct sv front = sv_sub(name, 0, colon);
	size_t comma = sv_find(front, ',');

	out->base = sv_sub(front, 0, comma);
	if (!out->base.len)
		return false;
	parse_base(out);
	fields = comma == SIZE_MAX ? SV_NONE : sv_sub(front, comma + 1, SIZE_MAX);
	while (sv_split(&fields, ',', &field))
		parse_field(field, out);
	/* "S=1,S=x": the last one decides, and what is missing has no value. */
	out->size = out->has_size ? out->size : 0;
	out->wire_size = out->has_wire_size ? out->wire_size : 0;
	out->stored_size = out->has_stored_size ? out->stored_size : 0;
	out->internaldate = out->has_internaldate ? out->internaldate : 0;
	if (!out->has_uid)
		out->uidvalidity = out->uid = 0;
	if (colon != SIZE_MAX && sv_starts(sv_sub(name, colon, SIZE_MAX), SV(":2,")))
		parse_flags(sv_sub(name, colon + 3, SIZE_MAX), out);
	return true;
}

static bool write_keywords(const struct keyword_bits *k, struct buf *b)
{
	u128 v = ((u128)k->w[1] << 64 | k->w[0]) >> 26;
	bool started = false;

	if (!v)
		return true;
	if (!buf_append(b, SV(",K=")))
		return false;
	for (int shift = 100; shift >= 0; shift -= 4) {
		unsigned d = (unsigned)(v >> shift) & 15;
		started = started || d;
		if (started && !buf_append_c(b, "0123456789abcdef"[d]))
			return false;
	}
	return true;
}

static bool write_flags(const struct filename *n, struct buf *b)
{
	uint32_t letters = n->other_flags;

	for (size_t k = 0; k < ARRAY_LEN(flag_letters); k++)
		if (n->flags & flag_letters[k].flag)
			letters |= LETTER(flag_letters[k].letter);
	/* In ASCII order, as the Maildir specification wants it. */
	for (char c = 'A'; c <= 'Z'; c++)
		if (letters & LETTER(c) && !buf_append_c(b, c))
			return false;
	for (unsigned i = 0; i < 26; i++)
		if (n->keywords.w[0] >> i & 1 && !buf_append_c(b, (char)('a' + i)))
			return false;
	return true;
}

static bool write_number(struct buf *b, struct sv name, uint64_t n)
{
	return buf_append(b, name) && buf_append_u64(b, n);
}

static bool write_date(struct buf *b, int64_t date)
{
	return write_number(b, date < 0 ? SV(",T=-") : SV(",T="), date < 0 ? -(uint64_t)date : (uint64_t)date);
}

bool filename_write(const struct filename *n, char out[FILENAME_MAX_LEN + 1])
{
	char space[FILENAME_MAX_LEN + 1];
	struct buf b = { .p = space, .cap = sizeof(space), .max = FILENAME_MAX_LEN };
	/* The buffer is on the stack and never grows: cap is above max. */
	bool ok = buf_append(&b, n->base) && (!n->has_size || write_number(&b, SV(",S="), n->size)) &&
		  (!n->has_wire_size || write_number(&b, SV(",W="), n->wire_size)) &&
		  (!n->has_uid || (write_number(&b, SV(",U="), n->uidvalidity) && write_number(&b, SV("."), n->uid))) &&
		  (!n->has_internaldate || write_date(&b, n->internaldate)) &&
		  (!n->has_stored_size || write_number(&b, SV(",Z="), n->stored_size)) &&
		  write_keywords(&n->keywords, &b) && buf_append(&b, SV(":2,")) && write_flags(n, &b);

	if (!ok)
		return false;
	memcpy(out, space, b.len);
	out[b.len] = '\0';
	return true;
}

/* The next field that does not change with the flags. */
static bool next_field(struct sv *rest, struct sv *field)
{
	while (sv_split(rest, ',', field))
		if (!sv_starts(*field, SV("K=")))
			return true;
	return false;
}

bool filename_same_but_flags(struct sv a, struct sv b)
{
	struct sv x, y;
	bool has_x, has_y;

	a = sv_sub(a, 0, sv_find(a, ':'));
	b = sv_sub(b, 0, sv_find(b, ':'));
	do {
		has_x = next_field(&a, &x);
		has_y = next_field(&b, &y);
	} while (has_x && has_y && sv_eq(x, y));
	return !has_x && !has_y;
}

/* 125 bits of a digest behind a letter that says what was digested. */
static void write_id(char letter, const uint8_t *digest, char out[FILENAME_ID_LEN + 1])
{
	out[0] = letter;
	for (size_t i = 1; i < FILENAME_ID_LEN; i++)
		out[i] = "abcdefghijklmnopqrstuvwxyz234567"[digest[i] & 31];
	out[FILENAME_ID_LEN] = '\0';
}

void filename_content_id(const struct crypt_digest *octets, char out[FILENAME_ID_LEN + 1])
{
	uint8_t digest[CRYPT_HASH_MAX];

	crypt_digest_get(octets, digest);
	write_id('h', digest, out);
}

bool filename_is_content_id(struct sv id)
{
	return id.len == FILENAME_ID_LEN && id.p[0] == 'h';
}

void filename_dedup_id(struct sv pair, char out[FILENAME_ID_LEN + 1])
{
	uint8_t digest[CRYPT_HASH_MAX];

	crypt_digest(CRYPT_SHA256, pair, digest);
	write_id('q', digest, out);
}

bool filename_is_dedup_id(struct sv id)
{
	return id.len == FILENAME_ID_LEN && id.p[0] == 'q';
}

void filename_email_digest(struct sv id, uint8_t out[16])
{
	uint8_t digest[CRYPT_HASH_MAX];

	crypt_digest(CRYPT_SHA256, id, digest);
	memcpy(out, digest, 16);
}

void filename_email_id(const uint8_t digest[16], char out[24])
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	unsigned count = 0;
	size_t n = 0;

	out[n++] = 'M';
	for (size_t i = 0; i < 16; i++) {
		bits = bits << 8 | digest[i];
		for (count += 8; count >= 6;) {
			count -= 6;
			out[n++] = letters[bits >> count & 63];
		}
	}
	out[n++] = letters[bits << (6 - count) & 63];
	out[n] = '\0';
}
