#include "common/auth_private.h"

#include "common/banned.h"

/* LOGIN (draft-murchison-sasl-login): no standard, and every Outlook speaks it. libsasl2 dropped it after 2.1.28. */

enum stage { STAGE_USER, STAGE_PASSWORD };

bool login_has_name(const struct auth_session *s)
{
	return s->stage == STAGE_PASSWORD;
}

void login_start(struct auth_session *s, const struct sv *initial, struct auth_result *out)
{
	if (initial && initial->len)
		login_step(s, *initial, out);
	else
		auth_ask(out, SV("Username:"));
}

void login_step(struct auth_session *s, struct sv response, struct auth_result *out)
{
	if (s->stage == STAGE_PASSWORD) {
		auth_check_password(s, sv_z(s->user), response);
		auth_end(s, out);
	} else if (response.len > DIRECTORY_ADDRESS_MAX) {
		auth_fail(s, AUTH_MALFORMED, out);
	} else {
		directory_login_canonical(s->auth->directory, response, s->user);
		s->stage = STAGE_PASSWORD;
		auth_ask(out, SV("Password:"));
	}
}
