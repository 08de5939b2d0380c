/* postroom expire: remove what the option `expire` says, now; or tell what it would remove. */
#include <stdio.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/directory.h"
#include "maildir/retention.h"

#include "common/banned.h"

static void note_box(void *arg, const char *account, const char *mailbox, uint64_t messages, uint64_t octets)
{
	struct table *t = arg;

	table_sv(t, sv_z(account));
	table_sv(t, sv_z(mailbox));
	table_u64(t, messages);
	table_u64(t, octets);
}

static int expire_all(struct cli *cli, struct store *store, char **accounts, size_t count)
{
	static const struct column columns[] = {
		{ "ACCOUNT", "account", COLUMN_TEXT, NULL },
		{ "MAILBOX", "mailbox", COLUMN_TEXT, NULL },
		{ "MESSAGES", "messages", COLUMN_NUMBER, NULL },
		{ "SIZE", "bytes", COLUMN_BYTES, NULL },
	};
	bool is_trial = cli_option(cli, "dry-run") != NULL;
	struct retention_counts counts = { 0 };
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);
	int code = EXIT_DONE;

	for (size_t i = 0; i < count && code == EXIT_DONE; i++) {
		bool is_cut;
		code = cli_fault(accounts[i], retention_account(store, sv_z(accounts[i]), is_trial, 0, &counts, note_box, t,
								&is_cut));
	}
	return table_close(&t, code, "No message is old enough.");
}

static int run_expire(struct cli *cli)
{
	struct store *store = NULL;
	char **accounts = NULL;
	size_t count = 0;
	int code = list_accounts(cli, cli->arg_count ? cli->args[0] : NULL, NULL, &accounts, &count);

	if (code == EXIT_DONE)
		code = open_store(cli, &store);
	if (code == EXIT_DONE && !retention_has_rules(store)) {
		complain("postroom conf describe expire", "postroom.conf says nothing about what is to be removed");
		code = EXIT_NOT_FOUND;
	}
	if (code == EXIT_DONE)
		code = expire_all(cli, store, accounts, count);
	store_close(&store);
	directory_addresses_free(&accounts, &count);
	return code;
}

const struct verb expire_verbs[] = {
	{ .noun = "expire", .args = "[ACCOUNT]", .args_max = 1, .needs_root = true,
	  .summary = "Remove messages that are older than postroom.conf lets them become (option expire), now",
	  .example = "expire --dry-run", .run = run_expire,
	  .options = { { "dry-run", NULL, "remove nothing, tell what would be removed" } } },
	{ .noun = NULL },
};
