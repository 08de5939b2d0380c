/* The domain in MAIL says that this host may not send for it (RFC 7208 §8.4). Mail that was sent on
 * looks the same, so it is let be when the author's own domain vouches for the message, or asks for
 * something else by DMARC. */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

static bool is_signed_by_author(const struct author_facts *a)
{
	for (size_t i = 0; a->dkim && i < dkim_verifier_count(a->dkim, NULL); i++) {
		const struct dkim_signature *s = dkim_verifier_get(a->dkim, i);

		if (s->result == DKIM_PASS && !s->is_testing && sv_eq(s->domain, sv_z(a->domain)))
			return true;
	}
	return false;
}

void policy_spf(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	const struct origin_facts *o = facts->origin;

	if (!o || (o->spf != SPF_FAIL && o->spf != SPF_SOFTFAIL))
		return;
	if (facts->author &&
	    (facts->author->dmarc.result != DMARC_NONE || facts->author->is_vouched))
		return; /* DMARC has said what there is to say */
	if (facts->author && is_signed_by_author(facts->author))
		return;
	policy_suspect(verdict, REPLY_SPF, "Domain %.100s does not let you send for it%s%.100s",
		       o->spf_domain, o->spf_explanation[0] ? "; it says: " : "",
		       o->spf_explanation);
	if (o->spf == SPF_SOFTFAIL)
		verdict->is_only_log = true;
}
