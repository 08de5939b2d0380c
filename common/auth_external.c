#include <stdlib.h>

#include "common/auth_private.h"

#include "common/banned.h"

/* EXTERNAL (RFC 4422 appendix A): the client has shown a certificate whose key is registered for an account, and asks for nothing but
 * to be let in. TLS has seen that it has the key; who issued the certificate, and until when, says nothing here. The response is
 * empty, or the account that is meant: one of those that the key is registered for. */

static const struct directory_credential *by_key(const struct directory_login *l, const uint8_t key[CRYPT_SHA256_LEN])
{
	for (size_t i = 0; i < l->count; i++)
		if (l->credentials[i].is_certificate && memcmp(l->credentials[i].key, key, CRYPT_SHA256_LEN) == 0)
			return &l->credentials[i];
	return NULL;
}

static enum auth_reason find_account(struct auth_session *s, struct sv as)
{
	struct fault f = FAULT_OK;

	if (as.len)
		directory_login_canonical(s->auth->directory, as, s->user);
	else
		f = directory_certificate_owner(s->auth->directory, s->link.key, s->user);
	if (!f.kind || f.kind == FAULT_NOT_FOUND)
		return AUTH_REASON_NONE;
	log_error(&s->log, "auth.directory.failed", KV_FAULT("fault", f));
	return AUTH_TEMPORARY;
}

static void check_key(struct auth_session *s)
{
	struct directory_login *l = xcalloc(1, sizeof(*l));
	const struct directory_credential *c;
	struct verified *v = &s->verified;
	bool is_real = false;

	v->reason = AUTH_BAD_CREDENTIALS;
	if (verifier_login(s->auth->verifier, sv_z(s->user), s->iterations, l, &is_real).kind) {
		v->reason = AUTH_TEMPORARY;
	} else if (is_real) {
		memcpy(v->target, l->account.id, sizeof(v->target));
		c = by_key(l, s->link.key);
		if (c)
			verifier_found(l, c, v);
	}
	directory_login_done(l);
	free(l);
}

void external_start(struct auth_session *s, const struct sv *initial, struct auth_result *out)
{
	if (initial)
		external_step(s, *initial, out);
	else
		auth_ask(out, SV_NONE);
}

void external_step(struct auth_session *s, struct sv response, struct auth_result *out)
{
	if (response.len > DIRECTORY_ADDRESS_MAX || sv_find(response, '\0') != SIZE_MAX || !sv_is_utf8(response)) {
		auth_fail(s, AUTH_MALFORMED, out);
		return;
	}
	offer_look(s->auth->offer);
	s->verified.reason = find_account(s, response);
	if (!s->verified.reason) {
		auth_look(s, sv_z(s->user));
		check_key(s);
	}
	auth_decide(s);
	auth_end(s, out);
}
