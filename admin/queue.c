/* postroom queue: what waits to be sent elsewhere, and what to do with it. Asked from the running relay, page by page: neither it nor
 * we hold more of a long queue at a time. */
#include <stdio.h>
#include <string.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/json.h"

#include "common/banned.h"

#define REQUEST_MAX 4096

static const struct column columns[] = {
	{ "QUEUE ID", "id", COLUMN_TEXT, NULL },
	{ "SINCE", "since", COLUMN_TIME, NULL },
	{ "SIZE", "size", COLUMN_BYTES, NULL },
	{ "FROM", "from", COLUMN_TEXT, NULL },
	{ "TO", "to", COLUMN_LIST, NULL },
	{ "STATE", "state", COLUMN_TEXT, NULL },
	{ "NEXT", "next", COLUMN_TIME, "" },
	{ "REASON", "reason", COLUMN_TEXT, NULL },
};

struct listing {
	struct table *table;
	const struct column *columns;
	size_t count;
	struct paging *place;            /* NULL: it comes as a whole */
};

static bool add_row(void *arg, const struct json *answer)
{
	const struct listing *l = arg;

	if (l->place && paging_take(l->place, answer))
		return true;
	for (size_t i = 0; i < l->count; i++) {
		const struct json *value = json_get(answer, l->columns[i].name);
		struct sv text = SV_NONE;
		uint64_t number = 0;
		if (l->columns[i].kind == COLUMN_LIST) {
			struct buf words;
			buf_init(&words, (size_t)1 << 20);
			for (size_t k = 0; k < json_count(value); k++)
				if (json_to_sv(json_at(value, k), &text))
					buf_appendf(&words, "%s%.*s", words.len ? " " : "", SV_FMT(text));
			table_sv(l->table, buf_sv(&words));
			buf_done(&words);
		} else if (l->columns[i].kind == COLUMN_TEXT) {
			json_to_sv(value, &text);
			table_sv(l->table, text);
		} else {
			json_to_u64(value, &number);
			table_u64(l->table, number);
		}
	}
	return true;
}

#define FILTERS \
	{ "from", "ADDRESS", "sent by it; @DOMAIN for all of a domain, <> for bounces" }, \
	{ "to", "ADDRESS", "with such a recipient; or @DOMAIN" }, \
	{ "user", "ADDRESS", "of this account, whatever the sender; or @DOMAIN" }, \
	{ "domain", "NAME", "that go to such a destination" }, \
	{ "older", "TIME", "that came longer ago, as 30m, 4h or 2d" }, \
	{ "reason", "TEXT", "with this in the reason for waiting" }, \
	{ "state", "STATE", "waiting, deferred, sending, paused or held" }, \
	{ "page", "COUNT", "ask the server about so many at a time (1000, which is the most)" }

static bool parse_time(const char *text, uint64_t *out)
{
	static const struct { char unit; uint64_t seconds; } units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 },
	};
	struct sv number = sv_z(text);

	for (size_t i = 0; i < ARRAY_LEN(units) && number.len; i++)
		if (number.p[number.len - 1] == units[i].unit) {
			number.len--;
			if (!sv_to_u64(number, out) || *out > UINT32_MAX)
				return false;
			*out *= units[i].seconds;
			return true;
		}
	return false;
}

/* begin_request - the verb and the filters that were given; false after an error that was told. */
static bool begin_request(struct cli *cli, struct buf *request, struct json_out *j, const char *verb, bool *has_filter)
{
	static const char *const names[] = { "from", "to", "user", "domain", "reason", "state" };
	const char *older = cli_option(cli, "older"), *page = cli_option(cli, "page");
	uint64_t seconds, count = 0;

	buf_init(request, REQUEST_MAX);
	json_out_init(j, request);
	json_out_object(j, NULL);
	json_out_z(j, "verb", verb);
	*has_filter = older != NULL;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = cli_option(cli, names[i]);

		if (value)
			json_out_z(j, names[i], value);
		*has_filter |= value != NULL;
	}
	if (older && !parse_time(older, &seconds)) {
		cli_usage(cli, "--older takes a time such as 30m, 4h or 2d");
		return false;
	}
	if (older)
		json_out_u64(j, "older", seconds);
	if (page && (!sv_to_u64(sv_z(page), &count) || !count)) {
		cli_usage(cli, "--page takes a number of messages");
		return false;
	}
	if (count)
		json_out_u64(j, "page", count);
	return true;
}

static void make_request(struct buf *request, const char *verb, const char *member, const char *value)
{
	struct json_out j;

	buf_init(request, REQUEST_MAX);
	json_out_init(&j, request);
	json_out_object(&j, NULL);
	json_out_z(&j, "verb", verb);
	if (member)
		json_out_z(&j, member, value);
	json_out_object_end(&j);
}

static int run_list(struct cli *cli)
{
	struct paging place = { "", "" };
	struct listing l = { table_new(columns, ARRAY_LEN(columns), cli->json), columns, ARRAY_LEN(columns), &place };
	bool has_filter;
	int code;

	do {
		struct buf request;
		struct json_out j;

		code = EXIT_USAGE;
		if (begin_request(cli, &request, &j, "queue.list", &has_filter)) {
			paging_put(&place, &j);
			json_out_object_end(&j);
			code = ask_daemon(cli, "smtpd", buf_sv(&request), add_row, &l);
		}
		buf_done(&request);
		table_flush(l.table);
	} while (code == EXIT_DONE && place.more[0]);
	return table_close(&l.table, code, has_filter ? "No message in the queue is like that." : "The queue is empty.");
}

/* ---- doing something ---- */

struct counts {
	uint64_t changed, busy, failed;
	struct paging place;
};

static void add_count(const struct json *answer, const char *name, uint64_t *sum)
{
	uint64_t n = 0;

	(void)json_get_u64(answer, name, &n);
	*sum += n;
}

static bool take_counts(void *arg, const struct json *answer)
{
	struct counts *c = arg;

	add_count(answer, "changed", &c->changed);
	add_count(answer, "busy", &c->busy);
	add_count(answer, "failed", &c->failed);
	(void)paging_take(&c->place, answer);
	return true;
}

/* do_pages - all that is meant, a page at a time. */
static int do_pages(struct cli *cli, struct counts *c)
{
	int code;

	do {
		struct buf request;
		struct json_out j;
		bool has_filter;

		code = EXIT_USAGE;
		if (begin_request(cli, &request, &j, "queue.do", &has_filter)) {
			json_out_z(&j, "action", cli->verb->verb);
			if (cli->arg_count)
				json_out_z(&j, "id", cli->args[0]);
			paging_put(&c->place, &j);
			json_out_object_end(&j);
			if (!cli->arg_count && !has_filter && !cli_option(cli, "all"))
				code = cli_usage(cli, "which messages? A QUEUE-ID, filters, or --all");
			else
				code = ask_daemon(cli, "smtpd", buf_sv(&request), take_counts, c);
		}
		buf_done(&request);
	} while (code == EXIT_DONE && c->place.more[0]);
	return code;
}

static int run_action(struct cli *cli)
{
	struct counts c = { .changed = 0 };
	int code = do_pages(cli, &c);

	if (code != EXIT_DONE && (c.changed || c.busy || c.failed))
		complain(NULL, "%llu messages were changed before that", (unsigned long long)c.changed);
	if (code != EXIT_DONE)
		return code;
	if (cli->json)
		printf("{\"changed\":%llu,\"busy\":%llu,\"failed\":%llu}\n", (unsigned long long)c.changed,
		       (unsigned long long)c.busy, (unsigned long long)c.failed);
	else if (!cli->arg_count)
		printf("%llu message%s: done.\n", (unsigned long long)c.changed, c.changed == 1 ? "" : "s");
	if (c.busy)
		complain("postroom queue list --state sending", "%llu messages are being sent just now and were left alone",
			 (unsigned long long)c.busy);
	if (c.failed)
		complain("postroom log", "%llu messages could not be changed", (unsigned long long)c.failed);
	return c.failed ? EXIT_FAILED : c.busy ? EXIT_UNAVAILABLE : EXIT_DONE;
}

/* ---- destinations ---- */

static const struct column destination_columns[] = {
	{ "DESTINATION", "destination", COLUMN_TEXT, NULL },
	{ "PROVIDER", "provider", COLUMN_TEXT, NULL },
	{ "STATE", "state", COLUMN_TEXT, NULL },
	{ "MESSAGES", "messages", COLUMN_NUMBER, NULL },
	{ "CONNECTIONS", "connections", COLUMN_NUMBER, NULL },
	{ "NEXT", "next", COLUMN_TIME, "" },
	{ "REASON", "reason", COLUMN_TEXT, NULL },
};

static int run_destinations(struct cli *cli)
{
	struct buf request;
	struct listing l = { table_new(destination_columns, ARRAY_LEN(destination_columns), cli->json), destination_columns,
			     ARRAY_LEN(destination_columns), NULL };

	make_request(&request, "queue.destinations", NULL, NULL);
	int code = ask_daemon(cli, "smtpd", buf_sv(&request), add_row, &l);

	buf_done(&request);
	return table_close(&l.table, code, "Nothing waits for any destination.");
}

static int run_pause(struct cli *cli)
{
	static const struct column pause_columns[] = {
		{ "Destination", "destination", COLUMN_TEXT, NULL },
		{ "Paused", "paused", COLUMN_BOOL, NULL },
	};
	bool is_pause = !strcmp(cli->verb->verb, "pause");
	struct buf request;

	make_request(&request, is_pause ? "queue.pause" : "queue.resume", "destination", cli->args[0]);
	int code = ask_daemon(cli, "smtpd", buf_sv(&request), NULL, NULL);

	buf_done(&request);
	if (code == EXIT_DONE && cli->json) {
		struct table *t = facts_new(pause_columns, ARRAY_LEN(pause_columns), true);

		table_sv(t, sv_z(cli->args[0]));
		table_u64(t, is_pause);
		table_end(&t, NULL);
	}
	return code;
}

static bool print_line(void *arg, const struct json *answer)
{
	struct sv text;

	(void)arg;
	if (json_get_sv(answer, "line", &text))
		printf("%.*s\n", SV_FMT(text));
	return true;
}

static bool print_json(void *arg, const struct json *answer)
{
	(void)arg;
	if (!json_get(answer, "line"))  /* the same for people */
		print_json_line(answer);
	return true;
}

static int run_show(struct cli *cli)
{
	struct buf request;

	make_request(&request, "queue.show", "id", cli->args[0]);
	int code = ask_daemon(cli, "smtpd", buf_sv(&request), cli->json ? print_json : print_line, NULL);

	buf_done(&request);
	return code;
}

/* The first lines of `queue show`: state, reason, meaning. */
static bool print_until_gap(void *arg, const struct json *answer)
{
	bool *is_over = arg;
	struct sv text;

	if (!json_get_sv(answer, "line", &text) || *is_over)
		return true;
	*is_over = !text.len;
	if (text.len)
		printf("%.*s\n", SV_FMT(text));
	return true;
}

static int run_explain(struct cli *cli)
{
	struct buf request;
	bool is_over = false;

	make_request(&request, "queue.show", "id", cli->args[0]);
	int code = ask_daemon(cli, "smtpd", buf_sv(&request), cli->json ? print_json : print_until_gap, &is_over);

	buf_done(&request);
	return code;
}

const struct verb queue_verbs[] = {
	{ .noun = "queue", .verb = "list", .args = "", .needs_root = true,
	  .summary = "List the messages that wait to be sent elsewhere", .example = "queue list --domain example.net --older 4h",
	  .run = run_list, .options = { FILTERS } },
	{ .noun = "queue", .verb = "show", .args = "QUEUE-ID", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Show one queued message: recipients, the last conversation, header", .example = "queue show k0sx3gz5r4br367c",
	  .run = run_show },
	{ .noun = "queue", .verb = "explain", .args = "QUEUE-ID", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Say why a message waits, and what that means", .example = "queue explain k0sx3gz5r4br367c",
	  .run = run_explain },
	{ .noun = "queue", .verb = "destinations", .args = "", .needs_root = true,
	  .summary = "List where mail goes, and how that does", .example = "queue destinations --json",
	  .run = run_destinations },
	{ .noun = "queue", .verb = "retry", .args = "[QUEUE-ID]", .args_max = 1, .needs_root = true,
	  .summary = "Try messages now, and their destinations", .example = "queue retry --domain example.net",
	  .run = run_action, .options = { FILTERS, { "all", NULL, "every message" } } },
	{ .noun = "queue", .verb = "hold", .args = "[QUEUE-ID]", .args_max = 1, .needs_root = true,
	  .summary = "Keep messages until they are released", .example = "queue hold --from alice@example.org",
	  .run = run_action, .options = { FILTERS, { "all", NULL, "every message" } } },
	{ .noun = "queue", .verb = "release", .args = "[QUEUE-ID]", .args_max = 1, .needs_root = true,
	  .summary = "Let held messages go on", .example = "queue release --from alice@example.org",
	  .run = run_action, .options = { FILTERS, { "all", NULL, "every message" } } },
	{ .noun = "queue", .verb = "remove", .args = "[QUEUE-ID]", .args_max = 1, .needs_root = true,
	  .summary = "Remove queued messages; nobody is told", .example = "queue remove k0sx3gz5r4br367c",
	  .run = run_action, .options = { FILTERS, { "all", NULL, "every message" } } },
	{ .noun = "queue", .verb = "bounce", .args = "[QUEUE-ID]", .args_max = 1, .needs_root = true,
	  .summary = "Give messages back to their senders", .example = "queue bounce --domain exmaple.net",
	  .run = run_action, .options = { FILTERS, { "all", NULL, "every message" } } },
	{ .noun = "queue", .verb = "pause", .args = "DOMAIN", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Send nothing to a destination until it is resumed", .example = "queue pause example.net",
	  .run = run_pause },
	{ .noun = "queue", .verb = "resume", .args = "DOMAIN", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Send to a destination again", .example = "queue resume example.net",
	  .run = run_pause },
	{ .noun = NULL },
};
