/* postroom store compress|decompress */
#include <stdio.h>

#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/directory.h"
#include "maildir/pack.h"

#include "common/banned.h"

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	progress_update(arg, done, total);
}

static int change_all(struct cli *cli, struct store *store, char **accounts, size_t count, bool pack)
{
	struct pack_links *links = pack_links_new();
	struct pack_counts counts = { 0 };
	char before[24], after[24];
	int code = EXIT_DONE;

	for (size_t i = 0; i < count && code == EXIT_DONE; i++) {
		struct progress progress;
		progress_start(&progress, accounts[i], "messages");
		code = cli_fault(accounts[i], store_pack_account(store, sv_z(accounts[i]), pack, links, &counts, show_progress,
								 &progress));
		progress_end(&progress);
	}
	pack_links_free(&links);
	print_bytes(counts.before, before);
	print_bytes(counts.after, after);
	if (cli->json)
		printf("{\"messages\":%llu,\"changed\":%llu,\"before\":%llu,\"after\":%llu,\"failed\":%llu}\n",
		       (unsigned long long)counts.messages, (unsigned long long)counts.changed, (unsigned long long)counts.before,
		       (unsigned long long)counts.after, (unsigned long long)counts.failed);
	else
		printf("%llu messages, %llu of them %s: %s before, %s now\n", (unsigned long long)counts.messages,
		       (unsigned long long)counts.changed, pack ? "compressed" : "decompressed", before, after);
	if (code == EXIT_DONE && counts.failed) {
		complain("postroom verify", "%llu messages cannot be read and were left alone", (unsigned long long)counts.failed);
		code = EXIT_FAILED;
	}
	return code;
}

static int run(struct cli *cli, bool pack)
{
	struct store *store = NULL;
	char **accounts = NULL;
	size_t count = 0;
	int code = list_accounts(cli, cli->arg_count ? cli->args[0] : NULL, cli_option(cli, "domain"), &accounts, &count);

	if (code == EXIT_DONE)
		code = open_store(cli, &store);
	if (code == EXIT_DONE)
		code = change_all(cli, store, accounts, count, pack);
	store_close(&store);
	directory_addresses_free(&accounts, &count);
	return code;
}

static int run_compress(struct cli *cli)
{
	return run(cli, true);
}

static int run_decompress(struct cli *cli)
{
	return run(cli, false);
}

const struct verb store_verbs[] = {
	{ .noun = "store", .verb = "compress", .args = "[ACCOUNT]", .args_max = 1, .needs_root = true,
	  .summary = "Compress stored messages where they lie; clients see no difference",
	  .example = "store compress alice@example.org", .run = run_compress,
	  .options = { { "domain", "NAME", "only accounts of this domain" } } },
	{ .noun = "store", .verb = "decompress", .args = "[ACCOUNT]", .args_max = 1, .needs_root = true,
	  .summary = "Make plain files of compressed messages again", .example = "store decompress", .run = run_decompress,
	  .options = { { "domain", "NAME", "only accounts of this domain" } } },
	{ .noun = NULL },
};
