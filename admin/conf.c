/* postroom conf check|show|describe|upgrade */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/instance.h"
#include "common/textfile.h"

#include "common/banned.h"

#define TEXT_MAX ((size_t)1 << 20)
#define OLD_MAX 1000            /* kept files */

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

static int run_show(struct cli *cli)
{
	struct conf *conf = NULL;
	struct buf text;
	int code = open_conf(cli, &conf);

	if (code != EXIT_DONE)
		return code;
	buf_init(&text, TEXT_MAX);
	conf_show(conf, cli_option(cli, "all") != NULL, &text);
	if (text.len)
		fwrite(text.p, 1, text.len, stdout);
	buf_done(&text);
	conf_unref(&conf);
	return EXIT_DONE;
}

static int run_describe(struct cli *cli)
{
	struct buf text;
	const struct conf_option *option;

	buf_init(&text, TEXT_MAX);
	if (cli->arg_count) {
		struct sv name = sv_z(cli->args[0]);

		option = conf_option_find(name);
		if (!option) {
			const char *near = conf_option_nearest(name);
			complain(near ? near : "postroom conf describe", "no option \"%s\"", cli->args[0]);
			buf_done(&text);
			return EXIT_NOT_FOUND;
		}
		conf_describe(option, &text);
	} else {
		const char *section = "";
		for (size_t i = 0; (option = conf_option_at(i)); i++) {
			if (strcmp(section, option->section) != 0) {
				section = option->section;
				buf_appendf(&text, "%s# %s\n\n", i ? "\n" : "", section);
			}
			conf_describe(option, &text);
		}
	}
	if (text.len)
		fwrite(text.p, 1, text.len, stdout);
	buf_done(&text);
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
