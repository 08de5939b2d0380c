/* Who may send where: strangers to our own people only. The route comes from the directory, which
 * has parsed the address once; no trick of spelling is looked at twice. LMTP is for final delivery,
 * so nobody relays through it (RFC 2033 §3). Hosts of relay-networks are not asked to log in. */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_relay(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	switch (facts->route->answer) {
	case DIRECTORY_NOT_OURS:
		if (!facts->identity && !facts->is_relay_client)
			policy_refuse(verdict, REPLY_RELAY_DENIED);
		break;
	case DIRECTORY_UNKNOWN:
		policy_refuse(verdict, REPLY_USER_UNKNOWN);
		break;
	case DIRECTORY_CLOSED:
		policy_refuse(verdict, REPLY_TAKES_NO_MAIL);
		break;
	case DIRECTORY_TARGETS:
		break;
	}
}
