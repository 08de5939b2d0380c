#include <time.h>

#include "common/auth_private.h"
#include "common/clock.h"
#include "common/crypt.h"
#include "common/events.h"
#include "common/identity_private.h"
#include "common/ipnet.h"

#include "common/banned.h"

bool auth_reason_is_wrong(enum auth_reason reason)
{
	return reason == AUTH_BAD_CREDENTIALS || reason == AUTH_THROTTLED;
}

const char *auth_reason_name(enum auth_reason reason)
{
	switch (reason) {
	case AUTH_REASON_NONE:          return "none";
	case AUTH_BAD_CREDENTIALS:      return "bad-credentials";
	case AUTH_TEMPORARY:            return "temporary";
	case AUTH_DISABLED:             return "disabled";
	case AUTH_NOT_HERE:             return "not-here";
	case AUTH_EXPIRED:              return "expired";
	case AUTH_FOREIGN:              return "foreign-identity";
	case AUTH_UNKNOWN_MECHANISM:    return "unknown-mechanism";
	case AUTH_MALFORMED:            return "malformed";
	case AUTH_PLAINTEXT_REFUSED:    return "plaintext-refused";
	case AUTH_CANCELLED:            return "cancelled";
	case AUTH_THROTTLED:            return "throttled";
	}
	BUG("reason %d", (int)reason);
}

void auth_result_done(struct auth_result *r)
{
	buf_wipe(&r->challenge);
	identity_unref(&r->identity);
	*r = (struct auth_result){ .outcome = AUTH_FAIL };
}

static void set_result(struct auth_result *out, enum auth_outcome outcome)
{
	*out = (struct auth_result){ .outcome = outcome };
	buf_init(&out->challenge, 2 * AUTH_INPUT_MAX);
}

void auth_ask(struct auth_result *out, struct sv challenge)
{
	set_result(out, AUTH_CONTINUE);
	if (!buf_append(&out->challenge, challenge))
		BUG("a challenge of %zu octets", challenge.len);
}

static const char *mechanism_name(const struct auth_session *s)
{
	return s->mechanism ? s->mechanism->name : "none";
}

void auth_look(struct auth_session *s, struct sv user)
{
	s->has_looked = true;
	s->who.address = s->address;
	auth_name_key(s->auth->directory, user, s->who.account);
	s->who.is_known = s->auth->logins && logins_is_known(s->auth->logins, s->who.account, &s->address);
	s->rule = throttle_look(s->auth->throttle, &s->who, &s->limits, throttle_now_ms());
}

/* note - write down how a login ended for an account that there is. */
static void note(struct auth_session *s, const char *result)
{
	bool is_ok = strcmp(result, "ok") == 0;
	const struct verified *v = &s->verified;

	if (!s->auth->logins || !(is_ok ? v->account : v->target)[0])
		return;
	logins_note(s->auth->logins, &(struct login){
		.account = sv_z(is_ok ? v->account : v->target),
		.name = is_ok ? s->who.account : NULL,
		.address = s->address,
		.sid = sv_z(s->log.sid),
		.protocol = sv_z(auth_service_name(s->service)),
		.mechanism = sv_z(mechanism_name(s)),
		.credential = sv_z(v->label),
		.tls = sv_z(s->tls),
		.program = sv_z(s->program),
		.client = sv_z(s->client),
		.result = sv_z(result),
		.number = v->credential,
		.is_from_known = s->who.is_known,
	});
}

/* wrong - count it; how long is the answer held back? */
static uint32_t wrong(struct auth_session *s)
{
	uint64_t mark = s->verified.mark;

	if (!s->has_looked)
		auth_look(s, sv_z(s->user));
	if (s->mechanism && s->mechanism->flags & MECHANISM_PROVES) {
		crypt_random(&mark, sizeof(mark));      /* nobody can say which password it was */
		s->scram_mark = mark;
		memcpy(s->scram_user, s->user, sizeof(s->scram_user));
	} else if (s->scram_mark && strcmp(s->scram_user, s->user) == 0) {
		mark = s->scram_mark;
		s->scram_mark = 0;
	}
	return throttle_failure(s->auth->throttle, &s->who, mark, &s->limits, throttle_now_ms());
}

/* is_after_right_password - whoever is told so has shown that he knows it. */
static bool is_after_right_password(enum auth_reason reason)
{
	return reason == AUTH_DISABLED || reason == AUTH_NOT_HERE || reason == AUTH_EXPIRED || reason == AUTH_FOREIGN;
}

static const char *words_for(const struct auth_session *s, enum auth_reason reason)
{
	if (reason == AUTH_EXPIRED)
		return "This app password has expired";
	if (reason == AUTH_FOREIGN)
		return "Nobody logs in as somebody else here";
	return is_after_right_password(reason) && s->verified.refused & auth_service_scope(s->service) ? s->verified.refusal : "";
}

void auth_fail(struct auth_session *s, enum auth_reason reason, struct auth_result *out)
{
	set_result(out, AUTH_FAIL);
	atomic_fetch_add_explicit(&s->auth->failed, 1, memory_order_relaxed);
	out->reason = reason;
	if (reason == AUTH_BAD_CREDENTIALS)
		out->delay_ms = wrong(s);
	else if (reason == AUTH_THROTTLED)
		out->delay_ms = s->limits.first_ms ? (uint32_t)s->limits.most_ms : 0;
	if (reason == AUTH_THROTTLED)
		event_emit(&s->log, EVENT_LOGIN_THROTTLED, KV_Z("protocol", auth_service_name(s->service)), KV_Z("user", s->user),
			   KV_Z("reason", throttle_rule_name(s->rule)));
	else
		event_emit(&s->log, EVENT_LOGIN_FAILED, KV_Z("protocol", auth_service_name(s->service)), KV_Z("user", s->user),
			   KV_Z("mechanism", mechanism_name(s)), KV_Z("reason", auth_reason_name(reason)), KV_Z("tls", s->tls));
	struct sv words = sv_sub(sv_z(words_for(s, reason)), 0, sizeof(out->text) - 1);

	if (words.len)
		memcpy(out->text, words.p, words.len);
	if (reason == AUTH_BAD_CREDENTIALS || is_after_right_password(reason))
		note(s, auth_reason_name(reason));
	auth_end_exchange(s);
}

void auth_succeed(struct auth_session *s, struct auth_result *out)
{
	char peer[NETADDR_TEXT_MAX];

	set_result(out, AUTH_OK);
	atomic_fetch_add_explicit(&s->auth->succeeded, 1, memory_order_relaxed);
	out->identity = identity_new(&(struct identity_facts){
		.address = sv_z(s->verified.address),
		.account = sv_z(s->verified.account),
		.label = sv_z(s->verified.label),
		.mechanism = sv_z(mechanism_name(s)),
		.peer = netaddr_text(&s->address, peer),
		.tls = sv_z(s->tls),
		.scope = s->verified.scope,
		.credential = s->verified.credential,
	});
	event_emit(&s->log, EVENT_LOGIN_OK, KV_Z("protocol", auth_service_name(s->service)),
		   KV_Z("user", s->verified.address), KV_Z("mechanism", mechanism_name(s)),
		   KV_Z("credential", s->verified.label), KV_Z("tls", s->tls));
	note(s, "ok");
	auth_end_exchange(s);
}

/* bounds_reason - an app password may be good for a time and from some networks only. */
static enum auth_reason bounds_reason(struct auth_session *s)
{
	static const char elsewhere[] = "This app password is not good from your address";
	struct directory_bounds *b = &s->verified.bounds;
	const struct ipnets sources = { b->sources, b->source_count };

	if (b->expires_s && (int64_t)time(NULL) >= b->expires_s)
		return AUTH_EXPIRED;
	if (!sources.count || netaddr_in(&s->address, &sources))
		return AUTH_REASON_NONE;
	s->verified.refused = SCOPE_ALL;
	memcpy(s->verified.refusal, elsewhere, sizeof(elsewhere));
	return AUTH_NOT_HERE;
}

/* Who it is was proven; may they, here and now? */
void auth_decide(struct auth_session *s)
{
	/* While a name or an address is blocked, only what cannot be guessed counts, an app password; a right password of the
	 * account's own gets the same answer as a wrong one. */
	if (s->rule && s->verified.reason != AUTH_TEMPORARY && !(s->verified.account[0] && s->verified.is_random))
		s->verified.reason = AUTH_THROTTLED;
	if (s->verified.reason == AUTH_REASON_NONE && !(s->verified.scope & auth_service_scope(s->service)))
		s->verified.reason = AUTH_NOT_HERE;
	if (s->verified.reason == AUTH_REASON_NONE)
		s->verified.reason = bounds_reason(s);
	/* Said only after the right password: RFC 5530 §3, AUTHORIZATIONFAILED. */
	if (s->verified.reason == AUTH_REASON_NONE && s->is_foreign)
		s->verified.reason = AUTH_FOREIGN;
	s->is_verified = true;
}

uint64_t auth_now_ms(void)
{
	return clock_ms();
}

void auth_check_password(struct auth_session *s, struct sv user, struct sv password)
{
	uint64_t revision = directory_revision(s->auth->directory);

	auth_look(s, user);
	if (s->rule && !verifier_looks_random(password))
		s->verified = (struct verified){ .reason = AUTH_THROTTLED };
	else
		verifier_check(s->auth->verifier, user, password, s->iterations, auth_now_ms(), &s->verified);
	again_remember(s->auth->again, s, password, revision);
	offer_look(s->auth->offer);
	auth_decide(s);
}

void auth_end(struct auth_session *s, struct auth_result *out)
{
	if (s->verified.reason == AUTH_REASON_NONE)
		auth_succeed(s, out);
	else
		auth_fail(s, s->verified.reason, out);
}

bool auth_is_for_itself(struct auth_session *s, struct sv as)
{
	char name[DIRECTORY_ADDRESS_MAX + 1];

	if (!as.len)
		return true;
	directory_login_canonical(s->auth->directory, as, name);
	return strcmp(name, s->user) == 0;
}
