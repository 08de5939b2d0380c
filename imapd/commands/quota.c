/* imapd/commands/quota.c - GETQUOTA and GETQUOTAROOT (RFC 9208). An account is one quota root, named
 * by its address. Limits are set by whoever runs the server (`postroom quota`), so SETQUOTA is not
 * offered. What others use is nobody's business (§8): their mailboxes show no root. */
#include "imapd/command.h"

#include "common/banned.h"

static void write_resource(struct command *c, const char **gap, const char *name, uint64_t used,
			   uint64_t limit)
{
	writer_f(&c->out, "%s%s %llu %llu", *gap, name, (unsigned long long)used,
		 (unsigned long long)limit);
	*gap = " ";
}

/* write_quota - §4.2.1: what is not limited is not listed. STORAGE counts units of 1024 octets
 * (§5.1): usage is rounded up, a limit down, so that what is shown to fit fits. */
static struct fault write_quota(struct command *c)
{
	struct quota_usage usage;
	const char *gap = "";
	struct fault f = maildir_user_quota(c->room->user, &usage);

	if (f.kind)
		return f;
	writer_z(&c->out, "* QUOTA ");
	writer_astring(&c->out, c->room->account);
	writer_z(&c->out, " (");
	if (usage.bytes_max && capability_has(c->room->on, CAP_QUOTA_STORAGE))
		write_resource(c, &gap, "STORAGE", usage.bytes / 1024 + (usage.bytes % 1024 != 0),
			       usage.bytes_max / 1024);
	if (usage.messages_max && capability_has(c->room->on, CAP_QUOTA_MESSAGE))
		write_resource(c, &gap, "MESSAGE", usage.messages, usage.messages_max);
	writer_z(&c->out, ")\r\n");
	return FAULT_OK;
}

enum step do_getquota(struct command *c)
{
	struct sv root;

	if (!args_astring(&c->args, &root) || !args_end(&c->args))
		return command_bad(c, "GETQUOTA takes the name of a quota root");
	if (!sv_eq_nocase(root, c->room->account))
		return command_no(c, "NONEXISTENT", "No such quota root");
	struct fault f = write_quota(c);

	return f.kind ? command_fault(c, f) : command_ok(c, "Quota told");
}

/* §4.1.2: the mailbox need not exist. */
enum step do_getquotaroot(struct command *c)
{
	struct sv name;

	if (!command_mailbox(c, &name))
		return STEP_DONE;
	if (!args_end(&c->args))
		return command_bad(c, "GETQUOTAROOT takes one mailbox name");
	writer_z(&c->out, "* QUOTAROOT ");
	command_write_mailbox(c, name);
	if (capability_has(c->room->on, CAP_ACL) && sv_starts(name, SV(SHARED_PREFIX))) {
		writer_crlf(&c->out);
		return command_ok(c, "Others' mailboxes have no quota root that you may see");
	}
	writer_c(&c->out, ' ');
	writer_astring(&c->out, c->room->account);
	writer_crlf(&c->out);
	struct fault f = write_quota(c);

	return f.kind ? command_fault(c, f) : command_ok(c, "Quota root told");
}
