/* postroom hold add|list|remove: mail that waits as a whole; postroom suppression list|add|remove: addresses that get none. Both
 * are read and changed in the outbook; the running relay is told when a rule has changed. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/instance.h"
#include "common/outbook.h"

#include "common/banned.h"

static int open_book(struct cli *cli, struct outbook **out)
{
	struct buf path;
	struct fault f = FAULT_OK;

	buf_init(&path, 4096);
	if (!buf_appendf(&path, "%s/outbook", instance_path(cli->instance, INSTANCE_QUEUE)) || !buf_z(&path))
		f = fault(FAULT_LIMIT, "the instance's path is too long");
	else
		f = outbook_open(buf_z(&path), false, out);
	buf_done(&path);
	if (f.kind != FAULT_NOT_FOUND)
		return cli_fault("outbook", f);
	complain("postroom serve --detach", "there is no list yet: the server has not run");
	return EXIT_UNAVAILABLE;
}

/* ---- hold ---- */

static bool which(struct cli *cli, enum outbook_who *who, const char **address)
{
	static const enum outbook_who all[] = { OUTBOOK_USER, OUTBOOK_FROM, OUTBOOK_TO };
	unsigned given = 0;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		const char *value = cli_option(cli, outbook_who_name(all[i]));

		if (!value)
			continue;
		given++;
		*who = all[i];
		*address = value;
	}
	return given == 1 && strchr(*address, '@');
}

/* tell_relay - what waits is looked at again. */
static int tell_relay(struct cli *cli)
{
	int code = ask_daemon(cli, "smtpd", SV("{\"verb\":\"queue.rules\"}"), NULL, NULL);

	return code == EXIT_UNAVAILABLE ? EXIT_DONE : code;     /* it reads the rules when it starts */
}

static int change_rule(struct cli *cli, bool is_new)
{
	const char *reason = is_new ? cli_option(cli, "reason") : NULL, *address = "";
	enum outbook_who who = OUTBOOK_USER;
	struct outbook *b = NULL;
	int code;

	if (!which(cli, &who, &address))
		return cli_usage(cli, "whose mail? One of --user, --from, --to with an address or @DOMAIN");
	code = open_book(cli, &b);
	if (code == EXIT_DONE)
		code = cli_fault(address, is_new ? outbook_hold(b, who, sv_z(address), sv_z(reason ? reason : "by the administrator"),
							       time(NULL))
						 : outbook_unhold(b, who, sv_z(address)));
	outbook_close(&b);
	return code == EXIT_DONE ? tell_relay(cli) : code;
}

static int run_hold(struct cli *cli)
{
	return change_rule(cli, true);
}

static int run_unhold(struct cli *cli)
{
	return change_rule(cli, false);
}

static const struct column rule_columns[] = {
	{ "MAIL", "mail", COLUMN_TEXT, NULL },
	{ "ADDRESS", "address", COLUMN_TEXT, NULL },
	{ "SINCE", "since", COLUMN_TIME, "" },
	{ "REASON", "reason", COLUMN_TEXT, NULL },
};

static bool add_rule(void *arg, const struct outbook_rule *r)
{
	table_sv(arg, sv_z(outbook_who_name(r->who)));
	table_sv(arg, r->address);
	table_u64(arg, (uint64_t)r->since_s);
	table_sv(arg, r->reason);
	return true;
}

static int run_list(struct cli *cli)
{
	struct outbook *b = NULL;
	int code = open_book(cli, &b);

	if (code != EXIT_DONE)
		return code;
	struct table *t = table_new(rule_columns, ARRAY_LEN(rule_columns), cli->json);
	struct fault f = outbook_rules(b, add_rule, t);

	code = table_close(&t, cli_fault("outbook", f), "Nobody's mail is held back.");
	outbook_close(&b);
	return code;
}

/* ---- suppression ---- */

/* change_pair - what one sender may not send to an address. */
static struct fault change_pair(struct outbook *b, const char *sender, struct sv address, bool is_new)
{
	return is_new ? outbook_refuse(b, sv_z(sender), address, OUTBOOK_NO_BY_HAND, time(NULL)) : outbook_welcome(b, sv_z(sender), address);
}

static int change_address(struct cli *cli, bool is_new)
{
	const char *reason = is_new ? cli_option(cli, "reason") : NULL, *sender = cli_option(cli, "sender");
	struct outbook *b = NULL;
	int code;

	if (!strchr(cli->args[0], '@'))
		return cli_usage(cli, "\"%s\" is no address", cli->args[0]);
	if (sender && (!strchr(sender, '@') || reason))
		return cli_usage(cli, "--sender takes an address or @DOMAIN, and no --reason");
	code = open_book(cli, &b);
	if (code == EXIT_DONE)
		code = cli_fault(cli->args[0], sender ? change_pair(b, sender, sv_z(cli->args[0]), is_new)
					       : is_new ? outbook_suppress(b, sv_z(cli->args[0]),
									 sv_z(reason ? reason : "by the administrator"), time(NULL))
						      : outbook_allow(b, sv_z(cli->args[0])));
	outbook_close(&b);
	return code;
}

static int run_suppress(struct cli *cli)
{
	return change_address(cli, true);
}

static int run_allow(struct cli *cli)
{
	return change_address(cli, false);
}

static const struct column address_columns[] = {
	{ "ADDRESS", "address", COLUMN_TEXT, NULL },
	{ "SUPPRESSED", "suppressed", COLUMN_BOOL, NULL },
	{ "BOUNCES", "bounces", COLUMN_NUMBER, NULL },
	{ "LAST", "last", COLUMN_TIME, "" },
	{ "REASON", "reason", COLUMN_TEXT, NULL },
};

static bool add_address(void *arg, const struct outbook_address *a)
{
	table_sv(arg, a->address);
	table_u64(arg, a->is_suppressed);
	table_u64(arg, a->bounces);
	table_u64(arg, (uint64_t)a->last_s);
	table_sv(arg, a->reason);
	return true;
}

static const struct column pair_columns[] = {
	{ "ADDRESS", "address", COLUMN_TEXT, NULL },
	{ "SENDER", "sender", COLUMN_TEXT, NULL },
	{ "SINCE", "since", COLUMN_TIME, "" },
	{ "WHY", "why", COLUMN_TEXT, NULL },
};

static bool add_pair(void *arg, const struct outbook_refusal *r)
{
	table_sv(arg, r->address);
	table_sv(arg, r->sender);
	table_u64(arg, (uint64_t)r->since_s);
	table_sv(arg, sv_z(outbook_no_name(r->no)));
	return true;
}

static int list_pairs(struct cli *cli, struct outbook *b)
{
	struct table *t = table_new(pair_columns, ARRAY_LEN(pair_columns), cli->json);
	struct fault f = outbook_refusals(b, add_pair, t);

	return table_close(&t, cli_fault("outbook", f), "Nobody has unsubscribed from a sender, or complained of one.");
}

static int run_addresses(struct cli *cli)
{
	struct outbook *b = NULL;
	struct conf *conf = NULL;
	int code = open_conf(cli, &conf);

	if (code == EXIT_DONE)
		code = open_book(cli, &b);
	if (code == EXIT_DONE && cli_option(cli, "senders")) {
		code = list_pairs(cli, b);
	} else if (code == EXIT_DONE) {
		struct table *t = table_new(address_columns, ARRAY_LEN(address_columns), cli->json);
		struct fault f = outbook_addresses(b, (uint32_t)conf->smtp.suppress_after, time(NULL), add_address, t);

		code = table_close(&t, cli_fault("outbook", f), "No address has refused mail.");
	}
	outbook_close(&b);
	conf_unref(&conf);
	return code;
}

#define WHOSE \
	{ "user", "ADDRESS", "what this account sends; @DOMAIN for all of a domain" }, \
	{ "from", "ADDRESS", "with this sender; or @DOMAIN" }, \
	{ "to", "ADDRESS", "with such a recipient; or @DOMAIN" }

const struct verb hold_verbs[] = {
	{ .noun = "hold", .verb = "add", .args = "", .needs_root = true,
	  .summary = "Keep somebody's mail in the queue from now on, and what waits there",
	  .example = "hold add --user alice@example.org --reason \"asked by phone\"", .run = run_hold,
	  .options = { WHOSE, { "reason", "TEXT", "why, for hold list" } } },
	{ .noun = "hold", .verb = "list", .args = "", .needs_root = true,
	  .summary = "List whose mail is held back, by administrators and by the brake", .example = "hold list", .run = run_list },
	{ .noun = "hold", .verb = "remove", .args = "", .needs_root = true, .summary = "Let somebody's mail go again",
	  .example = "hold remove --user alice@example.org", .run = run_unhold, .options = { WHOSE } },
	{ .noun = "suppression", .verb = "list", .args = "", .needs_root = true,
	  .summary = "List addresses that refused mail for good, and those that get none any more",
	  .example = "suppression list --senders", .run = run_addresses,
	  .options = { { "senders", NULL, "instead who unsubscribed from one sender of ours, or complained of one" } } },
	{ .noun = "suppression", .verb = "add", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Send nothing to an address", .example = "suppression add gone@example.net --reason \"left the company\"",
	  .run = run_suppress, .options = { { "reason", "TEXT", "what senders are told" },
						{ "sender", "ADDRESS", "only what this account sends, or @DOMAIN" } } },
	{ .noun = "suppression", .verb = "remove", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Send to an address again, and forget what it refused", .example = "suppression remove gone@example.net",
	  .run = run_allow, .options = { { "sender", "ADDRESS", "what this account sends, or @DOMAIN" } } },
	{ .noun = NULL },
};
