/* Whom does a mail program show as the author? With no From field, two of them, or authors of
 * several domains one program shows one, the next another one, and what was verified is neither
 * (RFC 5322 §3.6.2, RFC 9989 §11.5). */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_from(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	const struct message_facts *m = facts->message;

	if (m->is_cut)
		policy_suspect(verdict, REPLY_FROM, "The header is too long to be sure of its author");
	else if (m->from_count != 1)
		policy_suspect(verdict, REPLY_FROM, "The message has %u From fields",
			       m->from_count);
	else if (!m->from_address_count)
		policy_suspect(verdict, REPLY_FROM, "The From field has no address");
	else if (facts->author && facts->author->is_ambiguous)
		policy_suspect(verdict, REPLY_FROM,
			       "The From field does not name one author's domain");
}
