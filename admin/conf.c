/* postroom conf check|show|describe */
#include <stdio.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/instance.h"

#include "common/banned.h"

#define TEXT_MAX ((size_t)1 << 20)

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
	size_t count;
	const struct conf_option *options = conf_options(&count);

	buf_init(&text, TEXT_MAX);
	if (cli->arg_count) {
		struct sv name = sv_z(cli->args[0]);
		const struct conf_option *option = conf_option_find(name);
		if (!option) {
			const char *near = conf_option_nearest(name);
			complain(near ? near : "postroom conf describe", "no option \"%s\"", cli->args[0]);
			buf_done(&text);
			return EXIT_NOT_FOUND;
		}
		conf_describe(option, &text);
	} else {
		const char *section = "";
		for (size_t i = 0; i < count; i++) {
			if (strcmp(section, options[i].section) != 0) {
				section = options[i].section;
				buf_appendf(&text, "%s# %s\n\n", i ? "\n" : "", section);
			}
			conf_describe(&options[i], &text);
		}
	}
	if (text.len)
		fwrite(text.p, 1, text.len, stdout);
	buf_done(&text);
	return EXIT_DONE;
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
	{ .noun = NULL },
};
