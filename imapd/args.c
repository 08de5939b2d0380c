/* imapd/args.c - see args.h. */
#include "imapd/args.h"

#include "common/banned.h"

struct args args_from(const struct grammar *g, uint32_t first)
{
	uint32_t end = (uint32_t)g->count;

	return (struct args){ g, first < end ? first : end, end };
}

bool args_end(const struct args *a)
{
	return a->at >= a->end;
}

const struct token *args_peek(const struct args *a)
{
	return a->at < a->end ? &a->g->tokens[a->at] : NULL;
}

/* next - the next token when it is properly separated from the one before it. */
static const struct token *next(const struct args *a)
{
	const struct token *t = args_peek(a);

	if (!t || (!t->is_spaced && a->at > 0 && a->g->tokens[a->at - 1].kind != TOKEN_OPEN))
		return NULL;
	return t;
}

static bool take_text(struct args *a, const struct token *t, struct sv *out)
{
	*out = token_text(a->g, t);
	a->at++;
	return true;
}

bool args_raw(struct args *a, struct sv *out)
{
	const struct token *t = next(a);

	return t && t->kind == TOKEN_ATOM && take_text(a, t, out);
}

bool args_glued(struct args *a, struct sv *out)
{
	const struct token *t = args_peek(a);

	return t && !t->is_spaced && t->kind == TOKEN_ATOM && take_text(a, t, out);
}

bool args_atom(struct args *a, struct sv *out)
{
	const struct token *t = next(a);

	return t && t->kind == TOKEN_ATOM && atom_is_valid(token_text(a->g, t)) &&
	       take_text(a, t, out);
}

bool args_word(struct args *a, const char *word)
{
	const struct token *t = next(a);

	if (!t || t->kind != TOKEN_ATOM || !sv_eq_nocase(token_text(a->g, t), sv_z(word)))
		return false;
	a->at++;
	return true;
}

bool args_string(struct args *a, struct sv *out)
{
	const struct token *t = next(a);

	return t && (t->kind == TOKEN_QUOTED || (t->kind == TOKEN_LITERAL && !t->is_streamed)) &&
	       take_text(a, t, out);
}

bool args_astring(struct args *a, struct sv *out)
{
	const struct token *t = next(a);

	if (t && t->kind == TOKEN_ATOM)
		return astring_is_atom(token_text(a->g, t)) && take_text(a, t, out);
	return args_string(a, out);
}

bool args_pattern(struct args *a, struct sv *out)
{
	const struct token *t = next(a);

	if (!t || t->kind != TOKEN_ATOM)
		return args_string(a, out);
	struct sv s = token_text(a->g, t);

	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '\\')
			return false;
	return take_text(a, t, out);
}

bool args_flag(struct args *a, struct sv *out)
{
	const struct token *t = next(a);

	if (!t || t->kind != TOKEN_ATOM)
		return false;
	struct sv s = token_text(a->g, t), name = s;

	if (name.p[0] == '\\')
		sv_skip(&name, 1);
	return atom_is_valid(name) && take_text(a, t, out);
}

bool args_u64(struct args *a, uint64_t *out)
{
	const struct token *t = next(a);

	if (!t || t->kind != TOKEN_ATOM || !sv_to_u64(token_text(a->g, t), out))
		return false;
	a->at++;
	return true;
}

bool args_u32(struct args *a, uint32_t *out)
{
	uint64_t n;
	struct args try = *a;

	if (!args_u64(&try, &n) || n > UINT32_MAX)
		return false;
	*out = (uint32_t)n;
	*a = try;
	return true;
}

bool args_open(struct args *a, struct args *inside)
{
	const struct token *t = next(a);

	if (!t || t->kind != TOKEN_OPEN)
		return false;
	*inside = (struct args){ a->g, a->at + 1, t->match };
	a->at = t->match + 1;
	return true;
}
