/* postroom send-as add|list|remove */
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/directory.h"

#include "common/banned.h"

typedef struct fault change_fn(struct directory *dir, struct sv account, struct sv address);

static int change(struct cli *cli, change_fn *fn)
{
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	code = cli_fault(cli->args[0], fn(dir, sv_z(cli->args[0]), sv_z(cli->args[1])));
	directory_close(&dir);
	return code;
}

static int run_add(struct cli *cli)
{
	return change(cli, directory_grant_add);
}

static int run_remove(struct cli *cli)
{
	return change(cli, directory_grant_remove);
}

static bool add_row(void *arg, struct sv account, struct sv address)
{
	struct table *t = arg;

	table_sv(t, account);
	table_sv(t, address);
	return true;
}

static int run_list(struct cli *cli)
{
	static const struct column columns[] = {
		{ "ACCOUNT", "account", COLUMN_TEXT, NULL },
		{ "MAY SEND AS", "address", COLUMN_TEXT, NULL },
	};
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);
	struct fault f = directory_grant_list(dir, cli->arg_count ? sv_z(cli->args[0]) : SV_NONE, add_row, t);

	code = table_close(&t, cli_fault(cli->arg_count ? cli->args[0] : "grants", f),
			   "No grant yet. An account may always send as itself and as the aliases that lead to it.");
	directory_close(&dir);
	return code;
}

const struct verb send_as_verbs[] = {
	{ .noun = "send-as", .verb = "add", .args = "ACCOUNT ADDRESS", .args_min = 2, .args_max = 2, .needs_root = true,
	  .summary = "Let an account send as an address, or as any of @DOMAIN",
	  .example = "send-as add alice@example.org press@example.org", .run = run_add,
	  .delegated = { .right = DELEGATED_CHANGE, .args = "ag" } },
	{ .noun = "send-as", .verb = "list", .args = "[ACCOUNT]", .args_max = 1, .needs_root = true,
	  .summary = "List who may send as whom", .example = "send-as list", .run = run_list,
	  .delegated = { .right = DELEGATED_LOOK, .args = "a" } },
	{ .noun = "send-as", .verb = "remove", .args = "ACCOUNT ADDRESS", .args_min = 2, .args_max = 2, .needs_root = true,
	  .summary = "Take such a grant back", .example = "send-as remove alice@example.org press@example.org",
	  .run = run_remove,
	  .delegated = { .right = DELEGATED_CHANGE, .args = "ag" } },
	{ .noun = NULL },
};
