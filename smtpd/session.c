#include "smtpd/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/events.h"
#include "common/kick.h"
#include "common/memory.h"
#include "common/session_facts.h"
#include "smtpd/local.h"
#include "smtpd/session_private.h"

#include "common/banned.h"

#define INPUT_LINES (8u << 10)          /* octets read ahead: pipelined commands */
#define INPUT_OCTETS (32u << 10)        /* in DATA */
#define WATCH_MS 5000

/* ---- replies ---- */

void session_write(struct session *s, unsigned code, const char *enhanced, struct sv text)
{
	struct buf out;

	if (!s->stream)
		return;
	buf_init(&out, 8192);
	if (!reply_write(&out, code, enhanced, text) || !stream_write(s->stream, buf_sv(&out)))
		session_close(s, "output");
	buf_done(&out);
}

void session_say(struct session *s, enum reply_id reply)
{
	const struct reply *r = reply_get(reply);

	if (r->reason)
		s->refused_for = r->reason;
	if (r->reason)
		log_info(&s->log, "smtp.refused", KV_Z("command", s->verb ? s->verb : "-"),
			 KV_U64("code", r->code), KV_Z("reason", r->reason));
	session_write(s, r->code, r->enhanced, sv_z(r->text));
}

void session_answer(struct session *s, const struct transaction_answer *answer)
{
	const struct reply *r = reply_get(answer->reply);

	session_write(s, r->code, r->enhanced, sv_z(answer->text[0] ? answer->text : r->text));
}

/* ---- reading, waiting, going on ---- */

/* busy - when strangers fill the house, nobody may be silent for long. */
static uint32_t idle_ms(const struct session *s, uint64_t usual_ms)
{
	bool is_busy = listener_load_percent(s->server->worker->listeners) > 80;
	uint64_t ms =
		is_busy && s->conf->smtp.busy_ms < usual_ms ? s->conf->smtp.busy_ms : usual_ms;

	return (uint32_t)ms;
}

static void watch_session_age(struct session *s)
{
	if (session_kind(s) == LISTENER_MX)
		timer_start_ms(&s->watch, s->conf->smtp.session_age_ms);
	else
		timer_stop(&s->watch);
}

static void enter(struct session *s, enum session_mode mode)
{
	bool was_octets = s->mode != MODE_LINES && s->mode != MODE_WAIT;

	s->mode = mode;
	if (mode == MODE_LINES) {
		stream_set_input_max(s->stream, INPUT_LINES);
		stream_set_idle_ms(s->stream, idle_ms(s, s->conf->smtp.command_ms));
	}
	if (was_octets && (mode == MODE_LINES || mode == MODE_WAIT))
		watch_session_age(s);
}

void session_wait(struct session *s)
{
	enter(s, MODE_WAIT);
	stream_pause(s->stream);
}

void session_go(struct session *s)
{
	if (!s->stream)
		return;
	if (s->server->is_stopping || s->is_evicted) {
		session_say(s, s->is_evicted ? REPLY_EVICTED : REPLY_SHUTDOWN);
		session_close(s, s->is_evicted ? "evicted" : "stopping");
		return;
	}
	enter(s, MODE_LINES);
	stream_resume(s->stream);
}

void session_begin_octets(struct session *s, enum session_mode mode)
{
	bool is_first = mode != MODE_CHUNK || !s->data_octets;

	s->mode = mode;
	s->paused_at_ms = 0;
	if (is_first) {
		s->data_ms = loop_now_ms(s->server->loop);
		s->data_octets = 0;
		s->paused_ms = 0;
	}
	stream_set_input_max(s->stream, INPUT_OCTETS);
	stream_set_idle_ms(s->stream, idle_ms(s, s->conf->smtp.data_ms));
	timer_start_ms(&s->watch, WATCH_MS);
}

void session_forget_mail(struct session *s)
{
	transaction_free(&s->mail);
	s->data_octets = 0;
	if (s->state != ST_NEW)
		s->state = ST_READY;
}

void session_close_after_reply(struct session *s)
{
	bool is_quit = s->verb && !strcmp(s->verb, "QUIT");

	session_close(s, is_quit ? "quit" : s->refused_for ? s->refused_for : "refused");
}

/* ---- answers that are held back ---- */

static void on_delay_end(struct timer *t)
{
	struct session *s = CONTAINER_OF(t, struct session, delay);
	bool sent = stream_write(s->stream, buf_sv(&s->held));

	buf_done(&s->held);
	if (!sent)
		session_close(s, "output");
	else
		session_go(s);
}

static void hold(struct session *s, const struct reply *r, struct sv text, uint64_t delay_ms)
{
	buf_clear(&s->held);
	if (!reply_write(&s->held, r->code, r->enhanced, text))
		BUG("session: a reply does not fit");
	session_wait(s);
	timer_start_ms(&s->delay, delay_ms);
}

void session_answer_later(struct session *s, const struct transaction_answer *answer,
			  uint64_t delay_ms)
{
	const struct reply *r = reply_get(answer->reply);

	hold(s, r, sv_z(answer->text[0] ? answer->text : r->text), delay_ms);
}

#define BAD_DELAY_MS 1000

enum step session_bad(struct session *s, enum reply_id reply)
{
	const struct reply *r = reply_get(reply);

	s->bad++;
	if (s->bad >= s->conf->smtp.bad_commands_hard) {
		session_say(s, REPLY_TOO_MANY_BAD);
		return STEP_CLOSE;
	}
	if (s->bad <= s->conf->smtp.bad_commands_soft) {
		session_say(s, reply);
		return STEP_DONE;
	}
	log_info(&s->log, "smtp.refused", KV_Z("command", s->verb ? s->verb : "-"),
		 KV_U64("code", r->code), KV_Z("reason", r->reason ? r->reason : "-"));
	hold(s, r, sv_z(r->text), BAD_DELAY_MS);
	return STEP_WAIT;
}

/* ---- clocks ---- */

/* is_too_slow - the average since the beginning, without the time in which we did not read (RFC
 * 5321 §4.5.3.2 speaks of the time between packets only, and a patient attacker knows that). */
static bool is_too_slow(const struct session *s)
{
	uint64_t now = loop_now_ms(s->server->loop);
	uint64_t took =
		now - s->data_ms - s->paused_ms - (s->paused_at_ms ? now - s->paused_at_ms : 0);

	if (took > s->conf->smtp.data_total_ms)
		return true;
	return took > s->conf->smtp.data_grace_ms &&
	       s->data_octets <
		       (took - s->conf->smtp.data_grace_ms) / 1000 * s->conf->smtp.data_min_rate;
}

static void on_watch(struct timer *t)
{
	struct session *s = CONTAINER_OF(t, struct session, watch);

	if (s->mode == MODE_DATA || s->mode == MODE_CHUNK || s->mode == MODE_SKIP) {
		if (!is_too_slow(s)) {
			timer_start_ms(&s->watch, WATCH_MS);
			return;
		}
		session_say(s, REPLY_TOO_SLOW);
		session_close(s, "too-slow");
		return;
	}
	if (s->mode == MODE_WAIT) {     /* not while a message is being delivered */
		timer_start_ms(&s->watch, WATCH_MS);
		return;
	}
	session_say(s, REPLY_SESSION_TOO_LONG);
	session_close(s, "session-age");
}

/* ---- input ---- */

static enum step take_line(struct session *s)
{
	struct sv in = stream_input(s->stream);
	size_t had = in.len;
	enum feed feed = line_reader_feed(&s->lines, &in);
	struct sv line = buf_sv(&s->lines.line);

	stream_take(s->stream, had - in.len);
	if (feed == FEED_MORE)
		return STEP_DONE;
	if (s->lines.faults & (LINE_ENDLESS | LINE_TOO_LONG)) {
		session_say(s,
			    door_wants_line(&s->door) ? REPLY_AUTH_TOO_LONG : REPLY_LINE_TOO_LONG);
		return STEP_CLOSE;
	}
	/* Old devices may end lines as they like: in an exchange, too. */
	bool is_bad = feed == FEED_BAD && !(session_kind(s) == LISTENER_LEGACY && s->lines.faults == LINE_BARE_LF);

	if (door_wants_line(&s->door)) {
		door_line(&s->door, line, is_bad);
		return s->door.state == DOOR_OPEN ? STEP_DONE : STEP_WAIT;
	}
	if (is_bad) {
		s->verb = "-";
		if (!s->commands++) {
			session_say(s, REPLY_NOT_SMTP);
			return STEP_CLOSE;
		}
		return session_bad(s, REPLY_BAD_LINE);
	}
	return command_run(s, line);
}

/* pause_if_full - until the disk has caught up. */
static enum step pause_if_full(struct session *s)
{
	if (!transaction_is_full(s->mail))
		return STEP_DONE;
	s->paused_at_ms = loop_now_ms(s->server->loop);
	stream_pause(s->stream);
	return STEP_WAIT;
}

static enum step take_data(struct session *s)
{
	struct sv in = stream_input(s->stream);
	size_t had = in.len;
	enum feed feed;

	if (pause_if_full(s) == STEP_WAIT)
		return STEP_WAIT;
	feed = transaction_feed(s->mail, &in);
	s->data_octets += had - in.len;
	stream_take(s->stream, had - in.len);
	if (feed != FEED_DONE)
		return STEP_DONE;
	command_octets_done(s);
	return STEP_WAIT;
}

/* end_of_chunk - `left` has become 0. Between chunks no clock of ours runs, so the average is looked
 * at here, too. */
static enum step end_of_chunk(struct session *s)
{
	if (is_too_slow(s)) {
		session_say(s, REPLY_TOO_SLOW);
		return STEP_CLOSE;
	}
	if (s->mode == MODE_SKIP) {
		enter(s, MODE_LINES);
		session_say(s, s->skip_reply);
		return STEP_DONE;
	}
	if (s->is_last_chunk) {
		command_octets_done(s);
		return STEP_WAIT;
	}
	enter(s, MODE_LINES);
	command_chunk_done(s);
	return STEP_DONE;
}

static enum step take_chunk(struct session *s)
{
	struct sv in =
		sv_sub(stream_input(s->stream), 0, s->left > SIZE_MAX ? SIZE_MAX : (size_t)s->left);
	size_t had = in.len;

	if (s->mode == MODE_CHUNK && s->left && pause_if_full(s) == STEP_WAIT)
		return STEP_WAIT;
	if (s->mode == MODE_CHUNK)
		(void)transaction_feed(s->mail, &in);
	else
		sv_skip(&in, in.len);
	s->left -= had - in.len;
	s->data_octets += had - in.len;
	stream_take(s->stream, had - in.len);
	return s->left ? STEP_DONE : end_of_chunk(s);
}

/* has_input - BDAT 0 is complete without an octet. */
static bool has_input(const struct session *s)
{
	if (!s->stream || s->mode == MODE_WAIT)
		return false;
	return stream_input_is_ready(s->stream) ||
	       ((s->mode == MODE_CHUNK || s->mode == MODE_SKIP) && !s->left);
}

static void on_input(struct stream *stream, void *user)
{
	struct session *s = user;
	enum step step = STEP_DONE;

	(void)stream;
	if (s->door.state == DOOR_SHUT) {
		door_input(&s->door);
		return;
	}
	while (step == STEP_DONE && has_input(s)) {
		if (s->mode == MODE_LINES)
			step = take_line(s);
		else if (s->mode == MODE_DATA)
			step = take_data(s);
		else
			step = take_chunk(s);
	}
	if (step == STEP_CLOSE)
		session_close_after_reply(s);
	else if (s->stream && line_reader_is_idle(&s->lines))
		line_reader_rest(&s->lines);
}

static void on_tls(struct stream *stream, void *user)
{
	struct session *s = user;

	(void)stream;
	door_tls_done(&s->door);
}

static void on_end(struct stream *stream, enum stream_end why, void *user)
{
	struct session *s = user;

	(void)stream;
	if (why == STREAM_TLS_FAILED || why == STREAM_TLS_SLOW)
		event_emit(&s->log, EVENT_TLS_FAILED, KV_Z("protocol", "smtp"),
			   KV_Z("reason", stream_end_detail(s->stream)));
	if (why == STREAM_IDLE)
		session_say(s, REPLY_IDLE);
	session_close(s, stream_end_name(why));
}

static const struct stream_events events = {
	.on_input = on_input,
	.on_tls = on_tls,
	.on_end = on_end,
};

/* ---- the door's events ---- */

static void door_says(void *user, enum reply_id reply)
{
	session_say(user, reply);
}

void session_greet(struct session *s)
{
	struct buf text;

	buf_init(&text, REPLY_TEXT_MAX);
	buf_appendf(&text, "%s %s Postroom", s->conf->host.hostname,
		    session_kind(s) == LISTENER_LMTP ? "LMTP" : "ESMTP");
	session_write(s, 220, NULL, buf_sv(&text));
	buf_done(&text);
}

static void door_is_open(void *user)
{
	session_greet(user);
	watch_session_age(user);
}

static void door_has_tls(void *user)
{
	struct session *s = user;

	session_forget_mail(s);
	s->state = ST_NEW;
	s->is_extended = false;
	s->helo[0] = '\0';
}

static void door_auth_ended(void *user)
{
	struct session *s = user;

	if (s->door.identity)
		s->server->counters.logins++;
	else
		s->server->counters.login_failures++;
	session_go(s);
}

/* A message that is being taken over is not given back for that: its sender would send it again. */
static void door_evicts(void *user)
{
	struct session *s = user;

	s->is_evicted = true;
	if (s->mode != MODE_WAIT)
		session_go(s);
}

static void door_closes(void *user, const char *reason)
{
	session_close(user, reason);
}

static const struct door_events door_events = {
	.say = door_says,
	.on_open = door_is_open,
	.on_tls = door_has_tls,
	.on_auth_end = door_auth_ended,
	.evict = door_evicts,
	.close = door_closes,
};

/* ---- life ---- */

void session_free(struct session **ps)
{
	struct session *s = *ps;

	*ps = NULL;
	*s->at = s->next;
	if (s->next)
		s->next->at = s->at;
	s->server->session_count--;
	line_reader_done(&s->lines);
	buf_done(&s->held);
	conf_unref(&s->conf);
	free(s);
}

static void bury(struct deferred *d)
{
	struct session *s = CONTAINER_OF(d, struct session, burial);
	struct smtpd *server = s->server;

	session_free(&s);
	if (!server->session_count && server->is_stopping)
		worker_stopped(server->worker);
}

void session_close(struct session *s, const char *reason)
{
	uint64_t in = 0, out = 0;
	struct sv user = s->door.identity ? identity_address(s->door.identity) : SV_NONE;

	if (!s->stream)
		return;
	stream_octets(s->stream, &in, &out);
	event_emit(&s->log, EVENT_SESSION_CLOSE, KV_Z("protocol", "smtp"), KV_SV("user", user),
		   KV_Z("reason", reason), KV_U64("commands", s->commands),
		   KV_U64("messages", s->messages), KV_U64("in_octets", in),
		   KV_U64("out_octets", out),
		   KV_U64("took_ms", loop_now_ms(s->server->loop) - s->began_ms));
	transaction_free(&s->mail);
	door_done(&s->door);
	timer_stop(&s->delay);
	timer_stop(&s->watch);
	stream_close(&s->stream, true);
	s->mode = MODE_WAIT;
	deferred_call(&s->burial);
}

/* admit_local - nobody logs in on a local listener: the kernel says who is there. */
static bool admit_local(struct session *s)
{
	char peer[32];
	struct buf address;
	uid_t uid;
	bool ok = stream_peer_user(s->stream, &uid);

	buf_init(&address, DIRECTORY_ADDRESS_MAX);
	ok = ok && local_address(s->server->local, uid, &address);
	if (ok) {
		snprintf(peer, sizeof(peer), "uid:%lu", (unsigned long)uid);
		log_ctx_set_peer(&s->log, sv_z(peer));
		s->door.identity = identity_for_local(buf_sv(&address));
		s->is_local_admin = local_may_send_any(uid);
		listener_logged_in(s->stream);
	}
	buf_done(&address);
	return ok;
}

/* admit_device - to a legacy listener come those that the configuration names, and nobody else gets as far as a greeting. */
static bool admit_device(struct session *s)
{
	const struct conf_legacy *legacy = &s->conf->legacy;

	if (!netaddr_in(&s->peer, &legacy->networks)) {
		session_say(s, REPLY_NO_DEVICE);
		return false;
	}
	if (*legacy->sender)
		s->door.device = identity_for_device(sv_z(legacy->sender));
	return true;
}

void session_start(struct stream *stream, const struct listener *listener, void *user)
{
	struct smtpd *server = user;
	struct session *s = xcalloc(1, sizeof(*s));
	char text[NETADDR_TEXT_MAX];
	bool has_auth;

	s->server = server;
	s->stream = stream;
	s->listener = listener;
	s->conf = conf_ref(server->worker->conf);
	s->state = ST_NEW;
	s->peer = *stream_peer(stream);
	s->began_ms = s->mail_ms = loop_now_ms(server->loop);
	log_ctx_init(&s->log);
	log_ctx_set_peer(&s->log, netaddr_text(stream_peer(stream), text));
	has_auth = listener->kind->kind & (LISTENER_SUBMISSION | LISTENER_SUBMISSIONS | LISTENER_LEGACY);
	line_reader_init(&s->lines,
			 has_auth ? s->conf->smtp.auth_line : s->conf->smtp.command_line);
	buf_init(&s->held, 8192);
	timer_init(&s->delay, server->loop, on_delay_end);
	timer_init(&s->watch, server->loop, on_watch);
	deferred_init(&s->burial, server->loop, bury);
	s->next = server->sessions;
	s->at = &server->sessions;
	if (s->next)
		s->next->at = &s->next;
	server->sessions = s;
	server->session_count++;
	server->counters.sessions++;
	event_emit(&s->log, EVENT_SESSION_OPEN, KV_Z("listener", listener->name),
		   KV_Z("protocol", "smtp"), KV_BOOL("tls", listener->tls == CONF_TLS_IMPLICIT));
	stream_set_events(stream, &events, s);
	stream_set_idle_ms(stream, idle_ms(s, s->conf->smtp.command_ms));
	s->door = (struct door){
		.stream = stream,
		.loop = server->loop,
		.listener = listener,
		.conf = s->conf,
		.auth = server->auth,
		.roster = server->roster,
		.tls = server->worker->tls,
		.log = &s->log,
		.helo = s->helo,
		.events = &door_events,
		.user = s,
	};
	if (listener->kind->kind == LISTENER_LOCAL && !admit_local(s)) {
		session_close(s, "local-user");
		return;
	}
	if (listener->kind->kind == LISTENER_LEGACY && !admit_device(s)) {
		session_close(s, "not-listed");
		return;
	}
	door_init(&s->door);
}

/* is_asking - what is asked about an envelope can take as long as the slowest DNS, and nothing is lost with it: the client
 * comes again. */
static bool is_asking(const struct session *s)
{
	return s->mode == MODE_WAIT && s->mail && !transaction_has_begun(s->mail);
}

void session_stop(struct session *s)
{
	bool is_busy = s->mode == MODE_WAIT || s->mode == MODE_DATA || s->mode == MODE_CHUNK ||
		       s->door.state == DOOR_AUTH_JOB;

	if (!s->stream || (is_busy && !is_asking(s)))
		return;         /* session_go() says goodbye when it is done */
	if (s->door.state == DOOR_OPEN)
		session_say(s, REPLY_SHUTDOWN);
	session_close(s, "stopping");
}

struct session *session_next_of(const struct session *s)
{
	return s->next;
}

bool session_kick(struct session *s, const struct kick *kick)
{
	if (!kick_is_for(kick, &s->log, s->door.identity))
		return false;
	session_close(s, "kicked");
	return true;
}

bool session_is_open(const struct session *s)
{
	return s->stream;
}

void session_describe(const struct session *s, struct json_out *j)
{
	struct session_facts facts = { .protocol = conf_listener_kind_name(session_kind(s)), .log = &s->log, .identity = s->door.identity,
				       .stream = s->stream, .began_ms = s->began_ms, .client = sv_z(s->helo) };

	session_facts_put(j, &facts);
	json_out_u64(j, "messages", s->messages);
	json_out_u64(j, "commands", s->commands);
}
