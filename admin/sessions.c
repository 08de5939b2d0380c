/* postroom sessions: who is connected now, by whatever protocol; asked from the running daemons. */
#include <stdlib.h>
#include <string.h>

#include "admin/daemons.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/control.h"
#include "common/directory.h"
#include "common/json.h"
#include "common/memory.h"

#include "common/banned.h"

#define LINE_MAX ((size_t)64 << 10)

struct listing {
	struct json **rows;
	size_t count, room;
	struct sv only;         /* account; empty: all */
};

static struct sv text_of(const struct json *row, const char *name)
{
	struct sv text = SV_NONE;

	json_get_sv(row, name, &text);
	return text;
}

static uint64_t number_of(const struct json *row, const char *name)
{
	uint64_t n = 0;

	json_get_u64(row, name, &n);
	return n;
}

/* What a daemon answers is borrowed for the call: a copy goes through text. */
static bool keep(void *arg, const struct json *answer)
{
	struct listing *l = arg;
	struct json *row = NULL;
	struct json_out j;
	struct buf text;

	if (l->only.len && !sv_eq_nocase(text_of(answer, "account"), l->only))
		return true;
	buf_init(&text, LINE_MAX);
	json_out_init(&j, &text);
	json_out_value(&j, NULL, answer);
	if (!json_parse(buf_sv(&text), &row).kind) {
		if (l->count == l->room) {
			l->room = l->room ? 2 * l->room : 64;
			l->rows = xrealloc(l->rows, l->room * sizeof(struct json *));
		}
		l->rows[l->count++] = row;
	}
	buf_done(&text);
	return true;
}

/* By account, then by age; those whose name is not known come last. */
static int compare(const void *a, const void *b)
{
	const struct json *x = *(struct json *const *)a, *y = *(struct json *const *)b;
	struct sv user_x = text_of(x, "account"), user_y = text_of(y, "account");
	uint64_t since_x = number_of(x, "since"), since_y = number_of(y, "since");

	if (!user_x.len != !user_y.len)
		return user_x.len ? -1 : 1;
	if (!sv_eq(user_x, user_y))
		return sv_cmp_nocase(user_x, user_y);
	return since_x != since_y ? since_x < since_y ? -1 : 1 : sv_cmp_nocase(text_of(x, "sid"), text_of(y, "sid"));
}

static void put_row(struct table *t, const struct json *row)
{
	static const char *const names[] = { "account", "protocol", "address", "client" };
	const struct json *workarounds = json_get(row, "workarounds");
	struct buf words;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		table_sv(t, text_of(row, names[i]));
	table_u64(t, number_of(row, "since"));
	table_u64(t, number_of(row, "idle_s"));
	table_sv(t, text_of(row, "mailbox"));
	table_sv(t, text_of(row, "tls"));
	table_sv(t, text_of(row, "device"));
	buf_init(&words, LINE_MAX);
	for (size_t i = 0; i < json_count(workarounds); i++) {
		struct sv word = SV_NONE;

		json_to_sv(json_at(workarounds, i), &word);
		buf_appendf(&words, "%s%.*s", i ? " " : "", SV_FMT(word));
	}
	table_sv(t, buf_sv(&words));
	table_sv(t, text_of(row, "sid"));
	buf_done(&words);
}

static int run_sessions(struct cli *cli)
{
	static const struct column columns[] = {
		{ "ACCOUNT", "account", COLUMN_TEXT, NULL },
		{ "PROTOCOL", "protocol", COLUMN_TEXT, NULL },
		{ "ADDRESS", "address", COLUMN_TEXT, NULL },
		{ "PROGRAM", "client", COLUMN_TEXT, NULL },
		{ "SINCE", "since", COLUMN_TIME, NULL },
		{ "IDLE s", "idle_s", COLUMN_NUMBER, NULL },
		{ "MAILBOX", "mailbox", COLUMN_TEXT, NULL },
		{ "TLS", "tls", COLUMN_TEXT, NULL },
		{ "PASSWORD", "device", COLUMN_TEXT, NULL },
		{ "WORKAROUNDS", "workarounds", COLUMN_LIST, NULL },
		{ "SESSION", "sid", COLUMN_TEXT, NULL },
	};
	struct listing l = { .only = cli->arg_count ? sv_z(cli->args[0]) : SV_NONE };
	struct directory_account account;
	struct directory *dir = NULL;
	int code = l.only.len ? open_directory(cli, &dir) : EXIT_DONE;

	if (dir)
		code = cli_fault(cli->args[0], directory_account_get(dir, l.only, &account));
	directory_close(&dir);
	if (code != EXIT_DONE)
		return code;

	/* A daemon that is not there is told, and the others are listed all the same. */
	for (size_t i = 0; i < DAEMON_MAIL_COUNT; i++) {
		int one = ask_daemon(cli, daemon_names[i], SV("{\"verb\":\"sessions\"}"), keep, &l);

		if (one != EXIT_DONE)
			code = one;
		control_ask_former(cli->instance, daemon_names[i], SV("{\"verb\":\"sessions\"}"), keep, &l, 10000);
	}
	if (l.count)
		qsort(l.rows, l.count, sizeof(struct json *), compare);
	if (l.count || code == EXIT_DONE) {
		struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);

		for (size_t i = 0; i < l.count; i++)
			put_row(t, l.rows[i]);
		table_end(&t, l.only.len ? "This account has no session now." : "Nobody is connected.");
	}
	for (size_t i = 0; i < l.count; i++)
		json_free(&l.rows[i]);
	free(l.rows);
	return code;
}

const struct verb sessions_verbs[] = {
	{ .noun = "sessions", .verb = NULL, .args = "[ACCOUNT]", .args_min = 0, .args_max = 1, .needs_root = true,
	  .summary = "List who is connected now, by IMAP, POP3, SMTP and ManageSieve",
	  .example = "sessions alice@example.org", .run = run_sessions },
	{ .noun = NULL },
};
