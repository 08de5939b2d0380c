/* postroom deliver: a message on standard input into a mailbox, for fetchmail, getmail and scripts. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/directory.h"
#include "common/lines.h"
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

static int deliver(struct cli *cli, const struct conf *conf, struct store *store, struct directory *dir)
{
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

	if (!f.kind)
		f = incoming_deliver(in, &place, 1);
	if (!f.kind && cli->json)
		printf("{\"uid\":%u,\"uidvalidity\":%u}\n", place.uid, place.uidvalidity);
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
	  .summary = "Put a message from standard input into a mailbox",
	  .example = "deliver alice@example.org --mailbox Archive <message.eml", .run = run_deliver,
	  .options = { { "mailbox", "NAME", "where to; INBOX unless given" },
		       { "create", NULL, "make the mailbox when it is missing" },
		       { "seen", NULL, "as already read" } } },
	{ .noun = NULL },
};
