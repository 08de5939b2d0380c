/* imapd/commands/esearch.c - ESEARCH: one search over many mailboxes (RFC 7377). Mailboxes are searched one behind the
 * other, each in slices, so that at most one of them is open. */
#include "imapd/contexts.h"
#include "imapd/sources.h"

#include "common/banned.h"

#define ALL_SOURCES                                                                                         \
	(SOURCE_SELECTED | SOURCE_INBOXES | SOURCE_PERSONAL | SOURCE_SUBSCRIBED | SOURCE_SUBTREE |          \
	 SOURCE_SUBTREE_ONE | SOURCE_MAILBOXES)
#define KEYS_MEMORY_MAX ((size_t)8 << 20)

struct multi {
	struct args program;            /* what is read anew for each mailbox: its numbers and keywords differ */
	bool has_selected;              /* it comes first */
	bool wants_updates;
	struct sv *names;
	size_t count, next;

	/* the mailbox at hand */
	bool is_searching;
	struct finder finder;
	struct mailbox *box;            /* NULL: the selected one */
	struct view view;
	struct arena arena;
	struct sv name;
	uint32_t uidvalidity;
};

static void leave_box(struct multi *x)
{
	finder_done(&x->finder);
	x->finder = (struct finder){ 0 };
	mailbox_close(&x->box);
	view_done(&x->view);
	arena_clear(&x->arena);
	x->is_searching = false;
}

static void release(struct command *c)
{
	struct multi *x = c->state;

	leave_box(x);
	arena_done(&x->arena);
}

/* read_program - return options and keys, for the mailbox at hand. */
static enum search_read read_program(struct command *c, struct multi *x, const struct view *view,
				     const struct keyword_table *keywords)
{
	struct search_context context = finder_context_of(c);
	struct args args = x->program;

	context.view = view;
	context.keywords = keywords;
	context.arena = &x->arena;
	context.is_rev2 = true;         /* RFC 7377 §2.1: always extended */
	return search_read(&args, &context, &x->finder.search);
}

/* open_box - the next mailbox: FAULT_NOT_FOUND when it is gone by now. */
static struct fault open_box(struct command *c, struct multi *x)
{
	struct mailbox_status status;
	struct uidset uids = { 0 };
	uint64_t modseq;
	struct fault f = FAULT_OK;

	x->name = x->has_selected ? c->room->box_name : x->names[x->next++];
	if (x->has_selected) {
		f = mailbox_counters(c->room->box, &status);
	} else {
		f = mailbox_open(c->room->user, x->name, &x->box);
		if (!f.kind)
			f = mailbox_counters(x->box, &status);
		if (!f.kind)
			f = mailbox_uids(x->box, &uids, &modseq);
		if (!f.kind)
			view_set(&x->view, &uids, modseq);
		uidset_done(&uids);
	}
	x->uidvalidity = f.kind ? 0 : status.uidvalidity;
	return f;
}

/* begin_box - what cannot be opened any more is left out. */
static struct fault begin_box(struct command *c, struct multi *x)
{
	struct keyword_table keywords = { 0 };
	struct fault f = open_box(c, x);
	struct mailbox *box = x->has_selected ? c->room->box : x->box;

	if (!f.kind)
		f = mailbox_keywords(box, &x->arena, &keywords);
	if (!f.kind) {
		const struct view *view = x->has_selected ? &c->room->view : &x->view;

		x->finder.box = box;
		x->finder.view = view;
		x->finder.box_name = x->name;
		/* It was read once already: only a limit can stop it now. */
		if (read_program(c, x, view, &keywords) != SEARCH_READ)
			f = fault(FAULT_LIMIT, "search keys");
		x->is_searching = !f.kind;
	}
	x->has_selected = false;
	if (f.kind)
		leave_box(x);
	return f.kind == FAULT_NOT_FOUND || f.kind == FAULT_GONE ? FAULT_OK : f;
}

/* check_program - is it well-formed, and does it fit its sources? */
static enum step check_program(struct command *c, struct multi *x, bool is_selected_only)
{
	static const struct keyword_table none;
	struct view empty = { .has_saved = c->room->view.has_saved };
	enum step step = finder_read_answer(c, read_program(c, x, &empty, &none), &x->finder.search);
	const struct search *s = &x->finder.search;

	if (step == STEP_MORE && s->returns & RETURN_SAVE && !is_selected_only)
		step = command_bad(c, "SAVE goes with the selected mailbox alone");
	/* RFC 7377 §2.2: UPDATE is of the selected mailbox. */
	if (step == STEP_MORE && s->wants_updates && !c->room->box)
		step = command_bad(c, "UPDATE needs a selected mailbox");
	if (step == STEP_MORE)
		step = contexts_check(c, s);
	x->wants_updates = s->wants_updates;
	c->has_numbers = s->has_numbers;
	if (step == STEP_MORE && s->has_modseq)
		c->room->has_condstore = true;
	leave_box(x);
	return step;
}

static enum step begin(struct command *c)
{
	struct multi *x = command_new_state(c, sizeof(*x));
	struct sources sources = { .kinds = SOURCE_SELECTED };
	struct args list;

	c->release = release;
	arena_init(&x->arena, KEYS_MEMORY_MAX);
	if (args_word(&c->args, "IN") &&
	    (!args_open(&c->args, &list) || !sources_read(c, &list, ALL_SOURCES, &sources)))
		return command_bad(c, "Malformed or unknown mailboxes to search");
	x->program = c->args;
	x->has_selected = sources.kinds & SOURCE_SELECTED;
	if (x->has_selected && !c->room->box)
		return command_bad(c, "No mailbox is selected");
	enum step step = check_program(c, x, sources.kinds == SOURCE_SELECTED);

	if (step != STEP_MORE)
		return step;
	struct fault f = sources_find(c, &sources, &x->names, &x->count);

	/* The selected one is not searched a second time; what is kept up to date is what the client knows of it. */
	for (size_t i = 0; (x->has_selected || x->wants_updates) && i < x->count; i++)
		if (sv_eq(x->names[i], c->room->box_name)) {
			memmove(&x->names[i], &x->names[i + 1], (x->count - i - 1) * sizeof(*x->names));
			x->count--;
			x->has_selected = true;
		}
	if (!f.kind && x->wants_updates && !x->has_selected)
		contexts_refuse(c, c->tag, "Only the selected mailbox is followed");
	return f.kind ? command_fault(c, f) : STEP_MORE;
}

/* finish_box - RFC 7377 §2.1: a mailbox without a match is not mentioned. */
static void finish_box(struct command *c, struct multi *x)
{
	struct results all = { .numbers = x->finder.found, .mailbox = x->name, .uidvalidity = x->uidvalidity };

	if (x->finder.search.returns & RETURN_SAVE)
		results_save(c, &x->finder, &all);
	if (x->finder.found.count)
		results_write(c, &x->finder, &all);
	if (x->finder.search.wants_updates && !x->box)
		contexts_begin(c, &x->finder, NULL, &all);
	leave_box(x);
}

enum step do_esearch(struct command *c)
{
	struct multi *x = c->state;
	struct fault f = FAULT_OK;
	bool done;

	if (!x) {
		enum step step = begin(c);

		if (step != STEP_MORE)
			return step;
		x = c->state;
	}
	if (!x->is_searching) {
		if (!x->has_selected && x->next == x->count)
			return command_ok(c, "Searched");
		f = begin_box(c, x);
		if (!f.kind)
			return STEP_MORE;
	} else {
		f = finder_run(&x->finder, c, &done);
		if (f.kind == FAULT_GONE)       /* deleted meanwhile */
			leave_box(x);
		else if (!f.kind && done)
			finish_box(c, x);
		if (!f.kind || f.kind == FAULT_GONE)
			return STEP_MORE;
	}
	if (x->finder.search.returns & RETURN_SAVE)     /* RFC 5182 §2.1: a failure leaves nothing saved */
		uidset_done(&c->room->view.saved);
	return command_fault(c, f);
}
