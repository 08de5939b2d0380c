#include "common/bytes.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "common/memory.h"

#include "common/banned.h"

struct sv sv_sub(struct sv s, size_t from, size_t len)
{
	if (from >= s.len)
		return (struct sv){ s.len ? s.p + s.len : s.p, 0 };
	if (len > s.len - from)
		len = s.len - from;
	return (struct sv){ s.p + from, len };
}

bool sv_eq(struct sv a, struct sv b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

int sv_cmp(struct sv a, struct sv b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	if (c)
		return c;
	return a.len < b.len ? -1 : a.len > b.len;
}

int sv_cmp_nocase(struct sv a, struct sv b)
{
	size_t n = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < n; i++) {
		unsigned char x = (unsigned char)ascii_lower(a.p[i]);
		unsigned char y = (unsigned char)ascii_lower(b.p[i]);
		if (x != y)
			return x < y ? -1 : 1;
	}
	return a.len < b.len ? -1 : a.len > b.len;
}

bool sv_eq_nocase(struct sv a, struct sv b)
{
	return a.len == b.len && sv_cmp_nocase(a, b) == 0;
}

bool sv_starts(struct sv s, struct sv prefix)
{
	return s.len >= prefix.len && sv_eq(sv_sub(s, 0, prefix.len), prefix);
}

bool sv_starts_nocase(struct sv s, struct sv prefix)
{
	return s.len >= prefix.len && sv_eq_nocase(sv_sub(s, 0, prefix.len), prefix);
}

bool sv_ends(struct sv s, struct sv suffix)
{
	return s.len >= suffix.len && sv_eq(sv_sub(s, s.len - suffix.len, suffix.len), suffix);
}

size_t sv_find(struct sv s, char c)
{
	const char *at = s.len ? memchr(s.p, c, s.len) : NULL;

	return at ? (size_t)(at - s.p) : SIZE_MAX;
}

size_t sv_rfind(struct sv s, char c)
{
	const char *at = s.len ? memrchr(s.p, c, s.len) : NULL;

	return at ? (size_t)(at - s.p) : SIZE_MAX;
}

size_t sv_search(struct sv s, struct sv needle)
{
	if (needle.len == 0)
		return 0;
	if (s.len < needle.len)
		return SIZE_MAX;
	const char *at = memmem(s.p, s.len, needle.p, needle.len);

	return at ? (size_t)(at - s.p) : SIZE_MAX;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct sv sv_trim(struct sv s)
{
	while (s.len && is_space(s.p[0]))
		sv_skip(&s, 1);
	while (s.len && is_space(s.p[s.len - 1]))
		s.len--;
	return s;
}

bool sv_split(struct sv *rest, char c, struct sv *part)
{
	if (!rest->p) {
		*part = SV_NONE;
		return false;
	}
	size_t at = sv_find(*rest, c);

	if (at == SIZE_MAX) {
		*part = *rest;
		*rest = SV_NONE;
		return true;
	}
	*part = sv_sub(*rest, 0, at);
	sv_skip(rest, at + 1);
	return true;
}

bool sv_to_u64(struct sv s, uint64_t *out)
{
	uint64_t n = 0;

	if (!s.len)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_is_digit(s.p[i]))
			return false;
		if (i < 19)     /* so many digits always fit */
			n = n * 10 + (uint64_t)(s.p[i] - '0');
		else if (__builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(s.p[i] - '0'), &n))
			return false;
	}
	*out = n;
	return true;
}

bool sv_to_u32(struct sv s, uint32_t *out)
{
	uint64_t n;

	if (!sv_to_u64(s, &n) || n > UINT32_MAX)
		return false;
	*out = (uint32_t)n;
	return true;
}

bool sv_hex_to_u64(struct sv s, uint64_t *out)
{
	uint64_t n = 0;

	if (!s.len || s.len > 16)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		int digit = ascii_hex(s.p[i]);
		if (digit < 0 || (s.p[i] >= 'A' && s.p[i] <= 'F'))
			return false;
		n = n << 4 | (unsigned)digit;
	}
	*out = n;
	return true;
}

static inline uint64_t rotl(uint64_t x, int b)
{
	return (x << b) | (x >> (64 - b));
}

#define SIP_ROUND                                                              \
	do {                                                                   \
		v0 += v1; v1 = rotl(v1, 13); v1 ^= v0; v0 = rotl(v0, 32);      \
		v2 += v3; v3 = rotl(v3, 16); v3 ^= v2;                         \
		v0 += v3; v3 = rotl(v3, 21); v3 ^= v0;                         \
		v2 += v1; v1 = rotl(v1, 17); v1 ^= v2; v2 = rotl(v2, 32);      \
	} while (0)

static uint64_t hash_key[2];
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static void draw_hash_key(void)
{
	if (getrandom(hash_key, sizeof(hash_key), 0) != (ssize_t)sizeof(hash_key))
		abort();
}

/* SipHash-1-3 (Aumasson, Bernstein): hash tables filled by strangers need a key they cannot guess. */
uint64_t sv_hash(struct sv s)
{
	pthread_once(&hash_once, draw_hash_key);
	uint64_t v0 = hash_key[0] ^ 0x736f6d6570736575ull, v1 = hash_key[1] ^ 0x646f72616e646f6dull;
	uint64_t v2 = hash_key[0] ^ 0x6c7967656e657261ull, v3 = hash_key[1] ^ 0x7465646279746573ull;
	uint64_t m, tail = (uint64_t)s.len << 56;
	size_t i = 0;

	for (; i + 8 <= s.len; i += 8) {
		memcpy(&m, s.p + i, 8);
		v3 ^= m;
		SIP_ROUND;
		v0 ^= m;
	}
	for (size_t k = 0; i + k < s.len; k++)
		tail |= (uint64_t)(unsigned char)s.p[i + k] << (8 * k);
	v3 ^= tail;
	SIP_ROUND;
	v0 ^= tail;
	v2 ^= 0xff;
	SIP_ROUND;
	SIP_ROUND;
	SIP_ROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

bool sv_is_utf8(struct sv s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0;

	while (i < s.len) {
		unsigned char c = p[i];
		size_t n = c < 0x80 ? 0 : c >= 0xc2 && c <= 0xdf ? 1 :
			   c >= 0xe0 && c <= 0xef ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : SIZE_MAX;
		if (n == SIZE_MAX || n >= s.len - i)
			return false;
		for (size_t k = 1; k <= n; k++)
			if ((p[i + k] & 0xc0) != 0x80)
				return false;
		if ((c == 0xe0 && p[i + 1] < 0xa0) || (c == 0xed && p[i + 1] > 0x9f) ||
		    (c == 0xf0 && p[i + 1] < 0x90) || (c == 0xf4 && p[i + 1] > 0x8f))
			return false;
		i += n + 1;
	}
	return true;
}

size_t sv_ascii_len(struct sv s)
{
	size_t n = 0;
	uint64_t eight;

	for (; s.len - n >= sizeof(eight); n += sizeof(eight)) {
		memcpy(&eight, s.p + n, sizeof(eight));
		if (eight & UINT64_C(0x8080808080808080))
			break;
	}
	while (n < s.len && (unsigned char)s.p[n] < 128)
		n++;
	return n;
}

bool sv_has_8bit(struct sv s)
{
	return sv_ascii_len(s) < s.len;
}

void buf_done(struct buf *b)
{
	free(b->p);
	b->p = NULL;
	b->len = b->cap = 0;
}

void buf_wipe(struct buf *b)
{
	if (b->p)
		secret_wipe(b->p, b->cap);
	buf_done(b);
}

bool buf_reserve(struct buf *b, size_t n)
{
	if (n > b->max - b->len)
		return false;
	if (n <= b->cap - b->len)
		return true;
	size_t want = b->len + n, cap = b->cap < 64 ? 64 : b->cap;

	while (cap < want)
		cap = cap > b->max / 2 ? b->max : cap * 2;
	if (cap > b->max)
		cap = b->max;
	b->p = xrealloc(b->p, cap);
	b->cap = cap;
	return true;
}

bool buf_append_grown(struct buf *b, struct sv s)
{
	if (!buf_reserve(b, s.len))
		return false;
	memcpy(b->p + b->len, s.p, s.len);
	b->len += s.len;
	return true;
}

#define U64_DIGITS 20

/* Two digits at a time, right into the buffer: answers of IMAP are full of numbers. */
bool buf_append_u64(struct buf *b, uint64_t n)
{
	static const char pairs[] =
		"00010203040506070809" "10111213141516171819" "20212223242526272829" "30313233343536373839"
		"40414243444546474849" "50515253545556575859" "60616263646566676869" "70717273747576777879"
		"80818283848586878889" "90919293949596979899";
	static const uint64_t beyond[U64_DIGITS] = {    /* the smallest number that needs more than i + 1 digits */
		10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000,
		1000000000000, 10000000000000, 100000000000000, 1000000000000000, 10000000000000000,
		100000000000000000, 1000000000000000000, 10000000000000000000u, UINT64_MAX,
	};
	size_t len = 1;

	while (len < U64_DIGITS && n >= beyond[len - 1])
		len++;
	if (len > b->cap - b->len && !buf_reserve(b, len))
		return false;
	b->len += len;
	for (char *end = b->p + b->len;; n /= 100) {
		if (n < 10) {
			if (len & 1)
				end[-1] = (char)('0' + n);
			return true;
		}
		end -= 2;
		memcpy(end, pairs + 2 * (n % 100), 2);
	}
}

bool buf_vappendf(struct buf *b, const char *format, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(b->cap > b->len ? b->p + b->len : NULL, b->cap - b->len, format, ap);
	bool fits = n >= 0;

	if (fits && (size_t)n >= b->cap - b->len) {
		/* vsnprintf wants one octet more than it counts, for its NUL. */
		char *whole = xmalloc((size_t)n + 1);
		vsnprintf(whole, (size_t)n + 1, format, again);
		fits = buf_append(b, (struct sv){ whole, (size_t)n });
		free(whole);
	} else if (fits) {
		b->len += (size_t)n;
	}
	va_end(again);
	return fits;
}

bool buf_appendf(struct buf *b, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	bool ok = buf_vappendf(b, format, ap);
	va_end(ap);
	return ok;
}

void buf_consume(struct buf *b, size_t n)
{
	b->len -= n;
	if (b->len && n)
		memmove(b->p, b->p + n, b->len);
}

const char *buf_z(struct buf *b)
{
	if (!buf_reserve(b, 1))
		return NULL;
	b->p[b->len] = '\0';
	return b->p;
}

char *buf_take(struct buf *b, size_t *len)
{
	char *p = b->p;

	*len = b->len;
	b->p = NULL;
	b->len = b->cap = 0;
	return p;
}
