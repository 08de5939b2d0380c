/* postroom delegate add|list|remove|verbs|serve: tokens that are good for some domains only. */
#include "admin/delegate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/directory_delegate.h"

#include "common/banned.h"

#define DAY_S 86400
#define DAYS_MAX 3650

bool delegate_socket(const struct conf *conf, const char *root, char out[DELEGATE_SOCKET_MAX])
{
	const char *path = conf->host.delegate_socket;

	if (!*path && strcmp(root, "/var/lib/postroom") == 0)
		path = POSTROOM_RUNDIR "/delegate.sock";
	if (*path != '/')
		return false;
	return snprintf(out, DELEGATE_SOCKET_MAX, "%s", path) < DELEGATE_SOCKET_MAX;
}

bool delegate_answers(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answers;

	if (fd < 0 || strlen(path) >= sizeof(at.sun_path))
		return false;
	memcpy(at.sun_path, path, strlen(path) + 1);
	answers = connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 || errno == EAGAIN;    /* its queue is full */
	close(fd);
	return answers;
}

/* ---- add ---- */

static int parse_add(struct cli *cli, struct directory_delegate *d)
{
	const char *name = cli_option(cli, "for"), *days = cli_option(cli, "days");
	uint32_t n;

	for (size_t i = 0; i < cli->arg_count; i++)
		if (snprintf(d->domains[d->domain_count++], sizeof(d->domains[0]), "%s", cli->args[i]) >= (int)sizeof(d->domains[0]))
			return cli_usage(cli, "\"%.20s...\" is too long for a domain", cli->args[i]);
	if (snprintf(d->name, sizeof(d->name), "%s", name ? name : cli->args[0]) >= (int)sizeof(d->name))
		return cli_usage(cli, "a name has at most %d characters", DIRECTORY_LABEL_MAX);
	d->may_change = !cli_option(cli, "read-only");
	if (days && (!sv_to_u32(sv_z(days), &n) || !n || n > DAYS_MAX))
		return cli_usage(cli, "--days takes a number from 1 to %d", DAYS_MAX);
	d->expires_s = days ? (int64_t)time(NULL) + (int64_t)n * DAY_S : 0;
	return EXIT_DONE;
}

static void tell_token(struct cli *cli, const struct directory_delegate *d, const char *token)
{
	static const struct column columns[] = {
		{ "name", "name", COLUMN_TEXT, NULL },
		{ "token", "token", COLUMN_TEXT, NULL },
		{ "expires", "expires", COLUMN_TIME, "never" },
	};

	if (!cli->json) {
		printf("token of %s, told this once: %s\n", d->name, token);
		printf("Whoever has it in a file uses it by: postroom --token FILE account list\n");
		return;
	}
	struct table *t = facts_new(columns, ARRAY_LEN(columns), true);

	table_sv(t, sv_z(d->name));
	table_sv(t, sv_z(token));
	table_u64(t, (uint64_t)d->expires_s);
	table_end(&t, NULL);
}

/* warn_unserved - a token is of no use where nobody listens. */
static void warn_unserved(struct cli *cli)
{
	char path[DELEGATE_SOCKET_MAX];
	struct conf *conf = NULL;

	if (open_conf(cli, &conf) == EXIT_DONE && !delegate_socket(conf, cli->root, path))
		complain("delegate-socket /run/postroom-example/delegate.sock, and a restart",
			 "this instance has no socket for holders of tokens yet: postroom.conf names none");
	conf_unref(&conf);
}

static int run_add(struct cli *cli)
{
	struct directory_delegate d = { .domain_count = 0 };
	char token[DELEGATE_TOKEN_LEN + 1];
	struct directory *dir = NULL;
	int code = parse_add(cli, &d);

	if (code == EXIT_DONE)
		code = open_directory(cli, &dir);
	if (code == EXIT_DONE)
		code = cli_fault(d.name, directory_delegate_add(dir, &d, token));
	if (code == EXIT_DONE) {
		tell_token(cli, &d, token);
		secret_wipe(token, sizeof(token));
		warn_unserved(cli);
	}
	directory_close(&dir);
	return code;
}

/* ---- list, remove ---- */

static bool add_row(void *arg, const struct directory_delegate *d)
{
	struct sv domains[DELEGATE_DOMAINS_MAX];
	struct table *t = arg;

	for (size_t i = 0; i < d->domain_count; i++)
		domains[i] = sv_z(d->domains[i]);
	table_sv(t, sv_z(d->name));
	table_words(t, domains, d->domain_count);
	table_sv(t, d->is_newer ? SV("nothing") : d->may_change ? SV("change") : SV("look"));
	table_u64(t, (uint64_t)d->created_s);
	table_u64(t, (uint64_t)d->expires_s);
	table_u64(t, (uint64_t)d->used_s);
	return true;
}

static int run_list(struct cli *cli)
{
	static const struct column columns[] = {
		{ "NAME", "name", COLUMN_TEXT, NULL },
		{ "DOMAINS", "domains", COLUMN_LIST, NULL },
		{ "MAY", "may", COLUMN_TEXT, NULL },
		{ "SINCE", "created", COLUMN_TIME, NULL },
		{ "EXPIRES", "expires", COLUMN_TIME, "never" },
		{ "LAST USE", "used", COLUMN_TIME, "never" },
	};
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code != EXIT_DONE)
		return code;
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);
	struct fault f = directory_delegate_list(dir, add_row, t);

	code = table_close(&t, cli_fault("tokens", f), "No token yet. Make one: postroom delegate add example.org --for carol");
	directory_close(&dir);
	return code;
}

static int run_remove(struct cli *cli)
{
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code == EXIT_DONE)
		code = cli_fault(cli->args[0], directory_delegate_remove(dir, sv_z(cli->args[0])));
	directory_close(&dir);
	return code;
}

/* ---- verbs ---- */

static int run_verbs(struct cli *cli)
{
	static const char *const rights[] = { [DELEGATED_NO] = "nothing", [DELEGATED_LOOK] = "look", [DELEGATED_CHANGE] = "change" };
	static const struct column columns[] = {
		{ "VERB", "verb", COLUMN_TEXT, NULL },
		{ "MAY", "may", COLUMN_TEXT, NULL },
		{ "ARGUMENTS", "arguments", COLUMN_TEXT, NULL },
		{ "OPTIONS", "options", COLUMN_LIST, NULL },
	};
	bool is_all = cli_option(cli, "all") != NULL;
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);
	struct buf name;

	buf_init(&name, 256);
	for (const struct verb *v = verbs_next(NULL); v; v = verbs_next(v)) {
		if (!v->delegated.right && !is_all)
			continue;
		buf_clear(&name);
		buf_appendf(&name, "%s%s%s", v->noun, v->verb ? " " : "", v->verb ? v->verb : "");
		table_sv(t, buf_sv(&name));
		table_sv(t, sv_z(rights[v->delegated.right]));
		table_sv(t, sv_z(v->args));
		table_sv(t, sv_z(v->delegated.options));
	}
	table_end(&t, "Nothing.");
	buf_done(&name);
	return EXIT_DONE;
}

const struct verb delegate_verbs[] = {
	{ .noun = "delegate", .verb = "add", .args = "DOMAIN...", .args_min = 1, .args_max = DELEGATE_DOMAINS_MAX, .needs_root = true,
	  .summary = "Make a token whose holder administers these domains and sees no other",
	  .example = "delegate add example.org --for carol --days 365", .run = run_add,
	  .options = { { "for", "NAME", "what the token is called; else the first domain" },
		       { "days", "N", "it is good for so long; else until it is taken back" },
		       { "read-only", NULL, "its holder may look, and change nothing" } } },
	{ .noun = "delegate", .verb = "list", .args = "", .needs_root = true, .summary = "List the tokens, with their last use",
	  .example = "delegate list --json", .run = run_list },
	{ .noun = "delegate", .verb = "remove", .args = "NAME", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Take a token back, at once", .example = "delegate remove carol", .run = run_remove },
	{ .noun = "delegate", .verb = "verbs", .args = "", .summary = "List what the holder of a token may do",
	  .example = "delegate verbs", .run = run_verbs, .delegated = { .right = DELEGATED_LOOK },
	  .options = { { "all", NULL, "also verbs that are closed to them" } } },
	{ .noun = "delegate", .verb = "serve", .args = "", .needs_root = true,
	  .summary = "Answer holders of tokens; `postroom serve` starts it where there is a socket for it",
	  .example = "delegate serve", .run = run_delegate_serve },
	{ .noun = NULL },
};
