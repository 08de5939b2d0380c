#include "webd/routes.h"

#include <stdlib.h>

#include "common/date.h"
#include "common/control.h"
#include "common/directory.h"
#include "common/discovery.h"
#include "common/instance.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/textfile.h"
#include "common/unsubscribe.h"
#include "webd/account.h"
#include "webd/home.h"
#include "webd/metrics.h"
#include "webd/page.h"
#include "webd/status.h"

#include "common/banned.h"

#define TOKEN_MAX 256
#define LOG_PATH_MAX 128
#define CHALLENGE_MAX 1024

/* ---- whose settings ---- */

enum whose { WHOSE_OURS, WHOSE_NOT_OURS, WHOSE_TROUBLE };

static enum whose is_ours(const struct route_context *ctx, struct sv domain, struct buf *out)
{
	bool ours = false;
	struct fault f = directory_is_local_domain(ctx->directory, domain, &ours);

	if (f.kind && f.kind != FAULT_INVALID) {
		log_error(NULL, "web.directory", KV_FAULT("fault", f));
		return WHOSE_TROUBLE;
	}
	if (f.kind || !ours || !domain.len)
		return WHOSE_NOT_OURS;
	buf_clear(out);
	return buf_append(out, domain) ? WHOSE_OURS : WHOSE_NOT_OURS;
}

/* An address that could be one, in the form in which it was given; its domain in A-labels. */
static bool read_address(struct arena *arena, struct sv text, struct address *out)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f)
			return false;
	return text.len <= DIRECTORY_ADDRESS_MAX && !address_parse(arena, text, out).kind && out->local.len && out->domain.len;
}

/* The domain that a request is about: that of the address; else what the host name says (autoconfig.DOMAIN, DOMAIN); at our own
 * name or at a number the default one. */
static enum whose find_domain(const struct route_context *ctx, const struct request *q, struct sv address, struct buf *out)
{
	static const struct sv prefixes[] = { SV_INIT("autoconfig."), SV_INIT("autodiscover."), SV_INIT("mta-sts.") };
	struct directory_domain first;
	struct sv host = q->host;
	struct netaddr number;
	enum whose whose;

	if (address.len) {
		struct arena arena;
		struct address a;

		arena_init(&arena, 8192);
		whose = read_address(&arena, address, &a) ? is_ours(ctx, a.domain, out) : WHOSE_NOT_OURS;
		arena_done(&arena);
		return whose;
	}
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (sv_starts(host, prefixes[i])) {
			sv_skip(&host, prefixes[i].len);
			break;
		}
	whose = is_ours(ctx, host, out);
	if (whose != WHOSE_NOT_OURS)
		return whose;
	if (host.len && !sv_eq_nocase(host, sv_z(ctx->conf->host.hostname)) && !sv_eq(host, SV("localhost")) && !netaddr_parse(host, &number))
		return WHOSE_NOT_OURS;
	if (directory_domain_default(ctx->directory, &first).kind)
		return WHOSE_NOT_OURS;
	buf_clear(out);
	return buf_append(out, sv_z(first.name)) ? WHOSE_OURS : WHOSE_NOT_OURS;
}

static void refuse(struct response *out, enum whose whose)
{
	if (whose == WHOSE_TROUBLE)
		response_text(out, 503, "Not now; try again soon.");
	else
		response_text(out, 404, "This server has no mail for that domain.");
}

/* ---- settings for mail programs ---- */

static void do_autoconfig(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct buf address, domain;
	enum whose whose;

	buf_init(&address, DIRECTORY_ADDRESS_MAX);
	buf_init(&domain, ADDRESS_DOMAIN_MAX);
	if (!request_parameter(q->query, "emailaddress", false, &address))
		buf_clear(&address);
	whose = find_domain(ctx, q, buf_sv(&address), &domain);
	out->type = "text/xml; charset=utf-8";
	out->cache = "public, max-age=300";
	if (whose != WHOSE_OURS)
		refuse(out, whose);
	else if (!discovery_autoconfig(ctx->conf, buf_sv(&domain), &out->body))
		response_text(out, 500, "The answer is too long.");
	buf_done(&address);
	buf_done(&domain);
}

/* Never 401: clients would believe in Exchange. A request that is wrong gets the error of the protocol, not of HTTP. */
static void do_autodiscover(const struct route_context *ctx, const struct request *q, struct response *out)
{
	int64_t now_s = date_now().seconds;
	struct buf address, domain;
	bool wants_other = false, good;
	enum whose whose;

	buf_init(&address, DIRECTORY_ADDRESS_MAX);
	buf_init(&domain, ADDRESS_DOMAIN_MAX);
	good = q->method == REQUEST_POST ? discovery_autodiscover_address(q->body, &address, &wants_other)
					 : request_parameter(q->query, "email", false, &address) ||
						   request_parameter(q->query, "emailaddress", false, &address);
	if (!good)
		buf_clear(&address);
	out->type = "application/xml; charset=utf-8";
	whose = good || q->method != REQUEST_POST ? find_domain(ctx, q, buf_sv(&address), &domain) : WHOSE_NOT_OURS;
	if (whose == WHOSE_TROUBLE)
		refuse(out, whose);
	else if (wants_other)
		good = discovery_autodiscover_error(601, "Only settings for IMAP, POP3 and SMTP are given here", now_s, &out->body);
	else if (!good && q->method == REQUEST_POST)
		good = discovery_autodiscover_error(600, "Invalid Request", now_s, &out->body);
	else if (whose == WHOSE_NOT_OURS)
		good = discovery_autodiscover_error(500, "There is no mail here for that address", now_s, &out->body);
	else
		good = discovery_autodiscover(ctx->conf, buf_sv(&domain), buf_sv(&address), &out->body);
	if (!good)
		response_text(out, 500, "The answer is too long.");
	buf_done(&address);
	buf_done(&domain);
}

static uint64_t https_port(const struct conf *conf)
{
	for (size_t i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i].kind == LISTENER_HTTPS)
			return conf->listeners[i].port;
	return 443;
}

bool route_https_host(const struct conf *conf, struct sv name, bool is_forwarded, struct buf *out)
{
	uint64_t port = is_forwarded ? 443 : https_port(conf);

	return buf_append(out, name) && (port == 443 || buf_appendf(out, ":%llu", (unsigned long long)port));
}

static void do_autodiscover_json(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct buf protocol, host;
	bool is_known = false;

	buf_init(&protocol, 64);
	buf_init(&host, 512);
	if (!request_parameter(q->query, "protocol", false, &protocol))
		buf_clear(&protocol);
	out->type = "application/json; charset=utf-8";
	/* The name that was asked stays: whoever got here has a certificate for it. */
	if (!route_https_host(ctx->conf, q->host.len ? q->host : sv_z(ctx->conf->host.hostname), false, &host) ||
	    !discovery_autodiscover_json(buf_sv(&host), buf_sv(&protocol), &out->body, &is_known))
		response_text(out, 500, "The answer is too long.");
	else if (!is_known)
		out->status = 400;
	buf_done(&protocol);
	buf_done(&host);
}

static void do_mobileconfig(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct buf address, domain;
	enum whose whose;

	buf_init(&address, DIRECTORY_ADDRESS_MAX);
	buf_init(&domain, ADDRESS_DOMAIN_MAX);
	out->type = "application/x-apple-aspen-config";
	if (!request_parameter(q->query, "emailaddress", false, &address) || !address.len) {
		response_text(out, 400, "Say whose: ?emailaddress=user@example.org");
	} else if ((whose = find_domain(ctx, q, buf_sv(&address), &domain)) != WHOSE_OURS) {
		refuse(out, whose);
	} else if (!discovery_mobileconfig(ctx->conf, buf_sv(&domain), buf_sv(&address), SV_NONE, &out->body) ||
		   !buf_appendf(&out->fields, "Content-Disposition: attachment; filename=\"%.*s.mobileconfig\"\r\n", SV_FMT(buf_sv(&domain)))) {
		response_text(out, 500, "The answer is too long.");
	}
	buf_done(&address);
	buf_done(&domain);
}

/* ---- MTA-STS ---- */

/* RFC 8461 §3.3: only under mta-sts.DOMAIN, only by HTTPS; text/plain. */
static void do_sts(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct sv host = q->host;
	struct buf domain;
	enum whose whose = WHOSE_NOT_OURS;

	buf_init(&domain, ADDRESS_DOMAIN_MAX);
	if (sv_starts(host, SV("mta-sts."))) {
		sv_skip(&host, sizeof("mta-sts.") - 1);
		whose = is_ours(ctx, host, &domain);
	}
	if (whose != WHOSE_OURS)
		refuse(out, whose);
	else if (!discovery_sts_policy(ctx->conf, &out->body))
		response_text(out, 500, "The answer is too long.");
	else
		out->cache = "public, max-age=300";
	buf_done(&domain);
}

/* ---- ACME ---- */

/* RFC 8555 §8.3: ROOT/tls/acme/TOKEN holds the key authorization while a certificate is asked for. */
static void do_challenge(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct sv token = sv_sub(q->path, sv_rfind(q->path, '/') + 1, SIZE_MAX);
	struct buf path;

	buf_init(&path, 4096);
	out->type = "application/octet-stream";
	for (size_t i = 0; i < token.len; i++)  /* base64url: no name of this form leads out of the folder */
		if (!ascii_is_alpha(token.p[i]) && !ascii_is_digit(token.p[i]) && token.p[i] != '-' && token.p[i] != '_')
			token.len = 0;
	if (!token.len || token.len > TOKEN_MAX ||
	    !buf_appendf(&path, "%s/acme/%.*s", instance_path(ctx->instance, INSTANCE_TLS), SV_FMT(token)) || !buf_z(&path) ||
	    textfile_read(path.p, &out->body).kind || out->body.len > CHALLENGE_MAX)
		response_text(out, 404, "No certificate is being asked for with that token.");
	buf_done(&path);
}

/* ---- unsubscribing ---- */

#define UNSUBSCRIBE_MS 10000

static bool add_page(struct response *out, struct sv account, struct sv recipient, bool is_done)
{
	struct buf *b = &out->body;

	out->type = "text/html; charset=utf-8";
	return buf_append(b, SV("<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
				"<meta name=\"robots\" content=\"noindex\"><title>Unsubscribe</title>\n<p>")) &&
	       discovery_escape(b, recipient) &&
	       buf_append(b, is_done ? SV(" gets no more mail from ") : SV(" gets mail from ")) && discovery_escape(b, account) &&
	       buf_append(b, is_done ? SV(".</p></html>\n")
				     : SV(".</p>\n<form method=\"post\"><input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">"
					  "<button>Send me no more of it</button></form></html>\n"));
}

static struct fault tell_smtpd(const struct route_context *ctx, struct sv account, struct sv recipient)
{
	struct json_out j;
	struct buf request;
	struct fault f;

	buf_init(&request, 4096);
	json_out_init(&j, &request);
	json_out_object(&j, NULL);
	json_out_z(&j, "verb", "unsubscribe");
	json_out_sv(&j, "sender", account);
	json_out_sv(&j, "address", recipient);
	json_out_object_end(&j);
	f = j.overflow ? fault(FAULT_LIMIT, "addresses too long")
		       : control_ask(ctx->instance, "smtpd", buf_sv(&request), NULL, NULL, UNSUBSCRIBE_MS);
	buf_done(&request);
	return f;
}

/* Looking at a page changes nothing: programs that check mail follow every link (RFC 8058 §3.2). What the form of a POST says does not
 * matter, since the link says all. */
static void do_unsubscribe(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct sv token = sv_sub(q->path, sizeof(UNSUBSCRIBE_PATH) - 1, SIZE_MAX);
	struct buf account, recipient;
	struct fault f = FAULT_OK;

	buf_init(&account, DIRECTORY_ADDRESS_MAX);
	buf_init(&recipient, DIRECTORY_ADDRESS_MAX);
	if (!unsubscribe_read(ctx->directory, token, &account, &recipient)) {
		response_text(out, 404, "This link is not whole, or not of this server. Take it from the message once more.");
	} else {
		if (q->method == REQUEST_POST)
			f = tell_smtpd(ctx, buf_sv(&account), buf_sv(&recipient));
		if (f.kind) {
			log_error(NULL, "web.unsubscribe", KV_FAULT("fault", f));
			response_text(out, 503, "Not now; try again soon.");
		} else if (!add_page(out, buf_sv(&account), buf_sv(&recipient), q->method == REQUEST_POST)) {
			response_text(out, 500, "The answer is too long.");
		}
	}
	buf_done(&account);
	buf_done(&recipient);
}

/* ---- for those who watch ---- */

static void do_live(const struct route_context *ctx, const struct request *q, struct response *out)
{
	(void)ctx;
	(void)q;
	response_text(out, 200, "live");
}

static void do_ready(const struct route_context *ctx, const struct request *q, struct response *out)
{
	(void)q;
	metrics_ready(ctx->instance, ctx->conf, out);
}

static void do_metrics(const struct route_context *ctx, const struct request *q, struct response *out)
{
	(void)q;
	metrics_write(ctx->instance, ctx->conf, out);
}

/* ---- the table ---- */

enum {
	ANY_CASE = 1,           /* of the path */
	BEGINS = 2,             /* more may follow */
	ONLY_TLS = 4,           /* in clear: sent on to HTTPS */
	ONLY_WATCHERS = 8,      /* metrics-networks */
	HASHES = 16,            /* passwords: POST is a job of that class */
};

static const struct route {
	struct sv path;
	unsigned flags;
	unsigned methods;       /* HEAD goes with GET */
	void (*run)(const struct route_context *ctx, const struct request *q, struct response *out);
	const char *source;
} routes[] = {
	{ SV_INIT("/"), 0, REQUEST_GET, home_show, "" },
	{ SV_INIT("/mail/config-v1.1.xml"), 0, REQUEST_GET, do_autoconfig, "Thunderbird autoconfig" },
	{ SV_INIT("/.well-known/autoconfig/mail/config-v1.1.xml"), 0, REQUEST_GET, do_autoconfig, "Thunderbird autoconfig" },
	{ SV_INIT("/v1.1/mail/config-v1.1.xml"), 0, REQUEST_GET, do_autoconfig, "as some Android programs ask" },
	{ SV_INIT("/autodiscover/autodiscover.xml"), ANY_CASE | ONLY_TLS, REQUEST_GET | REQUEST_POST, do_autodiscover, "MS-OXDSCLI" },
	{ SV_INIT("/autodiscover/autodiscover.json"), ANY_CASE | ONLY_TLS, REQUEST_GET, do_autodiscover_json, "Autodiscover v2" },
	{ SV_INIT("/autodiscover/autodiscover.json/"), ANY_CASE | ONLY_TLS | BEGINS, REQUEST_GET, do_autodiscover_json, "Autodiscover v2" },
	{ SV_INIT("/mail/apple.mobileconfig"), 0, REQUEST_GET, do_mobileconfig, "Apple configuration profile" },
	{ SV_INIT("/.well-known/mta-sts.txt"), ONLY_TLS, REQUEST_GET, do_sts, "RFC 8461 §3.3" },
	{ SV_INIT("/.well-known/acme-challenge/"), BEGINS, REQUEST_GET, do_challenge, "RFC 8555 §8.3" },
	{ SV_INIT(UNSUBSCRIBE_PATH), BEGINS | ONLY_TLS, REQUEST_GET | REQUEST_POST, do_unsubscribe, "RFC 8058 §3" },
	{ SV_INIT("/account"), ONLY_TLS, REQUEST_GET, account_show, "" },
	{ SV_INIT("/account/sign-in"), ONLY_TLS | HASHES, REQUEST_POST, account_sign_in, "" },
	{ SV_INIT("/account/sign-out"), ONLY_TLS, REQUEST_POST, account_sign_out, "" },
	{ SV_INIT("/account/app-password"), ONLY_TLS | HASHES, REQUEST_POST, account_app_password, "" },
	{ SV_INIT("/account/revoke"), ONLY_TLS, REQUEST_POST, account_revoke, "" },
	{ SV_INIT("/account/device"), ONLY_TLS, REQUEST_POST, account_device, "" },
	{ SV_INIT("/account/phone"), ONLY_TLS, REQUEST_POST, account_phone, "" },
	{ SV_INIT(ACCOUNT_PROFILE_PATH), ONLY_TLS | BEGINS | HASHES, REQUEST_GET, account_profile, "Apple configuration profile" },
	{ SV_INIT("/account/vacation"), ONLY_TLS, REQUEST_POST, account_vacation, "" },
	{ SV_INIT(PAGE_STYLE_PATH), 0, REQUEST_GET, page_style, "" },
	{ SV_INIT("/status"), 0, REQUEST_GET, status_show, "" },
	{ SV_INIT("/healthz/live"), 0, REQUEST_GET, do_live, "" },
	{ SV_INIT("/healthz/ready"), ONLY_WATCHERS, REQUEST_GET, do_ready, "" },
	{ SV_INIT("/metrics"), ONLY_WATCHERS, REQUEST_GET, do_metrics, "OpenMetrics 1.0" },
};

static const struct route *find_route(struct sv path)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		const struct route *r = &routes[i];
		struct sv begin = (r->flags & BEGINS) ? sv_sub(path, 0, r->path.len) : path;

		if ((r->flags & ANY_CASE) ? sv_eq_nocase(begin, r->path) : sv_eq(begin, r->path))
			return r;
	}
	return NULL;
}

struct sv route_log_path(struct sv path)
{
	const struct route *r = find_route(path);

	return r && (r->flags & BEGINS) ? r->path : sv_sub(path, 0, LOG_PATH_MAX);
}

/* To the same path by HTTPS. 302, which clients of Autodiscover follow with GET or POST, as they like. */
static void send_to_https(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct buf field;

	buf_init(&field, RESPONSE_FIELDS_MAX);
	response_text(out, 302, "By HTTPS, please.");
	if (!q->host.len || !buf_append(&field, SV("Location: https://")) || !route_https_host(ctx->conf, q->host, false, &field) ||
	    !buf_append(&field, q->path_given) || (q->query.len && !(buf_append_c(&field, '?') && buf_append(&field, q->query))) ||
	    !buf_append(&field, SV("\r\n")) || !buf_append(&out->fields, buf_sv(&field)))
		response_text(out, 400, "Only by HTTPS.");
	buf_done(&field);
}

enum work_class route_class(const struct request *q)
{
	const struct route *r = find_route(q->path);

	return r && r->flags & HASHES ? WORK_AUTH : WORK_MAIL;
}

void route_request(const struct route_context *ctx, const struct request *q, struct response *out)
{
	const struct route *r = find_route(q->path);
	unsigned method = q->method == REQUEST_HEAD ? REQUEST_GET : q->method;

	/* What may not be seen from there is not there. */
	if (!r || ((r->flags & ONLY_WATCHERS) && !netaddr_in(&ctx->peer, &ctx->conf->web.metrics_networks))) {
		response_text(out, 404, "There is nothing here.");
	} else if (!(r->methods & method)) {
		response_text(out, 405, "Not by this method.");
		(void)buf_appendf(&out->fields, "Allow: %s%s%s\r\n", (r->methods & REQUEST_GET) ? "GET, HEAD" : "",
				  r->methods == (REQUEST_GET | REQUEST_POST) ? ", " : "", (r->methods & REQUEST_POST) ? "POST" : "");
	} else if ((r->flags & ONLY_TLS) && !ctx->is_tls) {
		send_to_https(ctx, q, out);
	} else {
		r->run(ctx, q, out);
	}
}
