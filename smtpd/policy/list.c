/* Who may send to a distribution list. What a sender says of himself counts where somebody vouches for it: the login, or that
 * SPF does not say no; nobody outside is one of our own people. Bounces are no mail for everybody. */
#include "common/log.h"
#include "smtpd/policy/policy.h"

#include "common/banned.h"

/* believed - the sender's address, or nothing. */
static struct sv believed(const struct policy_facts *facts, struct buf *text)
{
	bool is_ours = false;

	if (facts->sender.is_null || !address_append(text, &facts->sender, ADDRESS_ASCII_DOMAIN))
		return SV_NONE;
	if (!facts->is_stranger)
		return buf_sv(text);
	if (directory_is_local_domain(facts->directory, facts->sender.domain, &is_ours).kind || is_ours)
		return SV_NONE;
	if (facts->origin && (facts->origin->spf == SPF_FAIL || facts->origin->spf == SPF_SOFTFAIL))
		return SV_NONE;
	return buf_sv(text);
}

void policy_list(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	struct sv account = facts->identity ? identity_address(facts->identity) : SV_NONE, sender;
	const struct directory_route *route = facts->route;
	struct buf text;

	if (!route->list_count)
		return;
	buf_init(&text, DIRECTORY_ADDRESS_MAX);
	sender = believed(facts, &text);
	for (size_t i = 0; i < route->list_count && verdict->action < POLICY_DEFER; i++) {
		bool may = false;
		struct fault f = directory_may_post(facts->directory, route->lists[i]->address, sender, account, &may);

		if (f.kind)
			log_warn(NULL, "smtp.list", KV_SV("list", route->lists[i]->address), KV_FAULT("fault", f));
		if (f.kind)
			policy_refuse(verdict, REPLY_INTERNAL);
		else if (!may || facts->sender.is_null)
			policy_refuse(verdict, REPLY_LIST_CLOSED);
	}
	buf_done(&text);
}
