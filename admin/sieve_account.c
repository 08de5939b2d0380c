/* postroom sieve list|put|get|activate|deactivate|remove: the mail filters of an account */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/input.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/sieve.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/instance.h"
#include "common/memory.h"

#include "common/banned.h"

/* ---- an account's scripts, opened ---- */

int open_scripts(struct cli *cli, const char *address, struct open_scripts *out)
{
	struct conf *conf = NULL;
	int code;

	*out = (struct open_scripts){ .scripts = NULL };
	code = open_conf(cli, &conf);
	if (code == EXIT_DONE) {
		out->quota = (struct scripts_quota){ conf->sieve.scripts, conf->sieve.script_size };
		code = open_user(cli, address, &out->user);
	}
	conf_unref(&conf);
	if (code == EXIT_DONE)
		code = cli_fault(address, scripts_open_user(out->user.user, &out->scripts));
	if (code == EXIT_DONE)
		code = cli_fault("filters", filters_open(instance_path(cli->instance, INSTANCE_SIEVE), &out->filters));
	if (code != EXIT_DONE)
		close_scripts(out);
	return code;
}

void close_scripts(struct open_scripts *s)
{
	filters_close(&s->filters);
	scripts_close(&s->scripts);
	close_user(&s->user);
}

int put_script_fault(struct cli *cli, const char *file, struct fault f)
{
	if (f.kind == FAULT_QUOTA) {
		complain("postroom sieve remove, or a higher sieve-scripts in postroom.conf", "%s has too many scripts", cli->args[0]);
		return EXIT_FAILED;
	}
	if (f.kind == FAULT_LIMIT) {
		complain("a higher sieve-script-size in postroom.conf", "%s is too large", file);
		return EXIT_FAILED;
	}
	return cli_fault(cli->args[0], f);
}

/* put_script - check it, store it. @file: for errors */
static int put_script(struct cli *cli, struct open_scripts *s, const char *file, struct sv name, struct sv text)
{
	struct sieve_errors errors;
	struct fault f;

	if (!script_name_is_good(name))
		return cli_usage(cli, "\"%.*s\" is no good name for a script", SV_FMT(name));
	f = filter_check(s->filters, s->scripts, text, &errors);
	if (f.kind) {
		tell_sieve_errors(cli, file, &errors);
		return EXIT_FAILED;
	}
	return put_script_fault(cli, file, scripts_put(s->scripts, name, text, &s->quota));
}

/* ---- the verbs ---- */

struct listing {
	struct table *table;
	struct sv error;
};

static bool list_row(void *arg, const struct script_info *info)
{
	struct listing *l = arg;

	table_sv(l->table, info->name);
	table_u64(l->table, info->size);
	table_u64(l->table, info->is_active);
	table_sv(l->table, info->is_active ? l->error : SV(""));
	return true;
}

static int run_list(struct cli *cli)
{
	static const struct column columns[] = {
		{ "SCRIPT", "script", COLUMN_TEXT, NULL },
		{ "SIZE", "size", COLUMN_BYTES, NULL },
		{ "ACTIVE", "active", COLUMN_BOOL, NULL },
		{ "LAST ERROR", "error", COLUMN_TEXT, NULL },
	};
	struct listing l = { .table = NULL };
	struct open_scripts s;
	struct buf error;
	int code = open_scripts(cli, cli->args[0], &s);

	if (code != EXIT_DONE)
		return code;
	buf_init(&error, SCRIPT_ERROR_MAX);
	scripts_error(s.scripts, &error);
	l.error = buf_sv(&error);
	l.table = table_new(columns, ARRAY_LEN(columns), cli->json);
	code = cli_fault(cli->args[0], scripts_list(s.scripts, list_row, &l));
	(void)table_close(&l.table, code, "No script yet.");
	buf_done(&error);
	close_scripts(&s);
	return code;
}

/* The script's name: --name, else the file's without its folder and ".sieve". */
static struct sv name_for(const struct cli *cli, const char *file)
{
	const char *given = cli_option(cli, "name"), *slash = strrchr(file, '/');
	struct sv name = sv_z(given ? given : slash ? slash + 1 : file), suffix = SV(".sieve");

	if (!given && sv_ends(name, suffix))
		name.len -= suffix.len;
	return name;
}

static int run_put(struct cli *cli)
{
	const char *file = cli->args[1];
	struct sv name = name_for(cli, file);
	struct open_scripts s;
	struct buf text;
	int code;

	buf_init(&text, SIEVE_SCRIPT_MAX + 1);
	if (!read_input(file, &text) && errno != EFBIG) {
		code = tell_unreadable(file);
		buf_done(&text);
		return code;
	}
	code = open_scripts(cli, cli->args[0], &s);
	if (code == EXIT_DONE) {
		code = put_script(cli, &s, file, name, buf_sv(&text));
		if (code == EXIT_DONE && cli_option(cli, "activate"))
			code = cli_fault(cli->args[0], scripts_activate(s.scripts, name));
		close_scripts(&s);
	}
	buf_done(&text);
	return code;
}

static int script_fault(const char *name, struct fault f)
{
	if (f.kind != FAULT_NOT_FOUND)
		return cli_fault(name, f);
	complain("postroom sieve list ACCOUNT", "there is no script %s", name);
	return EXIT_NOT_FOUND;
}

static int run_get(struct cli *cli)
{
	struct open_scripts s;
	struct buf text;
	int code = open_scripts(cli, cli->args[0], &s);

	if (code != EXIT_DONE)
		return code;
	buf_init(&text, SIEVE_SCRIPT_MAX);
	code = script_fault(cli->args[1], scripts_get(s.scripts, sv_z(cli->args[1]), &text));
	if (code == EXIT_DONE && fwrite(text.p ? text.p : "", 1, text.len, stdout) != text.len)
		code = EXIT_FAILED;
	buf_done(&text);
	close_scripts(&s);
	return code;
}

/* Change one script by its name, or none. */
static int change(struct cli *cli, struct fault (*fn)(struct scripts *s, struct sv name), const char *name)
{
	struct open_scripts s;
	int code = open_scripts(cli, cli->args[0], &s);

	if (code != EXIT_DONE)
		return code;
	struct fault f = fn(s.scripts, sv_z(name));

	close_scripts(&s);
	if (f.kind == FAULT_IN_USE) {
		complain("postroom sieve deactivate ACCOUNT", "%s is the active script", name);
		return EXIT_FAILED;
	}
	return script_fault(*name ? name : cli->args[0], f);
}

static int run_activate(struct cli *cli)
{
	return change(cli, scripts_activate, cli->args[1]);
}

static int run_deactivate(struct cli *cli)
{
	return change(cli, scripts_activate, "");
}

static int run_remove(struct cli *cli)
{
	return change(cli, scripts_remove, cli->args[1]);
}

const struct verb sieve_account_verbs[] = {
	{ .noun = "sieve", .verb = "list", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "List an account's mail filters, and what went wrong with the active one",
	  .example = "sieve list alice@example.org", .run = run_list },
	{ .noun = "sieve", .verb = "put", .args = "ACCOUNT FILE", .args_min = 2, .args_max = 2, .needs_root = true,
	  .summary = "Check a mail filter and store it in an account", .example = "sieve put alice@example.org filter.sieve --activate",
	  .run = run_put,
	  .options = { { "name", "NAME", "of the script; the file's unless given" },
		       { "activate", NULL, "deliveries use it from now on" } } },
	{ .noun = "sieve", .verb = "get", .args = "ACCOUNT SCRIPT", .args_min = 2, .args_max = 2, .needs_root = true,
	  .summary = "Print a mail filter", .example = "sieve get alice@example.org filter", .run = run_get },
	{ .noun = "sieve", .verb = "activate", .args = "ACCOUNT SCRIPT", .args_min = 2, .args_max = 2, .needs_root = true,
	  .summary = "Have deliveries use this mail filter", .example = "sieve activate alice@example.org filter",
	  .run = run_activate },
	{ .noun = "sieve", .verb = "deactivate", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Have deliveries use none of the account's mail filters", .example = "sieve deactivate alice@example.org",
	  .run = run_deactivate },
	{ .noun = "sieve", .verb = "remove", .args = "ACCOUNT SCRIPT", .args_min = 2, .args_max = 2, .needs_root = true,
	  .summary = "Remove a mail filter that is not active", .example = "sieve remove alice@example.org old",
	  .run = run_remove },
	{ .noun = NULL },
};
