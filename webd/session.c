#include "webd/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/conf.h"
#include "common/log.h"
#include "common/master.h"
#include "common/memory.h"
#include "common/tls_proof.h"
#include "common/work.h"
#include "webd/request.h"
#include "webd/response.h"
#include "webd/routes.h"
#include "webd/server.h"

#include "common/banned.h"

#define REQUEST_MS 15000        /* from the first octet of a request to its last: slow senders (CWE-400) */
#define SILENCE_MS 15000        /* between requests */
#define REQUESTS_MAX 100        /* on one connection */
#define OUTPUT_MAX (RESPONSE_BODY_MAX + (16u << 10))

struct answer;

struct session {
	struct web_server *server;
	struct stream *stream;          /* NULL: it has ended */
	struct log_ctx log;
	struct request_reader *reader;
	struct timer deadline;          /* for the request that is coming in */
	uint32_t requests;
	bool is_tls, is_job_running;
	struct timer hold;              /* runs while an answer is held back */
	struct answer *held;
	char tls[16];
	struct session *next, **at;
};

/* A request being answered; the session's reader belongs to the job meanwhile. */
struct answer {
	struct work work;
	struct session *session;
	struct route_context ctx;
	struct conf *conf;
	struct response response;
	uint64_t began_ms;
};

/* ---- end ---- */

static void free_session(struct session *s)
{
	struct web_server *server = s->server;

	request_reader_free(&s->reader);
	free(s);
	if (--server->alive_count == 0 && server->is_stopping)
		worker_stopped(server->worker);
}

static void free_answer(struct answer *a)
{
	response_done(&a->response);
	conf_unref(&a->conf);
	free(a);
}

static void session_end(struct session *s)
{
	if (!s->stream)
		return;
	timer_stop(&s->deadline);
	timer_stop(&s->hold);
	if (s->held)
		free_answer(s->held);
	s->held = NULL;
	stream_close(&s->stream, true);
	*s->at = s->next;
	if (s->next)
		s->next->at = s->at;
	s->server->session_count--;
	if (!s->is_job_running)
		free_session(s);
}

/* ---- answers ---- */

/* False: the connection is to end. */
static bool send_response(struct session *s, struct response *r, bool head_only, bool keeps)
{
	struct buf out;
	bool good;

	buf_init(&out, OUTPUT_MAX);
	good = response_write(r, head_only, keeps, &out) && stream_write_buf(s->stream, &out);
	buf_done(&out);
	if (r->status >= 500)
		s->server->errors++;
	return good && keeps;
}

/* What could not be understood or did not come in time: said once, then nobody knows where a next request would begin. */
static void refuse(struct session *s, unsigned status)
{
	struct response r;

	response_init(&r);
	response_text(&r, status,
		      status == 408 ? "The request took too long." :
		      status == 503 ? "Not now; try again soon." :
				      "This is no request that is understood here.");
	log_info(&s->log, "web.refused", KV_U64("status", status));
	s->server->requests++;
	send_response(s, &r, false, false);
	response_done(&r);
	session_end(s);
}

static void answer_run(struct work *work)
{
	struct answer *a = CONTAINER_OF(work, struct answer, work);

	route_request(&a->ctx, request_reader_get(a->session->reader), &a->response);
}

static void next_request(struct session *s)
{
	request_reader_next(s->reader);
	stream_set_idle_ms(s->stream, SILENCE_MS);
	stream_resume(s->stream);
}

/* Frees both the answer and, when nobody is there any more, the session. */
static void give_answer(struct answer *a)
{
	struct session *s = a->session;
	const struct request *q = request_reader_get(s->reader);

	/* Not the query, which names people. */
	log_info(&s->log, "web.request", KV_SV("path", route_log_path(q->path)), KV_SV("host", q->host), KV_BOOL("tls", s->is_tls),
		 KV_U64("status", a->response.status), KV_U64("octets", a->response.body.len),
		 KV_U64("took_ms", loop_now_ms(s->server->loop) - a->began_ms));
	if (s->stream) {
		bool keeps = q->keeps && !s->server->is_stopping && s->requests < REQUESTS_MAX;

		if (send_response(s, &a->response, q->method == REQUEST_HEAD, keeps))
			next_request(s);
		else
			session_end(s);
	} else {
		free_session(s);
	}
	free_answer(a);
}

static void on_hold_over(struct timer *t)
{
	struct session *s = CONTAINER_OF(t, struct session, hold);
	struct answer *a = s->held;

	s->held = NULL;
	give_answer(a);
}

static void answer_done(struct work *work, bool is_cancelled)
{
	struct answer *a = CONTAINER_OF(work, struct answer, work);
	struct session *s = a->session;

	if (is_cancelled)
		response_text(&a->response, 503, "The server is stopping.");
	s->is_job_running = false;
	s->server->requests++;
	if (!s->stream || !a->response.delay_ms || s->server->is_stopping) {
		give_answer(a);
		return;
	}
	s->held = a;
	stream_set_idle_ms(s->stream, SILENCE_MS + a->response.delay_ms);
	timer_start_ms(&s->hold, a->response.delay_ms);
}

static void begin_answer(struct session *s)
{
	struct answer *a = xcalloc(1, sizeof(*a));
	struct fault f;

	a->session = s;
	a->conf = conf_ref(s->server->conf);
	a->ctx = (struct route_context){
		.conf = a->conf,
		.instance = s->server->instance,
		.directory = s->server->directory,
		.peer = *stream_peer(s->stream),
		.is_tls = s->is_tls,
		.tls = sv_z(s->tls),
		.auth = s->server->auth,
		.visits = s->server->visits,
		.offers = s->server->offers,
		.status = s->server->status,
		.log = &s->log,
	};
	response_init(&a->response);
	a->began_ms = loop_now_ms(s->server->loop);
	a->work.run = answer_run;
	a->work.done = answer_done;
	s->requests++;
	f = work_submit(s->server->loop, route_class(request_reader_get(s->reader)), &a->work);
	if (!f.kind) {
		s->is_job_running = true;
		stream_pause(s->stream);
		return;
	}
	free_answer(a);
	refuse(s, 503);
}

/* ---- input ---- */

static void on_input(struct stream *stream, void *user)
{
	struct session *s = user;

	while (stream_input_is_ready(stream)) {
		struct sv in = stream_input(stream);
		size_t had = in.len;
		enum request_feed feed = request_reader_feed(s->reader, &in);

		stream_take(stream, had - in.len);
		if (feed == REQUEST_BAD) {
			refuse(s, request_reader_status(s->reader));
			return;
		}
		if (feed == REQUEST_DONE) {
			timer_stop(&s->deadline);
			begin_answer(s);
			return;
		}
		if (request_reader_wants_go(s->reader))
			stream_write(stream, SV("HTTP/1.1 100 Continue\r\n\r\n"));
	}
	if (request_reader_has_begun(s->reader) && !timer_is_running(&s->deadline))
		timer_start_ms(&s->deadline, REQUEST_MS);
}

static void on_deadline(struct timer *t)
{
	refuse(CONTAINER_OF(t, struct session, deadline), 408);
}

static void on_tls(struct stream *stream, void *user)
{
	struct session *s = user;
	struct tls_facts facts = tls_facts(stream_tls(stream));
	const char *alpn = facts.alpn;

	s->is_tls = true;
	snprintf(s->tls, sizeof(s->tls), "%s", facts.version);
	/* RFC 8737 §3: the handshake was the answer. */
	if (alpn && strcmp(alpn, TLS_PROOF_ALPN) == 0)
		session_end(s);
}

static void on_end(struct stream *stream, enum stream_end why, void *user)
{
	(void)stream;
	(void)why;
	session_end(user);
}

static const struct stream_events session_events = {
	.on_input = on_input,
	.on_tls = on_tls,
	.on_end = on_end,
};

/* ---- life ---- */

void session_start(struct stream *stream, const struct listener *listener, void *server)
{
	struct session *s = xcalloc(1, sizeof(*s));
	char peer[NETADDR_TEXT_MAX];

	(void)listener;
	s->server = server;
	s->stream = stream;
	log_ctx_init(&s->log);
	log_ctx_set_peer(&s->log, netaddr_text(stream_peer(stream), peer));
	s->reader = request_reader_new();
	timer_init(&s->deadline, s->server->loop, on_deadline);
	timer_init(&s->hold, s->server->loop, on_hold_over);
	s->next = s->server->sessions;
	s->at = &s->server->sessions;
	if (s->next)
		s->next->at = &s->next;
	s->server->sessions = s;
	s->server->session_count++;
	s->server->alive_count++;
	stream_set_events(stream, &session_events, s);
	stream_set_idle_ms(stream, SILENCE_MS);
}

void session_stop_all(struct web_server *server)
{
	for (struct session *s = server->sessions, *next; s; s = next) {
		next = s->next;
		if (!s->is_job_running)
			session_end(s);
	}
}
