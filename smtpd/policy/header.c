/* What a header must be before we send it on in somebody's name (RFC 6409 §6.3): bounded, and with an author. */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_header(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	if (facts->message->is_header_too_big)
		policy_refuse(verdict, REPLY_HEADER_TOO_BIG);
	else if (facts->message->from_count != 1)
		policy_refuse(verdict, REPLY_NO_FROM);
}
