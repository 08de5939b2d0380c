#include "smtpd/fetch/helper.h"

#include <stdlib.h>

#include "common/control.h"
#include "common/dns.h"
#include "common/http.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/transfer.h"
#include "smtpd/fetch.h"
#include "smtpd/fetch/issuer.h"

#include "common/banned.h"

#define CALLS_MAX 50            /* at a time */
#define PIECE (24u << 10)       /* octets of a body in one line of the answer */

struct helper {
	struct worker *worker;
	struct dns *dns;
	struct http *http, *to_issuer;  /* the second one to where the configuration says */
	struct issuer_fetch *issuer;
	struct call *calls;
	uint64_t asked, failed;
	uint32_t under_way;
};

/* One request. */
struct call {
	struct helper *helper;
	struct call *next, **at;
	struct control_reply *reply;
	struct http_call *http;
	char *url;
};

static void call_free(struct call *c)
{
	http_forget(&c->http);
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	c->helper->under_way--;
	free(c->url);
	free(c);
}

/* say - status and type, then the body in pieces. */
static struct fault say(struct control_reply *reply, const struct http_response *r)
{
	struct sv rest = r->body;
	struct json_out *j = control_line(reply);
	bool goes = true;

	json_out_u64(j, "status", r->status);
	json_out_sv(j, "type", r->type);
	goes = control_line_end(reply);
	while (rest.len && goes) {
		struct sv part = sv_sub(rest, 0, PIECE);
		struct buf text;

		buf_init(&text, 2 * PIECE);
		if (!base64_encode(part, &text))
			BUG("fetch: a piece of %zu octets", part.len);
		json_out_sv(control_line(reply), "body", buf_sv(&text));
		goes = control_line_end(reply);
		buf_done(&text);
		sv_skip(&rest, part.len);
	}
	return FAULT_OK;
}

static void on_response(void *arg, const struct http_response *r)
{
	struct call *c = arg;

	log_info(NULL, "fetch.done", KV_Z("url", c->url), KV_U64("status", r->status), KV_U64("octets", r->body.len),
		 KV_FAULT("fault", r->fault));
	c->helper->failed += r->fault.kind != FAULT_NONE;
	control_finish(&c->reply, r->fault.kind ? r->fault : say(c->reply, r));
	call_free(c);
}

static void do_fetch(void *arg, const struct json *request, struct control_reply *reply)
{
	struct helper *h = ((struct worker *)arg)->state;
	struct http_request r = { .octets_max = FETCH_OCTETS_MAX, .time_ms = FETCH_TIME_MS };
	const char *webhook = h->worker->conf->relay.webhook_url;
	struct call *c;
	struct buf body;
	struct sv text;
	uint64_t max;
	bool is_chosen;

	buf_init(&body, FETCH_BODY_MAX);
	if (!json_get_sv(request, "url", &r.url) || r.url.len > FETCH_URL_MAX ||
	    (json_get_sv(request, "body", &text) && !base64_decode(text, &body))) {
		buf_done(&body);
		control_finish(&reply, fault(FAULT_INVALID, "a request has a url and maybe a body"));
		return;
	}
	if (!h->http || h->under_way >= CALLS_MAX) {
		buf_done(&body);
		control_finish(&reply, fault(FAULT_UNAVAILABLE, h->http ? "too many requests at a time"
									: "HTTPS cannot be spoken here: see the log"));
		return;
	}
	if (json_get_u64(request, "octets_max", &max) && max < r.octets_max)
		r.octets_max = (uint32_t)max;
	json_get_sv(request, "type", &r.type);
	is_chosen = *webhook && sv_eq(r.url, sv_z(webhook));
	if (is_chosen)
		json_get_sv(request, "fields", &r.fields);
	r.body = buf_sv(&body);
	c = xcalloc(1, sizeof(*c));
	*c = (struct call){ .helper = h, .next = h->calls, .at = &h->calls, .reply = reply, .url = sv_copy_z(r.url) };
	if (c->next)
		c->next->at = &c->next;
	h->calls = c;
	h->asked++;
	h->under_way++;
	http_ask(is_chosen && h->to_issuer ? h->to_issuer : h->http, &r, on_response, c, &c->http);
	buf_done(&body);
}

/* ---- life ---- */

static struct fault fetch_open(struct worker *w)
{
	struct helper *h = xcalloc(1, sizeof(*h));
	struct http_settings settings = {
		.ca_file = *w->conf->relay.ca_file ? w->conf->relay.ca_file : NULL,
		.allow_private = w->conf->relay.fetch_private,
		.agent = "Postroom/" POSTROOM_VERSION,
	};
	struct fault f;

	w->state = h;
	h->worker = w;
	f = dns_new_from_conf(w->loop, &w->conf->dns, &h->dns);
	if (f.kind)
		return f;
	/* Mail goes on without libcurl or authorities: policies that are known hold, new ones are not had. */
	f = http_new(w->loop, h->dns, &settings, &h->http);
	if (f.kind)
		log_error(NULL, "fetch.closed", KV_FAULT("fault", f));
	/* Where the issuer and the webhook are says the administrator, not a stranger's DNS. */
	settings.allow_private = true;
	if (!f.kind && (w->conf->auth.oauth_issuer[0] || w->conf->relay.webhook_url[0])) {
		f = http_new(w->loop, h->dns, &settings, &h->to_issuer);
		if (f.kind)
			log_error(NULL, "fetch.issuer.closed", KV_FAULT("fault", f));
	}
	return FAULT_OK;
}

static struct fault fetch_start(struct worker *w)
{
	struct helper *h = w->state;

	return issuer_fetch_new(w->loop, h->to_issuer, w->instance, &w->conf->auth, &h->issuer);
}

static void fetch_stop(struct worker *w)
{
	worker_stopped(w);
}

static void fetch_end(struct worker *w)
{
	struct helper *h = w->state;

	if (!h)
		return;
	while (h->calls)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): call_free() moves h->calls on */
		call_free(h->calls);
	issuer_fetch_free(&h->issuer);
	http_free(&h->to_issuer);
	http_free(&h->http);
	dns_free(&h->dns);
	free(h);
	w->state = NULL;
}

static void fetch_status(struct worker *w, struct json_out *j)
{
	const struct helper *h = w->state;

	json_out_u64(j, "fetches", h->asked);
	json_out_u64(j, "fetches_failed", h->failed);
	issuer_fetch_status(h->issuer, j);
}

static const struct conf_list *fetch_files(const struct conf *conf)
{
	return &conf->dns.anchors;
}

static const struct control_verb verbs[] = {
	{ .name = "fetch", .doc = "get or post something by HTTPS", .run = do_fetch },
	{ .name = NULL },
};

const struct daemon_spec fetch_spec = {
	.name = "fetch",
	.doc = "speak HTTPS outward, for the others",
	.may_connect = true,
	.writes = 1u << INSTANCE_ISSUER,
	.reads_files = fetch_files,
	.open = fetch_open,
	.start = fetch_start,
	.stop = fetch_stop,
	.end = fetch_end,
	.status = fetch_status,
	.verbs = verbs,
};
