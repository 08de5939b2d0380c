/* How large a message may be: what the client declared at MAIL, and what it then sent (RFC 1870
 * §6.1, §6.3). */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_size(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	uint64_t most = conf_message_size(facts->conf, facts->listener);

	if (facts->declared_size > most || facts->size > most)
		policy_refuse(verdict, REPLY_TOO_BIG);
}
