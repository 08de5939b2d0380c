/* Servers have names, and the names lead back to them (RFC 8601 §3); many honest ones do not, so
 * alone this says little. */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_reverse_dns(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	const struct origin_facts *o = facts->origin;
	char ip[NETADDR_TEXT_MAX];

	if (o && o->name == ORIGIN_NAME_NONE)
		policy_suspect(verdict, REPLY_REVERSE_DNS, "%s has no name",
			       netaddr_text(&facts->peer, ip).p);
	else if (o && o->name == ORIGIN_NAME_UNCONFIRMED)
		policy_suspect(verdict, REPLY_REVERSE_DNS, "%s does not lead back to %s", o->host,
			       netaddr_text(&facts->peer, ip).p);
}
