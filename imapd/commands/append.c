/* imapd/commands/append.c - APPEND (RFC 3501 §6.3.11, RFC 7888, RFC 4315 §3) of one message or many
 * (MULTIAPPEND, RFC 3502), each whole or put together of texts and parts of other messages (CATENATE, RFC
 * 4469), and REPLACE (RFC 8508). Messages stream from the connection to the store, a bounded piece at
 * a time, and get their names together or not at all. What can be refused is refused before the client
 * sends it. */
#include "common/date.h"
#include "common/events.h"
#include "common/mime.h"
#include "imapd/catenate.h"
#include "imapd/command.h"
#include "imapd/flagset.h"
#include "imapd/imapsieve.h"
#include "imapd/arrivals.h"
#include "maildir/incoming.h"

#include "common/banned.h"

/* Of one command. Each message holds a descriptor and its parsed form until all of them have come. */
#define MESSAGES_MAX 100
#define PARSED_MAX   ((size_t)16 << 20)
#define SIZE_FACTOR  4          /* times message-size */

/* What the next token may be. */
enum place {
	AT_FLAGS = 0,           /* a message's flags, date-time or octets; or the end */
	AT_DATE,                /* its date-time or octets */
	AT_LITERAL,             /* its octets: a literal, CATENATE or UTF8 */
	AT_OCTETS,              /* its literal is streaming in */
	AT_PARTS,               /* the list behind CATENATE */
	AT_PART,                /* TEXT, URL or the end of the list */
	AT_TEXT,                /* a literal */
	AT_TEXT_OCTETS,         /* it is streaming in */
	AT_URL,
	AT_UTF8,                /* the list behind UTF8, with one literal */
	AT_UTF8_LITERAL,
	AT_UTF8_OCTETS,         /* it is streaming in */
	AT_UTF8_END,
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
	uint64_t announced;             /* octets of the message that is coming in */
	uint64_t total;                 /* ... and of the command */
	uint32_t replaced;              /* REPLACE: UID in the selected mailbox; 0: APPEND */
	uint64_t replaced_size;
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
	if (x->flags.is_too_many)
		command_no(c, "LIMIT", "Too many keywords");
	else
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
	if (!incoming_size(x->message)) {
		command_no(c, "CANNOT", "An empty message cannot be stored");
		return refuse(c);
	}
	struct fault f = incoming_finish_later(x->message);

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
	x->has_date = x->is_binary = false;
	x->announced = 0;
	x->place = AT_FLAGS;
	return true;
}

/* begin_message - a file for the octets that come now. */
static bool begin_message(struct command *c, struct append *x)
{
	struct fault f;

	if (x->count && (x->replaced || !capability_has(c->room->on, CAP_MULTIAPPEND))) {
		command_bad(c, "One message only");
		return refuse(c);
	}
	if (x->count == MESSAGES_MAX) {
		command_no(c, "LIMIT", "Too many messages in one command");
		return refuse(c);
	}
	if (x->count)
		incoming_hurry(x->items[x->count - 1].message);
	f = incoming_new(c->room->user, NULL, c->room->conf->smtp.message_size, &x->message);
	if (!f.kind)
		return true;
	command_fault(c, f);
	return refuse(c);
}

/* take_url - a part of another message, by its URL. */
static bool take_url(struct command *c, struct append *x)
{
	uint64_t max = c->room->conf->smtp.message_size, size = 0;
	struct fault f = fault(FAULT_NOT_FOUND, "not a URL of a message here");
	struct url url;
	struct sv text;

	if (!args_astring(&c->args, &text)) {
		command_bad(c, "URL is followed by a URL");
		return refuse(c);
	}
	if (url_read(text, &c->arena, &url) &&
	    (!url.section.has_partial || capability_has(c->room->on, CAP_URL_PARTIAL)))
		f = catenate_url(c->room, &url, x->message, max - x->announced, &size);
	url_done(&url);
	x->announced += size;
	x->total += size;
	if (f.kind == FAULT_NOT_FOUND) {        /* RFC 4469 §4.1 */
		struct sv shown = url_for_code(text, &c->arena);
		struct buf code = { .max = URL_MAX * 4 };

		buf_appendf(&code, "BADURL %.*s", SV_FMT(shown));
		shown = arena_copy(&c->arena, buf_sv(&code));
		buf_done(&code);
		command_no(c, shown.len ? shown.p : "BADURL", "No such message or part");
		return refuse(c);
	}
	if (!f.kind)
		return true;
	if (f.kind == FAULT_LIMIT)              /* §4.2 */
		command_no(c, "TOOBIG", "Message larger than the server accepts");
	else
		command_fault(c, f);
	return refuse(c);
}

/* advance_in_parts - one token of a CATENATE list; false: it does not belong there, or is refused. */
static bool advance_in_parts(struct command *c, struct append *x, const struct token *t)
{
	switch (x->place) {
	case AT_PARTS:
		c->args.at++;
		x->place = AT_PART;
		return t->kind == TOKEN_OPEN && begin_message(c, x);
	case AT_PART:
		if (t->kind == TOKEN_CLOSE && t[-1].kind != TOKEN_OPEN) {
			c->args.at++;
			return end_message(c, x);
		}
		if (args_word(&c->args, "TEXT"))
			x->place = AT_TEXT;
		else if (args_word(&c->args, "URL"))
			x->place = AT_URL;
		return x->place != AT_PART;
	case AT_TEXT_OCTETS:
		c->args.at++;
		x->place = AT_PART;
		return t->kind == TOKEN_LITERAL && t->is_spaced;
	case AT_URL:
		x->place = AT_PART;
		return take_url(c, x);
	default:
		return false;
	}
}

/* advance_in_utf8 - one token of UTF8 (~{12}...), as advance_in_parts(). RFC 9755 has it no more; programs of RFC 6855 §4
 * (Thunderbird) store all they send and draft in this way. */
static bool advance_in_utf8(struct command *c, struct append *x, const struct token *t)
{
	c->args.at++;
	switch (x->place) {
	case AT_UTF8:
		x->place = AT_UTF8_LITERAL;
		return t->kind == TOKEN_OPEN;
	case AT_UTF8_OCTETS:
		x->place = AT_UTF8_END;
		return t->kind == TOKEN_LITERAL;
	case AT_UTF8_END:
		return t->kind == TOKEN_CLOSE && end_message(c, x);
	default:
		return false;
	}
}

/* advance - read what the parser has of the arguments behind the mailbox: RFC 3502 and RFC 4469
 * append-message, again and again. False: refused. */
static bool advance(struct command *c, struct append *x)
{
	const struct token *t;

	while ((t = args_peek(&c->args))) {
		bool is_good = true;

		if (x->place == AT_OCTETS && t->kind == TOKEN_LITERAL && t->is_spaced) {
			c->args.at++;
			is_good = end_message(c, x);
		} else if (t->kind == TOKEN_OPEN && x->place == AT_FLAGS) {
			is_good = read_flags(c, x, t);
			x->place = AT_DATE;
		} else if (t->kind == TOKEN_QUOTED && x->place <= AT_DATE) {
			is_good = read_date(c, x);
			x->place = AT_LITERAL;
		} else if (x->place <= AT_LITERAL && capability_has(c->room->on, CAP_CATENATE) &&
			   args_word(&c->args, "CATENATE")) {
			x->place = AT_PARTS;
		} else if (x->place <= AT_LITERAL && capability_has(c->room->on, CAP_UTF8_ACCEPT) && args_word(&c->args, "UTF8")) {
			x->place = AT_UTF8;
		} else if (x->place >= AT_UTF8) {
			is_good = advance_in_utf8(c, x, t);
		} else {
			is_good = advance_in_parts(c, x, t);
		}
		if (!is_good && !x->refusal.word) {
			command_bad(c, "A mailbox, then flags, a date-time and a literal for each message");
			refuse(c);
		}
		if (x->refusal.word)
			return false;
	}
	return true;
}

/* check_room - size limit and quota, as far as they are known before an octet is sent. What is to be
 * replaced is as good as gone (RFC 8508 §3.4). */
static bool check_room(struct command *c, struct append *x, uint64_t size)
{
	uint64_t max = c->room->conf->smtp.message_size, total = x->total + size;
	uint64_t more = total > x->replaced_size ? total - x->replaced_size : 0;
	struct quota_usage usage;
	struct fault f;

	if (size > max - x->announced) {
		command_no(c, "TOOBIG", "Message larger than the server accepts");
		return refuse(c);
	}
	if (x->count && total > max * SIZE_FACTOR) {
		command_no(c, "LIMIT", "Too much in one command");
		return refuse(c);
	}
	if (mailbox_is_shared(x->box)) {        /* the owner's room: nobody else learns how much is left */
		x->total = total;
		return true;
	}
	f = maildir_user_quota(c->room->user, &usage);
	if (!f.kind && ((usage.bytes_max && more && (usage.bytes >= usage.bytes_max ||
						     more > usage.bytes_max - usage.bytes)) ||
			(usage.messages_max && !x->replaced &&
			 usage.messages + x->count >= usage.messages_max)))
		f = fault(FAULT_QUOTA, "APPEND would pass the quota");
	if (f.kind) {
		command_fault(c, f);
		return refuse(c);
	}
	x->announced += size;
	x->total = total;
	return true;
}

/* read_replaced - RFC 8508 §3.2: the one message that goes. */
static bool read_replaced(struct command *c, struct append *x)
{
	struct uidset one = { 0 };
	struct message_row row;
	uint32_t number;
	struct sv text;

	if (!args_raw(&c->args, &text) || (!sv_to_u32(text, &number) && !sv_eq(text, SV("*")))) {
		command_bad(c, "REPLACE takes one message, a mailbox and what APPEND takes");
		return refuse(c);
	}
	if (!command_set(c, text, &one))
		return refuse(c);
	x->replaced = one.count ? one.ranges[0].first : 0;
	uidset_done(&one);
	/* RFC 8508 §4.1: known before anything is stored. */
	if (c->room->is_readonly || !mailbox_may(c->room->box, RIGHT_DELETE | RIGHT_EXPUNGE)) {
		command_no(c, "NOPERM", "Messages may not be removed from this mailbox");
		return refuse(c);
	}
	struct fault f = x->replaced ? mailbox_row(c->room->box, x->replaced, &row) :
				       fault(FAULT_GONE, "no message has this UID");

	if (f.kind == FAULT_GONE)
		command_no(c, NULL, "There is no such message to replace");
	else if (f.kind)
		command_fault(c, f);
	else
		x->replaced_size = row.size;
	return f.kind ? refuse(c) : true;
}

/* begin - the mailbox. */
static bool begin(struct command *c)
{
	struct append *x = command_new_state(c, sizeof(*x));

	c->release = release;
	x->items = arena_array(&c->arena, MESSAGES_MAX, sizeof(*x->items));
	x->sizes = arena_array(&c->arena, MESSAGES_MAX, sizeof(*x->sizes));
	if (!x->items || !x->sizes)
		BUG("a new command's arena is full");
	if (c->spec->run == do_replace && !read_replaced(c, x))
		return false;
	if (!command_mailbox(c, &x->name))
		return refuse(c);
	struct fault f = mailbox_open_for(c->room->user, x->name, RIGHT_INSERT, &x->box);

	if (f.kind == FAULT_NOT_FOUND) {
		command_no(c, "TRYCREATE", "No such mailbox");
		return refuse(c);
	}
	if (f.kind) {
		command_fault(c, f);
		return refuse(c);
	}
	/* What goes makes room in the account that it is in. */
	if (x->replaced && (mailbox_is_shared(x->box) || mailbox_is_shared(c->room->box)))
		x->replaced_size = 0;
	return true;
}

/* ---- octets ---- */

/* announced - a literal is to come: octets of a message, a URL, or it is refused. */
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
	if (x->place == AT_URL) {
		c->is_literal_kept = true;
		return true;
	}
	bool is_utf8 = x->place == AT_UTF8_LITERAL;

	if ((x->place > AT_LITERAL && x->place != AT_TEXT && !is_utf8) ||
	    (c->literal.is_binary && !is_utf8 && !capability_has(c->room->on, CAP_BINARY))) {
		command_bad(c, "A literal is not expected here");
		return refuse(c);
	}
	if (!c->literal.size && x->place != AT_TEXT) {
		command_no(c, "CANNOT", "An empty message cannot be stored");
		return refuse(c);
	}
	if (!check_room(c, x, c->literal.size) || (x->place != AT_TEXT && !begin_message(c, x)))
		return false;
	x->is_binary |= c->literal.is_binary;
	x->place = is_utf8 ? AT_UTF8_OCTETS : x->place == AT_TEXT ? AT_TEXT_OCTETS : AT_OCTETS;
	return true;
}

/* take_literal - a client that waits is told at once of a refusal; one that sends anyway is told
 * when it has sent: its place in the conversation must not be lost. */
static enum step take_literal(struct command *c)
{
	c->is_literal_kept = false;
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

/* remove_replaced - the new message is safe: the old one goes. If it cannot, the new one goes again, as if
 * nothing had been tried (RFC 8508 §3.4). */
static struct fault remove_replaced(struct command *c, struct append *x, const struct uidset *uids)
{
	struct uidset one = { 0 }, gone = { 0 };
	uint32_t resume = 0;

	uidset_add(&one, x->replaced, x->replaced);
	struct fault f = mailbox_expunge(c->room->box, &one, true, &resume, &gone);

	if (f.kind) {
		struct fault undone;

		resume = 0;
		undone = mailbox_expunge(x->box, uids, true, &resume, &gone);
		if (undone.kind)
			log_error(c->log, "imap.replace.half-done", KV_SV("user", c->room->account),
				  KV_SV("mailbox", x->name), KV_FAULT("fault", undone));
	} else {
		event_emit(c->log, EVENT_MESSAGE_EXPUNGE, KV_SV("user", c->room->account),
			   KV_SV("mailbox", c->room->box_name), KV_U64("count", uidset_total(&gone)));
	}
	uidset_done(&one);
	uidset_done(&gone);
	return f;
}

/* replace - APPENDUID goes before the EXPUNGE (RFC 8508 §4.3), which the updates behind the command tell. */
static enum step replace(struct command *c, struct append *x, const struct uidset *uids)
{
	struct mailbox_status status;
	struct fault f = remove_replaced(c, x, uids);

	if (f.kind)
		return command_fault(c, f);
	if (c->code.len)
		writer_answer(&c->out, SV_NONE, (struct answer){ "OK", NULL, "Replacement message ready" },
			      buf_sv(&c->code));
	buf_clear(&c->code);
	if (c->room->has_condstore && !mailbox_counters(c->room->box, &status).kind)
		buf_appendf(&c->code, "HIGHESTMODSEQ %llu", (unsigned long long)status.highestmodseq);
	return command_ok_code(c, NULL, "Replaced");
}

/* finish - the command line is complete. */
static enum step finish(struct command *c)
{
	struct append *x = c->state;
	struct uidset uids = { 0 };
	enum step step;

	if ((!x && !begin(c)) || ((struct append *)c->state)->refusal.word || !advance(c, c->state)) {
		c->answer = ((struct append *)c->state)->refusal;
		return STEP_DONE;
	}
	x = c->state;
	if (!x->count || x->place != AT_FLAGS)
		return command_bad(c, "A mailbox, then flags, a date-time and a literal for each message");
	if (x->replaced)
		x->items[0].replaces = x->replaced_size;
	struct fault f = incoming_append(x->box, x->items, x->count);

	if (f.kind == FAULT_GONE)       /* removed while the message came */
		return command_no(c, "TRYCREATE", "No such mailbox");
	if (f.kind)
		return command_fault(c, f);
	note(c, x, &uids);
	arrivals_made(c->room, x->name, &uids);
	imapsieve_note(c, x->name, FILTER_APPEND, &uids, NULL);
	x->count = 0;                   /* consumed */
	if (capability_has(c->room->on, CAP_UIDPLUS)) {
		buf_appendf(&c->code, "APPENDUID %u ", x->items[0].uidvalidity);
		if (!uidset_write(&uids, &c->code))
			BUG("the UIDs of one APPEND are too many for a response code");
	}
	step = x->replaced ? replace(c, x, &uids) : command_ok_code(c, NULL, "Stored");
	uidset_done(&uids);
	return step;
}

static enum step append(struct command *c)
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

enum step do_append(struct command *c)
{
	return append(c);
}

/* RFC 8508 §3: a message is stored, and one of the selected mailbox goes, as one action. */
enum step do_replace(struct command *c)
{
	return append(c);
}
