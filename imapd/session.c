/* imapd/session.c - how a session begins and ends, and who asks it from outside: see session.h. */
#include "imapd/session_private.h"

#include <stdlib.h>

#include "common/directory.h"
#include "common/events.h"
#include "common/kick.h"
#include "common/logins.h"
#include "common/memory.h"
#include "common/session_facts.h"

#include "common/banned.h"

#define TOKENS_MAX 16384

void session_enter(struct session *s, enum session_state state)
{
	static const char *const names[] = { "opening", "authenticated", "selected", "closing" };

	if (s->state == state)
		return;
	log_debug(&s->log, "imap.state", KV_Z("from", names[s->state]), KV_Z("to", names[state]));
	s->state = state;
}

/* ---- its end ---- */

void session_free(struct session *s)
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

void session_forget_command(struct session *s)
{
	if (!s->command)
		return;
	command_done(s->command);
	free(s->command);
	s->command = NULL;
}

void session_leave(struct session *s)
{
	session_forget_command(s);
	room_done(&s->room);
}

void session_unwatch(struct session *s)
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

void session_close(struct session *s, const char *reason)
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
		session_submit(s);
}

void session_hand_back(struct session *s)
{
	struct stream *stream = s->stream;

	s->reason = "unauthenticate";
	s->commands++;
	tell_end(s);
	roster_leave(&s->guest);
	s->stream = NULL;
	s->house->unauthenticated(stream, &s->log, s->house->user);
	session_close(s, s->reason);
}

void session_bye(struct session *s, const char *text, const char *reason)
{
	if (s->stream && !s->is_told)
		stream_writef(s->stream, "* BYE %s\r\n", text);
	session_close(s, reason);
}

/* ---- opening ---- */

bool session_knows_account(struct session *s)
{
	s->is_quota_due = maildir_user_known(s->house->store, s->identity, &s->room.user);
	return s->is_quota_due;
}

struct fault session_open_account(struct session *s)
{
	struct directory_account account;
	struct fault f = directory_account_get(s->house->directory, identity_address(s->identity), &account);

	if (f.kind)
		return f;
	struct quota quota = { account.quota_bytes, account.quota_messages };

	if (!s->is_quota_due)
		return maildir_user_open(s->house->store, s->identity, &quota, &s->room.user);
	maildir_user_set_quota(s->room.user, &quota);
	s->is_quota_due = false;
	return FAULT_OK;
}

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
	timer_init(&s->retry, house->loop, session_retry);
	s->at = &house->sessions;
	s->next = house->sessions;
	if (s->next)
		s->next->at = &s->next;
	house->sessions = s;
	house->count++;
	session_submit(s);
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
	session_bye(arg, "[UNAVAILABLE] " ROSTER_EVICTED_TEXT, "evicted");
}

static const struct stream_events session_events;

void session_opened(struct session *s)
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
		session_submit(s);
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

/* ---- the stream ---- */

static void on_writable(struct stream *stream, void *user)
{
	struct session *s = user;

	(void)stream;
	if (s->wait == WAIT_ROOM)
		session_go_on(s);
	else if (s->wait == WAIT_DRAIN)
		session_stepped(s);
	else if (s->wait == WAIT_LINE && s->has_notice)
		session_run(s, WAKE_NOTICE);
	else
		session_tell_events(s);
}

static void on_end(struct stream *stream, enum stream_end why, void *user)
{
	if (why == STREAM_IDLE)
		session_bye(user, "Autologout: no command for too long", "autologout");
	else
		session_close(user, stream_end_name(why));
	(void)stream;
}

static const struct stream_events session_events = {
	.on_input = session_input, .on_writable = on_writable, .on_end = on_end,
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
		session_run(s, WAKE_NOTICE);
	else
		session_tell_events(s);
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
		session_bye(s, "Ended by the administrator", "kicked");
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
			session_bye(s, "The server is stopping", "stop");
		else
			s->is_last = true;
	}
	if (!house->count && house->empty)
		house->empty(house->user);
}
