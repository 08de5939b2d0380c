/* postroom deliver: a message on standard input into a mailbox, for fetchmail, getmail and scripts. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "admin/lmtp.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/directory.h"
#include "common/instance.h"
#include "common/lines.h"
#include "maildir/filter.h"
#include "maildir/incoming.h"

#include "common/banned.h"

#define READ_SIZE 65536

static bool write_run(void *ctx, struct sv run)
{
	return !incoming_write(ctx, run).kind;
}

/* Programs of a Unix host write lines that end in LF. */
static struct fault read_message(struct incoming *in)
{
	struct crlf_writer crlf = { 0 };
	static char octets[READ_SIZE];
	uint64_t total = 0;

	for (;;) {
		ssize_t n = read(STDIN_FILENO, octets, sizeof(octets));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno("read", "standard input");
		if (n == 0)
			break;
		total += (uint64_t)n;
		if (!crlf_writer_feed(&crlf, sv_from(octets, (size_t)n), write_run, in))
			break;          /* incoming_finish() says why */
	}
	if (!total)
		return fault(FAULT_INVALID, "no message on standard input");
	return incoming_finish(in);
}

/* ---- the account's filter ---- */

struct filtered {
	struct filters *filters;
	struct filter_request request;
	struct filter_result result;
	struct buf sender;
};

/* --from, else the Return-Path that stands on top, else nobody. */
static void find_sender(struct cli *cli, struct incoming *in, struct buf *out)
{
	const char *given = cli_option(cli, "from");
	char top[1024];
	ssize_t n = pread(incoming_file(in), top, sizeof(top), 0);
	struct sv line = sv_from(top, n > 0 ? (size_t)n : 0), name = SV("Return-Path:");
	size_t open, close;

	if (given) {
		(void)buf_append(out, sv_z(strcmp(given, "<>") ? given : ""));
		return;
	}
	line = sv_sub(line, 0, sv_find(line, '\n'));
	open = sv_find(line, '<');
	close = sv_find(line, '>');
	if (sv_starts_nocase(line, name) && open != SIZE_MAX && close != SIZE_MAX && close > open)
		(void)buf_append(out, sv_sub(line, open + 1, close - open - 1));
}

static struct fault run_filter(struct cli *cli, const struct conf *conf, struct maildir_drop *drop, const char *account,
			       struct incoming *in, struct filtered *out)
{
	struct fault f = filters_open(instance_path(cli->instance, INSTANCE_SIEVE), &out->filters);

	if (f.kind)
		return f;
	find_sender(cli, in, &out->sender);
	out->request = (struct filter_request){
		.filters = out->filters, .drop = drop, .account = sv_z(account), .message = in,
		.message_max = conf->smtp.message_size + HEADER_BLOCK_MAX, .hostname = sv_z(conf->host.hostname),
		.envelope = { .from = buf_sv(&out->sender), .to = sv_z(account) },
	};
	return filter_run(&out->request, &out->result);
}

/* Whatever sends mail is smtpd's. */
static bool needs_smtpd(const struct filter_result *result)
{
	for (size_t i = 0; i < result->deed_count; i++)
		if (result->deeds[i].action->kind != SIEVE_SEEN)
			return true;
	return false;
}

static struct fault deliver_filtered(struct cli *cli, struct maildir_drop *drop, const char *account, struct incoming *in,
				     struct filtered *filtered, struct delivery *out)
{
	const struct filter_result *result = &filtered->result;
	struct delivery places[FILTER_PLACES_MAX];
	struct fault f = FAULT_OK;

	if (needs_smtpd(result))
		return lmtp_hand_over(cli->instance, buf_sv(&filtered->sender), sv_z(account), incoming_file(in));
	for (size_t i = 0; i < result->place_count; i++) {
		const struct filter_place *p = &result->places[i];

		places[i] = (struct delivery){
			.drop = drop, .message = p->message, .mailbox = p->is_kept ? SV("INBOX") : p->mailbox, .create = p->create,
			.flags = p->flags | out->flags, .keywords = p->keywords, .keyword_count = p->keyword_count,
		};
	}
	f = incoming_deliver(in, places, result->place_count);
	if (f.kind)
		return f;
	if (result->place_count)
		*out = places[0];
	filter_remember_seen(&filtered->result);
	filter_tell(&filtered->result);
	return FAULT_OK;
}

static void filtered_done(struct filtered *filtered)
{
	filter_done(&filtered->result);
	filters_close(&filtered->filters);
	buf_done(&filtered->sender);
}

/* ---- delivering ---- */

static int deliver(struct cli *cli, const struct conf *conf, struct store *store, struct directory *dir)
{
	struct filtered filtered = { .sender = { .max = 1024 } };

	struct directory_account account;
	struct maildir_drop *drop = NULL;
	struct incoming *in = NULL;
	const char *mailbox = cli_option(cli, "mailbox");
	struct fault f = directory_account_get(dir, sv_z(cli->args[0]), &account);

	if (f.kind)
		return cli_fault(cli->args[0], f);
	struct quota quota = { account.quota_bytes, account.quota_messages };

	f = maildir_drop_open(store, sv_z(account.address), &quota, &drop);
	if (!f.kind)
		f = incoming_new(NULL, drop, conf->smtp.message_size, &in);
	if (!f.kind)
		f = read_message(in);
	struct delivery place = {
		.drop = drop,
		.mailbox = mailbox ? sv_z(mailbox) : SV("INBOX"),
		.create = cli_option(cli, "create") != NULL,
		.flags = cli_option(cli, "seen") ? FLAG_SEEN : 0,
	};

	/* A mailbox that was named is the place, whatever a filter says. */
	if (!f.kind && !mailbox && !cli_option(cli, "no-filter"))
		f = run_filter(cli, conf, drop, account.address, in, &filtered);
	if (!f.kind && filtered.result.is_filtered)
		f = deliver_filtered(cli, drop, account.address, in, &filtered, &place);
	else if (!f.kind)
		f = incoming_deliver(in, &place, 1);
	filtered_done(&filtered);
	if (!f.kind && cli->json && place.uid)
		printf("{\"uid\":%u,\"uidvalidity\":%u}\n", place.uid, place.uidvalidity);
	else if (!f.kind && cli->json)
		printf("{}\n");
	incoming_free(&in);
	maildir_drop_close(&drop);
	return cli_fault(cli->args[0], f);
}

static int run_deliver(struct cli *cli)
{
	struct conf *conf = NULL;
	struct store *store = NULL;
	struct directory *dir = NULL;
	int code = open_conf(cli, &conf);

	if (code == EXIT_DONE)
		code = open_directory(cli, &dir);
	if (code == EXIT_DONE)
		code = open_store(cli, &store);
	if (code == EXIT_DONE)
		code = deliver(cli, conf, store, dir);
	store_close(&store);
	directory_close(&dir);
	conf_unref(&conf);
	/* fetchmail and getmail keep a message for later when the program that takes it fails with EX_TEMPFAIL or any
	 * other code than 0, so our own codes do. */
	return code;
}

const struct verb deliver_verbs[] = {
	{ .noun = "deliver", .args = "ACCOUNT", .args_min = 1, .args_max = 1, .needs_root = true,
	  .summary = "Put a message from standard input into a mailbox, or where the account's mail filter wants it",
	  .example = "deliver alice@example.org --mailbox Archive <message.eml", .run = run_deliver,
	  .options = { { "mailbox", "NAME", "where to; INBOX unless given" },
		       { "create", NULL, "make the mailbox when it is missing" },
		       { "seen", NULL, "as already read" },
		       { "from", "ADDRESS", "the envelope's sender, for the mail filter; Return-Path unless given" },
		       { "no-filter", NULL, "put it into INBOX whatever the account's mail filter says" } } },
	{ .noun = NULL },
};
