#include "common/kick.h"

#include "common/banned.h"

bool kick_parse(const struct json *request, struct control_reply **reply, struct kick *out)
{
	*out = (struct kick){ .credential = 0 };
	(void)json_get_sv(request, "account", &out->account);
	(void)json_get_sv(request, "sid", &out->sid);
	out->has_credential = json_get_u64(request, "credential", &out->credential);
	if (out->account.len || out->sid.len)
		return true;
	control_finish(reply, fault(FAULT_INVALID, "kick needs a member \"account\" or \"sid\""));
	return false;
}

bool kick_is_for(const struct kick *kick, const struct log_ctx *log, const struct auth_identity *identity)
{
	if (kick->sid.len && !sv_eq(kick->sid, sv_z(log->sid)))
		return false;
	if (!kick->account.len)
		return true;
	return identity && sv_eq(kick->account, identity_account(identity)) &&
	       (!kick->has_credential || kick->credential == identity_credential(identity));
}

void kick_answer(struct control_reply **reply, size_t ended)
{
	json_out_u64(control_line(*reply), "ended", ended);
	(void)control_line_end(*reply);
	control_finish(reply, FAULT_OK);
}
