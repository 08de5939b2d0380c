#include "common/session_facts.h"

#include "common/date.h"
#include "common/tls.h"

#include "common/banned.h"

void session_facts_put(struct json_out *j, const struct session_facts *facts)
{
	const struct auth_identity *id = facts->identity;
	uint64_t age_s = (loop_now_ms(stream_loop(facts->stream)) - facts->began_ms) / 1000;

	json_out_z(j, "protocol", facts->protocol);
	json_out_z(j, "sid", facts->log->sid);
	json_out_sv(j, "account", id ? identity_address(id) : SV_NONE);
	json_out_sv(j, "device", id ? identity_label(id) : SV_NONE);
	json_out_u64(j, "credential", id ? identity_credential(id) : 0);
	json_out_z(j, "address", facts->log->peer);
	json_out_sv(j, "client", facts->client);
	json_out_sv(j, "mailbox", facts->mailbox);
	json_out_i64(j, "since", date_now().seconds - (int64_t)age_s);
	json_out_u64(j, "idle_s", stream_idle_ms(facts->stream) / 1000);
	json_out_z(j, "tls", stream_is_tls(facts->stream) ? tls_facts(stream_tls(facts->stream)).version : "");
}
