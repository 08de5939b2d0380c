/* Mail that goes in circles (RFC 5321 §6.3): too many hops, or an address of ours that has sent
 * this very message on before. */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_loop(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	const struct message_facts *m = facts->message;

	if (m->received_count > facts->conf->smtp.received_headers)
		policy_refuse(verdict, REPLY_LOOP);
	for (size_t i = 0; i < facts->forwarder_count; i++)
		for (size_t j = 0; j < m->delivered_to_count; j++)
			if (sv_eq_nocase(facts->forwarders[i], m->delivered_to[j]))
				policy_refuse(verdict, REPLY_LOOP);
}
