/* postroom account show: one account with all that an administrator asks first, for people in parts, as JSON in one object. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/credential.h"
#include "admin/daemons.h"
#include "admin/device.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/protocols.h"
#include "common/auth.h"
#include "common/conf.h"
#include "common/control.h"
#include "common/directory.h"
#include "common/instance.h"
#include "common/json.h"
#include "common/logins.h"
#include "common/memory.h"
#include "common/outbook.h"
#include "common/send_factor.h"
#include "common/throttle.h"
#include "maildir/store.h"

#include "common/banned.h"

#define TEXT_MAX ((size_t)256 << 10)

struct showing {
	struct cli *cli;
	struct directory *dir;
	struct conf *conf;
	struct directory_account account;
	struct directory_login *login;
	struct quota_usage usage;
	struct outbook_sent sent;
	uint64_t sessions;
	struct buf addresses, may_send_as, hold;
	struct throttle_entry wrong;            /* kind 0: no wrong password is counted */
};

/* ---- finding out ---- */

static void add_word(struct buf *words, struct sv word)
{
	buf_appendf(words, "%s%.*s", words->len ? " " : "", SV_FMT(word));
}

static bool note_alias(void *arg, const struct directory_alias *alias)
{
	struct showing *s = arg;

	for (size_t i = 0; i < alias->count; i++)
		if (sv_eq_nocase(alias->targets[i], sv_z(s->account.address))) {
			add_word(&s->addresses, alias->address);
			break;
		}
	return true;
}

static bool note_grant(void *arg, struct sv account, struct sv address)
{
	struct showing *s = arg;

	(void)account;
	add_word(&s->may_send_as, address);
	return true;
}

static bool note_session(void *arg, const struct json *row)
{
	struct showing *s = arg;
	struct sv account = SV_NONE;

	if (json_get_sv(row, "account", &account) && sv_eq_nocase(account, sv_z(s->account.address)))
		s->sessions++;
	return true;
}

static bool note_rule(void *arg, const struct outbook_rule *rule)
{
	struct showing *s = arg;

	if (rule->who == OUTBOOK_USER && sv_eq_nocase(rule->address, sv_z(s->account.address)))
		buf_append(&s->hold, rule->reason.len ? rule->reason : SV("held"));
	return true;
}

static void note_wrong(void *arg, const struct throttle_entry *e)
{
	struct showing *s = arg;
	uint8_t key[THROTTLE_KEY_LEN];

	if (e->kind != THROTTLE_ACCOUNT)
		return;
	auth_name_key(s->dir, sv_z(s->account.address), key);
	if (memcmp(key, e->account, sizeof(key)) == 0)
		s->wrong = *e;
}

/* A server that does not run has no sessions; an instance that never ran has neither outbook nor counts. */
static void look_at_what_runs(struct showing *s)
{
	const struct throttle_limits limits = {
		.per_minute = s->conf->auth.failures_per_minute,
		.per_day = s->conf->auth.failures_per_day,
		.per_account = s->conf->auth.failures_per_account,
	};
	char *path = instance_run_path(s->cli->instance, "throttle", "");
	struct throttle *throttle = NULL;
	struct outbook *book = NULL;
	struct buf folder;

	for (size_t i = 0; i < DAEMON_MAIL_COUNT; i++) {
		(void)!control_ask(s->cli->instance, daemon_names[i], SV("{\"verb\":\"sessions\"}"), note_session, s, 10000).kind;
		control_ask_former(s->cli->instance, daemon_names[i], SV("{\"verb\":\"sessions\"}"), note_session, s, 10000);
	}
	if (!throttle_open(path, false, &throttle).kind)
		throttle_list(throttle, &limits, throttle_now_ms(), note_wrong, s);
	throttle_free(&throttle);
	free(path);
	buf_init(&folder, 4096);
	if (buf_appendf(&folder, "%s/outbook", instance_path(s->cli->instance, INSTANCE_QUEUE)) && buf_z(&folder) &&
	    !outbook_open(buf_z(&folder), false, &book).kind) {
		s->sent = outbook_sent(book, sv_z(s->account.address), (int64_t)time(NULL));
		(void)!outbook_rules(book, note_rule, s).kind;
	}
	outbook_close(&book);
	buf_done(&folder);
}

static int look_at_store(struct showing *s)
{
	struct open_user user;
	int code = open_user(s->cli, s->cli->args[0], &user);

	if (code != EXIT_DONE)
		return code;
	code = cli_fault(s->cli->args[0], maildir_user_quota(user.user, &s->usage));
	close_user(&user);
	return code;
}

static int look(struct showing *s)
{
	const char *name = s->cli->args[0];
	int code = open_directory(s->cli, &s->dir);

	if (code == EXIT_DONE)
		code = open_conf(s->cli, &s->conf);
	if (code == EXIT_DONE)
		code = cli_fault(name, directory_account_get(s->dir, sv_z(name), &s->account));
	if (code == EXIT_DONE)
		code = cli_fault(name, directory_login(s->dir, sv_z(s->account.address), s->login));
	add_word(&s->addresses, sv_z(s->account.address));
	if (code == EXIT_DONE)
		code = cli_fault(name, directory_alias_list(s->dir, SV_NONE, note_alias, s));
	if (code == EXIT_DONE)
		code = cli_fault(name, directory_grant_list(s->dir, sv_z(s->account.address), note_grant, s));
	if (code == EXIT_DONE)
		code = look_at_store(s);
	if (code == EXIT_DONE)
		look_at_what_runs(s);
	return code;
}

/* ---- showing ---- */

static struct table *facts_of(const struct showing *s)
{
	static const struct column columns[] = {
		{ "account", "account", COLUMN_TEXT, NULL },
		{ "state", "state", COLUMN_TEXT, NULL },
		{ "says at login", "message", COLUMN_TEXT, NULL },
		{ "its mail goes to", "forward", COLUMN_TEXT, NULL },
		{ "addresses", "addresses", COLUMN_LIST, NULL },
		{ "may send as", "may_send_as", COLUMN_LIST, NULL },
		{ "may use", "protocols", COLUMN_LIST, NULL },
		{ "its password may use", "password_protocols", COLUMN_LIST, NULL },
		{ "has a password", "has_password", COLUMN_BOOL, NULL },
		{ "has another server's hash", "hashed", COLUMN_BOOL, NULL },
		{ "stored", "used_bytes", COLUMN_BYTES, NULL },
		{ "quota", "quota_bytes", COLUMN_BYTES, "no limit" },
		{ "messages", "used_messages", COLUMN_NUMBER, NULL },
		{ "quota in messages", "quota_messages", COLUMN_NUMBER, "no limit" },
		{ "sessions now", "sessions", COLUMN_NUMBER, NULL },
		{ "sessions at most", "sessions_limit", COLUMN_NUMBER, NULL },
		{ "sent elsewhere this hour", "sent_hour", COLUMN_NUMBER, NULL },
		{ "messages an hour at most", "sent_hour_limit", COLUMN_NUMBER, NULL },
		{ "recipients elsewhere today", "sent_day", COLUMN_NUMBER, NULL },
		{ "recipients a day at most", "sent_day_limit", COLUMN_NUMBER, NULL },
		{ "since", "created", COLUMN_TIME, NULL },
		{ "id", "id", COLUMN_TEXT, NULL },
	};
	const struct directory_account *a = &s->account;
	uint64_t factor = send_factor(s->conf, sv_z(a->address));
	struct table *t = facts_new(columns, ARRAY_LEN(columns), s->cli->json);
	struct buf words, by_password;

	buf_init(&words, 256);
	buf_init(&by_password, 256);
	protocols_append(&words, directory_account_scope(a));
	protocols_append(&by_password, directory_account_scope(a) & ~a->password_denied);
	table_sv(t, sv_z(a->address));
	table_sv(t, sv_z(directory_state_name(a)));
	table_sv(t, sv_z(a->message));
	table_sv(t, sv_z(a->forward));
	table_sv(t, buf_sv(&s->addresses));
	table_sv(t, buf_sv(&s->may_send_as));
	table_sv(t, buf_sv(&words));
	table_sv(t, buf_sv(&by_password));
	table_u64(t, a->is_hashed || (s->login->count && !s->login->credentials[0].number));
	table_u64(t, a->is_hashed);
	table_u64(t, s->usage.bytes);
	table_u64(t, a->quota_bytes);
	table_u64(t, s->usage.messages);
	table_u64(t, a->quota_messages);
	table_u64(t, s->sessions);
	table_u64(t, s->conf->limits.sessions_per_user);
	table_u64(t, s->sent.hour);
	table_u64(t, factor * s->conf->smtp.sent_per_hour);
	table_u64(t, s->sent.day);
	table_u64(t, factor * s->conf->smtp.sent_rcpts_per_day);
	table_u64(t, (uint64_t)a->created_s);
	table_sv(t, sv_z(a->id));
	buf_done(&by_password);
	buf_done(&words);
	return t;
}

static struct table *blocks_of(const struct showing *s)
{
	static const struct column columns[] = {
		{ "WHAT", "what", COLUMN_TEXT, NULL },
		{ "WHY", "why", COLUMN_TEXT, NULL },
		{ "UNTIL", "until", COLUMN_TIME, "it is taken back" },
	};
	struct table *t = table_new(columns, ARRAY_LEN(columns), s->cli->json);
	char why[64];

	if (s->wrong.until_ms) {
		snprintf(why, sizeof(why), "%u wrong passwords from unknown addresses", s->wrong.day);
		table_sv(t, SV("logins from addresses that it is not known to use"));
		table_sv(t, sv_z(why));
		table_u64(t, (uint64_t)(time(NULL) + ((int64_t)s->wrong.until_ms - (int64_t)throttle_now_ms()) / 1000));
	}
	if (s->hold.len) {
		table_sv(t, SV("mail that it sends waits"));
		table_sv(t, buf_sv(&s->hold));
		table_u64(t, 0);
	}
	return t;
}

/* put - the next part: under its title, or as a member. */
static void put(struct json_out *j, const char *title, const char *name, struct table *t, const char *empty)
{
	if (j) {
		table_end_in(&t, j, name);
		return;
	}
	if (title)
		printf("\n%s\n", title);
	table_end(&t, empty);
}

static int show(const struct showing *s, struct json_out *j)
{
	struct logins *logins = NULL;
	struct table *devices;
	int code = open_logins(s->cli, &logins);

	put(j, NULL, NULL, facts_of(s), NULL);
	put(j, "Blocks in force", "blocks", blocks_of(s), "None.");
	put(j, "App passwords", "app_passwords", app_password_table(s->login, logins, s->cli->json), "None.");
	put(j, "Client certificates", "client_certificates", credential_table(s->login, logins, true, s->cli->json), "None.");
	if (code == EXIT_DONE)
		code = cli_fault("devices", device_table(logins, sv_z(s->account.id), s->cli->json, &devices));
	if (code == EXIT_DONE)
		put(j, "Devices, their last logins, and what they have seen", "devices", devices, "None has logged in yet.");
	logins_close(&logins);
	return code;
}

int run_account_show(struct cli *cli)
{
	struct showing s = { .cli = cli, .login = xcalloc(1, sizeof(*s.login)) };
	struct json_out j;
	struct buf text;

	buf_init(&s.addresses, TEXT_MAX);
	buf_init(&s.may_send_as, TEXT_MAX);
	buf_init(&s.hold, OUTBOOK_REASON_MAX + 1);
	buf_init(&text, (size_t)16 << 20);
	int code = look(&s);

	if (code == EXIT_DONE && cli->json) {
		json_out_init(&j, &text);
		json_out_object(&j, NULL);
		code = show(&s, &j);
		json_out_object_end(&j);
		printf("%.*s\n", SV_FMT(buf_sv(&text)));
	} else if (code == EXIT_DONE) {
		code = show(&s, NULL);
	}
	buf_done(&text);
	buf_done(&s.addresses);
	buf_done(&s.may_send_as);
	buf_done(&s.hold);
	directory_login_done(s.login);
	free(s.login);
	conf_unref(&s.conf);
	directory_close(&s.dir);
	return code;
}
