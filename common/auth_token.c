#include <stdlib.h>

#include "common/auth_private.h"
#include "common/bearer.h"
#include "common/date.h"
#include "common/issuer.h"

#include "common/banned.h"

/* OAUTHBEARER (RFC 7628) and XOAUTH2: a token of the configured issuer instead of a password. What was wrong with a token is for
 * the log; a client learns that it needs another one. */

struct auth_tokens {
	struct issuer *issuer;
	char *url, *audience, *claim;
	struct issuer_rules rules;      /* borrows these */
};

/* A login that has failed already, counted and written down, while the client has yet to answer our challenge. */
struct refusal {
	struct auth_result result;      /* its words, too */
};

void auth_open_tokens(struct auth *auth, const struct instance *instance, const struct conf_auth *conf)
{
	struct auth_tokens *t;
	struct issuer *issuer;

	if (!conf->oauth_issuer[0])
		return;
	struct fault f = issuer_open(instance, &issuer);

	if (f.kind) {
		log_error(NULL, "auth.issuer.closed", KV_FAULT("fault", f));
		return;
	}
	t = xcalloc(1, sizeof(*t));
	t->issuer = issuer;
	t->url = xstrdup(conf->oauth_issuer);
	t->audience = xstrdup(conf->oauth_audience);
	t->claim = xstrdup(conf->oauth_account_claim);
	t->rules = (struct issuer_rules){
		.token = { .issuer = t->url, .audience = t->audience, .account_claim = t->claim },
		.floor_s = (conf->oauth_floor_ms + 999) / 1000,
	};
	auth->tokens = t;
}

void auth_tokens_free(struct auth_tokens **at)
{
	struct auth_tokens *t = *at;

	if (!t)
		return;
	*at = NULL;
	issuer_close(&t->issuer);
	free(t->url);
	free(t->audience);
	free(t->claim);
	free(t);
}

static enum bearer_kind kind_of(const struct auth_session *s)
{
	return sv_eq(sv_z(s->mechanism->name), SV("XOAUTH2")) ? BEARER_XOAUTH2 : BEARER_OAUTHBEARER;
}

/* check - whose token is it? Sets s->user and s->verified. */
static enum token_verdict check(struct auth_session *s, struct sv claimed, struct sv token)
{
	struct auth_tokens *t = s->auth->tokens;
	enum token_verdict verdict;
	uint8_t mac[32];
	struct buf account;

	buf_init(&account, DIRECTORY_ADDRESS_MAX);
	verdict = issuer_check(t->issuer, &t->rules, token, date_now().seconds, &account);
	directory_login_canonical(s->auth->directory, verdict == TOKEN_GOOD ? buf_sv(&account) : claimed, s->user);
	s->is_foreign = verdict == TOKEN_GOOD && !auth_is_for_itself(s, claimed);
	auth_look(s, sv_z(s->user));
	s->verified = (struct verified){ .reason = AUTH_BAD_CREDENTIALS };
	if (verdict == TOKEN_UNAVAILABLE)
		s->verified.reason = AUTH_TEMPORARY;
	else if (verdict == TOKEN_GOOD)
		verifier_vouched(s->auth->verifier, sv_z(s->user), SV("token"), SCOPE_ALL, &s->verified);
	/* The same token again, which a client that does not look at the answer sends, is one failure. */
	directory_keyed(s->auth->directory, "wrong-token", token, mac);
	memcpy(&s->verified.mark, mac, sizeof(s->verified.mark));
	buf_wipe(&account);
	return verdict;
}

/* refuse - count it now: who hangs up instead of answering the challenge has failed all the same. */
static void refuse(struct auth_session *s, struct auth_result *out)
{
	const struct mechanism *mechanism = s->mechanism;
	struct refusal *refusal = xcalloc(1, sizeof(*refusal));
	enum bearer_kind kind = kind_of(s);
	struct buf text;

	auth_fail(s, s->verified.reason, out);
	refusal->result = *out;         /* a failure owns nothing */
	s->mechanism = mechanism;
	s->state = refusal;
	buf_init(&text, 2048);
	bearer_refusal(kind, s->auth->tokens->url, &text);
	auth_ask(out, buf_sv(&text));
	buf_done(&text);
}

void auth_token_start(struct auth_session *s, const struct sv *initial, struct auth_result *out)
{
	if (initial)
		auth_token_step(s, *initial, out);
	else
		auth_ask(out, SV_NONE);
}

void auth_token_step(struct auth_session *s, struct sv message, struct auth_result *out)
{
	const struct refusal *refusal = s->state;
	enum token_verdict verdict;
	struct sv token;
	struct buf user;

	if (refusal) {
		/* Whatever it says, it has failed (RFC 7628 §3.2.3). */
		*out = refusal->result;
		auth_end_exchange(s);
		return;
	}
	buf_init(&user, DIRECTORY_ADDRESS_MAX);
	if (bearer_parse(kind_of(s), message, &user, &token).kind) {
		auth_fail(s, AUTH_MALFORMED, out);
	} else {
		verdict = check(s, buf_sv(&user), token);
		auth_decide(s);
		if (verdict != TOKEN_GOOD)
			log_info(&s->log, "auth.token", KV_Z("user", s->user), KV_Z("verdict", token_verdict_name(verdict)));
		if (s->verified.reason == AUTH_BAD_CREDENTIALS || s->verified.reason == AUTH_FOREIGN)
			refuse(s, out);
		else
			auth_end(s, out);
	}
	buf_wipe(&user);
}

void auth_token_drop(void *state)
{
	free(state);
}
