/* imapd/commands/sort.c - SORT, UID SORT, THREAD, UID THREAD (RFC 5256, RFC 5957), ESORT (RFC 5267 §3). Keys come from
 * the index in the scan that looks for the messages. */
#include <stdlib.h>

#include "imapd/contexts.h"
#include "imapd/results.h"
#include "imapd/sort.h"
#include "imapd/thread.h"

#include "common/banned.h"

#define MEMORY_MAX ((size_t)96 << 20)   /* of one command's keys: enough for a million messages by three keys */

struct arrange {
	struct finder finder;
	struct sorter sorter;
	struct threader threader;
	struct view_cursor cursor;
	bool is_uid;
};

static void release(struct command *c)
{
	struct arrange *x = c->state;

	finder_done(&x->finder);
	sorter_done(&x->sorter);
	threader_done(&x->threader);
}

static uint32_t number_of(struct arrange *x, const struct message_row *row)
{
	return x->is_uid ? row->uid : view_cursor_seq(&x->cursor, row->uid);
}

static bool take_sorted(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct arrange *x = arg;
	uint32_t number = number_of(x, row);

	return !number || sorter_take(&x->sorter, row, parsed, number);
}

static bool take_threaded(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct arrange *x = arg;
	uint32_t number = number_of(x, row);

	return !number || threader_take(&x->threader, row, parsed, number);
}

/* begin - a finder for the selected mailbox that hands each message to `take`. */
static struct fault begin(struct command *c, struct search_context *context,
			  bool (*take)(void *, const struct message_row *, const struct mime_message *))
{
	struct arrange *x = command_new_state(c, sizeof(*x));

	c->release = release;
	x->finder = (struct finder){ .box = c->room->box, .view = &c->room->view, .box_name = c->room->box_name,
				     .take = take, .arg = x };
	x->is_uid = c->is_uid;
	x->cursor = view_cursor(&c->room->view);
	struct fault f = finder_context(c, context);

	context->is_rev2 = false;       /* SORT and THREAD are extended by RETURN alone */
	return f;
}

/* begin_search - charset and keys; the same for both. */
static enum step begin_search(struct command *c, const struct search_context *context)
{
	struct arrange *x = c->state;
	struct search *s = &x->finder.search;
	enum step step = finder_read_answer(c, search_read_keys(&c->args, context, s), s);

	if (step == STEP_MORE)
		step = contexts_check(c, s);
	if (s->returns & RETURN_SAVE && (step == STEP_MORE || !strcmp(c->answer.word, "NO")))
		uidset_done(&c->room->view.saved);
	c->has_numbers = s->has_numbers;
	if (step == STEP_MORE && s->has_modseq)
		c->room->has_condstore = true;
	return step;
}

static enum step begin_sort(struct command *c)
{
	struct search_context context;
	struct fault f = begin(c, &context, take_sorted);
	struct arrange *x = c->state;

	if (f.kind)
		return command_fault(c, f);
	if (!capability_has(c->room->on, CAP_ESORT))
		context.on &= ~CAPABILITY_BIT(CAP_ESEARCH);
	context.on &= ~CAPABILITY_BIT(CAP_CONTEXT_SEARCH);
	if (capability_has(c->room->on, CAP_CONTEXT_SORT))
		context.on |= CAPABILITY_BIT(CAP_CONTEXT_SEARCH);
	if (!search_read_returns(&c->args, &context, &x->finder.search) ||
	    !sorter_read(&c->args, c->room->on, MEMORY_MAX, &x->sorter))
		return command_bad(c, "SORT takes sort keys in parentheses, a charset, and search keys");
	x->finder.scan = x->sorter.needs_parse ? SCAN_PARSED : SCAN_ROW;
	return begin_search(c, &context);
}

static void write_sort(struct command *c, const struct arrange *x, const uint32_t *numbers)
{
	writer_z(&c->out, "* SORT");
	for (size_t i = 0; i < x->sorter.count; i++) {
		writer_c(&c->out, ' ');
		writer_u64(&c->out, numbers[i]);
	}
	if (x->finder.search.has_modseq && x->sorter.count)     /* RFC 7162 §3.1.6 */
		writer_f(&c->out, " (MODSEQ %llu)", (unsigned long long)x->finder.highest_modseq);
	writer_crlf(&c->out);
}

static enum step finish_sort(struct command *c, struct arrange *x)
{
	uint32_t *numbers, *uids;

	if (!sorter_finish(&x->sorter, &numbers, &uids))
		return command_no(c, "LIMIT", "Too many messages to sort");
	struct results told = { .sorted = numbers, .count = x->sorter.count },
		       found = { .sorted = uids, .count = x->sorter.count };

	if (x->finder.search.returns & RETURN_SAVE)
		results_save(c, &x->finder, &found);
	if (x->finder.search.is_extended)
		results_write(c, &x->finder, &told);
	else
		write_sort(c, x, numbers);
	if (x->finder.search.wants_updates)
		contexts_begin(c, &x->finder, &x->sorter, &found);
	free(numbers);
	free(uids);
	return command_ok(c, "Sorted");
}

static enum step begin_thread(struct command *c)
{
	static const struct {
		const char *name;
		enum thread_algorithm algorithm;
		enum capability capability;
	} names[] = {
		{ "ORDEREDSUBJECT", THREAD_ORDEREDSUBJECT, CAP_THREAD_ORDEREDSUBJECT },
		{ "REFERENCES", THREAD_REFERENCES, CAP_THREAD_REFERENCES },
		{ "REFS", THREAD_REFS, CAP_THREAD_REFS },
	};
	struct search_context context;
	struct fault f = begin(c, &context, take_threaded);
	struct arrange *x = c->state;

	if (f.kind)
		return command_fault(c, f);
	x->finder.scan = SCAN_PARSED;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (capability_has(c->room->on, names[i].capability) && args_word(&c->args, names[i].name)) {
			threader_init(&x->threader, names[i].algorithm, MEMORY_MAX);
			return begin_search(c, &context);
		}
	return command_bad(c, "THREAD takes an algorithm that is offered, a charset, and search keys");
}

static enum step finish_thread(struct command *c, struct arrange *x)
{
	size_t start = c->out.buf.len;

	writer_z(&c->out, "* THREAD ");
	if (!x->finder.found.count)
		c->out.buf.len--;       /* thread-data = "THREAD" [SP 1*thread-list] */
	if (!threader_write(&x->threader, &c->out)) {
		c->out.buf.len = start;
		return command_no(c, "LIMIT", "Too many messages to thread");
	}
	writer_crlf(&c->out);
	return command_ok(c, "Threaded");
}

/* Read the command, find messages step by step, arrange what was found. */
static enum step run(struct command *c, enum step (*begin_fn)(struct command *),
		     enum step (*finish_fn)(struct command *, struct arrange *))
{
	bool done;

	if (!c->state) {
		enum step step = begin_fn(c);

		if (step != STEP_MORE)
			return step;
	}
	struct arrange *x = c->state;
	struct fault f = finder_run(&x->finder, c, &done);

	if (f.kind)
		return command_fault(c, f);
	return done ? finish_fn(c, x) : STEP_MORE;
}

enum step do_sort(struct command *c)
{
	return run(c, begin_sort, finish_sort);
}

enum step do_thread(struct command *c)
{
	return run(c, begin_thread, finish_thread);
}
