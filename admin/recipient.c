/* postroom recipient add|import|list|remove: who is known at the domains that mail is relayed to. */
#include <stdio.h>
#include <stdlib.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/directory.h"

#include "common/banned.h"

typedef struct fault change_fn(struct directory *dir, struct sv address);

static int change(struct cli *cli, change_fn *fn)
{
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	for (size_t i = 0; i < cli->arg_count && code == EXIT_DONE; i++)
		code = cli_fault(cli->args[i], fn(dir, sv_z(cli->args[i])));
	directory_close(&dir);
	return code;
}

static int run_add(struct cli *cli)
{
	return change(cli, directory_relay_add);
}

static int run_remove(struct cli *cli)
{
	return change(cli, directory_relay_remove);
}

/* import - lines with an address; what is known already is fine, so that a list can be imported again. */
static int import(struct directory *dir, FILE *file, const char *name)
{
	size_t line_no = 0, added = 0, room = 0;
	char *line = NULL;
	ssize_t n;
	int code = EXIT_DONE;

	while (code == EXIT_DONE && (n = getline(&line, &room, file)) >= 0) {
		struct sv address = sv_trim(sv_from(line, (size_t)n));
		struct fault f;

		line_no++;
		if (!address.len || address.p[0] == '#')
			continue;
		f = directory_relay_add(dir, address);
		added += !f.kind;
		if (f.kind && f.kind != FAULT_EXISTS) {
			complain("mend the line and import again: what is there stays", "%s, line %zu:", name, line_no);
			code = cli_fault(name, f);
		}
	}
	free(line);
	if (code == EXIT_DONE)
		printf("%zu recipients added\n", added);
	return code;
}

static int run_import(struct cli *cli)
{
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code == EXIT_DONE)
		code = import(dir, cli->file, cli->args[0]);
	directory_close(&dir);
	return code;
}

static bool add_row(void *arg, struct sv address)
{
	table_sv(arg, address);
	return true;
}

static int run_list(struct cli *cli)
{
	static const struct column columns[] = { { "RECIPIENT", "recipient", COLUMN_TEXT, NULL } };
	struct directory *dir = NULL;
	struct table *t;
	struct fault f;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	t = table_new(columns, ARRAY_LEN(columns), cli->json);
	f = directory_relay_list(dir, cli->arg_count ? sv_z(cli->args[0]) : SV_NONE, add_row, t);
	code = table_close(&t, cli_fault("recipients", f), "No recipient yet. Add one: postroom recipient add user@branch.example.org");
	directory_close(&dir);
	return code;
}

const struct verb recipient_verbs[] = {
	{ .noun = "recipient", .verb = "add", .args = "ADDRESS...", .args_min = 1, .args_max = CLI_ARGS_MAX, .needs_root = true,
	  .summary = "Take in mail for a name at a relay domain", .example = "recipient add user@branch.example.org", .run = run_add },
	{ .noun = "recipient", .verb = "import", .args = "FILE", .args_min = 1, .args_max = 1, .needs_root = true, .reads_file = true,
	  .summary = "The same for each line of a file", .example = "recipient import branch.txt", .run = run_import },
	{ .noun = "recipient", .verb = "list", .args = "[DOMAIN]", .args_max = 1, .needs_root = true,
	  .summary = "List the names that are known at relay domains", .example = "recipient list branch.example.org", .run = run_list },
	{ .noun = "recipient", .verb = "remove", .args = "ADDRESS...", .args_min = 1, .args_max = CLI_ARGS_MAX, .needs_root = true,
	  .summary = "Refuse mail for a name at a relay domain", .example = "recipient remove user@branch.example.org",
	  .run = run_remove },
	{ .noun = NULL },
};
