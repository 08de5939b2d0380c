#include "imapd/managesieve_grammar.h"

#include "common/fault.h"

#include "common/banned.h"

#define LINE_MAX_OCTETS 65536   /* of a command outside of its literals */

enum state {
	AT_START = 0, IN_VERB, AT_ARG, IN_QUOTED, IN_ESCAPE, IN_NUMBER, IN_LITERAL_HEAD, AT_LITERAL_BRACE, AT_LITERAL_CR, AT_LITERAL_LF,
	IN_LITERAL, AFTER_ARG, AT_LF,
	IN_BAD,                 /* up to the line's end */
	AT_BAD_LF,
	IN_SKIPPED,             /* a literal of a bad line */
};

enum tail { TAIL_NONE = 0, TAIL_BRACE, TAIL_PLUS, TAIL_END };

void ms_grammar_init(struct ms_grammar *g, size_t max)
{
	*g = (struct ms_grammar){ .state = AT_START };
	buf_init(&g->text, max);
}

void ms_grammar_done(struct ms_grammar *g)
{
	buf_wipe(&g->text);     /* a SASL response may have been in it */
}

void ms_grammar_limit(struct ms_grammar *g, size_t max)
{
	buf_wipe(&g->text);
	buf_init(&g->text, max);
}

void ms_grammar_expect_string(struct ms_grammar *g)
{
	g->is_string_only = true;
}

/* begin - the last command is over. */
static void begin(struct ms_grammar *g)
{
	buf_clear(&g->text);
	g->verb_len = 0;
	g->arg_count = 0;
	g->line = 0;
	g->is_bad = g->is_large = g->is_over = false;
	g->state = g->is_string_only ? AT_ARG : IN_VERB;
}

static void bad(struct ms_grammar *g, char c);

/* bad_octet - of a line that is no command. A literal at its end is still one. */
static void bad_octet(struct ms_grammar *g, char c)
{
	if (c == '\r' || c == '\n') {
		g->state = c == '\r' ? AT_BAD_LF : IN_BAD;
		if (c == '\n')
			g->is_over = true;      /* a bare LF ends it, too: nobody can mean anything by it */
	} else if (c == '{') {
		g->tail = TAIL_BRACE;
		g->number = 0;
		g->has_digits = false;
	} else if (g->tail == TAIL_BRACE && ascii_is_digit(c) && g->number <= UINT32_MAX) {
		g->number = g->number * 10 + (uint64_t)(c - '0');
		g->has_digits = true;
	} else if (g->tail == TAIL_BRACE && c == '+' && g->has_digits) {
		g->tail = TAIL_PLUS;
	} else if (g->tail == TAIL_PLUS && c == '}') {
		g->tail = TAIL_END;
	} else {
		g->tail = TAIL_NONE;
	}
}

static void bad(struct ms_grammar *g, char c)
{
	g->is_bad = true;
	g->state = IN_BAD;
	g->tail = TAIL_NONE;
	bad_octet(g, c);
}

/* large - the command does not fit: the rest of it is read like one that is wrong. */
static void large(struct ms_grammar *g, char c)
{
	g->is_large = true;
	bad(g, c);
}

static void begin_arg(struct ms_grammar *g, enum ms_arg_kind kind, char c)
{
	if (g->arg_count == MS_ARGS_MAX) {
		bad(g, c);
		return;
	}
	g->args[g->arg_count++] = (struct ms_arg){ .kind = kind, .at = g->text.len };
	g->number = 0;
	g->has_digits = false;
}

static void end_string(struct ms_grammar *g)
{
	struct ms_arg *a = &g->args[g->arg_count - 1];

	a->len = g->text.len - a->at;
	g->state = AFTER_ARG;
}

/* digit - of a number, 32 bits without leading zeros (RFC 5804 §4). */
static bool digit(struct ms_grammar *g, char c)
{
	if (g->has_digits && !g->number)
		return false;
	g->has_digits = true;
	g->number = g->number * 10 + (uint64_t)(c - '0');
	return g->number <= UINT32_MAX;
}

static void put(struct ms_grammar *g, char c)
{
	if (!buf_append_c(&g->text, c))
		large(g, c);
}

static bool is_atom(char c)
{
	return c > ' ' && c < 127 && !strchr("(){\"\\", c);
}

static void at_separator(struct ms_grammar *g, char c)
{
	if (c == ' ' && !g->is_string_only)
		g->state = AT_ARG;
	else if (c == '\r')
		g->state = AT_LF;
	else
		bad(g, c);
}

static void in_verb(struct ms_grammar *g, char c)
{
	if (is_atom(c) && g->verb_len < MS_VERB_MAX) {
		put(g, c);
		g->verb_len++;
	} else if (g->verb_len && (c == ' ' || c == '\r')) {
		at_separator(g, c);
	} else {
		bad(g, c);
	}
}

static void at_arg(struct ms_grammar *g, char c)
{
	if (c == '"' || c == '{') {
		begin_arg(g, MS_STRING, c);
		if (!g->is_bad)
			g->state = c == '"' ? IN_QUOTED : IN_LITERAL_HEAD;
	} else if (ascii_is_digit(c) && !g->is_string_only) {
		begin_arg(g, MS_NUMBER, c);
		if (!g->is_bad && digit(g, c))
			g->state = IN_NUMBER;
	} else {
		bad(g, c);
	}
}

static void in_quoted(struct ms_grammar *g, char c)
{
	if (c == '"')
		end_string(g);
	else if (c == '\\')
		g->state = IN_ESCAPE;
	else if (c == '\r' || c == '\n' || !c)
		bad(g, c);
	else
		put(g, c);
}

static void in_escape(struct ms_grammar *g, char c)
{
	if (c != '"' && c != '\\') {
		bad(g, c);
		return;
	}
	g->state = IN_QUOTED;
	put(g, c);
}

static void in_number(struct ms_grammar *g, char c)
{
	if (ascii_is_digit(c)) {
		if (!digit(g, c))
			bad(g, c);
		return;
	}
	g->args[g->arg_count - 1].number = (uint32_t)g->number;
	at_separator(g, c);
}

static void in_literal_head(struct ms_grammar *g, char c)
{
	if (ascii_is_digit(c) && digit(g, c))
		return;
	if (c == '+' && g->has_digits)
		g->state = AT_LITERAL_BRACE;
	else
		bad(g, c);
}

/* enter_literal - its octets follow; one that has no room is read and dropped. */
static void enter_literal(struct ms_grammar *g)
{
	g->left = (uint32_t)g->number;
	if (g->number <= g->text.max - g->text.len) {
		g->state = IN_LITERAL;
		if (!g->left)
			end_string(g);
		return;
	}
	g->is_bad = g->is_large = true;
	g->tail = TAIL_NONE;
	g->state = g->left ? IN_SKIPPED : IN_BAD;
}

static void at_bad_lf(struct ms_grammar *g, char c)
{
	enum tail tail = (enum tail)g->tail;

	g->state = IN_BAD;
	g->tail = TAIL_NONE;
	if (c != '\n') {
		bad_octet(g, c);
		return;
	}
	if (tail != TAIL_END) {
		g->is_over = true;
		return;
	}
	g->left = g->number <= UINT32_MAX ? (uint32_t)g->number : UINT32_MAX;
	if (g->left)
		g->state = IN_SKIPPED;
}

static void expect(struct ms_grammar *g, char c, char wanted, enum state next)
{
	if (c == wanted)
		g->state = next;
	else
		bad(g, c);
}

/* octet - everything but what is in literals. True at the end of a command. */
static bool octet(struct ms_grammar *g, char c)
{
	switch ((enum state)g->state) {
	case AT_START:          break;
	case IN_VERB:           in_verb(g, c); break;
	case AT_ARG:            at_arg(g, c); break;
	case IN_QUOTED:         in_quoted(g, c); break;
	case IN_ESCAPE:         in_escape(g, c); break;
	case IN_NUMBER:         in_number(g, c); break;
	case IN_LITERAL_HEAD:   in_literal_head(g, c); break;
	case AT_LITERAL_BRACE:  expect(g, c, '}', AT_LITERAL_CR); break;
	case AT_LITERAL_CR:     expect(g, c, '\r', AT_LITERAL_LF); break;
	case AT_LITERAL_LF:
		if (c == '\n')
			enter_literal(g);
		else
			bad(g, c);
		break;
	case AFTER_ARG:         at_separator(g, c); break;
	case AT_LF:
		if (c == '\n')
			return true;
		bad(g, c);
		break;
	case IN_BAD:            bad_octet(g, c); break;
	case AT_BAD_LF:         at_bad_lf(g, c); break;
	case IN_LITERAL:
	case IN_SKIPPED:        break;
	}
	return g->is_over;
}

static void in_literal(struct ms_grammar *g, struct sv *in)
{
	struct sv part = sv_sub(*in, 0, g->left);

	if (g->state == IN_LITERAL && !buf_append(&g->text, part))
		BUG("managesieve: a literal that had room has none");
	sv_skip(in, part.len);
	g->left -= (uint32_t)part.len;
	if (g->left)
		return;
	if (g->state == IN_LITERAL)
		end_string(g);
	else
		g->state = IN_BAD;
}

enum ms_event ms_grammar_feed(struct ms_grammar *g, struct sv *in)
{
	if (g->state == AT_START && in->len)
		begin(g);
	while (in->len) {
		if (g->state == IN_LITERAL || g->state == IN_SKIPPED) {
			if (g->state == IN_SKIPPED && g->left > MS_SKIP_MAX)
				return MS_OVERFLOW;
			in_literal(g, in);
			continue;
		}
		char c = *in->p;

		sv_skip(in, 1);
		if (++g->line > LINE_MAX_OCTETS)
			return MS_OVERFLOW;
		if (!octet(g, c))
			continue;
		g->state = AT_START;
		g->is_string_only = false;
		return g->is_large ? MS_TOO_LARGE : g->is_bad ? MS_BAD : MS_COMMAND;
	}
	return MS_MORE;
}

struct sv ms_grammar_verb(const struct ms_grammar *g)
{
	return sv_sub(buf_sv(&g->text), 0, g->verb_len);
}

bool ms_grammar_string(const struct ms_grammar *g, size_t i, struct sv *out)
{
	if (i >= g->arg_count || g->args[i].kind != MS_STRING)
		return false;
	*out = g->args[i].len ? sv_from(g->text.p + g->args[i].at, g->args[i].len) : SV("");
	return true;
}

bool ms_grammar_number(const struct ms_grammar *g, size_t i, uint32_t *out)
{
	if (i >= g->arg_count || g->args[i].kind != MS_NUMBER)
		return false;
	*out = g->args[i].number;
	return true;
}
