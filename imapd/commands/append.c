/* imapd/commands/append.c - APPEND (RFC 3501 §6.3.11, RFC 7888, RFC 4315 §3) of one message or many
 * (MULTIAPPEND, RFC 3502): messages stream from the connection to the store, a bounded piece at a
 * time, and get their names together or not at all. What can be refused is refused before the
 * client sends it. */
#include "common/date.h"
#include "common/events.h"
#include "common/mime.h"
#include "imapd/command.h"
#include "imapd/flagset.h"
#include "maildir/incoming.h"

#include "common/banned.h"

/* Of one command. Each message holds a descriptor and its parsed form until all of them have come. */
#define MESSAGES_MAX 100
#define PARSED_MAX   ((size_t)16 << 20)
#define SIZE_FACTOR  4          /* times message-size */

/* What the next token may be. */
enum place {
	AT_FLAGS = 0,           /* a message's flags, date-time or literal; or the end */
	AT_DATE,                /* its date-time or literal */
	AT_LITERAL,
	AT_OCTETS,              /* its literal is streaming in */
};

struct append {
	struct mailbox *box;
	struct incoming *message;       /* that is coming in */
	struct append_item *items;      /* those that came, in the arena */
	uint64_t *sizes;
	size_t count, parsed;
	struct flagset flags;           /* of the message that is coming in */
	struct sv name;
	enum place place;
	bool has_date, has_nul, is_binary;
	int64_t date;
	uint64_t total;                 /* octets announced so far */
	uint32_t uidvalidity;
	struct answer refusal;          /* word is NULL while all is well */
};

static void drop_messages(struct append *x)
{
	incoming_free(&x->message);
	for (size_t i = 0; i < x->count; i++)
		incoming_free(&x->items[i].message);
	x->count = 0;
}

static void release(struct command *c)
{
	struct append *x = c->state;

	drop_messages(x);
	mailbox_close(&x->box);
}

/* refuse - the answer is set: what came is not needed any more, what is to come is forgotten. */
static bool refuse(struct command *c)
{
	struct append *x = c->state;

	x->refusal = c->answer;
	drop_messages(x);
	return false;
}

/* ---- arguments ---- */

static bool read_flags(struct command *c, struct append *x, const struct token *t)
{
	/* An empty list is fine here, and only here. */
	struct args list, whole = { c->args.g, c->args.at, t->match + 1 };
	bool is_closed = t->match > c->args.at && t->match < c->args.end;

	if (is_closed && args_open(&c->args, &list) && flagset_read(&whole, &c->arena, &x->flags))
		return true;
	command_bad(c, "Unknown or malformed flags");
	return refuse(c);
}

static bool read_date(struct command *c, struct append *x)
{
	struct date date;
	struct sv text;

	if (!args_string(&c->args, &text) || !date_parse_imap(text, &date)) {
		command_bad(c, "A date-time such as \"17-Jul-1996 02:44:25 -0700\" was expected");
		return refuse(c);
	}
	x->has_date = true;
	x->date = date.seconds;
	return true;
}

/* end_message - its last octet has come. */
static bool end_message(struct command *c, struct append *x)
{
	/* RFC 3501 §9: CHAR8 has no NUL. A literal8 may have it, but what could not be fetched by BODY[] is
	 * not stored (RFC 3516 §4.4). */
	if (x->has_nul) {
		command_no(c, x->is_binary ? "UNKNOWN-CTE" : "CANNOT", "The message has NUL octets");
		return refuse(c);
	}
	struct fault f = incoming_finish(x->message);

	if (!f.kind) {
		x->parsed += incoming_message(x->message)->encoded.len;
		if (x->parsed > PARSED_MAX)
			f = fault(FAULT_LIMIT, "too many parts in one command");
	}
	if (f.kind) {
		command_fault(c, f);
		return refuse(c);
	}
	x->sizes[x->count] = incoming_size(x->message);
	x->items[x->count++] = (struct append_item){
		.message = x->message,
		.flags = x->flags.flags,
		.keywords = x->flags.keywords,
		.keyword_count = x->flags.keyword_count,
		.has_internaldate = x->has_date,
		.internaldate = x->date,
	};
	x->message = NULL;
	x->flags = (struct flagset){ 0 };
	x->has_date = false;
	x->place = AT_FLAGS;
	return true;
}

/* advance - read what the parser has of the arguments behind the mailbox: RFC 3502 append-message,
 * again and again. False: refused. */
static bool advance(struct command *c, struct append *x)
{
	const struct token *t;

	while ((t = args_peek(&c->args))) {
		if (x->place == AT_OCTETS && t->kind == TOKEN_LITERAL && t->is_spaced) {
			c->args.at++;
			if (!end_message(c, x))
				return false;
		} else if (t->kind == TOKEN_OPEN && x->place == AT_FLAGS) {
			if (!read_flags(c, x, t))
				return false;
			x->place = AT_DATE;
		} else if (t->kind == TOKEN_QUOTED && x->place <= AT_DATE) {
			if (!read_date(c, x))
				return false;
			x->place = AT_LITERAL;
		} else {
			command_bad(c, "APPEND takes a mailbox, then flags, a date-time and a "
				       "literal for each message");
			return refuse(c);
		}
	}
	return true;
}

/* check_room - size limit and quota, as far as they are known before a byte is sent. */
static bool check_room(struct command *c, struct append *x, uint64_t size)
{
	uint64_t max = c->room->conf->smtp.message_size, total = x->total + size;
	struct quota_usage usage;
	struct fault f;

	if (size > max) {
		command_no(c, "TOOBIG", "Message larger than the server accepts");
		return refuse(c);
	}
	if (!size) {
		command_no(c, "CANNOT", "An empty message cannot be stored");
		return refuse(c);
	}
	if (x->count == MESSAGES_MAX || (x->count && total > max * SIZE_FACTOR)) {
		command_no(c, "LIMIT", "Too many messages in one command");
		return refuse(c);
	}
	f = maildir_user_quota(c->room->user, &usage);
	if (!f.kind && ((usage.bytes_max && (usage.bytes >= usage.bytes_max ||
					     total > usage.bytes_max - usage.bytes)) ||
			(usage.messages_max &&
			 usage.messages + x->count >= usage.messages_max)))
		f = fault(FAULT_QUOTA, "APPEND would pass the quota");
	if (f.kind) {
		command_fault(c, f);
		return refuse(c);
	}
	x->total = total;
	return true;
}

/* begin - the mailbox. */
static bool begin(struct command *c)
{
	struct append *x = command_new_state(c, sizeof(*x));
	struct mailbox_status status;

	c->release = release;
	x->items = arena_array(&c->arena, MESSAGES_MAX, sizeof(*x->items));
	x->sizes = arena_array(&c->arena, MESSAGES_MAX, sizeof(*x->sizes));
	if (!x->items || !x->sizes)
		BUG("a new command's arena is full");
	if (!command_mailbox(c, &x->name))
		return refuse(c);
	struct fault f = mailbox_open(c->room->user, x->name, &x->box);

	if (f.kind == FAULT_NOT_FOUND) {
		command_no(c, "TRYCREATE", "No such mailbox");
		return refuse(c);
	}
	if (!f.kind)
		f = mailbox_counters(x->box, &status);
	if (f.kind) {
		command_fault(c, f);
		return refuse(c);
	}
	x->uidvalidity = status.uidvalidity;
	return true;
}

/* ---- octets ---- */

/* announced - a literal is to come: it is a message's, or it is refused. */
static bool announced(struct command *c)
{
	struct append *x = c->state;

	if (x && x->refusal.word)
		return false;
	if (!x && !begin(c))
		return false;
	x = c->state;
	if (!advance(c, x))
		return false;
	if (x->count && !capability_has(c->room->on, CAP_MULTIAPPEND)) {
		command_bad(c, "One message only");
		return refuse(c);
	}
	if (c->literal.is_binary && !capability_has(c->room->on, CAP_BINARY)) {
		command_bad(c, "literal8 is not supported");
		return refuse(c);
	}
	if (!check_room(c, x, c->literal.size))
		return false;
	struct fault f = incoming_new(c->room->user, NULL, c->room->conf->smtp.message_size,
				      &x->message);

	if (f.kind) {
		command_fault(c, f);
		return refuse(c);
	}
	x->has_nul = false;
	x->is_binary = c->literal.is_binary;
	x->place = AT_OCTETS;
	return true;
}

/* take_literal - a client that waits is told at once of a refusal; one that sends anyway is told
 * when it has sent: its place in the conversation must not be lost. */
static enum step take_literal(struct command *c)
{
	c->is_literal_taken = announced(c);
	if (c->is_literal_taken || !c->literal.is_sync)
		return STEP_WAIT;
	c->answer = ((struct append *)c->state)->refusal;
	return STEP_DONE;
}

static enum step take_octets(struct command *c)
{
	struct append *x = c->state;
	struct fault f = FAULT_OK;

	if (x->refusal.word)
		return STEP_WAIT;
	if (memchr(c->octets.p, 0, c->octets.len))
		x->has_nul = true;
	else
		f = incoming_write(x->message, c->octets);
	if (f.kind) {
		command_fault(c, f);
		refuse(c);
	}
	return STEP_WAIT;
}

/* ---- the end ---- */

static void note(struct command *c, const struct append *x, struct uidset *uids)
{
	for (size_t i = 0; i < x->count; i++) {
		uidset_add(uids, x->items[i].uid, x->items[i].uid);
		event_emit(c->log, EVENT_MESSAGE_APPEND, KV_SV("user", c->room->account),
			   KV_SV("mailbox", x->name), KV_U64("uid", x->items[i].uid),
			   KV_U64("size", x->sizes[i]));
	}
}

/* finish - the command line is complete. */
static enum step finish(struct command *c)
{
	struct append *x = c->state;
	struct uidset uids = { 0 };

	if ((!x && !begin(c)) || (x && (x->refusal.word || !advance(c, x)))) {
		c->answer = ((struct append *)c->state)->refusal;
		return STEP_DONE;
	}
	x = c->state;
	if (!x->count || x->place != AT_FLAGS || !args_end(&c->args))
		return command_bad(c, "APPEND takes a mailbox, flags, a date-time and a literal");
	struct fault f = incoming_append(x->box, x->items, x->count);

	if (f.kind)
		return command_fault(c, f);
	note(c, x, &uids);
	x->count = 0;                   /* consumed */
	if (capability_has(c->room->on, CAP_UIDPLUS)) {
		buf_appendf(&c->code, "APPENDUID %u ", x->uidvalidity);
		if (!uidset_write(&uids, &c->code))
			BUG("the UIDs of one APPEND are too many for a response code");
	}
	uidset_done(&uids);
	return command_ok_code(c, NULL, "Stored");
}

enum step do_append(struct command *c)
{
	switch (c->wake) {
	case WAKE_LITERAL:
		return take_literal(c);
	case WAKE_OCTETS:
		return take_octets(c);
	case WAKE_LITERAL_END:
		return STEP_WAIT;
	default:
		return finish(c);
	}
}
