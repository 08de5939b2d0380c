/* imapd/arrivals.c - see arrivals.h. A FETCH that nobody sent is put together from what the client wrote, so there is one way to
 * fetch. */
#include "imapd/arrivals.h"

#include <stdlib.h>

#include "imapd/fetch.h"
#include "imapd/notify.h"

#include "common/banned.h"

#define LINE_OCTETS_MAX (256u << 10)

struct wanted {
	struct wanted *next;
	struct uidset uids;
	struct sv items;                /* owned */
};

struct arrivals {
	struct wanted *queue;
	struct uidset made;             /* by this session, and not told yet */
	bool is_fetching;
	struct grammar grammar;
	struct command command;
};

/* write_tokens - as the client wrote them, for the FETCH that is made of them. A literal has no place there. */
static bool write_tokens(const struct args *from, struct buf *out)
{
	for (uint32_t i = from->at; i < from->end; i++) {
		const struct token *t = &from->g->tokens[i];
		struct sv text = token_text(from->g, t);
		bool ok = i == from->at || !t->is_spaced || buf_append_c(out, ' ');

		switch ((enum token_kind)t->kind) {
		case TOKEN_ATOM:
			ok = ok && buf_append(out, text);
			break;
		case TOKEN_QUOTED:
			ok = ok && buf_append_c(out, '"');
			for (size_t k = 0; ok && k < text.len; k++)
				ok = (text.p[k] != '"' && text.p[k] != '\\') || buf_append_c(out, '\\') ?
					     buf_append_c(out, text.p[k]) : false;
			ok = ok && buf_append_c(out, '"');
			break;
		case TOKEN_OPEN:
			ok = ok && buf_append_c(out, '(');
			break;
		case TOKEN_CLOSE:
			ok = ok && buf_append_c(out, ')');
			break;
		case TOKEN_LITERAL:
			return false;
		}
		if (!ok)
			return false;
	}
	return out->len > 0;
}

bool arrivals_read(struct command *c, struct args *list, struct buf *out)
{
	struct args check = *list;

	return write_tokens(list, out) && fetch_items_are_valid(c, &check);
}

static struct arrivals *arrivals_of(struct room *room)
{
	if (!room->arrivals)
		room->arrivals = xcalloc(1, sizeof(*room->arrivals));
	return room->arrivals;
}

void arrivals_expect(struct room *room)
{
	(void)arrivals_of(room);
}

static void unite(struct uidset *to, const struct uidset *more)
{
	for (size_t i = 0; i < more->count; i++)
		(void)uidset_add(to, more->ranges[i].first, more->ranges[i].last);
}

void arrivals_made(struct room *room, struct sv mailbox, const struct uidset *uids)
{
	if (room->box && sv_eq(mailbox, room->box_name) && (room->arrivals || notify_wants_items(room->notify)))
		unite(&arrivals_of(room)->made, uids);
}

void arrivals_add(struct room *room, const struct uidset *uids, struct sv items)
{
	struct arrivals *a = arrivals_of(room);
	struct wanted **at = &a->queue;
	struct uidset theirs = { 0 };

	uidset_copy(&theirs, uids);
	uidset_subtract(&theirs, &a->made);
	while (*at && !sv_eq((*at)->items, items))
		at = &(*at)->next;
	if (theirs.count && !*at) {
		*at = xcalloc(1, sizeof(**at));
		(*at)->items = (struct sv){ sv_copy_z(items), items.len };
	}
	if (theirs.count)
		unite(&(*at)->uids, &theirs);
	uidset_done(&theirs);
}

bool arrivals_are_fetched(const struct room *room)
{
	return room->arrivals && room->arrivals->is_fetching;
}

bool arrivals_wait(const struct room *room)
{
	return room->arrivals && (room->arrivals->queue || room->arrivals->is_fetching);
}

static void drop_first(struct arrivals *a)
{
	struct wanted *first = a->queue;

	a->queue = first->next;
	uidset_done(&first->uids);
	free((char *)first->items.p);
	free(first);
}

static void end_fetch(struct arrivals *a)
{
	if (!a->is_fetching)
		return;
	command_done(&a->command);
	grammar_done(&a->grammar);
	a->is_fetching = false;
}

static void begin_fetch(struct command *c, struct arrivals *a)
{
	const struct grammar_limits limits = { .line = LINE_OCTETS_MAX, .literal = 1, .literal_nonsync = 1, .literals = 1,
					       .depth = 64, .tokens = 16384 };
	const struct uidset *uids = &a->queue->uids;
	struct buf line, set;
	struct sv in;

	buf_init(&line, LINE_OCTETS_MAX);
	buf_init(&set, LINE_OCTETS_MAX / 2);
	/* With too many holes for one line, one's own are told along. */
	if (!uidset_write(uids, &set)) {
		buf_clear(&set);
		buf_appendf(&set, "%u:%u", uids->ranges[0].first, uids->ranges[uids->count - 1].last);
	}
	if (!buf_appendf(&line, "n UID FETCH %.*s (%.*s)\r\n", SV_FMT(buf_sv(&set)), SV_FMT(a->queue->items)))
		BUG("items of new messages outgrew a command line");
	buf_done(&set);
	grammar_init(&a->grammar, &limits);
	in = buf_sv(&line);
	bool is_good = grammar_feed(&a->grammar, &in) == GRAMMAR_COMMAND;

	buf_done(&line);
	drop_first(a);
	command_init(&a->command, command_find(SV("UID FETCH")), SV("n"), args_from(&a->grammar, 3), c->room, c->log);
	a->is_fetching = true;
	if (!is_good)           /* they were read once, when they were asked for: not reached */
		end_fetch(a);
}

enum step arrivals_step(struct command *c)
{
	struct arrivals *a = c->room->arrivals;

	if (!a)
		return STEP_DONE;
	if (!a->is_fetching && a->queue)
		begin_fetch(c, a);
	if (a->is_fetching) {
		struct command *f = &a->command;
		enum step step = f->spec->run(f);

		writer_put(&c->out, buf_sv(&f->out.buf));
		c->out.is_full |= f->out.is_full;
		buf_clear(&f->out.buf);
		if (step != STEP_DONE)
			return step;
		end_fetch(a);
	}
	if (a->queue)
		return STEP_MORE;
	if (!notify_is_due(c->room))
		uidset_done(&a->made);
	return STEP_DONE;
}

void arrivals_done(struct room *room)
{
	struct arrivals *a = room->arrivals;

	if (!a)
		return;
	end_fetch(a);
	while (a->queue)
		drop_first(a);
	uidset_done(&a->made);
	free(a);
	room->arrivals = NULL;
}
