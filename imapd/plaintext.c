/* imapd/plaintext.c - see plaintext.h. */
#include "imapd/plaintext.h"

#include <endian.h>

#include "common/banned.h"

#define EACH(octet) (UINT64_C(0x0101010101010101) * (unsigned char)(octet))
#define CAPITAL 0xdf            /* what is left of a letter; of other octets, too, so a hit has to be looked at */

static uint64_t eight_at(const char *p)
{
	uint64_t octets;

	memcpy(&octets, p, sizeof(octets));
	return le64toh(octets);
}

/* has_zero - the highest bit of each octet that is zero, and sometimes of the one above it. */
static uint64_t has_zero(uint64_t x)
{
	return (x - EACH(1)) & ~x & EACH(0x80);
}

static bool is_here(const char *p, struct sv needle)
{
	size_t k = 0;

	while (k < needle.len && ascii_upper(p[k]) == needle.p[k])
		k++;
	return k == needle.len;
}

bool plaintext_holds(struct sv text, struct sv needle)
{
	if (!needle.len || needle.len > text.len)
		return !needle.len;
	/* The first two octets of the needle are looked for at eight places at once. */
	const size_t ends = text.len - needle.len, two = needle.len > 1, span = 8 + two;
	const uint64_t first = EACH(needle.p[0] & CAPITAL), second = EACH(needle.p[two] & CAPITAL);

	if (text.len < span) {
		for (size_t i = 0; i <= ends; i++)
			if (is_here(text.p + i, needle))
				return true;
		return false;
	}
	for (size_t i = 0;; i = i + 8 < text.len - span ? i + 8 : text.len - span) {
		uint64_t x = ((eight_at(text.p + i) & EACH(CAPITAL)) ^ first) |
			     ((eight_at(text.p + i + two) & EACH(CAPITAL)) ^ second);

		for (uint64_t hits = has_zero(x); hits; hits &= hits - 1) {
			size_t at = i + (size_t)__builtin_ctzll(hits) / 8;
			if (at <= ends && is_here(text.p + at, needle))
				return true;
		}
		if (i == text.len - span)
			return false;
	}
}

bool plaintext_is(struct sv value)
{
	uint64_t x, odd = 0, equals = 0;
	size_t i = 0;

	for (; i + 8 <= value.len; i += 8) {
		x = eight_at(value.p + i);
		odd |= ((x - EACH(' ')) | x) & EACH(0x80);      /* below a space, where it borrows, or above 127 */
		equals |= has_zero(x ^ EACH('='));
	}
	for (; i < value.len; i++) {
		odd |= (unsigned char)value.p[i] > 127 || value.p[i] < ' ';
		equals |= value.p[i] == '=';
	}
	return !odd && (!equals || sv_search(value, SV("=?")) == SIZE_MAX);
}

struct sv plaintext_take(struct sv *block)
{
	size_t n = 0;

	do {
		size_t lf = sv_find(sv_sub(*block, n, SIZE_MAX), '\n');

		n = lf == SIZE_MAX ? block->len : n + lf + 1;
	} while (n < block->len && (block->p[n] == ' ' || block->p[n] == '\t'));
	struct sv field = sv_sub(*block, 0, n);

	sv_skip(block, n);
	return field;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* is_name - as RFC 5322 §2.2 has it; a client may look for anything. */
static bool is_name(struct sv name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] <= ' ' || name.p[i] > 126 || name.p[i] == ':')
			return false;
	return true;
}

/* is_other - does a field begin here that has another name, for sure? Most do. One that begins with white space, as hostile mail
 * may, is looked at. */
static bool is_other(struct sv at, struct sv name)
{
	if (is_space(*at.p))
		return false;
	if (ascii_lower(*at.p) != ascii_lower(*name.p))
		return true;
	bool ends_here = at.len > name.len && (at.p[name.len] == ':' || is_space(at.p[name.len]));

	return !ends_here && is_name(name);
}

bool plaintext_field(struct sv *block, struct sv name, struct sv *value)
{
	while (block->len) {
		if (is_other(*block, name)) {
			do {
				const char *lf = memchr(block->p, '\n', block->len);
				sv_skip(block, lf ? (size_t)(lf + 1 - block->p) : block->len);
			} while (block->len && (*block->p == ' ' || *block->p == '\t'));
			continue;
		}
		struct sv field = plaintext_take(block);
		/* The usual spelling has its colon here; another one further left would end a shorter name. */
		size_t colon = name.len < field.len && field.p[name.len] == ':' && is_name(name) ? name.len : sv_find(field, ':');

		if (colon == SIZE_MAX || !sv_eq_nocase(sv_trim(sv_sub(field, 0, colon)), name))
			continue;
		*value = sv_trim(sv_sub(field, colon + 1, SIZE_MAX));
		return true;
	}
	return false;
}
