/* postroom conf check|show|describe|upgrade */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/instance.h"
#include "common/memory.h"
#include "common/textfile.h"

#include "common/banned.h"

#define TEXT_MAX ((size_t)1 << 20)
#define OLD_MAX 1000            /* kept files */
#define DESCRIBED_INDENT 4      /* of what does not fit behind an option's name */

struct upgraded {
	struct cli *cli;
	unsigned lines;
};

static int run_check(struct cli *cli)
{
	const char *path = cli->arg_count ? cli->args[0] : instance_path(cli->instance, INSTANCE_CONF);
	struct conf *conf = NULL;
	int code = open_conf_file(cli, path, &conf);

	if (code == EXIT_DONE && !cli->json)
		printf("%s: no errors\n", path);
	conf_unref(&conf);
	return code;
}

/* As it is written in the file: words with spaces are quoted there. */
static void show_rows(struct sv text)
{
	static const struct column columns[] = {
		{ "OPTION", "option", COLUMN_TEXT, NULL },
		{ "VALUE", "value", COLUMN_TEXT, NULL },
		{ "LISTENER", "listener", COLUMN_TEXT, NULL },  /* of an option of a block */
	};
	struct table *t = table_new(columns, ARRAY_LEN(columns), true);
	struct sv line, name, block = SV_NONE;

	while (text.len && sv_split(&text, '\n', &line)) {
		char option[128];
		bool is_inside = sv_starts(line, SV("\t"));

		line = sv_trim(line);
		if (!line.len || line.p[0] == '#' || sv_eq(line, SV("}")))
			continue;
		(void)sv_split(&line, ' ', &name);
		if (!is_inside && sv_ends(line, SV(" {"))) {
			block = sv_sub(line, 0, line.len - 2);
			continue;
		}
		snprintf(option, sizeof(option), "%s%.*s", is_inside ? "listener." : "", SV_FMT(name));
		table_sv(t, sv_z(option));
		table_sv(t, line);
		table_sv(t, is_inside ? block : SV_NONE);
	}
	table_end(&t, "");
}

static int run_show(struct cli *cli)
{
	struct conf *conf = NULL;
	struct buf text;
	int code = open_conf(cli, &conf);

	if (code != EXIT_DONE)
		return code;
	buf_init(&text, TEXT_MAX);
	conf_show(conf, cli_option(cli, "all") != NULL, &text);
	if (cli->json)
		show_rows(buf_sv(&text));
	else if (text.len)
		fwrite(text.p, 1, text.len, stdout);
	buf_done(&text);
	conf_unref(&conf);
	return EXIT_DONE;
}

static struct table *new_description(void)
{
	static const struct column columns[] = {
		{ "OPTION", "option", COLUMN_TEXT, NULL },
		{ "SECTION", "section", COLUMN_TEXT, NULL },
		{ "VALUES", "values", COLUMN_TEXT, NULL },
		{ "DEFAULT", "default", COLUMN_TEXT, NULL },
		{ "NEEDS RESTART", "needs_restart", COLUMN_BOOL, NULL },
		{ "MEANING", "meaning", COLUMN_TEXT, NULL },
	};

	return table_new(columns, ARRAY_LEN(columns), true);
}

static void add_description(struct table *t, const struct conf_option *option)
{
	struct buf values;

	buf_init(&values, TEXT_MAX);
	conf_option_range(option, &values);
	table_sv(t, sv_z(option->name));
	table_sv(t, sv_z(option->section));
	table_sv(t, buf_sv(&values));
	table_sv(t, option->def ? sv_z(option->def) : SV_NONE);
	table_u64(t, option->need_restart);
	table_sv(t, sv_z(option->doc));
	buf_done(&values);
}

/* In lines of the terminal's width, if there is one. */
static void print_description(const struct conf_option *option)
{
	struct buf text;
	struct sv rest, line;

	buf_init(&text, TEXT_MAX);
	conf_describe(option, &text);
	rest = buf_sv(&text);
	while (rest.len && sv_split(&rest, '\n', &line)) {
		size_t indent = 0;
		char *words;

		while (indent < line.len && line.p[indent] == ' ')
			indent++;
		words = sv_copy_z(sv_sub(line, indent, SIZE_MAX));
		printf("%*s", (int)indent, "");
		print_folded(words, indent ? indent : DESCRIBED_INDENT);
		free(words);
	}
	buf_done(&text);
}

static int describe_one(struct cli *cli)
{
	struct sv name = sv_z(cli->args[0]);
	const struct conf_option *option = conf_option_find(name);

	if (!option) {
		const char *near = conf_option_nearest(name);

		complain(near ? near : "postroom conf describe", "no option \"%s\"", cli->args[0]);
		return EXIT_NOT_FOUND;
	}
	if (cli->json) {
		struct table *t = new_description();

		add_description(t, option);
		table_end(&t, "");
	} else {
		print_description(option);
	}
	return EXIT_DONE;
}

static int run_describe(struct cli *cli)
{
	const struct conf_option *option;
	const char *section = "";

	if (cli->arg_count)
		return describe_one(cli);
	struct table *t = cli->json ? new_description() : NULL;

	for (size_t i = 0; (option = conf_option_at(i)); i++) {
		if (t) {
			add_description(t, option);
			continue;
		}
		if (strcmp(section, option->section) != 0) {
			section = option->section;
			printf("%s# %s\n\n", i ? "\n" : "", section);
		}
		print_description(option);
	}
	if (t)
		table_end(&t, "");
	return EXIT_DONE;
}

static void tell_former(void *arg, unsigned line, const struct conf_former *former)
{
	struct upgraded *u = arg;

	u->lines++;
	if (!u->cli->json)
		printf("line %u: there is no %s any more: %s\n", line, former->name, former->instead);
}

/* The file as it was, under the first name that is free. */
static struct fault keep_old(const char *path, struct sv text, struct buf *name)
{
	struct fault f = fault(FAULT_EXISTS, "too many old files");

	for (unsigned n = 1; n <= OLD_MAX && f.kind == FAULT_EXISTS; n++) {
		buf_clear(name);
		if (!buf_appendf(name, n == 1 ? "%s.old" : "%s.old%u", path, n) || !buf_z(name))
			return fault(FAULT_LIMIT, "path too long");
		f = textfile_make(buf_z(name), text, 0600);
	}
	return f;
}

static int rewrite(struct cli *cli, const char *path)
{
	struct upgraded u = { cli, 0 };
	struct buf was, is, old;
	int code;

	buf_init(&was, TEXT_MAX);
	buf_init(&is, 2 * TEXT_MAX);
	buf_init(&old, PATH_MAX + 16);
	struct fault f = textfile_read(path, &was);

	if (!f.kind && !conf_upgrade(buf_sv(&was), &is, tell_former, &u))
		f = fault(FAULT_LIMIT, "the file is too long");
	if (!f.kind && u.lines)
		f = keep_old(path, buf_sv(&was), &old);
	if (!f.kind && u.lines)
		f = textfile_rewrite(path, buf_sv(&is));
	code = cli_fault(path, f);
	if (code == EXIT_DONE && !cli->json)
		printf(u.lines ? "%s: %u lines are comments now; as it was: %s\n" : "%s: nothing in it is of an older program\n", path, u.lines,
		       u.lines ? buf_z(&old) : "");
	buf_done(&old);
	buf_done(&is);
	buf_done(&was);
	return code;
}

static int run_upgrade(struct cli *cli)
{
	const char *given = cli->arg_count ? cli->args[0] : instance_path(cli->instance, INSTANCE_CONF);
	char *path = realpath(given, NULL);     /* may be a link into /etc */
	struct conf *conf = NULL;

	if (!path)
		return cli_fault(given, fault_errno("find", given));
	int code = rewrite(cli, path);

	if (code == EXIT_DONE)
		code = open_conf_file(cli, path, &conf);        /* what is wrong beyond that is told as `conf check` does */
	conf_unref(&conf);
	free(path);
	return code;
}

const struct verb conf_verbs[] = {
	{ .noun = "conf", .verb = "check", .args = "[FILE]", .args_max = 1, .needs_root = true,
	  .summary = "Check the configuration and name every error in it",
	  .example = "--root /var/lib/postroom conf check", .run = run_check },
	{ .noun = "conf", .verb = "show", .args = "", .needs_root = true,
	  .summary = "Print the configuration in force", .example = "conf show --all", .run = run_show,
	  .options = { { "all", NULL, "with every default, not only what the file sets" } } },
	{ .noun = "conf", .verb = "describe", .args = "[OPTION]", .args_max = 1,
	  .summary = "Explain one option, or all of them", .example = "conf describe message-size",
	  .run = run_describe },
	{ .noun = "conf", .verb = "upgrade", .args = "[FILE]", .args_max = 1, .needs_root = true,
	  .summary = "Make settings of older programs comments, and keep the file as it was",
	  .example = "--root /var/lib/postroom conf upgrade", .run = run_upgrade },
	{ .noun = NULL },
};
