/* postroom alias add|set|list|remove|import */
#include "admin/alias_import.h"
#include "admin/bulk.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/directory.h"

#include "common/banned.h"

static int put(struct cli *cli, bool replace)
{
	struct sv targets[CLI_ARGS_MAX];
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	for (size_t i = 1; i < cli->arg_count; i++)
		targets[i - 1] = sv_z(cli->args[i]);
	struct fault f = replace ? directory_alias_set(dir, sv_z(cli->args[0]), targets, cli->arg_count - 1) :
				   directory_alias_add(dir, sv_z(cli->args[0]), targets, cli->arg_count - 1);

	code = cli_fault(cli->args[0], f);
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

static bool add_row(void *arg, struct sv address, const struct sv *targets, size_t count)
{
	struct table *t = arg;
	struct buf words;

	buf_init(&words, (size_t)DIRECTORY_ALIAS_TARGETS_MAX * (DIRECTORY_ADDRESS_MAX + 1));
	for (size_t i = 0; i < count; i++)
		buf_appendf(&words, "%s%.*s", i ? " " : "", SV_FMT(targets[i]));
	table_sv(t, address);
	table_sv(t, buf_sv(&words));
	buf_done(&words);
	return true;
}

static int run_list(struct cli *cli)
{
	static const struct column columns[] = {
		{ "ALIAS", "alias", COLUMN_TEXT, NULL },
		{ "GOES TO", "targets", COLUMN_LIST, NULL },
	};
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);
	struct fault f = directory_alias_list(dir, cli->arg_count ? sv_z(cli->args[0]) : SV_NONE, add_row, t);

	table_end(&t, "No alias yet. Add one: postroom alias add info@example.org alice@example.org");
	directory_close(&dir);
	return cli_fault("aliases", f);
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
	  .example = "alias add info@example.org alice@example.org bob@example.net", .run = run_add },
	{ .noun = "alias", .verb = "set", .args = "ADDRESS TARGET...", .args_min = 2, .args_max = CLI_ARGS_MAX,
	  .needs_root = true, .summary = "Replace the targets of an alias",
	  .example = "alias set info@example.org bob@example.org", .run = run_set },
	{ .noun = "alias", .verb = "list", .args = "[DOMAIN]", .args_max = 1, .needs_root = true,
	  .summary = "List the aliases", .example = "alias list", .run = run_list },
	{ .noun = "alias", .verb = "remove", .args = "ADDRESS", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Remove an alias", .example = "alias remove info@example.org", .run = run_remove },
	{ .noun = "alias", .verb = "import", .args = "FILE", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Take aliases from Postfix's virtual maps or from /etc/aliases",
	  .example = "alias import /etc/postfix/virtual --dry-run", .run = alias_import, .options = { BULK_OPTIONS } },
	{ .noun = NULL },
};
