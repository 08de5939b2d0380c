/* What filter programs say (smtpd/milter.h). "Discard" would be mail that is accepted and lost: it
 * goes to Junk. */
#include <stdio.h>

#include "smtpd/policy/policy.h"

#include "common/banned.h"

static void refuse(const struct milter_verdict *f, enum reply_id reply,
		   struct policy_verdict *verdict)
{
	policy_refuse(verdict, reply);
	snprintf(verdict->text, sizeof(verdict->text), "%s", f->text);
}

static void junk(struct policy_verdict *verdict, const char *why)
{
	policy_suspect(verdict, REPLY_FILTER, "A filter says: %.150s", why);
	verdict->is_at_most_junk = true;
}

void policy_milter(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	const struct milter_verdict *f = facts->filter;

	if (!f)
		return;
	switch (f->action) {
	case MILTER_REJECT:
		refuse(f, REPLY_FILTER, verdict);
		break;
	case MILTER_DEFER:
		refuse(f, REPLY_FILTER_LATER, verdict);
		break;
	case MILTER_FAILED:
		if (facts->conf->policy.milter_failure == CONF_MILTER_DEFER)
			policy_refuse(verdict, REPLY_FILTER_LATER);
		break;
	case MILTER_DISCARD:
		junk(verdict, "discard");
		break;
	case MILTER_ACCEPT:
		if (f->quarantine[0] || f->is_spam)
			junk(verdict, f->quarantine[0] ? f->quarantine : "spam");
		break;
	}
}
