/* imapd/grammar.c - see grammar.h. One state machine; spans of plain octets are taken at once. */
#include "imapd/grammar.h"

#include <stdlib.h>

#include "common/fault.h"
#include "common/memory.h"

#include "common/banned.h"

enum state {
	S_START = 0,    /* before the tag; empty lines are skipped (they are in the wild) */
	S_BETWEEN,      /* behind a space or at the start of a list */
	S_AFTER,        /* behind a quoted string, a literal or a closed list */
	S_ATOM,
	S_QUOTED, S_ESCAPE,
	S_SIZE,         /* behind "{" */
	S_PLUS,         /* behind "{123+" */
	S_BRACE,        /* behind "{123}" */
	S_BRACE_CR,
	S_DECIDE,       /* GRAMMAR_LITERAL was told, no answer yet */
	S_LITERAL,
	S_CR,           /* behind CR: only LF may follow */
	S_SKIP,         /* the command is bad: to the end of the line, watching for {n+} */
	S_SKIP_SIZE, S_SKIP_PLUS, S_SKIP_BRACE, S_SKIP_BRACE_PLUS,
	S_SKIP_CR, S_SKIP_CR_SYNC, S_SKIP_CR_PLUS,
	S_LINE, S_LINE_CR,
	S_TOLD,         /* the command is complete, grammar_next() is due */
};

enum literal_mode { LITERAL_TAKE, LITERAL_STREAM, LITERAL_DROP };

#define NO_LIST UINT32_MAX
#define TEXT_KEEP 4096          /* a text buffer larger than this is given back between commands */
#define LITERAL_DIGITS 19       /* fits 64 bits whatever the digits are */
#define PATIENCE 4 /* how many times a limit is read and dropped before the connection ends */

/* What may stand in an unquoted word as the tokenizer sees it: the printable octets without those
 * that end or start another token. Which of them an argument really allows is checked where it is
 * read. */
static bool is_word_char(char c)
{
	return c > ' ' && c < 0x7f && c != '(' && c != ')' && c != '{' && c != '"';
}

/* RFC 3501 §9 ATOM-CHAR */
static bool is_atom_char(char c)
{
	return is_word_char(c) && c != '%' && c != '*' && c != '\\' && c != ']';
}

bool atom_is_valid(struct sv s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_atom_char(s.p[i]))
			return false;
	return s.len > 0;
}

bool astring_is_atom(struct sv s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_atom_char(s.p[i]) && s.p[i] != ']')
			return false;
	return s.len > 0;
}

void grammar_init(struct grammar *g, const struct grammar_limits *limits)
{
	*g = (struct grammar){ .limits = *limits, .open = NO_LIST };
	buf_init(&g->text, limits->line + limits->literals + 1);
}

void grammar_done(struct grammar *g)
{
	buf_wipe(&g->text);     /* it held passwords */
	free(g->tokens);
	g->tokens = NULL;
	g->count = g->cap = 0;
}

void grammar_idle(struct grammar *g)
{
	buf_wipe(&g->text);
	free(g->tokens);
	g->tokens = NULL;
	g->count = g->cap = 0;
}

void grammar_next(struct grammar *g)
{
	struct grammar_limits limits = g->limits;
	struct token *tokens = g->tokens;
	size_t cap = g->cap;
	struct buf text = g->text;

	if (text.cap > TEXT_KEEP || cap * sizeof(*tokens) > TEXT_KEEP) {
		buf_wipe(&text);
		free(tokens);
		tokens = NULL;
		cap = 0;
	} else if (text.p) {
		secret_wipe(text.p, text.cap);
	}
	buf_clear(&text);
	text.max = limits.line + limits.literals + 1;
	*g = (struct grammar){
		.limits = limits, .text = text, .tokens = tokens, .cap = cap, .open = NO_LIST
	};
}

bool grammar_is_idle(const struct grammar *g)
{
	return g->state == S_START && g->line_used == 0;
}

void grammar_expect_line(struct grammar *g, size_t max)
{
	if (g->state != S_TOLD)
		BUG("a line is expected in the middle of a command");
	/* The line follows the command's text, so that the command's arguments stay valid; it
	 * replaces a line before it. */
	if (g->is_line)
		g->text.len = (size_t)g->left;
	else
		g->left = g->text.len;
	g->is_line = true;
	g->is_bad = false;
	g->line_max = max;
	g->line_used = 0;
	g->state = S_LINE;
	g->text.max = g->text.len + max;
	g->octets = SV_NONE;
}

struct sv token_text(const struct grammar *g, const struct token *t)
{
	return sv_from(g->text.p ? g->text.p + t->at : "", t->len);
}

/* RFC 3501 §9: tag = 1*<any ASTRING-CHAR except "+"> */
struct sv grammar_tag(const struct grammar *g)
{
	if (!g->count || g->tokens[0].kind != TOKEN_ATOM || g->is_line)
		return g->is_line && g->count ? token_text(g, &g->tokens[0]) : SV_NONE;
	struct sv tag = token_text(g, &g->tokens[0]);

	/* A tag that is still being read must not be repeated. */
	if (g->count == 1 && g->state == S_ATOM)
		return SV_NONE;
	if (tag.len > 256 || !astring_is_atom(tag) || sv_find(tag, '+') != SIZE_MAX)
		return SV_NONE;
	return tag;
}

static void turn_bad(struct grammar *g, const char *why)
{
	if (!g->is_bad) {
		g->is_bad = true;
		g->why = why;
		/* Keep the tag (if there is one) for the answer, forget the rest. */
		if (g->count > 1)
			g->count = 1;
	}
	g->state = S_SKIP;
}

/* add_token - NULL when the command has too many. */
static struct token *add_token(struct grammar *g, enum token_kind kind)
{
	if (g->count >= g->limits.tokens)
		return NULL;
	if (g->count == g->cap) {
		g->cap = g->cap ? g->cap * 2 : 16;
		g->tokens = xrealloc(g->tokens, g->cap * sizeof(*g->tokens));
	}
	struct token *t = &g->tokens[g->count++];

	*t = (struct token){ .at = (uint32_t)g->text.len,
			     .kind = (uint8_t)kind,
			     .is_spaced = g->is_spaced };
	g->is_spaced = false;
	return t;
}

static struct token *last_token(struct grammar *g)
{
	return &g->tokens[g->count - 1];
}

/* put - octets of the token that is being read. The text's limit covers line and literals, so it
 * cannot be passed before one of those is; the check is there anyway. */
static bool put(struct grammar *g, struct sv octets)
{
	if (!buf_append(&g->text, octets))
		return false;
	last_token(g)->len += (uint32_t)octets.len;
	return true;
}

static void start_token(struct grammar *g, enum token_kind kind, enum state state)
{
	g->state = (uint8_t)state;
	if (!add_token(g, kind))
		turn_bad(g, "Too many arguments");
}

static void open_list(struct grammar *g)
{
	if (g->depth >= g->limits.depth) {
		turn_bad(g, "Lists are nested too deeply");
		return;
	}
	start_token(g, TOKEN_OPEN, S_BETWEEN);
	if (g->is_bad)
		return;
	last_token(g)->match = g->open;
	g->open = (uint32_t)g->count - 1;
	g->depth++;
}

static void close_list(struct grammar *g)
{
	if (g->open == NO_LIST) {
		turn_bad(g, "A closing parenthesis without an opening one");
		return;
	}
	start_token(g, TOKEN_CLOSE, S_AFTER);
	if (g->is_bad)
		return;
	struct token *opening = &g->tokens[g->open];
	uint32_t outer = opening->match;

	opening->match = (uint32_t)g->count - 1;
	g->open = outer;
	g->depth--;
}

/* delimiter - an octet that ends an atom, or follows a string, a list or a space. */
static void delimiter(struct grammar *g, char c)
{
	switch (c) {
	case ' ':
		g->is_spaced = true;
		g->state = S_BETWEEN;
		return;
	case '\r':
		g->state = S_CR;
		return;
	case '(':
		open_list(g);
		return;
	case ')':
		close_list(g);
		return;
	case '"':
		start_token(g, TOKEN_QUOTED, S_QUOTED);
		return;
	case '{':
		g->literal = (struct grammar_literal){ .is_sync = true };
		g->digits = 0;
		g->is_tilde = false;
		g->state = S_SIZE;
		return;
	}
	if (is_word_char(c)) {
		start_token(g, TOKEN_ATOM, S_ATOM);
		if (!g->is_bad && !put(g, sv_from(&c, 1)))
			turn_bad(g, "Command line too long");
		return;
	}
	turn_bad(g, c == '\0'   ? "NUL in a command"
		    : c == '\n' ? "A line ends in CRLF"
		    : c == '\t' ? "Words are separated by spaces, not tabs"
				: "Octet not allowed outside of a string");
}

/* in_skip - the rest of a bad line; it may end in the announcement of a literal that comes unasked.
 */
static void in_skip(struct grammar *g, char c)
{
	switch (g->state) {
	case S_SKIP_SIZE:
		if (ascii_is_digit(c) && g->digits < LITERAL_DIGITS) {
			g->digits++;
			g->literal.size = g->literal.size * 10 + (uint64_t)(c - '0');
			return;
		}
		if (c == '+' && g->digits) {
			g->state = S_SKIP_PLUS;
			return;
		}
		if (c == '}' && g->digits) {
			g->state = S_SKIP_BRACE;
			return;
		}
		break;
	case S_SKIP_PLUS:
		if (c == '}') {
			g->state = S_SKIP_BRACE_PLUS;
			return;
		}
		break;
	case S_SKIP_BRACE:
		if (c == '\r') {
			g->state = S_SKIP_CR_SYNC;
			return;
		}
		break;
	case S_SKIP_BRACE_PLUS:
		if (c == '\r') {
			g->state = S_SKIP_CR_PLUS;
			return;
		}
		break;
	}
	if (c == '{') {
		g->literal = (struct grammar_literal){ 0 };
		g->digits = 0;
		g->state = S_SKIP_SIZE;
	} else {
		g->state = c == '\r' ? S_SKIP_CR : S_SKIP;
	}
}

/* drop_literal - the octets of a bad command's literal come whatever we think of it (RFC 7888 §4);
 * up to a point. */
static void drop_literal(struct grammar *g)
{
	uint64_t size = g->literal.size;

	g->state = S_LITERAL;
	g->literal_mode = LITERAL_DROP;
	g->left = size;
	g->is_flood = size > (uint64_t)g->limits.literal * PATIENCE ||
		      (g->literals_dropped += size) >
			      (uint64_t)(g->limits.line + g->limits.literals) * PATIENCE;
}

static enum grammar_event told(struct grammar *g, enum grammar_event event)
{
	g->state = S_TOLD;
	return event;
}

/* line_end - LF was read. */
static enum grammar_event line_end(struct grammar *g)
{
	switch (g->state) {
	case S_START:
		turn_bad(g, "A line ends in CRLF");
		break;
	case S_CR:
		if (!g->count) {        /* an empty line */
			g->state = S_START;
			g->line_used = 0;
			g->is_spaced = false;
			return GRAMMAR_MORE;
		}
		if (g->open == NO_LIST)
			return told(g, GRAMMAR_COMMAND);
		turn_bad(g, "A list is not closed");
		break;
	case S_BRACE_CR:
		g->state = S_DECIDE;
		return GRAMMAR_LITERAL;
	case S_SKIP_CR_PLUS:
		drop_literal(g);
		return GRAMMAR_MORE;
	default:
		if (!g->is_bad)
			turn_bad(g, "A line ends in CRLF");
		break;
	}
	return told(g, GRAMMAR_BAD);
}

static void in_size(struct grammar *g, char c)
{
	if (ascii_is_digit(c) && g->digits < LITERAL_DIGITS) {
		g->digits++;
		g->literal.size = g->literal.size * 10 + (uint64_t)(c - '0');
	} else if (c == '+' && g->digits) {
		g->literal.is_sync = false;
		g->state = S_PLUS;
	} else if (c == '}' && g->digits) {
		g->state = S_BRACE;
	} else {
		turn_bad(g, "Bad literal size");
	}
}

/* step - one octet outside of literals, LF excepted. */
static void step(struct grammar *g, char c)
{
	switch (g->state) {
	case S_START:
		if (c == ' ')
			return;         /* a stray space before the tag is in the wild */
		if (c == '\r') {
			g->state = S_CR;
			return;
		}
		if (!is_word_char(c)) {
			turn_bad(g, "A command starts with a tag");
			in_skip(g, c);
			return;
		}
		delimiter(g, c);
		return;
	case S_BETWEEN:
	case S_AFTER:
		delimiter(g, c);
		break;
	case S_ATOM:
		/* RFC 3516 §4.4: literal8 is "~{" */
		if (c == '{' && last_token(g)->len == 1 && g->text.p[last_token(g)->at] == '~') {
			g->is_spaced = last_token(g)->is_spaced;
			g->count--;
			g->text.len--;
			delimiter(g, c);
			g->is_tilde = true;
			return;
		}
		if (c == '"' || c == '{')
			turn_bad(g, "A string starts in the middle of a word");
		else
			delimiter(g, c);
		break;
	case S_QUOTED:
		if (c == '\\') {
			g->state = S_ESCAPE;
		} else if (c == '"') {
			/* RFC 9051 §4.3 allows UTF-8 here, and people have passwords that need it.
			 */
			if (sv_is_utf8(token_text(g, last_token(g))))
				g->state = S_AFTER;
			else
				turn_bad(g, "A quoted string is not UTF-8");
		} else {
			turn_bad(g, "Octet not allowed in a quoted string");
		}
		break;
	case S_ESCAPE:
		g->state = S_QUOTED;
		if ((c != '"' && c != '\\') || !put(g, sv_from(&c, 1)))
			turn_bad(g, "Only \\\" and \\\\ may be escaped in a quoted string");
		break;
	case S_SIZE:
		in_size(g, c);
		break;
	case S_PLUS:
		if (c == '}')
			g->state = S_BRACE;
		else
			turn_bad(g, "Bad literal size");
		break;
	case S_BRACE:
		if (c == '\r')
			g->state = S_BRACE_CR;
		else
			turn_bad(g, "Nothing may follow a literal's size");
		break;
	case S_CR:
	case S_BRACE_CR:
		turn_bad(g, "CR without LF");
		break;
	default:
		in_skip(g, c);
		return;
	}
	if (g->state == S_SKIP)
		in_skip(g, c); /* the octet that was wrong may be the "{" or CR of what follows */
}

/* span - how many octets from the start of in just go into the token that is being read. */
static size_t span(const struct grammar *g, struct sv in)
{
	size_t n = 0;

	if (g->state == S_ATOM)
		while (n < in.len && is_word_char(in.p[n]))
			n++;
	else if (g->state == S_QUOTED)
		while (n < in.len && in.p[n] != '"' && in.p[n] != '\\' && in.p[n] != '\r' &&
		       in.p[n] != '\n' && in.p[n])
			n++;
	return n;
}

static enum grammar_event literal_octets(struct grammar *g, struct sv *in)
{
	struct sv part = sv_sub(*in, 0, g->left > in->len ? in->len : (size_t)g->left);

	if (!part.len && g->left)
		return GRAMMAR_MORE;
	sv_skip(in, part.len);
	g->left -= part.len;
	switch (g->literal_mode) {
	case LITERAL_TAKE:
		/* RFC 3501 §9: CHAR8 has no NUL; only literal8 carries it. */
		if (!g->literal.is_binary && sv_find(part, '\0') != SIZE_MAX)
			g->why = "NUL in a literal";
		if (!put(g, part))
			BUG("literal beyond the text buffer");
		break;
	case LITERAL_STREAM:
		if (part.len) {
			g->octets = part;
			return GRAMMAR_OCTETS;
		}
		break;
	case LITERAL_DROP:
		break;
	}
	if (g->left)
		return GRAMMAR_MORE;
	g->state = g->is_bad ? S_SKIP : S_AFTER;
	if (g->literal_mode == LITERAL_TAKE && g->why)
		turn_bad(g, g->why);
	if (g->literal_mode == LITERAL_STREAM)
		return GRAMMAR_LITERAL_END;
	return GRAMMAR_MORE;
}

static enum grammar_event line_octets(struct grammar *g, struct sv *in)
{
	while (in->len) {
		char c = *in->p;

		sv_skip(in, 1);
		if (g->state == S_LINE_CR) {
			g->state = S_LINE;
			if (c == '\n') {
				g->octets = sv_from(g->text.p ? g->text.p + g->left : "",
						    g->text.len - (size_t)g->left);
				return told(g, g->is_bad ? GRAMMAR_BAD : GRAMMAR_LINE);
			}
			g->is_bad = true;
			g->why = "CR without LF";
		}
		if (++g->line_used > g->line_max) {
			g->is_bad = true;
			g->why = "Line too long";
			if (g->line_used > g->line_max * PATIENCE)
				return GRAMMAR_OVERFLOW;
		}
		if (c == '\r') {
			g->state = S_LINE_CR;
		} else if (c == '\n') {
			g->why = "A line ends in CRLF";
			return told(g, GRAMMAR_BAD);
		} else if (!g->is_bad && (c == '\0' || !buf_append_c(&g->text, c))) {
			g->is_bad = true;
			g->why = "Octet not allowed";
		}
	}
	return GRAMMAR_MORE;
}

enum grammar_event grammar_feed(struct grammar *g, struct sv *in)
{
	if (g->state == S_TOLD || g->state == S_DECIDE)
		BUG("octets for a parser that waits for an answer");
	if (g->is_line)
		return line_octets(g, in);
	for (;;) {
		enum grammar_event event = GRAMMAR_MORE;

		if (g->is_flood)
			return GRAMMAR_OVERFLOW;
		if (g->state == S_LITERAL) {
			event = literal_octets(g, in);
			if (event != GRAMMAR_MORE || g->state == S_LITERAL)
				return event;
			continue;
		}
		if (!in->len)
			return GRAMMAR_MORE;
		size_t n = span(g, *in), room = g->limits.line - g->line_used;

		if (n && !g->is_bad) {
			if (n > room)
				n = room;
			if (!put(g, sv_sub(*in, 0, n)))
				BUG("text beyond the line");
			sv_skip(in, n);
			g->line_used += n;
			if (!in->len)
				return GRAMMAR_MORE;
		}
		if (g->line_used >= g->limits.line && !g->is_bad && *in->p != '\n')
			turn_bad(g, "Command line too long");
		if (g->is_bad && ++g->dropped > g->limits.line * PATIENCE)
			return GRAMMAR_OVERFLOW;
		char c = *in->p;

		sv_skip(in, 1);
		if (!g->is_bad)
			g->line_used++;
		if (c == '\n')
			event = line_end(g);
		else
			step(g, c);
		if (event != GRAMMAR_MORE) {
			g->literal.is_binary = g->is_tilde;
			return event;
		}
	}
}

static struct token *begin_literal(struct grammar *g, enum literal_mode mode)
{
	if (g->state != S_DECIDE)
		BUG("no literal was announced");
	g->state = S_LITERAL;
	g->literal_mode = (uint8_t)mode;
	g->left = g->literal.size;
	struct token *t = add_token(g, TOKEN_LITERAL);

	if (!t) {
		turn_bad(g, "Too many arguments");
		g->state = S_LITERAL;
		g->literal_mode = LITERAL_DROP;
		return NULL;
	}
	t->is_binary = g->literal.is_binary;
	t->is_streamed = mode != LITERAL_TAKE;
	return t;
}

bool grammar_take(struct grammar *g)
{
	uint64_t size = g->literal.size;
	bool fits = size <= g->limits.literal && size <= g->limits.literals - g->literals_used &&
		    (g->literal.is_sync || size <= g->limits.literal_nonsync) &&
		    g->count < g->limits.tokens;

	if (fits) {
		g->literals_used += (size_t)size;
		begin_literal(g, LITERAL_TAKE);
		return true;
	}
	if (g->literal.is_sync) {
		g->is_too_big = true;
		g->why = "Literal too large";
		grammar_refuse(g);
	} else {
		turn_bad(g, "Literal too large");
		g->is_too_big = true;
		drop_literal(g);
	}
	return false;
}

bool grammar_is_flood(const struct grammar *g)
{
	return g->is_flood;
}

void grammar_stream(struct grammar *g)
{
	begin_literal(g, LITERAL_STREAM);
}

void grammar_drop(struct grammar *g)
{
	begin_literal(g, LITERAL_DROP);
}

void grammar_refuse(struct grammar *g)
{
	g->state = S_TOLD;
}
