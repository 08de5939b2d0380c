/* imapd/commands/search.c - SEARCH, UID SEARCH, CANCELUPDATE (RFC 3501 §6.4.4), ESEARCH (RFC 4731), MODSEQ
 * (RFC 7162 §3.1.5), SEARCHRES (RFC 5182). */
#include "imapd/contexts.h"
#include "imapd/limit.h"
#include "imapd/results.h"

#include "common/banned.h"

static void release(struct command *c)
{
	finder_done(c->state);
}

static enum step begin(struct command *c)
{
	struct finder *x = command_new_state(c, sizeof(*x));
	struct search_context context;
	struct fault f;

	c->release = release;
	x->box = c->room->box;
	x->view = &c->room->view;
	x->box_name = c->room->box_name;
	f = finder_context(c, &context);
	if (f.kind)
		return command_fault(c, f);
	enum step step = finder_read_answer(c, search_read(&c->args, &context, &x->search), &x->search);

	/* A SEARCH with SAVE that fails leaves nothing saved, a wrong one changes nothing (RFC 5182 §2.1). What `$`
	 * meant is in the keys already. */
	if (x->search.returns & RETURN_SAVE && (step == STEP_MORE || !strcmp(c->answer.word, "NO")))
		uidset_done(&c->room->view.saved);
	if (step == STEP_MORE)
		step = contexts_check(c, &x->search);
	if (step == STEP_MORE)
		limit_narrow(c, &x->search.within);
	/* RFC 9394 §3.1: of the newest hundred, the rest need not be looked for. */
	if (x->search.returns == RETURN_PARTIAL && !x->search.wants_updates && !x->search.has_modseq) {
		x->enough = x->search.partial.last;
		x->is_from_end = x->search.partial.is_from_end;
	}
	c->has_numbers = x->search.has_numbers;
	if (step == STEP_MORE && x->search.has_modseq)
		c->room->has_condstore = true;
	return step;
}

static void write_plain(struct command *c, const struct finder *x, const struct uidset *all)
{
	writer_z(&c->out, "* SEARCH");
	for (size_t i = 0; i < all->count; i++)
		for (uint32_t n = all->ranges[i].first;; n++) {
			writer_c(&c->out, ' ');
			writer_u64(&c->out, n);
			if (n == all->ranges[i].last)
				break;
		}
	if (x->search.has_modseq && all->count)         /* RFC 7162 §3.1.6 */
		writer_f(&c->out, " (MODSEQ %llu)", (unsigned long long)x->highest_modseq);
	writer_crlf(&c->out);
}

enum step do_search(struct command *c)
{
	struct finder *x = c->state;
	struct results all;
	bool done;

	if (!x) {
		enum step step = begin(c);

		if (step != STEP_MORE)
			return step;
		x = c->state;
	}
	struct fault f = finder_run(x, c, &done);

	if (f.kind)
		return command_fault(c, f);
	if (!done)
		return STEP_MORE;
	if (x->search.returns & RETURN_SAVE) {
		all = (struct results){ .numbers = x->found };
		results_save(c, x, &all);
	}
	results_of(&c->room->view, c->is_uid, &x->found, &all);
	if (x->search.is_extended)
		results_write(c, x, &all);
	else
		write_plain(c, x, &all.numbers);
	if (x->search.wants_updates)
		contexts_begin(c, x, NULL, &all);
	results_done(&all);
	return command_ok(c, "Searched");
}

/* RFC 5267 §4.3.5 */
enum step do_cancelupdate(struct command *c)
{
	struct args all = c->args;
	struct sv tag;

	while (args_string(&c->args, &tag))
		;
	if (!args_end(&c->args) || args_end(&all))
		return command_bad(c, "CANCELUPDATE takes tags as quoted strings");
	while (args_string(&all, &tag))
		contexts_cancel(c->room, tag);
	return command_ok(c, "No further updates");
}
