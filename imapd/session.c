/* imapd/session.c - see session.h. */
#include "imapd/session.h"

#include <stdlib.h>

#include "common/directory.h"
#include "common/events.h"
#include "common/memory.h"
#include "common/kick.h"
#include "common/logins.h"
#include "common/roster.h"
#include "common/session_facts.h"
#include "common/work.h"
#include "imapd/command.h"
#include "imapd/notify.h"

#include "common/banned.h"

#define INPUT_MAX (64u << 10)           /* while a message streams in: one piece for a job */
#define INPUT_IDLE_MAX (8u << 10)
#define LINE_MAX_OCTETS 1024            /* DONE */
#define TOKENS_MAX 16384
#define PIECE ((size_t)256 << 10)       /* of output, for the stream's bounded queue */
#define AHEAD (COMMAND_CHUNK * 3 / 2)    /* unsent output beyond which no step is run */
#define RETRY_MS 50
#define DROP_FACTOR 4 /* an unasked-for literal larger than this many limits ends the session */

enum session_state {
	SESSION_OPENING = 0,    /* the account is being opened; the door still has the stream */
	SESSION_AUTH,           /* RFC 3501 §3.2 */
	SESSION_SELECTED,       /* §3.3 */
	SESSION_CLOSING,        /* nothing is written any more; the room is being left */
};

/* What the session waits for. */
enum session_wait {
	WAIT_COMMAND = 0,       /* the client's next command, or the rest of one */
	WAIT_JOB,
	WAIT_ROOM,              /* for the client to read its output: the next step */
	WAIT_DRAIN,             /* likewise: the rest of this step's output */
	WAIT_LINE,              /* IDLE */
};

struct session {
	struct work job;
	struct session_house *house;
	struct session *next, **at;
	struct stream *stream;
	struct door *door;              /* while opening */
	struct grammar grammar;
	struct log_ctx log;
	struct conf *conf;
	struct auth_identity *identity;
	struct roster_guest guest;      /* from being let in until the stream is gone */
	struct room room;
	struct command *command;        /* that runs, or whose literal streams in */
	struct buf octets;              /* a piece of a literal, for a job */
	size_t written;                 /* of the step's output */
	struct timer retry;
	struct fault opened;
	enum step step;
	enum session_state state;
	enum session_wait wait;
	bool has_notice;                /* came while a job ran */
	bool is_watching;
	bool is_last;                   /* end behind the running command */
	bool is_told;                   /* BYE was said */
	enum {
		JOB_STEP = 0,
		JOB_OPEN,
		JOB_LEAVE
	} what; /* is done by the job; set before it runs */
	unsigned bad;
	uint64_t commands, began_ms;
	uint64_t modseq;                /* changes up to it were shown */
	const char *told_label;         /* of the client; compared only */
	struct sv mailbox;              /* selected, for those who look while a job runs; heap */
	const char *reason;             /* of its end */
};

static void submit(struct session *s);
static void run(struct session *s, enum command_wake wake);
static void go_on(struct session *s);
static bool refuse(struct session *s, const char *word, const char *text);

static void session_enter(struct session *s, enum session_state state)
{
	static const char *const names[] = { "opening", "authenticated", "selected", "closing" };

	if (s->state == state)
		return;
	log_debug(&s->log, "imap.state", KV_Z("from", names[s->state]), KV_Z("to", names[state]));
	s->state = state;
}

/* ---- its end ---- */

static void session_free(struct session *s)
{
	struct session_house *house = s->house;

	if (s->is_watching)
		BUG("a session is freed while the store would tell it of changes");
	timer_stop(&s->retry);
	*s->at = s->next;
	if (s->next)
		s->next->at = s->at;
	house->count--;
	grammar_done(&s->grammar);
	buf_done(&s->octets);
	client_done(&s->room.client);
	free((char *)s->mailbox.p);
	identity_unref(&s->identity);
	conf_unref(&s->conf);
	free(s);
	if (house->is_stopping && !house->count && house->empty)
		house->empty(house->user);
}

static void leave(struct session *s)
{
	if (s->command) {
		command_done(s->command);
		free(s->command);
		s->command = NULL;
	}
	room_done(&s->room);
}

/* unwatch - on the loop, before the account is closed. */
static void unwatch(struct session *s)
{
	if (!s->is_watching)
		return;
	s->is_watching = false;
	struct fault f = maildir_user_watch(s->room.user, NULL);

	if (f.kind)
		log_warn(&s->log, "imap.unwatch.failed", KV_FAULT("fault", f));
}

/* tell_synced - how far this device has seen, for `postroom device list`. */
static void tell_synced(struct session *s)
{
	if (!s->house->logins || !s->identity || !s->modseq)
		return;
	logins_synced(s->house->logins, &(struct login){
		.account = identity_account(s->identity),
		.address = *stream_peer(s->stream),
		.protocol = SV("imap"),
		.mechanism = identity_mechanism(s->identity),
		.credential = identity_label(s->identity),
		.tls = identity_tls(s->identity),
		.sid = sv_z(s->log.sid),
		.program = logins_program(s->room.client.label),
		.client = s->room.client.label,
		.number = identity_credential(s->identity),
	}, s->modseq);
}

/* tell_end - the session's last line in the log. */
static void tell_end(struct session *s)
{
	uint64_t in, out;

	stream_octets(s->stream, &in, &out);
	tell_synced(s);
	event_emit(&s->log, EVENT_SESSION_CLOSE, KV_Z("protocol", "imap"),
		   KV_SV("user", s->room.account), KV_Z("reason", s->reason),
		   KV_U64("commands", s->commands), KV_U64("in_octets", in),
		   KV_U64("out_octets", out),
		   KV_U64("took_ms", loop_now_ms(s->house->loop) - s->began_ms));
}

/* closing - the stream goes at once; the room is left in a job, since that may touch files. */
static void closing(struct session *s, const char *reason)
{
	if (s->state == SESSION_CLOSING)
		return;
	s->reason = reason;
	if (s->stream) {
		tell_end(s);
		roster_leave(&s->guest);
		stream_close(&s->stream, true);
	}
	session_enter(s, SESSION_CLOSING);
	if (s->wait != WAIT_JOB)
		submit(s);
}

/* hand_back - RFC 8437: the stream goes to the door, with what the client sent behind the command; everything else ends as
 * if the client had gone. */
static void hand_back(struct session *s)
{
	struct stream *stream = s->stream;

	s->reason = "unauthenticate";
	s->commands++;
	tell_end(s);
	roster_leave(&s->guest);
	s->stream = NULL;
	s->house->unauthenticated(stream, &s->log, s->house->user);
	closing(s, s->reason);
}

static void bye(struct session *s, const char *text, const char *reason)
{
	if (s->stream && !s->is_told)
		stream_writef(s->stream, "* BYE %s\r\n", text);
	closing(s, reason);
}

/* ---- jobs ---- */

static struct fault open_account(struct session *s)
{
	struct directory_account account;
	struct fault f =
		directory_account_get(s->house->directory, identity_address(s->identity), &account);

	if (f.kind)
		return f;
	struct quota quota = { account.quota_bytes, account.quota_messages };

	return maildir_user_open(s->house->store, s->identity, &quota, &s->room.user);
}

/* job_run - pool thread: the room and the command are ours. */
static void job_run(struct work *w)
{
	struct session *s = (struct session *)w;

	switch (s->what) {
	case JOB_STEP:
		s->step = command_step(s->command);
		break;
	case JOB_OPEN:
		s->opened = open_account(s);
		break;
	case JOB_LEAVE:
		leave(s);
		break;
	}
}

static void opened(struct session *s);
static void stepped(struct session *s);

static void job_done(struct work *w, bool is_cancelled)
{
	struct session *s = (struct session *)w;

	s->wait = WAIT_COMMAND;
	if (s->what == JOB_LEAVE || is_cancelled) {
		if (is_cancelled) { /* the process ends: nobody else is served by this loop any more
				     */
			unwatch(s);
			leave(s);
			roster_leave(&s->guest);
			if (s->stream)
				stream_close(&s->stream, false);
		}
		session_free(s);
		return;
	}
	if (s->state == SESSION_CLOSING) {
		submit(s);
		return;
	}
	if (s->what == JOB_OPEN)
		opened(s);
	else
		stepped(s);
}

static void retry(struct timer *t)
{
	submit(CONTAINER_OF(t, struct session, retry));
}

/* submit - have the next job run: a step of the command, or, when closing, leaving the room. */
static void submit(struct session *s)
{
	if (s->state == SESSION_CLOSING) {
		unwatch(s);
		s->what = JOB_LEAVE;
	} else {
		s->what = s->state == SESSION_OPENING ? JOB_OPEN : JOB_STEP;
	}
	s->wait = WAIT_JOB;
	s->job = (struct work){ .run = job_run, .done = job_done };
	struct fault f = work_submit(s->house->loop, WORK_MAIL, &s->job);

	if (!f.kind)
		return;
	if (f.kind ==
	    FAULT_BUSY) /* the pool's queue is full: the client waits, as everybody does */
		timer_start_ms(&s->retry, RETRY_MS);
	else
		job_done(&s->job, true);
}

/* ---- opening ---- */

void session_begin(struct session_house *house, struct door *door, struct auth_identity *identity)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->house = house;
	s->door = door;
	s->identity = identity;
	s->conf = conf_ref(house->conf);
	s->log = *door_log(door);
	s->began_ms = loop_now_ms(house->loop);
	s->room.account = identity_address(identity);
	s->room.conf = s->conf;
	s->room.on = house->on;
	s->room.filters = house->filters;
	s->room.training = house->training;
	timer_init(&s->retry, house->loop, retry);
	s->at = &house->sessions;
	s->next = house->sessions;
	if (s->next)
		s->next->at = &s->next;
	house->sessions = s;
	house->count++;
	submit(s);
}

void session_door_gone(struct session_house *house, struct door *door)
{
	for (struct session *s = house->sessions; s; s = s->next) {
		if (s->state != SESSION_OPENING || s->door != door)
			continue;
		s->door = NULL;
		session_enter(s, SESSION_CLOSING);
		return;
	}
}

static void make_place(void *arg)
{
	bye(arg, "[UNAVAILABLE] " ROSTER_EVICTED_TEXT, "evicted");
}

static const struct stream_events session_events;

static void opened(struct session *s)
{
	struct door_handover from;
	struct door *door = s->door;

	s->guest = (struct roster_guest){ .evict = make_place, .arg = s };
	bool may_enter = !s->opened.kind &&
			 roster_enter(s->house->roster, &s->guest, s->identity, door_stream(door), s->conf, &s->log);

	if (!may_enter) {
		s->door = NULL;
		if (s->opened.kind)
			door_refuse(door, s->opened);
		else
			door_turn_away(door);
		session_enter(s, SESSION_CLOSING);
		submit(s);
		return;
	}
	door_leave(&door, &from);
	s->door = NULL;
	s->stream = from.stream;
	s->grammar = from.grammar;
	s->room.client = from.client;
	s->room.on &= ~from.client.hidden;
	s->began_ms = from.opened_ms;
	const struct conf_imap *imap = &s->conf->imap;

	s->grammar.limits = (struct grammar_limits){
		.line = imap->line,
		.literal = imap->literal,
		.literal_nonsync = capability_unasked_max(s->room.on),
		.literals = imap->command,
		.depth = imap->list_depth,
		.tokens = TOKENS_MAX,
	};
	grammar_next(&s->grammar);
	stream_set_events(s->stream, &session_events, s);
	stream_set_idle_ms(s->stream, (uint32_t)imap->idle_ms);
	listener_logged_in(s->stream);
	session_enter(s, SESSION_AUTH);
	/* RFC 3501 §6.2.3: the new capabilities come with the answer, which saves every client a
	 * round trip. */
	struct capability_context context = { .on = s->room.on,
					      .is_logged_in = true,
					      .append_limit = s->conf->smtp.message_size,
					      .hostname = s->conf->host.hostname,
					      .message_limit = s->conf->imap.message_limit };
	struct writer w;

	writer_init(&w, INPUT_MAX);
	capability_write(&w, &context);
	stream_writef(s->stream, "%.*s OK [%.*s] Logged in\r\n", SV_FMT(from.tag),
		      SV_FMT(buf_sv(&w.buf)));
	writer_done(&w);
	free((char *)from.tag.p);
	stream_resume(s->stream);
}

/* ---- steps ---- */

/* rewatch - between commands only NOTIFY asks for notices, and ENABLE METADATA, which begins with a look. */
static void rewatch(struct session *s)
{
	bool is_wanted = notify_is_watching(s->room.notify);

	if (s->is_watching && !is_wanted)
		unwatch(s);
	if (s->is_watching || !is_wanted)
		return;
	struct fault f = maildir_user_watch(s->room.user, s);

	s->is_watching = s->has_notice = !f.kind;
	if (f.kind)
		log_error(&s->log, "imap.watch.failed", KV_FAULT("fault", f));
}

/* tell_events - what NOTIFY asked for is told now, if nothing else goes on; else when that is over. */
static bool tell_events(struct session *s)
{
	const struct args none = { &s->grammar, 0, 0 };

	if (!s->is_watching || !s->has_notice || s->wait != WAIT_COMMAND || s->command || s->is_last ||
	    !stream_has_room(s->stream))
		return false;
	s->command = xmalloc(sizeof(*s->command));
	command_init(s->command, &notify_events_spec, SV_NONE, none, &s->room, &s->log);
	s->command->is_silent = true;
	run(s, WAKE_NOTICE);
	return true;
}

/* events_over - the parser was not involved: it may be in the middle of a command. */
static void events_over(struct session *s)
{
	command_done(s->command);
	free(s->command);
	s->command = NULL;
	rewatch(s);
	if (s->is_last) {
		bye(s, "The server is stopping", "stop");
		return;
	}
	/* A command that has come meanwhile goes first; behind it there is another look. */
	if (s->has_notice && !stream_input(s->stream).len && tell_events(s))
		return;
	stream_resume(s->stream);
}

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
	if (notify_is_due(s->room.notify))
		s->has_notice = true;
	rewatch(s);
	if (s->command->answer.word && strcmp(s->command->answer.word, "BAD"))
		s->bad = 0;
	else
		s->bad++;
	s->commands++;
	s->house->commands++;
	command_done(s->command);
	free(s->command);
	s->command = NULL;
	buf_done(&s->octets);
	grammar_next(&s->grammar);
	stream_set_input_max(s->stream, INPUT_IDLE_MAX);
	stream_rest(s->stream, false);
	session_enter(s, s->room.box ? SESSION_SELECTED : SESSION_AUTH);
	note_room(s);
	if (s->is_last) {
		bye(s, "The server is stopping", "stop");
		return;
	}
	if (s->bad >= s->conf->imap.bad_commands) {
		bye(s, "Too many wrong commands", "bad-commands");
		return;
	}
	if (grammar_is_idle(&s->grammar) && !stream_input(s->stream).len)
		grammar_idle(&s->grammar);
	if (!tell_events(s))
		stream_resume(s->stream);
}

/* take_argument - the literal that is announced is an argument like any other. False: the command or the
 * session has ended. */
static bool take_argument(struct session *s)
{
	struct grammar *g = &s->grammar;

	if (grammar_take(g)) {
		if (g->literal.is_sync)
			stream_write(s->stream, SV("+ OK\r\n"));
		return true;
	}
	if (grammar_is_flood(g)) {
		bye(s, "[TOOBIG] Too much", "overflow");
		return false;
	}
	return !g->literal.is_sync || refuse(s, "NO", "[TOOBIG] Literal too large");
}

/* literal_decided - the command has looked at the literal that is announced. */
static void literal_decided(struct session *s)
{
	struct grammar *g = &s->grammar;

	if (s->command->is_literal_kept) {
		if (!take_argument(s))
			return;
	} else if (s->command->is_literal_taken) {
		if (g->literal.is_sync)
			stream_write(s->stream, SV("+ OK\r\n"));
		grammar_stream(g);
		stream_set_input_max(s->stream, INPUT_MAX);
	} else if (g->literal.size > s->conf->smtp.message_size * DROP_FACTOR) {
		bye(s, "[TOOBIG] The literal is far too large", "overflow");
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
		closing(s, "output-overflow");
		return false;
	}
	while (s->written < out->len) {
		struct sv piece = sv_sub(buf_sv(out), s->written, PIECE);

		if (!stream_has_room(s->stream)) {
			s->wait = WAIT_DRAIN;
			return false;
		}
		if (!stream_write(s->stream, piece)) {
			closing(s, "output-overflow");
			return false;
		}
		s->written += piece.len;
	}
	s->written = 0;
	buf_done(out);
	return true;
}

/* stepped - a step is done: write what it put out, then do what it wants. */
static void stepped(struct session *s)
{
	struct command *c = s->command;

	if (c->out.is_full) {
		log_error(&s->log, "imap.output.too-large", KV_Z("command", c->spec->name));
		closing(s, "output-too-large");
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
			hand_back(s);
			return;
		}
		if (c->is_compress_due)
			stream_compress(s->stream);
		command_over(s);
		return;
	case STEP_CLOSE:
		s->is_told = true;
		s->commands++;
		closing(s, c->is_close_due ? "logout" : "command");
		return;
	case STEP_MORE:
		/* The next chunk is made while this one is sent: a slow client costs two. */
		s->wait = WAIT_ROOM;
		if (stream_pending(s->stream) <= AHEAD)
			go_on(s);
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
			bye(s, "The server is stopping", "stop");
			return;
		}
		if (s->has_notice && stream_has_room(s->stream)) {
			run(s, WAKE_NOTICE);
			return;
		}
		if (!s->grammar.is_line)
			grammar_expect_line(&s->grammar, LINE_MAX_OCTETS);
		stream_resume(s->stream);
	} else {
		stream_resume(s->stream);
	}
}

/* go_on - the client has read what was written: the next chunk. */
static void go_on(struct session *s)
{
	s->command->wake = s->command->wake == WAKE_NOTICE ? WAKE_NOTICE : WAKE_RUN;
	submit(s);
}

/* run - wake the command for its next step. The stream stands still until it is done. */
static void run(struct session *s, enum command_wake wake)
{
	struct command *c = s->command;

	c->wake = wake;
	stream_pause(s->stream);
	if (wake == WAKE_NOTICE)
		s->has_notice = false;
	if (c->spec->flags & CMD_INLINE) {
		s->step = command_step(c);
		stepped(s);
		return;
	}
	submit(s);
}

/* ---- commands ---- */

/* refuse - the command cannot be run. False: the session has ended. */
static bool refuse(struct session *s, const char *word, const char *text)
{
	struct sv tag = grammar_tag(&s->grammar);

	stream_writef(s->stream, "%.*s %s %s\r\n", SV_FMT(tag.len ? tag : SV("*")), word, text);
	if (s->command) {               /* an APPEND whose line turned out to be bad */
		command_done(s->command);
		free(s->command);
		s->command = NULL;
	}
	grammar_next(&s->grammar);
	s->commands++;
	if (++s->bad < s->conf->imap.bad_commands)
		return true;
	bye(s, "Too many wrong commands", "bad-commands");
	return false;
}

/* find_spec - the command that the tokens name, and where its arguments begin. NULL: *text says
 * what is wrong. */
static const struct command_spec *find_spec(struct session *s, uint32_t *first, const char **text)
{
	const struct command_spec *spec;
	struct args args = args_from(&s->grammar, 1);
	char name[32];
	struct sv word, verb;

	*text = "Unknown command";
	if (!grammar_tag(&s->grammar).len) {
		*text = "Bad tag";
		return NULL;
	}
	if (!args_atom(&args, &word))
		return NULL;
	if (sv_eq_nocase(word, SV("UID"))) {
		if (!args_atom(&args, &verb) || verb.len > sizeof(name) - 5)
			return NULL;
		memcpy(name, "UID ", 4);
		memcpy(name + 4, verb.p, verb.len);
		word = sv_from(name, verb.len + 4);
	}
	*first = args.at;
	spec = command_find(word);
	if (!spec || !capability_has(s->room.on, spec->capability))
		return NULL;
	if (!(spec->states & (s->room.box ? ST_SELECTED : ST_AUTH))) {
		*text = "Select a mailbox first";
		return NULL;
	}
	return spec;
}

static struct command *command_new(struct session *s, const struct command_spec *spec,
				   uint32_t first)
{
	struct command *c = xmalloc(sizeof(*c));

	command_init(c, spec, grammar_tag(&s->grammar), args_from(&s->grammar, first), &s->room,
		     &s->log);
	s->command = c;
	return c;
}

/* watch - IDLE is to be told at once. Before its first look, so that nothing falls between. */
static bool watch(struct session *s)
{
	struct fault f = maildir_user_watch(s->room.user, s);

	if (f.kind) {
		log_error(&s->log, "imap.watch.failed", KV_FAULT("fault", f));
		return refuse(s, "NO", "[UNAVAILABLE] Cannot watch the mailbox now");
	}
	s->is_watching = true;
	return true;
}

/* run_command - the line is complete. False: wait, or the session has ended. */
static bool run_command(struct session *s)
{
	const struct command_spec *spec;
	const char *text;
	uint32_t first;

	if (s->command) {               /* APPEND, behind its literal */
		s->command->args = args_from(&s->grammar, s->command->args.at);
		run(s, WAKE_RUN);
		return false;
	}
	spec = find_spec(s, &first, &text);
	if (!spec)
		return refuse(s, "BAD", text);
	command_new(s, spec, first);
	if ((spec->run == do_idle || spec->run == do_notify) && !s->is_watching) {
		s->has_notice = false;
		if (!watch(s))
			return false;
	}
	if (s->command)
		run(s, WAKE_RUN);
	return false;
}

/* literal - one is announced. */
static bool literal(struct session *s)
{
	struct grammar *g = &s->grammar;
	const struct command_spec *spec;
	const char *text;
	uint32_t first = 0;

	/* The mailbox of APPEND, its first argument, may be a literal like any other. */
	spec = find_spec(s, &first, &text);
	bool streams = spec && (spec->flags & CMD_STREAMS ? g->count > first :
				spec->flags & CMD_STREAMS_LATER ? g->count > first + 1 : false);

	bool is_asked = g->literal.is_sync || g->literal.size <= g->limits.literal_nonsync;

	if ((s->command || streams) && is_asked) {
		if (!s->command)
			command_new(s, spec, first);
		s->command->args = args_from(g, s->command->args.at);
		s->command->literal = g->literal;
		run(s, WAKE_LITERAL);
		return false;
	}
	return take_argument(s);
}

static bool handle(struct session *s, enum grammar_event event)
{
	struct grammar *g = &s->grammar;

	switch (event) {
	case GRAMMAR_MORE:
	case GRAMMAR_LITERAL_END:
		return true;
	case GRAMMAR_COMMAND:
		return run_command(s);
	case GRAMMAR_LITERAL:
		return literal(s);
	case GRAMMAR_OCTETS:
		buf_clear(&s->octets);
		s->octets.max = INPUT_MAX;
		if (!buf_append(&s->octets, g->octets))
			BUG("more input than a stream keeps");
		s->command->octets = buf_sv(&s->octets);
		run(s, WAKE_OCTETS);
		return false;
	case GRAMMAR_LINE:
		s->command->line = g->octets;
		run(s, WAKE_LINE);
		return false;
	case GRAMMAR_BAD:
		rewatch(s);
		return refuse(s, g->is_too_big ? "NO [TOOBIG]" : "BAD", g->why);
	case GRAMMAR_OVERFLOW:
		bye(s, "[TOOBIG] Too much", "overflow");
		return false;
	}
	BUG("grammar event %d", (int)event);
}

static void on_input(struct stream *stream, void *user)
{
	struct session *s = user;

	while (stream_input_is_ready(stream)) {
		struct sv in = stream_input(stream);
		size_t had = in.len;

		if (!had)
			break;
		enum grammar_event event = grammar_feed(&s->grammar, &in);

		/* Octets of a literal are borrowed from the input: they are used before they are
		 * taken off. What runs a job pauses the stream; nothing is read behind it until the
		 * command is done. */
		if (event == GRAMMAR_OCTETS) {
			bool goes_on = handle(s, event);

			if (s->stream)
				stream_take(s->stream, had - in.len);
			if (!goes_on)
				return;
			continue;
		}
		stream_take(stream, had - in.len);
		if (!handle(s, event))
			return;
	}
}

static void on_writable(struct stream *stream, void *user)
{
	struct session *s = user;

	(void)stream;
	if (s->wait == WAIT_ROOM)
		go_on(s);
	else if (s->wait == WAIT_DRAIN)
		stepped(s);
	else if (s->wait == WAIT_LINE && s->has_notice)
		run(s, WAKE_NOTICE);
	else
		tell_events(s);
}

static void on_end(struct stream *stream, enum stream_end why, void *user)
{
	if (why == STREAM_IDLE)
		bye(user, "Autologout: no command for too long", "autologout");
	else
		closing(user, stream_end_name(why));
	(void)stream;
}

static const struct stream_events session_events = {
	.on_input = on_input, .on_writable = on_writable, .on_end = on_end,
};

/* ---- from outside ---- */

void session_notice(void *tag)
{
	struct session *s = tag;        /* every session ends its watch before it is freed */

	if (!s->is_watching)
		return;
	/* Who does not read what was told is told the rest when they have. */
	s->has_notice = true;
	if (s->wait == WAIT_LINE && stream_has_room(s->stream))
		run(s, WAKE_NOTICE);
	else
		tell_events(s);
}

bool session_describe_all(const struct session_house *house, struct control_reply *reply)
{
	for (const struct session *s = house->sessions; s; s = s->next) {
		if (!s->stream)         /* at the door, or gone */
			continue;
		struct session_facts facts = { .protocol = "imap", .log = &s->log, .identity = s->identity,
					       .stream = s->stream, .began_ms = s->began_ms,
					       .client = s->room.client.label, .mailbox = s->mailbox };
		struct json_out *j = control_line(reply);

		session_facts_put(j, &facts);
		json_out_u64(j, "commands", s->commands);
		workarounds_put(j, "workarounds", s->room.client.workarounds);
		if (!control_line_end(reply))
			return false;
	}
	return true;
}

size_t session_kick(struct session_house *house, const struct kick *kick)
{
	size_t ended = 0;

	for (struct session *s = house->sessions, *next; s; s = next) {
		next = s->next;
		if (!s->stream || !kick_is_for(kick, &s->log, s->identity))
			continue;
		bye(s, "Ended by the administrator", "kicked");
		ended++;
	}
	return ended;
}

void session_stop_all(struct session_house *house)
{
	struct session *s = house->sessions, *next;

	house->is_stopping = true;
	for (; s; s = next) {
		next = s->next;
		if (s->wait == WAIT_LINE || (s->wait == WAIT_COMMAND && !s->command))
			bye(s, "The server is stopping", "stop");
		else
			s->is_last = true;
	}
	if (!house->count && house->empty)
		house->empty(house->user);
}
