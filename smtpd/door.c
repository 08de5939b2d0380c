#include "smtpd/door.h"

#include "common/transfer.h"
#include "common/events.h"
#include "common/tls.h"
#include "common/transfer.h"

#include "common/banned.h"

#define WITH_LOGIN (LISTENER_SUBMISSION | LISTENER_SUBMISSIONS | LISTENER_LEGACY)

static bool is_kind(const struct door *d, unsigned kinds)
{
	return (d->listener->kind->kind & kinds) != 0;
}

bool door_is_login(const struct door *d)
{
	return is_kind(d, WITH_LOGIN);
}

const struct auth_identity *door_identity(const struct door *d)
{
	return d->identity ? d->identity : d->device;
}

bool door_is_tls(const struct door *d)
{
	return d->stream && stream_is_tls(d->stream);
}

/* ---- greeting ---- */

static void open_door(struct door *d)
{
	d->state = DOOR_OPEN;
	d->events->on_open(d->user);
}

static void on_pause_end(struct timer *t)
{
	struct door *d = CONTAINER_OF(t, struct door, pause);

	if (d->state == DOOR_SHUT)
		open_door(d);
}

/* A program that cannot wait for the greeting is not a mail server: strangers on port 25 are made
 * to wait a little (RFC 5321 §4.3.1: the client waits). */
static void greet(struct door *d)
{
	bool is_exempt = netaddr_in(stream_peer(d->stream), &d->conf->host.exempt_networks);
	uint64_t delay_ms =
		is_kind(d, LISTENER_MX) && !is_exempt ? d->conf->smtp.banner_delay_ms : 0;

	if (delay_ms)
		timer_start_ms(&d->pause, delay_ms);
	else
		open_door(d);
}

static void on_deadline(struct timer *t)
{
	struct door *d = CONTAINER_OF(t, struct door, deadline);

	if (door_identity(d))
		return;
	if (d->state == DOOR_SHUT || d->state == DOOR_TLS) {
		d->events->close(d->user, "login-time");
		return;
	}
	d->events->say(d->user, REPLY_LOGIN_TOO_LONG);
	d->events->close(d->user, "login-time");
}

void door_init(struct door *d)
{
	timer_init(&d->pause, d->loop, on_pause_end);
	timer_init(&d->deadline, d->loop, on_deadline);
	d->guest = (struct roster_guest){ .evict = d->events->evict, .arg = d->user };
	if (door_is_login(d))
		timer_start_ms(&d->deadline, d->conf->limits.login_ms);
	d->state = DOOR_SHUT;
	if (d->listener->tls != CONF_TLS_IMPLICIT)
		greet(d);
}

void door_input(struct door *d)
{
	timer_stop(&d->pause);
	d->events->say(d->user, REPLY_TALKS_TOO_EARLY);
	d->events->close(d->user, "talks-too-early");
}

/* ---- TLS ---- */

/* peer_of - who came to a legacy listener is of its networks, where a password in clear is expected. */
static struct auth_peer peer_of(const struct door *d)
{
	struct auth_peer peer = auth_peer_of(AUTH_SMTP, d->stream, d->log);

	peer.may_send_password = is_kind(d, LISTENER_LEGACY);
	return peer;
}

void door_offers(const struct door *d, struct buf *out)
{
	struct buf list;

	if (d->listener->tls == CONF_TLS_STARTTLS && d->tls && !door_is_tls(d))
		buf_append(out, SV("STARTTLS\n"));
	if (!door_is_login(d))
		return;
	struct auth_peer peer = peer_of(d);

	buf_init(&list, AUTH_MECHANISMS_MAX);
	auth_mechanisms(d->auth, &d->conf->auth, &peer, &list);
	if (list.len)
		buf_appendf(out, "AUTH %.*s\n", SV_FMT(buf_sv(&list)));
	buf_done(&list);
}

void door_start_tls(struct door *d)
{
	struct fault f;

	if (d->listener->tls != CONF_TLS_STARTTLS) {
		d->events->say(d->user, door_is_tls(d) ? REPLY_TLS_ALREADY : REPLY_NOT_IMPLEMENTED);
		return;
	}
	if (door_is_tls(d)) {
		d->events->say(d->user, REPLY_TLS_ALREADY);
		return;
	}
	if (!d->tls) {
		d->events->say(d->user, REPLY_TLS_UNAVAILABLE);
		return;
	}
	/* What lies behind the command was sent in clear, by the client or by somebody between: it
	 * is not even answered. */
	if (stream_input(d->stream).len) {
		log_warn(d->log, "smtp.starttls.injection",
			 KV_U64("octets", stream_input(d->stream).len));
		d->events->close(d->user, "bytes-behind-starttls");
		return;
	}
	/* A login in clear is worth nothing behind TLS: whoever stood between may have made it. */
	auth_session_unref(&d->exchange);
	roster_leave(&d->guest);
	identity_unref(&d->identity);
	if (door_is_login(d))
		timer_start_ms(&d->deadline, d->conf->limits.login_ms);
	d->events->say(d->user, REPLY_START_TLS);
	d->state = DOOR_TLS;
	f = stream_start_tls(d->stream, d->tls, &d->listener->role);
	if (f.kind) {
		log_warn(d->log, "smtp.starttls.failed", KV_FAULT("fault", f));
		d->events->close(d->user, "starttls");
	}
}

void door_tls_done(struct door *d)
{
	struct tls_facts facts = tls_facts(stream_tls(d->stream));

	event_emit(d->log, EVENT_TLS_DONE, KV_Z("protocol", "smtp"), KV_Z("version", facts.version),
		   KV_Z("cipher", facts.cipher), KV_Z("sni", facts.sni ? facts.sni : ""),
		   KV_BOOL("resumed", facts.is_resumed));
	if (d->state == DOOR_SHUT) {
		greet(d);
		return;
	}
	d->state = DOOR_OPEN;
	d->events->on_tls(d->user);
}

/* ---- AUTH ---- */

static enum reply_id reply_for_reason(enum auth_reason reason)
{
	switch (reason) {
	case AUTH_BAD_CREDENTIALS:
	case AUTH_DISABLED:
	case AUTH_NOT_HERE:
	case AUTH_EXPIRED:
	case AUTH_FOREIGN:           return REPLY_AUTH_FAILED;
	case AUTH_TEMPORARY:         return REPLY_AUTH_LATER;
	case AUTH_UNKNOWN_MECHANISM: return REPLY_AUTH_UNKNOWN;
	case AUTH_MALFORMED:         return REPLY_AUTH_BASE64;
	case AUTH_PLAINTEXT_REFUSED: return REPLY_NEEDS_TLS;
	case AUTH_CANCELLED:         return REPLY_AUTH_CANCELLED;
	case AUTH_THROTTLED:         return REPLY_AUTH_THROTTLED;
	case AUTH_REASON_NONE:       break;
	}
	return REPLY_AUTH_LATER;
}

/* end_exchange - back to commands. After too many failures the peer is told the last one, and is
 * gone. */
static void end_exchange(struct door *d, enum reply_id reply)
{
	bool is_failure = reply == REPLY_AUTH_FAILED || reply == REPLY_AUTH_THROTTLED;

	d->state = DOOR_OPEN;
	d->events->say(d->user, reply);
	if (is_failure && ++d->failures >= d->conf->auth.failures_per_session)
		d->events->close(d->user, "login-failures");
	else
		d->events->on_auth_end(d->user);
}

/* refuse_saying - the password was right, and the account has words of its own for why that does not help (RFC 4954 §6: 535 is for
 * credentials that are "invalid or insufficient"). */
static void refuse_saying(struct door *d, struct sv text)
{
	struct buf line;

	log_info(d->log, "smtp.refused", KV_Z("command", "AUTH"), KV_U64("code", 535), KV_Z("reason", "account-state"));
	buf_init(&line, 1024);
	d->state = DOOR_OPEN;
	if (reply_write(&line, 535, "5.7.8", text) && stream_write(d->stream, buf_sv(&line)))
		d->events->on_auth_end(d->user);
	else
		d->events->close(d->user, "output");
	buf_done(&line);
}

static void challenge(struct door *d, const struct auth_result *result)
{
	struct buf line;

	buf_init(&line, 2 * AUTH_INPUT_MAX);
	if (buf_append(&line, SV("334 ")) && base64_encode(buf_sv(&result->challenge), &line) &&
	    buf_append(&line, SV("\r\n")) && stream_write(d->stream, buf_sv(&line))) {
		d->state = DOOR_AUTH_LINE;
		stream_resume(d->stream);
	} else {
		d->events->close(d->user, "output");
	}
	buf_wipe(&line);
}

static void on_delay_end(struct timer *t)
{
	struct door *d = CONTAINER_OF(t, struct door, pause);

	stream_resume(d->stream);
	end_exchange(d, d->held);
}

static void on_result(void *arg, struct auth_result *result)
{
	struct door *d = arg;

	d->job = NULL;
	if (result->outcome == AUTH_FAIL && result->delay_ms) {
		d->held = reply_for_reason(result->reason);
		timer_init(&d->pause, d->loop, on_delay_end);
		timer_start_ms(&d->pause, result->delay_ms);
		return;
	}
	stream_resume(d->stream);
	switch (result->outcome) {
	case AUTH_CONTINUE:
		challenge(d, result);
		break;
	case AUTH_OK:
		if (!roster_enter(d->roster, &d->guest, result->identity, d->stream, d->conf, d->log)) {
			end_exchange(d, REPLY_AUTH_TOO_MANY);
			break;
		}
		d->identity = result->identity;
		result->identity = NULL;
		timer_stop(&d->deadline);
		listener_logged_in(d->stream);
		end_exchange(d, REPLY_LOGGED_IN);
		break;
	case AUTH_FAIL:
		if (result->text[0])
			refuse_saying(d, sv_z(result->text));
		else
			end_exchange(d, reply_for_reason(result->reason));
		break;
	}
}

/* wait - for the job, or say that there is none. */
static void wait_for_job(struct door *d, struct fault f)
{
	if (f.kind) {
		end_exchange(d, REPLY_AUTH_LATER);
		return;
	}
	d->state = DOOR_AUTH_JOB;
	stream_pause(d->stream);
}

static void make_exchange(struct door *d)
{
	struct auth_peer peer = peer_of(d);

	if (!d->exchange)
		d->exchange = auth_session_new(d->auth, &d->conf->auth, &peer);
	auth_session_client(d->exchange, SV_NONE, sv_z(d->helo));
}

void door_auth(struct door *d, struct sv args)
{
	struct sv mechanism, initial;
	struct buf octets;

	sv_split(&args, ' ', &mechanism);
	args = sv_trim(args);
	if (!mechanism.len) {
		d->events->say(d->user, REPLY_BAD_ARGUMENT);
		return;
	}
	buf_init(&octets, AUTH_INPUT_MAX);
	if (args.len && auth_decode_response(args, true, &octets) != AUTH_RESPONSE_DATA) {
		d->events->say(d->user, REPLY_AUTH_BASE64);
	} else {
		initial = buf_sv(&octets);
		make_exchange(d);
		wait_for_job(d, auth_job_start(d->loop, d->exchange, mechanism,
					       args.len ? &initial : NULL, on_result, d, &d->job));
	}
	buf_wipe(&octets);
}

void door_line(struct door *d, struct sv line, bool is_bad)
{
	struct buf octets;
	enum auth_response r;

	buf_init(&octets, AUTH_INPUT_MAX);
	r = is_bad ? AUTH_RESPONSE_BAD : auth_decode_response(line, false, &octets);
	if (r == AUTH_RESPONSE_DATA) {
		wait_for_job(d, auth_job_step(d->loop, d->exchange, buf_sv(&octets), on_result, d,
					      &d->job));
	} else {
		auth_cancel(d->exchange);
		end_exchange(d,
			     r == AUTH_RESPONSE_CANCEL ? REPLY_AUTH_CANCELLED : REPLY_AUTH_BASE64);
	}
	buf_wipe(&octets);
}

void door_done(struct door *d)
{
	timer_stop(&d->pause);
	timer_stop(&d->deadline);
	auth_job_forget(&d->job);
	auth_session_unref(&d->exchange);
	roster_leave(&d->guest);
	identity_unref(&d->identity);
	identity_unref(&d->device);
	d->stream = NULL;
}
