#include "webd/acme/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/http.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/textfile.h"
#include "common/tls_proof.h"
#include "common/tls_request.h"
#include "webd/acme/dnsproof.h"
#include "webd/acme/jws.h"

#include "common/banned.h"

#define ORDER_MS (5 * 60000)    /* all of it */
#define ANSWER_MS 30000
#define ANSWER_MAX (256u << 10)
#define URL_SIZE 1024
#define NONCE_RETRIES 10        /* of one request; RFC 8555 §6.5: the server may want a fresh one at any time */
#define POLL_MIN_MS 250
#define POLL_MAX_MS 5000
#define WAIT_MAX_S 30           /* of what Retry-After asks */
#define TOKEN_MAX 128

/* Where the order stands: what was asked last. */
enum step {
	STEP_DIRECTORY, STEP_NONCE, STEP_ACCOUNT, STEP_ORDER, STEP_AUTHORIZATION, STEP_CHALLENGE, STEP_WATCH, STEP_FINALIZE,
	STEP_WATCH_ORDER, STEP_CERTIFICATE,
};
static const char *const step_names[] = {
	"directory", "nonce", "account", "order", "authorization", "challenge", "validation", "finalization", "issuance", "certificate",
};

static const struct {
	const char *type, *place;
} challenges[] = {
	[CONF_ACME_HTTP] = { "http-01", "on port 80" },
	[CONF_ACME_TLS_ALPN] = { "tls-alpn-01", "on port 443" },
	[CONF_ACME_DNS] = { "dns-01", "in the DNS" },
};

struct acme_order {
	struct loop *loop;
	struct http *http;
	struct acme_settings settings;
	struct sv names[ACME_NAMES_MAX];
	acme_fn *fn;
	void *arg;
	struct acme_order **handle;
	struct http_call *call;
	struct timer deadline, pause;
	struct deferred soon;           /* it failed before anything was asked */
	enum step step, after_nonce;
	unsigned nonce_retries;
	uint64_t poll_ms;
	char nonce[256];
	char new_nonce[URL_SIZE], new_account[URL_SIZE], new_order[URL_SIZE];
	char kid[URL_SIZE], order[URL_SIZE], finalize[URL_SIZE], challenge[URL_SIZE], certificate[URL_SIZE];
	char authorizations[ACME_NAMES_MAX][URL_SIZE];
	size_t authorization_count, at;
	char proof[4096];               /* file that lies there; "": none */
	char dns_name[256];             /* for which there is one */
	struct dnsproof *dns_proof;     /* record that is in the DNS, or on its way; NULL: none */
	char detail[400];
	char bad_name[256];             /* the fault is about it; "": about none */
	struct fault fault;
	bool is_account_gone;
};

static void ask(struct acme_order *o, enum step step);

/* ---- end ---- */

static void remove_proof(struct acme_order *o)
{
	if (*o->proof)
		unlink(o->proof);
	o->proof[0] = '\0';
	dnsproof_take_away(&o->dns_proof);
}

static void order_free(struct acme_order *o)
{
	remove_proof(o);
	http_forget(&o->call);
	timer_stop(&o->deadline);
	timer_stop(&o->pause);
	deferred_cancel(&o->soon);
	if (o->handle)
		*o->handle = NULL;
	free(o);
}

void acme_forget(struct acme_order **order)
{
	if (*order)
		order_free(*order);
	*order = NULL;
}

static void tell(struct acme_order *o, struct sv chain)
{
	const struct acme_result r = { .fault = o->fault, .is_account_gone = o->is_account_gone, .name = sv_z(o->bad_name), .chain = chain };

	if (o->handle)
		*o->handle = NULL;
	o->handle = NULL;
	o->fn(o->arg, &r);
	order_free(o);
}

static void on_soon(struct deferred *d)
{
	tell(CONTAINER_OF(d, struct acme_order, soon), SV_NONE);
}

PRINTF_LIKE(3, 4)
static void fail(struct acme_order *o, enum fault_kind kind, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(o->detail, sizeof(o->detail), format, ap);
	va_end(ap);
	o->fault = fault(kind, o->detail);
	timer_stop(&o->pause);
	deferred_call(&o->soon);
}

static void on_deadline(struct timer *t)
{
	struct acme_order *o = CONTAINER_OF(t, struct acme_order, deadline);

	http_forget(&o->call);
	remove_proof(o);
	fail(o, FAULT_UNAVAILABLE, "the certificate authority took too long (%s)", step_names[o->step]);
}

/* ---- what a server says ---- */

/* Text of a member into a field of fixed size. */
static bool take_url(const struct json *object, const char *name, char out[URL_SIZE])
{
	struct sv text;

	if (!json_get_sv(object, name, &text) || !text.len || text.len >= URL_SIZE || !sv_starts(text, SV("https://")))
		return false;
	memcpy(out, text.p, text.len);
	out[text.len] = '\0';
	return true;
}

static struct sv text_of(const struct json *object, const char *name)
{
	struct sv text = SV_NONE;

	json_get_sv(object, name, &text);
	return text;
}

static bool keep_location(const struct http_response *r, char out[URL_SIZE])
{
	if (!r->location.len || r->location.len >= URL_SIZE || !sv_starts(r->location, SV("https://")))
		return false;
	memcpy(out, r->location.p, r->location.len);
	out[r->location.len] = '\0';
	return true;
}

static void blame(struct acme_order *o, struct sv name)
{
	snprintf(o->bad_name, sizeof(o->bad_name), "%.*s", SV_FMT(name));
}

/* RFC 8555 §6.7.1: problems with single names, as with one whose domain lets no such authority in (CAA). */
static void blame_first(struct acme_order *o, const struct json *problem)
{
	const struct json *list = json_get(problem, "subproblems");

	for (size_t i = 0; i < json_count(list) && !*o->bad_name; i++)
		blame(o, text_of(json_get(json_at(list, i), "identifier"), "value"));
}

/* RFC 8555 §6.7: a problem document. */
static void refused(struct acme_order *o, const struct http_response *r, const struct json *problem)
{
	struct sv type = text_of(problem, "type"), detail = text_of(problem, "detail");

	if (sv_ends(type, SV(":badNonce")) && o->nonce_retries++ < NONCE_RETRIES) {
		ask(o, o->step);
		return;
	}
	o->is_account_gone = o->step != STEP_DIRECTORY && o->step <= STEP_ORDER &&
			     (sv_ends(type, SV(":accountDoesNotExist")) || sv_ends(type, SV(":unauthorized")));
	if (r->status < 500 && r->status != 429)
		blame_first(o, problem);
	fail(o, r->status == 429 || r->status >= 500 ? FAULT_UNAVAILABLE : FAULT_DENIED, "%s: the certificate authority says %u: %.*s",
	     step_names[o->step], r->status, SV_FMT(sv_sub(detail.len ? detail : type, 0, 250)));
}

static void strange(struct acme_order *o)
{
	fail(o, FAULT_UNAVAILABLE, "%s: the certificate authority's answer makes no sense", step_names[o->step]);
}

static void wait_then(struct acme_order *o, enum step step, uint32_t retry_after_s)
{
	o->step = step;
	o->poll_ms = o->poll_ms ? o->poll_ms * 2 : POLL_MIN_MS;
	if (o->poll_ms > POLL_MAX_MS)
		o->poll_ms = POLL_MAX_MS;
	if (retry_after_s > WAIT_MAX_S)
		retry_after_s = WAIT_MAX_S;
	timer_start_ms(&o->pause, retry_after_s * 1000ull > o->poll_ms ? retry_after_s * 1000ull : o->poll_ms);
}

static void on_pause(struct timer *t)
{
	struct acme_order *o = CONTAINER_OF(t, struct acme_order, pause);

	ask(o, o->step);
}

static void next_authorization(struct acme_order *o)
{
	remove_proof(o);
	o->poll_ms = 0;
	o->at++;
	ask(o, o->at < o->authorization_count ? STEP_AUTHORIZATION : STEP_FINALIZE);
}

static void take_order(struct acme_order *o, const struct http_response *r, const struct json *body)
{
	const struct json *list = json_get(body, "authorizations");
	struct sv text;

	o->authorization_count = json_count(list);
	if (r->status != 201 || !keep_location(r, o->order) || !take_url(body, "finalize", o->finalize) || !o->authorization_count ||
	    o->authorization_count > ACME_NAMES_MAX) {
		strange(o);
		return;
	}
	for (size_t i = 0; i < o->authorization_count; i++) {
		if (!json_to_sv(json_at(list, i), &text) || text.len >= URL_SIZE || !sv_starts(text, SV("https://"))) {
			strange(o);
			return;
		}
		memcpy(o->authorizations[i], text.p, text.len);
	}
	o->at = 0;
	ask(o, STEP_AUTHORIZATION);
}

/* RFC 8737 §3: a certificate that holds the digest of what http-01 would answer. */
static bool to_certificate(struct acme_order *o, struct sv name, struct buf *text)
{
	uint8_t digest[CRYPT_HASH_MAX];

	crypt_digest(CRYPT_SHA256, buf_sv(text), digest);
	buf_clear(text);
	return tls_proof_path(o->settings.proofs, name, o->proof, sizeof(o->proof)) && !tls_proof_make(name, digest, text).kind;
}

/* RFC 8555 §8.1, §8.3: the file says that whoever has the account's key also has this name's web front. */
static bool write_proof(struct acme_order *o, struct sv name, struct sv token)
{
	struct buf text;
	int n = snprintf(o->proof, sizeof(o->proof), "%s/%.*s", o->settings.proofs, SV_FMT(token));
	bool good;

	buf_init(&text, 8192);
	good = n > 0 && (size_t)n < sizeof(o->proof) && buf_append(&text, token) && buf_append_c(&text, '.') &&
	       jws_thumbprint(o->settings.account, &text) && (o->settings.challenge != CONF_ACME_TLS_ALPN || to_certificate(o, name, &text));
	if (!good) {
		o->proof[0] = '\0';
		strange(o);
	} else {
		struct fault f = textfile_replace(o->proof, buf_sv(&text));

		if (f.kind) {
			good = false;
			fail(o, f.kind, "%s", f.detail);
		}
	}
	buf_done(&text);
	return good;
}

static void on_dns_proof(void *arg, struct fault f)
{
	struct acme_order *o = arg;

	if (!f.kind) {
		ask(o, STEP_CHALLENGE);
		return;
	}
	blame(o, sv_z(o->dns_name));
	fail(o, f.kind, "no proof for %.100s in the DNS: %s", o->dns_name, f.detail);
}

/* RFC 8555 §8.4: the digest of what http-01 would answer. */
static void put_into_dns(struct acme_order *o, struct sv name, struct sv token)
{
	uint8_t digest[CRYPT_HASH_MAX];
	struct buf text, value;

	buf_init(&text, 8192);
	buf_init(&value, 128);
	snprintf(o->dns_name, sizeof(o->dns_name), "%.*s", SV_FMT(name));
	if (buf_append(&text, token) && buf_append_c(&text, '.') && jws_thumbprint(o->settings.account, &text)) {
		crypt_digest(CRYPT_SHA256, buf_sv(&text), digest);
		if (jws_base64url(sv_from((const char *)digest, CRYPT_SHA256_LEN), &value))
			o->dns_proof = dnsproof_put(o->settings.zone, name, buf_sv(&value), on_dns_proof, o);
	}
	if (!o->dns_proof)
		strange(o);
	buf_done(&text);
	buf_done(&value);
}

static void take_authorization(struct acme_order *o, const struct json *body)
{
	const struct json *list = json_get(body, "challenges");
	struct sv status = text_of(body, "status"), name = text_of(json_get(body, "identifier"), "value");
	const char *type = challenges[o->settings.challenge].type;

	if (sv_eq(status, SV("valid"))) {       /* proven not long ago */
		next_authorization(o);
		return;
	}
	for (size_t i = 0; sv_eq(status, SV("pending")) && i < json_count(list); i++) {
		const struct json *c = json_at(list, i);
		struct sv token = text_of(c, "token");

		if (!sv_eq(text_of(c, "type"), sv_z(type)))
			continue;
		if (!jws_is_base64url(token) || token.len > TOKEN_MAX || !take_url(c, "url", o->challenge))
			strange(o);
		else if (o->settings.challenge == CONF_ACME_DNS)
			put_into_dns(o, name, token);
		else if (write_proof(o, name, token))
			ask(o, STEP_CHALLENGE);
		return;
	}
	blame(o, name);
	fail(o, FAULT_UNSUPPORTED, "the certificate authority offers no proof by %s for %.*s", type, SV_FMT(sv_sub(name, 0, 200)));
}

static void watch_authorization(struct acme_order *o, const struct http_response *r, const struct json *body)
{
	const struct json *list = json_get(body, "challenges");
	struct sv status = text_of(body, "status"), why = SV_NONE;

	if (sv_eq(status, SV("valid"))) {
		next_authorization(o);
	} else if (sv_eq(status, SV("pending")) || sv_eq(status, SV("processing"))) {
		wait_then(o, STEP_WATCH, r->retry_after_s);
	} else {
		for (size_t i = 0; i < json_count(list) && !why.len; i++)
			why = text_of(json_get(json_at(list, i), "error"), "detail");
		blame(o, text_of(json_get(body, "identifier"), "value"));
		fail(o, FAULT_DENIED, "the certificate authority could not see our proof for %.*s %s: %.*s",
		     SV_FMT(sv_sub(text_of(json_get(body, "identifier"), "value"), 0, 100)), challenges[o->settings.challenge].place,
		     SV_FMT(sv_sub(why, 0, 220)));
	}
}

static void watch_order(struct acme_order *o, const struct http_response *r, const struct json *body)
{
	struct sv status = text_of(body, "status");

	if (sv_eq(status, SV("valid")) && take_url(body, "certificate", o->certificate))
		ask(o, STEP_CERTIFICATE);
	else if (sv_eq(status, SV("processing")) || sv_eq(status, SV("ready")))
		wait_then(o, STEP_WATCH_ORDER, r->retry_after_s);
	else
		fail(o, FAULT_DENIED, "the certificate authority gave the order up: %.*s",
		     SV_FMT(sv_sub(text_of(json_get(body, "error"), "detail"), 0, 250)));
}

static void take_body(struct acme_order *o, const struct http_response *r, const struct json *body)
{
	switch (o->step) {
	case STEP_DIRECTORY:
		if (take_url(body, "newNonce", o->new_nonce) && take_url(body, "newAccount", o->new_account) &&
		    take_url(body, "newOrder", o->new_order))
			ask(o, STEP_ACCOUNT);
		else
			fail(o, FAULT_INVALID, "acme-directory %.200s is no ACME directory", o->settings.directory);
		return;
	case STEP_ACCOUNT:
		if (!sv_eq(text_of(body, "status"), SV("valid")) && text_of(body, "status").len) {
			o->is_account_gone = true;
			fail(o, FAULT_DENIED, "the account at the certificate authority is %.*s", SV_FMT(sv_sub(text_of(body, "status"), 0, 40)));
		} else if (keep_location(r, o->kid)) {
			ask(o, STEP_ORDER);
		} else {
			strange(o);
		}
		return;
	case STEP_ORDER:         take_order(o, r, body); return;
	case STEP_AUTHORIZATION: take_authorization(o, body); return;
	case STEP_CHALLENGE:     wait_then(o, STEP_WATCH, r->retry_after_s); return;
	case STEP_WATCH:         watch_authorization(o, r, body); return;
	case STEP_FINALIZE:
	case STEP_WATCH_ORDER:   watch_order(o, r, body); return;
	case STEP_NONCE:
	case STEP_CERTIFICATE:   break;
	}
	BUG("acme: a body for step %d", o->step);
}

static void on_response(void *arg, const struct http_response *r)
{
	struct acme_order *o = arg;
	struct json *body = NULL;

	o->call = NULL;
	o->nonce[0] = '\0';
	if (r->nonce.len < sizeof(o->nonce) && jws_is_base64url(r->nonce)) {
		memcpy(o->nonce, r->nonce.p, r->nonce.len);
		o->nonce[r->nonce.len] = '\0';
	}
	log_debug(NULL, "acme.answer", KV_Z("step", step_names[o->step]), KV_U64("status", r->status), KV_FAULT("fault", r->fault));
	if (r->fault.kind) {
		fail(o, r->fault.kind, "%s: the certificate authority cannot be reached: %s", step_names[o->step], r->fault.detail);
	} else if (r->status >= 400) {
		(void)!json_parse(r->body, &body).kind; /* without one there is only the number to tell */
		refused(o, r, body);
	} else if (o->step == STEP_NONCE) {
		if (*o->nonce)
			ask(o, o->after_nonce);
		else
			strange(o);
	} else if (o->step == STEP_CERTIFICATE) {
		tell(o, r->body);
		return;
	} else if (json_parse(r->body, &body).kind) {
		strange(o);
	} else {
		o->nonce_retries = 0;
		take_body(o, r, body);
	}
	json_free(&body);
}

/* ---- what we say ---- */

static void add_account(struct acme_order *o, struct buf *out)
{
	struct json_out j;
	char contact[300];

	json_out_init(&j, out);
	json_out_object(&j, NULL);
	json_out_bool(&j, "termsOfServiceAgreed", true);
	if (*o->settings.contact) {
		snprintf(contact, sizeof(contact), "mailto:%s", o->settings.contact);
		json_out_array(&j, "contact");
		json_out_z(&j, NULL, contact);
		json_out_array_end(&j);
	}
	json_out_object_end(&j);
}

static void add_order(struct acme_order *o, struct buf *out)
{
	struct json_out j;

	json_out_init(&j, out);
	json_out_object(&j, NULL);
	json_out_array(&j, "identifiers");
	for (size_t i = 0; i < o->settings.name_count; i++) {
		json_out_object(&j, NULL);
		json_out_z(&j, "type", "dns");
		json_out_sv(&j, "value", o->names[i]);
		json_out_object_end(&j);
	}
	json_out_array_end(&j);
	json_out_object_end(&j);
}

static struct fault add_request(struct acme_order *o, struct buf *out)
{
	struct fault f;
	struct buf der;

	buf_init(&der, 16384);
	f = tls_request_make(o->names, o->settings.name_count, o->settings.key_path, &der);
	if (!f.kind && !(buf_append(out, SV("{\"csr\":\"")) && jws_base64url(buf_sv(&der), out) && buf_append(out, SV("\"}"))))
		f = fault(FAULT_LIMIT, "too many names for one certificate");
	buf_done(&der);
	return f;
}

static const char *url_of(struct acme_order *o, enum step step)
{
	switch (step) {
	case STEP_DIRECTORY:     return o->settings.directory;
	case STEP_NONCE:         return o->new_nonce;
	case STEP_ACCOUNT:       return o->new_account;
	case STEP_ORDER:         return o->new_order;
	case STEP_AUTHORIZATION:
	case STEP_WATCH:         return o->authorizations[o->at];
	case STEP_CHALLENGE:     return o->challenge;
	case STEP_FINALIZE:      return o->finalize;
	case STEP_WATCH_ORDER:   return o->order;
	case STEP_CERTIFICATE:   return o->certificate;
	}
	BUG("acme step %d", step);
}

static struct fault add_payload(struct acme_order *o, enum step step, struct buf *out)
{
	if (step == STEP_ACCOUNT)
		add_account(o, out);
	else if (step == STEP_ORDER)
		add_order(o, out);
	else if (step == STEP_CHALLENGE)
		buf_append(out, SV("{}"));      /* RFC 8555 §7.5.1 */
	else if (step == STEP_FINALIZE)
		return add_request(o, out);
	return FAULT_OK;
}

static void ask(struct acme_order *o, enum step step)
{
	struct http_request r = { .octets_max = ANSWER_MAX, .time_ms = ANSWER_MS };
	struct buf payload, body;
	struct fault f = FAULT_OK;

	if (step > STEP_NONCE && !*o->nonce) {
		o->after_nonce = step;
		step = STEP_NONCE;
	}
	o->step = step;
	buf_init(&payload, 32768);
	buf_init(&body, 65536);
	r.url = sv_z(url_of(o, step));
	if (step > STEP_NONCE) {
		f = add_payload(o, step, &payload);
		if (!f.kind)
			f = jws_write(o->settings.account, step == STEP_ACCOUNT ? SV_NONE : sv_z(o->kid), r.url, sv_z(o->nonce), buf_sv(&payload),
				      &body);
		r.body = buf_sv(&body);
		r.type = SV("application/jose+json");
	}
	if (f.kind)
		fail(o, f.kind, "%s", f.detail);
	else
		http_ask(o->http, &r, on_response, o, &o->call);
	buf_done(&payload);
	buf_done(&body);
}

void acme_order(struct loop *loop, struct http *http, const struct acme_settings *settings, acme_fn *fn, void *arg, struct acme_order **out)
{
	struct acme_order *o = xcalloc(1, sizeof(*o));

	o->loop = loop;
	o->http = http;
	o->settings = *settings;
	o->fn = fn;
	o->arg = arg;
	o->handle = out;
	*out = o;
	timer_init(&o->deadline, loop, on_deadline);
	timer_init(&o->pause, loop, on_pause);
	deferred_init(&o->soon, loop, on_soon);
	timer_start_ms(&o->deadline, ORDER_MS);
	if (settings->name_count > ACME_NAMES_MAX || !settings->name_count) {
		fail(o, FAULT_LIMIT, "one certificate has 1 to %d names", ACME_NAMES_MAX);
		return;
	}
	for (size_t i = 0; i < settings->name_count; i++)
		o->names[i] = settings->names[i];       /* views of the settings, which stay */
	ask(o, STEP_DIRECTORY);
}
