/* postroom alias add|set|list|remove|import */
#include <string.h>

#include "admin/alias_import.h"
#include "admin/bulk.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/date.h"
#include "common/directory.h"

#include "common/banned.h"

#define EXPIRES { "expires", "TIME", "unknown to senders from then on, as 12h or 30d from now; never" }

static int put(struct cli *cli, bool replace)
{
	struct sv targets[CLI_ARGS_MAX];
	const char *expires = cli_option(cli, "expires");
	struct directory_alias alias = { .address = sv_z(cli->args[0]), .targets = targets, .count = cli->arg_count - 1 }, old;
	struct directory *dir = NULL;
	struct fault f = FAULT_OK;
	struct arena arena;
	uint64_t seconds;
	int code;

	if (expires && strcmp(expires, "never") != 0) {
		if (!print_parse_ago(expires, &seconds))
			return cli_usage(cli, "--expires takes a time from now such as 12h or 30d, or never");
		alias.expires_s = date_now().seconds + (int64_t)seconds;
	}
	code = open_directory(cli, &dir);
	if (code != EXIT_DONE)
		return code;
	for (size_t i = 1; i < cli->arg_count; i++)
		targets[i - 1] = sv_z(cli->args[i]);
	arena_init(&arena, 8 << 20);
	if (replace && !directory_alias_get(dir, &arena, alias.address, &old).kind) {
		if (old.is_list)
			f = fault_detail(FAULT_DENIED, "%s is a list: postroom list join, postroom list leave", cli->args[0]);
		if (!expires)
			alias.expires_s = old.expires_s;
	}
	if (!f.kind)
		f = directory_alias_put(dir, &alias, replace);
	code = cli_fault(cli->args[0], f);
	arena_done(&arena);
	directory_close(&dir);
	return code;
}

static int run_add(struct cli *cli)
{
	return put(cli, false);
}

static int run_set(struct cli *cli)
{
	return put(cli, true);
}

static bool add_row(void *arg, const struct directory_alias *alias)
{
	struct table *t = arg;

	table_sv(t, alias->address);
	table_words(t, alias->targets, alias->count);
	table_u64(t, (uint64_t)alias->expires_s);
	return true;
}

static int run_list(struct cli *cli)
{
	static const struct column columns[] = {
		{ "ALIAS", "alias", COLUMN_TEXT, NULL },
		{ "GOES TO", "targets", COLUMN_LIST, NULL },
		{ "EXPIRES", "expires", COLUMN_TIME, "never" },
	};
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code == EXIT_DONE)
		code = check_domain(dir, cli->args[0]);
	if (code != EXIT_DONE) {
		directory_close(&dir);
		return code;
	}
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);
	struct fault f = directory_alias_list(dir, cli->arg_count ? sv_z(cli->args[0]) : SV_NONE, add_row, t);

	code = table_close(&t, cli_fault("aliases", f), "No alias yet. Add one: postroom alias add info@example.org alice@example.org");
	directory_close(&dir);
	return code;
}

static int run_remove(struct cli *cli)
{
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	code = cli_fault(cli->args[0], directory_alias_remove(dir, sv_z(cli->args[0])));
	directory_close(&dir);
	return code;
}

const struct verb alias_verbs[] = {
	{ .noun = "alias", .verb = "add", .args = "ADDRESS TARGET...", .args_min = 2, .args_max = CLI_ARGS_MAX,
	  .needs_root = true, .summary = "Send mail for an address to one or several others",
	  .example = "alias add shop7@example.org alice@example.org --expires 30d", .run = run_add,
	  .delegated = { DELEGATED_CHANGE, "at", "expires" },
	  .options = { EXPIRES } },
	{ .noun = "alias", .verb = "set", .args = "ADDRESS TARGET...", .args_min = 2, .args_max = CLI_ARGS_MAX,
	  .needs_root = true, .summary = "Replace the targets of an alias",
	  .example = "alias set info@example.org bob@example.org", .run = run_set,
	  .delegated = { DELEGATED_CHANGE, "at", "expires" }, .options = { EXPIRES } },
	{ .noun = "alias", .verb = "list", .args = "[DOMAIN]", .args_max = 1, .needs_root = true,
	  .summary = "List the aliases", .example = "alias list", .run = run_list,
	  .delegated = { .right = DELEGATED_LOOK, .args = "d" } },
	{ .noun = "alias", .verb = "remove", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Remove an alias", .example = "alias remove info@example.org", .run = run_remove,
	  .delegated = { .right = DELEGATED_CHANGE, .args = "a" } },
	{ .noun = "alias", .verb = "import", .args = "FILE", .args_min = 1, .args_max = 1, .needs_root = true, .reads_file = true,
	  .summary = "Take aliases from Postfix's virtual maps or from /etc/aliases",
	  .example = "alias import /etc/postfix/virtual --dry-run", .run = alias_import, .options = { BULK_OPTIONS } },
	{ .noun = NULL },
};
