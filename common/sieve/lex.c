/* Characters to tokens (RFC 5228 §8.1). */
#include "common/sieve/sieve_private.h"

#include "common/banned.h"

void sieve_lexer_init(struct sieve_lexer *l, struct sv text, struct arena *a)
{
	*l = (struct sieve_lexer){ .rest = text, .at = { 1, 1 }, .arena = a };
	if (sv_starts(text, SV("\xef\xbb\xbf")))        /* a byte order mark, as some editors leave it */
		sv_skip(&l->rest, 3);
}

/* Go over n octets, counting lines and characters. */
static void advance(struct sieve_lexer *l, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)l->rest.p[i];

		if (c == '\n') {
			l->at.line++;
			l->at.column = 1;
		} else if ((c & 0xc0) != 0x80 && c != '\r') {
			l->at.column++;
		}
	}
	sv_skip(&l->rest, n);
}

static struct sieve_token bad(struct sieve_place at, const char *text)
{
	return (struct sieve_token){ .kind = TOKEN_BAD, .at = at, .text = sv_z(text) };
}

/* White space and comments. False: a comment never ends. */
static bool skip_space(struct sieve_lexer *l)
{
	while (l->rest.len) {
		char c = *l->rest.p;

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			advance(l, 1);
		} else if (c == '#') {
			size_t n = sv_find(l->rest, '\n');
			advance(l, n == SIZE_MAX ? l->rest.len : n);
		} else if (sv_starts(l->rest, SV("/*"))) {
			size_t n = sv_search(sv_sub(l->rest, 2, SIZE_MAX), SV("*/"));
			if (n == SIZE_MAX)
				return false;
			advance(l, n + 4);
		} else {
			break;
		}
	}
	return true;
}

static bool is_identifier(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '_';
}

static size_t identifier_len(struct sv s)
{
	size_t n = 0;

	while (n < s.len && is_identifier(s.p[n]))
		n++;
	return n;
}

/* Copy a string's octets: escapes resolved, line ends made CRLF (§2.4.2: strings have CRLF whatever the file has). */
static bool put(struct buf *b, struct sv s, size_t *at)
{
	char c = s.p[*at];

	if (c == '\r' && *at + 1 < s.len && s.p[*at + 1] == '\n')
		++*at;
	if (s.p[*at] == '\n')
		return buf_append(b, SV("\r\n"));
	return buf_append_c(b, c);
}

static struct sieve_token string_token(struct sieve_lexer *l, struct sieve_place at, const struct buf *b)
{
	struct sieve_token t = { .kind = TOKEN_STRING, .at = at, .text = arena_copy(l->arena, buf_sv(b)) };

	if (!t.text.p)
		return bad(at, "the script is too large");
	if (!sv_is_utf8(t.text))
		return bad(at, "this text is not UTF-8");
	return t;
}

static struct sieve_token quoted(struct sieve_lexer *l)
{
	struct sieve_place at = l->at;
	struct sv s = l->rest;
	struct sieve_token t;
	struct buf b;
	size_t i;

	buf_init(&b, 2 * s.len + 1);
	for (i = 1; i < s.len && s.p[i] != '"'; i++) {
		if (s.p[i] == '\\' && i + 1 < s.len)
			i++;            /* \" and \\; before anything else the backslash means nothing (§2.4.2) */
		if (s.p[i] == '\0' || !put(&b, s, &i))
			break;
	}
	if (i >= s.len)
		t = bad(at, "this text has no closing quotation mark");
	else if (s.p[i] != '"')
		t = bad(at, "a text may not contain the octet 0");
	else
		t = string_token(l, at, &b);
	buf_done(&b);
	if (t.kind != TOKEN_BAD)
		advance(l, i + 1);
	return t;
}

/* text: and what follows up to a line with a single dot; "..line" is ".line". */
static struct sieve_token multi_line(struct sieve_lexer *l)
{
	struct sieve_place at = l->at;
	struct sv s = l->rest;
	size_t i = 5;
	struct buf b;
	struct sieve_token t = bad(at, "\"text:\" has no line with a single \".\" that ends it");

	while (i < s.len && (s.p[i] == ' ' || s.p[i] == '\t'))
		i++;
	if (i < s.len && s.p[i] == '#')
		while (i < s.len && s.p[i] != '\n')
			i++;
	if (i < s.len && s.p[i] == '\r')
		i++;
	if (i >= s.len || s.p[i] != '\n')
		return bad(at, "\"text:\" must be followed by a new line");
	i++;
	buf_init(&b, 2 * s.len + 1);
	while (i < s.len) {
		size_t end = i;

		while (end < s.len && s.p[end] != '\n')
			end++;
		struct sv line = sv_sub(s, i, end - i);
		if (sv_ends(line, SV("\r")))
			line.len--;
		if (sv_eq(line, SV("."))) {
			advance(l, end < s.len ? end + 1 : end);
			t = string_token(l, at, &b);
			break;
		}
		if (memchr(line.p, 0, line.len)) {
			t = bad(at, "a text may not contain the octet 0");
			break;
		}
		if (sv_starts(line, SV(".")))
			sv_skip(&line, 1);
		(void)(buf_append(&b, line) && buf_append(&b, SV("\r\n")));
		i = end + 1;
	}
	buf_done(&b);
	return t;
}

static struct sieve_token number(struct sieve_lexer *l)
{
	struct sieve_token t = { .kind = TOKEN_NUMBER, .at = l->at };
	size_t n = 0;
	unsigned shift = 0;

	while (n < l->rest.len && ascii_is_digit(l->rest.p[n]))
		n++;
	t.text = sv_sub(l->rest, 0, n);
	if (n < l->rest.len) {
		char c = ascii_lower(l->rest.p[n]);

		shift = c == 'k' ? 10 : c == 'm' ? 20 : c == 'g' ? 30 : 0;
	}
	size_t all = n + (shift != 0);
	if (all < l->rest.len && is_identifier(l->rest.p[all]))
		return bad(t.at, "a number is digits with nothing, K, M or G behind them");
	if (!sv_to_u64(t.text, &t.number) || t.number > (UINT64_MAX >> 1 >> shift))
		return bad(t.at, "this number is too large");
	t.number <<= shift;
	advance(l, all);
	return t;
}

struct sieve_token sieve_lexer_next(struct sieve_lexer *l)
{
	struct sieve_token t = { .kind = TOKEN_END };
	struct sieve_place before;
	size_t n;

	for (before = l->at; !skip_space(l); before = l->at)
		return bad(before, "a comment that begins with /* has no */");
	t.at = l->at;
	if (!l->rest.len)
		return t;
	char c = *l->rest.p;
	if (c == '"')
		return quoted(l);
	if (ascii_is_digit(c))
		return number(l);
	if (sv_starts_nocase(l->rest, SV("text:")))
		return multi_line(l);
	if (ascii_is_alpha(c) || c == '_') {
		t.kind = TOKEN_IDENTIFIER;
		t.text = sv_sub(l->rest, 0, identifier_len(l->rest));
		advance(l, t.text.len);
		return t;
	}
	if (c == ':') {
		n = identifier_len(sv_sub(l->rest, 1, SIZE_MAX));
		if (!n || ascii_is_digit(l->rest.p[1]))
			return bad(t.at, "a colon must be followed by the name of an option, such as \":is\"");
		t.kind = TOKEN_TAG;
		t.text = sv_sub(l->rest, 1, n);
		advance(l, n + 1);
		return t;
	}
	if (c && strchr("(){}[],;", c)) {
		t.kind = TOKEN_PUNCTUATION;
		t.text = sv_sub(l->rest, 0, 1);
		advance(l, 1);
		return t;
	}
	return bad(t.at, c == '\'' ? "texts stand in \"double\" quotation marks" : "this character means nothing here");
}
