/* postroom app-password add|list|revoke */
#include <stdio.h>
#include <stdlib.h>

#include "admin/credential.h"
#include "admin/device.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/protocols.h"
#include "admin/verbs.h"
#include "common/date.h"
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

/* take_sources - networks separated by commas. */
static bool take_sources(struct sv list, struct directory_bounds *bounds)
{
	struct sv word;

	while (list.len && sv_split(&list, ',', &word)) {
		if (bounds->source_count == DIRECTORY_SOURCES_MAX || !ipnet_parse(sv_trim(word), &bounds->sources[bounds->source_count]))
			return false;
		bounds->source_count++;
	}
	return bounds->source_count > 0;
}

static int take_bounds(struct cli *cli, struct directory_bounds *bounds)
{
	const char *expires = cli_option(cli, "expires"), *from = cli_option(cli, "from");
	uint64_t seconds = 0;

	if (expires && (!print_parse_ago(expires, &seconds) || !seconds))
		return cli_usage(cli, "--expires takes a time from now such as 12h or 90d");
	if (expires)
		bounds->expires_s = date_now().seconds + (int64_t)seconds;
	if (from && !take_sources(sv_z(from), bounds))
		return cli_usage(cli, "--from takes up to 8 addresses or networks, such as 192.0.2.0/24,2001:db8::/48");
	return EXIT_DONE;
}

static int run_add(struct cli *cli)
{
	unsigned scope = SCOPE_IMAP | SCOPE_POP3 | SCOPE_SUBMISSION | SCOPE_MANAGESIEVE;
	struct directory_bounds bounds = { .expires_s = 0 };
	struct directory *dir = NULL;

	if (!protocols_option(cli, "protocols", &scope))
		return EXIT_USAGE;
	int code = take_bounds(cli, &bounds);

	if (code == EXIT_DONE)
		code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	char *password = cli_generate_secret();

	code = cli_fault(cli->args[0], directory_credential_add_bounded(dir, sv_z(cli->args[0]), sv_z(cli->args[1]), scope, &bounds,
									sv_z(password), NULL));
	if (code == EXIT_DONE)
		tell(cli, password);
	secret_free(&password);
	directory_close(&dir);
	return code;
}

struct table *app_password_table(const struct directory_login *l, struct logins *logins, bool as_json)
{
	return credential_table(l, logins, false, as_json);
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
	  .delegated = { DELEGATED_CHANGE, "at", "protocols expires from" },
	  .options = { { "protocols", "LIST", "what it is good for, of " PROTOCOL_WORDS "; else all" },
		       { "expires", "TIME", "good for so long from now, as 12h or 90d; else for ever" },
		       { "from", "NETWORKS", "good from there only, as 192.0.2.0/24,2001:db8::/48; else from anywhere" } } },
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
