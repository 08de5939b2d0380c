/* Comparators and match types (RFC 5228 §2.7, RFC 5231, RFC 4790, RFC 5051, RFC 6134): keys against values. */
#include "common/sieve/sieve_private.h"

#include "common/charset.h"

#include "common/banned.h"

/* ---- comparators ---- */

/* Leading digits without leading zeros; anything else is greater than every number (RFC 4790 §9.1): p NULL. */
static struct sv number(struct sv s)
{
	size_t n = 0;

	while (n < s.len && ascii_is_digit(s.p[n]))
		n++;
	if (!n)
		return SV_NONE;
	s.len = n;
	while (s.len > 1 && *s.p == '0')
		sv_skip(&s, 1);
	return s;
}

/* Append the folded form. */
static void fold_into(enum sieve_comparator how, struct sv text, struct buf *out)
{
	size_t from = out->len;

	if (how == COMPARE_UNICODE) {
		(void)utf8_casemap(text, out);          /* longer: cut */
		return;
	}
	(void)buf_append(out, sv_sub(text, 0, out->max - out->len));
	for (size_t i = from; i < out->len; i++)
		out->p[i] = ascii_upper(out->p[i]);
}

/* Character by character, so that each octet knows where it came from. A wildcard that only folding made is escaped in a
 * pattern. origin may be NULL. */
static void fold_characters(struct sv text, bool is_pattern, struct buf *out, uint32_t *origin)
{
	for (size_t at = 0; at < text.len; ) {
		size_t from = out->len, n = 1;

		while (at + n < text.len && ((unsigned char)text.p[at + n] & 0xc0) == 0x80)
			n++;
		if (!utf8_casemap(sv_sub(text, at, n), out))
			break;
		if (is_pattern && n > 1 && out->len == from + 1 && strchr("*?\\", out->p[from])) {
			char c = out->p[from];
			out->p[from] = '\\';
			(void)buf_append_c(out, c);
		}
		for (size_t i = from; origin && i < out->len; i++)
			origin[i] = (uint32_t)at;
		at += n;
	}
	if (origin)
		origin[out->len] = (uint32_t)text.len;
}

/* A key in the form in which it is compared. False: *why says what is wrong with it. */
static bool make_key(struct arena *a, const struct sieve_match *m, struct sv text, struct sieve_key *k, const char **why)
{
	struct buf b;

	*k = (struct sieve_key){ .text = text, .folded = text };
	if (m->type == MATCH_REGEX) {
		k->regex = regex_compile(a, text, m->comparator == COMPARE_ASCII, why);
		return k->regex != NULL;
	}
	if (m->type == MATCH_LIST || m->comparator == COMPARE_OCTET)
		return true;
	if (m->comparator == COMPARE_NUMERIC) {
		k->folded = number(text);
		return true;
	}
	buf_init(&b, SIEVE_VALUE_MAX);
	if (m->type == MATCH_MATCHES && m->comparator == COMPARE_UNICODE)
		fold_characters(text, true, &b, NULL);
	else
		fold_into(m->comparator, text, &b);
	k->folded = arena_copy(a, buf_sv(&b));
	buf_done(&b);
	return k->folded.p != NULL;
}

/* ---- while compiling ---- */

static bool find_comparator(struct sieve_compiler *c, struct sieve_call *call, const struct sieve_arg *a)
{
	static const struct { struct sv name; enum sieve_comparator id; enum sieve_cap cap; } rows[] = {
		{ SV_INIT("i;ascii-casemap"), COMPARE_ASCII, CAP_BASE },
		{ SV_INIT("i;octet"), COMPARE_OCTET, CAP_BASE },
		{ SV_INIT("i;ascii-numeric"), COMPARE_NUMERIC, CAP_COMPARATOR_NUMERIC },
		{ SV_INIT("i;unicode-casemap"), COMPARE_UNICODE, CAP_COMPARATOR_UNICODE },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!sv_eq(rows[i].name, a->strings[0]))
			continue;
		call->match.comparator = rows[i].id;
		if (rows[i].cap == CAP_BASE || (c->caps & CAP_BIT(rows[i].cap)))
			return true;
		if (c->caps & CAP_BIT(CAP_IHAVE)) {
			call->needs |= CAP_BIT(rows[i].cap);
			return true;
		}
		sieve_complain(c, a->at, "the comparator \"%.*s\" needs: require \"comparator-%.*s\";", SV_FMT(rows[i].name),
			       SV_FMT(rows[i].name));
		return false;
	}
	sieve_complain(c, a->at, "there is no comparator \"%.*s\"", SV_FMT(sv_sub(a->strings[0], 0, 40)));
	return false;
}

static bool find_relation(struct sieve_compiler *c, struct sieve_call *call, const struct sieve_arg *a)
{
	static const char *const names[] = { "eq", "ne", "gt", "ge", "lt", "le" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (sv_eq_nocase(sv_z(names[i]), a->strings[0])) {
			call->match.relation = (enum sieve_relation)i;
			return true;
		}
	sieve_complain(c, a->at, "\":%.*s\" must be followed by \"gt\", \"ge\", \"lt\", \"le\", \"eq\" or \"ne\"", SV_FMT(a->tag));
	return false;
}

static void make_keys(struct sieve_compiler *c, struct sieve_call *call, const struct sieve_arg *keys)
{
	struct sieve_key *made = arena_array(c->arena, keys->count, sizeof(*made));

	for (uint32_t i = 0; i < keys->count; i++) {
		const char *why = "the script is too large";

		if (keys->is_dynamic && sieve_is_dynamic(keys->strings[i]))
			continue;
		if (made && make_key(c->arena, &call->match, keys->strings[i], &made[i], &why))
			continue;
		if (made && call->match.type == MATCH_REGEX)
			sieve_complain(c, keys->at, "the regular expression \"%.*s\" is wrong: %s",
				       SV_FMT(sv_sub(keys->strings[i], 0, 60)), why);
		else
			sieve_complain(c, keys->at, "%s", why);
	}
	call->match.keys = keys->is_dynamic ? NULL : made;
}

void sieve_check_match(struct sieve_compiler *c, struct sieve_call *call, enum sieve_slot keys_slot)
{
	const struct sieve_arg *match = sieve_arg_of(call, SLOT_MATCH), *comparator = sieve_arg_of(call, SLOT_COMPARATOR);
	const struct sieve_arg *keys = sieve_arg_of(call, keys_slot);
	struct sieve_match *m = &call->match;

	if ((match && match->kind == ARG_STRING && match->is_dynamic) || (comparator && comparator->is_dynamic)) {
		sieve_complain(c, call->at, "names of comparators and relations may hold no variables");
		return;
	}
	if (match)
		m->type = (enum sieve_match_type)match->value;
	if (match && match->kind == ARG_STRING && !find_relation(c, call, match))
		return;
	if (comparator && !find_comparator(c, call, comparator))
		return;
	if (m->type == MATCH_LIST && comparator)        /* RFC 6134 §2.2 */
		sieve_complain(c, comparator->at, "\":list\" takes no comparator");
	if (m->comparator == COMPARE_NUMERIC && (m->type == MATCH_CONTAINS || m->type == MATCH_MATCHES || m->type == MATCH_REGEX))
		sieve_complain(c, comparator->at, "the comparator \"i;ascii-numeric\" does not go with \":%.*s\"", SV_FMT(match->tag));
	else if (m->type == MATCH_REGEX && m->comparator == COMPARE_UNICODE)
		sieve_complain(c, comparator->at, "\":regex\" goes with \"i;ascii-casemap\" and \"i;octet\" only");
	else if (keys)
		make_keys(c, call, keys);
}

void sieve_check_keys_first(struct sieve_compiler *c, struct sieve_call *call)
{
	sieve_check_match(c, call, SLOT_FIRST);
}

void sieve_check_keys_second(struct sieve_compiler *c, struct sieve_call *call)
{
	sieve_check_match(c, call, SLOT_SECOND);
}

void sieve_check_keys_third(struct sieve_compiler *c, struct sieve_call *call)
{
	sieve_check_match(c, call, SLOT_THIRD);
}

static int compare(enum sieve_comparator how, struct sv a, struct sv b)
{
	if (how != COMPARE_NUMERIC)
		return sv_cmp(a, b);
	if (!a.p || !b.p)
		return (a.p == NULL) - (b.p == NULL);
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return sv_cmp(a, b);
}

static bool holds(enum sieve_relation relation, int order)
{
	switch (relation) {
	case REL_EQ: return order == 0;
	case REL_NE: return order != 0;
	case REL_GT: return order > 0;
	case REL_GE: return order >= 0;
	case REL_LT: return order < 0;
	case REL_LE: return order <= 0;
	}
	return false;
}

/* ---- :matches ---- */

static uint32_t unit_end(const struct sieve_glob *g, struct sv value, uint32_t at)
{
	uint32_t end = at + 1;

	while (g->origin && end < value.len && g->origin[end] == g->origin[at])
		end++;
	return end;
}

static void capture(struct sieve_glob *g, uint32_t index, uint32_t from, uint32_t to)
{
	if (index < SIEVE_MATCH_VALUES) {
		g->captures[index].from = from;
		g->captures[index].to = to;
	}
}

bool sieve_glob(struct sieve_glob *g, struct sv pattern, struct sv value)
{
	size_t p = 0, star_p = SIZE_MAX;
	uint32_t v = 0, star_v = 0, star_count = 0;

	g->count = 0;
	for (;; g->work++) {
		if (p < pattern.len && pattern.p[p] == '*') {
			capture(g, g->count, v, v);
			star_p = ++p;
			star_v = v;
			star_count = g->count++;
			continue;
		}
		if (p == pattern.len && v == value.len) {
			if (g->count > SIEVE_MATCH_VALUES)
				g->count = SIEVE_MATCH_VALUES;
			return true;
		}
		if (p < pattern.len && v < value.len) {
			if (pattern.p[p] == '?') {
				uint32_t end = unit_end(g, value, v);
				capture(g, g->count++, v, end);
				v = end;
				p++;
				continue;
			}
			size_t literal = pattern.p[p] == '\\' && p + 1 < pattern.len ? p + 1 : p;
			if (pattern.p[literal] == value.p[v]) {
				p = literal + 1;
				v++;
				continue;
			}
		}
		if (star_p == SIZE_MAX || star_v >= value.len)
			return false;
		star_v = unit_end(g, value, star_v);    /* only the latest star can help: earlier ones took the least */
		capture(g, star_count, star_count < SIEVE_MATCH_VALUES ? g->captures[star_count].from : 0, star_v);
		g->count = star_count + 1;
		p = star_p;
		v = star_v;
	}
}

/* ---- one test ---- */

void sieve_matcher_init_keys(struct sieve_matcher *m, struct sieve_run *r, const struct sieve_match *match,
			     const struct sieve_arg *keys)
{
	struct sieve_key *made = arena_array(&r->scratch, keys->count, sizeof(*made));

	*m = (struct sieve_matcher){ .r = r, .match = match, .sets_variables = sieve_has(r, CAP_VARIABLES) };
	for (uint32_t i = 0; made && i < keys->count; i++) {
		struct sv text = sieve_text(r, keys, i);
		const char *why = "the test takes too much memory";

		if (!sieve_charge(r, text.len + 1))
			return;
		if (make_key(&r->scratch, match, text, &made[i], &why))
			continue;
		if (match->type == MATCH_REGEX)
			sieve_fail(r, "the regular expression \"%.*s\" is wrong: %s", SV_FMT(sv_sub(text, 0, 60)), why);
		else
			sieve_fail(r, "%s", why);
		return;
	}
	if (!made) {
		sieve_fail(r, "the test has too many keys");
		return;
	}
	m->keys = made;
	m->key_count = keys->count;
}

void sieve_matcher_init(struct sieve_matcher *m, struct sieve_run *r, const struct sieve_call *c, enum sieve_slot slot)
{
	const struct sieve_arg *keys = sieve_arg_of(c, slot);

	if (!c->match.keys) {
		sieve_matcher_init_keys(m, r, &c->match, keys);
		return;
	}
	*m = (struct sieve_matcher){ .r = r, .match = &c->match, .keys = c->match.keys, .key_count = keys->count,
				     .sets_variables = sieve_has(r, CAP_VARIABLES) };
}

static bool try_regex(struct sieve_matcher *m, const struct sieve_key *k, struct sv value)
{
	struct sieve_run *r = m->r;
	struct sv groups[REGEX_GROUPS_MAX];
	bool has_failed, has_matched;

	if (!sieve_charge(r, value.len * (1 + regex_cost(k->regex) / 8)))
		return false;
	arena_clear(&r->machine);
	has_matched = regex_run(k->regex, value, &r->machine, m->sets_variables ? groups : NULL, &has_failed);
	if (has_failed)
		sieve_fail(r, "a regular expression takes too much memory");
	if (has_matched && m->sets_variables)
		sieve_match_values(r, groups, REGEX_GROUPS_MAX);
	return has_matched;
}

static bool try_glob(struct sieve_matcher *m, const struct sieve_key *k, struct sv value, struct sv folded,
		     const uint32_t *origin)
{
	struct sieve_glob g = { .origin = origin };
	bool has_matched = sieve_glob(&g, k->folded, folded);

	if (has_matched && m->sets_variables) {
		struct sv values[SIEVE_MATCH_VALUES] = { value };
		uint32_t count = g.count < SIEVE_MATCH_VALUES - 1 ? g.count : SIEVE_MATCH_VALUES - 1;

		for (uint32_t i = 0; i < count; i++) {
			uint32_t from = g.captures[i].from, to = g.captures[i].to;

			if (origin) {
				from = origin[from];
				to = origin[to];
			}
			values[i + 1] = sv_sub(value, from, to - from);
		}
		sieve_match_values(m->r, values, count + 1);
	}
	sieve_charge(m->r, g.work);
	return has_matched;
}

static bool try_list(struct sieve_matcher *m, const struct sieve_key *k, struct sv value)
{
	const struct sieve_host *host = m->r->host;
	bool has = sieve_has_list(m->r, k->text) && host->list_has && host->list_has(host->arg, k->text, value);

	if (has && m->sets_variables)           /* RFC 6134 §2.3: ${0} is the value */
		sieve_match_values(m->r, &value, 1);
	return has;
}

bool sieve_matcher_try(struct sieve_matcher *m, struct sv value)
{
	struct sieve_run *r = m->r;
	enum sieve_comparator how = m->match->comparator;
	struct sv folded = value;
	uint32_t *origin = NULL;

	m->count++;
	if (value.len > SIEVE_VALUE_MAX)
		value.len = SIEVE_VALUE_MAX;
	if (r->has_failed || m->match->type == MATCH_COUNT)
		return r->has_failed;
	if (how == COMPARE_NUMERIC) {
		folded = number(value);
	} else if (how == COMPARE_UNICODE && m->match->type == MATCH_MATCHES) {
		size_t room = SIEVE_MACHINE_MEMORY / sizeof(*origin) - 64;

		arena_clear(&r->machine);
		origin = arena_array(&r->machine, room, sizeof(*origin));
		buf_clear(&r->line);
		if (value.len > room / 6)       /* folding makes a text longer, but seldom six times */
			value.len = room / 6;
		size_t max = r->line.max;
		r->line.max = room - 1;
		fold_characters(value, false, &r->line, origin);
		r->line.max = max;
		folded = buf_sv(&r->line);
	} else if (how != COMPARE_OCTET && m->match->type != MATCH_REGEX && m->match->type != MATCH_LIST) {
		buf_clear(&r->line);
		fold_into(how, value, &r->line);
		folded = buf_sv(&r->line);
	}
	for (uint32_t i = 0; i < m->key_count && !m->has_matched && sieve_charge(r, value.len + 1); i++) {
		const struct sieve_key *k = &m->keys[i];

		switch (m->match->type) {
		case MATCH_IS: m->has_matched = compare(how, folded, k->folded) == 0; break;
		case MATCH_CONTAINS: m->has_matched = sv_search(folded, k->folded) != SIZE_MAX; break;
		case MATCH_MATCHES: m->has_matched = try_glob(m, k, value, folded, origin); break;
		case MATCH_REGEX: m->has_matched = try_regex(m, k, value); break;
		case MATCH_VALUE: m->has_matched = holds(m->match->relation, compare(how, folded, k->folded)); break;
		case MATCH_LIST: m->has_matched = try_list(m, k, value); break;
		case MATCH_COUNT: break;
		}
	}
	return m->has_matched || r->has_failed;
}

bool sieve_matcher_end(struct sieve_matcher *m)
{
	struct buf text;
	char room[24];

	if (m->match->type == MATCH_COUNT) {            /* RFC 5231 §4.2: the number, as a text, against each key */
		buf_init(&text, sizeof(room));
		(void)buf_append_u64(&text, m->count);
		for (uint32_t i = 0; i < m->key_count && !m->has_matched; i++) {
			struct sv n = m->match->comparator == COMPARE_NUMERIC ? number(buf_sv(&text)) : buf_sv(&text);

			m->has_matched = holds(m->match->relation, compare(m->match->comparator, n, m->keys[i].folded));
		}
		buf_done(&text);
	}
	return m->has_matched;
}
