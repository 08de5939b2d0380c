/* postroom app-password add|list|revoke */
#include <stdio.h>
#include <stdlib.h>

#include "admin/credential.h"
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

	if (!protocols_option(cli, "protocols", &scope))
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

struct table *app_password_table(const struct directory_login *l, bool as_json)
{
	return credential_table(l, false, as_json);
}

static int run_list(struct cli *cli)
{
	return credential_list(cli, false);
}

static int run_revoke(struct cli *cli)
{
	return credential_revoke(cli, false);
}

const struct verb app_password_verbs[] = {
	{ .noun = "app-password", .verb = "add", .args = "ADDRESS LABEL", .args_min = 2, .args_max = 2, .needs_root = true,
	  .summary = "Make a password for one device of an account and print it",
	  .example = "app-password add alice@example.org phone --protocols imap,submission", .run = run_add,
	  .delegated = { DELEGATED_CHANGE, "at", "protocols" },
	  .options = { { "protocols", "LIST", "what it is good for, of " PROTOCOL_WORDS "; else all" } } },
	{ .noun = "app-password", .verb = "list", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "List the app passwords of an account", .example = "app-password list alice@example.org",
	  .run = run_list,
	  .delegated = { .right = DELEGATED_LOOK, .args = "a" } },
	{ .noun = "app-password", .verb = "revoke", .args = "ADDRESS LABEL", .args_min = 2, .args_max = 2,
	  .needs_root = true, .summary = "Take an app password back; its device can log in no more",
	  .example = "app-password revoke alice@example.org phone", .run = run_revoke,
	  .delegated = { .right = DELEGATED_CHANGE, .args = "at" } },
	{ .noun = NULL },
};
