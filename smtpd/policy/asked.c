/* A name at a relay domain whose host knows them (`domain set --relay asked`): the last row of RCPT, so that nobody is asked about mail
 * that is refused anyway. What the host said holds for a day, a no for a quarter of an hour; while it cannot be reached an old yes
 * is good for a week, since waiting for it is what a relay is for. Nothing known is a temporary answer. */
#include <stdio.h>

#include "common/outbook.h"
#include "smtpd/policy/policy.h"

#include "common/banned.h"

#define YES_HOLDS_S (24 * 3600)
#define NO_HOLDS_S (15 * 60)

/* decide - what is known of the name by now. */
static enum asking_answer decide(const struct policy_facts *facts, struct sv address, bool *is_to_be_asked)
{
	bool was_known = false;
	int64_t at_s = 0, age_s;

	if (facts->asked == ASKING_KNOWN || facts->asked == ASKING_UNKNOWN)
		return facts->asked;
	if (!facts->outbook || !outbook_asked(facts->outbook, address, &was_known, &at_s)) {
		*is_to_be_asked = facts->asked == ASKING_NOT_ASKED;
		return ASKING_LATER;
	}
	age_s = facts->now_s - at_s;
	if (age_s >= 0 && age_s < (was_known ? YES_HOLDS_S : NO_HOLDS_S))
		return was_known ? ASKING_KNOWN : ASKING_UNKNOWN;
	*is_to_be_asked = facts->asked == ASKING_NOT_ASKED;
	return facts->asked == ASKING_LATER && was_known ? ASKING_KNOWN : ASKING_LATER;
}

/* As mail would go there: of another domain than the recipient's when that is an alias of it. */
bool policy_asked_address(const struct policy_facts *facts, struct buf *out)
{
	const struct directory_route *route = facts->route;

	return route->is_asked && route->count == 1 && route->targets[0].is_remote &&
	       address_append(out, &route->targets[0].remote, ADDRESS_ASCII_DOMAIN);
}

void policy_asked(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	enum asking_answer answer = ASKING_LATER;
	struct buf address;

	if (!facts->route->is_asked)
		return;
	buf_init(&address, DIRECTORY_ADDRESS_MAX + 1);
	if (policy_asked_address(facts, &address))
		answer = decide(facts, buf_sv(&address), &verdict->is_to_be_asked);
	if (verdict->is_to_be_asked)
		snprintf(verdict->asked_for, sizeof(verdict->asked_for), "%.*s", SV_FMT(buf_sv(&address)));
	buf_done(&address);
	if (answer == ASKING_UNKNOWN)
		policy_refuse(verdict, REPLY_USER_UNKNOWN);
	else if (answer != ASKING_KNOWN)
		policy_refuse(verdict, REPLY_HOST_SILENT);
}
