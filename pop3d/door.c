/* Before login: USER, PASS, AUTH, STLS (RFC 1939 §7, RFC 5034, RFC 2595 §4). It knows the stream and the authenticator and
 * nothing of the store; what it yields is an identity, which room_enter() takes. */
#include <stdlib.h>

#include "common/auth_job.h"
#include "common/conf.h"
#include "common/events.h"
#include "common/memory.h"
#include "common/transfer.h"
#include "pop3d/server.h"
#include "pop3d/session.h"

#include "common/banned.h"

struct pop3_door {
	struct auth_session *auth;
	struct auth_job *job;           /* a call under way */
	char *user;                     /* from USER, until PASS */
	bool is_exchange;               /* a challenge was sent: the next line is a response */
	uint32_t failures;
	struct timer delay;             /* holds the answer to a failure back */
	enum auth_reason reason;        /* of that failure */
	struct pop3_session *session;
};

static enum step answer_failure(struct pop3_session *s, enum auth_reason reason);

static void delay_over(struct timer *t)
{
	struct pop3_door *d = CONTAINER_OF(t, struct pop3_door, delay);

	session_next(d->session, answer_failure(d->session, d->reason));
}

static enum step send_challenge(struct pop3_session *s, struct sv challenge)
{
	struct buf line;

	buf_init(&line, 2 * AUTH_INPUT_MAX);
	buf_append(&line, SV("+ "));
	base64_encode(challenge, &line);
	buf_append(&line, SV("\r\n"));
	s->door->is_exchange = true;
	/* A response may be longer than any command. */
	line_reader_limit(&s->lines, s->server->conf->smtp.auth_line);
	return session_send(s, &line);
}

/* RFC 3206 §4: AUTH is for credentials that have expired, too, and for what they are not good for. */
static bool is_of_credentials(enum auth_reason reason)
{
	return reason == AUTH_EXPIRED || reason == AUTH_FOREIGN;
}

static enum step take_result(struct pop3_session *s, struct auth_result *r)
{
	struct pop3_door *d = s->door;

	switch (r->outcome) {
	case AUTH_CONTINUE:
		return send_challenge(s, buf_sv(&r->challenge));
	case AUTH_OK:
		s->identity = r->identity;
		r->identity = NULL;
		if (!roster_enter(s->server->roster, &s->guest, s->identity, s->stream, s->server->conf, &s->log)) {
			session_err(s, "[SYS/TEMP] " ROSTER_REFUSED_TEXT);
			s->end_reason = "sessions-per-address";
			return STEP_CLOSE;
		}
		listener_logged_in(s->stream);
		return room_enter(s);
	case AUTH_FAIL:
		if (r->text[0])
			return session_err(s, "[%s] %s", is_of_credentials(r->reason) ? "AUTH" : "SYS/PERM", r->text);
		if (!r->delay_ms)
			return answer_failure(s, r->reason);
		/* Nothing is read meanwhile, and only this session waits. */
		d->reason = r->reason;
		timer_start_ms(&d->delay, r->delay_ms);
		stream_pause(s->stream);
		return STEP_WAIT;
	}
	BUG("auth outcome %d", r->outcome);
}

static void on_auth(void *arg, struct auth_result *result)
{
	struct pop3_session *s = arg;

	s->door->job = NULL;
	session_next(s, take_result(s, result));
}

/* The job was accepted, or not: nothing more is read until it has answered. */
static enum step wait_auth(struct pop3_session *s, struct fault f)
{
	if (f.kind) {
		log_warn(&s->log, "pop3.auth_refused", KV_FAULT("fault", f));
		return answer_failure(s, AUTH_TEMPORARY);
	}
	stream_pause(s->stream);
	return STEP_WAIT;
}

/* RFC 3206: [AUTH] only when the credentials were wrong, so that a phone does not forget a right password. */
static const char *answer_for(enum auth_reason reason)
{
	switch (reason) {
	case AUTH_REASON_NONE:
	case AUTH_TEMPORARY:         return "[SYS/TEMP] cannot check logins now, try again later";
	case AUTH_BAD_CREDENTIALS:   return "[AUTH] wrong user name or password";
	case AUTH_DISABLED:          return "[SYS/PERM] this account is switched off";
	case AUTH_EXPIRED:
	case AUTH_FOREIGN:
	case AUTH_NOT_HERE:          return "[SYS/PERM] this account or password may not use POP3";
	case AUTH_UNKNOWN_MECHANISM: return "no such mechanism";
	case AUTH_MALFORMED:         return "malformed response";
	case AUTH_PLAINTEXT_REFUSED: return "no password without TLS: use STLS or port 995";
	case AUTH_CANCELLED:         return "cancelled";
	case AUTH_THROTTLED:         return "[SYS/TEMP] too many failed logins, try again later";
	}
	BUG("auth reason %d", reason);
}

static enum step answer_failure(struct pop3_session *s, enum auth_reason reason)
{
	session_err(s, "%s", answer_for(reason));
	if (auth_reason_is_wrong(reason) && ++s->door->failures >= s->server->conf->auth.failures_per_session) {
		s->end_reason = "login failures";
		return STEP_CLOSE;
	}
	return STEP_DONE;
}

/* ---- opening, closing ---- */

static struct auth_peer peer_of(struct pop3_session *s)
{
	return auth_peer_of(AUTH_POP3, s->stream, &s->log);
}

void door_open(struct pop3_session *s)
{
	struct pop3_door *d = xcalloc(1, sizeof(*d));

	d->session = s;
	timer_init(&d->delay, s->server->loop, delay_over);
	s->door = d;
}

/* The authenticator's session is made when it is first needed: by then TLS is on, if it ever will be. */
static void need_auth(struct pop3_session *s)
{
	struct auth_peer peer = peer_of(s);

	if (!s->door->auth)
		s->door->auth = auth_session_new(s->server->auth, &s->server->conf->auth, &peer);
}

void door_close(struct pop3_session *s)
{
	struct pop3_door *d = s->door;

	if (!d)
		return;
	timer_stop(&d->delay);
	auth_job_forget(&d->job);
	auth_session_unref(&d->auth);
	secret_free(&d->user);
	free(d);
	s->door = NULL;
}

void door_capabilities(struct pop3_session *s, struct buf *out)
{
	struct auth_peer peer = peer_of(s);
	struct buf mechanisms;

	buf_init(&mechanisms, AUTH_MECHANISMS_MAX);
	if (auth_may_send_password(&s->server->conf->auth, &peer))
		buf_append(out, SV("USER\r\n"));
	auth_mechanisms(s->server->auth, &s->server->conf->auth, &peer, &mechanisms);
	if (mechanisms.len)
		buf_appendf(out, "SASL %.*s\r\n", SV_FMT(buf_sv(&mechanisms)));
	if (s->server->tls && !stream_is_tls(s->stream) && s->listener->tls == CONF_TLS_STARTTLS)
		buf_append(out, SV("STLS\r\n"));
	buf_done(&mechanisms);
}

/* ---- commands ---- */

static bool may_send_password(struct pop3_session *s)
{
	struct auth_peer peer = peer_of(s);

	return auth_may_send_password(&s->server->conf->auth, &peer);
}

enum step door_user(struct pop3_session *s, struct sv args)
{
	if (!may_send_password(s))
		return answer_failure(s, AUTH_PLAINTEXT_REFUSED);
	secret_free(&s->door->user);
	s->door->user = sv_copy_z(args);
	return session_ok(s, "and the password?");     /* the same for names that do not exist */
}

enum step door_pass(struct pop3_session *s, struct sv args)
{
	struct pop3_door *d = s->door;

	if (!may_send_password(s))
		return answer_failure(s, AUTH_PLAINTEXT_REFUSED);
	if (!d->user)
		return session_err(s, "USER comes first");
	need_auth(s);
	enum step step = wait_auth(s, auth_job_login(s->server->loop, d->auth, sv_z(d->user), args, on_auth, s, &d->job));

	secret_free(&d->user);
	return step;
}

static enum step list_mechanisms(struct pop3_session *s)
{
	struct auth_peer peer = peer_of(s);
	struct buf names, out;
	struct sv rest, name;

	buf_init(&names, AUTH_MECHANISMS_MAX);
	buf_init(&out, 1024);
	auth_mechanisms(s->server->auth, &s->server->conf->auth, &peer, &names);
	buf_append(&out, SV("+OK mechanisms follow\r\n"));
	rest = buf_sv(&names);
	while (rest.len && sv_split(&rest, ' ', &name))
		buf_appendf(&out, "%.*s\r\n", SV_FMT(name));
	buf_append(&out, SV(".\r\n"));
	buf_done(&names);
	return session_send(s, &out);
}

enum step door_auth(struct pop3_session *s, struct sv args)
{
	struct pop3_door *d = s->door;
	struct sv mechanism, octets;
	struct buf response;
	enum step step;

	/* Without an argument: RFC 1734's predecessors list the mechanisms, and Outlook still asks so. */
	if (!args.len)
		return list_mechanisms(s);
	sv_split(&args, ' ', &mechanism);
	need_auth(s);
	if (!args.p)
		return wait_auth(s, auth_job_start(s->server->loop, d->auth, mechanism, NULL, on_auth, s, &d->job));
	buf_init(&response, AUTH_INPUT_MAX);
	if (auth_decode_response(args, true, &response) == AUTH_RESPONSE_DATA) {
		octets = buf_sv(&response);
		step = wait_auth(s, auth_job_start(s->server->loop, d->auth, mechanism, &octets, on_auth, s, &d->job));
	} else {
		step = answer_failure(s, AUTH_MALFORMED);
	}
	buf_wipe(&response);
	return step;
}

/* RFC 5034 §4: a response, or "*". */
enum step door_response(struct pop3_session *s, struct sv line)
{
	struct pop3_door *d = s->door;
	struct buf response;
	enum step step;

	d->is_exchange = false;
	line_reader_limit(&s->lines, s->server->conf->pop3.command_line);
	buf_init(&response, AUTH_INPUT_MAX);
	switch (auth_decode_response(line, false, &response)) {
	case AUTH_RESPONSE_DATA:
		step = wait_auth(s, auth_job_step(s->server->loop, d->auth, buf_sv(&response), on_auth, s, &d->job));
		break;
	case AUTH_RESPONSE_CANCEL:
		auth_cancel(d->auth);
		step = answer_failure(s, AUTH_CANCELLED);
		break;
	default:
		auth_cancel(d->auth);
		step = answer_failure(s, AUTH_MALFORMED);
		break;
	}
	buf_wipe(&response);
	return step;
}

bool door_expects_response(const struct pop3_session *s)
{
	return s->door && s->door->is_exchange;
}

enum step door_stls(struct pop3_session *s, struct sv args)
{
	(void)args;
	if (stream_is_tls(s->stream))
		return session_err(s, "TLS is on already");
	if (!s->server->tls || s->listener->tls != CONF_TLS_STARTTLS)
		return session_err(s, "TLS is not available");
	session_ok(s, "begin TLS");
	/* RFC 2595 §4: what was learned in clear is forgotten. */
	door_close(s);
	door_open(s);
	struct fault f = stream_start_tls(s->stream, s->server->tls, &s->listener->role);

	if (f.kind) {
		log_warn(&s->log, "pop3.stls_refused", KV_FAULT("fault", f));
		s->end_reason = f.kind == FAULT_DENIED ? "octets behind STLS" : "tls";
		return STEP_CLOSE;
	}
	return STEP_WAIT;
}
