/* postroom import maildir|mbox|imap|dovecot */
#include "admin/import.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/import_dovecot.h"
#include "admin/import_imap.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/directory.h"
#include "common/instance.h"
#include "common/memory.h"

#include "common/banned.h"

struct summary {
	struct table *table;
	struct progress progress;
	uint64_t found, imported, present, kept, left_out;
};

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct summary *s = arg;

	progress_update(&s->progress, done, total);
}

static void show_mailbox(void *arg, const struct import_result *r)
{
	struct summary *s = arg;

	table_sv(s->table, r->mailbox);
	table_sv(s->table, sv_z(r->kind));
	table_u64(s->table, r->found);
	table_u64(s->table, r->imported);
	table_u64(s->table, r->present);
	table_u64(s->table, r->uids_kept);
	table_u64(s->table, r->uidls);
	table_u64(s->table, r->keywords);
	table_u64(s->table, r->left_out);
	table_sv(s->table, r->notes);
	s->found += r->found;
	s->imported += r->imported;
	s->present += r->present;
	s->kept += r->uids_kept;
	s->left_out += r->left_out;
}

/* What to do about it, where the fault alone does not say. */
static int explain(const struct import_options *options, struct fault f)
{
	if (f.kind == FAULT_NONE)
		return EXIT_DONE;
	complain(NULL, "%s: %s", options->path, f.detail ? f.detail : fault_name(f.kind));
	return f.kind == FAULT_NOT_FOUND ? EXIT_NOT_FOUND : f.kind == FAULT_BUSY || f.kind == FAULT_IN_USE ? EXIT_UNAVAILABLE :
	       EXIT_FAILED;
}

static int import(struct cli *cli, const char *address, struct import_options *options)
{
	static const struct column columns[] = {
		{ "MAILBOX", "mailbox", COLUMN_TEXT, NULL },
		{ "FROM", "from", COLUMN_TEXT, NULL },
		{ "MESSAGES", "messages", COLUMN_NUMBER, NULL },
		{ "IMPORTED", "imported", COLUMN_NUMBER, NULL },
		{ "THERE", "already_there", COLUMN_NUMBER, NULL },
		{ "UIDS KEPT", "uids_kept", COLUMN_NUMBER, NULL },
		{ "POP3 IDS", "pop3_ids", COLUMN_NUMBER, NULL },
		{ "KEYWORDS", "keywords", COLUMN_NUMBER, NULL },
		{ "LEFT OUT", "left_out", COLUMN_NUMBER, NULL },
		{ "NOTES", "notes", COLUMN_TEXT, NULL },
	};
	struct summary s = { 0 };
	struct import_events events = { .progress = show_progress, .mailbox = show_mailbox, .arg = &s };
	struct open_user user;
	int code = open_user(cli, address, &user);

	if (code != EXIT_DONE)
		return code;
	s.table = table_new(columns, ARRAY_LEN(columns), cli->json);
	progress_start(&s.progress, options->dry_run ? "Looking" : "Importing", "messages");
	struct fault f = maildir_import(user.user, options, &events);

	progress_end(&s.progress);
	table_end(&s.table, NULL);
	if (!f.kind && !cli->json)
		printf("%s: %s%llu of %llu messages imported, %llu with the UID that clients know, %llu were there already\n",
		       address, options->dry_run ? "would be: " : "", (unsigned long long)s.imported,
		       (unsigned long long)s.found, (unsigned long long)s.kept, (unsigned long long)s.present);
	close_user(&user);
	code = explain(options, f);
	if (code == EXIT_DONE && s.left_out) {
		complain("look at NOTES", "%llu messages or mailboxes were left out", (unsigned long long)s.left_out);
		code = EXIT_FAILED;
	}
	return code;
}

/* The account's own Maildir is set aside before anything opens the account. */
static int prepare(struct cli *cli, const char *address, struct import_options *options, char path[PATH_MAX])
{
	struct directory_account account;
	struct directory *dir = NULL;
	struct store *store = NULL;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	code = cli_fault(address, directory_account_get(dir, sv_z(address), &account));
	directory_close(&dir);
	if (code == EXIT_DONE)
		code = open_store(cli, &store);
	if (code != EXIT_DONE)
		return code;
	struct fault f = maildir_import_prepare(store, sv_z(account.address), options->path,
						options->adopt && !options->dry_run, path);

	store_close(&store);
	code = explain(options, f);
	options->path = path;
	return code;
}

int import_maildir(struct cli *cli, const char *address, struct import_options *options, const struct import_events *events)
{
	struct open_user user;
	char path[PATH_MAX];
	int code = prepare(cli, address, options, path);

	if (code == EXIT_DONE)
		code = open_user(cli, address, &user);
	if (code != EXIT_DONE)
		return code;
	struct fault f = maildir_import(user.user, options, events);

	close_user(&user);
	return explain(options, f);
}

static int run_maildir(struct cli *cli)
{
	char path[PATH_MAX];
	const char *address = cli_option(cli, "account");
	struct import_options options = {
		.path = cli->args[0],
		.adopt = cli_option(cli, "adopt") != NULL,
		.dry_run = cli_option(cli, "dry-run") != NULL,
		.skip_compressed = cli_option(cli, "skip-compressed") != NULL,
		.uidl_format = cli_option(cli, "uidl-format"),
		.lists = cli_option(cli, "control"),
	};

	if (!address)
		return cli_usage(cli, "whose mail is it? --account ADDRESS");
	int code = prepare(cli, address, &options, path);

	return code == EXIT_DONE ? import(cli, address, &options) : code;
}

static int run_mbox(struct cli *cli)
{
	const char *address = cli_option(cli, "account");
	struct import_options options = {
		.path = cli->args[0],
		.is_mbox = true,
		.dry_run = cli_option(cli, "dry-run") != NULL,
		.mailbox = cli_option(cli, "mailbox"),
	};

	if (!address)
		return cli_usage(cli, "whose mail is it? --account ADDRESS");
	return import(cli, address, &options);
}

const struct verb import_verbs[] = {
	{ .noun = "import", .verb = "maildir", .args = "PATH", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Take over a Maildir of Dovecot, Courier or others: UIDs, flags, dates and POP3 ids stay",
	  .example = "import maildir /home/alice/Maildir --account alice@example.org", .run = run_maildir,
	  .options = { { "account", "ADDRESS", "whose mail it becomes" },
		       { "adopt", NULL, "rename the files instead of copying them; also in place" },
		       { "dry-run", NULL, "only say what would be done" },
		       { "uidl-format", "FORMAT", "Dovecot's pop3_uidl_format, where it is not %08Xu%08Xv" },
		       { "control", "DIR", "where Dovecot keeps its lists of UIDs, if not beside the mail (CONTROL= of mail_location)" },
		       { "skip-compressed", NULL, "leave compressed messages out" } } },
	{ .noun = "import", .verb = "mbox", .args = "PATH", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Take over an mbox file, or a folder of them",
	  .example = "import mbox /var/mail/alice --account alice@example.org", .run = run_mbox,
	  .options = { { "account", "ADDRESS", "whose mail it becomes" },
		       { "mailbox", "NAME", "where a single file goes; INBOX unless given" },
		       { "dry-run", NULL, "only say what would be done" } } },
	{ .noun = "import", .verb = "imap", .args = "",
	  .summary = "Take over accounts from another IMAP server; run it again, and it brings what is new",
	  .example = "import imap --host imap.old.example --user alice --account alice@example.org", .run = import_imap,
	  .options = { { "host", "NAME", "the other server" },
		       { "port", "N", "993 unless given; 143 without implicit TLS" },
		       { "tls", "HOW", "implicit (which it is unless given), starttls or none" },
		       { "fingerprint", "HEX", "trust the certificate with this SHA-256 fingerprint, and no other" },
		       { "user", "NAME", "who it is there" },
		       { "password-file", "FILE", "its first line is the password there; - is standard input. Asked for unless given" },
		       { "account", "ADDRESS", "whose mail it becomes here" },
		       { "accounts", "FILE.csv", "many accounts: a table with the columns host, user, password or password_file, account" },
		       { "exclude", "NAMES", "mailboxes to leave out, separated by commas" },
		       { "dry-run", NULL, "only say what would be done" } } },
	{ .noun = "import", .verb = "dovecot", .args = "",
	  .summary = "Take over a whole Dovecot, and Postfix's aliases: domains, accounts with their passwords, mail, Sieve scripts",
	  .example = "import dovecot --dry-run", .run = import_dovecot,
	  .options = { { "config", "FILE", "/etc/dovecot/dovecot.conf unless given; or what doveconf -n printed" },
		       { "postfix", "DIR", "/etc/postfix unless given, if it is there; none: no aliases" },
		       { "domain", "DOMAIN", "the domain of names that are written without one" },
		       { "adopt", NULL, "rename the mail's files instead of copying them" },
		       { "dry-run", NULL, "only say what would be done" } } },
	{ .noun = NULL },
};
