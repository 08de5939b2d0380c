/* Variables (RFC 5229), encoded characters (RFC 5228 §2.4.2.4), and the test `string`. */
#include "common/sieve/sieve_private.h"

#include <stdlib.h>

#include "common/banned.h"

/* ---- names ---- */

static bool is_number(struct sv s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_digit(s.p[i]))
			return false;
	return s.len > 0;
}

bool sieve_variable_name(struct sv name)
{
	struct sv part;

	if (!name.len || sv_ends(name, SV(".")))
		return false;
	while (sv_split(&name, '.', &part)) {
		if (!part.len || ascii_is_digit(*part.p))
			return false;
		for (size_t i = 0; i < part.len; i++)
			if (!ascii_is_alpha(part.p[i]) && !ascii_is_digit(part.p[i]) && part.p[i] != '_')
				return false;
	}
	return true;
}

/* The name in a ${name} that begins at s; p NULL: this is no reference. */
static struct sv reference(struct sv s)
{
	size_t end = sv_find(s, '}');
	struct sv name;

	if (!sv_starts(s, SV("${")) || end == SIZE_MAX)
		return SV_NONE;
	name = sv_sub(s, 2, end - 2);
	return is_number(name) || sieve_variable_name(name) ? name : SV_NONE;
}

bool sieve_is_dynamic(struct sv text)
{
	for (size_t at; (at = sv_search(text, SV("${"))) != SIZE_MAX; ) {
		sv_skip(&text, at);
		if (reference(text).p)
			return true;
		sv_skip(&text, 2);
	}
	return false;
}

/* ---- while compiling ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool put_unicode(struct buf *out, uint32_t c)
{
	char b[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; c >>= 6)
		b[i] = (char)(0x80 | (c & 0x3f));
	b[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xff) | c);
	return buf_append(out, sv_from(b, n));
}

/* "${hex:" or "${unicode:" and what follows up to "}". 0: it is not well-formed and stands for itself. */
static size_t encoded(struct sieve_compiler *c, struct sieve_place at, struct sv s, struct buf *out)
{
	bool is_hex = sv_starts_nocase(s, SV("${hex:")), ends = false;
	size_t i = is_hex ? 6 : 10, before = out->len;

	if (!is_hex && !sv_starts_nocase(s, SV("${unicode:")))
		return 0;
	bool is_bad_value = false;
	for (size_t count = 0; ; count++) {
		size_t blanks = i, digits;
		uint32_t value = 0;

		while (i < s.len && is_blank(s.p[i]))
			i++;
		if (i < s.len && s.p[i] == '}') {
			ends = count > 0;
			break;
		}
		if (count && blanks == i)
			break;
		for (digits = 0; i < s.len && ascii_hex(s.p[i]) >= 0; i++, digits++)
			value = value > 0x10ffff ? value : value << 4 | (uint32_t)ascii_hex(s.p[i]);
		if (!digits || (is_hex && digits > 2))
			break;
		is_bad_value = is_bad_value || (!is_hex && (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)));
		if (is_hex)
			(void)buf_append_c(out, (char)value);
		else if (!is_bad_value)
			(void)put_unicode(out, value);
	}
	if (ends && is_bad_value)
		sieve_complain(c, at, "\"${unicode:...}\" names a character that does not exist");
	if (ends)
		return i + 1;
	out->len = before;
	return 0;
}

static struct sv decode(struct sieve_compiler *c, struct sieve_place at, struct sv s)
{
	struct buf out;
	struct sv copy;

	if (sv_search(s, SV("${")) == SIZE_MAX)
		return s;
	buf_init(&out, s.len + 1);      /* an encoded character is shorter than its code */
	while (s.len) {
		size_t n = sv_starts(s, SV("${")) ? encoded(c, at, s, &out) : 0;

		if (!n) {
			(void)buf_append_c(&out, *s.p);
			n = 1;
		}
		sv_skip(&s, n);
	}
	copy = arena_copy(c->arena, buf_sv(&out));
	buf_done(&out);
	if (!copy.p)
		sieve_complain(c, at, "the script is too large");
	return copy;
}

static void check_references(struct sieve_compiler *c, struct sieve_place at, struct sv s)
{
	for (size_t from; (from = sv_search(s, SV("${"))) != SIZE_MAX; sv_skip(&s, 2)) {
		sv_skip(&s, from);
		struct sv name = reference(s);
		uint32_t n;

		if (!name.p)
			continue;
		if (is_number(name) && (!sv_to_u32(name, &n) || n >= SIEVE_MATCH_VALUES))
			sieve_complain(c, at, "\"${%.*s}\": only ${0} to ${%d} exist", SV_FMT(sv_sub(name, 0, 40)),
				       SIEVE_MATCH_VALUES - 1);
		size_t dot = sv_find(name, '.');
		/* RFC 5229 §3: a namespace is known once the extension that makes it is required. RFC 6609 §3.4 has "global". */
		if (dot != SIZE_MAX && (!sv_eq_nocase(sv_sub(name, 0, dot), SV("global")) || sv_rfind(name, '.') != dot ||
					!(c->caps & CAP_BIT(CAP_INCLUDE))))
			sieve_complain(c, at, "\"${%.*s}\": there is no such namespace", SV_FMT(sv_sub(name, 0, 40)));
	}
}

void sieve_check_strings(struct sieve_compiler *c, struct sieve_arg *a)
{
	for (uint32_t i = 0; i < a->count; i++) {
		if (c->caps & CAP_BIT(CAP_ENCODED_CHARACTER))
			a->strings[i] = decode(c, a->at, a->strings[i]);
		if ((c->caps & CAP_BIT(CAP_VARIABLES)) && sieve_is_dynamic(a->strings[i])) {
			check_references(c, a->at, a->strings[i]);
			a->is_dynamic = true;
		}
	}
	if (a->count) {         /* the list was built in the tree's memory */
		struct sv *kept = arena_array(c->arena, a->count, sizeof(*kept));

		if (!kept) {
			sieve_complain(c, a->at, "the script is too large");
			return;
		}
		memcpy(kept, a->strings, a->count * sizeof(*kept));
		a->strings = kept;
	}
}

void sieve_check_set(struct sieve_compiler *c, struct sieve_call *call)
{
	const struct sieve_arg *name = sieve_arg_of(call, SLOT_FIRST);
	struct sv n = name->strings[0];
	size_t dot = sv_find(n, '.');

	if (name->is_dynamic || !sieve_variable_name(n))
		sieve_complain(c, name->at, is_number(n) ? "\"%.*s\": the texts of a match cannot be set" :
			       "\"%.*s\" is no name of a variable", SV_FMT(sv_sub(n, 0, 40)));
	else if (dot != SIZE_MAX && (!sv_eq_nocase(sv_sub(n, 0, dot), SV("global")) || sv_rfind(n, '.') != dot ||
				     !(c->caps & CAP_BIT(CAP_INCLUDE))))
		sieve_complain(c, name->at, "\"%.*s\": there is no such namespace", SV_FMT(sv_sub(n, 0, 40)));
}

/* ---- while running ---- */

static struct sieve_variable *find(struct sieve_run *r, struct sv name)
{
	const struct sieve_unit *u = &r->script->units[r->unit];
	uint32_t unit = r->unit;

	if (sv_starts_nocase(name, SV("global."))) {
		sv_skip(&name, 7);
		unit = UINT32_MAX;
	}
	for (uint32_t i = 0; i < u->global_count; i++)
		if (sv_eq_nocase(u->globals[i], name))
			unit = UINT32_MAX;
	for (uint32_t i = 0; i < r->variable_count; i++)
		if (r->variables[i].unit == unit && sv_eq_nocase(r->variables[i].name, name))
			return &r->variables[i];
	if (r->variable_count == SIEVE_VARIABLES_MAX)
		return NULL;
	/* Not counted yet: whoever sets it does that. */
	r->variables[r->variable_count] = (struct sieve_variable){ .name = name, .unit = unit };
	return &r->variables[r->variable_count];
}

struct sv sieve_variable_get(struct sieve_run *r, struct sv name)
{
	const struct sieve_variable *v = find(r, name);

	return v ? v->value : SV_NONE;
}

/* Replace a text on the heap by a copy of another one, cut at a character (RFC 5229 §6: cut, not refused). */
static void store(struct sieve_run *r, struct sv *where, struct sv value)
{
	char *copy = NULL;

	if (value.len > SIEVE_VARIABLE_SIZE) {
		value.len = SIEVE_VARIABLE_SIZE;
		while (value.len && ((unsigned char)value.p[value.len] & 0xc0) == 0x80)
			value.len--;
	}
	if (r->variable_memory - where->len + value.len > SIEVE_VARIABLE_MEMORY) {
		sieve_fail(r, "the variables take more than %zu KiB", SIEVE_VARIABLE_MEMORY >> 10);
		return;
	}
	r->variable_memory += value.len - where->len;
	if (value.len) {
		copy = xmalloc(value.len);
		memcpy(copy, value.p, value.len);
	}
	free((char *)where->p);
	*where = sv_from(copy, value.len);
}

void sieve_variable_set(struct sieve_run *r, struct sv name, struct sv value)
{
	struct sieve_variable *v = find(r, name);

	if (!v) {
		sieve_fail(r, "there are more than %d variables", SIEVE_VARIABLES_MAX);
		return;
	}
	if (v == &r->variables[r->variable_count])
		r->variable_count++;
	store(r, &v->value, value);
}

void sieve_match_values(struct sieve_run *r, const struct sv *values, uint32_t count)
{
	for (uint32_t i = 0; i < SIEVE_MATCH_VALUES; i++)
		if (i < count || i < r->match_count)
			store(r, &r->match_values[i], i < count ? values[i] : SV_NONE);
	r->match_count = count < SIEVE_MATCH_VALUES ? count : SIEVE_MATCH_VALUES;
}

void sieve_variables_forget(struct sieve_run *r, uint32_t unit)
{
	for (uint32_t i = 0; i < r->variable_count; i++)
		if (r->variables[i].unit == unit)
			store(r, &r->variables[i].value, SV_NONE);
}

void sieve_variables_done(struct sieve_run *r)
{
	for (uint32_t i = 0; i < r->variable_count; i++)
		free((char *)r->variables[i].value.p);
	for (uint32_t i = 0; i < SIEVE_MATCH_VALUES; i++)
		free((char *)r->match_values[i].p);
}

/* sieve_expand - append text with ${...} filled in. */
static bool sieve_expand(struct sieve_run *r, struct sv text, struct buf *out)
{
	while (text.len) {
		size_t at = sv_search(text, SV("${"));
		struct sv name;
		uint32_t n = SIEVE_MATCH_VALUES;

		if (!buf_append(out, sv_sub(text, 0, at)))
			return false;
		if (at == SIZE_MAX)
			return true;
		sv_skip(&text, at);
		name = reference(text);
		if (!name.p) {
			if (!buf_append(out, SV("${")))
				return false;
			sv_skip(&text, 2);
			continue;
		}
		if (!is_number(name)) {
			if (!buf_append(out, sieve_variable_get(r, name)))
				return false;
		} else if (sv_to_u32(name, &n) && n < SIEVE_MATCH_VALUES && !buf_append(out, r->match_values[n])) {
			return false;
		}
		sv_skip(&text, name.len + 3);
	}
	return true;
}

struct sv sieve_text(struct sieve_run *r, const struct sieve_arg *a, uint32_t i)
{
	struct buf b;
	struct sv text;

	if (!a || i >= a->count)
		return SV_NONE;
	if (!a->is_dynamic)
		return a->strings[i];
	buf_init(&b, SIEVE_VALUE_MAX);
	(void)sieve_expand(r, a->strings[i], &b);       /* longer: cut */
	sieve_charge(r, b.len);
	text = sieve_scratch(r, buf_sv(&b));
	buf_done(&b);
	return text;
}

/* ---- set ---- */

static uint64_t characters(struct sv s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

/* Rewrite with a backslash before each octet of `special`, or as percent signs (enotify). */
static void quote(struct buf *value, const char *special, bool as_url)
{
	struct buf out;

	buf_init(&out, SIEVE_VALUE_MAX);
	for (size_t i = 0; i < value->len; i++) {
		char c = value->p[i];

		if (as_url && !ascii_is_alpha(c) && !ascii_is_digit(c) && !(c && strchr("-._~", c))) {
			if (!buf_appendf(&out, "%%%02X", (unsigned char)c))
				break;
			continue;
		}
		if (special && c && strchr(special, c) && !buf_append_c(&out, '\\'))
			break;
		if (!buf_append_c(&out, c))
			break;
	}
	buf_done(value);
	*value = out;
}

void sieve_modify(struct sieve_run *r, const struct sieve_call *c, struct buf *value)
{
	const struct sieve_arg *all = sieve_arg_of(c, SLOT_CASE), *first = sieve_arg_of(c, SLOT_FIRST_CASE);
	const struct sieve_arg *special = sieve_arg_of(c, SLOT_QUOTE);

	for (size_t i = 0; all && i < value->len; i++)
		value->p[i] = all->value ? ascii_upper(value->p[i]) : ascii_lower(value->p[i]);
	if (first && value->len)
		value->p[0] = first->value ? ascii_upper(value->p[0]) : ascii_lower(value->p[0]);
	if (special)
		quote(value, special->value ? "\\^$.[]|()?*+{}" : "*?\\", false);
	if (sieve_arg_of(c, SLOT_ENCODE_URL))           /* RFC 5435 §6: precedence 15 */
		quote(value, NULL, true);
	if (sieve_arg_of(c, SLOT_LENGTH)) {
		uint64_t n = characters(buf_sv(value));
		buf_clear(value);
		(void)buf_append_u64(value, n);
	}
	sieve_charge(r, value->len);
}

void sieve_act_set(struct sieve_run *r, const struct sieve_call *c)
{
	struct buf value;

	buf_init(&value, SIEVE_VALUE_MAX);
	(void)sieve_expand(r, sieve_arg_of(c, SLOT_SECOND)->strings[0], &value);
	sieve_modify(r, c, &value);
	sieve_trace(r, "set \"%.*s\" to \"%.*s\"", SV_FMT(sieve_arg_of(c, SLOT_FIRST)->strings[0]), SV_FMT(buf_sv(&value)));
	sieve_variable_set(r, sieve_arg_of(c, SLOT_FIRST)->strings[0], buf_sv(&value));
	buf_done(&value);
}

bool sieve_test_string(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *sources = sieve_arg_of(c, SLOT_FIRST);
	struct sieve_matcher m;

	sieve_matcher_init(&m, r, c, SLOT_SECOND);
	for (uint32_t i = 0; i < sources->count; i++) {
		struct sv text = sieve_text(r, sources, i);

		if (c->match.type == MATCH_COUNT && !text.len)
			continue;               /* RFC 5229 §5: the empty string counts nothing */
		if (sieve_matcher_try(&m, text))
			break;
	}
	return sieve_matcher_end(&m);
}
