/* What the author's domain asks for when a message is not its own (RFC 9989 §5.3), unless the
 * administrator knows better. */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

/* exception - the longest domain of the list that is the author's or above it. */
static bool exception(const struct conf_list *list, struct sv author, enum dmarc_policy *out)
{
	size_t best = 0;

	for (size_t i = 0; i < list->count; i++) {
		struct sv item = sv_z(list->items[i]), domain;

		if (!sv_split(&item, '=', &domain) || domain.len <= best ||
		    !sv_ends(author, domain) ||
		    (author.len > domain.len && author.p[author.len - domain.len - 1] != '.'))
			continue;
		if (dmarc_policy_parse(item, out))
			best = domain.len;
	}
	return best > 0;
}

void policy_dmarc(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	const struct author_facts *a = facts->author;
	enum dmarc_policy policy;
	bool is_local;

	if (!a || a->is_vouched || (a->dmarc.result != DMARC_FAIL && a->dmarc.result != DMARC_NONE))
		return;
	policy = a->dmarc.policy;
	is_local = exception(&facts->conf->policy.dmarc_exceptions, sv_z(a->domain), &policy);
	if (policy == DMARC_POLICY_NONE || (a->dmarc.result == DMARC_NONE && !is_local))
		return;
	policy_suspect(verdict, REPLY_DMARC,
		       "Domain %.150s did not send this message (DMARC p=%s%s)", a->domain,
		       dmarc_policy_name(policy), is_local ? ", set here" : "");
	verdict->is_at_most_junk = policy == DMARC_POLICY_QUARANTINE;
}
