/* postroom device list|remove, account logins: who logs in as an account, with what. */
#include "admin/device.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/directory.h"
#include "common/instance.h"
#include "common/json.h"
#include "common/logins.h"
#include "common/memory.h"

#include "common/banned.h"

#define SHORT_KEY 8             /* as many digits of a device's key are shown, and enough to name it */

int open_logins(struct cli *cli, struct logins **out)
{
	struct buf path;
	int code = EXIT_FAILED;

	*out = NULL;
	buf_init(&path, 4096);
	if (buf_appendf(&path, "%s/logins", instance_path(cli->instance, INSTANCE_EVENTS)) && buf_z(&path)) {
		struct fault f = logins_open(buf_z(&path), false, out);

		code = f.kind == FAULT_NOT_FOUND ? EXIT_DONE : cli_fault("logins", f);
	}
	buf_done(&path);
	return code;
}

/* The account of the first argument, and what is known of its logins; *l is NULL when nobody has logged in yet. */
static int open_account(struct cli *cli, struct directory **dir, struct directory_account *account, struct logins **l)
{
	int code = open_directory(cli, dir);

	if (code == EXIT_DONE)
		code = cli_fault(cli->args[0], directory_account_get(*dir, sv_z(cli->args[0]), account));
	return code == EXIT_DONE ? open_logins(cli, l) : code;
}

/* ---- account logins ---- */

static struct sv text_of(const struct json *row, const char *name)
{
	struct sv text = SV_NONE;

	(void)json_get_sv(row, name, &text);
	return text;
}

static uint64_t number_of(const struct json *row, const char *name)
{
	uint64_t n = 0;

	(void)json_get_u64(row, name, &n);
	return n;
}

static bool add_login(void *arg, struct sv text)
{
	static const char *const texts[] = { "result", "protocol", "mechanism", "credential", "address", "tls", "client" };
	struct table *t = arg;
	struct json *row = NULL;

	if (json_parse(text, &row).kind)
		return true;
	table_u64(t, number_of(row, "first") / 1000);
	table_u64(t, number_of(row, "last") / 1000);
	table_u64(t, number_of(row, "count"));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		table_sv(t, text_of(row, texts[i]));
	json_free(&row);
	return true;
}

int run_account_logins(struct cli *cli)
{
	static const struct column columns[] = {
		{ "FIRST", "first", COLUMN_TIME, NULL },
		{ "LAST", "last", COLUMN_TIME, NULL },
		{ "TIMES", "count", COLUMN_NUMBER, NULL },
		{ "RESULT", "result", COLUMN_TEXT, NULL },
		{ "PROTOCOL", "protocol", COLUMN_TEXT, NULL },
		{ "MECHANISM", "mechanism", COLUMN_TEXT, NULL },
		{ "WITH", "credential", COLUMN_TEXT, NULL },
		{ "FROM", "address", COLUMN_TEXT, NULL },
		{ "TLS", "tls", COLUMN_TEXT, NULL },
		{ "PROGRAM", "client", COLUMN_TEXT, NULL },
	};
	struct directory_account account;
	struct directory *dir = NULL;
	struct logins *l = NULL;
	int code = open_account(cli, &dir, &account, &l);

	if (code == EXIT_DONE) {
		struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);

		if (l)
			code = cli_fault(cli->args[0], logins_history(l, sv_z(account.id), add_login, t));
		table_end(&t, "No login is known.");
	}
	logins_close(&l);
	directory_close(&dir);
	return code;
}

/* ---- device list ---- */

static bool add_device(void *arg, const struct logins_device *d)
{
	struct table *t = arg;

	table_sv(t, sv_sub(sv_z(d->key), 0, SHORT_KEY));
	table_sv(t, d->name);
	table_sv(t, d->credential);
	table_sv(t, d->protocol);
	table_sv(t, d->address);
	table_u64(t, (uint64_t)d->first_s);
	table_u64(t, (uint64_t)d->last_s);
	table_u64(t, d->count);
	table_u64(t, d->modseq);
	table_u64(t, (uint64_t)d->synced_s);
	table_sv(t, d->client);
	return true;
}

static int run_list(struct cli *cli)
{
	static const struct column columns[] = {
		{ "ID", "id", COLUMN_TEXT, NULL },
		{ "DEVICE", "name", COLUMN_TEXT, NULL },
		{ "WITH", "credential", COLUMN_TEXT, NULL },
		{ "BY", "protocol", COLUMN_TEXT, NULL },
		{ "FROM", "address", COLUMN_TEXT, NULL },
		{ "FIRST", "first", COLUMN_TIME, NULL },
		{ "LAST USE", "last", COLUMN_TIME, NULL },
		{ "LOGINS", "logins", COLUMN_NUMBER, NULL },
		{ "SEEN UP TO", "modseq", COLUMN_NUMBER, "-" },
		{ "AT", "synced", COLUMN_TIME, "-" },
		{ "PROGRAM", "client", COLUMN_TEXT, NULL },
	};
	struct directory_account account;
	struct directory *dir = NULL;
	struct logins *l = NULL;
	int code = open_account(cli, &dir, &account, &l);

	if (code == EXIT_DONE) {
		struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);

		if (l)
			code = cli_fault(cli->args[0], logins_devices(l, sv_z(account.id), add_device, t));
		table_end(&t, "No device has logged in yet.");
	}
	logins_close(&l);
	directory_close(&dir);
	return code;
}

const struct verb device_verbs[] = {
	{ .noun = "device", .verb = "list", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "List the devices and programs that log in as an account, with their last use",
	  .example = "device list alice@example.org", .run = run_list },
	{ .noun = NULL },
};
