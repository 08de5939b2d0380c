/* What an account may be used for, besides being switched off: in words, and as the logins that are left. */
#include "common/directory_private.h"
#include "common/identity.h"

#include "common/banned.h"

static const struct {
	const char *name;
	unsigned scope;                 /* of logins */
	const char *refusal;            /* said after a right password, when nothing else is configured */
} uses[DIRECTORY_USES] = {
	[DIRECTORY_USE_ALL] = { "active", SCOPE_ALL, "" },
	[DIRECTORY_USE_NOLOGIN] = { "nologin", 0, "Nobody may log in to this account" },
	[DIRECTORY_USE_SEND_ONLY] = { "send-only", SCOPE_SUBMISSION, "This account is for sending only" },
	[DIRECTORY_USE_RECEIVE_ONLY] = { "receive-only", SCOPE_ALL & ~SCOPE_SUBMISSION, "This account is for reading only: it may not send" },
};
#define DISABLED "disabled"

const char *directory_use_name(enum directory_use use)
{
	return uses[use].name;
}

const char *directory_state_name(const struct directory_account *account)
{
	return account->is_enabled ? uses[account->use].name : DISABLED;
}

bool directory_state_parse(struct sv name, struct directory_account *account)
{
	if (sv_eq(name, SV(DISABLED))) {
		account->is_enabled = false;
		return true;
	}
	for (size_t i = 0; i < DIRECTORY_USES; i++) {
		if (!sv_eq(name, sv_z(uses[i].name)))
			continue;
		account->is_enabled = true;
		account->use = (enum directory_use)i;
		return true;
	}
	return false;
}

void directory_account_copy_settings(struct directory_account *to, const struct directory_account *from)
{
	to->is_enabled = from->is_enabled;
	to->scope = from->scope;
	to->password_denied = from->password_denied;
	to->use = from->use;
	memcpy(to->message, from->message, sizeof(to->message));
	memcpy(to->forward, from->forward, sizeof(to->forward));
	to->quota_bytes = from->quota_bytes;
	to->quota_messages = from->quota_messages;
}

bool directory_message_set(struct sv text, struct directory_account *account)
{
	return copy_text(account->message, sizeof(account->message), sv_eq(text, SV("none")) ? SV_NONE : text) &&
	       !directory_use_check(account).kind;
}

bool directory_forward_set(struct sv text, struct directory_account *account)
{
	struct name n;

	account->forward[0] = '\0';
	if (sv_eq(text, SV("none")))
		return true;
	if (name_from_text(text, &n).kind)
		return false;
	name_text(&n, account->forward);
	return true;
}

unsigned directory_account_scope(const struct directory_account *account)
{
	return account->scope & uses[account->use].scope;
}

const char *directory_account_refusal(const struct directory_account *account, unsigned service)
{
	if (account->is_enabled && uses[account->use].scope & service)
		return "";
	return account->message[0] || !account->is_enabled ? account->message : uses[account->use].refusal;
}

struct fault directory_use_check(struct directory_account *account)
{
	struct sv message = sv_z(account->message);
	struct name n;
	struct fault f;

	if (account->use < 0 || account->use >= DIRECTORY_USES)
		return fault(FAULT_INVALID, "no such state of an account");
	/* It goes into one line of every protocol as it is. */
	for (size_t i = 0; i < message.len; i++)
		if (message.p[i] < ' ' || message.p[i] > '~' || message.p[i] == '"' || message.p[i] == '\\')
			return fault(FAULT_INVALID, "the message is one line of ASCII without quotes and backslashes");
	if (!account->forward[0])
		return FAULT_OK;
	f = name_from_text(sv_z(account->forward), &n);
	if (!f.kind) {
		char own[DIRECTORY_ADDRESS_MAX + 1];

		name_text(&n, own);
		if (strcmp(own, account->address) == 0)
			f = fault(FAULT_INVALID, "an account cannot forward to itself");
	}
	return f;
}
