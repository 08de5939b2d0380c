#include "smtpd/rspamd.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/http_answer.h"
#include "common/memory.h"
#include "common/stream.h"
#include "smtpd/pieces.h"

#include "common/banned.h"

#define HEAD_MAX (32u << 10)            /* octets of the request's header; recipients that do not fit are left out */
#define HEAD_TAIL 4                     /* of them for its end */

struct rspamd {
	struct loop *loop;
	struct screen_message message;
	screen_fn *fn;
	void *arg;
	uint32_t timeout_ms;
	struct connector *connector;
	struct stream *stream;
	struct pieces *pieces;
	struct http_answer answer;
	struct screen_verdict verdict;
	struct timer deadline;          /* of the step under way; when done, the next turn */
	bool is_sent, is_done;
};

/* ---- the end ---- */

void rspamd_free(struct rspamd **rspamd)
{
	struct rspamd *r = *rspamd;

	*rspamd = NULL;
	if (!r)
		return;
	connect_forget(&r->connector);
	stream_close(&r->stream, false);
	timer_stop(&r->deadline);
	pieces_free(&r->pieces);
	http_answer_done(&r->answer);
	screen_verdict_done(&r->verdict);
	free(r);
}

static void finish(struct rspamd *r)
{
	if (r->is_done)
		return;
	r->is_done = true;
	timer_start_ms(&r->deadline, 0);
}

static void fail(struct rspamd *r, const char *why)
{
	if (r->is_done)
		return;
	screen_fail(&r->verdict, why);
	finish(r);
}

static void on_deadline(struct timer *t)
{
	struct rspamd *r = CONTAINER_OF(t, struct rspamd, deadline);

	if (!r->is_done) {
		fail(r, r->is_sent ? "no answer in time" : "it does not read");
		return;
	}
	r->fn(r->arg, &r->verdict);
}

/* ---- the request ---- */

/* put_field - nothing in a value can end it. False: there is no room, and nothing was added. */
static bool put_field(struct buf *out, const char *name, const char *before, struct sv value, const char *behind)
{
	size_t start = out->len;
	bool ok = buf_appendf(out, "%s: %s", name, before);

	for (size_t i = 0; i < value.len && ok; i++)
		if ((unsigned char)value.p[i] >= ' ' && value.p[i] != 0x7f)
			ok = buf_append_c(out, value.p[i]);
	ok = ok && buf_appendf(out, "%s\r\n", behind) && out->max - out->len >= HEAD_TAIL;
	if (!ok)
		out->len = start;
	return ok;
}

/* put_known - what is not known is not said. */
static void put_known(struct buf *out, const char *name, struct sv value)
{
	if (value.len)
		(void)put_field(out, name, "", value, "");
}

static void send_head(struct rspamd *r)
{
	const struct screen_message *m = &r->message;
	struct sv cipher = m->tls, version;
	char ip[NETADDR_TEXT_MAX];
	struct buf head;

	buf_init(&head, HEAD_MAX);
	(void)buf_appendf(&head, "POST /checkv2 HTTP/1.0\r\nHost: rspamd\r\nUser-Agent: Postroom\r\nContent-Length: %llu\r\n",
			  (unsigned long long)m->octets->size);
	if (m->peer.family == NET_IPV4 || m->peer.family == NET_IPV6)
		put_known(&head, "IP", netaddr_text(&m->peer, ip));
	put_known(&head, "Password", m->password);
	put_known(&head, "Queue-Id", m->queue_id);
	put_known(&head, "MTA-Name", m->hostname);
	put_known(&head, "Hostname", m->host);
	put_known(&head, "Helo", m->helo);
	put_known(&head, "User", m->user);
	if (sv_split(&cipher, ' ', &version)) {
		put_known(&head, "TLS-Version", version);
		put_known(&head, "TLS-Cipher", cipher);
	}
	(void)put_field(&head, "From", "<", m->sender, ">");
	for (size_t i = 0; i < m->rcpt_count && put_field(&head, "Rcpt", "<", m->rcpts[i], ">"); i++)
		;
	if (!buf_append(&head, SV("\r\n")) || !stream_write(r->stream, buf_sv(&head)))
		fail(r, "the request is too long");
	buf_done(&head);
}

/* send_more - the next piece, once there is room for it; each has the whole deadline. */
static void send_more(struct rspamd *r)
{
	if (r->is_done || r->is_sent || pieces_is_reading(r->pieces) || !stream_has_room(r->stream))
		return;
	timer_start_ms(&r->deadline, r->timeout_ms);
	if (!pieces_next(r->pieces))
		fail(r, "no thread to read the message");
}

static void on_piece(void *arg, struct sv octets, bool is_last, struct fault f)
{
	struct rspamd *r = arg;

	if (f.kind) {
		fail(r, "the message cannot be read");
	} else if (!stream_write(r->stream, octets)) {
		fail(r, "it reads too slowly");
	} else if (is_last) {
		r->is_sent = true;
		timer_start_ms(&r->deadline, r->timeout_ms);
	} else {
		send_more(r);
	}
}

static void on_writable(struct stream *stream, void *user)
{
	(void)stream;
	send_more(user);
}

/* ---- the answer ---- */

static void take_answer(struct rspamd *r)
{
	char why[80];

	snprintf(why, sizeof(why), "it answers %u", r->answer.status);
	if (r->answer.status != 200)
		fail(r, why);
	else if (!rspamd_take_answer(buf_sv(&r->answer.body), &r->verdict))
		fail(r, "its answer is no verdict");
	else
		finish(r);
}

static void take(struct rspamd *r, enum feed feed)
{
	if (feed == FEED_BAD)
		fail(r, "it sends what is no answer, or too long a one");
	else if (feed == FEED_DONE)
		take_answer(r);
}

static void on_input(struct stream *stream, void *user)
{
	struct rspamd *r = user;
	struct sv in = stream_input(stream);

	if (!r->is_done)
		take(r, http_answer_feed(&r->answer, in));
	stream_take(stream, in.len);
}

static void on_end(struct stream *stream, enum stream_end why, void *user)
{
	struct rspamd *r = user;

	(void)stream;
	if (r->is_done)
		return;
	if (why == STREAM_EOF && r->answer.status)
		take(r, http_answer_end(&r->answer));
	else
		fail(r, "it has hung up");
}

static const struct stream_events events = { .on_input = on_input, .on_writable = on_writable, .on_end = on_end };

static void on_connected(void *arg, int fd, struct fault f)
{
	struct rspamd *r = arg;

	r->connector = NULL;
	if (fd < 0) {
		fail(r, f.detail ? f.detail : "cannot connect");
		return;
	}
	if (stream_new(r->loop, fd, &stream_limits_default, &events, r, &r->stream).kind) {
		fail(r, "cannot connect");
		return;
	}
	send_head(r);
	send_more(r);
}

struct rspamd *rspamd_ask(struct loop *loop, const struct screen_place *place, uint32_t timeout_ms, const struct screen_message *message,
			  screen_fn *fn, void *arg)
{
	struct rspamd *r = xcalloc(1, sizeof(*r));

	r->loop = loop;
	r->message = *message;
	r->fn = fn;
	r->arg = arg;
	r->timeout_ms = timeout_ms;
	r->pieces = pieces_new(loop, message->octets, on_piece, r);
	http_answer_init(&r->answer, RSPAMD_ANSWER_MAX);
	screen_verdict_init(&r->verdict);
	timer_init(&r->deadline, loop, on_deadline);
	timer_start_ms(&r->deadline, timeout_ms);
	screen_connect(loop, place, timeout_ms, on_connected, r, &r->connector);
	return r;
}
