/* imapd/session_steps.c - a session's jobs: steps of the command that runs, their output, and what follows from them. */
#include "imapd/session_private.h"

#include <stdlib.h>
#include <string.h>

#include "common/logins.h"
#include "common/memory.h"
#include "imapd/notify.h"

#include "common/banned.h"

#define INPUT_IDLE_MAX (8u << 10)
#define LINE_MAX_OCTETS 1024            /* DONE */
#define PIECE ((size_t)256 << 10)       /* of output, for the stream's bounded queue */
#define AHEAD (COMMAND_CHUNK * 3 / 2)    /* unsent output beyond which no step is run */
#define RETRY_MS 50
#define DROP_FACTOR 4 /* an unasked-for literal larger than this many limits ends the session */

/* ---- jobs ---- */

/* is_streaming - does it read messages as they come, and is it not at its end? */
static bool is_streaming(const struct command *c)
{
	return c->spec->flags & (CMD_STREAMS | CMD_STREAMS_LATER) && (c->wake == WAKE_LITERAL || c->wake == WAKE_OCTETS);
}

/* job_run - pool thread, or the loop when that is all in memory: the room and the command are ours. */
static void job_run(struct work *w)
{
	struct session *s = (struct session *)w;

	switch (s->what) {
	case JOB_STEP:
		if (s->is_quota_due)
			s->opened = session_open_account(s);
		if (s->opened.kind)
			break;
		s->step = command_step(s->command);
		if (is_streaming(s->command))
			session_read_ahead(s);
		break;
	case JOB_OPEN:
		if (!s->is_quota_due)
			s->opened = session_open_account(s);
		break;
	case JOB_LEAVE:
		session_leave(s);
		break;
	}
}

static void job_done(struct work *w, bool is_cancelled)
{
	struct session *s = (struct session *)w;

	s->wait = WAIT_COMMAND;
	if (s->what == JOB_LEAVE || is_cancelled) {
		if (is_cancelled) {     /* the process ends: nobody else is served by this loop any more */
			session_unwatch(s);
			session_leave(s);
			roster_leave(&s->guest);
			if (s->stream)
				stream_close(&s->stream, false);
		}
		session_free(s);
		return;
	}
	if (s->state == SESSION_CLOSING) {
		session_submit(s);
		return;
	}
	if (s->what == JOB_OPEN) {
		session_opened(s);
		return;
	}
	if (s->opened.kind) {
		session_bye(s, "[UNAVAILABLE] The account cannot be opened now", "open");
		return;
	}
	stream_take(s->stream, s->ahead_len - s->ahead.len);
	s->ahead_len = s->ahead.len = 0;
	session_stepped(s);
}

void session_retry(struct timer *t)
{
	session_submit(CONTAINER_OF(t, struct session, retry));
}

/* leaves_memory - is there nothing to be left that a worker would have to close? A mailbox is memory, but not what is read in it. */
static bool leaves_memory(const struct session *s)
{
	return !s->room.notify && !s->room.arrivals && !s->room.contexts &&
	       (!s->command || s->command->spec->flags & CMD_INLINE);
}

/* is_memory - is the job done without files and indexes? */
static bool is_memory(struct session *s)
{
	return s->what == JOB_LEAVE ? leaves_memory(s) : s->what == JOB_OPEN && session_knows_account(s);
}

void session_submit(struct session *s)
{
	if (s->state == SESSION_CLOSING) {
		session_unwatch(s);
		s->what = JOB_LEAVE;
	} else {
		s->what = s->state == SESSION_OPENING ? JOB_OPEN : JOB_STEP;
	}
	s->wait = WAIT_JOB;
	s->job = (struct work){ .run = job_run, .done = job_done };
	struct fault f = is_memory(s) ? work_soon(s->house->loop, &s->job) : work_submit(s->house->loop, WORK_MAIL, &s->job);

	if (!f.kind)
		return;
	if (f.kind == FAULT_BUSY)       /* the pool's queue is full: the client waits, as everybody does */
		timer_start_ms(&s->retry, RETRY_MS);
	else
		job_done(&s->job, true);
}

/* ---- notices ---- */

void session_rewatch(struct session *s)
{
	bool is_wanted = notify_is_watching(s->room.notify);

	if (s->is_watching && !is_wanted)
		session_unwatch(s);
	if (s->is_watching || !is_wanted)
		return;
	struct fault f = maildir_user_watch(s->room.user, s);

	s->is_watching = s->has_notice = !f.kind;
	if (f.kind)
		log_error(&s->log, "imap.watch.failed", KV_FAULT("fault", f));
}

bool session_tell_events(struct session *s)
{
	const struct args none = { &s->grammar, 0, 0 };

	if (!s->is_watching || !s->has_notice || s->wait != WAIT_COMMAND || s->command || s->is_last ||
	    !stream_has_room(s->stream))
		return false;
	s->command = xmalloc(sizeof(*s->command));
	command_init(s->command, &notify_events_spec, SV_NONE, none, &s->room, &s->log);
	s->command->is_silent = true;
	session_run(s, WAKE_NOTICE);
	return true;
}

/* events_over - the parser was not involved: it may be in the middle of a command. */
static void events_over(struct session *s)
{
	session_forget_command(s);
	session_rewatch(s);
	if (s->is_last) {
		session_bye(s, "The server is stopping", "stop");
		return;
	}
	/* A command that has come meanwhile goes first; behind it there is another look. */
	if (s->has_notice && !stream_input(s->stream).len && session_tell_events(s))
		return;
	stream_resume(s->stream);
}

/* ---- steps ---- */

/* note_room - what the loop may know of the room while a job has it. */
static void note_room(struct session *s)
{
	if (s->room.box && s->room.view.modseq > s->modseq)
		s->modseq = s->room.view.modseq;
	if (s->room.client.label.p != s->told_label) {  /* it has said its name */
		s->told_label = s->room.client.label.p;
		if (s->house->logins)
			logins_client(s->house->logins, sv_z(s->log.sid), s->room.client.label);
	}
	if (sv_eq(s->mailbox, s->room.box_name))
		return;
	free((char *)s->mailbox.p);
	s->mailbox = s->room.box_name;
	if (s->mailbox.len)
		s->mailbox.p = sv_copy_z(s->mailbox);
}

static void command_over(struct session *s)
{
	if (notify_is_due(&s->room))
		s->has_notice = true;
	session_rewatch(s);
	if (s->command->answer.word && strcmp(s->command->answer.word, "BAD"))
		s->bad = 0;
	else
		s->bad++;
	s->commands++;
	s->house->commands++;
	session_forget_command(s);
	buf_done(&s->octets);
	grammar_next(&s->grammar);
	stream_set_input_max(s->stream, INPUT_IDLE_MAX);
	stream_rest(s->stream, false);
	session_enter(s, s->room.box ? SESSION_SELECTED : SESSION_AUTH);
	note_room(s);
	if (s->is_last) {
		session_bye(s, "The server is stopping", "stop");
		return;
	}
	if (s->bad >= s->conf->imap.bad_commands) {
		session_bye(s, "Too many wrong commands", "bad-commands");
		return;
	}
	if (grammar_is_idle(&s->grammar) && !stream_input(s->stream).len)
		grammar_idle(&s->grammar);
	if (!session_tell_events(s))
		stream_resume(s->stream);
}

/* literal_decided - the command has looked at the literal that is announced. */
static void literal_decided(struct session *s)
{
	struct grammar *g = &s->grammar;

	if (s->command->is_literal_kept) {
		if (!session_take_argument(s))
			return;
	} else if (s->command->is_literal_taken) {
		if (g->literal.is_sync)
			stream_write(s->stream, SV("+ OK\r\n"));
		grammar_stream(g);
		stream_set_input_max(s->stream, INPUT_MAX);
	} else if (g->literal.size > s->conf->smtp.message_size * DROP_FACTOR) {
		session_bye(s, "[TOOBIG] The literal is far too large", "overflow");
		return;
	} else {
		grammar_drop(g);
	}
	stream_resume(s->stream);
}

/* write_out - the step's output. A single response may be larger than what a stream queues (SEARCH
 * in a mailbox of a million): then it goes in pieces, as the client reads. False: not all of it
 * yet, or the session has ended. */
static bool write_out(struct session *s)
{
	struct buf *out = &s->command->out.buf;

	if (out->len <= PIECE) {
		if (!out->len || stream_write_buf(s->stream, out))
			return true;
		session_close(s, "output-overflow");
		return false;
	}
	while (s->written < out->len) {
		struct sv piece = sv_sub(buf_sv(out), s->written, PIECE);

		if (!stream_has_room(s->stream)) {
			s->wait = WAIT_DRAIN;
			return false;
		}
		if (!stream_write(s->stream, piece)) {
			session_close(s, "output-overflow");
			return false;
		}
		s->written += piece.len;
	}
	s->written = 0;
	buf_done(out);
	return true;
}

void session_stepped(struct session *s)
{
	struct command *c = s->command;

	if (c->out.is_full) {
		log_error(&s->log, "imap.output.too-large", KV_Z("command", c->spec->name));
		session_close(s, "output-too-large");
		return;
	}
	if (!write_out(s))
		return;
	s->wait = WAIT_COMMAND;
	switch (s->step) {
	case STEP_DONE:
		if (c->is_silent) {
			events_over(s);
			return;
		}
		if (c->wake == WAKE_LITERAL)    /* refused before it was sent */
			grammar_refuse(&s->grammar);
		if (c->is_unauthenticate_due && !s->is_last) {
			session_hand_back(s);
			return;
		}
		if (c->is_compress_due)
			stream_compress(s->stream);
		command_over(s);
		return;
	case STEP_CLOSE:
		s->is_told = true;
		s->commands++;
		session_close(s, c->is_close_due ? "logout" : "command");
		return;
	case STEP_MORE:
		/* The next chunk is made while this one is sent: a slow client costs two. */
		s->wait = WAIT_ROOM;
		if (stream_pending(s->stream) <= AHEAD)
			session_go_on(s);
		return;
	case STEP_WAIT:
		break;
	}
	if (c->wake == WAKE_LITERAL) {
		literal_decided(s);
	} else if (c->is_line_wanted) {
		s->wait = WAIT_LINE;
		stream_rest(s->stream, true);
		if (s->is_last) {
			session_bye(s, "The server is stopping", "stop");
			return;
		}
		if (s->has_notice && stream_has_room(s->stream)) {
			session_run(s, WAKE_NOTICE);
			return;
		}
		if (!s->grammar.is_line)
			grammar_expect_line(&s->grammar, LINE_MAX_OCTETS);
		stream_resume(s->stream);
	} else {
		enum grammar_event left = s->left;

		s->left = GRAMMAR_MORE;
		stream_set_input_max(s->stream, INPUT_MAX);     /* it was a message's octets */
		if (left == GRAMMAR_MORE || session_handle(s, left))
			stream_resume(s->stream);
	}
}

void session_go_on(struct session *s)
{
	s->command->wake = s->command->wake == WAKE_NOTICE ? WAKE_NOTICE : WAKE_RUN;
	session_submit(s);
}

void session_run(struct session *s, enum command_wake wake)
{
	struct command *c = s->command;

	c->wake = wake;
	stream_pause(s->stream);
	if (wake == WAKE_NOTICE)
		s->has_notice = false;
	if (c->spec->flags & CMD_INLINE) {
		s->step = command_step(c);
		session_stepped(s);
		return;
	}
	session_submit(s);
}
