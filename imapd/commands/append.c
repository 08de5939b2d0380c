/* imapd/commands/append.c - APPEND (RFC 3501 §6.3.11, RFC 7888, RFC 4315 §3): the message streams
 * from the connection to the store, a bounded piece at a time. What can be refused is refused
 * before the client sends it. */
#include "common/date.h"
#include "common/events.h"
#include "imapd/command.h"
#include "imapd/flagset.h"
#include "maildir/incoming.h"

#include "common/banned.h"

struct append {
	struct mailbox *box;
	struct incoming *message;
	struct flagset flags;
	struct sv name;
	bool has_date, has_literal, has_nul;
	int64_t date;
	uint64_t size;
	uint32_t uidvalidity;
	struct answer refusal;          /* word is NULL while all is well */
};

static void release(struct command *c)
{
	struct append *x = c->state;

	incoming_free(&x->message);
	mailbox_close(&x->box);
}

/* refuse - a client that waits is told at once; one that sends anyway is told when it has sent. */
static enum step refuse(struct command *c, enum step ended)
{
	struct append *x = c->state;

	(void)ended;
	if (c->literal.is_sync)
		return STEP_DONE;
	x->refusal = c->answer;
	c->is_literal_taken = false;
	return STEP_WAIT;
}

/* read_arguments - mailbox [flags] [date-time], before the literal. */
static bool read_arguments(struct command *c, struct append *x)
{
	struct args list;
	struct sv text;
	struct date date;

	if (!command_mailbox(c, &x->name))
		return false;
	const struct token *t = args_peek(&c->args);

	if (t && t->kind == TOKEN_OPEN) {
		/* An empty list is fine here, and only here. */
		struct args whole = { c->args.g, c->args.at, t->match + 1 };

		if (!args_open(&c->args, &list) || !flagset_read(&whole, &c->arena, &x->flags)) {
			command_bad(c, "Unknown or malformed flags");
			return false;
		}
	}
	if (!args_end(&c->args)) {
		if (!args_string(&c->args, &text) || !date_parse_imap(text, &date) ||
		    !args_end(&c->args)) {
			command_bad(
				c,
				"A date-time such as \"17-Jul-1996 02:44:25 -0700\" was expected");
			return false;
		}
		x->has_date = true;
		x->date = date.seconds;
	}
	return true;
}

/* check_room - size limit and quota, as far as they are known before a byte is sent. */
static bool check_room(struct command *c, uint64_t size)
{
	struct quota_usage usage;
	struct fault f;

	if (size > c->room->conf->smtp.message_size) {
		command_no(c, "TOOBIG", "Message larger than the server accepts");
		return false;
	}
	if (!size) {
		command_no(c, "CANNOT", "An empty message cannot be stored");
		return false;
	}
	f = maildir_user_quota(c->room->user, &usage);
	if (!f.kind && ((usage.bytes_max && (usage.bytes >= usage.bytes_max ||
					     size > usage.bytes_max - usage.bytes)) ||
			(usage.messages_max && usage.messages >= usage.messages_max)))
		f = fault(FAULT_QUOTA, "APPEND would pass the quota");
	if (f.kind)
		command_fault(c, f);
	return !f.kind;
}

/* begin - the literal is announced. */
static enum step begin(struct command *c)
{
	struct append *x = c->state;
	struct mailbox_status status;

	if (x) {
		/* MULTIAPPEND (RFC 3502) is not offered. */
		c->is_literal_taken = false;
		return refuse(c, command_bad(c, "One message only"));
	}
	x = command_new_state(c, sizeof(*x));
	c->release = release;
	if (c->literal.is_binary)
		return refuse(c, command_bad(c, "literal8 is not supported"));
	if (!read_arguments(c, x))
		return refuse(c, STEP_DONE);
	struct fault f = mailbox_open(c->room->user, x->name, &x->box);

	if (f.kind == FAULT_NOT_FOUND)
		return refuse(c, command_no(c, "TRYCREATE", "No such mailbox"));
	if (!f.kind)
		f = mailbox_counters(x->box, &status);
	if (f.kind)
		return refuse(c, command_fault(c, f));
	x->uidvalidity = status.uidvalidity;
	if (!check_room(c, c->literal.size))
		return refuse(c, STEP_DONE);
	f = incoming_new(c->room->user, NULL, c->room->conf->smtp.message_size, &x->message);
	if (f.kind)
		return refuse(c, command_fault(c, f));
	x->has_literal = true;
	c->is_literal_taken = true;
	return STEP_WAIT;
}

static enum step take_octets(struct command *c)
{
	struct append *x = c->state;
	struct fault f = FAULT_OK;

	/* After a fault the rest is read and forgotten: the client's place in the conversation must
	 * not be lost. */
	if (x->refusal.word)
		return STEP_WAIT;
	if (memchr(c->octets.p, 0, c->octets.len))
		x->has_nul = true;
	else
		f = incoming_write(x->message, c->octets);
	if (f.kind) {
		command_fault(c, f);
		x->refusal = c->answer;
	}
	x->size += c->octets.len;
	return STEP_WAIT;
}

/* finish - the command line is complete. */
static enum step finish(struct command *c)
{
	struct append *x = c->state;
	struct args rest = c->args;

	if (x && x->refusal.word) {
		c->answer = x->refusal;
		return STEP_DONE;
	}
	if (!x || !x->has_literal)
		return command_bad(c, "APPEND takes a mailbox, flags, a date-time and a literal");
	/* Behind the message nothing may follow. */
	const struct token *last = &rest.g->tokens[rest.end - 1];

	if (last->kind != TOKEN_LITERAL || !last->is_streamed)
		return command_bad(c, "Nothing may follow the message");
	/* RFC 3501 §9: CHAR8 has no NUL; only literal8 (RFC 3516) carries it. */
	if (x->has_nul)
		return command_no(c, "CANNOT", "The message has NUL octets");
	struct fault f = incoming_finish(x->message);
	struct append_item item = {
		.message = x->message,
		.flags = x->flags.flags,
		.keywords = x->flags.keywords,
		.keyword_count = x->flags.keyword_count,
		.has_internaldate = x->has_date,
		.internaldate = x->date,
	};

	if (!f.kind)
		f = incoming_append(x->box, &item, 1);
	if (f.kind)
		return command_fault(c, f);
	x->message = NULL;              /* consumed */
	event_emit(c->log, EVENT_MESSAGE_APPEND, KV_SV("user", c->room->account),
		   KV_SV("mailbox", x->name), KV_U64("uid", item.uid), KV_U64("size", x->size));
	if (capability_has(c->room->on, CAP_UIDPLUS))
		buf_appendf(&c->code, "APPENDUID %u %u", x->uidvalidity, item.uid);
	return command_ok_code(c, NULL, "Stored");
}

enum step do_append(struct command *c)
{
	switch (c->wake) {
	case WAKE_LITERAL:
		return begin(c);
	case WAKE_OCTETS:
		return take_octets(c);
	case WAKE_LITERAL_END:
		return STEP_WAIT;
	default:
		return finish(c);
	}
}
