/* postroom quota show|set|recount */
#include <stdio.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/directory.h"
#include "maildir/store.h"

#include "common/banned.h"

static int show_one(struct cli *cli, const char *address, struct table *t)
{
	struct quota_usage usage;
	struct open_user user;
	int code = open_user(cli, address, &user);

	if (code != EXIT_DONE)
		return code;
	struct fault f = maildir_user_quota(user.user, &usage);

	close_user(&user);
	if (f.kind)
		return cli_fault(address, f);
	table_sv(t, sv_z(address));
	table_u64(t, usage.bytes);
	table_u64(t, usage.bytes_max);
	table_u64(t, usage.messages);
	table_u64(t, usage.messages_max);
	return EXIT_DONE;
}

static int run_show(struct cli *cli)
{
	static const struct column columns[] = {
		{ "ACCOUNT", "account", COLUMN_TEXT, NULL },
		{ "STORED", "used_bytes", COLUMN_BYTES, NULL },
		{ "OF", "quota_bytes", COLUMN_BYTES, "no limit" },
		{ "MESSAGES", "used_messages", COLUMN_NUMBER, NULL },
		{ "OF", "quota_messages", COLUMN_NUMBER, "no limit" },
	};
	char **all = NULL;
	size_t count = 0;
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);
	int code = list_accounts(cli, cli->arg_count ? cli->args[0] : NULL, NULL, &all, &count);

	for (size_t i = 0; i < count && code == EXIT_DONE; i++)
		code = show_one(cli, all[i], t);
	(void)table_close(&t, code, "No account yet.");
	directory_addresses_free(&all, &count);
	return code;
}

static int run_set(struct cli *cli)
{
	struct directory_account account;
	struct directory *dir = NULL;
	uint64_t bytes, messages;

	if (!print_parse_bytes(sv_z(cli->args[1]), &bytes))
		return cli_usage(cli, "the storage is a size such as 500M or 10G, or none");
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	code = cli_fault(cli->args[0], directory_account_get(dir, sv_z(cli->args[0]), &account));
	if (code == EXIT_DONE) {
		account.quota_bytes = bytes;
		if (cli->arg_count > 2 && strcmp(cli->args[2], "none") == 0)
			account.quota_messages = 0;
		else if (cli->arg_count > 2 && sv_to_u64(sv_z(cli->args[2]), &messages))
			account.quota_messages = messages;
		else if (cli->arg_count > 2)
			code = cli_usage(cli, "the number of messages is a number, or none");
	}
	if (code == EXIT_DONE)
		code = cli_fault(cli->args[0], directory_account_set(dir, &account));
	directory_close(&dir);
	return code;
}

static int run_recount(struct cli *cli)
{
	struct open_user user;
	struct quota_usage before, after;
	int code = open_user(cli, cli->args[0], &user);

	if (code != EXIT_DONE)
		return code;
	struct fault f = maildir_user_quota(user.user, &before);

	if (!f.kind)
		f = maildir_user_recount(user.user);
	if (!f.kind)
		f = maildir_user_quota(user.user, &after);
	close_user(&user);
	if (f.kind)
		return cli_fault(cli->args[0], f);
	char was[24], is[24];

	print_bytes(before.bytes, was);
	print_bytes(after.bytes, is);
	printf("%s: %llu messages, %s (before: %llu messages, %s)\n", cli->args[0],
	       (unsigned long long)after.messages, is, (unsigned long long)before.messages, was);
	return EXIT_DONE;
}

const struct verb quota_verbs[] = {
	{ .noun = "quota", .verb = "show", .args = "[ACCOUNT]", .args_max = 1, .needs_root = true,
	  .summary = "Show what accounts store and may store", .example = "quota show", .run = run_show,
	  .delegated = { .right = DELEGATED_LOOK, .args = "a" } },
	{ .noun = "quota", .verb = "set", .args = "ACCOUNT SIZE [MESSAGES]", .args_min = 2, .args_max = 3,
	  .needs_root = true, .summary = "Limit what an account may store; none: no limit",
	  .example = "quota set alice@example.org 10G", .run = run_set,
	  .delegated = { .right = DELEGATED_CHANGE, .args = "at" } },
	{ .noun = "quota", .verb = "recount", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Count anew what an account stores", .example = "quota recount alice@example.org",
	  .run = run_recount,
	  .delegated = { .right = DELEGATED_CHANGE, .args = "a" } },
	{ .noun = NULL },
};
