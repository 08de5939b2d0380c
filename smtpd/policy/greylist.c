/* Suspects come again: a host without a name of its own, or for which the sender's domain does not
 * vouch, is put off once. Honest servers retry; most of what floods does not. Never put off is who
 * logged in, who passes SPF, and who stands in a list of good ones. */
#include "smtpd/greylist.h"
#include "smtpd/policy/policy.h"

#include "common/banned.h"

bool policy_is_suspect(const struct origin_facts *o)
{
	if (!o || o->spf == SPF_PASS || o->weight < 0)
		return false;
	return o->name == ORIGIN_NAME_NONE || o->name == ORIGIN_NAME_UNCONFIRMED ||
	       o->spf == SPF_FAIL || o->spf == SPF_SOFTFAIL || o->weight > 0;
}

void policy_greylist(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	uint8_t key[GREYLIST_KEY_LEN];

	if (!facts->greylist || !policy_is_suspect(facts->origin))
		return;
	greylist_key(facts->directory, &facts->peer, facts->sender.domain, facts->recipient.local,
		     key);
	if (greylist_is_early(facts->greylist, key, facts->now_s, facts->conf->policy.greylist_ms))
		policy_suspect(verdict, REPLY_GREYLISTED,
			       "Not known yet: try again in %llu seconds",
			       (unsigned long long)(facts->conf->policy.greylist_ms / 1000));
}
