/* What content filters say (smtpd/screen.h). "Discard" would be mail that is accepted and lost: it goes to Junk. Mail of our own
 * people has no Junk to go to: what a filter wants out of the way is refused, so that its author knows; what it takes for spam leaves
 * with the fields that say so. */
#include <stdio.h>

#include "smtpd/policy/policy.h"

#include "common/banned.h"

static void refuse(const struct screen_verdict *f, enum reply_id reply,
		   struct policy_verdict *verdict)
{
	policy_refuse(verdict, reply);
	snprintf(verdict->text, sizeof(verdict->text), "%s", f->text);
}

static void junk(const struct policy_facts *facts, struct policy_verdict *verdict, const char *why)
{
	policy_suspect(verdict, REPLY_FILTER, "A filter says: %.150s", why);
	verdict->is_at_most_junk = !facts->identity;
}

static void mark(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	junk(facts, verdict, "spam");
	verdict->is_only_log = facts->identity != NULL;
}

void policy_milter(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	const struct screen_verdict *f = facts->filter;

	if (!f)
		return;
	if (f->has_failed && f->action < SCREEN_DEFER && facts->conf->policy.milter_failure == CONF_MILTER_DEFER) {
		policy_refuse(verdict, REPLY_FILTER_LATER);
		return;
	}
	switch (f->action) {
	case SCREEN_REJECT:
		refuse(f, REPLY_FILTER, verdict);
		break;
	case SCREEN_DEFER:
		refuse(f, REPLY_FILTER_LATER, verdict);
		break;
	case SCREEN_DISCARD:
		junk(facts, verdict, "discard");
		break;
	case SCREEN_FAILED:             /* of one; of all it is has_failed */
	case SCREEN_ACCEPT:
		if (f->quarantine[0])
			junk(facts, verdict, f->quarantine);
		else if (f->is_spam)
			mark(facts, verdict);
		break;
	}
}
