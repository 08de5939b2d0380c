/* imapd/door.c - see door.h. */
#include "imapd/door.h"

#include <stdlib.h>

#include "common/auth_job.h"
#include "common/events.h"
#include "common/kick.h"
#include "common/logins.h"
#include "common/memory.h"
#include "common/roster.h"
#include "common/session_facts.h"
#include "common/transfer.h"
#include "imapd/writer.h"

#include "common/banned.h"

#define AUTH_LINE_MAX 12288     /* base64 of AUTH_INPUT_MAX, and then some */
#define TOKENS_MAX 128          /* ID has the most: 30 pairs */
#define OUT_MAX ((size_t)32 << 10)
#define ARENA_MAX ((size_t)16 << 10)

enum door_state {
	DOOR_READY = 0,         /* for a command */
	DOOR_HANDSHAKE,
	DOOR_CHECKING,          /* a job looks at a password */
	DOOR_DELAY,             /* a wrong answer is held back */
	DOOR_CHALLENGED,        /* the client's next line answers AUTHENTICATE */
	DOOR_ENTERING,          /* the account is being opened */
};

/* What a command function says: go on with the next one, or not (the door waits, or is gone). */
enum next { NEXT = 0, HOLD };

struct door {
	struct door_house *house;
	struct door *next, **at;
	const struct tls_role *role;    /* of its listener */
	struct stream *stream;
	struct conf *conf;
	struct grammar grammar;
	struct log_ctx log;
	struct auth_session *auth;
	struct auth_job *job;
	struct timer deadline, delay;
	enum door_state state;
	struct sv tag;          /* of the command under way, on the heap */
	const char *refusal;    /* answer held back by `delay` */
	unsigned bad, failures, commands;
	uint64_t opened_ms;
	bool is_tls;
	struct client client;
};

/* ---- saying things ---- */

static void say(struct door *d, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct door *d, const char *format, ...)
{
	struct writer w;
	va_list ap;

	writer_init(&w, OUT_MAX);
	va_start(ap, format);
	if (buf_vappendf(&w.buf, format, ap))
		stream_write(d->stream, buf_sv(&w.buf));
	va_end(ap);
	writer_done(&w);
}

static void answer(struct door *d, struct sv tag, const char *what)
{
	say(d, "%.*s %s\r\n", SV_FMT(tag), what);
}

static struct auth_peer peer_of(const struct door *d)
{
	return auth_peer_of(AUTH_IMAP, d->stream, &d->log);
}

static void write_capabilities(struct door *d, struct writer *w)
{
	struct auth_peer peer = peer_of(d);
	struct buf mechanisms = { .max = AUTH_MECHANISMS_MAX };

	auth_mechanisms(d->house->auth, &d->conf->auth, &peer, &mechanisms);
	struct capability_context context = {
		.on = d->house->on & ~d->client.hidden,
		.has_starttls = !d->is_tls && d->house->tls,
		.is_login_disabled = !auth_may_send_password(&d->conf->auth, &peer),
		.mechanisms = buf_z(&mechanisms),
	};

	capability_write(w, &context);
	buf_done(&mechanisms);
}

static void greet(struct door *d)
{
	struct writer w;

	writer_init(&w, OUT_MAX);
	writer_z(&w, "* OK [");
	write_capabilities(d, &w);
	writer_z(&w, "] Postroom ready\r\n");
	stream_write(d->stream, buf_sv(&w.buf));
	writer_done(&w);
}

/* ---- its end ---- */

static void drop_tag(struct door *d)
{
	free((char *)d->tag.p);
	d->tag = SV_NONE;
}

/* end - everything but the stream and the grammar. */
static void end(struct door *d)
{
	timer_stop(&d->deadline);
	timer_stop(&d->delay);
	auth_job_forget(&d->job); /* it ends by itself, with its own reference to the
				     authenticator's session */
	auth_session_unref(&d->auth);
	*d->at = d->next;
	if (d->next)
		d->next->at = d->at;
	grammar_done(&d->grammar);
	drop_tag(d);
	client_done(&d->client);
	conf_unref(&d->conf);
	free(d);
}

static void finish(struct door *d, const char *reason)
{
	uint64_t in, out;

	stream_octets(d->stream, &in, &out);
	event_emit(&d->log, EVENT_SESSION_CLOSE, KV_Z("protocol", "imap"), KV_Z("user", ""),
		   KV_Z("reason", reason), KV_U64("commands", d->commands), KV_U64("in_octets", in),
		   KV_U64("out_octets", out),
		   KV_U64("took_ms", loop_now_ms(d->house->loop) - d->opened_ms));
	if (d->state == DOOR_ENTERING)
		d->house->gone(d, d->house->user);
	stream_close(&d->stream, true);
	end(d);
}

static void bye(struct door *d, const char *text, const char *reason)
{
	say(d, "* BYE %s\r\n", text);
	finish(d, reason);
}

void door_close(struct door **door, const char *text)
{
	bye(*door, text, "stop");
	*door = NULL;
}

bool door_describe_all(const struct door_house *house, struct control_reply *reply)
{
	for (const struct door *d = house->doors; d; d = d->next) {
		struct session_facts facts = { .protocol = "imap", .log = &d->log, .stream = d->stream,
					       .began_ms = d->opened_ms, .client = d->client.label };

		session_facts_put(control_line(reply), &facts);
		if (!control_line_end(reply))
			return false;
	}
	return true;
}

struct stream *door_stream(const struct door *d)
{
	return d->stream;
}

const struct log_ctx *door_log(const struct door *d)
{
	return &d->log;
}

/* ---- login ---- */

static void keep_tag(struct door *d)
{
	struct sv tag = grammar_tag(&d->grammar);

	drop_tag(d);
	d->tag = sv_from(sv_copy_z(tag), tag.len);
}

/* again - the login command is over, the next command may come. */
static void again(struct door *d)
{
	drop_tag(d);
	d->state = DOOR_READY;
	grammar_next(&d->grammar);
	stream_resume(d->stream);
}

/* refusal_for - RFC 5530 §3. Phones ask for the password anew, or forget it, on
 * AUTHENTICATIONFAILED: nothing else may be worded that way. */
static const char *refusal_for(enum auth_reason reason)
{
	switch (reason) {
	case AUTH_REASON_NONE:
	case AUTH_TEMPORARY:
		return "NO [UNAVAILABLE] Login is not possible right now, try again later";
	case AUTH_BAD_CREDENTIALS:   return "NO [AUTHENTICATIONFAILED] Authentication failed";
	case AUTH_DISABLED:          return "NO [AUTHORIZATIONFAILED] This account may not log in";
	case AUTH_EXPIRED:
	case AUTH_FOREIGN:
	case AUTH_NOT_HERE:
		return "NO [AUTHORIZATIONFAILED] This password is not good for IMAP";
	case AUTH_UNKNOWN_MECHANISM: return "NO [CANNOT] Unsupported authentication mechanism";
	case AUTH_MALFORMED:         return "BAD Malformed authentication exchange";
	case AUTH_PLAINTEXT_REFUSED: return "NO [PRIVACYREQUIRED] Use TLS first";
	case AUTH_CANCELLED:         return "BAD Authentication cancelled";
	case AUTH_THROTTLED:         return "NO [UNAVAILABLE] Too many failed logins, try again later";
	}
	BUG("auth reason %d", (int)reason);
}

/* refuse_saying - answer the login command; too many wrong passwords end the connection. */
static void refuse_saying(struct door *d, const char *text)
{
	answer(d, d->tag, text);
	if (d->failures >= d->conf->auth.failures_per_session) {
		bye(d, "Too many failed logins", "auth-failures");
		return;
	}
	again(d);
}

static void refuse(struct door *d)
{
	refuse_saying(d, d->refusal);
}

static void delay_over(struct timer *t)
{
	refuse(CONTAINER_OF(t, struct door, delay));
}

static void failed(struct door *d, const struct auth_result *result)
{
	d->refusal = refusal_for(result->reason);
	if (auth_reason_is_wrong(result->reason))
		d->failures++;
	if (result->delay_ms) {
		d->state = DOOR_DELAY;
		timer_start_ms(&d->delay, result->delay_ms);
	} else if (result->text[0]) {
		struct buf text = { .max = OUT_MAX };

		/* RFC 5530 §3 */
		buf_appendf(&text, "NO [%s] %s", result->reason == AUTH_EXPIRED ? "EXPIRED" : "AUTHORIZATIONFAILED", result->text);
		refuse_saying(d, buf_z(&text));
		buf_done(&text);
	} else {
		refuse(d);
	}
}

static void challenge(struct door *d, struct sv octets)
{
	struct buf text = { .max = OUT_MAX };

	if (!base64_encode(octets, &text))
		BUG("challenge too long");
	say(d, "+ %.*s\r\n", SV_FMT(buf_sv(&text)));
	buf_wipe(&text);
	d->state = DOOR_CHALLENGED;
	grammar_expect_line(&d->grammar, AUTH_LINE_MAX);
	stream_resume(d->stream);
}

/* checked - an authentication job is done; *result is borrowed. */
static void checked(void *arg, struct auth_result *result)
{
	struct door *d = arg;
	struct auth_identity *identity;

	d->job = NULL;
	switch (result->outcome) {
	case AUTH_CONTINUE:
		challenge(d, buf_sv(&result->challenge));
		break;
	case AUTH_OK:
		identity = result->identity;
		result->identity = NULL;
		d->state = DOOR_ENTERING;
		d->house->enter(d, identity, d->house->user);
		break;
	case AUTH_FAIL:
		failed(d, result);
		break;
	}
}

/* begin_check - the stream stands still until checked(). */
static struct auth_session *begin_check(struct door *d)
{
	struct auth_peer peer = peer_of(d);

	if (!d->auth)
		d->auth = auth_session_new(d->house->auth, &d->conf->auth, &peer);
	auth_session_client(d->auth, logins_program(d->client.label), d->client.label);
	stream_pause(d->stream);
	d->state = DOOR_CHECKING;
	return d->auth;
}

/* submitted - a job that could not be had is a temporary failure. */
static enum next submitted(struct door *d, struct fault f)
{
	if (f.kind) {
		log_warn(&d->log, "imap.login.busy", KV_FAULT("fault", f));
		d->refusal = refusal_for(AUTH_TEMPORARY);
		refuse(d);
	}
	return HOLD;
}

void door_leave(struct door **door, struct door_handover *out)
{
	struct door *d = *door;

	*out = (struct door_handover){
		.stream = d->stream, .grammar = d->grammar, .log = d->log, .tag = d->tag,
		.client = d->client, .opened_ms = d->opened_ms,
	};
	d->tag = SV_NONE;
	d->client = (struct client){ 0 };
	d->grammar = (struct grammar){ 0 };
	end(d);
	*door = NULL;
}

static void refuse_login(struct door *d, const char *refusal)
{
	d->refusal = refusal;
	d->state = DOOR_CHECKING;
	refuse(d);
}

void door_refuse(struct door *d, struct fault f)
{
	log_error(&d->log, "imap.account.failed", KV_FAULT("fault", f));
	refuse_login(d, refusal_for(AUTH_TEMPORARY));
}

void door_turn_away(struct door *d)
{
	refuse_login(d, "NO [UNAVAILABLE] " ROSTER_REFUSED_TEXT);
}

/* ---- commands ---- */

static enum next bad(struct door *d, const char *text)
{
	struct sv tag = grammar_tag(&d->grammar);

	if (!tag.len)
		tag = SV("*");
	say(d, "%.*s BAD %s\r\n", SV_FMT(tag), text);
	if (++d->bad >= d->conf->imap.bad_commands_prelogin) {
		bye(d, "Too many wrong commands", "bad-commands");
		return HOLD;
	}
	return NEXT;
}

static enum next do_capability(struct door *d, struct args *args)
{
	struct writer w;

	if (!args_end(args))
		return bad(d, "CAPABILITY takes no arguments");
	writer_init(&w, OUT_MAX);
	writer_z(&w, "* ");
	write_capabilities(d, &w);
	writer_crlf(&w);
	stream_write(d->stream, buf_sv(&w.buf));
	writer_done(&w);
	answer(d, grammar_tag(&d->grammar), "OK Capabilities listed");
	return NEXT;
}

static enum next do_noop(struct door *d, struct args *args)
{
	if (!args_end(args))
		return bad(d, "NOOP takes no arguments");
	answer(d, grammar_tag(&d->grammar), "OK Nothing done");
	return NEXT;
}

static enum next do_id(struct door *d, struct args *args)
{
	struct arena arena;
	struct writer w;
	struct id id;
	bool is_good;

	arena_init(&arena, ARENA_MAX);
	is_good = id_read(args, &arena, &id);
	if (is_good) {
		log_info(&d->log, "imap.id", KV_SV("client", id.summary));
		client_introduce(&d->client, &id, &d->conf->imap.workarounds, d->house->on, &d->log);
	}
	arena_done(&arena);
	if (!is_good)
		return bad(d, "ID takes NIL or a list of strings");
	writer_init(&w, OUT_MAX);
	id_write(&w);
	stream_write(d->stream, buf_sv(&w.buf));
	writer_done(&w);
	answer(d, grammar_tag(&d->grammar), "OK Pleased to meet you");
	return NEXT;
}

static enum next do_logout(struct door *d, struct args *args)
{
	if (!args_end(args))
		return bad(d, "LOGOUT takes no arguments");
	say(d, "* BYE Goodbye\r\n%.*s OK Logged out\r\n", SV_FMT(grammar_tag(&d->grammar)));
	finish(d, "logout");
	return HOLD;
}

static enum next do_starttls(struct door *d, struct args *args)
{
	if (!args_end(args) || d->is_tls)
		return bad(d, d->is_tls ? "TLS is on already" : "STARTTLS takes no arguments");
	if (!d->house->tls) {
		answer(d, grammar_tag(&d->grammar), "NO [UNAVAILABLE] TLS is not available");
		return NEXT;
	}
	/* Octets behind the command were sent in clear, by whoever: what follows must not be
	 * believed to come from inside of TLS (RFC 3501 §6.2.1, CVE-2021-33515). The stream
	 * refuses; the connection ends without a word. */
	if (stream_input(d->stream).len) {
		log_warn(&d->log, "imap.starttls.injection");
		finish(d, "starttls-injection");
		return HOLD;
	}
	answer(d, grammar_tag(&d->grammar), "OK Begin TLS now");
	struct fault f = stream_start_tls(d->stream, d->house->tls, d->role);

	if (f.kind) {
		log_warn(&d->log, "imap.starttls.failed", KV_FAULT("fault", f));
		finish(d, "tls-failed");
		return HOLD;
	}
	/* RFC 3501 §6.2.1: nothing that was learned in clear may stay. */
	auth_session_unref(&d->auth);
	grammar_next(&d->grammar);
	d->state = DOOR_HANDSHAKE;
	return HOLD;
}

static enum next do_login(struct door *d, struct args *args)
{
	struct auth_peer peer = peer_of(d);
	struct sv user, password;

	if (!args_astring(args, &user) || !args_astring(args, &password) || !args_end(args))
		return bad(d, "LOGIN takes a user name and a password");
	/* RFC 3501 §6.2.3, RFC 5530 §3: refused before anybody looks at the password. */
	if (!auth_may_send_password(&d->conf->auth, &peer)) {
		answer(d, grammar_tag(&d->grammar), refusal_for(AUTH_PLAINTEXT_REFUSED));
		return NEXT;
	}
	keep_tag(d);
	return submitted(d, auth_job_login(d->house->loop, begin_check(d), user, password, checked,
					   d, &d->job));
}

static enum next do_authenticate(struct door *d, struct args *args)
{
	struct sv mechanism, text;
	struct buf initial = { .max = AUTH_INPUT_MAX };
	bool has_initial = false;

	if (!args_atom(args, &mechanism))
		return bad(d, "AUTHENTICATE takes the name of a mechanism");
	if (!args_end(args)) {          /* RFC 4959 */
		if (!capability_has(d->house->on, CAP_SASL_IR) || !args_raw(args, &text) ||
		    !args_end(args))
			return bad(d, "One initial response may follow the mechanism");
		has_initial = true;
		switch (auth_decode_response(text, true, &initial)) {
		case AUTH_RESPONSE_DATA:
			break;
		case AUTH_RESPONSE_CANCEL:
		case AUTH_RESPONSE_BAD:
			buf_wipe(&initial);
			return bad(d, "The initial response is not base64");
		}
	}
	keep_tag(d);
	struct sv octets = buf_sv(&initial);
	struct fault f = auth_job_start(d->house->loop, begin_check(d), mechanism,
					has_initial ? &octets : NULL, checked, d, &d->job);

	buf_wipe(&initial);
	return submitted(d, f);
}

/* take_response - a line of the client in AUTHENTICATE. */
static void take_response(struct door *d, struct sv line)
{
	struct buf octets = { .max = AUTH_INPUT_MAX };

	switch (auth_decode_response(line, false, &octets)) {
	case AUTH_RESPONSE_DATA:
		submitted(d, auth_job_step(d->house->loop, begin_check(d), buf_sv(&octets), checked,
					   d, &d->job));
		break;
	case AUTH_RESPONSE_CANCEL:
		auth_cancel(d->auth);
		d->refusal = refusal_for(AUTH_CANCELLED);
		refuse(d);
		break;
	case AUTH_RESPONSE_BAD:
		auth_cancel(d->auth);
		d->refusal = refusal_for(AUTH_MALFORMED);
		refuse(d);
		break;
	}
	buf_wipe(&octets);
}

static const struct {
	const char *name;
	enum next (*run)(struct door *d, struct args *args);
	enum capability capability;
	const char *source;
} commands[] = {
	{ "AUTHENTICATE", do_authenticate, CAP_NONE, "RFC 3501 §6.2.2" },
	{ "CAPABILITY",   do_capability,   CAP_NONE, "RFC 3501 §6.1.1" },
	{ "ID",           do_id,           CAP_ID,   "RFC 2971 §3.1" },
	{ "LOGIN",        do_login,        CAP_NONE, "RFC 3501 §6.2.3" },
	{ "LOGOUT",       do_logout,       CAP_NONE, "RFC 3501 §6.1.3" },
	{ "NOOP",         do_noop,         CAP_NONE, "RFC 3501 §6.1.2" },
	{ "STARTTLS",     do_starttls,     CAP_NONE, "RFC 3501 §6.2.1" },
};

static enum next run_command(struct door *d)
{
	struct args args = args_from(&d->grammar, 1);
	struct sv name = SV_NONE;
	enum next next;
	size_t i = 0;

	(void)args_atom(&args, &name);
	while (i < ARRAY_LEN(commands) && !(sv_eq_nocase(name, sv_z(commands[i].name)) &&
					     capability_has(d->house->on, commands[i].capability)))
		i++;
	if (i == ARRAY_LEN(commands) || !grammar_tag(&d->grammar).len) {
		/* What does not begin with a command is no mail program: a browser that was lured
		 * here (ALPACA), a scanner. It gets nothing to work with. */
		if (!d->commands) {
			finish(d, "not-imap");
			return HOLD;
		}
		next = bad(d, i == ARRAY_LEN(commands) ? "Unknown command, or not before login"
						       : "Bad tag");
	} else {
		d->commands++;
		next = commands[i].run(d, &args);
	}
	if (next == NEXT)
		grammar_next(&d->grammar);
	return next;
}

static enum next handle(struct door *d, enum grammar_event event)
{
	switch (event) {
	case GRAMMAR_MORE:
		return NEXT;
	case GRAMMAR_COMMAND:
		return run_command(d);
	case GRAMMAR_LITERAL:
		if (!grammar_take(&d->grammar)) {
			if (grammar_is_flood(&d->grammar))
				return handle(d, GRAMMAR_OVERFLOW);
			if (!d->grammar.literal.is_sync)
				return NEXT;
			if (bad(d, d->grammar.why) == HOLD)
				return HOLD;
			grammar_next(&d->grammar);
		} else if (d->grammar.literal.is_sync) {
			say(d, "+ OK\r\n");
		}
		return NEXT;
	case GRAMMAR_LINE:
		take_response(d, d->grammar.octets);
		return HOLD;
	case GRAMMAR_BAD:
		if (d->state == DOOR_CHALLENGED) {
			auth_cancel(d->auth);
			d->refusal = refusal_for(AUTH_MALFORMED);
			refuse(d);
			return HOLD;
		}
		if (!d->commands) {
			finish(d, "not-imap");
			return HOLD;
		}
		if (bad(d, d->grammar.why) == HOLD)
			return HOLD;
		grammar_next(&d->grammar);
		return NEXT;
	case GRAMMAR_OVERFLOW:
		bye(d, "Too much", "overflow");
		return HOLD;
	case GRAMMAR_OCTETS:
	case GRAMMAR_LITERAL_END:
		break;
	}
	BUG("grammar event %d at the door", (int)event);
}

static void on_input(struct stream *s, void *user)
{
	struct door *d = user;

	while (stream_input_is_ready(s) &&
	       (d->state == DOOR_READY || d->state == DOOR_CHALLENGED)) {
		struct sv in = stream_input(s);
		size_t had = in.len;

		if (!had)
			return;
		enum grammar_event event = grammar_feed(&d->grammar, &in);

		stream_take(s, had - in.len);
		/* After HOLD the door waits, or is gone: then nothing of it may be touched. A door
		 * that waits is called again by stream_resume(). */
		if (handle(d, event) == HOLD)
			return;
	}
}

static void on_tls(struct stream *s, void *user)
{
	struct door *d = user;
	struct tls_facts facts = tls_facts(stream_tls(s));
	bool is_implicit = !d->commands;

	d->is_tls = true;
	event_emit(&d->log, EVENT_TLS_DONE, KV_Z("protocol", "imap"),
		   KV_Z("version", facts.version), KV_Z("cipher", facts.cipher),
		   KV_Z("sni", facts.sni), KV_BOOL("resumed", facts.is_resumed),
		   KV_U64("took_ms", loop_now_ms(d->house->loop) - d->opened_ms));
	d->state = DOOR_READY;
	if (is_implicit)
		greet(d);
}

static void on_end(struct stream *s, enum stream_end why, void *user)
{
	struct door *d = user;

	if (why == STREAM_TLS_FAILED || why == STREAM_TLS_SLOW)
		event_emit(&d->log, EVENT_TLS_FAILED, KV_Z("protocol", "imap"),
			   KV_Z("reason", stream_end_detail(s)));
	finish(d, stream_end_name(why));
}

static void deadline_over(struct timer *t)
{
	bye(CONTAINER_OF(t, struct door, deadline), "Login took too long",
	    "login-timeout");
}

static const struct stream_events door_events = { .on_input = on_input,
						  .on_tls = on_tls,
						  .on_end = on_end };

/* door_new - with the deadline running, and everything the stream says going to it. */
static struct door *door_new(struct door_house *house, struct stream *stream)
{
	const struct conf_imap *imap = &house->conf->imap;
	struct grammar_limits limits = {
		.line = imap->line_prelogin,
		.literal = imap->literal_prelogin,
		.literal_nonsync = capability_unasked_max(house->on),
		.literals = imap->literal_prelogin * 4,
		.depth = 1,
		.tokens = TOKENS_MAX,
	};
	struct door *d = xcalloc(1, sizeof(*d));

	d->house = house;
	d->stream = stream;
	d->conf = conf_ref(house->conf);
	d->opened_ms = loop_now_ms(house->loop);
	grammar_init(&d->grammar, &limits);
	d->at = &house->doors;
	d->next = house->doors;
	if (d->next)
		d->next->at = &d->next;
	house->doors = d;
	timer_init(&d->deadline, house->loop, deadline_over);
	timer_init(&d->delay, house->loop, delay_over);
	timer_start_ms(&d->deadline, d->conf->limits.login_ms);
	stream_set_events(stream, &door_events, d);
	return d;
}

void door_open(struct door_house *house, struct stream *stream, const struct listener *listener)
{
	struct door *d = door_new(house, stream);
	char text[NETADDR_TEXT_MAX];

	log_ctx_init(&d->log);
	log_ctx_set_peer(&d->log, netaddr_text(stream_peer(stream), text));
	event_emit(&d->log, EVENT_SESSION_OPEN, KV_Z("listener", listener->name),
		   KV_Z("protocol", "imap"), KV_BOOL("tls", listener->tls == CONF_TLS_IMPLICIT));
	d->role = &listener->role;
	if (listener->tls == CONF_TLS_IMPLICIT) {
		d->state = DOOR_HANDSHAKE;      /* greeted once it is done */
		return;
	}
	greet(d);
}

void door_reopen(struct door_house *house, struct stream *stream, const struct log_ctx *log)
{
	/* Which listener it came from is not known any more, nor whether that one gives tickets. */
	static const struct tls_role role = { .name = "imap", .alpn = "imap", .has_no_tickets = true };
	struct door *d = door_new(house, stream);

	d->role = &role;
	d->log = *log;
	d->is_tls = stream_is_tls(stream);
	d->commands = 1;                /* it is known to speak IMAP */
	event_emit(&d->log, EVENT_SESSION_OPEN, KV_Z("listener", "unauthenticate"), KV_Z("protocol", "imap"),
		   KV_BOOL("tls", d->is_tls));
	stream_resume(stream);
}

size_t door_kick(struct door_house *house, const struct kick *kick)
{
	size_t ended = 0;

	for (struct door *d = house->doors, *next; d; d = next) {
		next = d->next;
		if (!kick_is_for(kick, &d->log, NULL))
			continue;
		bye(d, "Ended by the administrator", "kicked");
		ended++;
	}
	return ended;
}
