/* Lists of addresses in the DNS (RFC 5782), each with a weight. A list that does not answer has not
 * listed anybody. */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_dns_list(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	const struct origin_facts *o = facts->origin;
	char ip[NETADDR_TEXT_MAX];

	if (o && o->weight >= 0 && (uint64_t)o->weight >= facts->conf->policy.dns_list_weight)
		policy_suspect(verdict, REPLY_LISTED, "%s is listed: %.180s",
			       netaddr_text(&facts->peer, ip).p, o->lists);
}
