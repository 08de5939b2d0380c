/* The connection: how it begins, what is said and heard, how it ends. */
#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"
#include "smtpd/relay/client_private.h"
#include "smtpd/relay/talk.h"

#include "common/banned.h"

#define STALL_MS 180000         /* RFC 5321 §4.5.3.2.5: a block of data, 3 minutes */
#define HANDSHAKE_MS 60000

/* ---- callbacks come from the loop ---- */

static void on_soon(struct deferred *d)
{
	struct client *c = CONTAINER_OF(d, struct client, soon);

	c->owed(c);
}

void client_owe(struct client *c, void (*what)(struct client *c))
{
	c->owed = what;
	deferred_call(&c->soon);
}

static void tell_end(struct client *c)
{
	c->events->on_end(c->user, &c->end);
}

void client_over(struct client *c, const char *status, const char *format, ...)
{
	struct buf text;
	va_list ap;

	if (c->state == S_OVER)
		return;
	c->state = S_OVER;
	timer_stop(&c->patience);
	connect_forget(&c->connector);
	stream_close(&c->stream, true);
	snprintf(c->end.status, sizeof(c->end.status), "%s", status);
	buf_init(&text, sizeof(c->end_text));
	va_start(ap, format);
	(void)buf_vappendf(&text, format, ap);
	va_end(ap);
	snprintf(c->end_text, sizeof(c->end_text), "%.*s", SV_FMT(buf_sv(&text)));
	buf_done(&text);
	c->end.text = c->end_text;
	c->end.was_ready = c->was_ready;
	talk_note(&c->talk, "*", sv_z(c->end_text));
	client_owe(c, tell_end);
}

void client_over_by_answer(struct client *c, const char *where, const char *status)
{
	struct buf text;

	buf_init(&text, 500);
	(void)answer_append(&c->answer, &text);
	c->end.is_refusal = answer_is_final(&c->answer);
	client_over(c, c->answer.status[0] ? c->answer.status : status, "%s: %.*s", where,
	     SV_FMT(buf_sv(&text)));
	buf_done(&text);
}

/* ---- writing ---- */

void client_wait_ms(struct client *c, uint64_t ms)
{
	timer_start_ms(&c->patience, ms);
}

void client_say(struct client *c, struct sv line, bool is_secret)
{
	talk_note(&c->talk, ">", is_secret ? SV("(secret)") : line);
	if (!stream_write(c->stream, line) || !stream_write(c->stream, SV("\r\n")))
		client_over(c, "4.4.2", "too much to send at once");
}

void client_sayf(struct client *c, const char *format, ...)
{
	struct buf line;
	va_list ap;

	buf_init(&line, 8192);
	va_start(ap, format);
	(void)buf_vappendf(&line, format, ap);
	va_end(ap);
	client_say(c, buf_sv(&line), false);
	buf_done(&line);
}

/* ---- the stream ---- */

static void on_answer(struct client *c)
{
	talk_note_answer(&c->talk, &c->answer);
	/* RFC 5321 §3.8: the server is about to close. */
	if (c->answer.code == 421 && c->state != S_GREETING) {
		if (c->mail)
			client_give_all(c, c->state == S_BODY || c->state == S_END);
		c->end.is_busy = true;
		client_over_by_answer(c, "it closes the connection", "4.3.2");
		return;
	}
	switch (c->state) {
	case S_GREETING:
	case S_EHLO:
	case S_HELO:
	case S_STARTTLS:
	case S_AUTH_USER:
	case S_AUTH_PASSWORD:
	case S_AUTH:
		client_on_hello_answer(c);
		return;
	case S_ENVELOPE:
	case S_BODY:
	case S_END:
		client_on_mail_answer(c);
		return;
	case S_RSET:
		if (answer_is_good(&c->answer) && !c->mail)
			client_become_ready(c);
		else
			client_over_by_answer(c, "RSET", "4.5.0");
		return;
	case S_READY:
		client_over_by_answer(c, "between messages", "4.4.2");
		return;
	case S_CONNECT:
	case S_HANDSHAKE:
	case S_OVER:
		return;
	}
}

static void on_input(struct stream *s, void *user)
{
	struct client *c = user;
	(void)s;

	while (c->stream && c->state != S_OVER && stream_input(c->stream).len) {
		struct sv in = stream_input(c->stream);
		size_t had = in.len;
		enum feed got = answer_feed(&c->answer, &in);

		stream_take(c->stream, had - in.len);
		if (got == FEED_MORE)
			return;
		if (got == FEED_BAD) {
			client_over(c, "4.5.0", "what it answers is not SMTP");
			return;
		}
		on_answer(c);
		if (c->state == S_HANDSHAKE)
			return;
	}
}

static void on_writable(struct stream *s, void *user)
{
	(void)s;
	client_ask_for_body(user);
}

static void on_tls(struct stream *s, void *user)
{
	struct client *c = user;
	struct tls_facts facts = tls_facts(stream_tls(s));

	c->is_tls = true;
	c->doubt = tls_peer_doubt(stream_tls(s));
	snprintf(c->tls_text, sizeof(c->tls_text), "%s %s", facts.version, facts.cipher);
	talk_note(&c->talk, "*", sv_z(c->tls_text));
	if (c->to.tls == CLIENT_TLS_DIRECT) {
		c->state = S_GREETING;
		client_wait_ms(c, c->to.reply_ms);
	} else {
		client_hello(c);               /* what was learned in clear is forgotten */
	}
}

static void on_stream_end(struct stream *s, enum stream_end why, void *user)
{
	struct client *c = user;
	const char *detail = stream_end_detail(s);

	if (why == STREAM_TLS_FAILED || why == STREAM_TLS_SLOW || c->state == S_HANDSHAKE) {
		c->end.is_tls_failure = c->state == S_HANDSHAKE;
		client_over(c, "4.7.5", "TLS handshake: %s", detail);
		return;
	}
	client_over(c, "4.4.2", "the connection was lost%s%s%s", *detail ? " (" : "", detail,
	     *detail ? ")" : "");
}

static const struct stream_events stream_events = { on_input, on_writable, on_tls, on_stream_end };

static void on_connected(void *arg, int fd, struct fault f)
{
	struct client *c = arg;
	/* Who gets so long for an answer gets no longer for this. */
	const struct stream_limits limits = {
		.input_max = 8 << 10,
		.output_low = 64 << 10,
		.output_high = 256 << 10,
		.output_max = 4 << 20,
		.handshake_ms = c->to.reply_ms < HANDSHAKE_MS ? (uint32_t)c->to.reply_ms : HANDSHAKE_MS,
		.stall_ms = c->to.reply_ms < STALL_MS ? (uint32_t)c->to.reply_ms : STALL_MS,
		.keepalive_ms = 120000,
	};

	if (!f.kind)
		f = stream_new(c->loop, fd, &limits, &stream_events, c, &c->stream);
	if (f.kind) {
		client_over(c, "4.4.1", "connect: %s", f.detail ? f.detail : "failed");
		return;
	}
	if (c->to.tls == CLIENT_TLS_DIRECT) {
		client_start_tls(c);
		return;
	}
	c->state = S_GREETING;
	client_wait_ms(c, c->to.reply_ms);
}

static void on_patience_end(struct timer *t)
{
	struct client *c = CONTAINER_OF(t, struct client, patience);

	client_over(c, "4.4.2", "no answer in time");
}

/* ---- for the owner ---- */

struct client *client_new(struct loop *loop, struct tls_client *tls,
			  const struct client_target *target, const struct client_events *events,
			  void *user)
{
	struct client *c = xcalloc(1, sizeof(*c));
	char ip[NETADDR_TEXT_MAX];

	c->loop = loop;
	c->tls = tls;
	c->to = *target;
	c->events = events;
	c->user = user;
	answer_init(&c->answer);
	buf_init(&c->talk, CLIENT_TALK_MAX);
	timer_init(&c->patience, loop, on_patience_end);
	deferred_init(&c->soon, loop, on_soon);
	if (c->to.path[0]) {
		snprintf(c->peer, sizeof(c->peer), "local delivery");
		connect_to_path(loop, c->to.path, c->to.connect_ms, on_connected, c,
				&c->connector);
	} else {
		netaddr_text(&c->to.at, ip);
		if (c->to.host[0])
			snprintf(c->peer, sizeof(c->peer), "%s [%s]", c->to.host, ip);
		else
			snprintf(c->peer, sizeof(c->peer), "[%s]", ip);
		connect_to(loop, &c->to.at, c->to.connect_ms, on_connected, c, &c->connector);
	}
	talk_note(&c->talk, "*", sv_z(c->peer));
	return c;
}

void client_free(struct client **pc)
{
	struct client *c = *pc;

	if (!c)
		return;
	*pc = NULL;
	if (c->stream && c->state == S_READY)
		(void)stream_write(c->stream, SV("QUIT\r\n"));
	connect_forget(&c->connector);
	stream_close(&c->stream, c->state == S_READY || c->state == S_OVER);
	timer_stop(&c->patience);
	deferred_cancel(&c->soon);
	answer_done(&c->answer);
	buf_done(&c->talk);
	free(c);
}

unsigned client_can(const struct client *c)
{
	return c->can;
}

uint32_t client_by_min_s(const struct client *c)
{
	return c->by_min_s;
}

uint64_t client_size_max(const struct client *c)
{
	return c->size_max;
}

bool client_is_ready(const struct client *c)
{
	return c->state == S_READY;
}

const char *client_doubt(const struct client *c)
{
	return c->doubt;
}

const char *client_tls_text(const struct client *c)
{
	return c->tls_text;
}

struct sv client_talk(const struct client *c)
{
	return buf_sv(&c->talk);
}

const char *client_peer(const struct client *c)
{
	return c->peer;
}
