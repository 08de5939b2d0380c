#include "webd/account.h"

#include <stdlib.h>

#include "common/auth.h"
#include "common/control.h"
#include "common/discovery.h"
#include "common/identity.h"
#include "common/json.h"
#include "common/log.h"
#include "common/logins.h"
#include "common/memory.h"
#include "common/throttle.h"
#include "webd/account_page.h"
#include "webd/offers.h"

#include "common/banned.h"

#define FIELD_MAX 16384         /* octets of one field of a form */
#define ASK_MS 10000
#define RETRY_S 10              /* RFC 9110 §10.2.3 */

/* ---- cookies, tokens, redirects ---- */

/* Of a form: only who has seen a page with this secret in its cookie can know it. */
static void form_token(const struct route_context *ctx, struct sv secret, enum account_form form, char out[FORM_TOKEN_LEN + 1])
{
	uint8_t mac[32];
	struct buf text;

	buf_init(&text, 256);
	(void)(buf_append(&text, secret) && buf_append_c(&text, ' ') && buf_append(&text, sv_z(account_paths[form])));
	directory_keyed(ctx->directory, "web-form", buf_sv(&text), mac);
	buf_wipe(&text);
	crypt_hex(mac, FORM_TOKEN_LEN / 2, out);
}

/* Fetch metadata, or else Origin, which is "null" where a page tells no referrer. Old browsers send neither; the token stands. */
static bool is_from_elsewhere(const struct request *q)
{
	struct sv origin = q->origin, host = SV_NONE;

	if (q->site.len)
		return !sv_eq(q->site, SV("same-origin")) && !sv_eq(q->site, SV("none"));
	if (!origin.len || sv_eq(origin, SV("null")))
		return false;
	if (!sv_starts(origin, SV("https://")))
		return true;
	host = sv_sub(origin, sizeof("https://") - 1, SIZE_MAX);
	if (host.len && host.p[0] != '[')
		host = sv_sub(host, 0, sv_find(host, ':'));
	else
		host = sv_sub(host, 0, sv_find(host, ']') + 1);
	return !sv_eq_nocase(host, q->host);
}

static bool form_is_good(const struct route_context *ctx, const struct request *q, struct sv secret, enum account_form form)
{
	char token[FORM_TOKEN_LEN + 1];
	struct buf given;
	bool good;

	buf_init(&given, FORM_TOKEN_LEN);
	form_token(ctx, secret, form, token);
	good = !is_from_elsewhere(q) && request_parameter(q->body, "form", true, &given) && crypt_eq(buf_sv(&given), sv_z(token));
	buf_done(&given);
	return good;
}

/* __Host- (RFC 6265bis §4.1.3.2): of this host alone, only by TLS. */
static void set_cookie(struct response *out, const char *name, struct sv value)
{
	(void)buf_appendf(&out->fields, "Set-Cookie: %s=%.*s; Path=/; Secure; HttpOnly; SameSite=Strict%s\r\n", name, SV_FMT(value),
			  value.len ? "" : "; Max-Age=0");
}

static void go_back(struct response *out, enum account_said said)
{
	response_text(out, 303, "Done.");
	if (said)
		(void)buf_appendf(&out->fields, "Location: /account?said=%d\r\n", (int)said);
	else
		(void)buf_appendf(&out->fields, "Location: /account\r\n");
}

static void retry_soon(struct response *out)
{
	(void)buf_appendf(&out->fields, "Retry-After: %d\r\n", RETRY_S);
}

/* Nothing of the client's making: it keeps its cookie, and what it asked for may be asked for again. */
static void not_now(struct response *out)
{
	response_text(out, 503, "Not now; try again soon.");
	retry_soon(out);
}

static enum account_said said_in(const struct request *q)
{
	enum account_said said = SAID_NOTHING;
	uint32_t n = 0;
	struct buf text;

	buf_init(&text, 8);
	if (request_parameter(q->query, "said", false, &text) && sv_to_u32(buf_sv(&text), &n) && n < SAID_COUNT)
		said = (enum account_said)n;
	buf_done(&text);
	return said;
}

/* ---- visits ---- */

struct visiting {
	struct sv token;        /* of the request */
	struct visit who;
};

enum presence { NOBODY, SOMEBODY, NOT_KNOWN_NOW };

/* Who is there? An account that was switched off, or got another password, has no visits any more; one that cannot be read now keeps them. */
static enum presence find_visit(const struct route_context *ctx, const struct request *q, struct visiting *out)
{
	uint8_t mark[CRYPT_SHA256_LEN];

	if (!request_cookie(q, SV(ACCOUNT_COOKIE), &out->token) || !visits_find(ctx->visits, out->token, throttle_now_ms(), &out->who))
		return NOBODY;
	struct fault f = account_mark_of(ctx->directory, sv_z(out->who.address), mark);

	if (!f.kind && memcmp(mark, out->who.mark, sizeof(mark)) == 0)
		return SOMEBODY;
	if (f.kind && f.kind != FAULT_NOT_FOUND) {
		log_error(ctx->log, "web.directory.failed", KV_Z("user", out->who.address), KV_FAULT("fault", f));
		return NOT_KNOWN_NOW;
	}
	visits_end(ctx->visits, out->token);
	return NOBODY;
}

/* May this form change something? Else *out is the answer. */
static bool begin_change(const struct route_context *ctx, const struct request *q, enum account_form form, struct response *out,
			 struct visiting *v)
{
	enum presence presence = find_visit(ctx, q, v);

	if (presence == NOT_KNOWN_NOW)
		not_now(out);
	else if (presence == NOBODY)
		go_back(out, SAID_NOTHING);     /* to where one signs in */
	if (presence != SOMEBODY)
		return false;
	if (form_is_good(ctx, q, v->token, form))
		return true;
	log_warn(ctx->log, "web.form.refused", KV_Z("user", v->who.address), KV_Z("form", account_paths[form]));
	refused_page_write(out);
	return false;
}

/* A field of the form. False: it is not there, or too long. */
static bool field(const struct request *q, const char *name, size_t max, struct buf *out)
{
	buf_init(out, max);
	return request_parameter(q->body, name, true, out);
}

/* ---- the page ---- */

static void show_sign_in(const struct route_context *ctx, const struct request *q, struct sv user, struct sv wrong, enum account_said said,
			 struct response *out)
{
	char fresh[VISIT_TOKEN_LEN + 1], token[FORM_TOKEN_LEN + 1];
	struct sv door;

	/* A second window must not spoil the form of the first one. */
	if (!request_cookie(q, SV(ACCOUNT_DOOR_COOKIE), &door) || door.len != VISIT_TOKEN_LEN) {
		crypt_random_text(fresh, VISIT_TOKEN_LEN);
		door = sv_z(fresh);
		set_cookie(out, ACCOUNT_DOOR_COOKIE, door);
	}
	form_token(ctx, door, FORM_SIGN_IN, token);
	sign_in_page_write(token, user, wrong, said, out);
}

/* @wrong: why a change was not made; NULL. @given: the automatic answer that was not taken, so that it is not lost; NULL. */
static void show_account(const struct route_context *ctx, const struct visiting *v, enum account_said said, const char *wrong,
			 const struct account_view *given, struct response *out)
{
	struct account_page *page = xcalloc(1, sizeof(*page));
	struct account_view *view = account_view_new(ctx, sv_z(v->who.address));
	struct visit_secret secret;

	if (!view) {
		not_now(out);
		free(page);
		return;
	}
	if (given) {
		bool is_on = view->vacation.is_on;

		view->vacation = given->vacation;
		view->vacation.is_on = is_on;
	}
	page->view = view;
	page->said = said;
	page->wrong = wrong;
	for (int form = 0; form < FORM_COUNT; form++)
		form_token(ctx, v->token, (enum account_form)form, page->tokens[form]);
	if (visits_take(ctx->visits, v->token, &secret))
		page->secret = &secret;
	account_page_write(page, out);
	if (wrong && out->status == 200)
		out->status = 400;
	secret_wipe(&secret, sizeof(secret));
	secret_wipe(page, sizeof(*page));
	account_view_free(&view);
	free(page);
}

void account_show(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct visiting v;

	switch (find_visit(ctx, q, &v)) {
	case SOMEBODY:
		show_account(ctx, &v, said_in(q), NULL, NULL, out);
		break;
	case NOBODY:
		show_sign_in(ctx, q, SV_NONE, SV_NONE, said_in(q) == SAID_SIGNED_OUT ? SAID_SIGNED_OUT : SAID_NOTHING, out);
		break;
	case NOT_KNOWN_NOW:
		not_now(out);
		break;
	}
}

/* ---- signing in and out ---- */

/* The words of every other login (imapd/door.c). */
static const char *refusal(const struct auth_result *r)
{
	switch (r->reason) {
	case AUTH_BAD_CREDENTIALS: return "The address or the password is wrong.";
	case AUTH_DISABLED:        return r->text[0] ? r->text : "This account may not log in.";
	case AUTH_EXPIRED:
	case AUTH_NOT_HERE:        return r->text[0] ? r->text : "This password is not good for the account page.";
	case AUTH_THROTTLED:       return "Too many failed logins. Try again later.";
	default:                   break;       /* nothing of the client's making */
	}
	return "Login is not possible right now. Try again later.";
}

static void welcome(const struct route_context *ctx, const struct request *q, const struct auth_identity *id, struct response *out)
{
	char token[VISIT_TOKEN_LEN + 1];
	struct visit who = { .mark = { 0 } };
	struct sv address = identity_address(id), account = identity_account(id), old;

	if (address.len >= sizeof(who.address) || account.len >= sizeof(who.account) ||
	    account_mark_of(ctx->directory, address, who.mark).kind) {
		not_now(out);
		return;
	}
	memcpy(who.address, address.p, address.len);
	memcpy(who.account, account.p, account.len);
	if (request_cookie(q, SV(ACCOUNT_COOKIE), &old))
		visits_end(ctx->visits, old);
	visits_begin(ctx->visits, &who, throttle_now_ms(), token);
	go_back(out, SAID_NOTHING);
	set_cookie(out, ACCOUNT_COOKIE, sv_z(token));
	set_cookie(out, ACCOUNT_DOOR_COOKIE, SV_NONE);
	secret_wipe(token, sizeof(token));
}

void account_sign_in(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct auth_peer peer = { .service = AUTH_WEB, .address = ctx->peer, .tls = ctx->tls, .log = ctx->log };
	struct auth_session *auth;
	struct auth_result result;
	struct buf user, password;
	struct sv door;

	if (!request_cookie(q, SV(ACCOUNT_DOOR_COOKIE), &door) || !form_is_good(ctx, q, door, FORM_SIGN_IN)) {
		refused_page_write(out);
		return;
	}
		buf_init(&password, AUTH_INPUT_MAX);
	if (!field(q, "user", AUTH_INPUT_MAX, &user) || !request_parameter(q->body, "password", true, &password)) {
		buf_done(&user);
		buf_wipe(&password);
		refused_page_write(out);
		return;
	}
	auth = auth_session_new(ctx->auth, &ctx->conf->auth, &peer);
	auth_session_client(auth, SV("Account page"), SV("Account page"));
	auth_login(auth, sv_trim(buf_sv(&user)), buf_sv(&password), &result);
	if (result.outcome == AUTH_OK) {
		welcome(ctx, q, result.identity, out);
	} else {
		out->delay_ms = result.delay_ms;
		show_sign_in(ctx, q, sv_sub(sv_trim(buf_sv(&user)), 0, DIRECTORY_ADDRESS_MAX), sv_z(refusal(&result)), SAID_NOTHING, out);
		if (out->status == 200)
			out->status = result.reason == AUTH_TEMPORARY || result.reason == AUTH_THROTTLED ? 503 : 403;
		if (result.reason == AUTH_TEMPORARY)
			retry_soon(out);
	}
	auth_result_done(&result);
	auth_session_unref(&auth);
	buf_wipe(&user);
	buf_wipe(&password);
}

void account_sign_out(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct visiting v;

	if (!begin_change(ctx, q, FORM_SIGN_OUT, out, &v))
		return;
	visits_end(ctx->visits, v.token);
	go_back(out, SAID_SIGNED_OUT);
	set_cookie(out, ACCOUNT_COOKIE, SV_NONE);
}

/* ---- app passwords and devices ---- */

static bool is_label(struct sv label)
{
	for (size_t i = 0; i < label.len; i++)
		if ((unsigned char)label.p[i] < ' ' || label.p[i] == 0x7f)
			return false;
	return label.len && label.len <= VISIT_LABEL_MAX && sv_is_utf8(label);
}

static const char *no_app_password(struct fault f)
{
	switch (f.kind) {
	case FAULT_EXISTS: return "There is one of that name. Choose another name, or take that one back.";
	case FAULT_LIMIT:  return "There are as many as there can be. Take one back first.";
	default:           return "This cannot be stored right now. Try again later.";
	}
}

void account_app_password(const struct route_context *ctx, const struct request *q, struct response *out)
{
	unsigned scope = SCOPE_IMAP | SCOPE_POP3 | SCOPE_SUBMISSION | SCOPE_MANAGESIEVE;
	struct visit_secret secret = { .label = "" };
	const char *wrong = NULL;
	struct visiting v;
	struct buf given;
	struct sv label;

	if (!begin_change(ctx, q, FORM_APP_PASSWORD, out, &v))
		return;
	(void)field(q, "label", FIELD_MAX, &given);
	label = sv_trim(buf_sv(&given));
	if (!is_label(label)) {
		wrong = "Give it a name of one line, at most 64 octets long.";
	} else {
		memcpy(secret.label, label.p, label.len);
		crypt_secret_text(secret.password);
		struct fault f = directory_credential_add(ctx->directory, sv_z(v.who.address), label, scope, sv_z(secret.password), NULL);

		if (f.kind)
			wrong = no_app_password(f);
	}
	if (wrong) {
		show_account(ctx, &v, SAID_NOTHING, wrong, NULL, out);
	} else {
		log_info(ctx->log, "web.app_password.add", KV_Z("user", v.who.address), KV_SV("label", label));
		visits_leave(ctx->visits, v.token, &secret);
		go_back(out, SAID_NOTHING);
	}
	secret_wipe(&secret, sizeof(secret));
	buf_done(&given);
}

/* ---- a phone that sets itself up ---- */

void account_phone(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct visit_secret secret = { .label = "" };
	struct offer offer = { .label = "" };
	char token[OFFER_TOKEN_LEN + 1] = "";
	const char *wrong = NULL;
	struct visiting v;
	struct buf given, link;
	struct sv label;

	if (!begin_change(ctx, q, FORM_PHONE, out, &v))
		return;
	(void)field(q, "label", FIELD_MAX, &given);
	buf_init(&link, VISIT_LINK_MAX);
	label = sv_trim(buf_sv(&given));
	offer.who = v.who;
	if (!is_label(label)) {
		wrong = "Give it a name of one line, at most 64 octets long.";
	} else {
		memcpy(offer.label, label.p, label.len);
		memcpy(secret.label, label.p, label.len);
		if (!offers_make(ctx->offers, &offer, throttle_now_ms(), token))
			wrong = "There were many links a moment ago. Try again in ten minutes.";
		else if (!buf_append(&link, SV("https://")) ||
			 !route_https_host(ctx->conf, q->host.len ? q->host : sv_z(ctx->conf->host.hostname), q->is_forwarded, &link) ||
			 !buf_appendf(&link, ACCOUNT_PROFILE_PATH "%s", token))
			wrong = "The name of this server is too long for a link.";
	}
	if (wrong) {
		show_account(ctx, &v, SAID_NOTHING, wrong, NULL, out);
	} else {
		memcpy(secret.link, link.p, link.len);
		log_info(ctx->log, "web.profile.offer", KV_Z("user", v.who.address), KV_SV("label", label));
		visits_leave(ctx->visits, v.token, &secret);
		go_back(out, SAID_NOTHING);
	}
	secret_wipe(&secret, sizeof(secret));
	secret_wipe(token, sizeof(token));
	buf_wipe(&link);
	buf_done(&given);
}

/* make_app_password - for the phone alone; where there is one of that name already, with a number behind it. */
static struct fault make_app_password(const struct route_context *ctx, const struct offer *offer, char password[CRYPT_SECRET_LEN + 1])
{
	unsigned scope = SCOPE_IMAP | SCOPE_POP3 | SCOPE_SUBMISSION;
	struct fault f = FAULT_OK;
	struct buf label;

	crypt_secret_text(password);
	buf_init(&label, VISIT_LABEL_MAX);
	for (unsigned n = 1; n < 20; n++) {
		buf_clear(&label);
		if (!buf_append(&label, sv_z(offer->label)) || (n > 1 && !buf_appendf(&label, " %u", n)))
			break;
		f = directory_credential_add(ctx->directory, sv_z(offer->who.address), buf_sv(&label), scope, sv_z(password), NULL);
		if (f.kind != FAULT_EXISTS)
			break;
	}
	buf_done(&label);
	return f;
}

/* The link is the login, for this once: it was made by somebody who is signed in, and is over when his password or state has changed. */
void account_profile(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct sv token = sv_sub(q->path, sizeof(ACCOUNT_PROFILE_PATH) - 1, SIZE_MAX);
	uint8_t mark[CRYPT_SHA256_LEN];
	char password[CRYPT_SECRET_LEN + 1];
	struct offer offer;
	struct fault f;

	out->type = "application/x-apple-aspen-config";
	if (q->method == REQUEST_HEAD)          /* asks what it would be, and uses nothing up */
		return;
	if (!offers_take(ctx->offers, token, throttle_now_ms(), &offer)) {
		link_used_page_write(out);
		return;
	}
	struct sv address = sv_z(offer.who.address), domain = sv_sub(address, sv_rfind(address, '@') + 1, SIZE_MAX);

	f = account_mark_of(ctx->directory, address, mark);
	if (f.kind == FAULT_NOT_FOUND || (!f.kind && memcmp(mark, offer.who.mark, sizeof(mark)) != 0)) {
		link_used_page_write(out);
		return;
	}
	if (!f.kind)
		f = make_app_password(ctx, &offer, password);
	if (f.kind) {
		log_error(ctx->log, "web.profile", KV_Z("user", offer.who.address), KV_FAULT("fault", f));
		response_text(out, 503, "Not now; make another link at your account page, and try again.");
	} else if (!discovery_mobileconfig(ctx->conf, domain, address, sv_z(password), &out->body) ||
		   !buf_appendf(&out->fields, "Content-Disposition: attachment; filename=\"%.*s.mobileconfig\"\r\n", SV_FMT(domain))) {
		response_text(out, 500, "The answer is too long.");
	} else {
		log_info(ctx->log, "web.profile", KV_Z("user", offer.who.address), KV_Z("label", offer.label));
	}
	secret_wipe(password, sizeof(password));
}

/* Every daemon's sessions of the account that logged in with this credential. Who does not answer has none, or is asked by the next attempt:
 * a credential that is gone opens no new one. */
static void end_sessions(const struct route_context *ctx, const struct visit *who, uint32_t credential)
{
	static const char *const daemons[] = { "smtpd", "imapd", "pop3d" };
	struct json_out j;
	struct buf request;

	buf_init(&request, 4096);
	json_out_init(&j, &request);
	json_out_object(&j, NULL);
	json_out_z(&j, "verb", "kick");
	json_out_z(&j, "account", who->account);
	json_out_u64(&j, "credential", credential);
	json_out_object_end(&j);
	for (size_t i = 0; i < ARRAY_LEN(daemons); i++) {
		struct fault f = control_ask(ctx->instance, daemons[i], buf_sv(&request), NULL, NULL, ASK_MS);

		if (f.kind)
			log_warn(ctx->log, "web.kick", KV_Z("daemon", daemons[i]), KV_FAULT("fault", f));
		control_ask_former(ctx->instance, daemons[i], buf_sv(&request), NULL, NULL, ASK_MS);
	}
	buf_done(&request);
}

/* Take an app password back, and end what used it. */
static struct fault revoke(const struct route_context *ctx, const struct visit *who, uint32_t number)
{
	struct fault f = directory_credential_remove(ctx->directory, sv_z(who->address), number);

	if (f.kind == FAULT_NOT_FOUND)  /* pressed twice */
		f = FAULT_OK;
	if (!f.kind) {
		log_info(ctx->log, "web.app_password.revoke", KV_Z("user", who->address), KV_U64("credential", number));
		end_sessions(ctx, who, number);
	}
	return f;
}

void account_revoke(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct visiting v;
	struct buf given;
	uint32_t number = 0;

	if (!begin_change(ctx, q, FORM_REVOKE, out, &v))
		return;
	(void)field(q, "number", 16, &given);
	/* 0 is the account's own password, which nobody takes back here. */
	if (!sv_to_u32(buf_sv(&given), &number) || !number)
		refused_page_write(out);
	else if (revoke(ctx, &v.who, number).kind)
		show_account(ctx, &v, SAID_NOTHING, "This cannot be stored right now. Try again later.", NULL, out);
	else
		go_back(out, SAID_REVOKED);
	buf_done(&given);
}

struct wanted_device {
	struct sv key;
	uint32_t number;
	bool is_there;
};

static bool match_device(void *arg, const struct logins_device *d)
{
	struct wanted_device *w = arg;

	if (sv_eq(sv_z(d->key), w->key)) {
		w->is_there = true;
		w->number = d->number;
	}
	return !w->is_there;
}

/* First no new session, then the old ones end. What used the account's own password may be a browser at this page: of the visits only the
 * one that asks stays. */
static struct fault end_device(const struct route_context *ctx, const struct visiting *v, struct sv key)
{
	const struct visit *who = &v->who;
	struct logins *logins = auth_logins(ctx->auth);
	struct wanted_device w = { .key = key };
	uint8_t name[LOGINS_KEY_LEN];
	struct fault f = logins ? logins_devices(logins, sv_z(who->account), match_device, &w) : FAULT_OK;

	if (f.kind || !w.is_there)
		return f;       /* not there: pressed twice */
	if (w.number)
		f = revoke(ctx, who, w.number);
	if (!f.kind)
		f = logins_forget_device(logins, sv_z(who->account), key.p);
	if (!f.kind && !w.number) {
		auth_name_key(ctx->directory, sv_z(who->address), name);
		f = logins_forget_name(logins, name);
		end_sessions(ctx, who, 0);
		visits_end_others(ctx->visits, sv_z(who->account), v->token);
	}
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

void account_device(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct visiting v;
	struct buf given;
	struct fault f;

	if (!begin_change(ctx, q, FORM_DEVICE, out, &v))
		return;
	if (!field(q, "device", 2 * LOGINS_KEY_LEN + 1, &given) || !buf_z(&given)) {
		refused_page_write(out);
	} else if ((f = end_device(ctx, &v, sv_from(buf_z(&given), given.len))).kind) {
		log_error(ctx->log, "web.device", KV_FAULT("fault", f));
		show_account(ctx, &v, SAID_NOTHING, "This cannot be done right now. Try again later.", NULL, out);
	} else {
		go_back(out, SAID_DEVICE_ENDED);
	}
	buf_done(&given);
}

/* ---- the automatic answer ---- */

static struct fault tell_vacation(const struct route_context *ctx, const struct visit *who, bool is_on, const struct account_view *given)
{
	struct json_out j;
	struct buf request;
	struct fault f;

	buf_init(&request, CONTROL_LINE_MAX);
	json_out_init(&j, &request);
	json_out_object(&j, NULL);
	json_out_z(&j, "verb", "account-vacation");
	json_out_z(&j, "address", who->address);
	json_out_z(&j, "account", who->account);
	json_out_bool(&j, "on", is_on);
	json_out_sv(&j, "message", given->vacation.message);
	json_out_sv(&j, "subject", given->vacation.subject);
	json_out_sv(&j, "from", given->vacation.from);
	json_out_sv(&j, "until", given->vacation.until);
	json_out_object_end(&j);
	f = j.overflow ? fault(FAULT_INVALID, "The answer is too long.") : control_ask(ctx->instance, "imapd", buf_sv(&request), NULL, NULL, ASK_MS);
	buf_done(&request);
	return f;
}

/* Browsers send UTF-8, or it is refused, and CRLF, which becomes LF. */
static struct sv take_text(struct account_view *given, const struct request *q, const char *name, bool *good)
{
	struct sv text = SV_NONE;
	struct buf b;

	if (field(q, name, FIELD_MAX, &b)) {
		if (!sv_is_utf8(buf_sv(&b)) || memchr(b.p ? b.p : "", '\0', b.len))
			*good = false;
		size_t n = 0;

		for (size_t i = 0; i < b.len; i++)
			if (b.p[i] != '\r')
				b.p[n++] = b.p[i];
		b.len = n;
		text = arena_copy(&given->arena, sv_trim(buf_sv(&b)));
	}
	buf_done(&b);
	return text;
}

void account_vacation(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct account_view *given;
	struct visiting v;
	struct fault f = FAULT_OK;
	bool good = true, is_on;

	if (!begin_change(ctx, q, FORM_VACATION, out, &v))
		return;
	given = xcalloc(1, sizeof(*given));
	arena_init(&given->arena, 8 * FIELD_MAX);
	is_on = !sv_eq(take_text(given, q, "do", &good), SV("off"));
	given->vacation.message = take_text(given, q, "message", &good);
	given->vacation.subject = take_text(given, q, "subject", &good);
	given->vacation.from = take_text(given, q, "from", &good);
	given->vacation.until = take_text(given, q, "until", &good);
	if (!good) {
		refused_page_write(out);
	} else if ((f = tell_vacation(ctx, &v.who, is_on, given)).kind) {
		log_info(ctx->log, "web.vacation.refused", KV_Z("user", v.who.address), KV_FAULT("fault", f));
		/* The detail lives only until the next fault of this thread. */
		struct sv why = arena_copy(&given->arena, f.kind == FAULT_INVALID ? sv_z(f.detail) : SV_NONE);

		show_account(ctx, &v, SAID_NOTHING, why.len ? why.p : "This cannot be stored right now. Try again later.", given, out);
	} else {
		log_info(ctx->log, "web.vacation", KV_Z("user", v.who.address), KV_BOOL("on", is_on));
		go_back(out, is_on ? SAID_VACATION_ON : SAID_VACATION_OFF);
	}
	account_view_free(&given);
}
