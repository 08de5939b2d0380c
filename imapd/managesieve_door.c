/* imapd/managesieve_door.c - before login: STARTTLS and AUTHENTICATE (RFC 5804 §2.1, §2.2). It knows the stream and the authenticator and
 * nothing of the store. */
#include <stdlib.h>

#include "common/auth_job.h"
#include "common/memory.h"
#include "common/transfer.h"
#include "imapd/managesieve_private.h"

#include "common/banned.h"

struct ms_door {
	struct auth_session *auth;
	struct auth_job *job;
	struct timer delay;             /* holds the answer to a failure back */
	enum auth_reason reason;        /* of that failure */
	unsigned failures;
	bool is_exchange;               /* a challenge was sent: the next line is a response */
	struct ms_session *session;
};

static struct auth_peer peer_of(struct ms_session *s)
{
	return auth_peer_of(AUTH_MANAGESIEVE, s->stream, &s->log);
}

static const char *text_for(enum auth_reason reason)
{
	switch (reason) {
	case AUTH_REASON_NONE:
	case AUTH_TEMPORARY:         return "Cannot check logins now, try again later";
	case AUTH_BAD_CREDENTIALS:   return "Wrong user name or password";
	case AUTH_DISABLED:          return "This account may not log in";
	case AUTH_EXPIRED:
	case AUTH_FOREIGN:
	case AUTH_NOT_HERE:          return "This account or password is not good for ManageSieve";
	case AUTH_UNKNOWN_MECHANISM: return "There is no such mechanism";
	case AUTH_MALFORMED:         return "Malformed response";
	case AUTH_PLAINTEXT_REFUSED: return "No password without TLS: use STARTTLS";
	case AUTH_CANCELLED:         return "Cancelled";
	case AUTH_THROTTLED:         return "Too many failed logins, try again later";
	}
	BUG("auth reason %d", reason);
}

static enum ms_step answer_failure(struct ms_session *s, enum auth_reason reason)
{
	struct ms_door *d = s->door;

	if (auth_reason_is_wrong(reason) && ++d->failures >= s->house->conf->auth.failures_per_session) {
		ms_reply(s, "BYE", NULL, SV("Too many failed logins"));
		s->end_reason = "auth-failures";
		return MS_CLOSE;
	}
	return ms_no(s, reason == AUTH_PLAINTEXT_REFUSED ? "ENCRYPT-NEEDED" : 
			reason == AUTH_TEMPORARY || reason == AUTH_THROTTLED ? "TRYLATER" : NULL,
		     text_for(reason));
}

static void delay_over(struct timer *t)
{
	struct ms_door *d = CONTAINER_OF(t, struct ms_door, delay);

	ms_next(d->session, answer_failure(d->session, d->reason));
}

static enum ms_step send_challenge(struct ms_session *s, struct sv challenge)
{
	struct buf text, line;
	bool ok;

	buf_init(&text, 2 * AUTH_INPUT_MAX);
	buf_init(&line, 4 * AUTH_INPUT_MAX);
	ok = base64_encode(challenge, &text) && ms_put_string(&line, buf_sv(&text)) && buf_append(&line, SV("\r\n")) &&
	     stream_write(s->stream, buf_sv(&line));
	buf_wipe(&text);
	buf_wipe(&line);
	s->door->is_exchange = true;
	ms_grammar_expect_string(&s->grammar);
	return ok ? MS_DONE : MS_CLOSE;
}

static enum ms_step take_result(struct ms_session *s, struct auth_result *r)
{
	struct ms_door *d = s->door;

	switch (r->outcome) {
	case AUTH_CONTINUE:
		return send_challenge(s, buf_sv(&r->challenge));
	case AUTH_OK:
		s->identity = r->identity;
		r->identity = NULL;
		if (!roster_enter(s->house->roster, &s->guest, s->identity, s->stream, s->house->conf, &s->log)) {
			ms_reply(s, "BYE", "TRYLATER", SV(ROSTER_REFUSED_TEXT));
			s->end_reason = "sessions-per-address";
			return MS_CLOSE;
		}
		listener_logged_in(s->stream);
		return ms_room_enter(s);
	case AUTH_FAIL:
		if (r->text[0])
			return ms_no(s, NULL, r->text);
		if (!r->delay_ms)
			return answer_failure(s, r->reason);
		d->reason = r->reason;
		timer_start_ms(&d->delay, r->delay_ms);
		stream_pause(s->stream);
		return MS_WAIT;
	}
	BUG("auth outcome %d", r->outcome);
}

static void on_auth(void *arg, struct auth_result *result)
{
	struct ms_session *s = arg;

	s->door->job = NULL;
	ms_next(s, take_result(s, result));
}

static enum ms_step wait_auth(struct ms_session *s, struct fault f)
{
	if (f.kind) {
		log_warn(&s->log, "managesieve.auth-refused", KV_FAULT("fault", f));
		return answer_failure(s, AUTH_TEMPORARY);
	}
	stream_pause(s->stream);
	return MS_WAIT;
}

/* ---- */

void ms_door_open(struct ms_session *s)
{
	struct ms_door *d = xcalloc(1, sizeof(*d));

	d->session = s;
	timer_init(&d->delay, s->house->loop, delay_over);
	s->door = d;
}

void ms_door_close(struct ms_session *s)
{
	struct ms_door *d = s->door;

	if (!d)
		return;
	timer_stop(&d->delay);
	auth_job_forget(&d->job);
	auth_session_unref(&d->auth);
	free(d);
	s->door = NULL;
}

bool ms_door_expects_response(const struct ms_session *s)
{
	return s->door && s->door->is_exchange;
}

void ms_door_mechanisms(struct ms_session *s, struct buf *out)
{
	struct auth_peer peer = peer_of(s);

	auth_mechanisms(s->house->auth, &s->house->conf->auth, &peer, out);
}

bool ms_door_has_starttls(const struct ms_session *s)
{
	return s->state == MS_STRANGER && s->house->tls && !stream_is_tls(s->stream) && s->listener->tls == CONF_TLS_STARTTLS;
}

/* ---- commands ---- */

enum ms_step ms_do_authenticate(struct ms_session *s)
{
	struct ms_door *d = s->door;
	struct auth_peer peer = peer_of(s);
	struct sv mechanism, initial, octets;
	struct buf response;
	enum ms_step step;

	(void)ms_grammar_string(&s->grammar, 0, &mechanism);
	if (!d->auth)
		d->auth = auth_session_new(s->house->auth, &s->house->conf->auth, &peer);
	if (!ms_grammar_string(&s->grammar, 1, &initial))
		return wait_auth(s, auth_job_start(s->house->loop, d->auth, mechanism, NULL, on_auth, s, &d->job));
	buf_init(&response, AUTH_INPUT_MAX);
	if (auth_decode_response(initial, false, &response) == AUTH_RESPONSE_DATA) {
		octets = response.len ? buf_sv(&response) : SV("");
		step = wait_auth(s, auth_job_start(s->house->loop, d->auth, mechanism, &octets, on_auth, s, &d->job));
	} else {
		step = answer_failure(s, AUTH_MALFORMED);
	}
	buf_wipe(&response);
	return step;
}

enum ms_step ms_door_response(struct ms_session *s, bool is_good)
{
	struct ms_door *d = s->door;
	enum auth_response kind = AUTH_RESPONSE_BAD;
	struct buf response;
	struct sv text;
	enum ms_step step;

	d->is_exchange = false;
	buf_init(&response, AUTH_INPUT_MAX);
	if (is_good && ms_grammar_string(&s->grammar, 0, &text))
		kind = auth_decode_response(text, false, &response);
	if (kind == AUTH_RESPONSE_DATA) {
		step = wait_auth(s, auth_job_step(s->house->loop, d->auth, buf_sv(&response), on_auth, s, &d->job));
	} else {
		auth_cancel(d->auth);
		step = answer_failure(s, kind == AUTH_RESPONSE_CANCEL ? AUTH_CANCELLED : AUTH_MALFORMED);
	}
	buf_wipe(&response);
	return step;
}

enum ms_step ms_do_starttls(struct ms_session *s)
{
	struct fault f;

	if (stream_is_tls(s->stream))
		return ms_no(s, NULL, "TLS is on already");
	if (!ms_door_has_starttls(s))
		return ms_no(s, NULL, "TLS is not available");
	ms_ok(s, "Begin TLS");
	/* RFC 3207 §4.2 in spirit: what was learned in clear is forgotten. */
	ms_door_close(s);
	ms_door_open(s);
	f = stream_start_tls(s->stream, s->house->tls, &s->listener->role);
	if (!f.kind)
		return MS_WAIT;
	log_warn(&s->log, "managesieve.starttls-refused", KV_FAULT("fault", f));
	s->end_reason = f.kind == FAULT_DENIED ? "octets-behind-starttls" : "tls";
	return MS_CLOSE;
}
