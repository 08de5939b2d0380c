/* postroom explain: what would happen to a message from a stranger, step by step. Asked from the
 * running daemon. */
#include <errno.h>
#include <stdio.h>

#include "admin/input.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/json.h"
#include "common/netaddr.h"
#include "common/transfer.h"

#include "common/banned.h"

#define MESSAGE_MAX (40u << 10)
#define REQUEST_MAX (64u << 10)

/* read_message - as much of the file as a request can carry; the header at least is there. */
static int read_message(const char *path, struct buf *out)
{
	if (read_input(path, out))
		return EXIT_DONE;
	if (errno != EFBIG)
		return tell_unreadable(path);
	complain(NULL, "%s has more than 40 KiB: signatures of the body cannot be checked", path);
	return EXIT_DONE;
}

struct shown {
	bool has_rows;
};

static struct sv member(const struct json *answer, const char *name)
{
	struct sv text = SV_NONE;

	(void)json_get_sv(answer, name, &text);
	return text;
}

static bool print_step(void *arg, const struct json *answer)
{
	struct shown *shown = arg;
	struct sv finding, text;

	if (json_get_sv(answer, "fact", &text)) {
		printf("%-16.*s %.*s\n", SV_FMT(text), SV_FMT(member(answer, "text")));
		return true;
	}
	if (json_get_sv(answer, "reply", &text)) {
		printf("\nreply            %.*s\nmailbox          %.*s\n", SV_FMT(text),
		       SV_FMT(member(answer, "place")));
		return true;
	}
	if (!shown->has_rows)
		printf("\n%-8s %-14s %-7s %s\n", "STAGE", "CHECK", "ACTION", "FINDING");
	shown->has_rows = true;
	finding = json_get_sv(answer, "finding", &text) ? text : SV("-");
	if (json_get_sv(answer, "skipped", &text))
		finding = text;
	printf("%-8.*s %-14.*s %-7.*s %s%.*s%s\n", SV_FMT(member(answer, "stage")),
	       SV_FMT(member(answer, "check")), SV_FMT(member(answer, "action")),
	       text.p == finding.p && json_get(answer, "skipped") ? "(" : "", SV_FMT(finding),
	       json_get(answer, "skipped") ? ")" : "");
	return true;
}

static bool print_json(void *arg, const struct json *answer)
{
	(void)arg;
	print_json_line(answer);
	return true;
}

static int run_explain(struct cli *cli)
{
	const char *from = cli_option(cli, "from"), *to = cli_option(cli, "to"),
		   *ip = cli_option(cli, "ip");
	const char *helo = cli_option(cli, "helo");
	struct buf request, message, encoded;
	struct netaddr address;
	struct shown shown = { false };
	struct json_out j;
	int code = EXIT_DONE;

	if (!from || !to || !ip)
		return cli_usage(cli, "--from, --to and --ip are needed");
	if (!netaddr_parse(sv_z(ip), &address))
		return cli_usage(cli, "--ip takes an address such as 192.0.2.1 or 2001:db8::1");
	buf_init(&request, REQUEST_MAX);
	buf_init(&message, MESSAGE_MAX);
	buf_init(&encoded, REQUEST_MAX);
	if (cli->arg_count)
		code = read_message(cli->args[0], &message);
	if (code == EXIT_DONE && !base64_encode(buf_sv(&message), &encoded))
		code = EXIT_FAILED;
	if (code == EXIT_DONE) {
		json_out_init(&j, &request);
		json_out_object(&j, NULL);
		json_out_z(&j, "verb", "explain");
		json_out_z(&j, "from", from);
		json_out_z(&j, "to", to);
		json_out_z(&j, "ip", ip);
		if (helo)
			json_out_z(&j, "helo", helo);
		if (cli->arg_count)
			json_out_sv(&j, "message", buf_sv(&encoded));
		json_out_object_end(&j);
		code = ask_daemon(cli, "smtpd", buf_sv(&request),
				  cli->json ? print_json : print_step, &shown);
	}
	buf_done(&request);
	buf_done(&message);
	buf_done(&encoded);
	return code;
}

const struct verb explain_verbs[] = {
	{ .noun = "explain", .verb = NULL, .args = "[FILE]", .args_min = 0, .args_max = 1, .needs_root = true,
	  .summary = "Say what would happen to a message from elsewhere, check by check",
	  .example = "explain --from joe@example.net --to alice@example.org --ip 192.0.2.1",
	  .run = run_explain,
	  .options = {
		  { "from", "ADDRESS", "the sender of MAIL FROM; <> for a bounce" },
		  { "to", "ADDRESS", "the recipient" },
		  { "ip", "ADDRESS", "where the client connects from" },
		  { "helo", "NAME", "what it calls itself; default mail.example.org" },
	  } },
	{ .noun = NULL },
};
