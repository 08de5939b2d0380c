#include "common/auth_private.h"

#include "common/banned.h"

/* One row each, in the order in which they are offered. libsasl2 runs PLAIN. LOGIN is ours, since libsasl2 dropped it after 2.1.28;
 * SCRAM, since its plugin knows one password per account (common/scram.h). */
static const struct mechanism mechanisms[] = {
	{ "PLAIN", MECHANISM_SENDS_SECRET, 0, sasl_start, sasl_step, sasl_drop },
	{ "LOGIN", MECHANISM_SENDS_SECRET, 0, login_start, login_step, NULL },
	{ "SCRAM-SHA-256", MECHANISM_PROVES, CRYPT_SHA256, auth_scram_start, auth_scram_step, auth_scram_drop },
	{ "SCRAM-SHA-256-PLUS", MECHANISM_PROVES | MECHANISM_BINDS, CRYPT_SHA256, auth_scram_start, auth_scram_step, auth_scram_drop },
	{ "SCRAM-SHA-1", MECHANISM_PROVES, CRYPT_SHA1, auth_scram_start, auth_scram_step, auth_scram_drop },
	{ "SCRAM-SHA-1-PLUS", MECHANISM_PROVES | MECHANISM_BINDS, CRYPT_SHA1, auth_scram_start, auth_scram_step, auth_scram_drop },
	{ "OAUTHBEARER", MECHANISM_SENDS_SECRET | MECHANISM_TOKEN, 0, auth_token_start, auth_token_step, auth_token_drop },
	{ "XOAUTH2", MECHANISM_SENDS_SECRET | MECHANISM_TOKEN, 0, auth_token_start, auth_token_step, auth_token_drop },
	{ "EXTERNAL", MECHANISM_HAS_KEY, 0, external_start, external_step, NULL },
};

const struct mechanism mechanism_clear = { "CLEAR", MECHANISM_SENDS_SECRET, 0, NULL, NULL, NULL };

const struct mechanism *mechanism_find(struct sv name)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (sv_eq_nocase(name, sv_z(mechanisms[i].name)))
			return &mechanisms[i];
	return NULL;
}

bool mechanism_is_offered(const struct auth *auth, const struct auth_link *link, const struct mechanism *m)
{
	if (m->flags & MECHANISM_SENDS_SECRET && !link->may_send_secret)
		return false;
	if (m->flags & MECHANISM_TOKEN && (!auth->tokens || !link->has_tls))
		return false;
	if (m->flags & MECHANISM_PROVES && auth->elsewhere)
		return false;           /* who keeps passwords elsewhere is shown them, and tells no verifiers */
	if (m->flags & MECHANISM_PROVES && !offer_has_scram(auth->offer, m->hash))
		return false;
	if (m->flags & MECHANISM_HAS_KEY && !(link->has_key && offer_has_key(auth->offer, link->key)))
		return false;
	return !(m->flags & MECHANISM_BINDS) || link->has_binding;
}

void auth_mechanisms(const struct auth *auth, const struct conf_auth *conf, const struct auth_peer *peer, struct buf *out)
{
	struct auth_link link;
	bool is_first = true;

	auth_link_of(conf, peer, &link);
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		if (!mechanism_is_offered(auth, &link, &mechanisms[i]))
			continue;
		if (!is_first)
			buf_append_c(out, ' ');
		buf_append(out, sv_z(mechanisms[i].name));
		is_first = false;
	}
}
