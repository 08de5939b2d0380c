/* imapd/resync.c - see resync.h. */
#include "imapd/resync.h"

#include "common/banned.h"

/* ---- arguments ---- */

static bool read_modifier(struct command *c, struct args *list, struct fetch_modifiers *out)
{
	const struct room *room = c->room;

	if (capability_has(room->on, CAP_CONDSTORE) && !out->has_since && args_word(list, "CHANGEDSINCE")) {
		out->has_since = true;          /* 0 is what some send for "everything" */
		return args_u64(list, &out->since);
	}
	/* RFC 7162 §3.2.6: only with UID FETCH, and only when it was enabled. */
	if (room->has_qresync && c->is_uid && !out->has_vanished && args_word(list, "VANISHED"))
		return out->has_vanished = true;
	if (capability_has(room->on, CAP_PARTIAL) && c->is_uid && !out->has_partial && args_word(list, "PARTIAL")) {
		out->has_partial = true;
		return partial_read(list, &out->partial);
	}
	return false;
}

bool resync_read_modifiers(struct command *c, struct fetch_modifiers *out)
{
	struct args list;

	*out = (struct fetch_modifiers){ 0 };
	if (args_end(&c->args))
		return true;
	if (!args_open(&c->args, &list) || !args_end(&c->args) || args_end(&list))
		return false;
	while (!args_end(&list))
		if (!read_modifier(c, &list, out))
			return false;
	return out->has_since || !out->has_vanished;
}

bool resync_read(struct args *args, struct resync *out)
{
	struct args list, match;
	const struct token *t;
	struct sv text, uids;

	if (out->is_wanted || !args_open(args, &list) || !args_u32(&list, &out->uidvalidity) || !out->uidvalidity ||
	    !args_u64(&list, &out->since) || !out->since)
		return false;
	out->is_wanted = true;
	t = args_peek(&list);
	if (t && t->kind != TOKEN_OPEN) {
		if (!args_raw(&list, &text) || uidset_parse(text, 0, &out->known) != SET_OK)
			return false;
		out->has_known = true;
	}
	if (args_end(&list))
		return true;
	return args_open(&list, &match) && args_end(&list) && args_raw(&match, &text) && args_raw(&match, &uids) &&
	       args_end(&match) && uidset_parse(text, 0, &out->numbers) == SET_OK &&
	       uidset_parse(uids, 0, &out->uids) == SET_OK;
}

void resync_done(struct resync *r)
{
	uidset_done(&r->known);
	uidset_done(&r->numbers);
	uidset_done(&r->uids);
}

/* ---- answers ---- */

struct fault resync_all_uids(struct command *c, struct uidset *out)
{
	struct mailbox_status status;
	struct fault f = mailbox_counters(c->room->box, &status);

	if (!f.kind && status.uidnext > 1)
		uidset_add(out, 1, status.uidnext - 1);
	return f;
}

/* Walks down the members of a set by rank, one step each, however fragmented the set is. */
struct descent {
	const struct uidset *set;
	size_t range;
	uint64_t below;         /* members in the ranges before this one */
};

static struct descent descent_from_top(const struct uidset *set)
{
	struct descent d = { .set = set };

	if (set->count) {
		const struct uid_range *last = &set->ranges[set->count - 1];

		d.range = set->count - 1;
		d.below = uidset_total(set) - ((uint64_t)last->last - last->first + 1);
	}
	return d;
}

/* descent_at - the member with this rank, which is in the set; ranks must descend between calls. */
static uint32_t descent_at(struct descent *d, uint64_t rank)
{
	while (rank <= d->below) {
		const struct uid_range *r = &d->set->ranges[--d->range];

		d->below -= (uint64_t)r->last - r->first + 1;
	}
	return d->set->ranges[d->range].first + (uint32_t)(rank - d->below - 1);
}

/* matched_up_to - RFC 7162 §3.2.5.2: the highest UID that still has the number at which the client knew it. As
 * many messages lie below it as ever, so none of those is gone that the client still counts. */
static uint32_t matched_up_to(const struct view *v, const struct resync *match)
{
	uint64_t pairs = uidset_total(&match->numbers), others = uidset_total(&match->uids);
	struct descent numbers = descent_from_top(&match->numbers), uids = descent_from_top(&match->uids),
		       there = descent_from_top(&v->uids);

	/* Pairs ascend on both sides, and no number above the mailbox matches: go down from the last one that can. */
	uint64_t i = uidset_rank(&match->numbers, v->count);

	if (i > pairs)
		i = pairs;
	if (i > others)
		i = others;
	for (; i; i--) {
		uint32_t uid = descent_at(&uids, i);

		if (descent_at(&there, descent_at(&numbers, i)) == uid)
			return uid;
	}
	return 0;
}

struct fault resync_write_vanished(struct command *c, uint64_t since, const struct uidset *known,
				   const struct resync *match)
{
	const struct view *v = &c->room->view;
	struct uidset gone = { 0 }, told = { 0 };
	struct fault f = mailbox_vanished(c->room->box, since, &gone);

	if (!f.kind) {
		uint32_t matched = match ? matched_up_to(v, match) : 0;

		/* What went after the view was made is told later, without EARLIER (RFC 7162 §3.2.10). */
		uidset_subtract(&gone, &v->uids);
		if (matched)
			uidset_remove(&gone, 1, matched);
		uidset_intersect(&gone, known, &told);
	}
	if (told.count) {
		writer_z(&c->out, "* VANISHED (EARLIER) ");
		writer_uidset(&c->out, &told);
		writer_crlf(&c->out);
	}
	uidset_done(&gone);
	uidset_done(&told);
	return f;
}

static bool take_changed(void *arg, const struct change *change)
{
	if (change->kind != CHANGE_EXPUNGED)
		uidset_add(arg, change->uid, change->uid);
	return true;
}

struct fault resync_narrow(struct command *c, uint64_t since, struct uidset *set)
{
	struct uidset changed = { 0 }, both = { 0 };
	uint64_t until = 0;
	struct fault f = mailbox_changes(c->room->box, since, take_changed, &changed, &until);

	if (f.kind == FAULT_GONE && until) {
		f = FAULT_OK;           /* the history is too short: every row is looked at */
	} else if (!f.kind) {
		uidset_intersect(set, &changed, &both);
		uidset_done(set);
		*set = both;
	}
	uidset_done(&changed);
	return f;
}
