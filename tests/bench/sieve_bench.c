/* tests/bench/sieve_bench.c - what a script of 30 rules costs a delivery, without the network around it: CPU per durable delivery of
 * a letter of 4 KB with and without it, and the memory of a run. `sieve_bench RULES COUNT` makes that many deliveries and prints
 * nothing, for counting instructions (doc/sieve.md, "What it costs"). Works in a folder of its own below the current one. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/identity.h"
#include "common/memory.h"
#include "maildir/files.h"
#include "maildir/filter.h"

#include "common/banned.h"

#define ACCOUNT "alice@bench.test"
#define RUNS 2000

static char root[64];
static struct store *store;
static struct filters *filters;
static struct buf letter;

static void must(struct fault f, const char *what)
{
	if (f.kind)
		BUG("%s: %s %s", what, fault_name(f.kind), f.detail ? f.detail : "");
}

static double cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* ---- the letter and the script ---- */

static void write_letter(void)
{
	buf_init(&letter, 65536);
	for (int i = 1; i <= 4; i++)
		(void)buf_appendf(&letter, "Received: from hop%d.example.net (hop%d.example.net [192.0.2.%d])\r\n\tby hop%d.example.net with ESMTPS id "
				  "4Xyz%d; Sun, 22 Nov 2026 02:0%d:00 +0000\r\n", i, i, i, i + 1, i, i);
	(void)buf_append(&letter, SV("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=s1; t=1795312800;\r\n"
				     "\th=from:to:subject:date:message-id; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n"
				     "\tb=dzdVyOfAKCdLXdJOc9G2q8LoXSlEniSbav+yuU4zGeeruD00lszZVoG4ZHRNiYzR\r\n"
				     "From: \"A Friend\" <friend@example.net>\r\nTo: Alice <alice@bench.test>, Bob <bob@bench.test>\r\n"
				     "Cc: team@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and the minutes of our meeting\r\n"
				     "Date: Sun, 22 Nov 2026 02:00:00 +0000\r\nMessage-ID: <1795312800.1@example.net>\r\nMIME-Version: 1.0\r\n"
				     "Content-Type: text/plain; charset=utf-8\r\nUser-Agent: Mailer/1.0\r\n\r\n"));
	while (letter.len < 4096)
		(void)buf_append(&letter, SV("A line of text as people write them, neither long nor short.\r\n"));
}

/* None takes the letter: every one is looked at. */
static void write_script(long rules, struct buf *out)
{
	(void)buf_append(out, SV("require [\"fileinto\", \"imap4flags\"];\n"));
	for (long n = 0; n < rules; n++)
		if (n % 3)
			(void)buf_appendf(out, "if header :contains [\"list-id\", \"subject\"] \"list-%ld.example.net\" { fileinto \"List%ld\"; stop; }\n", n, n);
		else
			(void)buf_appendf(out, "if address :domain :is [\"from\", \"sender\"] \"shop-%ld.example.net\" { addflag \"\\\\Seen\"; "
					  "fileinto \"Shop%ld\"; stop; }\n", n, n);
}

static void give_rules(long rules)
{
	static const struct scripts_quota no_limit = { 0, 0 };
	struct auth_identity *id = identity_for_admin(SV(ACCOUNT), SV_NONE);
	struct maildir_user *user;
	struct scripts *scripts;
	struct buf text;

	buf_init(&text, 1 << 20);
	write_script(rules, &text);
	must(maildir_user_open(store, id, NULL, &user), "user");
	must(scripts_open_user(user, &scripts), "scripts");
	must(scripts_put(scripts, SV("rules"), buf_sv(&text), &no_limit), "put");
	must(scripts_activate(scripts, SV("rules")), "activate");
	scripts_close(&scripts);
	maildir_user_close(&user);
	identity_unref(&id);
	buf_done(&text);
}

/* ---- deliveries ---- */

static void deliver(void)
{
	struct delivery place = { .mailbox = SV("INBOX") };
	struct filter_request request = { .filters = filters, .account = SV(ACCOUNT), .message_max = 1 << 20, .hostname = SV("mx.bench.test") };
	struct filter_result result;
	struct incoming *in;

	must(maildir_drop_open(store, SV(ACCOUNT), NULL, &place.drop), "drop");
	must(incoming_new(NULL, place.drop, 1 << 20, &in), "incoming");
	must(incoming_write(in, buf_sv(&letter)), "write");
	must(incoming_finish(in), "finish");
	request.drop = place.drop;
	request.message = in;
	request.envelope = (struct sieve_envelope){ .from = SV("friend@example.net"), .to = SV(ACCOUNT) };
	must(filter_run(&request, &result), "filter");
	if (result.is_filtered && (result.place_count != 1 || !result.places[0].is_kept || result.error.is_set))
		BUG("the script took the letter");
	must(incoming_deliver(in, &place, 1), "deliver");
	filter_done(&result);
	incoming_free(&in);
	maildir_drop_close(&place.drop);
}

static double cost_of(long count)
{
	double start = cpu_us();

	for (long i = 0; i < count; i++)
		deliver();
	return (cpu_us() - start) / (double)count;
}

/* ---- one run ---- */

static bool read_letter(void *arg, uint64_t offset, size_t len, struct buf *out)
{
	(void)arg;
	return buf_append(out, sv_sub(buf_sv(&letter), (size_t)offset, len));
}

static void bench_run(long rules)
{
	struct mime_message *m = mime_parse(buf_sv(&letter));
	struct sieve_mail mail = { .message = m, .header = sv_sub(buf_sv(&letter), 0, (size_t)m->header_len), .read = read_letter };
	struct sieve_envelope envelope = { .from = SV("friend@example.net"), .to = SV(ACCOUNT) };
	struct sieve_host host = { .now = { 1795312800, 0 } };
	struct sieve_script *script = NULL;
	struct sieve_errors errors;
	struct sieve_result result;
	struct buf text;
	double start;

	buf_init(&text, 1 << 20);
	write_script(rules, &text);
	start = cpu_us();
	for (int i = 0; i < 100; i++) {
		sieve_script_free(&script);
		must(sieve_compile(buf_sv(&text), NULL, &script, &errors), "compile");
	}
	printf("compiling %ld rules                       %8.1f us\n", rules, (cpu_us() - start) / 100);
	start = cpu_us();
	for (int i = 0; i < RUNS; i++) {
		if (i)
			sieve_result_free(&result);
		sieve_run(script, &mail, &envelope, &host, &result);
	}
	printf("running %ld rules                         %8.1f us\n", rules, (cpu_us() - start) / RUNS);
	printf("memory of the run, at most               %8.1f KiB\n", (double)result.memory / 1024);
	sieve_result_free(&result);
	sieve_script_free(&script);
	mime_message_free(&m);
	buf_done(&text);
}

int main(int argc, char **argv)
{
	char mail[100], site[100];
	struct store_conf conf = { .mail_dir = mail, .host = "bench.test", .create_special_use = true };
	long rules = argc > 2 ? strtol(argv[1], NULL, 10) : 0, count = argc > 2 ? strtol(argv[2], NULL, 10) : RUNS;

	snprintf(root, sizeof(root), "sieve-bench-XXXXXX");
	if (!mkdtemp(root))
		BUG("%s cannot be made", root);
	snprintf(mail, sizeof(mail), "%s/mail", root);
	snprintf(site, sizeof(site), "%s/sieve", root);
	if (mkdir(mail, 0700))
		BUG("%s cannot be made", mail);
	must(store_open(&conf, &store), "store");
	must(filters_open(site, &filters), "filters");
	write_letter();
	if (argc > 2) {
		if (rules)
			give_rules(rules);
		(void)cost_of(count);
	} else {
		bench_run(30);
		deliver();
		double without = cost_of(count), with;

		give_rules(30);
		deliver();
		with = cost_of(count);
		printf("delivery without a script                %8.1f us of CPU\ndelivery with 30 rules                   %8.1f us of CPU: %.0f %%\n",
		       without, with, 100 * without / with);
	}
	filters_close(&filters);
	store_close(&store);
	buf_done(&letter);
	files_remove_tree(AT_FDCWD, root);
	return 0;
}
