/* Could an answer reach the sender? A domain that does not exist is made up (RFC 5321 §2.3.5); one
 * with a null MX never sends (RFC 7505 §4.2). While the DNS does not answer nothing is known, and
 * nothing is said. */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_sender_domain(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	if (facts->origin && facts->origin->sender == ORIGIN_SENDER_ABSENT)
		policy_suspect(verdict, REPLY_SENDER_DOMAIN,
			       "Domain %.200s has neither MX nor address records",
			       facts->origin->spf_domain);
}

void policy_null_mx(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	if (facts->origin && facts->origin->sender == ORIGIN_SENDER_NULL_MX)
		policy_suspect(verdict, REPLY_SENDER_NULL_MX,
			       "Domain %.200s says that it has no mail (RFC 7505)",
			       facts->origin->spf_domain);
}
