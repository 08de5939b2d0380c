/* Floods: more messages or recipients in a minute than anybody sends who means well. */
#include <stdio.h>

#include "smtpd/policy/policy.h"

#include "common/banned.h"

#define NETWORK_FACTOR 3

static void look(const struct policy_facts *facts, const struct policy_rates *seen, uint64_t most,
		 const char *what, struct policy_verdict *verdict)
{
	char ip[NETADDR_TEXT_MAX];

	if (seen->address > most)
		policy_suspect(verdict, REPLY_TOO_MANY_PER_MINUTE,
			       "More than %llu %s a minute from %s", (unsigned long long)most, what,
			       netaddr_text(&facts->peer, ip).p);
	else if (seen->network > NETWORK_FACTOR * most)
		policy_suspect(verdict, REPLY_TOO_MANY_PER_MINUTE,
			       "More than %llu %s a minute from the network of %s",
			       (unsigned long long)(NETWORK_FACTOR * most), what,
			       netaddr_text(&facts->peer, ip).p);
}

void policy_rate(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	look(facts, &facts->messages, facts->conf->policy.messages_per_minute, "messages", verdict);
	if (!verdict->is_suspect)
		look(facts, &facts->recipients, facts->conf->policy.recipients_per_minute,
		     "recipients", verdict);
}

void policy_device_rate(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	uint64_t most = facts->conf->legacy.messages_per_minute;

	if (facts->messages.address <= most)
		return;
	policy_refuse(verdict, REPLY_POLICY_LATER);
	snprintf(verdict->text, sizeof(verdict->text), "A device sends %llu messages a minute at most: try again later",
		 (unsigned long long)most);
}
