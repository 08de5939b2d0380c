/* imapd/commands/copy.c - COPY and MOVE, by number and by UID (RFC 3501 §6.4.7, RFC 6851, RFC 4315
 * §3). */
#include "common/events.h"
#include "imapd/arrivals.h"
#include "imapd/imapsieve.h"
#include "imapd/training.h"
#include "imapd/limit.h"

#include "common/banned.h"

struct copy {
	struct uidset set, from;
	struct uidset made;             /* in the target: undone when a COPY fails in the middle */
	struct mailbox *to;
	struct sv to_name;
	uint32_t uidvalidity;
	uint32_t resume;
	uint64_t count;
	struct buf to_text; /* destination UIDs in the order of the source: "304,319:320" */
	uint32_t range_first, range_last;
	bool is_move;
	struct fault fault;
};

static void release(struct command *c)
{
	struct copy *x = c->state;

	mailbox_close(&x->to);
	uidset_done(&x->set);
	uidset_done(&x->from);
	uidset_done(&x->made);
	buf_done(&x->to_text);
}

/* write_range - the destination range that cannot grow any more. */
static void write_range(struct copy *x)
{
	if (!x->range_first)
		return;
	if (x->to_text.len)
		buf_append_c(&x->to_text, ',');
	buf_append_u64(&x->to_text, x->range_first);
	if (x->range_last != x->range_first) {
		buf_append_c(&x->to_text, ':');
		buf_append_u64(&x->to_text, x->range_last);
	}
	x->range_first = 0;
}

static void copied(void *arg, uint32_t from_uid, uint32_t to_uid)
{
	struct copy *x = arg;

	uidset_add(&x->from, from_uid, from_uid);
	uidset_add(&x->made, to_uid, to_uid);
	if (x->range_first && to_uid == x->range_last + 1) {
		x->range_last = to_uid;
	} else {
		write_range(x);
		x->range_first = x->range_last = to_uid;
	}
	x->count++;
}

static enum step begin(struct command *c, bool is_move)
{
	struct copy *x = command_new_state(c, sizeof(*x));
	struct mailbox_status status;
	struct sv set;

	c->release = release;
	x->is_move = is_move;
	buf_init(&x->to_text, COMMAND_CODE_MAX);
	if (!args_raw(&c->args, &set))
		return command_bad(c, "A message set and a mailbox were expected");
	if (!command_mailbox(c, &x->to_name))
		return STEP_DONE;
	if (!args_end(&c->args))
		return command_bad(c, "A message set and a mailbox were expected");
	if (!command_set(c, set, &x->set))
		return STEP_DONE;
	if (is_move)
		limit_narrow(c, &x->set);
	else if (limit_refuse(c, uidset_total(&x->set), limit_lowest(c, &x->set), true))
		return STEP_DONE;
	/* RFC 3501 §6.4.7: the client may make the mailbox and try again. */
	struct fault f = mailbox_open_for(c->room->user, x->to_name, RIGHT_INSERT, &x->to);

	if (f.kind == FAULT_NOT_FOUND)
		return command_no(c, "TRYCREATE", "No such mailbox");
	if (!f.kind)
		f = mailbox_counters(x->to, &status);
	if (f.kind)
		return command_fault(c, f);
	x->uidvalidity = status.uidvalidity;
	return STEP_MORE;
}

/* write_code - COPYUID (RFC 4315 §3): source and destination UIDs in the same order. */
static void write_code(struct command *c, struct copy *x, struct buf *out)
{
	write_range(x);
	if (!capability_has(c->room->on, CAP_UIDPLUS) || !x->from.count)
		return;
	size_t start = out->len;

	if (!buf_appendf(out, "COPYUID %u ", x->uidvalidity) || !uidset_write(&x->from, out) ||
	    !buf_append_c(out, ' ') || !buf_append(out, buf_sv(&x->to_text)))
		out->len = start;       /* too long to tell: the copies are there all the same */
}

/* undo - RFC 3501 §6.4.7: a COPY that fails leaves the target as it was. (A MOVE keeps what it
 * moved: each message is in one place, RFC 6851 §3.3.) */
static void undo(struct command *c, struct copy *x)
{
	struct uidset gone = { 0 };
	struct fault f = FAULT_OK;
	uint32_t resume = 0;

	if (x->made.count)
		do
			f = mailbox_expunge(x->to, &x->made, true, &resume, &gone);
		while (!f.kind && resume);
	if (f.kind)
		log_warn(c->log, "imap.copy.not-undone", KV_SV("user", c->room->account),
			 KV_SV("mailbox", x->to_name), KV_FAULT("fault", f));
	uidset_done(&gone);
}

static enum step finish(struct command *c, struct copy *x)
{
	if (x->fault.kind && !x->is_move) {
		undo(c, x);
		return command_fault(c, x->fault);
	}
	arrivals_made(c->room, x->to_name, &x->made);
	if (x->count)
		event_emit(c->log, x->is_move ? EVENT_MESSAGE_MOVE : EVENT_MESSAGE_COPY,
			   KV_SV("user", c->room->account), KV_SV("mailbox", c->room->box_name),
			   KV_SV("target", x->to_name), KV_U64("count", x->count));
	imapsieve_note(c, x->to_name, FILTER_COPY, &x->made, NULL);
	training_note(c, x->to_name, &x->made);
	if (x->is_move && x->from.count) {
		/* RFC 6851 §4.3: COPYUID comes before the EXPUNGEs, which the updates behind this
		 * command tell. */
		buf_clear(&c->code);
		write_code(c, x, &c->code);
		if (c->code.len)
			writer_answer(&c->out, SV_NONE, (struct answer){ "OK", NULL, "Moved" },
				      buf_sv(&c->code));
		buf_clear(&c->code);
	}
	if (x->fault.kind)
		return command_fault(c, x->fault);
	if (x->is_move)
		return command_ok(c, x->count ? "Moved" : "No such messages, nothing to do");
	if (!x->count)
		return command_ok(c, "No such messages, nothing to do");
	write_code(c, x, &c->code);
	return command_ok_code(c, NULL, "Copied");
}

static enum step copy(struct command *c, bool is_move)
{
	struct copy *x = c->state;

	if (!x) {
		enum step step = begin(c, is_move);

		if (step != STEP_MORE)
			return step;
		x = c->state;
		/* Nothing there any more is no failure: a NO makes clients try for ever. */
		if (!x->set.count)
			return finish(c, x);
	}
	x->fault = mailbox_copy(c->room->box, &x->set, x->to, x->is_move, &x->resume, copied, x);
	if (!x->fault.kind && x->resume) {
		c->goal = uidset_total(&x->set);
		c->progress = x->count;
		return STEP_MORE;
	}
	return finish(c, x);
}

enum step do_copy(struct command *c)
{
	return copy(c, false);
}

enum step do_move(struct command *c)
{
	return copy(c, true);
}
