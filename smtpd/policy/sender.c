/* Who may write as whom: a login owns its addresses, in the envelope and in From (RFC 6409 §6.1).
 */
#include <stdio.h>

#include "smtpd/local.h"
#include "smtpd/policy/policy.h"

#include "common/banned.h"

/* owns_by_name - for who did not log in: an account has his name, and may send. */
static struct fault owns_by_name(const struct policy_facts *facts, const struct address *a, bool *owns)
{
	struct directory_account account;
	struct fault f = directory_account_get(facts->directory, identity_address(facts->identity), &account);

	*owns = false;
	if (f.kind == FAULT_NOT_FOUND || (!f.kind && (!account.is_enabled || !(directory_account_scope(&account) & SCOPE_SUBMISSION))))
		return FAULT_OK;
	return f.kind ? f : directory_owns(facts->directory, sv_z(account.id), a, owns);
}

/* find_owner - a user of this host by his name, by the configuration, or because an account has his name; a device because of that. */
static struct fault find_owner(const struct policy_facts *facts, const struct address *a, bool *owns)
{
	struct sv account = identity_account(facts->identity);

	if (account.len)
		return directory_owns(facts->directory, account, a, owns);
	*owns = facts->listener == LISTENER_LOCAL &&
		(facts->is_local_admin || local_may_send(facts->conf, identity_address(facts->identity), a));
	return *owns ? FAULT_OK : owns_by_name(facts, a, owns);
}

/* check_owner - an internal fault is temporary: neither "yours" nor "not yours" is known. */
static void check_owner(const struct policy_facts *facts, const struct address *a,
			struct sv as_text, struct policy_verdict *verdict)
{
	struct sv login = identity_address(facts->identity);
	bool owns = false;
	bool is_local = facts->listener == LISTENER_LOCAL;
	struct fault f = find_owner(facts, a, &owns);

	if (f.kind) {
		policy_refuse(verdict, REPLY_INTERNAL);
	} else if (!owns) {
		policy_refuse(verdict, REPLY_NOT_FOR_YOU);
		snprintf(verdict->text, sizeof(verdict->text),
			 "%.*s may not send as %.200s\nAn administrator can allow it: postroom "
			 "send-as add %.*s %.200s",
			 SV_FMT(login), as_text.p, SV_FMT(login), as_text.p);
		if (is_local)
			snprintf(verdict->text, sizeof(verdict->text),
				 "%.*s may not send as %.200s\nAn administrator can allow it by local-senders in postroom.conf",
				 SV_FMT(login), as_text.p);
	}
}

/* owner_of_text - the same for an address as text; what is no address belongs to nobody. */
static void check_owner_of_text(const struct policy_facts *facts, struct sv text,
				struct policy_verdict *verdict)
{
	struct arena arena;
	struct address a;

	arena_init(&arena, 8192);
	if (address_parse(&arena, text, &a).kind)
		policy_refuse(verdict, REPLY_BAD_SENDER);
	else
		check_owner(facts, &a, text, verdict);
	arena_done(&arena);
}

/* The null sender is what read receipts and other answers of programs have (RFC 8098 §3): nobody
 * owns it. */
void policy_sender(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	struct buf text;

	if (facts->sender.is_null)
		return;
	buf_init(&text, DIRECTORY_ADDRESS_MAX + 1);
	if (!address_append(&text, &facts->sender, ADDRESS_AS_GIVEN) || !buf_z(&text))
		policy_refuse(verdict, REPLY_BAD_SENDER);
	else
		check_owner(facts, &facts->sender, buf_sv(&text), verdict);
	buf_done(&text);
}

void policy_author(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	const struct message_facts *m = facts->message;

	if (facts->listener == LISTENER_LEGACY && !m->from_count)
		return;         /* it is made of the sender */
	if (m->is_from_capped || !m->from_address_count)
		policy_refuse(verdict, REPLY_NO_FROM);
	for (size_t i = 0; i < m->from_address_count && verdict->action == POLICY_ACCEPT; i++)
		check_owner_of_text(facts, m->from[i], verdict);
}
