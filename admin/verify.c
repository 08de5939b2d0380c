/* postroom verify: is what lies on disk still what was written? The living mail, or a backup. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/snapshot.h"
#include "admin/verbs.h"
#include "common/directory.h"
#include "common/memory.h"
#include "maildir/verify.h"

#include "common/banned.h"

struct check {
	struct cli *cli;
	struct table *table;
	const char *account;
	uint64_t differences;
	struct progress progress;
};

/* Nobody who reads mail should wait for this: last in line for the disk (ioprio_set(2): class 3, idle) and the processor. */
static void stand_back(void)
{
	const int who_process = 1, idle = 3 << 13;

	syscall(SYS_ioprio_set, who_process, 0, idle);
	setpriority(PRIO_PROCESS, 0, 19);
}

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct check *check = arg;

	progress_update(&check->progress, done, total);
}

/* ---- a backup ---- */

static void note_file(void *arg, const char *path, const char *what)
{
	struct check *check = arg;

	check->differences++;
	table_sv(check->table, sv_z(path));
	table_sv(check->table, sv_z(what));
}

static int verify_backup(struct cli *cli)
{
	static const struct column columns[] = {
		{ "FILE", "file", COLUMN_TEXT, NULL },
		{ "DAMAGE", "damage", COLUMN_TEXT, NULL },
	};
	struct check check = { .cli = cli };
	char path[SNAPSHOT_PATH_MAX];
	uint64_t files = 0;

	if (!snapshot_find(cli->args[0], path)) {
		complain("postroom backup DIR", "there is no finished backup in %s", cli->args[0]);
		return EXIT_NOT_FOUND;
	}
	check.table = table_new(columns, ARRAY_LEN(columns), cli->json);
	progress_start(&check.progress, "Reading the backup", "files");
	struct fault f = manifest_check(path, &check.progress, note_file, &check, &files);

	progress_end(&check.progress);
	int code = table_close(&check.table, cli_fault(path, f), NULL);

	if (code != EXIT_DONE)
		return code;
	if (!cli->json)
		printf("%s: %llu files, %llu damaged\n", path, (unsigned long long)files,
		       (unsigned long long)check.differences);
	if (check.differences)
		complain("postroom backup DIR", "the backup is damaged; make another one");
	return check.differences ? EXIT_FAILED : EXIT_DONE;
}

/* ---- the living mail ---- */

static void note_message(void *arg, const char *mailbox, uint32_t uid, const char *what)
{
	struct check *check = arg;

	table_sv(check->table, sv_z(check->account));
	table_sv(check->table, sv_z(mailbox));
	table_u64(check->table, uid);
	table_sv(check->table, sv_z(what));
}

static int verify_mail(struct cli *cli)
{
	static const struct column columns[] = {
		{ "ACCOUNT", "account", COLUMN_TEXT, NULL },
		{ "MAILBOX", "mailbox", COLUMN_TEXT, NULL },
		{ "UID", "uid", COLUMN_NUMBER, NULL },
		{ "DAMAGE", "damage", COLUMN_TEXT, NULL },
	};
	struct check check = { .cli = cli };
	char **accounts = NULL;
	size_t count = 0;
	struct verify_counts counts = { 0 };
	struct store *store = NULL;
	struct fault f = FAULT_OK;
	int code = list_accounts(cli, cli_option(cli, "account"), NULL, &accounts, &count);

	if (code == EXIT_DONE)
		code = open_store(cli, &store);
	if (code == EXIT_DONE) {
		char size[24];
		stand_back();
		check.table = table_new(columns, ARRAY_LEN(columns), cli->json);
		for (size_t i = 0; i < count && !f.kind; i++) {
			check.account = accounts[i];
			progress_start(&check.progress, check.account, "messages");
			f = store_verify_account(store, sv_z(check.account), note_message, &check, &counts, show_progress,
						 &check);
			progress_end(&check.progress);
		}
		code = table_close(&check.table, cli_fault(check.account ? check.account : "mail", f), NULL);
		print_bytes(counts.octets, size);
		if (code == EXIT_DONE && !cli->json)
			printf("%zu accounts: %llu messages, %s read, %llu of them compared by digest, %llu damaged\n",
			       count, (unsigned long long)counts.messages, size,
			       (unsigned long long)counts.digests, (unsigned long long)counts.damaged);
		if (code == EXIT_DONE && counts.damaged) {
			complain("postroom restore DIR --account ACCOUNT", "there are damaged messages");
			code = EXIT_FAILED;
		}
	}
	store_close(&store);
	directory_addresses_free(&accounts, &count);
	return code;
}

static int run_verify(struct cli *cli)
{
	if (cli->arg_count && cli_option(cli, "account"))
		return cli_usage(cli, "--account is for the living mail, DIR for a backup");
	if (cli->arg_count)
		return verify_backup(cli);
	int code = cli_open_instance(cli);

	return code == EXIT_DONE ? verify_mail(cli) : code;
}

const struct verb verify_verbs[] = {
	{ .noun = "verify", .args = "[DIR]", .args_max = 1,
	  .summary = "Read all mail, or a backup, again and compare it with what was written",
	  .example = "verify", .run = run_verify,
	  .options = { { "account", "ADDRESS", "the mail of this account only" } } },
	{ .noun = NULL },
};
