/* postroom index check|rebuild */
#include <stdio.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/directory.h"
#include "maildir/store.h"

#include "common/banned.h"

struct check {
	struct table *table;
	uint64_t differences;
};

static void note_difference(void *arg, const char *mailbox, uint32_t uid, const char *what)
{
	struct check *check = arg;

	check->differences++;
	table_sv(check->table, sv_z(mailbox));
	table_u64(check->table, uid);
	table_sv(check->table, sv_z(what));
}

/* The store, if there is such an account: it would make a folder for any name. */
static int open_store_of(struct cli *cli, const char *address, struct store **store)
{
	struct directory_account account;
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code == EXIT_DONE)
		code = cli_fault(address, directory_account_get(dir, sv_z(address), &account));
	directory_close(&dir);
	return code == EXIT_DONE ? open_store(cli, store) : code;
}

static int run_check(struct cli *cli)
{
	static const struct column columns[] = {
		{ "MAILBOX", "mailbox", COLUMN_TEXT, NULL },
		{ "UID", "uid", COLUMN_NUMBER, "-" },
		{ "DIFFERENCE", "difference", COLUMN_TEXT, NULL },
	};
	struct store *store = NULL;
	uint64_t messages = 0;
	int code = open_store_of(cli, cli->args[0], &store);

	if (code != EXIT_DONE)
		return code;
	struct check check = { .table = table_new(columns, ARRAY_LEN(columns), cli->json) };
	struct fault f = store_index_check(store, sv_z(cli->args[0]), note_difference, &check, &messages);

	code = table_close(&check.table, cli_fault(cli->args[0], f), NULL);
	store_close(&store);
	if (code != EXIT_DONE)
		return code;
	if (!cli->json)
		printf("%s: %llu messages, %llu differences between index and files\n", cli->args[0],
		       (unsigned long long)messages, (unsigned long long)check.differences);
	if (check.differences)
		complain("postroom index rebuild ACCOUNT", "the index differs from the files");
	return check.differences ? EXIT_FAILED : EXIT_DONE;
}

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	progress_update(arg, done, total);
}

static int run_rebuild(struct cli *cli)
{
	struct store *store = NULL;
	struct progress progress;
	int code = open_store_of(cli, cli->args[0], &store);

	if (code != EXIT_DONE)
		return code;
	progress_start(&progress, "Rebuilding the index", "messages");
	struct fault f = store_index_rebuild(store, sv_z(cli->args[0]), show_progress, &progress);

	progress_end(&progress);
	store_close(&store);
	return cli_fault(cli->args[0], f);
}

const struct verb index_verbs[] = {
	{ .noun = "index", .verb = "check", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Compare an account's index with its files", .example = "index check alice@example.org",
	  .run = run_check },
	{ .noun = "index", .verb = "rebuild", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Make an account's index anew from its files; nothing is lost by it",
	  .example = "index rebuild alice@example.org", .run = run_rebuild },
	{ .noun = NULL },
};
