/* The tree checked against the table, and written as steps: no nesting is left for the run. */
#include "common/sieve/sieve_private.h"

#include <stdlib.h>

#include "common/charset.h"

#include "common/banned.h"

#define NO_STEP UINT32_MAX

void sieve_say(struct sieve_error *e, struct sv script, struct sieve_place at, const char *format, va_list ap)
{
	struct buf text, clean;

	*e = (struct sieve_error){ .line = at.line, .column = at.column };
	buf_init(&text, 4096);
	buf_init(&clean, sizeof(e->text) - 1);
	(void)buf_vappendf(&text, format, ap);
	(void)utf8_clean(buf_sv(&text), &clean);        /* what a message quotes may be cut in a character; longer: cut */
	for (size_t i = 0; i < clean.len; i++)
		e->text[i] = (unsigned char)clean.p[i] < 32 || clean.p[i] == 127 ? ' ' : clean.p[i];
	buf_done(&text);
	buf_done(&clean);
	buf_init(&clean, sizeof(e->script) - 1);
	(void)utf8_clean(script, &clean);
	if (clean.len)
		memcpy(e->script, clean.p, clean.len);
	buf_done(&clean);
}

void sieve_complain(struct sieve_compiler *c, struct sieve_place at, const char *format, ...)
{
	va_list ap;

	c->has_failed = true;
	if (c->errors->count == SIEVE_ERRORS_MAX)
		return;
	va_start(ap, format);
	sieve_say(&c->errors->list[c->errors->count++], c->unit->name, at, format, ap);
	va_end(ap);
}

static uint32_t emit(struct sieve_compiler *c, enum sieve_step_kind kind, struct sieve_place at)
{
	if (c->step_count == c->step_cap) {
		c->step_cap = c->step_cap ? c->step_cap * 2 : 64;
		c->steps = xrealloc(c->steps, c->step_cap * sizeof(*c->steps));
	}
	c->steps[c->step_count] = (struct sieve_step){ .kind = kind, .at = at, .target = NO_STEP };
	return (uint32_t)c->step_count++;
}

/* Jumps not yet known to lead anywhere are linked through their targets. */
static void patch(struct sieve_compiler *c, uint32_t open)
{
	while (open != NO_STEP) {
		uint32_t next = c->steps[open].target;
		c->steps[open].target = (uint32_t)c->step_count;
		open = next;
	}
}

static uint32_t emit_open(struct sieve_compiler *c, enum sieve_step_kind kind, struct sieve_place at, uint32_t *open)
{
	uint32_t step = emit(c, kind, at);

	c->steps[step].target = *open;
	*open = step;
	return step;
}

static bool has_cap(const struct sieve_compiler *c, enum sieve_cap cap)
{
	return cap == CAP_BASE || (c->caps & CAP_BIT(cap));
}

/* May the extension be missing now, because an ihave may enable it before we get here (RFC 5463 §4)? */
static bool may_come(const struct sieve_compiler *c, enum sieve_cap cap)
{
	return has_cap(c, CAP_IHAVE) && cap != CAP_VARIABLES && cap != CAP_ENCODED_CHARACTER;
}

static const struct sieve_row *find_row(struct sv name)
{
	for (size_t i = 0; i < sieve_row_count; i++)
		if (sv_eq_nocase(sv_z(sieve_rows[i].name), name))
			return &sieve_rows[i];
	return NULL;
}

const struct sieve_arg *sieve_arg_of(const struct sieve_call *c, enum sieve_slot slot)
{
	for (uint32_t i = 0; i < c->arg_count; i++)
		if (c->args[i].slot == slot)
			return &c->args[i];
	return NULL;
}

static bool require_cap(struct sieve_compiler *c, struct sieve_place at, enum sieve_cap cap, const char *what, struct sv name,
			uint64_t *needs)
{
	if (has_cap(c, cap))
		return true;
	if (may_come(c, cap)) {
		*needs |= CAP_BIT(cap);
		return true;
	}
	sieve_complain(c, at, "%s%.*s\" needs: require \"%.*s\";", what, SV_FMT(sv_sub(name, 0, 40)),
		       SV_FMT(sieve_cap_names[cap]));
	return false;
}

static const char *kind_name(enum sieve_arg_kind kind)
{
	switch (kind) {
	case ARG_NONE: break;
	case ARG_STRING: return "a text";
	case ARG_LIST: return "a text or a list of texts";
	case ARG_NUMBER: return "a number";
	case ARG_TAG: return "an option";
	}
	return "nothing";
}

static bool fits(enum sieve_arg_kind wanted, const struct sieve_arg *arg)
{
	return arg->kind == wanted || (wanted == ARG_LIST && arg->kind == ARG_STRING);
}

/* An option and, if it takes one, its value. Moves *at behind them. */
static bool check_tag(struct sieve_compiler *c, const struct sieve_node *n, const struct sieve_row *row, uint32_t *at,
		      struct sieve_call *call)
{
	const struct sieve_arg *given = &n->args[*at];
	const struct sieve_tag *tag = NULL;
	struct sieve_arg arg = *given;

	for (size_t i = 0; i < sieve_tag_count && !tag; i++)
		if ((sieve_tags[i].sets & row->tags) && sv_eq_nocase(sv_z(sieve_tags[i].name), given->tag))
			tag = &sieve_tags[i];
	if (!tag) {
		sieve_complain(c, given->at, "\"%s\" has no option \":%.*s\"", row->name, SV_FMT(sv_sub(given->tag, 0, 40)));
		return false;
	}
	if (!require_cap(c, given->at, tag->cap, "the option \":", given->tag, &call->needs))
		return false;
	const struct sieve_arg *other = sieve_arg_of(call, tag->slot);
	if (other) {
		if (sv_eq(other->tag, sv_z(tag->name)))
			sieve_complain(c, given->at, "the option \":%s\" is given twice", tag->name);
		else
			sieve_complain(c, given->at, "the options \":%.*s\" and \":%s\" exclude each other", SV_FMT(other->tag),
				       tag->name);
		return false;
	}
	++*at;
	if (tag->takes != ARG_NONE) {
		if (*at == n->arg_count || !fits(tag->takes, &n->args[*at])) {
			sieve_complain(c, *at == n->arg_count ? given->at : n->args[*at].at,
				       "the option \":%s\" must be followed by %s", tag->name, kind_name(tag->takes));
			return false;
		}
		arg = n->args[*at];
		++*at;
	}
	arg.slot = (uint8_t)tag->slot;
	arg.tag = sv_z(tag->name);
	arg.value = tag->value;
	sieve_check_strings(c, &arg);
	call->args[call->arg_count++] = arg;
	return true;
}

static bool check_args(struct sieve_compiler *c, const struct sieve_node *n, const struct sieve_row *row,
		       struct sieve_call *call)
{
	uint32_t at = 0, wanted = 0, given, slot;

	call->args = arena_array(c->arena, n->arg_count, sizeof(*call->args));
	if (!call->args) {
		sieve_complain(c, n->at, "the script is too large");
		return false;
	}
	while (at < n->arg_count && n->args[at].kind == ARG_TAG)
		if (!check_tag(c, n, row, &at, call))
			return false;
	given = n->arg_count - at;
	while (wanted < ARRAY_LEN(row->args) && row->args[wanted] != ARG_NONE)
		wanted++;
	slot = row->is_first_optional && given + 1 == wanted;
	for (; at < n->arg_count; at++, slot++) {
		struct sieve_arg arg = n->args[at];

		if (arg.kind == ARG_TAG) {
			sieve_complain(c, arg.at, "the option \":%.*s\" must stand before the other arguments of \"%s\"",
				       SV_FMT(sv_sub(arg.tag, 0, 40)), row->name);
			return false;
		}
		if (slot >= wanted) {
			sieve_complain(c, arg.at, wanted ? "\"%s\" has too many arguments" : "\"%s\" takes no such argument", row->name);
			return false;
		}
		if (!fits(row->args[slot], &arg)) {
			sieve_complain(c, arg.at, "this argument of \"%s\" must be %s", row->name, kind_name(row->args[slot]));
			return false;
		}
		arg.slot = (uint8_t)(SLOT_FIRST + slot);
		sieve_check_strings(c, &arg);
		call->args[call->arg_count++] = arg;
	}
	if (slot < wanted && !(row->is_last_optional && slot + 1 == wanted)) {
		sieve_complain(c, n->at, "\"%s\" lacks an argument: %s", row->name, kind_name(row->args[slot]));
		return false;
	}
	return true;
}

/* A command or test whose row is known: its arguments, checked. NULL after a complaint. */
static struct sieve_call *check_call(struct sieve_compiler *c, const struct sieve_node *n, const struct sieve_row *row)
{
	struct sieve_call *call = arena_alloc(c->arena, sizeof(*call));
	bool had_failed = c->has_failed;

	if (!call) {
		sieve_complain(c, n->at, "the script is too large");
		return NULL;
	}
	call->row = row;
	call->at = n->at;
	c->has_failed = false;
	if (require_cap(c, n->at, row->cap, row->kind == ROW_TEST ? "the test \"" : "the command \"", n->name, &call->needs) &&
	    check_args(c, n, row, call) && !c->has_failed && row->check)
		row->check(c, call);
	bool is_fine = !c->has_failed;
	c->has_failed = c->has_failed || had_failed;
	return is_fine ? call : NULL;
}

/* Something unknown: an error now, or when it is reached if ihave may guard it. */
static void unknown(struct sieve_compiler *c, const struct sieve_node *n, const char *what)
{
	if (!has_cap(c, CAP_IHAVE)) {
		sieve_complain(c, n->at, "there is no %s \"%.*s\"", what, SV_FMT(sv_sub(n->name, 0, 40)));
		return;
	}
	uint32_t step = emit(c, STEP_FAIL, n->at);
	struct buf text;
	buf_init(&text, 200);
	(void)buf_appendf(&text, "there is no %s \"%.*s\"", what, SV_FMT(sv_sub(n->name, 0, 40)));
	c->steps[step].text = arena_copy(c->arena, buf_sv(&text));
	buf_done(&text);
}

static bool enter(struct sieve_compiler *c, struct sieve_place at)
{
	if (c->nesting == SIEVE_NESTING_MAX) {
		sieve_complain(c, at, "blocks and tests are nested too deep (at most %d)", SIEVE_NESTING_MAX);
		return false;
	}
	c->nesting++;
	return true;
}

/* ---- tests ---- */

static void compile_test(struct sieve_compiler *c, const struct sieve_node *n);

static void compile_tests(struct sieve_compiler *c, const struct sieve_node *n, enum sieve_step_kind jump)
{
	uint32_t end = NO_STEP;

	if (!n->has_test_list) {
		sieve_complain(c, n->at, "\"%.*s\" must be followed by tests in ( )", SV_FMT(n->name));
		return;
	}
	for (const struct sieve_node *t = n->tests; t; t = t->next) {
		compile_test(c, t);
		if (t->next)
			emit_open(c, jump, t->at, &end);
	}
	patch(c, end);
}

static void compile_test(struct sieve_compiler *c, const struct sieve_node *n)
{
	const struct sieve_row *row = find_row(n->name);
	struct sieve_call *call;
	uint32_t step;

	if (!row) {
		unknown(c, n, "test");
		return;
	}
	if (row->kind != ROW_TEST && row->kind != ROW_ALLOF && row->kind != ROW_ANYOF && row->kind != ROW_NOT &&
	    row->kind != ROW_TRUE && row->kind != ROW_FALSE) {
		sieve_complain(c, n->at, "\"%s\" is a command, where a test should stand", row->name);
		return;
	}
	if (!enter(c, n->at))
		return;
	bool has_tests = row->kind == ROW_ALLOF || row->kind == ROW_ANYOF || row->kind == ROW_NOT;
	if (!has_tests && n->tests) {
		const struct sieve_row *next = find_row(n->tests->name);
		bool is_command = next && next->kind != ROW_TEST && next->kind < ROW_ALLOF;

		sieve_complain(c, n->tests->at, is_command ? "a \"{\" is missing here" : "\"%s\" takes no test", row->name);
	}
	switch (row->kind) {
	case ROW_ALLOF: case ROW_ANYOF: case ROW_NOT:
		if (n->arg_count)
			sieve_complain(c, n->args[0].at, "\"%s\" takes no arguments but tests", row->name);
		else if (row->kind != ROW_NOT)
			compile_tests(c, n, row->kind == ROW_ALLOF ? STEP_JUMP_FALSE : STEP_JUMP_TRUE);
		else if (!n->tests || n->has_test_list)
			sieve_complain(c, n->at, "\"not\" must be followed by one test, without ( )");
		else {
			compile_test(c, n->tests);
			emit(c, STEP_NOT, n->at);
		}
		break;
	case ROW_TRUE: case ROW_FALSE:
		if (check_call(c, n, row)) {
			step = emit(c, STEP_SET, n->at);
			c->steps[step].target = row->kind == ROW_TRUE;
		}
		break;
	default:
		call = check_call(c, n, row);
		step = emit(c, STEP_TEST, n->at);
		c->steps[step].call = call;
		break;
	}
	c->nesting--;
}

/* ---- commands ---- */

static void compile_list(struct sieve_compiler *c, const struct sieve_node *list, bool is_top);

static void compile_block(struct sieve_compiler *c, const struct sieve_node *n)
{
	if (!n->has_block) {
		sieve_complain(c, n->at, "\"%.*s\" must be followed by a block in { }", SV_FMT(n->name));
		return;
	}
	if (!enter(c, n->at))
		return;
	compile_list(c, n->block, false);
	c->nesting--;
}

/* From an if on; returns the last node of its chain. */
static const struct sieve_node *compile_if(struct sieve_compiler *c, const struct sieve_node *n)
{
	uint32_t end = NO_STEP;

	for (;;) {
		uint32_t otherwise = NO_STEP;
		bool is_else = sv_eq_nocase(n->name, SV("else"));

		if (n->arg_count)
			sieve_complain(c, n->args[0].at, "\"%.*s\" takes no such argument", SV_FMT(n->name));
		if (is_else && n->tests) {
			sieve_complain(c, n->tests->at, "\"else\" takes no test; \"elsif\" does");
		} else if (!is_else && (!n->tests || n->has_test_list)) {
			sieve_complain(c, n->at, "\"%.*s\" must be followed by one test; several stand in \"allof (...)\" or "
				       "\"anyof (...)\"", SV_FMT(n->name));
		} else if (!is_else) {
			compile_test(c, n->tests);
			emit_open(c, STEP_JUMP_FALSE, n->at, &otherwise);
		}
		compile_block(c, n);
		bool goes_on = !is_else && n->next &&
			       (sv_eq_nocase(n->next->name, SV("elsif")) || sv_eq_nocase(n->next->name, SV("else")));
		if (goes_on)
			emit_open(c, STEP_JUMP, n->at, &end);
		patch(c, otherwise);
		if (!goes_on)
			break;
		n = n->next;
	}
	patch(c, end);
	return n;
}

static void compile_require(struct sieve_compiler *c, const struct sieve_node *n, const struct sieve_row *row)
{
	const struct sieve_call *call = check_call(c, n, row);

	for (uint32_t i = 0; call && i < call->args[0].count; i++) {
		struct sv name = call->args[0].strings[i];
		enum sieve_cap cap = sieve_cap_find(name);

		if (!cap)
			sieve_complain(c, call->args[0].at, "the extension \"%.*s\" does not exist here", SV_FMT(sv_sub(name, 0, 60)));
		else
			c->caps |= CAP_BIT(cap);
	}
	if (c->caps & CAP_BIT(CAP_VACATION_SECONDS))    /* RFC 6131 §2 */
		c->caps |= CAP_BIT(CAP_VACATION);
	if (c->caps & CAP_BIT(CAP_SPAMTESTPLUS))        /* RFC 5235 §3.2: need not require both */
		c->caps |= CAP_BIT(CAP_SPAMTEST);
}

static bool is_script_name(struct sv name)
{
	/* RFC 5804 §1.6: what may name a script. No separators: a name must not lead out of its folder. */
	if (!name.len || name.len > 128 || *name.p == '.')
		return false;
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.p[i] < 32 || name.p[i] == 127 || name.p[i] == '/')
			return false;
	return sv_search(name, SV("\xe2\x80\xa8")) == SIZE_MAX && sv_search(name, SV("\xe2\x80\xa9")) == SIZE_MAX;
}

static void compile_include(struct sieve_compiler *c, const struct sieve_call *call)
{
	const struct sieve_arg *name = sieve_arg_of(call, SLOT_FIRST), *where = sieve_arg_of(call, SLOT_LOCATION);
	enum sieve_location location = where ? (enum sieve_location)where->value : SIEVE_PERSONAL;
	uint32_t unit;

	if (name->is_dynamic || !is_script_name(name->strings[0])) {
		sieve_complain(c, name->at, name->is_dynamic ? "the name of an included script may hold no variables" :
			       "this is no name of a script");
		return;
	}
	for (unit = 1; unit < c->script->unit_count; unit++)
		if (c->script->units[unit].where == location && sv_eq(c->script->units[unit].name, name->strings[0]))
			break;
	if (unit == ARRAY_LEN(c->script->units)) {
		sieve_complain(c, name->at, "more than %d scripts are included", SIEVE_INCLUDES_MAX);
		return;
	}
	if (unit == c->script->unit_count)      /* compiled once its turn comes */
		c->script->units[c->script->unit_count++] = (struct sieve_unit){ .name = name->strings[0], .where = location };
	uint32_t step = emit(c, STEP_CALL, call->at);
	c->steps[step].target = unit;
	c->steps[step].call = call;
}

static void compile_global(struct sieve_compiler *c, const struct sieve_call *call)
{
	const struct sieve_arg *names = sieve_arg_of(call, SLOT_FIRST);
	struct sieve_unit *u = c->unit;
	struct sv *all = arena_array(c->arena, u->global_count + names->count, sizeof(*all));

	if (!has_cap(c, CAP_VARIABLES)) {       /* RFC 6609 §3.4 */
		sieve_complain(c, call->at, "\"global\" needs: require \"variables\";");
		return;
	}
	if (!all) {
		sieve_complain(c, call->at, "the script is too large");
		return;
	}
	if (u->global_count)
		memcpy(all, u->globals, u->global_count * sizeof(*all));
	for (uint32_t i = 0; i < names->count; i++) {
		struct sv name = names->strings[i];

		if (names->is_dynamic || !sieve_variable_name(name) || sv_find(name, '.') != SIZE_MAX)
			sieve_complain(c, names->at, "\"%.*s\" is no name of a variable", SV_FMT(sv_sub(name, 0, 40)));
		all[u->global_count + i] = name;
	}
	u->globals = all;
	u->global_count += names->count;
}

static struct sv loop_name(struct sieve_compiler *c, const struct sieve_call *call)
{
	const struct sieve_arg *name = sieve_arg_of(call, SLOT_NAME);

	if (name && name->is_dynamic)
		sieve_complain(c, name->at, "the name of a loop may hold no variables");
	return name ? name->strings[0] : SV_NONE;
}

static void compile_loop(struct sieve_compiler *c, const struct sieve_node *n, const struct sieve_call *call)
{
	if (c->loop_count == SIEVE_LOOPS_MAX) {
		sieve_complain(c, n->at, "loops are nested too deep (at most %d)", SIEVE_LOOPS_MAX);
		return;
	}
	uint32_t start = emit(c, STEP_LOOP, n->at), next;
	c->steps[start].call = call;
	c->loops[c->loop_count].name = loop_name(c, call);
	c->loops[c->loop_count++].breaks = NO_STEP;
	compile_block(c, n);
	next = emit(c, STEP_LOOP_NEXT, n->at);
	c->steps[next].target = start + 1;
	c->steps[start].target = (uint32_t)c->step_count;
	patch(c, c->loops[--c->loop_count].breaks);
}

static void compile_break(struct sieve_compiler *c, const struct sieve_call *call)
{
	struct sv name = loop_name(c, call);
	uint32_t i = c->loop_count;

	while (i && name.p && !sv_eq(c->loops[i - 1].name, name))
		i--;
	if (!i) {
		sieve_complain(c, call->at, name.p ? "no loop of that name is around this \"break\"" :
			       "\"break\" stands outside of a \"foreverypart\"");
		return;
	}
	uint32_t step = emit_open(c, STEP_BREAK, call->at, &c->loops[i - 1].breaks);
	c->steps[step].count = c->loop_count - (i - 1);
}

static void compile_command(struct sieve_compiler *c, const struct sieve_node *n, const struct sieve_row *row)
{
	struct sieve_call *call = check_call(c, n, row);
	uint32_t step;

	if (n->tests)
		sieve_complain(c, n->tests->at, "\"%s\" takes no test", row->name);
	if (n->has_block && row->kind != ROW_LOOP)
		sieve_complain(c, n->at, "\"%s\" takes no block", row->name);
	if (!call)
		return;
	switch (row->kind) {
	case ROW_ACTION:
		step = emit(c, STEP_ACTION, n->at);
		c->steps[step].call = call;
		break;
	case ROW_STOP: emit(c, STEP_STOP, n->at); break;
	case ROW_RETURN: emit(c, STEP_RETURN, n->at); break;
	case ROW_INCLUDE: compile_include(c, call); break;
	case ROW_GLOBAL: compile_global(c, call); break;
	case ROW_LOOP: compile_loop(c, n, call); break;
	case ROW_BREAK: compile_break(c, call); break;
	default: BUG("sieve row %s", row->name);
	}
}

static void compile_list(struct sieve_compiler *c, const struct sieve_node *list, bool is_top)
{
	bool may_require = is_top;

	for (const struct sieve_node *n = list; n && c->errors->count < SIEVE_ERRORS_MAX; n = n->next) {
		const struct sieve_row *row = find_row(n->name);

		if (row && row->kind == ROW_REQUIRE) {
			if (!may_require)
				sieve_complain(c, n->at, "\"require\" must stand at the beginning of the script");
			else if (n->tests || n->has_block)
				sieve_complain(c, n->at, "\"require\" takes a list of extensions and nothing else");
			else
				compile_require(c, n, row);
			continue;
		}
		may_require = false;
		if (!row)
			unknown(c, n, "command");
		else if (row->kind == ROW_IF)
			n = compile_if(c, n);
		else if (row->kind == ROW_ELSIF || row->kind == ROW_ELSE)
			sieve_complain(c, n->at, "\"%s\" does not follow an \"if\" or \"elsif\"", row->name);
		else if (row->kind == ROW_TEST || row->kind >= ROW_ALLOF)
			sieve_complain(c, n->at, "\"%s\" is a test: it stands behind \"if\"", row->name);
		else
			compile_command(c, n, row);
	}
}

/* ---- scripts ---- */

static void compile_unit(struct sieve_compiler *c, struct sv text)
{
	struct sieve_node *tree;

	c->caps = 0;
	c->step_count = 0;
	c->loop_count = c->nesting = 0;
	arena_init(&c->tree, SIEVE_TREE_MEMORY);
	if (text.len > SIEVE_SCRIPT_MAX)
		sieve_complain(c, (struct sieve_place){ 1, 1 }, "the script is larger than 1 MiB");
	else if (sieve_parse(c, text, &tree))
		compile_list(c, tree, true);
	emit(c, STEP_RETURN, (struct sieve_place){ 0, 0 });
	arena_done(&c->tree);
	c->unit->caps = c->caps;
	c->unit->steps = arena_array(c->arena, c->step_count, sizeof(*c->steps));
	if (!c->unit->steps) {
		sieve_complain(c, (struct sieve_place){ 1, 1 }, "the script is too large");
		return;
	}
	memcpy(c->unit->steps, c->steps, c->step_count * sizeof(*c->steps));
	c->unit->step_count = (uint32_t)c->step_count;
}

/* A missing script is no error of this one: it may be uploaded later (RFC 6609 §3.2). */
static void load_unit(struct sieve_compiler *c)
{
	struct buf text;

	buf_init(&text, SIEVE_SCRIPT_MAX + 1);
	c->unit->is_missing = !c->loader || !c->loader->load ||
			      !c->loader->load(c->loader->arg, c->unit->where, c->unit->name, &text);
	compile_unit(c, buf_sv(&text));
	buf_done(&text);
}

/* RFC 6609 §3.2: no script includes itself, however indirectly. Follows the calls without recursion: a path is never longer
 * than there are scripts. */
static void check_circles(struct sieve_compiler *c)
{
	struct { uint32_t unit, step; } path[SIEVE_INCLUDES_MAX + 1] = { { 0, 0 } };
	bool is_checked[SIEVE_INCLUDES_MAX + 1] = { false };
	size_t depth = 1;

	while (depth) {
		const struct sieve_unit *u = &c->script->units[path[depth - 1].unit];
		const struct sieve_step *step = &u->steps[path[depth - 1].step++];

		if (path[depth - 1].step > u->step_count) {
			is_checked[path[--depth].unit] = true;
			continue;
		}
		if (step->kind != STEP_CALL || is_checked[step->target])
			continue;
		for (size_t i = 0; i < depth; i++)
			if (path[i].unit == step->target) {
				c->unit = &c->script->units[path[depth - 1].unit];
				sieve_complain(c, step->at, "the script \"%.*s\" includes itself",
					       SV_FMT(c->script->units[step->target].name));
				return;
			}
		path[depth].unit = step->target;
		path[depth++].step = 0;
	}
}

struct fault sieve_compile(struct sv text, const struct sieve_loader *loader, struct sieve_script **out,
			   struct sieve_errors *errors)
{
	struct sieve_script *s = xcalloc(1, sizeof(*s));
	struct sieve_compiler c = { .arena = &s->arena, .errors = errors, .script = s, .loader = loader, .unit = &s->units[0] };

	errors->count = 0;
	arena_init(&s->arena, SIEVE_TREE_MEMORY);
	s->unit_count = 1;
	compile_unit(&c, text);
	for (uint32_t i = 1; i < s->unit_count && !c.has_failed; i++) {
		c.unit = &s->units[i];
		load_unit(&c);
	}
	free(c.steps);
	if (!c.has_failed)
		check_circles(&c);
	if (c.has_failed) {
		sieve_script_free(&s);
		return fault(text.len > SIEVE_SCRIPT_MAX ? FAULT_LIMIT : FAULT_INVALID, "the Sieve script has errors");
	}
	*out = s;
	return FAULT_OK;
}

void sieve_script_free(struct sieve_script **s)
{
	if (!*s)
		return;
	arena_done(&(*s)->arena);
	free(*s);
	*s = NULL;
}
