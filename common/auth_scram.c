#include <stdlib.h>

#include "common/auth_private.h"
#include "common/scram.h"

#include "common/banned.h"

/* SCRAM (RFC 5802, RFC 7677). The computation is common/scram.h's; here it meets accounts. */

enum stage { STAGE_FIRST, STAGE_FINAL, STAGE_DONE };

/* A fault of the exchange itself: a broken message, or a wrong login. */
static enum auth_reason scram_reason(struct fault f)
{
	return f.kind == FAULT_INVALID ? AUTH_MALFORMED : AUTH_BAD_CREDENTIALS;
}

static enum auth_reason scram_begin(struct auth_session *s, struct sv message, struct directory_login *l, struct buf *out)
{
	const struct bindings *b = &s->link.bindings;
	const struct scram_bindings bindings = {
		.exporter = sv_from((const char *)b->exporter, b->exporter_len),
		.end_point = sv_from((const char *)b->end_point, b->end_point_len),
	};
	struct scram *scram = scram_new(s->mechanism->hash, s->mechanism->flags & MECHANISM_BINDS, &bindings);
	struct buf user, as;
	bool is_real;

	buf_init(&user, DIRECTORY_ADDRESS_MAX);
	buf_init(&as, DIRECTORY_ADDRESS_MAX);
	s->state = scram;
	struct fault f = scram_first(scram, message, &user, &as);
	enum auth_reason reason = f.kind ? scram_reason(f) : AUTH_REASON_NONE;

	if (!reason) {
		directory_login_canonical(s->auth->directory, buf_sv(&user), s->user);
		s->is_foreign = !auth_is_for_itself(s, buf_sv(&as));
		if (verifier_login(s->auth->verifier, sv_z(s->user), s->iterations, l, &is_real).kind)
			reason = AUTH_TEMPORARY;
		else
			scram_challenge(scram, sv_from((const char *)l->salt, sizeof(l->salt)), l->iterations, out);
	}
	buf_done(&user);
	buf_done(&as);
	return reason;
}

/* The account is read anew: it may have been changed since the challenge. */
static enum auth_reason scram_end(struct auth_session *s, struct sv message, struct directory_login *l, struct buf *out)
{
	bool is_real = false;
	size_t found;

	offer_look(s->auth->offer);
	auth_look(s, sv_z(s->user));
	if (verifier_login(s->auth->verifier, sv_z(s->user), s->iterations, l, &is_real).kind)
		return AUTH_TEMPORARY;
	if (is_real)
		memcpy(s->verified.target, l->account.id, sizeof(s->verified.target));
	struct fault f = scram_final(s->state, message, l, &found, out);

	if (f.kind && scram_reason(f) == AUTH_MALFORMED)
		return AUTH_MALFORMED;
	s->verified.reason = AUTH_BAD_CREDENTIALS;
	if (!f.kind && is_real && found != SIZE_MAX)
		verifier_password_found(l, &l->credentials[found], &s->verified);
	auth_decide(s);
	return s->verified.reason;
}

void auth_scram_start(struct auth_session *s, const struct sv *initial, struct auth_result *out)
{
	if (initial)
		auth_scram_step(s, *initial, out);
	else
		auth_ask(out, SV_NONE);
}

void auth_scram_step(struct auth_session *s, struct sv message, struct auth_result *out)
{
	struct directory_login *l;
	enum auth_reason reason;
	struct buf text;

	if (s->stage == STAGE_DONE) {   /* the client has our proof, too, and says so by nothing */
		if (message.len)
			auth_fail(s, AUTH_MALFORMED, out);
		else
			auth_succeed(s, out);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	buf_init(&text, AUTH_INPUT_MAX);
	if (s->stage == STAGE_FIRST)
		reason = scram_begin(s, message, l, &text);
	else
		reason = scram_end(s, message, l, &text);
	if (reason) {
		auth_fail(s, reason, out);
	} else {
		s->stage++;
		auth_ask(out, buf_sv(&text));
	}
	buf_wipe(&text);
	directory_login_done(l);
	free(l);
}

void auth_scram_drop(void *state)
{
	struct scram *scram = state;

	scram_free(&scram);
}
