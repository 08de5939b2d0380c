/* postroom auth blocked|unblock */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/auth.h"
#include "common/conf.h"
#include "common/instance.h"
#include "common/memory.h"
#include "common/throttle.h"

#include "common/banned.h"

static int open_throttle(struct cli *cli, struct throttle **out)
{
	char *path = instance_run_path(cli->instance, "throttle", "");
	struct fault f = throttle_open(path, false, out);

	free(path);
	if (f.kind == FAULT_NOT_FOUND)
		return EXIT_DONE;       /* nothing was counted: *out stays NULL */
	return cli_fault("failed logins", f);
}

/* ---- blocked ---- */

struct listing {
	struct table *table;
	struct directory *dir;
	char **accounts;
	uint8_t (*keys)[THROTTLE_KEY_LEN];      /* of the accounts, in their order */
	size_t account_count;
	uint64_t now_ms;
	int64_t now_s;
	bool all;
};

static const char *kind_name(enum throttle_kind kind)
{
	switch (kind) {
	case THROTTLE_ADDRESS:  return "address";
	case THROTTLE_NETWORK:  return "network";
	case THROTTLE_WIDER:    return "wider network";
	case THROTTLE_ACCOUNT:  return "account";
	}
	return "";
}

/* A name that is no account is not shown: somebody may have typed his password there. */
static struct sv who_is(const struct listing *l, const struct throttle_entry *e, char text[NETADDR_TEXT_MAX + 8])
{
	bool is_v4 = e->address.family == NET_IPV4;
	unsigned bits = e->kind == THROTTLE_NETWORK ? (is_v4 ? 26 : 48) : e->kind == THROTTLE_WIDER ? (is_v4 ? 21 : 32) : 64;
	char plain[NETADDR_TEXT_MAX];

	if (e->kind == THROTTLE_ACCOUNT) {
		for (size_t i = 0; i < l->account_count; i++)
			if (memcmp(l->keys[i], e->account, THROTTLE_KEY_LEN) == 0)
				return sv_z(l->accounts[i]);
		return SV("(no such account)");
	}
	struct sv address = netaddr_text(&e->address, plain);

	if (e->kind == THROTTLE_ADDRESS && is_v4)
		snprintf(text, NETADDR_TEXT_MAX + 8, "%.*s", SV_FMT(address));
	else
		snprintf(text, NETADDR_TEXT_MAX + 8, "%.*s/%u", SV_FMT(address), bits);
	return sv_z(text);
}

static uint64_t wall(const struct listing *l, uint64_t at_ms)
{
	return at_ms ? (uint64_t)(l->now_s + ((int64_t)at_ms - (int64_t)l->now_ms) / 1000) : 0;
}

static void add_row(void *arg, const struct throttle_entry *e)
{
	const struct listing *l = arg;
	char text[NETADDR_TEXT_MAX + 8];

	if (!e->until_ms && !l->all)
		return;
	table_sv(l->table, sv_z(kind_name(e->kind)));
	table_sv(l->table, who_is(l, e, text));
	table_u64(l->table, e->minute);
	table_u64(l->table, e->day);
	table_u64(l->table, wall(l, e->last_ms));
	table_u64(l->table, wall(l, e->until_ms));
}

static int run_blocked(struct cli *cli)
{
	static const struct column columns[] = {
		{ "WHAT", "what", COLUMN_TEXT, NULL },
		{ "WHO", "who", COLUMN_TEXT, NULL },
		{ "LAST MINUTE", "minute", COLUMN_NUMBER, NULL },
		{ "TODAY", "day", COLUMN_NUMBER, NULL },
		{ "LAST FAILURE", "last", COLUMN_TIME, NULL },
		{ "BLOCKED UNTIL", "until", COLUMN_TIME, "not blocked" },
	};
	struct listing l = { .now_ms = throttle_now_ms(), .now_s = (int64_t)time(NULL), .all = cli_option(cli, "all") };
	struct throttle *t = NULL;
	struct conf *conf = NULL;
	int code = open_conf(cli, &conf);

	if (code == EXIT_DONE)
		code = open_directory(cli, &l.dir);
	if (code == EXIT_DONE)
		code = open_throttle(cli, &t);
	if (code == EXIT_DONE)
		code = cli_fault("accounts", directory_account_addresses(l.dir, SV_NONE, &l.accounts, &l.account_count));
	if (code == EXIT_DONE) {
		const struct throttle_limits limits = {
			.per_minute = conf->auth.failures_per_minute,
			.per_day = conf->auth.failures_per_day,
			.per_account = conf->auth.failures_per_account,
		};

		l.keys = xcalloc(l.account_count + 1, sizeof(*l.keys));
		for (size_t i = 0; i < l.account_count; i++)
			auth_name_key(l.dir, sv_z(l.accounts[i]), l.keys[i]);
		l.table = table_new(columns, ARRAY_LEN(columns), cli->json);
		if (t)
			throttle_list(t, &limits, l.now_ms, add_row, &l);
		table_end(&l.table, l.all ? "No wrong password came in the last day."
					  : "Nobody is blocked. --all shows whose wrong passwords were counted.");
		free(l.keys);
	}
	directory_addresses_free(&l.accounts, &l.account_count);
	throttle_free(&t);
	directory_close(&l.dir);
	conf_unref(&conf);
	return code;
}

/* ---- unblock ---- */

static int unblock(struct cli *cli, struct throttle *t, struct directory *dir)
{
	const char *who = cli->args[0];
	uint8_t key[THROTTLE_KEY_LEN];
	struct netaddr address;
	bool any;

	if (netaddr_parse(sv_z(who), &address)) {
		any = t && throttle_forget_address(t, &address);
	} else if (strchr(who, '@')) {
		auth_name_key(dir, sv_z(who), key);
		any = t && throttle_forget_account(t, key);
	} else {
		return cli_usage(cli, "%s is neither an account nor an address such as 192.0.2.7", who);
	}
	if (any)
		return EXIT_DONE;
	complain("postroom auth blocked --all names who is counted", "no failed login of %s was counted", who);
	return EXIT_NOT_FOUND;
}

static int run_unblock(struct cli *cli)
{
	bool all = cli_option(cli, "all") != NULL;
	struct directory *dir = NULL;
	struct throttle *t = NULL;

	if (all == (cli->arg_count > 0))
		return cli_usage(cli, "name an account or an address, or give --all");
	int code = open_directory(cli, &dir);

	if (code == EXIT_DONE)
		code = open_throttle(cli, &t);
	if (code == EXIT_DONE && all && t)
		throttle_forget_all(t);
	else if (code == EXIT_DONE && !all)
		code = unblock(cli, t, dir);
	throttle_free(&t);
	directory_close(&dir);
	return code;
}

const struct verb auth_verbs[] = {
	{ .noun = "auth", .verb = "blocked", .args = "", .needs_root = true,
	  .summary = "List who may try no more passwords for now, and until when", .example = "auth blocked --all",
	  .run = run_blocked, .options = { { "all", NULL, "whoever had a wrong password in the last day" } } },
	{ .noun = "auth", .verb = "unblock", .args = "[ACCOUNT|ADDRESS]", .args_max = 1, .needs_root = true,
	  .summary = "Forget the wrong passwords of an account or of an address and its networks; it may try again at once",
	  .example = "auth unblock 192.0.2.7", .run = run_unblock, .options = { { "all", NULL, "of everybody" } } },
	{ .noun = NULL },
};
