/* postroom app-password add|list|revoke */
#include <stdio.h>
#include <stdlib.h>

#include "admin/device.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/protocols.h"
#include "admin/verbs.h"
#include "common/directory.h"
#include "common/identity.h"
#include "common/memory.h"

#include "common/banned.h"

static void tell(struct cli *cli, const char *password)
{
	if (!cli->json) {
		printf("app password \"%s\" of %s: %s\n", cli->args[1], cli->args[0], password);
		return;
	}
	const struct column columns[] = {
		{ "account", "account", COLUMN_TEXT, NULL },
		{ "label", "label", COLUMN_TEXT, NULL },
		{ "password", "password", COLUMN_TEXT, NULL },
	};
	struct table *t = facts_new(columns, ARRAY_LEN(columns), true);

	table_sv(t, sv_z(cli->args[0]));
	table_sv(t, sv_z(cli->args[1]));
	table_sv(t, sv_z(password));
	table_end(&t, NULL);
}

static int run_add(struct cli *cli)
{
	unsigned scope = SCOPE_IMAP | SCOPE_POP3 | SCOPE_SUBMISSION | SCOPE_MANAGESIEVE;
	struct directory *dir = NULL;

	if (!protocols_option(cli, &scope))
		return EXIT_USAGE;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	char *password = cli_generate_secret();

	code = cli_fault(cli->args[0], directory_credential_add(dir, sv_z(cli->args[0]), sv_z(cli->args[1]), scope,
								sv_z(password), NULL));
	if (code == EXIT_DONE)
		tell(cli, password);
	secret_free(&password);
	directory_close(&dir);
	return code;
}

/* The account with its credentials, checked to be an account. */
static int read_login(struct cli *cli, struct directory *dir, struct directory_login *out)
{
	struct directory_account account;
	int code = cli_fault(cli->args[0], directory_account_get(dir, sv_z(cli->args[0]), &account));

	return code != EXIT_DONE ? code : cli_fault(cli->args[0], directory_login(dir, sv_z(account.address), out));
}

static void add_row(struct table *t, const struct directory_credential *c)
{
	struct buf words;

	buf_init(&words, 256);
	protocols_append(&words, c->scope);
	table_u64(t, c->number);
	table_sv(t, sv_z(c->label));
	table_sv(t, buf_sv(&words));
	table_u64(t, (uint64_t)c->created_s);
	buf_done(&words);
}

struct table *app_password_table(const struct directory_login *l, bool as_json)
{
	static const struct column columns[] = {
		{ "NUMBER", "number", COLUMN_NUMBER, NULL },
		{ "LABEL", "label", COLUMN_TEXT, NULL },
		{ "GOOD FOR", "protocols", COLUMN_LIST, NULL },
		{ "SINCE", "created", COLUMN_TIME, NULL },
	};
	struct table *t = table_new(columns, ARRAY_LEN(columns), as_json);

	for (size_t i = 0; i < l->count; i++)
		if (l->credentials[i].number)
			add_row(t, &l->credentials[i]);
	return t;
}

static int run_list(struct cli *cli)
{
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code == EXIT_DONE)
		code = read_login(cli, dir, l);
	if (code == EXIT_DONE) {
		struct table *t = app_password_table(l, cli->json);

		table_end(&t, "No app password yet. Make one: postroom app-password add alice@example.org phone");
	}
	directory_login_done(l);
	free(l);
	directory_close(&dir);
	return code;
}

static int run_revoke(struct cli *cli)
{
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct directory *dir = NULL;
	uint32_t number = 0;
	int code = open_directory(cli, &dir);

	if (code == EXIT_DONE)
		code = read_login(cli, dir, l);
	if (code == EXIT_DONE) {
		for (size_t i = 0; i < l->count; i++)
			if (l->credentials[i].number && strcmp(l->credentials[i].label, cli->args[1]) == 0)
				number = l->credentials[i].number;
		if (number) {
			code = cli_fault(cli->args[0], directory_credential_remove(dir, sv_z(cli->args[0]), number));
		} else {
			complain("postroom app-password list ADDRESS names them", "%s has no app password \"%s\"",
				 cli->args[0], cli->args[1]);
			code = EXIT_NOT_FOUND;
		}
	}
	directory_login_done(l);
	free(l);
	directory_close(&dir);
	return code;
}

const struct verb app_password_verbs[] = {
	{ .noun = "app-password", .verb = "add", .args = "ADDRESS LABEL", .args_min = 2, .args_max = 2, .needs_root = true,
	  .summary = "Make a password for one device of an account and print it",
	  .example = "app-password add alice@example.org phone --protocols imap,submission", .run = run_add,
	  .options = { { "protocols", "LIST", "what it is good for, of " PROTOCOL_WORDS "; else all" } } },
	{ .noun = "app-password", .verb = "list", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "List the app passwords of an account", .example = "app-password list alice@example.org",
	  .run = run_list },
	{ .noun = "app-password", .verb = "revoke", .args = "ADDRESS LABEL", .args_min = 2, .args_max = 2,
	  .needs_root = true, .summary = "Take an app password back; its device can log in no more",
	  .example = "app-password revoke alice@example.org phone", .run = run_revoke },
	{ .noun = NULL },
};
