#include "common/imap_reply.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

#define DIGITS_MAX 18
#define SPARE_MAX ((size_t)16 << 10)    /* memory that is kept for the next response */
#define NO_LIST UINT32_MAX

enum {
	AT_BETWEEN = 0,
	AT_ATOM,
	AT_QUOTED,
	AT_ESCAPED,             /* behind a backslash in a quoted string */
	AT_TEXT,
	AT_TEXT_CR,
	AT_SIZE,                /* digits behind { */
	AT_SIZE_CR,
	AT_SIZE_LF,
	AT_OCTETS,
	AT_CR,
	AT_BAD,
};

void imap_reply_init(struct imap_reply *r)
{
	*r = (struct imap_reply){ .open = NO_LIST };
	buf_init(&r->text, IMAP_REPLY_LINE_MAX + IMAP_REPLY_LITERAL_MAX);
}

void imap_reply_done(struct imap_reply *r)
{
	buf_done(&r->text);
	free(r->tokens);
	r->tokens = NULL;
	r->count = r->cap = 0;
}

void imap_reply_next(struct imap_reply *r)
{
	if (r->text.cap > SPARE_MAX)
		buf_done(&r->text);
	buf_clear(&r->text);
	if (r->cap > SPARE_MAX / sizeof(*r->tokens)) {
		free(r->tokens);
		r->tokens = NULL;
		r->cap = 0;
	}
	r->count = r->depth = r->line = r->kept = 0;
	r->open = NO_LIST;
	r->brackets = 0;
}

static enum imap_reply_event bad(struct imap_reply *r, const char *why)
{
	r->state = AT_BAD;
	r->why = why;
	return IMAP_REPLY_BAD;
}

static bool add_token(struct imap_reply *r, enum imap_reply_kind kind)
{
	if (r->count == IMAP_REPLY_TOKENS_MAX)
		return false;
	if (r->count == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 64;
		r->tokens = xrealloc(r->tokens, r->cap * sizeof(*r->tokens));
	}
	r->tokens[r->count++] = (struct imap_reply_token){ .at = (uint32_t)r->text.len, .kind = (uint8_t)kind };
	return true;
}

static struct imap_reply_token *last(struct imap_reply *r)
{
	return &r->tokens[r->count - 1];
}

static bool add_octet(struct imap_reply *r, char c)
{
	last(r)->len++;
	return buf_append_c(&r->text, c);
}

static bool open_list(struct imap_reply *r)
{
	if (r->depth == IMAP_REPLY_DEPTH_MAX || !add_token(r, IMAP_REPLY_OPEN))
		return false;
	last(r)->match = r->open;
	r->open = (uint32_t)r->count - 1;
	r->depth++;
	return true;
}

static bool close_list(struct imap_reply *r)
{
	uint32_t open = r->open;

	if (open == NO_LIST || !add_token(r, IMAP_REPLY_CLOSE))
		return false;
	r->open = r->tokens[open].match;
	r->tokens[open].match = (uint32_t)r->count - 1;
	r->depth--;
	return true;
}

/* Behind "*" or a tag and one of these words comes a text for people. */
static bool is_before_text(const struct imap_reply *r)
{
	static const char *const words[] = { "OK", "NO", "BAD", "BYE", "PREAUTH" };

	if (r->count == 1)
		return sv_eq(imap_reply_text(r, 0), SV("+"));
	for (size_t i = 0; r->count == 2 && i < ARRAY_LEN(words); i++)
		if (imap_reply_is(r, 1, words[i]))
			return true;
	return false;
}

/* BODY[HEADER.FIELDS (SUBJECT)] is one word. */
static bool opens_section(const struct imap_reply *r)
{
	return imap_reply_is(r, r->count - 1, "BODY") || imap_reply_is(r, r->count - 1, "BINARY");
}

static enum imap_reply_event end_line(struct imap_reply *r)
{
	if (r->open != NO_LIST)
		return bad(r, "a list was not closed");
	if (!r->count)
		return bad(r, "an empty line");
	r->state = AT_BETWEEN;
	return IMAP_REPLY_DONE;
}

/* One octet between tokens. */
static enum imap_reply_event between(struct imap_reply *r, char c)
{
	bool is_good = true;

	if (c != ' ' && c != '\r' && c != '\n' && is_before_text(r)) {
		r->state = AT_TEXT;
		return add_token(r, IMAP_REPLY_TEXT) && add_octet(r, c) ? IMAP_REPLY_MORE : bad(r, "more in one response than we take");
	}
	switch (c) {
	case ' ':
		break;
	case '(':
		is_good = open_list(r);
		break;
	case ')':
		if (r->open == NO_LIST)
			return bad(r, "a list was closed that is none");
		is_good = close_list(r);
		break;
	case '"':
		is_good = add_token(r, IMAP_REPLY_QUOTED);
		r->state = AT_QUOTED;
		break;
	case '{':
		is_good = add_token(r, IMAP_REPLY_OCTETS);
		r->state = AT_SIZE;
		r->literal = r->digits = 0;
		break;
	case '\r':
		r->state = AT_CR;
		break;
	case '\n':              /* some servers end lines so; there is nothing to be smuggled past a client */
		return end_line(r);
	default:
		is_good = add_token(r, IMAP_REPLY_ATOM) && add_octet(r, c);
		r->state = AT_ATOM;
		break;
	}
	return is_good ? IMAP_REPLY_MORE : bad(r, "more in one response than we take");
}

static bool ends_atom(char c)
{
	return c == ' ' || c == '(' || c == ')' || c == '"' || c == '{' || c == '\r' || c == '\n';
}

static enum imap_reply_event in_atom(struct imap_reply *r, char c)
{
	if (r->brackets) {
		if (c == '\r' || c == '\n')
			return bad(r, "a section without its end");
		r->brackets = c != ']';
	} else if (ends_atom(c)) {
		r->state = AT_BETWEEN;
		if (c == '{' && last(r)->len == 1 && r->text.p[r->text.len - 1] == '~') {       /* literal8 */
			r->count--;
			r->text.len--;
		}
		return between(r, c);
	} else if (c == '[') {
		r->brackets = opens_section(r);
	}
	return add_octet(r, c) ? IMAP_REPLY_MORE : bad(r, "more in one response than we take");
}

static enum imap_reply_event in_quoted(struct imap_reply *r, char c)
{
	if (c == '\r' || c == '\n')
		return bad(r, "a quoted string without its end");
	if (r->state == AT_QUOTED && c == '"') {
		r->state = AT_BETWEEN;
		return IMAP_REPLY_MORE;
	}
	if (r->state == AT_QUOTED && c == '\\') {
		r->state = AT_ESCAPED;
		return IMAP_REPLY_MORE;
	}
	r->state = AT_QUOTED;
	return add_octet(r, c) ? IMAP_REPLY_MORE : bad(r, "more in one response than we take");
}

static enum imap_reply_event in_text(struct imap_reply *r, char c)
{
	if (c == '\n')
		return end_line(r);
	if (r->state == AT_TEXT_CR && !add_octet(r, '\r'))
		return bad(r, "more in one response than we take");
	r->state = c == '\r' ? AT_TEXT_CR : AT_TEXT;
	if (c != '\r' && !add_octet(r, c))
		return bad(r, "more in one response than we take");
	return IMAP_REPLY_MORE;
}

static enum imap_reply_event in_size(struct imap_reply *r, char c)
{
	if (r->state == AT_SIZE && ascii_is_digit(c) && r->digits < DIGITS_MAX) {
		r->literal = r->literal * 10 + (uint64_t)(c - '0');
		r->digits++;
		return IMAP_REPLY_MORE;
	}
	if (r->state == AT_SIZE && c == '}' && r->digits) {
		r->state = AT_SIZE_CR;
		return IMAP_REPLY_MORE;
	}
	if (r->state == AT_SIZE_CR && c == '\r') {
		r->state = AT_SIZE_LF;
		return IMAP_REPLY_MORE;
	}
	if (c != '\n' || r->state == AT_SIZE)
		return bad(r, "a literal without a size");
	r->state = AT_OCTETS;
	r->left = r->literal;
	r->is_streaming = false;
	return IMAP_REPLY_LITERAL;
}

void imap_reply_stream(struct imap_reply *r)
{
	last(r)->is_streamed = r->is_streaming = true;
}

/* The octets of a literal, as far as they have come. */
static enum imap_reply_event in_octets(struct imap_reply *r, struct sv *in)
{
	struct imap_reply_token *token = last(r);
	struct sv now = sv_sub(*in, 0, r->left > in->len ? in->len : (size_t)r->left);

	if (!r->is_streaming && !token->is_streamed) {
		if (r->literal > IMAP_REPLY_LITERAL_MAX - r->kept && !token->len)
			token->is_streamed = true;      /* read to its end and forgotten */
		else
			(void)buf_append(&r->text, now);
	}
	if (!token->is_streamed) {
		token->len += (uint32_t)now.len;
		r->kept += now.len;
	}
	sv_skip(in, now.len);
	r->left -= now.len;
	if (r->is_streaming && now.len) {
		r->piece = now;
		return IMAP_REPLY_PIECE;
	}
	if (r->left)
		return IMAP_REPLY_MORE;
	r->state = AT_BETWEEN;
	return r->is_streaming ? IMAP_REPLY_LITERAL_END : IMAP_REPLY_MORE;
}

static enum imap_reply_event take(struct imap_reply *r, char c)
{
	if (++r->line > IMAP_REPLY_LINE_MAX)
		return bad(r, "a response longer than we take");
	switch (r->state) {
	case AT_BETWEEN:  return between(r, c);
	case AT_ATOM:     return in_atom(r, c);
	case AT_QUOTED:
	case AT_ESCAPED:  return in_quoted(r, c);
	case AT_TEXT:
	case AT_TEXT_CR:  return in_text(r, c);
	case AT_SIZE:
	case AT_SIZE_CR:
	case AT_SIZE_LF:  return in_size(r, c);
	case AT_CR:       return c == '\n' ? end_line(r) : bad(r, "a line end that is none");
	default:          return bad(r, r->why);
	}
}

enum imap_reply_event imap_reply_feed(struct imap_reply *r, struct sv *in)
{
	enum imap_reply_event event = IMAP_REPLY_MORE;

	if (r->state == AT_BAD)
		return IMAP_REPLY_BAD;
	/* A literal of no octets ends before anything else comes. */
	while (event == IMAP_REPLY_MORE && (in->len || (r->state == AT_OCTETS && !r->left))) {
		if (r->state == AT_OCTETS) {
			event = in_octets(r, in);
			continue;
		}
		event = take(r, *in->p);
		sv_skip(in, 1);
	}
	return event;
}

struct sv imap_reply_text(const struct imap_reply *r, size_t i)
{
	return i < r->count && r->tokens[i].len ? sv_from(r->text.p + r->tokens[i].at, r->tokens[i].len) : SV_NONE;
}

bool imap_reply_is(const struct imap_reply *r, size_t i, const char *word)
{
	return i < r->count && r->tokens[i].kind == IMAP_REPLY_ATOM && sv_eq_nocase(imap_reply_text(r, i), sv_z(word));
}

size_t imap_reply_after(const struct imap_reply *r, size_t i)
{
	return i < r->count && r->tokens[i].kind == IMAP_REPLY_OPEN ? r->tokens[i].match + 1 : i + 1;
}

bool imap_reply_code(struct sv text, struct sv *name, struct sv *value)
{
	size_t end = sv_find(text, ']');

	*name = *value = SV_NONE;
	if (!text.len || text.p[0] != '[' || end == SIZE_MAX)
		return false;
	text = sv_sub(text, 1, end - 1);
	*name = sv_sub(text, 0, sv_find(text, ' '));
	*value = sv_sub(text, name->len + 1, SIZE_MAX);
	return name->len > 0;
}
