/* imapd/commands/notify.c - NOTIFY SET and NOTIFY NONE (RFC 5465 §3.1, §8); see notify.h. */
#include "imapd/notify.h"

#include <stdlib.h>

#include "imapd/arrivals.h"

#include "common/banned.h"

static const struct {
	const char *name;
	unsigned event;
} events[] = {
	{ "MessageNew", NOTIFY_MESSAGE_NEW },
	{ "MessageExpunge", NOTIFY_MESSAGE_EXPUNGE },
	{ "FlagChange", NOTIFY_FLAG_CHANGE },
	{ "MailboxName", NOTIFY_MAILBOX_NAME },
	{ "SubscriptionChange", NOTIFY_SUBSCRIPTION },
	{ "MailboxMetadataChange", NOTIFY_MAILBOX_METADATA },
	{ "ServerMetadataChange", NOTIFY_SERVER_METADATA },
};

static const struct {
	const char *name;
	enum notify_filter filter;
} filters[] = {
	{ "selected", FILTER_SELECTED },     { "selected-delayed", FILTER_SELECTED_DELAYED },
	{ "inboxes", FILTER_PERSONAL },      { "personal", FILTER_PERSONAL },
	{ "subscribed", FILTER_SUBSCRIBED }, { "subtree", FILTER_SUBTREE },
	{ "mailboxes", FILTER_MAILBOXES },
};

/* What is being read. */
struct reading {
	struct command *c;
	struct notify *n;
	struct buf items;
	bool has_selected, has_unknown, is_too_much;
};

/* read_items - MessageNew (uid flags): only for the selected mailbox. */
static bool read_items(struct reading *r, struct args *list, const struct notify_group *g)
{
	const struct token *t = args_peek(list);
	struct args items;

	if (!t || t->kind != TOKEN_OPEN)
		return true;
	if (g->filter > FILTER_SELECTED_DELAYED || !args_open(list, &items))
		return false;
	return arrivals_read(r->c, &items, &r->items);
}

static bool read_events(struct reading *r, struct args *list, struct notify_group *g)
{
	struct sv word;

	if (args_end(list))
		return false;
	while (!args_end(list)) {
		size_t i = 0;

		while (i < ARRAY_LEN(events) && !args_word(list, events[i].name))
			i++;
		if (i < ARRAY_LEN(events)) {
			g->events |= events[i].event;
			if (events[i].event == NOTIFY_MESSAGE_NEW && !read_items(r, list, g))
				return false;
		} else {
			if (!args_atom(list, &word))
				return false;
			r->has_unknown = true;          /* AnnotationChange, and what is yet to come */
		}
	}
	return true;
}

/* are_sensible - §5: new and gone go together, flags with both; the selected mailbox has messages only (§6.1). */
static bool are_sensible(const struct notify_group *g)
{
	unsigned both = NOTIFY_MESSAGE_NEW | NOTIFY_MESSAGE_EXPUNGE;

	if (g->events & NOTIFY_MESSAGES && (g->events & both) != both)
		return false;
	return g->filter > FILTER_SELECTED_DELAYED || !(g->events & ~(unsigned)NOTIFY_MESSAGES);
}

static bool read_name(struct reading *r, struct args *from, struct notify_group *g)
{
	struct sv wire, name;

	if (!args_astring(from, &wire) || !command_name(r->c, wire, &name))
		return false;
	if (g->name_count == NOTIFY_NAMES_MAX) {
		r->is_too_much = true;
		return true;
	}
	g->names = xrealloc(g->names, (g->name_count + 1) * sizeof(*g->names));
	g->names[g->name_count++] = sv_copy_z(name);
	return true;
}

static bool read_names(struct reading *r, struct args *from, struct notify_group *g)
{
	struct args list;

	if (!args_open(from, &list))
		return read_name(r, from, g);
	if (args_end(&list))
		return false;
	while (!args_end(&list))
		if (!read_name(r, &list, g))
			return false;
	return true;
}

static bool read_filter(struct reading *r, struct args *from, struct notify_group *g)
{
	for (size_t i = 0; i < ARRAY_LEN(filters) && !g->filter; i++)
		if (args_word(from, filters[i].name))
			g->filter = filters[i].filter;
	if (!g->filter)
		return false;
	if (g->filter <= FILTER_SELECTED_DELAYED) {
		if (r->has_selected)
			return false;
		r->has_selected = true;
	}
	return (g->filter != FILTER_SUBTREE && g->filter != FILTER_MAILBOXES) || read_names(r, from, g);
}

static void group_done(struct notify_group *g)
{
	for (size_t i = 0; i < g->name_count; i++)
		free(g->names[i]);
	free(g->names);
}

static bool read_group(struct reading *r, struct args *from)
{
	struct notify_group g = { 0 };
	struct args group, list;

	buf_clear(&r->items);
	bool is_good = args_open(from, &group) && read_filter(r, &group, &g) &&
		       (args_word(&group, "NONE") || (args_open(&group, &list) && read_events(r, &list, &g))) &&
		       args_end(&group) && are_sensible(&g);

	bool is_taken = is_good && !r->is_too_much && notify_add(r->n, &g, buf_sv(&r->items));

	if (!is_taken)
		group_done(&g);
	r->is_too_much |= is_good && !is_taken;
	return is_good;
}

static void write_events(struct command *c)
{
	buf_append(&c->code, SV("BADEVENT ("));
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		buf_appendf(&c->code, "%s%s", i ? " " : "", events[i].name);
	buf_append_c(&c->code, ')');
}

/* set - the new wishes take the place of the old ones, or the old ones stay. */
static enum step set(struct command *c)
{
	struct reading r = { .c = c, .n = notify_new() };
	bool wants_status = args_word(&c->args, "STATUS"), is_good = !args_end(&c->args);
	struct fault f = FAULT_OK;

	buf_init(&r.items, ARRIVALS_ITEMS_MAX);
	while (is_good && !r.is_too_much && !args_end(&c->args))
		is_good = read_group(&r, &c->args);
	buf_done(&r.items);
	if (c->room->metadata_events) {
		struct notify_group g = { .filter = FILTER_ALL, .events = c->room->metadata_events };

		r.is_too_much |= !notify_add(r.n, &g, SV_NONE);
	}
	if (is_good && !r.has_unknown && !r.is_too_much)
		f = notify_begin(c, r.n, wants_status);
	if (is_good && !r.has_unknown && !r.is_too_much && !f.kind) {
		notify_free(&c->room->notify);
		c->room->notify = r.n;
		return command_ok(c, "You will hear of it");
	}
	notify_free(&r.n);
	if (!is_good)
		return command_bad(c, "Groups of (mailboxes (events)) were expected; MessageNew and MessageExpunge go together");
	if (r.has_unknown) {                    /* §3.1 */
		c->answer = (struct answer){ "NO", NULL, "Events that are not known" };
		write_events(c);
		return STEP_DONE;
	}
	if (r.is_too_much || f.kind == FAULT_LIMIT)
		return command_no(c, "NOTIFICATIONOVERFLOW", "That is too much to watch");
	return command_fault(c, f);
}

enum step do_notify(struct command *c)
{
	if (args_word(&c->args, "SET"))
		return set(c);
	if (!args_word(&c->args, "NONE") || !args_end(&c->args))
		return command_bad(c, "NOTIFY takes SET and groups of events, or NONE");
	notify_free(&c->room->notify);
	c->room->notify = notify_new();
	return command_ok(c, "You will hear of nothing");
}
