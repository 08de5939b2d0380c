/* Extended regular expressions: pattern -> tree -> instructions, and the machine that runs all alternatives at once. */
#include "common/sieve/regex.h"

#include <stdlib.h>

#include "common/banned.h"

#define REPEAT_MAX 255          /* RE_DUP_MAX of POSIX */
#define NO_LIMIT UINT32_MAX
#define RUN_MEMORY ((size_t)96 << 10)

enum node_kind { NODE_CHAR, NODE_ANY, NODE_SET, NODE_BEGIN, NODE_END, NODE_GROUP, NODE_LIST, NODE_CHOICE, NODE_REPEAT };

struct range { uint32_t low, high; };
struct set {
	struct range *ranges;
	uint32_t count;
	bool is_negated;
};

struct node {
	enum node_kind kind;
	struct node *child;             /* the first one of LIST and CHOICE; the only one of GROUP and REPEAT */
	struct node *next;              /* its sibling */
	uint32_t c;                     /* CHAR; GROUP: its number */
	uint32_t min, max;
	const struct set *set;
};

enum op { OP_CHAR, OP_ANY, OP_SET, OP_SPLIT, OP_JUMP, OP_SAVE, OP_BEGIN, OP_END, OP_MATCH };
struct instruction {
	enum op op;
	uint32_t x, y;                  /* CHAR: x is the character; SPLIT: first x, then y; SAVE: x is the slot */
	const struct set *set;
};

struct regex {
	struct instruction *code;
	size_t len;
	uint32_t slots;                 /* two for each remembered group */
	bool ignore_case;
};

struct parser {
	struct arena *arena;
	struct sv rest;
	uint32_t groups;
	const char *error;
	struct instruction *code;
	size_t len;
};

static uint32_t take_char(struct sv *s)
{
	unsigned char c = (unsigned char)*s->p;
	size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;
	uint32_t value = c;

	if (n > 1 && n <= s->len && sv_is_utf8(sv_from(s->p, n))) {
		value = c & (0xffu >> (n + 1));
		for (size_t i = 1; i < n; i++)
			value = value << 6 | ((unsigned char)s->p[i] & 0x3f);
	} else {
		n = 1;
		if (c >= 0x80)
			value = 0x110000u + c;  /* no character, equal only to the same octet */
	}
	sv_skip(s, n);
	return value;
}

/* ---- the pattern ---- */

static struct node *new_node(struct parser *p, enum node_kind kind)
{
	struct node *n = arena_alloc(p->arena, sizeof(*n));

	if (!n)
		p->error = "it is too large";
	else
		n->kind = kind;
	return n;
}

static bool add_range(struct parser *p, struct set *set, uint32_t low, uint32_t high)
{
	if (!(set->count & (set->count - 1))) {         /* full at each power of two */
		struct range *more = arena_array(p->arena, set->count ? set->count * 2 : 1, sizeof(*more));

		if (!more) {
			p->error = "it is too large";
			return false;
		}
		if (set->count)
			memcpy(more, set->ranges, set->count * sizeof(*more));
		set->ranges = more;
	}
	set->ranges[set->count++] = (struct range){ low, high };
	return true;
}

struct class_row {
	const char *name;
	struct range ranges[4];
	uint32_t count;
};
static const struct class_row classes[] = {
	{ "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } }, 3 },
	{ "alpha", { { 'A', 'Z' }, { 'a', 'z' } }, 2 },
	{ "blank", { { ' ', ' ' }, { '\t', '\t' } }, 2 },
	{ "cntrl", { { 0, 31 }, { 127, 127 } }, 2 },
	{ "digit", { { '0', '9' } }, 1 },
	{ "graph", { { 33, 126 } }, 1 },
	{ "lower", { { 'a', 'z' } }, 1 },
	{ "print", { { 32, 126 } }, 1 },
	{ "punct", { { 33, 47 }, { 58, 64 }, { 91, 96 }, { 123, 126 } }, 4 },
	{ "space", { { 9, 13 }, { ' ', ' ' } }, 2 },
	{ "upper", { { 'A', 'Z' } }, 1 },
	{ "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } }, 3 },
	{ "word", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' }, { '_', '_' } }, 4 },      /* for \w only */
};

static bool add_class(struct parser *p, struct set *set, struct sv name)
{
	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (sv_eq(sv_z(classes[i].name), name)) {
			for (uint32_t k = 0; k < classes[i].count; k++)
				if (!add_range(p, set, classes[i].ranges[k].low, classes[i].ranges[k].high))
					return false;
			return true;
		}
	p->error = "it names a character class that does not exist";
	return false;
}

/* One end of a range: a character, or [.x.] and [=x=] with a single one. */
static bool parse_set_char(struct parser *p, uint32_t *c)
{
	if (p->rest.len >= 2 && p->rest.p[0] == '[' && (p->rest.p[1] == '.' || p->rest.p[1] == '=')) {
		char mark = p->rest.p[1];

		sv_skip(&p->rest, 2);
		if (p->rest.len)
			*c = take_char(&p->rest);
		if (p->rest.len < 2 || p->rest.p[0] != mark || p->rest.p[1] != ']') {
			p->error = "it has a collating element that is no single character";
			return false;
		}
		sv_skip(&p->rest, 2);
		return true;
	}
	*c = take_char(&p->rest);
	return true;
}

static struct node *parse_set(struct parser *p)         /* behind the [ */
{
	struct node *n = new_node(p, NODE_SET);
	struct set *set = arena_alloc(p->arena, sizeof(*set));

	if (!n || !set)
		return NULL;
	n->set = set;
	if (p->rest.len && *p->rest.p == '^') {
		set->is_negated = true;
		sv_skip(&p->rest, 1);
	}
	for (bool is_first = true; ; is_first = false) {
		uint32_t low, high;

		if (!p->rest.len) {
			p->error = "a [ has no ]";
			return NULL;
		}
		if (*p->rest.p == ']' && !is_first) {
			sv_skip(&p->rest, 1);
			return n;
		}
		if (sv_starts(p->rest, SV("[:"))) {
			sv_skip(&p->rest, 2);
			size_t end = sv_search(p->rest, SV(":]"));
			if (end == SIZE_MAX) {
				p->error = "a [: has no :]";
				return NULL;
			}
			if (!add_class(p, set, sv_sub(p->rest, 0, end)))
				return NULL;
			sv_skip(&p->rest, end + 2);
			continue;
		}
		if (!parse_set_char(p, &low))
			return NULL;
		high = low;
		if (p->rest.len >= 2 && p->rest.p[0] == '-' && p->rest.p[1] != ']') {
			sv_skip(&p->rest, 1);
			if (!parse_set_char(p, &high))
				return NULL;
			if (high < low) {
				p->error = "a range in [] runs backwards";
				return NULL;
			}
		}
		if (!add_range(p, set, low, high))
			return NULL;
	}
}

static struct node *parse_choice(struct parser *p, unsigned depth);

static struct node *parse_escape(struct parser *p)      /* behind the backslash */
{
	struct node *n;

	if (!p->rest.len) {
		p->error = "it ends in a backslash";
		return NULL;
	}
	char c = *p->rest.p;
	if (c == 'w' || c == 'W' || c == 's' || c == 'S') {
		struct set *set = arena_alloc(p->arena, sizeof(*set));

		n = new_node(p, NODE_SET);
		if (!n || !set || !add_class(p, set, c == 'w' || c == 'W' ? SV("word") : SV("space")))
			return NULL;
		set->is_negated = c == 'W' || c == 'S';
		n->set = set;
		sv_skip(&p->rest, 1);
		return n;
	}
	if (ascii_is_digit(c)) {
		p->error = "it refers back to a group, which this server does not do";
		return NULL;
	}
	if (ascii_is_alpha(c)) {
		p->error = "it has a backslash before a letter that has no special meaning";
		return NULL;
	}
	n = new_node(p, NODE_CHAR);
	if (n)
		n->c = take_char(&p->rest);
	return n;
}

static struct node *parse_atom(struct parser *p, unsigned depth)
{
	struct node *n = NULL;
	char c = *p->rest.p;

	switch (c) {
	case '(':
		sv_skip(&p->rest, 1);
		if (depth >= REGEX_DEPTH_MAX) {
			p->error = "its groups are nested too deep";
			return NULL;
		}
		n = new_node(p, NODE_GROUP);
		if (!n)
			return NULL;
		n->c = ++p->groups;
		n->child = parse_choice(p, depth + 1);
		if (!n->child)
			return NULL;
		if (!p->rest.len) {
			p->error = "a ( has no )";
			return NULL;
		}
		sv_skip(&p->rest, 1);
		return n;
	case '[':
		sv_skip(&p->rest, 1);
		return parse_set(p);
	case '\\':
		sv_skip(&p->rest, 1);
		return parse_escape(p);
	case '.': case '^': case '$':
		sv_skip(&p->rest, 1);
		return new_node(p, c == '.' ? NODE_ANY : c == '^' ? NODE_BEGIN : NODE_END);
	case '*': case '+': case '?': case '{':
		p->error = "a repetition has nothing before it to repeat";
		return NULL;
	default:
		n = new_node(p, NODE_CHAR);
		if (n)
			n->c = take_char(&p->rest);
		return n;
	}
}

static bool parse_count(struct parser *p, uint32_t *out)
{
	size_t n = 0;

	while (n < p->rest.len && ascii_is_digit(p->rest.p[n]))
		n++;
	if (!sv_to_u32(sv_sub(p->rest, 0, n), out) || *out > REPEAT_MAX)
		return false;
	sv_skip(&p->rest, n);
	return true;
}

/* What stands behind an atom: * + ? {n} {n,} {n,m}. */
static bool parse_bounds(struct parser *p, uint32_t *min, uint32_t *max)
{
	char c = *p->rest.p;

	sv_skip(&p->rest, 1);
	*min = c == '+';
	*max = c == '?' ? 1 : NO_LIMIT;
	if (c != '{')
		return true;
	if (parse_count(p, min)) {
		*max = *min;
		if (p->rest.len && *p->rest.p == ',') {
			sv_skip(&p->rest, 1);
			*max = NO_LIMIT;
			if (p->rest.len && *p->rest.p != '}' && !parse_count(p, max))
				goto bad;
		}
		if (p->rest.len && *p->rest.p == '}' && *min <= *max) {
			sv_skip(&p->rest, 1);
			return true;
		}
	}
bad:
	p->error = "a repetition in {} is not {n}, {n,} or {n,m} with numbers up to 255";
	return false;
}

static bool is_repetition(struct sv s)
{
	return s.len && (*s.p == '*' || *s.p == '+' || *s.p == '?' || *s.p == '{');
}

static struct node *parse_list(struct parser *p, unsigned depth)
{
	struct node *list = new_node(p, NODE_LIST), **tail;

	if (!list)
		return NULL;
	tail = &list->child;
	while (p->rest.len && *p->rest.p != '|' && !(*p->rest.p == ')' && depth)) {
		struct node *n = parse_atom(p, depth);

		if (!n)
			return NULL;
		if (is_repetition(p->rest)) {
			struct node *repeat = new_node(p, NODE_REPEAT);

			if (!repeat || !parse_bounds(p, &repeat->min, &repeat->max))
				return NULL;
			repeat->child = n;
			n = repeat;
			if (is_repetition(p->rest)) {
				p->error = "a repetition is itself repeated";
				return NULL;
			}
		}
		*tail = n;
		tail = &n->next;
	}
	return list;
}

static struct node *parse_choice(struct parser *p, unsigned depth)
{
	struct node *choice = new_node(p, NODE_CHOICE), **tail;

	if (!choice)
		return NULL;
	tail = &choice->child;
	for (;;) {
		struct node *n = parse_list(p, depth);

		if (!n)
			return NULL;
		*tail = n;
		tail = &n->next;
		if (!p->rest.len || *p->rest.p != '|')
			return choice;
		sv_skip(&p->rest, 1);
	}
}

/* ---- instructions ---- */

static bool emit(struct parser *p, enum op op, uint32_t x, uint32_t y, const struct set *set)
{
	if (p->len == REGEX_PROGRAM_MAX) {
		p->error = "it is too large once its repetitions are written out";
		return false;
	}
	p->code[p->len++] = (struct instruction){ op, x, y, set };
	return true;
}

/* Depth is at most three for each nested group, which the parser has limited. */
static bool emit_node(struct parser *p, const struct node *n)
{
	uint32_t at;

	switch (n->kind) {
	case NODE_CHAR:  return emit(p, OP_CHAR, n->c, 0, NULL);
	case NODE_ANY:   return emit(p, OP_ANY, 0, 0, NULL);
	case NODE_SET:   return emit(p, OP_SET, 0, 0, n->set);
	case NODE_BEGIN: return emit(p, OP_BEGIN, 0, 0, NULL);
	case NODE_END:   return emit(p, OP_END, 0, 0, NULL);
	case NODE_GROUP:
		if (n->c >= REGEX_GROUPS_MAX)
			return emit_node(p, n->child);
		return emit(p, OP_SAVE, n->c * 2, 0, NULL) && emit_node(p, n->child) && emit(p, OP_SAVE, n->c * 2 + 1, 0, NULL);
	case NODE_LIST:
		for (const struct node *c = n->child; c; c = c->next)
			if (!emit_node(p, c))
				return false;
		return true;
	case NODE_CHOICE: {
		uint32_t open = NO_LIMIT;       /* the jumps to the end, linked through x */

		for (const struct node *c = n->child; c; c = c->next) {
			at = (uint32_t)p->len;
			if (c->next && !emit(p, OP_SPLIT, at + 1, 0, NULL))
				return false;
			if (!emit_node(p, c))
				return false;
			if (!c->next)
				break;
			if (!emit(p, OP_JUMP, open, 0, NULL))
				return false;
			open = (uint32_t)p->len - 1;
			p->code[at].y = (uint32_t)p->len;
		}
		while (open != NO_LIMIT) {
			uint32_t before = p->code[open].x;
			p->code[open].x = (uint32_t)p->len;
			open = before;
		}
		return true;
	}
	case NODE_REPEAT:
		for (uint32_t i = 0; i < n->min; i++)
			if (!emit_node(p, n->child))
				return false;
		if (n->max == NO_LIMIT) {
			at = (uint32_t)p->len;
			if (!emit(p, OP_SPLIT, at + 1, 0, NULL) || !emit_node(p, n->child) || !emit(p, OP_JUMP, at, 0, NULL))
				return false;
			p->code[at].y = (uint32_t)p->len;
			return true;
		}
		for (uint32_t i = n->min; i < n->max; i++) {    /* each one optional: a split to just behind its copy is enough */
			at = (uint32_t)p->len;
			if (!emit(p, OP_SPLIT, at + 1, 0, NULL) || !emit_node(p, n->child))
				return false;
			p->code[at].y = (uint32_t)p->len;
		}
		return true;
	}
	return false;
}

struct regex *regex_compile(struct arena *a, struct sv pattern, bool ignore_case, const char **error)
{
	static struct instruction no_room[1];
	struct parser p = { .arena = a, .rest = pattern, .code = no_room };
	struct regex *re = arena_alloc(a, sizeof(*re));
	struct node *tree;

	if (pattern.len > REGEX_PATTERN_MAX || !re) {
		*error = "it is too long";
		return NULL;
	}
	tree = parse_choice(&p, 0);
	if (tree) {
		/* Written in a buffer of the greatest size, kept in one of the right size. */
		p.code = xmalloc(REGEX_PROGRAM_MAX * sizeof(*p.code));
		if (emit(&p, OP_SAVE, 0, 0, NULL) && emit_node(&p, tree) && emit(&p, OP_SAVE, 1, 0, NULL) &&
		    emit(&p, OP_MATCH, 0, 0, NULL)) {
			uint32_t groups = p.groups + 1 < REGEX_GROUPS_MAX ? p.groups + 1 : REGEX_GROUPS_MAX;

			re->slots = groups * 2;
			re->len = p.len;
			re->ignore_case = ignore_case;
			re->code = arena_array(a, p.len, sizeof(*re->code));
			if (re->code)
				memcpy(re->code, p.code, p.len * sizeof(*re->code));
			if (!re->code || p.len * re->slots * 2 * sizeof(uint32_t) > RUN_MEMORY)
				p.error = "it is too large once its repetitions are written out";
		}
		free(p.code);
	}
	*error = p.error;
	return p.error ? NULL : re;
}

size_t regex_cost(const struct regex *re)
{
	return re->len;
}

/* ---- the machine ---- */

struct threads {
	uint32_t *pc;
	uint32_t *slots;                /* re->slots for each thread */
	size_t count;
};
struct machine {
	const struct regex *re;
	uint32_t *seen;                 /* by instruction: the generation in which it was reached */
	uint32_t generation;
	struct follow { uint32_t pc, slot, old; } *stack;
	uint32_t *slots;                /* of the thread being followed */
	size_t text_len;
};

#define RESTORE UINT32_MAX
#define UNSET UINT32_MAX

static bool set_has(const struct set *set, uint32_t c)
{
	for (uint32_t i = 0; i < set->count; i++)
		if (c >= set->ranges[i].low && c <= set->ranges[i].high)
			return true;
	return false;
}

static uint32_t other_case(uint32_t c)
{
	if (c >= 'a' && c <= 'z')
		return c - 32;
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static bool takes(const struct regex *re, const struct instruction *i, uint32_t c)
{
	uint32_t other = re->ignore_case ? other_case(c) : c;

	switch (i->op) {
	case OP_CHAR: return i->x == c || i->x == other;
	case OP_ANY:  return true;
	case OP_SET:  return (set_has(i->set, c) || set_has(i->set, other)) != i->set->is_negated;
	default:      return false;
	}
}

/* Follow pc over all that takes no character; what waits for one joins the list. m->slots is the same afterwards. */
static void follow(struct machine *m, struct threads *list, uint32_t pc, uint32_t at)
{
	size_t depth = 0;

	m->stack[depth++] = (struct follow){ pc, 0, 0 };
	while (depth) {
		struct follow f = m->stack[--depth];

		if (f.pc == RESTORE) {
			m->slots[f.slot] = f.old;
			continue;
		}
		if (m->seen[f.pc] == m->generation)
			continue;
		m->seen[f.pc] = m->generation;
		const struct instruction *i = &m->re->code[f.pc];
		switch (i->op) {
		case OP_JUMP:
			m->stack[depth++] = (struct follow){ i->x, 0, 0 };
			break;
		case OP_SPLIT:
			m->stack[depth++] = (struct follow){ i->y, 0, 0 };
			m->stack[depth++] = (struct follow){ i->x, 0, 0 };
			break;
		case OP_SAVE:
			m->stack[depth++] = (struct follow){ RESTORE, i->x, m->slots[i->x] };
			m->slots[i->x] = at;
			m->stack[depth++] = (struct follow){ f.pc + 1, 0, 0 };
			break;
		case OP_BEGIN:
		case OP_END:
			if (at == (i->op == OP_BEGIN ? 0 : m->text_len))
				m->stack[depth++] = (struct follow){ f.pc + 1, 0, 0 };
			break;
		case OP_CHAR: case OP_ANY: case OP_SET: case OP_MATCH:
			list->pc[list->count] = f.pc;
			memcpy(list->slots + list->count * m->re->slots, m->slots, m->re->slots * sizeof(*m->slots));
			list->count++;
			break;
		}
	}
}

static bool threads_init(struct threads *t, const struct regex *re, struct arena *scratch)
{
	t->count = 0;
	t->pc = arena_array(scratch, re->len, sizeof(*t->pc));
	t->slots = arena_array(scratch, re->len * re->slots, sizeof(*t->slots));
	return t->pc && t->slots;
}

bool regex_run(const struct regex *re, struct sv text, struct arena *scratch, struct sv groups[REGEX_GROUPS_MAX], bool *failed)
{
	struct machine m = { .re = re, .text_len = text.len };
	struct threads now, next;
	uint32_t *best = arena_array(scratch, re->slots, sizeof(*best));
	struct sv rest = text;
	bool has_matched = false;

	m.seen = arena_array(scratch, re->len, sizeof(*m.seen));
	m.stack = arena_array(scratch, re->len * 2 + 2, sizeof(*m.stack));
	m.slots = arena_array(scratch, re->slots, sizeof(*m.slots));
	*failed = !best || !m.seen || !m.stack || !m.slots || !threads_init(&now, re, scratch) ||
		  !threads_init(&next, re, scratch) || text.len >= UNSET;
	if (*failed)
		return false;
	m.generation = 1;
	for (uint32_t at = 0; ; ) {
		if (!has_matched) {             /* older threads stand first in the list: the leftmost beginning wins */
			for (uint32_t i = 0; i < re->slots; i++)
				m.slots[i] = UNSET;
			follow(&m, &now, 0, at);
		}
		uint32_t c = 0, after = at;
		if (rest.len) {
			c = take_char(&rest);
			after = (uint32_t)(text.len - rest.len);
		}
		next.count = 0;
		m.generation++;
		for (size_t t = 0; t < now.count; t++) {
			const struct instruction *i = &re->code[now.pc[t]];
			const uint32_t *slots = now.slots + t * re->slots;

			if (has_matched && slots[0] > best[0])
				continue;
			if (i->op == OP_MATCH) {
				if (!has_matched || slots[0] < best[0] || at > best[1]) {
					memcpy(best, slots, re->slots * sizeof(*best));
					has_matched = true;
				}
			} else if (after != at && takes(re, i, c)) {
				memcpy(m.slots, slots, re->slots * sizeof(*slots));
				follow(&m, &next, now.pc[t] + 1, after);
			}
		}
		if (after == at || (has_matched && (!groups || !next.count)))
			break;
		struct threads swap = now;
		now = next;
		next = swap;
		at = after;
	}
	if (has_matched && groups)
		for (uint32_t g = 0; g < REGEX_GROUPS_MAX; g++) {
			bool is_set = g * 2 < re->slots && best[g * 2] != UNSET && best[g * 2 + 1] != UNSET;

			groups[g] = is_set ? sv_sub(text, best[g * 2], best[g * 2 + 1] - best[g * 2]) : SV_NONE;
		}
	return has_matched;
}
