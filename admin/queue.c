/* postroom queue list|show|remove: what smtpd holds for elsewhere. Asked from the running daemon. */
#include <stdio.h>

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
};

static bool add_row(void *arg, const struct json *answer)
{
	struct table *t = arg;

	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		const struct json *value = json_get(answer, columns[i].name);
		struct sv text = SV_NONE;
		uint64_t number = 0;
		if (columns[i].kind == COLUMN_LIST) {
			struct buf words;
			buf_init(&words, (size_t)1 << 20);
			for (size_t k = 0; k < json_count(value); k++)
				if (json_to_sv(json_at(value, k), &text))
					buf_appendf(&words, "%s%.*s", words.len ? " " : "", SV_FMT(text));
			table_sv(t, buf_sv(&words));
			buf_done(&words);
		} else if (columns[i].kind == COLUMN_TEXT) {
			json_to_sv(value, &text);
			table_sv(t, text);
		} else {
			json_to_u64(value, &number);
			table_u64(t, number);
		}
	}
	return true;
}

static void make_request(struct buf *request, const char *verb, const char *id)
{
	struct json_out j;

	buf_init(request, REQUEST_MAX);
	json_out_init(&j, request);
	json_out_object(&j, NULL);
	json_out_z(&j, "verb", verb);
	if (id)
		json_out_z(&j, "id", id);
	json_out_object_end(&j);
}

static int run_list(struct cli *cli)
{
	struct buf request;
	struct table *t = table_new(columns, ARRAY_LEN(columns), cli->json);

	make_request(&request, "queue.list", NULL);
	int code = ask_daemon(cli, "smtpd", buf_sv(&request), add_row, t);

	table_end(&t, code == EXIT_DONE ? "The queue is empty." : NULL);
	buf_done(&request);
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
	struct buf out;
	struct json_out j;

	(void)arg;
	if (json_get(answer, "line"))
		return true;            /* the same for people */
	buf_init(&out, (size_t)1 << 20);
	json_out_init(&j, &out);
	json_out_value(&j, NULL, answer);
	printf("%.*s\n", SV_FMT(buf_sv(&out)));
	buf_done(&out);
	return true;
}

static int run_show(struct cli *cli)
{
	struct buf request;

	make_request(&request, "queue.show", cli->args[0]);
	int code = ask_daemon(cli, "smtpd", buf_sv(&request), cli->json ? print_json : print_line, NULL);

	buf_done(&request);
	return code;
}

static int run_remove(struct cli *cli)
{
	struct buf request;

	make_request(&request, "queue.remove", cli->args[0]);
	int code = ask_daemon(cli, "smtpd", buf_sv(&request), NULL, NULL);

	buf_done(&request);
	return code;
}

const struct verb queue_verbs[] = {
	{ .noun = "queue", .verb = "list", .args = "", .needs_root = true,
	  .summary = "List the messages that wait to be sent elsewhere", .example = "queue list --json",
	  .run = run_list },
	{ .noun = "queue", .verb = "show", .args = "QUEUE-ID", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Show one queued message: envelope, recipients, header", .example = "queue show 4f7a9c01d2e3",
	  .run = run_show },
	{ .noun = "queue", .verb = "remove", .args = "QUEUE-ID", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Remove a queued message; nobody is told", .example = "queue remove 4f7a9c01d2e3",
	  .run = run_remove },
	{ .noun = NULL },
};
