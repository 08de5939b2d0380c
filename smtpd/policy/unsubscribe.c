/* Mail of bulk senders can be unsubscribed from with one click (RFC 8058): large providers ask for it. */
#include <stdio.h>

#include "common/unsubscribe.h"
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_unsubscribe(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	const struct message_facts *m = facts->message;
	enum unsubscribe_mode mode = facts->identity ? unsubscribe_mode(facts->conf, identity_address(facts->identity)) : UNSUBSCRIBE_OFF;

	if (mode == UNSUBSCRIBE_OFF || !m || !facts->remote_count || (m->has_unsubscribe && m->has_one_click))
		return;
	if (mode == UNSUBSCRIBE_ADD && !m->has_any_unsubscribe && facts->rcpt_count == 1)
		return;                 /* smtpd/fixup.h has added it */
	policy_refuse(verdict, REPLY_NO_UNSUBSCRIBE);
	if (mode == UNSUBSCRIBE_ADD && !m->has_any_unsubscribe)
		snprintf(verdict->text, sizeof(verdict->text),
			 "This account writes to many: send each recipient a message of its own, which then gets a link to unsubscribe");
	else
		snprintf(verdict->text, sizeof(verdict->text),
			 "This account writes to many: its messages need List-Unsubscribe with an https address and\n"
			 "List-Unsubscribe-Post: List-Unsubscribe=One-Click (RFC 8058)");
}
