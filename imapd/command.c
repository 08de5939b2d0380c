/* imapd/command.c - see command.h: the table, and the way of a command through its steps. */
#include "imapd/limit.h"

#include <stdlib.h>
#include <time.h>

#include "imapd/arrivals.h"
#include "imapd/imapsieve.h"
#include "imapd/training.h"

#include "common/clock.h"

#include "common/banned.h"

/* Flags that go together. */
#define BY_NUMBER (CMD_SEQNUMS | CMD_FRESH)
#define BY_UID    (CMD_UID | CMD_FRESH)
#define ASIDE     (CMD_INLINE | CMD_NO_UPDATES)

static const struct command_spec specs[] = {
	/* sorted: found by bisection */
	/* name           allowed in     flags, capability, handler, source */
	{ "APPEND", ST_LOGGED_IN, CMD_STREAMS, CAP_NONE, do_append, "RFC 3501 §6.3.11" },
	{ "CANCELUPDATE", ST_SELECTED, CMD_FRESH, CAP_NONE, do_cancelupdate, "RFC 5267 §4.3.5" },
	{ "CAPABILITY", ST_LOGGED_IN, ASIDE, CAP_NONE, do_capability, "RFC 3501 §6.1.1" },
	{ "CHECK", ST_SELECTED, CMD_FRESH, CAP_NONE, do_check, "RFC 3501 §6.4.1" },
	{ "CLOSE", ST_SELECTED, CMD_NO_UPDATES, CAP_NONE, do_close, "RFC 3501 §6.4.2" },
	{ "COMPRESS", ST_LOGGED_IN, ASIDE, CAP_COMPRESS, do_compress, "RFC 4978 §3" },
	{ "COPY", ST_SELECTED, BY_NUMBER, CAP_NONE, do_copy, "RFC 3501 §6.4.7" },
	{ "CREATE", ST_LOGGED_IN, 0, CAP_NONE, do_create, "RFC 3501 §6.3.3" },
	{ "DELETE", ST_LOGGED_IN, 0, CAP_NONE, do_delete, "RFC 3501 §6.3.4" },
	{ "DELETEACL", ST_LOGGED_IN, 0, CAP_ACL, do_deleteacl, "RFC 4314 §3.2" },
	{ "ENABLE", ST_LOGGED_IN, ASIDE, CAP_ENABLE, do_enable, "RFC 5161 §3.1" },
	{ "ESEARCH", ST_LOGGED_IN, BY_UID | CMD_SEQNUMS | CMD_METERED, CAP_MULTISEARCH, do_esearch, "RFC 7377 §2" },
	{ "EXAMINE", ST_LOGGED_IN, CMD_NO_UPDATES, CAP_NONE, do_select, "RFC 3501 §6.3.2" },
	{ "EXPUNGE", ST_SELECTED, CMD_FRESH | CMD_WRITES, CAP_NONE, do_expunge, "RFC 3501 §6.4.3" },
	{ "FETCH", ST_SELECTED, BY_NUMBER | CMD_NO_EXPUNGE, CAP_NONE, do_fetch, "RFC 3501 §6.4.5" },
	{ "GETACL", ST_LOGGED_IN, 0, CAP_ACL, do_getacl, "RFC 4314 §3.3" },
	{ "GETMETADATA", ST_LOGGED_IN, 0, CAP_METADATA, do_getmetadata, "RFC 5464 §4.2" },
	{ "GETQUOTA", ST_LOGGED_IN, 0, CAP_QUOTA, do_getquota, "RFC 9208 §4.1.1" },
	{ "GETQUOTAROOT", ST_LOGGED_IN, 0, CAP_QUOTA, do_getquotaroot, "RFC 9208 §4.1.2" },
	{ "ID", ST_LOGGED_IN, ASIDE, CAP_ID, do_id, "RFC 2971 §3.1" },
	{ "IDLE", ST_LOGGED_IN, CMD_FRESH, CAP_IDLE, do_idle, "RFC 2177 §3" },
	{ "LIST", ST_LOGGED_IN, 0, CAP_NONE, do_list, "RFC 3501 §6.3.8" },
	{ "LISTRIGHTS", ST_LOGGED_IN, 0, CAP_ACL, do_listrights, "RFC 4314 §3.4" },
	{ "LOGOUT", ST_LOGGED_IN, ASIDE, CAP_NONE, do_logout, "RFC 3501 §6.1.3" },
	{ "LSUB", ST_LOGGED_IN, 0, CAP_NONE, do_lsub, "RFC 3501 §6.3.9" },
	{ "MOVE", ST_SELECTED, BY_NUMBER | CMD_WRITES, CAP_MOVE, do_move, "RFC 6851 §3.1" },
	{ "MYRIGHTS", ST_LOGGED_IN, 0, CAP_ACL, do_myrights, "RFC 4314 §3.5" },
	{ "NAMESPACE", ST_LOGGED_IN, ASIDE, CAP_NAMESPACE, do_namespace, "RFC 2342 §5" },
	{ "NOOP", ST_LOGGED_IN, CMD_FRESH, CAP_NONE, do_noop, "RFC 3501 §6.1.2" },
	{ "NOTIFY", ST_LOGGED_IN, CMD_FRESH, CAP_NOTIFY, do_notify, "RFC 5465 §3.1" },
	{ "RENAME", ST_LOGGED_IN, 0, CAP_NONE, do_rename, "RFC 3501 §6.3.5" },
	{ "REPLACE", ST_SELECTED, CMD_SEQNUMS | CMD_STREAMS_LATER, CAP_REPLACE, do_replace, "RFC 8508 §3.2" },
	{ "SEARCH", ST_SELECTED, BY_NUMBER | CMD_NO_EXPUNGE | CMD_METERED, CAP_NONE, do_search,
	  "RFC 3501 §6.4.4" },
	{ "SELECT", ST_LOGGED_IN, CMD_NO_UPDATES, CAP_NONE, do_select, "RFC 3501 §6.3.1" },
	{ "SETACL", ST_LOGGED_IN, 0, CAP_ACL, do_setacl, "RFC 4314 §3.1" },
	{ "SETMETADATA", ST_LOGGED_IN, 0, CAP_METADATA, do_setmetadata, "RFC 5464 §4.3" },
	{ "SORT", ST_SELECTED, BY_NUMBER | CMD_NO_EXPUNGE | CMD_METERED, CAP_SORT, do_sort, "RFC 5256 §3" },
	{ "STATUS", ST_LOGGED_IN, 0, CAP_NONE, do_status, "RFC 3501 §6.3.10" },
	{ "STORE", ST_SELECTED, BY_NUMBER | CMD_NO_EXPUNGE | CMD_WRITES, CAP_NONE, do_store,
	  "RFC 3501 §6.4.6" },
	{ "SUBSCRIBE", ST_LOGGED_IN, 0, CAP_NONE, do_subscribe, "RFC 3501 §6.3.6" },
	{ "THREAD", ST_SELECTED, BY_NUMBER | CMD_NO_EXPUNGE | CMD_METERED, CAP_NONE, do_thread, "RFC 5256 §3" },
	{ "UID COPY", ST_SELECTED, BY_UID, CAP_NONE, do_copy, "RFC 3501 §6.4.8" },
	{ "UID EXPUNGE", ST_SELECTED, BY_UID | CMD_WRITES, CAP_UIDPLUS, do_uid_expunge,
	  "RFC 4315 §2.1" },
	{ "UID FETCH", ST_SELECTED, BY_UID, CAP_NONE, do_fetch, "RFC 3501 §6.4.8" },
	{ "UID MOVE", ST_SELECTED, BY_UID | CMD_WRITES, CAP_MOVE, do_move, "RFC 6851 §3.2" },
	{ "UID REPLACE", ST_SELECTED, CMD_UID | CMD_STREAMS_LATER, CAP_REPLACE, do_replace, "RFC 8508 §3.3" },
	{ "UID SEARCH", ST_SELECTED, BY_UID | CMD_SEQNUMS | CMD_METERED, CAP_NONE, do_search,
	  "RFC 3501 §6.4.8" },
	{ "UID SORT", ST_SELECTED, BY_UID | CMD_SEQNUMS | CMD_METERED, CAP_SORT, do_sort, "RFC 5256 §3" },
	{ "UID STORE", ST_SELECTED, BY_UID | CMD_WRITES, CAP_NONE, do_store, "RFC 3501 §6.4.8" },
	{ "UID THREAD", ST_SELECTED, BY_UID | CMD_SEQNUMS | CMD_METERED, CAP_NONE, do_thread, "RFC 5256 §3" },
	{ "UIDBATCHES", ST_SELECTED, BY_UID, CAP_UIDBATCHES, do_uidbatches, "RFC 10022" },
	{ "UNAUTHENTICATE", ST_LOGGED_IN, ASIDE, CAP_UNAUTHENTICATE, do_unauthenticate, "RFC 8437 §3" },
	{ "UNSELECT", ST_SELECTED, CMD_NO_UPDATES, CAP_UNSELECT, do_unselect, "RFC 3691 §2" },
	{ "UNSUBSCRIBE", ST_LOGGED_IN, 0, CAP_NONE, do_unsubscribe, "RFC 3501 §6.3.7" },
};

const struct command_spec *command_find(struct sv name)
{
	size_t low = 0, high = ARRAY_LEN(specs);

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = sv_cmp_nocase(name, sv_z(specs[mid].name));

		if (!order)
			return &specs[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

void command_init(struct command *c, const struct command_spec *spec, struct sv tag,
		  struct args args, struct room *room, const struct log_ctx *log)
{
	*c = (struct command){ .spec = spec,
			       .room = room,
			       .log = log,
			       .tag = { sv_copy_z(tag), tag.len },
			       .args = args,
			       .is_uid = spec->flags & CMD_UID,
			       .known = room->view.modseq };
	writer_init(&c->out, COMMAND_OUT_MAX);
	arena_init(&c->arena, COMMAND_ARENA_MAX);
	buf_init(&c->code, COMMAND_CODE_MAX);
}

void command_done(struct command *c)
{
	if (c->release)
		c->release(c);
	imapsieve_done(c);
	training_done(c);
	keywords_free(&c->keywords);
	buf_done(&c->code);
	arena_done(&c->arena);
	writer_done(&c->out);
	free((char *)c->tag.p);
}

/* ---- endings ---- */

static enum step end_with(struct command *c, struct answer answer)
{
	c->answer = answer;
	return STEP_DONE;
}

enum step command_ok(struct command *c, const char *text)
{
	return end_with(c, (struct answer){ "OK", NULL, text });
}

enum step command_ok_code(struct command *c, const char *code, const char *text)
{
	return end_with(c, (struct answer){ "OK", code, text });
}

enum step command_no(struct command *c, const char *code, const char *text)
{
	buf_clear(&c->code);
	return end_with(c, (struct answer){ "NO", code, text });
}

enum step command_bad(struct command *c, const char *text)
{
	buf_clear(&c->code);
	return end_with(c, (struct answer){ "BAD", NULL, text });
}

enum step command_uid_required(struct command *c)
{
	return end_with(c, (struct answer){ "BAD", "UIDREQUIRED", "Message numbers are not used with UIDONLY" });
}

/* is_ours - a fault that somebody who runs the server should see. */
static bool is_ours(enum fault_kind kind)
{
	return kind == FAULT_INTERNAL || kind == FAULT_CORRUPT || kind == FAULT_NO_SPACE ||
	       kind == FAULT_UNAVAILABLE;
}

enum step command_fault(struct command *c, struct fault f)
{
	if (is_ours(f.kind))
		log_error(c->log, "imap.command.failed", KV_Z("command", c->spec->name),
			  KV_SV("user", c->room->account), KV_SV("mailbox", c->room->box_name),
			  KV_FAULT("fault", f));
	buf_clear(&c->code);
	return end_with(c, answer_for(f.kind));
}

void *command_new_state(struct command *c, size_t size)
{
	c->state = arena_alloc(&c->arena, size);
	if (!c->state)
		BUG("a new command's arena is full");
	return c->state;
}

bool command_set(struct command *c, struct sv text, struct uidset *out)
{
	switch (view_resolve(&c->room->view, text, c->is_uid ? SET_UIDS : SET_NUMBERS, out)) {
	case SET_OK:
		return true;
	case SET_LIMIT:
		command_no(c, "LIMIT", "Too many ranges");
		break;
	case SET_BAD:
		command_bad(c, "Bad message set, or a number that no message has");
		break;
	}
	uidset_done(out);
	return false;
}

bool command_name(struct command *c, struct sv wire, struct sv *name)
{
	struct buf utf8;
	bool is_good;

	buf_init(&utf8, MAILBOX_NAME_MAX);
	is_good = room_name(c->room, wire, &utf8);
	if (is_good) {
		/* RFC 3501 §6.3.3: a trailing delimiter only says that children will come;
		 * Thunderbird sends it. */
		if (utf8.len > 1 && utf8.p[utf8.len - 1] == '/')
			utf8.len--;
		/* RFC 3501 §5.1: in any case; so are the children's names as far as they name it.
		 */
		if (sv_eq_nocase(sv_sub(buf_sv(&utf8), 0, 6), SV("INBOX")) ||
		    sv_starts_nocase(buf_sv(&utf8), SV("INBOX/")))
			memcpy(utf8.p, "INBOX", 5);
		*name = arena_copy(&c->arena, buf_sv(&utf8));
		is_good = name->p && name->len;
	}
	buf_done(&utf8);
	if (!is_good)
		command_no(c, "CANNOT", "Not a mailbox name: empty, too long, or wrongly encoded");
	return is_good;
}

void command_write_mailbox(struct command *c, struct sv name)
{
	if (c->room->is_utf8)
		writer_mailbox_utf8(&c->out, name);
	else
		writer_mailbox(&c->out, name);
}

bool command_mailbox(struct command *c, struct sv *name)
{
	struct sv wire;

	c->wire_name = SV_NONE;
	if (!args_astring(&c->args, &wire)) {
		command_bad(c, "A mailbox name is missing");
		return false;
	}
	c->wire_name = wire;
	return command_name(c, wire, name);
}

/* ---- steps ---- */

uint64_t command_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* tell_progress - RFC 9585 §4: how far a long command is, now and then. A tag with `]` would end the code. */
static void tell_progress(struct command *c)
{
	uint64_t now = clock_ms(), progress = c->progress < c->goal ? c->progress : c->goal - 1;

	if (!capability_has(c->room->on, CAP_INPROGRESS) ||
	    now - c->progress_told_ms < c->room->conf->imap.progress_ms)
		return;
	c->progress_told_ms = now;
	writer_z(&c->out, "* OK [INPROGRESS (");
	if (sv_find(c->tag, ']') == SIZE_MAX)
		writer_quoted(&c->out, c->tag);
	else
		writer_z(&c->out, "NIL");
	writer_f(&c->out, " %llu %llu)] Still working\r\n", (unsigned long long)progress,
		 (unsigned long long)c->goal);
}

/* run - one step of the handler, within its budget. */
static enum step run(struct command *c)
{
	bool is_metered = c->spec->flags & CMD_METERED;
	uint64_t start = is_metered ? command_cpu_ns() : 0;

	if (!c->progress_told_ms)
		c->progress_told_ms = clock_ms();
	enum step step = c->spec->run(c);

	if (is_metered)
		c->cpu_ns += command_cpu_ns() - start;
	if (step == STEP_MORE && c->cpu_ns / 1000000u > c->room->conf->limits.command_cpu_ms)
		return command_no(c, "LIMIT", "This takes too long; ask for less");
	if (step == STEP_MORE && c->goal)
		tell_progress(c);
	return step;
}

/* updates - RFC 3501 §5.2: what others did, told where it may be told. */
static enum step updates(struct command *c, unsigned how)
{
	bool more;
	struct fault f = room_updates(c, how, NULL, &more);

	if (f.kind == FAULT_GONE) {
		/* RFC 2180 §3.3: the mailbox was deleted under us. What the client knows of it is
		 * void. */
		writer_z(&c->out, "* BYE The selected mailbox was deleted; log in again\r\n");
		return STEP_CLOSE;
	}
	if (f.kind) {
		log_error(c->log, "imap.updates.failed", KV_SV("user", c->room->account),
		          KV_SV("mailbox", c->room->box_name), KV_FAULT("fault", f));
		return STEP_DONE;       /* told the next time: the view stayed where it was */
	}
	return more ? STEP_MORE : STEP_DONE;
}

/* note_pending - RFC 7162 §3.2, §6: removals that may not be told now must not look as if they had been, by the
 * higher MODSEQs of other answers. Once they are told, the client may go on from where we are. */
static void note_pending(struct command *c)
{
	struct room *room = c->room;
	const struct view *v = &room->view;
	uint64_t modseq = v->modseq;

	if (!room->has_qresync || (!v->gone.count && !room->is_held_back))
		return;
	room->is_held_back = v->gone.count;
	if (room->is_held_back)
		modseq = v->gone_modseq > 1 ? v->gone_modseq - 1 : 1;
	writer_f(&c->out, "* OK [HIGHESTMODSEQ %llu] %s\r\n", (unsigned long long)modseq,
		 room->is_held_back ? "Removals are still to be told" : "All is told");
}

/* note_expunged - RFC 9051 §7.1: others removed what may not be told in answers to this command; NOOP would tell it. */
static void note_expunged(struct command *c, bool may_tell)
{
	if (!may_tell && c->room->box && c->room->view.gone.count && !strcmp(c->answer.word, "OK") && !c->answer.code && !c->code.len)
		c->answer.code = "EXPUNGEISSUED";
}

enum step command_step(struct command *c)
{
	unsigned flags = c->spec->flags;
	enum step step;

	switch (c->phase) {
	case PHASE_FRESH:
		if (flags & CMD_FRESH && c->room->box) {
			step = updates(c, flags & CMD_SEQNUMS ? 0 : UPDATES_EXPUNGE);
			if (step != STEP_DONE)
				return step;
		}
		c->phase = PHASE_RUN;
		__attribute__((fallthrough));
	case PHASE_RUN:
		if (c->room->has_uidonly && flags & CMD_SEQNUMS && !(flags & CMD_UID))
			step = command_uid_required(c);
		else if (flags & CMD_WRITES && c->room->is_readonly)
			step = command_no(c, "NOPERM", "The mailbox is open read-only");
		else
			step = run(c);
		if (step != STEP_DONE)
			return step;
		c->phase = PHASE_EVENTS;
		__attribute__((fallthrough));
	case PHASE_EVENTS:
		step = training_step(c);        /* first: a script may edit or remove what was moved */
		if (step == STEP_DONE)
			step = imapsieve_step(c);
		if (step != STEP_DONE)
			return step;
		c->phase = PHASE_UPDATES;
		__attribute__((fallthrough));
	case PHASE_UPDATES:
		if (!(flags & CMD_NO_UPDATES) && c->room->box) {
			step = arrivals_are_fetched(c->room) ? STEP_DONE :
			       updates(c, flags & CMD_NO_EXPUNGE || c->has_numbers ? 0 : UPDATES_EXPUNGE);
			if (step == STEP_DONE)
				step = arrivals_step(c);
			if (step != STEP_DONE)
				return step;
			note_pending(c);
		}
		c->phase = PHASE_ANSWER;
		__attribute__((fallthrough));
	case PHASE_ANSWER:
		limit_write_answer(c);
		note_expunged(c, !(flags & CMD_NO_EXPUNGE) && !c->has_numbers);
		if (!c->is_silent)
			writer_answer(&c->out, c->tag, c->answer, buf_sv(&c->code));
		c->phase = PHASE_OVER;
		return c->is_close_due ? STEP_CLOSE : STEP_DONE;
	case PHASE_OVER:
		break;
	}
	BUG("a step behind the answer of %s", c->spec->name);
}
