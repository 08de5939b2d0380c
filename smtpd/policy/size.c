/* How large a message may be: what the client declared at MAIL, and what it then sent (RFC 1870
 * §6.1, §6.3). */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_size(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	if (facts->declared_size > facts->conf->smtp.message_size ||
	    facts->size > facts->conf->smtp.message_size)
		policy_refuse(verdict, REPLY_TOO_BIG);
}
