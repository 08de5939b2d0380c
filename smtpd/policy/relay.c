/* Who may send where: strangers to our own people only. The route comes from the directory, which
 * has parsed the address once; no trick of spelling is looked at twice. LMTP is for final delivery,
 * so nobody relays through it (RFC 2033 §3). Hosts of relay-networks are not asked to log in.
 * Devices reach, logged in or not, whom legacy-recipients names besides: their passwords travel in clear. */
#include <stdio.h>

#include "smtpd/policy/policy.h"

#include "common/banned.h"

/* is_for_devices - do legacy-recipients name it, or its domain? */
static bool is_for_devices(const struct policy_facts *facts)
{
	const struct conf_list *list = &facts->conf->legacy.recipients;
	bool is_listed = false;
	struct buf address;

	buf_init(&address, DIRECTORY_ADDRESS_MAX);
	if (address_append(&address, &facts->recipient, ADDRESS_ASCII_DOMAIN))
		for (size_t i = 0; i < list->count && !is_listed; i++)
			is_listed = sv_eq_nocase(sv_z(list->items[i]),
						 strchr(list->items[i], '@') ? buf_sv(&address) : facts->recipient.domain);
	buf_done(&address);
	return is_listed;
}

static void refuse_elsewhere(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	bool is_device = facts->listener == LISTENER_LEGACY;

	if (is_device ? is_for_devices(facts) : facts->identity || facts->is_relay_client)
		return;
	policy_refuse(verdict, REPLY_RELAY_DENIED);
	if (is_device)
		snprintf(verdict->text, sizeof(verdict->text),
			 "Relaying denied: devices reach nobody elsewhere\nAn administrator can allow it by legacy-recipients in postroom.conf");
}

void policy_relay(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	switch (facts->route->answer) {
	case DIRECTORY_NOT_OURS:
		refuse_elsewhere(facts, verdict);
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
