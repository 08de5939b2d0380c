/* postroom device list|remove, account logins: who logs in as an account, with what. */
#include "admin/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/daemons.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/auth.h"
#include "common/control.h"
#include "common/directory.h"
#include "common/instance.h"
#include "common/json.h"
#include "common/logins.h"
#include "common/memory.h"

#include "common/banned.h"

#define BUSY_MS 10000           /* how long a daemon that has just been started is asked again */
#define BUSY_PAUSE_MS 50
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

typedef struct fault read_fn(struct logins *l, struct sv account, struct table *t);

/* print_logins - a table of what is known of the first argument's account. @empty: what is said when that is nothing */
static int print_logins(struct cli *cli, const struct column *columns, size_t count, read_fn *read, const char *empty)
{
	struct directory_account account;
	struct directory *dir = NULL;
	struct logins *l = NULL;
	int code = open_account(cli, &dir, &account, &l);

	if (code == EXIT_DONE) {
		struct table *t = table_new(columns, count, cli->json);

		if (l)
			code = cli_fault(cli->args[0], read(l, sv_z(account.id), t));
		(void)table_close(&t, code, empty);
	}
	logins_close(&l);
	directory_close(&dir);
	return code;
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

static struct fault read_history(struct logins *l, struct sv account, struct table *t)
{
	return logins_history(l, account, add_login, t);
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

	return print_logins(cli, columns, ARRAY_LEN(columns), read_history, "No login is known.");
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

struct fault device_table(struct logins *l, struct sv account, bool as_json, struct table **out)
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

	*out = table_new(columns, ARRAY_LEN(columns), as_json);
	return l ? logins_devices(l, account, add_device, *out) : FAULT_OK;
}

static int run_list(struct cli *cli)
{
	struct directory_account account;
	struct directory *dir = NULL;
	struct logins *l = NULL;
	struct table *t;
	int code = open_account(cli, &dir, &account, &l);

	if (code == EXIT_DONE) {
		code = cli_fault(cli->args[0], device_table(l, sv_z(account.id), cli->json, &t));
		(void)table_close(&t, code, "No device has logged in yet.");
	}
	logins_close(&l);
	directory_close(&dir);
	return code;
}

/* ---- ending ---- */

struct tally {
	uint64_t ended;
};

static bool add_ended(void *arg, const struct json *answer)
{
	struct tally *t = arg;

	t->ended += number_of(answer, "ended");
	return true;
}

int end_sessions(struct cli *cli, const char *account, const char *sid, const uint32_t *credential, uint64_t *ended)
{
	struct tally tally = { 0 };
	struct json_out j;
	struct buf request;
	int code = EXIT_DONE;

	buf_init(&request, 4096);
	json_out_init(&j, &request);
	json_out_object(&j, NULL);
	json_out_z(&j, "verb", "kick");
	if (account)
		json_out_z(&j, "account", account);
	if (sid)
		json_out_z(&j, "sid", sid);
	if (credential)
		json_out_u64(&j, "credential", *credential);
	json_out_object_end(&j);
	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		struct fault f;

		/* A daemon that has just been started has nobody inside yet, and somebody may come in at any moment. */
		for (unsigned waited = 0;; waited += BUSY_PAUSE_MS) {
			f = control_ask(cli->instance, daemon_names[i], buf_sv(&request), add_ended, &tally, 10000);
			if (f.kind != FAULT_BUSY || waited >= BUSY_MS)
				break;
			nanosleep(&(struct timespec){ .tv_nsec = BUSY_PAUSE_MS * 1000000L }, NULL);
		}
		control_ask_former(cli->instance, daemon_names[i], buf_sv(&request), add_ended, &tally, 10000);
		if (f.kind && !(f.kind == FAULT_UNAVAILABLE && !pidfile_holder(cli->instance, daemon_names[i])))
			code = cli_fault(daemon_names[i], f);
	}
	buf_done(&request);
	*ended = tally.ended;
	return code;
}

int end_barred_sessions(struct cli *cli, const struct directory_account *account)
{
	uint64_t ended;

	if (account->is_enabled && account->use == DIRECTORY_USE_ALL)
		return EXIT_DONE;
	return end_sessions(cli, account->id, NULL, NULL, &ended);
}

static int tell_ended(struct cli *cli, int code, uint64_t ended)
{
	if (cli->json)
		printf("{\"ended\":%llu}\n", (unsigned long long)ended);
	else if (code == EXIT_DONE)
		printf("%llu session%s ended\n", (unsigned long long)ended, ended == 1 ? "" : "s");
	return code;
}

static int run_kick(struct cli *cli)
{
	struct directory_account account;
	struct directory *dir = NULL;
	uint64_t ended = 0;
	int code = EXIT_DONE;

	if (!strchr(cli->args[0], '@')) {
		code = end_sessions(cli, NULL, cli->args[0], NULL, &ended);
		if (code == EXIT_DONE && !ended) {
			complain("postroom sessions names them", "there is no session %s", cli->args[0]);
			return EXIT_NOT_FOUND;
		}
		return tell_ended(cli, code, ended);
	}
	code = open_directory(cli, &dir);
	if (code == EXIT_DONE)
		code = cli_fault(cli->args[0], directory_account_get(dir, sv_z(cli->args[0]), &account));
	if (code == EXIT_DONE) {
		code = end_sessions(cli, account.id, NULL, NULL, &ended);
		code = tell_ended(cli, code, ended);
	}
	directory_close(&dir);
	return code;
}

/* Which device is meant: its name as the list has it, if only one is called so, or the beginning of its id. */
struct wanted {
	const char *name;
	size_t count;
	uint32_t number;
	char key[2 * LOGINS_KEY_LEN + 1];
};

static bool match_device(void *arg, const struct logins_device *d)
{
	struct wanted *w = arg;

	if (!sv_eq(d->name, sv_z(w->name)) && !(strlen(w->name) >= SHORT_KEY && sv_starts(sv_z(d->key), sv_z(w->name))))
		return true;
	w->count++;
	w->number = d->number;
	memcpy(w->key, d->key, sizeof(w->key));
	return true;
}

static int remove_device(struct cli *cli, struct directory *dir, const struct directory_account *account, struct logins *l)
{
	struct wanted w = { .name = cli->args[1] };
	uint8_t name[LOGINS_KEY_LEN];
	uint64_t ended = 0;
	int code = l ? cli_fault(cli->args[0], logins_devices(l, sv_z(account->id), match_device, &w)) : EXIT_DONE;

	if (code != EXIT_DONE)
		return code;
	if (w.count != 1) {
		complain("postroom device list ADDRESS shows their ids", "%s has %s \"%s\"", cli->args[0],
			 w.count ? "several devices" : "no device", cli->args[1]);
		return w.count ? EXIT_USAGE : EXIT_NOT_FOUND;
	}
	/* First no new session, then the old ones end. */
	if (w.number) {
		struct fault f = directory_credential_remove(dir, sv_z(account->address), w.number);

		if (f.kind && f.kind != FAULT_NOT_FOUND)
			return cli_fault(cli->args[0], f);
	}
	auth_name_key(dir, sv_z(account->address), name);
	code = cli_fault(cli->args[0], logins_forget_device(l, sv_z(account->id), w.key));
	if (code == EXIT_DONE && !w.number)
		code = cli_fault(cli->args[0], logins_forget_name(l, name));
	if (code == EXIT_DONE)
		code = end_sessions(cli, account->id, NULL, &w.number, &ended);
	code = tell_ended(cli, code, ended);
	if (code == EXIT_DONE && !w.number && !cli->json)
		printf("It used the account's own password, with which it can come back: postroom account password %s\n",
		       cli->args[0]);
	return code;
}

static int run_remove(struct cli *cli)
{
	struct directory_account account;
	struct directory *dir = NULL;
	struct logins *l = NULL;
	int code = open_account(cli, &dir, &account, &l);

	if (code == EXIT_DONE)
		code = remove_device(cli, dir, &account, l);
	logins_close(&l);
	directory_close(&dir);
	return code;
}

const struct verb device_verbs[] = {
	{ .noun = "device", .verb = "remove", .args = "ACCOUNT DEVICE", .args_min = 2, .args_max = 2, .needs_root = true,
	  .summary = "End a device's sessions and take its app password back", .example = "device remove alice@example.org phone",
	  .run = run_remove,
	  .delegated = { .right = DELEGATED_CHANGE, .args = "at" } },
	{ .noun = "kick", .args = "ACCOUNT|SESSION", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "End the sessions of an account, or one session, at once", .example = "kick alice@example.org",
	  .run = run_kick,
	  .delegated = { .right = DELEGATED_CHANGE, .args = "a" } },
	{ .noun = "device", .verb = "list", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "List the devices and programs that log in as an account, with their last use",
	  .example = "device list alice@example.org", .run = run_list,
	  .delegated = { .right = DELEGATED_LOOK, .args = "a" } },
	{ .noun = NULL },
};
