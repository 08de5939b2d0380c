/* common/bytes.h - views and buffers: the only two ways in which bytes travel.
 * A view (struct sv) borrows; a buffer (struct buf) owns, and knows the size it may never pass.
 * Neither promises a NUL. No function here looks at the locale. Safe on any thread. */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
/* For a large local array whose octets are written before they are read: -ftrivial-auto-var-init would clear all of it each time. */
#if defined(__has_attribute) && __has_attribute(uninitialized)
#define UNCLEARED __attribute__((uninitialized))
#else
#define UNCLEARED
#endif
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
/* The struct of the given type whose member ptr points to. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Borrowed octets. p may be NULL only when len is 0. */
struct sv {
	const char *p;
	size_t len;
};

/* Owned octets: len <= cap <= max. Zero-initialised with a max it is an empty buffer. */
struct buf {
	char *p;
	size_t len, cap, max;
};

/* SV_INIT is SV for static tables, where C wants a constant. */
#define SV_INIT(lit) { "" lit, sizeof(lit) - 1 }
#define SV(lit) ((struct sv)SV_INIT(lit))
#define SV_NONE ((struct sv){ NULL, 0 })
/* For printf: "%.*s", SV_FMT(view). */
#define SV_FMT(s) ((int)((s).len > 0x7fffffff ? 0x7fffffff : (s).len)), ((s).p ? (s).p : "")

static inline struct sv sv_from(const char *p, size_t len)
{
	return (struct sv){ p, len };
}

/** sv_z - view of a NUL-terminated string; NULL gives the empty view. */
static inline struct sv sv_z(const char *z)
{
	return (struct sv){ z, z ? strlen(z) : 0 };
}

static inline struct sv buf_sv(const struct buf *b)
{
	return (struct sv){ b->p, b->len };
}

/** sv_skip - drop the first n octets (n <= s->len). */
static inline void sv_skip(struct sv *s, size_t n)
{
	s->p += n;
	s->len -= n;
}

/** sv_sub - octets [from, from+len) of s, cut to what s has. */
struct sv sv_sub(struct sv s, size_t from, size_t len);

bool sv_eq(struct sv a, struct sv b);
/** sv_eq_nocase - equal when A-Z and a-z are the same letter; other octets are compared as they are. */
bool sv_eq_nocase(struct sv a, struct sv b);
/** sv_cmp, sv_cmp_nocase - memcmp order, a prefix sorts first. */
int sv_cmp(struct sv a, struct sv b);
int sv_cmp_nocase(struct sv a, struct sv b);
bool sv_starts(struct sv s, struct sv prefix);
bool sv_starts_nocase(struct sv s, struct sv prefix);
bool sv_ends(struct sv s, struct sv suffix);
/** sv_find - index of the first c in s, or SIZE_MAX. */
size_t sv_find(struct sv s, char c);
/** sv_rfind - index of the last c in s, or SIZE_MAX. */
size_t sv_rfind(struct sv s, char c);
/** sv_search - index of the first occurrence of needle, or SIZE_MAX; the empty needle is at 0. */
size_t sv_search(struct sv s, struct sv needle);
/** sv_trim - without leading and trailing space, tab, CR and LF. */
struct sv sv_trim(struct sv s);
/** sv_split - cut the part before the first c off *rest (the separator is dropped).
 *  Returns false when *rest is used up, and *part is SV_NONE then; the last part is what has no separator behind it. */
bool sv_split(struct sv *rest, char c, struct sv *part);
/** sv_to_u32, sv_to_u64 - a decimal number; false for empty, signed, overflowing or any other octet. */
bool sv_to_u32(struct sv s, uint32_t *out);
bool sv_to_u64(struct sv s, uint64_t *out);
/** sv_hex_to_u64 - 1 to 16 hexadecimal digits in lower case (one spelling per value and width: we compare them). */
bool sv_hex_to_u64(struct sv s, uint64_t *out);
/** sv_hash - 64-bit keyed hash (SipHash-1-3 with a key drawn at start): safe against flooding. */
uint64_t sv_hash(struct sv s);
/** sv_is_utf8 - well-formed UTF-8 without surrogates and overlong forms (RFC 3629). */
bool sv_is_utf8(struct sv s);
/** sv_ascii_len - how many octets at the beginning of s are below 128. */
size_t sv_ascii_len(struct sv s);
/** sv_has_8bit - any octet above 127. */
bool sv_has_8bit(struct sv s);

/* ASCII letters without a locale. */
static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}
static inline char ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}
static inline bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}
static inline bool ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
/** ascii_hex - the value of a hexadecimal digit, 0..15, or -1. */
static inline int ascii_hex(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** buf_init - an empty buffer that will never hold more than max octets. Allocates nothing. */
static inline void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}
/** buf_done - release the memory; the buffer is empty again and keeps its max. */
void buf_done(struct buf *b);
/** buf_wipe - like buf_done, after overwriting what it held (secrets). */
void buf_wipe(struct buf *b);
/** buf_reserve - room for n more octets; false (and b unchanged) when that would pass max. */
bool buf_reserve(struct buf *b, size_t n);
/** buf_append... - add at the end; false (and b unchanged) when max would be passed. */
bool buf_append_grown(struct buf *b, struct sv s);      /* where there is no room yet */
static inline bool buf_append(struct buf *b, struct sv s)       /* here, because writers call it for each word */
{
	if (s.len > b->cap - b->len || s.len > b->max - b->len)         /* subtract: the check itself cannot wrap */
		return buf_append_grown(b, s);
	if (s.len) {
		memcpy(b->p + b->len, s.p, s.len);
		b->len += s.len;
	}
	return true;
}
static inline bool buf_append_c(struct buf *b, char c)  /* here, because parsers call it for each octet */
{
	if (b->len == b->cap && !buf_reserve(b, 1))
		return false;
	b->p[b->len++] = c;
	return true;
}
bool buf_append_u64(struct buf *b, uint64_t n);
bool buf_appendf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
bool buf_vappendf(struct buf *b, const char *format, va_list ap) PRINTF_LIKE(2, 0);
/** buf_consume - drop the first n octets (n <= len), moving the rest down. */
void buf_consume(struct buf *b, size_t n);
static inline void buf_clear(struct buf *b)
{
	b->len = 0;
}
/** buf_z - the content with a NUL behind it (not counted in len); NULL when max leaves no room for it.
 *  Borrowed, valid until the buffer changes. */
const char *buf_z(struct buf *b);
/** buf_take - hand the memory to the caller (free() it); the buffer is empty afterwards. */
char *buf_take(struct buf *b, size_t *len);

#endif
