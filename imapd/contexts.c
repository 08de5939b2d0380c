/* imapd/contexts.c - see contexts.h. What may have changed its place in a result is searched again, and nothing else. */
#include "imapd/contexts.h"

#include <stdlib.h>

#include "imapd/arrivals.h"

#include "common/banned.h"

#define MEMORY_MAX ((size_t)1 << 20)    /* of one program */
#define TOO_MUCH "Too many or too large contexts"
#define SORT_MEMORY_MAX ((size_t)32 << 20)

struct context {
	struct context *next;
	struct sv tag;                  /* owned, as everything here */
	struct sv items;                /* that arrivals are told with; empty: none */
	uint32_t uidvalidity;           /* of an ESEARCH, whose answers name the mailbox; else 0 */
	bool is_uid, is_over;
	struct arena arena;
	struct search search;
	struct uidset matched;
	bool is_sorted;
	struct sorter keys;             /* what to sort by; holds no messages between updates */
	uint32_t *order;                /* of a SORT: matched in its order */
	size_t count;
};

/* ---- keeping ---- */

static struct context **find(struct room *room, struct sv tag)
{
	struct context **at = &room->contexts;

	while (*at && !sv_eq((*at)->tag, tag))
		at = &(*at)->next;
	return at;
}

enum step contexts_check(struct command *c, const struct search *s)
{
	struct args items = s->items;
	struct buf text;
	bool is_good = true;

	if (!s->wants_updates)
		return STEP_MORE;
	if (*find(c->room, c->tag))
		return command_bad(c, "Another search with this tag is being kept up to date");
	buf_init(&text, ARRIVALS_ITEMS_MAX);
	if (s->has_items)
		is_good = arrivals_read(c, &items, &text);
	buf_done(&text);
	return is_good ? STEP_MORE : command_bad(c, "Unknown or malformed FETCH item");
}

static void context_free(struct context *x)
{
	free((char *)x->tag.p);
	free((char *)x->items.p);
	search_done(&x->search);
	arena_done(&x->arena);
	uidset_done(&x->matched);
	sorter_done(&x->keys);
	free(x->order);
	free(x);
}

void contexts_cancel(struct room *room, struct sv tag)
{
	struct context **at = find(room, tag), *x = *at;

	if (!x)
		return;
	*at = x->next;
	context_free(x);
}

void contexts_done(struct room *room)
{
	while (room->contexts)
		contexts_cancel(room, room->contexts->tag);
}

static size_t count_contexts(const struct room *room)
{
	size_t n = 0;

	for (const struct context *x = room->contexts; x; x = x->next)
		n++;
	return n;
}

void contexts_refuse(struct command *c, struct sv tag, const char *why)
{
	writer_z(&c->out, "* NO [NOUPDATE ");
	writer_quoted(&c->out, tag);
	writer_f(&c->out, "] %s\r\n", why);
}

/* drop_over - those that could not be kept any longer. */
static void drop_over(struct room *room)
{
	for (struct context **at = &room->contexts, *x; (x = *at);) {
		if (!x->is_over) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		context_free(x);
	}
}

/* keep_items - they were read once, by contexts_check(). */
static void keep_items(struct command *c, const struct search *s, struct context *x)
{
	struct args items = s->items;
	struct buf text;

	buf_init(&text, ARRIVALS_ITEMS_MAX);
	if (s->has_items && arrivals_read(c, &items, &text)) {
		x->items = (struct sv){ sv_copy_z(buf_sv(&text)), text.len };
		arrivals_expect(c->room);
	}
	buf_done(&text);
}

void contexts_begin(struct command *c, const struct finder *found, const struct sorter *keys, const struct results *r)
{
	struct context *x = xcalloc(1, sizeof(*x));

	arena_init(&x->arena, MEMORY_MAX);
	if (count_contexts(c->room) >= CONTEXTS_MAX || (keys && r->count > SORTED_CONTEXT_MAX) ||
	    !search_copy(&found->search, &x->arena, &x->search)) {
		context_free(x);
		contexts_refuse(c, c->tag, TOO_MUCH);
		return;
	}
	x->tag = (struct sv){ sv_copy_z(c->tag), c->tag.len };
	x->is_uid = c->is_uid;
	x->uidvalidity = r->mailbox.len ? r->uidvalidity : 0;
	keep_items(c, &found->search, x);
	uidset_copy(&x->matched, &found->found);
	if (keys) {
		x->is_sorted = true;
		sorter_like(keys, SORT_MEMORY_MAX, &x->keys);
		x->order = xmalloc((r->count + 1) * sizeof(*x->order));
		if (r->count)
			memcpy(x->order, r->sorted, r->count * sizeof(*x->order));
		x->count = r->count;
	}
	x->next = c->room->contexts;
	c->room->contexts = x;
}

/* ---- telling ---- */

static uint32_t number_of(const struct command *c, const struct context *x, uint32_t uid)
{
	return x->is_uid ? uid : uidset_rank(&c->room->view.uids, uid);
}

static void write_start(struct command *c, const struct context *x, const char *what)
{
	writer_z(&c->out, "* ESEARCH (TAG ");
	writer_quoted(&c->out, x->tag);
	if (x->uidvalidity) {           /* RFC 7377 §2.1 */
		writer_z(&c->out, " MAILBOX ");
		command_write_mailbox(c, c->room->box_name);
		writer_f(&c->out, " UIDVALIDITY %u", x->uidvalidity);
	}
	writer_z(&c->out, x->is_uid ? ") UID " : ") ");
	writer_z(&c->out, what);
	writer_z(&c->out, " (");
}

/* tell_set - RFC 5267 §4.3.3: in a result that is in the mailbox's order the client finds the place itself. */
static void tell_set(struct command *c, const struct context *x, const char *what, const struct uidset *uids)
{
	struct results told;

	results_of(&c->room->view, x->is_uid, uids, &told);
	write_start(c, x, what);
	writer_z(&c->out, "0 ");
	writer_uidset(&c->out, &told.numbers);
	writer_z(&c->out, ")\r\n");
	results_done(&told);
}

/* tell_places - the members of `uids` in an order, each with its position. Removals go from the end, so that none moves
 * another; additions from the start, so that each finds those before it in place. */
static void tell_places(struct command *c, const struct context *x, bool is_removal, const struct uidset *uids)
{
	const char *gap = "";

	write_start(c, x, is_removal ? "REMOVEFROM" : "ADDTO");
	for (size_t k = 0; k < x->count; k++) {
		size_t i = is_removal ? x->count - 1 - k : k;

		if (!uidset_has(uids, x->order[i]))
			continue;
		writer_f(&c->out, "%s%zu %u", gap, i + 1, number_of(c, x, x->order[i]));
		gap = " ";
	}
	writer_z(&c->out, ")\r\n");
}

static void remove_some(struct command *c, struct context *x, const struct uidset *uids)
{
	size_t kept = 0;

	if (!uids->count)
		return;
	if (x->is_sorted)
		tell_places(c, x, true, uids);
	else
		tell_set(c, x, "REMOVEFROM", uids);
	uidset_subtract(&x->matched, uids);
	for (size_t i = 0; i < x->count; i++)
		if (!uidset_has(uids, x->order[i]))
			x->order[kept++] = x->order[i];
	x->count = kept;
}

void contexts_tell_gone(struct command *c, const struct uidset *gone)
{
	for (struct context *x = c->room->contexts; x; x = x->next) {
		struct uidset both = { 0 };

		uidset_intersect(&x->matched, gone, &both);
		remove_some(c, x, &both);
		uidset_done(&both);
	}
}

static bool take_sorted(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	return sorter_take(arg, row, parsed, 0);
}

/* sort_again - everything that matches now, in order. */
static struct fault sort_again(struct command *c, struct context *x)
{
	struct search_key all = { .op = OP_ALL };
	struct finder f = { .search = { .keys = &all, .count = 1, .needs_rows = true }, .box = c->room->box,
			    .view = &c->room->view, .box_name = c->room->box_name, .take = take_sorted, .arg = &x->keys,
			    .scan = x->keys.needs_parse ? SCAN_PARSED : SCAN_ROW };
	uint32_t *numbers = NULL, *uids = NULL;
	bool done = false;
	struct fault fault_ = FAULT_OK;

	uidset_copy(&f.search.within, &x->matched);
	while (!fault_.kind && !done)
		fault_ = finder_run(&f, c, &done);
	if (!fault_.kind && !sorter_finish(&x->keys, &numbers, &uids))
		fault_ = fault(FAULT_LIMIT, "too many messages to keep sorted");
	if (!fault_.kind) {
		free(x->order);
		x->order = uids;
		x->count = x->keys.count;
		uids = NULL;
	}
	free(numbers);
	free(uids);
	sorter_done(&x->keys);
	finder_done(&f);
	return fault_;
}

static struct fault add_some(struct command *c, struct context *x, const struct uidset *uids)
{
	struct fault f = FAULT_OK;

	if (!uids->count)
		return f;
	for (size_t i = 0; i < uids->count; i++)
		uidset_add(&x->matched, uids->ranges[i].first, uids->ranges[i].last);
	if (!x->is_sorted) {
		tell_set(c, x, "ADDTO", uids);
		return f;
	}
	if (uidset_total(&x->matched) > SORTED_CONTEXT_MAX)
		return fault(FAULT_LIMIT, "more results than are kept in order");
	f = sort_again(c, x);
	if (!f.kind)
		tell_places(c, x, false, uids);
	return f;
}

/* is_used_up - all looks at what changed may cost as much as one search; one that takes a slice of finder_run() is looked at anyway. */
static bool is_used_up(const struct command *c, uint64_t start_ns)
{
	return (command_cpu_ns() - start_ns) / 1000000u > c->room->conf->limits.command_cpu_ms;
}

/* look_again - which of these match now? */
static struct fault look_again(struct command *c, struct context *x, const struct uidset *changed, const struct uidset *arrived,
			       uint64_t start_ns)
{
	struct finder f = { .search = x->search, .box = c->room->box, .view = &c->room->view,
			    .box_name = c->room->box_name };
	struct uidset was = { 0 };
	bool done = false;
	struct fault fault_ = FAULT_OK;

	f.search.within = (struct uidset){ 0 };
	f.search.needs_rows = true;
	uidset_copy(&f.search.within, changed);
	while (!fault_.kind && !done) {
		fault_ = finder_run(&f, c, &done);
		if (!fault_.kind && !done && is_used_up(c, start_ns))
			fault_ = fault(FAULT_LIMIT, "following searches takes too long");
	}
	if (!fault_.kind) {
		uidset_intersect(&x->matched, changed, &was);
		uidset_subtract(&was, &f.found);
		remove_some(c, x, &was);
		uidset_subtract(&f.found, &x->matched);
		fault_ = add_some(c, x, &f.found);
	}
	if (!fault_.kind && x->items.len) {     /* not where flags made a message match (RFC 5465 §7) */
		uidset_done(&was);
		uidset_intersect(&f.found, arrived, &was);
		arrivals_add(c->room, &was, x->items);
	}
	uidset_done(&was);
	uidset_done(&f.search.within);
	f.search = (struct search){ 0 };        /* it is the context's */
	finder_done(&f);
	return fault_;
}

struct fault contexts_tell_changed(struct command *c, const struct uidset *changed, const struct uidset *arrived)
{
	struct uidset there = { 0 };
	uint64_t progress = c->progress, goal = c->goal, start_ns = command_cpu_ns();
	struct fault f = FAULT_OK;

	uidset_intersect(changed, &c->room->view.uids, &there);
	uidset_subtract(&there, &c->room->view.gone);
	if (there.count)
		f = room_keywords(c, false);
	for (struct context *x = c->room->contexts; there.count && x && !f.kind; x = x->next) {
		search_bind(&x->search, &c->keywords->table);
		f = look_again(c, x, &there, arrived, start_ns);
		if (f.kind == FAULT_LIMIT) {    /* it outgrew what is kept in order, or costs too much (RFC 5267 §4.3.1) */
			contexts_refuse(c, x->tag, TOO_MUCH);
			x->is_over = true;
			f = FAULT_OK;
		}
	}
	drop_over(c->room);
	uidset_done(&there);
	c->progress = progress;         /* of the command itself */
	c->goal = goal;
	return f;
}
