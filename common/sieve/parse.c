/* Tokens to a tree that knows only the grammar (RFC 5228 §8.2). Depth is limited before it is entered. */
#include "common/sieve/sieve_private.h"

#include "common/banned.h"

#define ARGS_MAX 32

struct parser {
	struct sieve_compiler *c;
	struct sieve_lexer lexer;
	struct sieve_token token;       /* looked at, not yet taken */
	unsigned depth;
};

static void take(struct parser *p)
{
	p->token = sieve_lexer_next(&p->lexer);
}

static bool is_mark(const struct parser *p, char c)
{
	return p->token.kind == TOKEN_PUNCTUATION && *p->token.text.p == c;
}

/* "what" is what should stand here. */
static bool expected(struct parser *p, const char *what)
{
	const struct sieve_token *t = &p->token;

	switch (t->kind) {
	case TOKEN_BAD: sieve_complain(p->c, t->at, "%.*s", SV_FMT(t->text)); break;
	case TOKEN_END: sieve_complain(p->c, t->at, "the script ends where %s should stand", what); break;
	case TOKEN_STRING: sieve_complain(p->c, t->at, "a text stands where %s should", what); break;
	case TOKEN_NUMBER: sieve_complain(p->c, t->at, "a number stands where %s should", what); break;
	case TOKEN_TAG: sieve_complain(p->c, t->at, "\":%.*s\" stands where %s should", SV_FMT(sv_sub(t->text, 0, 40)), what); break;
	case TOKEN_IDENTIFIER: case TOKEN_PUNCTUATION:
		sieve_complain(p->c, t->at, "\"%.*s\" stands where %s should", SV_FMT(sv_sub(t->text, 0, 40)), what);
		break;
	}
	return false;
}

static bool no_memory(struct parser *p)
{
	sieve_complain(p->c, p->token.at, "the script is too large");
	return false;
}

static bool add_string(struct parser *p, struct sieve_arg *arg)
{
	if (!(arg->count & (arg->count - 1))) {         /* full at each power of two */
		struct sv *more = arena_array(&p->c->tree, arg->count ? (size_t)arg->count * 2 : 1, sizeof(*more));

		if (!more)
			return no_memory(p);
		if (arg->count)
			memcpy(more, arg->strings, arg->count * sizeof(*more));
		arg->strings = more;
	}
	arg->strings[arg->count++] = p->token.text;
	take(p);
	return true;
}

static bool parse_string_list(struct parser *p, struct sieve_arg *arg)  /* at the [ */
{
	arg->kind = ARG_LIST;
	take(p);
	for (;;) {
		if (p->token.kind != TOKEN_STRING)
			return expected(p, "a text in quotation marks");
		if (!add_string(p, arg))
			return false;
		if (is_mark(p, ']'))
			break;
		if (!is_mark(p, ','))
			return expected(p, "a comma or \"]\"");
		take(p);
	}
	take(p);
	return true;
}

static bool parse_args(struct parser *p, struct sieve_node *n)
{
	struct sieve_arg args[ARGS_MAX];
	uint32_t count = 0;

	for (;;) {
		struct sieve_arg arg = { .at = p->token.at };

		if (p->token.kind == TOKEN_STRING) {
			arg.kind = ARG_STRING;
			if (!add_string(p, &arg))
				return false;
		} else if (p->token.kind == TOKEN_NUMBER) {
			arg.kind = ARG_NUMBER;
			arg.number = p->token.number;
			take(p);
		} else if (p->token.kind == TOKEN_TAG) {
			arg.kind = ARG_TAG;
			arg.tag = p->token.text;
			take(p);
		} else if (is_mark(p, '[')) {
			if (!parse_string_list(p, &arg))
				return false;
		} else {
			break;
		}
		if (count == ARGS_MAX) {
			sieve_complain(p->c, arg.at, "\"%.*s\" has too many arguments", SV_FMT(n->name));
			return false;
		}
		args[count++] = arg;
	}
	n->args = arena_array(&p->c->tree, count, sizeof(*args));
	if (!n->args)
		return no_memory(p);
	memcpy(n->args, args, count * sizeof(*args));
	n->arg_count = count;
	return true;
}

static struct sieve_node *parse_node(struct parser *p, bool is_test);

static bool parse_tests(struct parser *p, struct sieve_node *n)
{
	struct sieve_node **tail = &n->tests;

	if (p->token.kind == TOKEN_IDENTIFIER) {
		n->tests = parse_node(p, true);
		return n->tests != NULL;
	}
	if (!is_mark(p, '('))
		return true;
	n->has_test_list = true;
	do {
		take(p);
		if (p->token.kind != TOKEN_IDENTIFIER)
			return expected(p, "a test");
		*tail = parse_node(p, true);
		if (!*tail)
			return false;
		tail = &(*tail)->next;
	} while (is_mark(p, ','));
	if (!is_mark(p, ')'))
		return expected(p, "a comma or \")\"");
	take(p);
	return true;
}

static bool parse_commands(struct parser *p, struct sieve_node **out)
{
	for (struct sieve_node **tail = out; p->token.kind == TOKEN_IDENTIFIER; tail = &(*tail)->next) {
		*tail = parse_node(p, false);
		if (!*tail)
			return false;
	}
	return true;
}

static struct sieve_node *parse_node(struct parser *p, bool is_test)
{
	struct sieve_node *n = arena_alloc(&p->c->tree, sizeof(*n));
	bool is_fine;

	if (!n) {
		no_memory(p);
		return NULL;
	}
	n->at = p->token.at;
	n->name = p->token.text;
	if (++p->depth > 2 * SIEVE_NESTING_MAX) {
		sieve_complain(p->c, n->at, "blocks and tests are nested too deep (at most %d)", SIEVE_NESTING_MAX);
		return NULL;
	}
	take(p);
	is_fine = parse_args(p, n) && parse_tests(p, n);
	if (is_fine && !is_test) {
		if (is_mark(p, '{')) {
			n->has_block = true;
			take(p);
			is_fine = parse_commands(p, &n->block);
			if (is_fine && !is_mark(p, '}'))
				is_fine = expected(p, "a command or \"}\"");
			else if (is_fine)
				take(p);
		} else if (is_mark(p, ';')) {
			take(p);
		} else {
			is_fine = expected(p, n->tests ? "\";\" or a block in { }" : "an argument or \";\"");
		}
	}
	p->depth--;
	return is_fine ? n : NULL;
}

bool sieve_parse(struct sieve_compiler *c, struct sv text, struct sieve_node **out)
{
	struct parser p = { .c = c };

	*out = NULL;
	sieve_lexer_init(&p.lexer, text, c->arena);
	take(&p);
	if (!parse_commands(&p, out))
		return false;
	return p.token.kind == TOKEN_END || expected(&p, "a command");
}
