/* imapd/commands/expunge.c - EXPUNGE, UID EXPUNGE, CLOSE, UNSELECT. */
#include "common/events.h"
#include "imapd/command.h"
#include "imapd/limit.h"

#include "common/banned.h"

struct expunge {
	struct uidset set;
	bool is_limited;        /* UID EXPUNGE: of `set` only */
	uint32_t resume;
	uint64_t count;
};

static void release(struct command *c)
{
	struct expunge *x = c->state;

	uidset_done(&x->set);
}

/* remove_chunk - a chunk of what is marked \Deleted. The updates behind the command tell the
 * client. */
static struct fault remove_chunk(struct command *c, struct expunge *x)
{
	struct uidset gone = { 0 };
	struct fault f = mailbox_expunge(c->room->box, x->is_limited ? &x->set : NULL, false,
					 &x->resume, &gone);

	x->count += uidset_total(&gone);
	uidset_done(&gone);
	return f;
}

static void note(struct command *c, const struct expunge *x)
{
	if (x->count)
		event_emit(c->log, EVENT_MESSAGE_EXPUNGE, KV_SV("user", c->room->account),
		           KV_SV("mailbox", c->room->box_name), KV_U64("count", x->count));
}

static enum step expunge(struct command *c, struct expunge *x)
{
	struct fault f = remove_chunk(c, x);

	if (!f.kind && x->resume) {
		c->goal = c->room->view.count;
		c->progress = uidset_rank(&c->room->view.uids, x->resume - 1);
		return STEP_MORE;
	}
	note(c, x);
	if (f.kind)
		return command_fault(c, f);
	if (c->room->has_condstore && x->count) {       /* RFC 7162 §3.2.7 */
		struct mailbox_status status;

		if (!mailbox_counters(c->room->box, &status).kind)
			buf_appendf(&c->code, "HIGHESTMODSEQ %llu",
				    (unsigned long long)status.highestmodseq);
	}
	return command_ok(c, "Expunged");
}

enum step do_expunge(struct command *c)
{
	struct expunge *x = c->state;

	if (!x) {
		if (!args_end(&c->args))
			return command_bad(c, "EXPUNGE takes no arguments");
		x = command_new_state(c, sizeof(*x));
	}
	return expunge(c, x);
}

static bool take_deleted(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	(void)parsed;
	if (row->flags & FLAG_DELETED)
		uidset_add(arg, row->uid, row->uid);
	return true;
}

/* narrow - RFC 9738 §3.1: what counts is what is marked \Deleted. */
static struct fault narrow(struct command *c, struct uidset *set)
{
	struct uidset deleted = { 0 };
	struct fault f = FAULT_OK;
	uint32_t resume = 0;

	if (uidset_total(set) <= c->room->conf->imap.message_limit)
		return f;
	do
		f = mailbox_scan(c->room->box, set, SCAN_ROW, &resume, take_deleted, &deleted);
	while (!f.kind && resume);
	uidset_done(set);
	*set = deleted;
	limit_narrow(c, set);
	return f;
}

/* RFC 4315 §2.1. */
enum step do_uid_expunge(struct command *c)
{
	struct expunge *x = c->state;
	struct sv text;

	if (!x) {
		if (!args_raw(&c->args, &text) || !args_end(&c->args))
			return command_bad(c, "UID EXPUNGE takes a set of UIDs");
		x = command_new_state(c, sizeof(*x));
		c->release = release;
		x->is_limited = true;
		if (!command_set(c, text, &x->set))
			return STEP_DONE;
		struct fault f = narrow(c, &x->set);

		if (f.kind)
			return command_fault(c, f);
		if (!x->set.count)
			return command_ok(c, "Expunged");
	}
	return expunge(c, x);
}

/* RFC 3501 §6.4.2: removes what is marked, in silence; a read-only mailbox keeps it. */
enum step do_close(struct command *c)
{
	struct expunge *x = c->state;
	struct fault f = FAULT_OK;

	if (!x) {
		if (!args_end(&c->args))
			return command_bad(c, "CLOSE takes no arguments");
		x = command_new_state(c, sizeof(*x));
	}
	if (!c->room->is_readonly && mailbox_may(c->room->box, RIGHT_EXPUNGE))
		f = remove_chunk(c, x);
	if (!f.kind && x->resume)
		return STEP_MORE;
	note(c, x);
	if (f.kind && f.kind != FAULT_GONE)
		return command_fault(c, f);
	room_deselect(c->room);
	return command_ok(c, "Closed");
}

enum step do_unselect(struct command *c)
{
	if (!args_end(&c->args))
		return command_bad(c, "UNSELECT takes no arguments");
	room_deselect(c->room);
	return command_ok(c, "Unselected");
}
