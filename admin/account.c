/* postroom account add|list|show|set|password|disable|enable|remove|import */
#include <stdio.h>
#include <stdlib.h>

#include "admin/account_import.h"
#include "admin/bulk.h"
#include "admin/device.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/protocols.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/directory.h"
#include "common/identity.h"
#include "common/memory.h"
#include "maildir/store.h"

#include "common/banned.h"

/* ---- passwords ---- */

/* The new password: generated, from standard input, or asked for. NULL after an error that was told. */
static char *new_password(struct cli *cli, bool *is_generated)
{
	*is_generated = cli_option(cli, "generate") != NULL;
	if (*is_generated)
		return cli_generate_secret();
	return cli_read_secret("New password", cli_option(cli, "password-stdin") != NULL);
}

static void tell_password(struct cli *cli, const char *password)
{
	if (cli->json)
		printf("{\"account\":\"%s\",\"password\":\"%s\"}\n", cli->args[0], password);
	else
		printf("password of %s: %s\n", cli->args[0], password);
}

uint32_t account_iterations(struct cli *cli)
{
	struct conf *conf = NULL;
	uint32_t iterations = 15000;

	if (open_conf(cli, &conf) == EXIT_DONE)
		iterations = (uint32_t)conf->auth.scram_iterations;
	conf_unref(&conf);
	return iterations;
}

static bool parse_quota(struct cli *cli, struct directory_account *account, bool *is_given)
{
	const char *bytes = cli_option(cli, "quota"), *messages = cli_option(cli, "quota-messages");

	*is_given = bytes || messages;
	if (bytes && !print_parse_bytes(sv_z(bytes), &account->quota_bytes)) {
		cli_usage(cli, "--quota takes a size such as 500M or 10G, or none");
		return false;
	}
	if (messages && strcmp(messages, "none") == 0)
		account->quota_messages = 0;
	else if (messages && !sv_to_u64(sv_z(messages), &account->quota_messages)) {
		cli_usage(cli, "--quota-messages takes a number, or none");
		return false;
	}
	return true;
}

static int run_add(struct cli *cli)
{
	struct directory_account account = { 0 }, made;
	struct directory *dir = NULL;
	bool is_generated, has_quota;

	if (!parse_quota(cli, &account, &has_quota))
		return EXIT_USAGE;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	char *password = new_password(cli, &is_generated);

	if (!password) {
		directory_close(&dir);
		return EXIT_FAILED;
	}
	struct sv secret = sv_z(password);
	struct fault f = directory_account_add(dir, sv_z(cli->args[0]), &secret, account_iterations(cli), &made);

	if (!f.kind && has_quota) {
		made.quota_bytes = account.quota_bytes;
		made.quota_messages = account.quota_messages;
		f = directory_account_set(dir, &made);
	}
	code = cli_fault(cli->args[0], f);
	if (code == EXIT_DONE && is_generated)
		tell_password(cli, password);
	secret_free(&password);
	directory_close(&dir);
	return code;
}

static int run_password(struct cli *cli)
{
	struct directory *dir = NULL;
	bool is_generated;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	struct directory_account account;

	code = cli_fault(cli->args[0], directory_account_get(dir, sv_z(cli->args[0]), &account));
	char *password = code == EXIT_DONE ? new_password(cli, &is_generated) : NULL;

	if (password) {
		code = cli_fault(cli->args[0],
				 directory_password_set(dir, sv_z(cli->args[0]), sv_z(password), account_iterations(cli)));
		if (code == EXIT_DONE && is_generated)
			tell_password(cli, password);
	} else if (code == EXIT_DONE) {
		code = EXIT_FAILED;
	}
	secret_free(&password);
	directory_close(&dir);
	return code;
}

/* ---- listing ---- */

static const struct column columns[] = {
	{ "ACCOUNT", "account", COLUMN_TEXT, NULL },
	{ "STATE", "state", COLUMN_TEXT, NULL },
	{ "QUOTA", "quota_bytes", COLUMN_BYTES, "no limit" },
	{ "MESSAGES", "quota_messages", COLUMN_NUMBER, "no limit" },
	{ "SINCE", "created", COLUMN_TIME, NULL },
};

struct listing {
	struct table *table;
	bool only_hashed;
};

/* list_lacking - those with a password that SCRAM-SHA-1 cannot verify yet. */
static struct fault list_lacking(struct directory *dir, struct sv domain, directory_account_fn *add, void *arg)
{
	struct directory_account account;
	char **addresses = NULL;
	size_t count = 0;
	struct fault f = directory_account_addresses(dir, domain, &addresses, &count);

	for (size_t i = 0; i < count && !f.kind; i++) {
		bool lacks = false;

		f = directory_account_lacks_verifier(dir, sv_z(addresses[i]), CRYPT_SHA1, &lacks);
		if (!f.kind && lacks)
			f = directory_account_get(dir, sv_z(addresses[i]), &account);
		if (!f.kind && lacks)
			add(arg, &account);
		if (f.kind == FAULT_NOT_FOUND)          /* removed meanwhile */
			f = FAULT_OK;
	}
	directory_addresses_free(&addresses, &count);
	return f;
}

static bool add_row(void *arg, const struct directory_account *account)
{
	const struct listing *l = arg;
	struct table *t = l->table;

	if (l->only_hashed && !account->is_hashed)
		return true;
	table_sv(t, sv_z(account->address));
	table_sv(t, sv_z(directory_state_name(account)));
	table_u64(t, account->quota_bytes);
	table_u64(t, account->quota_messages);
	table_u64(t, (uint64_t)account->created_s);
	return true;
}

static int run_list(struct cli *cli)
{
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code == EXIT_DONE)
		code = check_domain(dir, cli->args[0]);
	if (code != EXIT_DONE) {
		directory_close(&dir);
		return code;
	}
	struct listing l = { table_new(columns, ARRAY_LEN(columns), cli->json), cli_option(cli, "no-scram") != NULL };
	struct sv domain = cli->arg_count ? sv_z(cli->args[0]) : SV_NONE;
	bool only_lacking = cli_option(cli, "no-scram-sha-1") != NULL;
	struct fault f = only_lacking ? list_lacking(dir, domain, add_row, &l) : directory_account_list(dir, domain, add_row, &l);

	code = table_close(&l.table, cli_fault("accounts", f),
			   only_lacking  ? "None: every account that has a password can log in by SCRAM-SHA-1." :
			   l.only_hashed ? "None: every account that has a password can log in by SCRAM." :
					   "No account yet. Add one: postroom account add alice@example.org");
	directory_close(&dir);
	return code;
}

/* ---- changing ---- */

/* Read the account, let `change` work on it, write it back. */
static int change_account(struct cli *cli, bool (*change)(struct cli *, struct directory_account *))
{
	struct directory_account account;
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	code = cli_fault(cli->args[0], directory_account_get(dir, sv_z(cli->args[0]), &account));
	if (code == EXIT_DONE && !change(cli, &account))
		code = EXIT_USAGE;
	if (code == EXIT_DONE)
		code = cli_fault(cli->args[0], directory_account_set(dir, &account));
	if (code == EXIT_DONE)
		code = end_barred_sessions(cli, &account);
	directory_close(&dir);
	return code;
}

static bool parse_message(struct cli *cli, struct directory_account *account)
{
	const char *message = cli_option(cli, "message");

	if (!message || directory_message_set(sv_z(message), account))
		return true;
	cli_usage(cli, "--message takes a line of at most %d characters of ASCII, without quotes", DIRECTORY_MESSAGE_MAX);
	return false;
}

static bool parse_state(struct cli *cli, struct directory_account *account, bool *is_given)
{
	const char *state = cli_option(cli, "state"), *forward = cli_option(cli, "forward");

	*is_given = state || forward || cli_option(cli, "message");
	if (state && !directory_state_parse(sv_z(state), account)) {
		cli_usage(cli, "--state takes " STATE_WORDS);
		return false;
	}
	if (forward && !directory_forward_set(sv_z(forward), account)) {
		cli_usage(cli, "--forward takes an address, or none");
		return false;
	}
	return parse_message(cli, account);
}

static bool set_fields(struct cli *cli, struct directory_account *account)
{
	unsigned password = SCOPE_ALL & ~account->password_denied;
	bool has_quota, has_state;

	if (!parse_quota(cli, account, &has_quota) || !protocols_option(cli, "protocols", &account->scope) ||
	    !protocols_option(cli, "password-protocols", &password) || !parse_state(cli, account, &has_state))
		return false;
	account->password_denied = SCOPE_ALL & ~password;
	if (!has_quota && !has_state && !cli_option(cli, "protocols") && !cli_option(cli, "password-protocols")) {
		cli_usage(cli, "nothing to set");
		return false;
	}
	return true;
}

static bool set_enabled(struct cli *cli, struct directory_account *account)
{
	account->is_enabled = strcmp(cli->verb->verb, "enable") == 0;
	return account->is_enabled || parse_message(cli, account);
}

static int run_set(struct cli *cli)
{
	return change_account(cli, set_fields);
}

static int run_enable(struct cli *cli)
{
	return change_account(cli, set_enabled);
}

static int run_remove(struct cli *cli)
{
	struct directory_account account;
	struct directory *dir = NULL;

	if (!cli_option(cli, "yes")) {
		complain("add --yes when that is meant",
		     "%s could log in no more; its mail stays in the instance's mail folder", cli->args[0]);
		return EXIT_USAGE;
	}
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	code = cli_fault(cli->args[0], directory_account_get(dir, sv_z(cli->args[0]), &account));
	if (code == EXIT_DONE)
		code = cli_fault(cli->args[0], directory_account_remove(dir, sv_z(cli->args[0])));
	account.is_enabled = false;
	if (code == EXIT_DONE)
		code = end_barred_sessions(cli, &account);
	directory_close(&dir);
	return code;
}

static int run_import(struct cli *cli)
{
	return account_import(cli, account_iterations(cli));
}

#define PASSWORD_OPTIONS                                                            \
	{ "password-stdin", NULL, "read the password from standard input, one line" }, \
	{ "generate", NULL, "make a password and print it" }
#define QUOTA_OPTIONS                                                               \
	{ "quota", "SIZE", "storage such as 500M or 10G; none: no limit" },         \
	{ "quota-messages", "N", "number of messages; none: no limit" }

#define STATE_OPTION { "state", "STATE", STATE_WORDS }
#define MESSAGE_OPTION { "message", "TEXT", "said to who may not log in, after the right password; none: the usual" }

const struct verb account_verbs[] = {
	{ .noun = "account", .verb = "add", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Add an account; it can log in at once",
	  .example = "account add alice@example.org --generate", .run = run_add,
	  .delegated = { DELEGATED_CHANGE, "a", "generate password-stdin quota quota-messages" },
	  .options = { PASSWORD_OPTIONS, QUOTA_OPTIONS } },
	{ .noun = "account", .verb = "list", .args = "[DOMAIN]", .args_max = 1, .needs_root = true,
	  .summary = "List the accounts", .example = "account list --json", .run = run_list,
	  .delegated = { DELEGATED_LOOK, "d", "no-scram no-scram-sha-1" },
	  .options = { { "no-scram", NULL, "only those whose password is still another server's hash" },
	               { "no-scram-sha-1", NULL, "only those with a password that an older version took, not used since" } } },
	{ .noun = "account", .verb = "show", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Show one account: addresses, state, storage, limits, passwords, devices, what is blocked", .example = "account show alice@example.org",
	  .run = run_account_show,
	  .delegated = { .right = DELEGATED_LOOK, .args = "a" } },
	{ .noun = "account", .verb = "logins", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "List the logins of an account, right and wrong ones", .example = "account logins alice@example.org --json",
	  .run = run_account_logins,
	  .delegated = { .right = DELEGATED_LOOK, .args = "a" } },
	{ .noun = "account", .verb = "set", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Change an account's limits, protocols or state",
	  .example = "account set alice@example.org --quota 10G --protocols imap,submission", .run = run_set,
	  .delegated = { DELEGATED_CHANGE, "a", "quota quota-messages protocols password-protocols state message forward" },
	  .options = { QUOTA_OPTIONS, { "protocols", "LIST", "of " PROTOCOL_WORDS "; none" },
		       { "password-protocols", "LIST", "what its own password is good for; none: only app passwords" }, STATE_OPTION, MESSAGE_OPTION,
		       { "forward", "ADDRESS", "who gets the mail of a send-only account; none: it is refused" } } },
	{ .noun = "account", .verb = "password", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Give an account a new password", .example = "account password alice@example.org",
	  .run = run_password,
	  .delegated = { DELEGATED_CHANGE, "a", "generate password-stdin" }, .options = { PASSWORD_OPTIONS } },
	{ .noun = "account", .verb = "disable", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Bar an account from logging in, and end its sessions; its mail is still received",
	  .example = "account disable alice@example.org --message 'Call the office, 12-34'", .run = run_enable,
	  .delegated = { DELEGATED_CHANGE, "a", "message" },
	  .options = { MESSAGE_OPTION } },
	{ .noun = "account", .verb = "enable", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Let a disabled account log in again", .example = "account enable alice@example.org",
	  .run = run_enable,
	  .delegated = { .right = DELEGATED_CHANGE, .args = "a" } },
	{ .noun = "account", .verb = "remove", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Remove an account; its mail files stay", .example = "account remove alice@example.org --yes",
	  .run = run_remove,
	  .delegated = { DELEGATED_CHANGE, "a", "yes" }, .options = { { "yes", NULL, "do it" } } },
	{ .noun = "account", .verb = "export", .args = "[DOMAIN]", .args_max = 1, .needs_root = true,
	  .summary = "Print the accounts as CSV or, with --json, as JSON, for account import; without passwords",
	  .example = "account export example.org", .run = account_export,
	  .delegated = { .right = DELEGATED_LOOK, .args = "d" } },
	{ .noun = "account", .verb = "import", .args = "FILE", .args_min = 1, .args_max = 1, .needs_root = true, .reads_file = true,
	  .summary = "Take accounts from a passwd-file of Dovecot, whose passwords go on to work, or from FILE.csv, FILE.json",
	  .example = "account import /etc/dovecot/users --domain example.org --dry-run", .run = run_import,
	  .options = { BULK_OPTIONS,
		       { "scheme", "NAME", "of passwords without one in {}, as scheme= in Dovecot's settings says; CRYPT unless given" } } },
	{ .noun = NULL },
};
