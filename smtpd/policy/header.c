/* What a header must be before we send it on in somebody's name (RFC 6409 §6.3): bounded, and with
 * an author; a device's may have none, and is given one. */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_header(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	const struct message_facts *m = facts->message;

	if (m->header_size > facts->conf->mime.header_block ||
	    m->longest_field > facts->conf->mime.header_field)
		policy_refuse(verdict, REPLY_HEADER_TOO_BIG);
	else if (m->from_count != 1 && (m->from_count || facts->listener != LISTENER_LEGACY))
		policy_refuse(verdict, REPLY_NO_FROM);
}
