/* tests/bench/store_bench.c - what the store costs: durable deliveries, scans, flags, opening, rebuilding.
 * Prints figures, asserts none. STORE_BENCH_DIR says where (default: here), STORE_BENCH_MESSAGES how big the big mailbox is
 * (default 100000), STORE_BENCH_DELIVERIES how many messages each delivery row takes (default 2000). */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/identity.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/mime.h"
#include "maildir/incoming.h"
#include "maildir/mailbox.h"
#include "maildir/store.h"

#include "common/banned.h"

#define ACCOUNTS 50

static char root[512];
static struct store *store;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long setting(const char *name, long otherwise)
{
	const char *v = getenv(name);

	return v ? strtol(v, NULL, 10) : otherwise;
}

static void must(struct fault f, const char *what)
{
	if (f.kind)
		BUG("%s: %s %s", what, fault_name(f.kind), f.detail ? f.detail : "");
}

static void run(const char *format, ...) PRINTF_LIKE(1, 2);
static void run(const char *format, ...)
{
	struct buf b;
	va_list ap;

	buf_init(&b, 8192);
	va_start(ap, format);
	buf_vappendf(&b, format, ap);
	va_end(ap);
	pid_t pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", buf_z(&b), (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
	buf_done(&b);
}

static void open_store(void)
{
	char mail[600];
	struct store_conf conf = { .mail_dir = mail, .host = "bench.test", .create_special_use = true };

	snprintf(mail, sizeof(mail), "%s/mail", root);
	must(store_open(&conf, &store), "store_open");
}

static struct maildir_user *open_user(const char *address)
{
	struct auth_identity *id = identity_for_admin(sv_z(address), SV_NONE);
	struct maildir_user *user;

	must(maildir_user_open(store, id, NULL, &user), "maildir_user_open");
	identity_unref(&id);
	return user;
}

/* --- deliveries -------------------------------------------------------------------------------------------------------- */

static _Atomic long left;
static char body[4096];

static void deliver_to(long account)
{
	char address[64];
	struct delivery place = { .mailbox = SV("INBOX") };
	struct incoming *in;

	snprintf(address, sizeof(address), "user%ld@bench.test", account);
	must(maildir_drop_open(store, sv_z(address), NULL, &place.drop), "drop");
	must(incoming_new(NULL, place.drop, 1 << 20, &in), "incoming_new");
	must(incoming_write(in, sv_from(body, sizeof(body))), "write");
	must(incoming_finish(in), "finish");
	must(incoming_deliver(in, &place, 1), "deliver");
	incoming_free(&in);
	maildir_drop_close(&place.drop);
}

static void *deliver_thread(void *arg)
{
	long accounts = *(long *)arg, n;

	while ((n = atomic_fetch_sub(&left, 1)) > 0)
		deliver_to(n % accounts);
	return NULL;
}

static void bench_deliveries(long threads, long accounts)
{
	pthread_t ids[64];
	long count = setting("STORE_BENCH_DELIVERIES", 2000);
	double start = now();

	atomic_store(&left, count);
	for (long i = 0; i < threads; i++)
		pthread_create(&ids[i], NULL, deliver_thread, &accounts);
	for (long i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	printf("durable deliveries, 4 KB, %2ld threads, %2ld accounts   %10.0f /s\n", threads, accounts,
	       (double)count / (now() - start));
	fflush(stdout);
}

/* --- one big mailbox --------------------------------------------------------------------------------------------------- */

static void make_big(long messages)
{
	struct maildir_user *user = open_user("big@bench.test");
	struct mailbox *box;
	struct mailbox_status st;
	char path[1024];

	must(mailbox_open(user, SV("INBOX"), &box), "open");
	must(mailbox_counters(box, &st), "counters");
	mailbox_close(&box);
	maildir_user_close(&user);
	for (long i = 1; i <= messages; i++) {
		char text[512];
		int len = snprintf(text, sizeof(text), "From: Sender %ld <s%ld@example.test>\r\nTo: big@bench.test\r\n"
				   "Subject: message number %ld\r\nDate: Sat, 21 Nov 2026 20:00:00 +0000\r\n"
				   "Message-ID: <%ld@example.test>\r\n\r\nHello %ld\r\n", i, i % 100, i, i, i);
		snprintf(path, sizeof(path), "%s/mail/bench.test/big/Maildir/cur/1700000000.m%ld.host,S=%d,W=%d,U=%u.%ld:2,%s",
			 root, i, len, len, st.uidvalidity, i, i % 2 ? "S" : "");
		FILE *f = fopen(path, "w");
		if (!f || fwrite(text, 1, (size_t)len, f) != (size_t)len || fclose(f))
			BUG("cannot write %s", path);
	}
}

static bool sum_row(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	*(uint64_t *)arg += row->flags + (parsed ? parsed->envelope.len : 0);
	return true;
}

static void scan(struct mailbox *box, unsigned want, const char *what, long messages)
{
	uint32_t resume = 0;
	uint64_t sum = 0;
	double start = now();

	do {
		must(mailbox_scan(box, NULL, want, &resume, sum_row, &sum), "scan");
	} while (resume);
	double took = now() - start;
	printf("%-52s %10.1f ms  %6.0f ns each\n", what, took * 1e3, took * 1e9 / (double)messages);
	fflush(stdout);
}

static void store_range(struct mailbox *box, uint32_t first, uint32_t last, uint32_t flags, const char *what)
{
	struct uidset set = { 0 };
	struct flag_change change = { .mode = STORE_ADD, .flags = flags };
	uint32_t resume = 0;
	double start = now();

	uidset_add(&set, first, last);
	do {
		must(mailbox_store_flags(box, &set, &change, &resume, NULL, NULL, NULL), "store");
	} while (resume);
	printf("%-52s %10.3f ms\n", what, (now() - start) * 1e3);
	uidset_done(&set);
}

static void rebuild(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	(void)done;
	(void)total;
}

static void bench_big(void)
{
	long messages = setting("STORE_BENCH_MESSAGES", 100000);
	struct maildir_user *user;
	struct mailbox *box;
	struct uidset uids = { 0 };
	uint64_t modseq;
	double start;

	make_big(messages);
	start = now();
	must(store_index_rebuild(store, SV("big@bench.test"), rebuild, NULL), "rebuild");
	printf("rebuild of identity, %7ld messages                 %10.1f ms\n", messages, (now() - start) * 1e3);
	start = now();
	user = open_user("big@bench.test");
	must(mailbox_open(user, SV("INBOX"), &box), "open");
	printf("open account and mailbox                             %10.3f ms\n", (now() - start) * 1e3);
	start = now();
	must(mailbox_uids(box, &uids, &modseq), "uids");
	printf("all UIDs                                             %10.3f ms\n", (now() - start) * 1e3);
	scan(box, SCAN_ROW, "flags of all", messages);
	scan(box, SCAN_PARSED, "envelopes of all, never parsed before", messages);
	scan(box, SCAN_PARSED, "envelopes of all", messages);
	store_range(box, 77, 77, FLAG_FLAGGED, "STORE of one message");
	store_range(box, 78, 78, FLAG_FLAGGED, "STORE of one message");
	store_range(box, 1, (uint32_t)messages, FLAG_ANSWERED, "STORE of all");
	start = now();
	store_tidy(store);
	printf("names that follow, one call of store_tidy()          %10.1f ms\n", (now() - start) * 1e3);
	uidset_done(&uids);
	mailbox_close(&box);
	maildir_user_close(&user);
}

static void bench_open(void)
{
	double start = now();
	long n = ACCOUNTS;

	for (long i = 0; i < n; i++) {
		char address[64];
		snprintf(address, sizeof(address), "user%ld@bench.test", i);
		struct maildir_user *user = open_user(address);
		maildir_user_close(&user);
	}
	printf("open an account, index closed                        %10.3f ms\n", (now() - start) * 1e3 / (double)n);
	struct maildir_user *user = open_user("user1@bench.test");
	start = now();
	for (long i = 0; i < 10000; i++) {
		struct quota_usage usage;
		must(maildir_user_quota(user, &usage), "quota");
	}
	printf("enter, look, leave                                   %10.3f us\n", (now() - start) * 1e6 / 10000);
	maildir_user_close(&user);
}

int main(void)
{
	const char *dir = getenv("STORE_BENCH_DIR");

	snprintf(root, sizeof(root), "%s/store-bench-XXXXXX", dir ? dir : ".");
	if (!mkdtemp(root))
		BUG("no folder");
	log_set_level(LOG_LEVEL_ERROR);
	memset(body, 'x', sizeof(body));
	for (size_t i = 77; i + 1 < sizeof(body); i += 78)
		memcpy(body + i, "\r\n", 2);
	memcpy(body, "From: a@b.test\r\nSubject: bench\r\n\r\n", 34);
	open_store();
	double start = now();
	for (long i = 0; i < ACCOUNTS; i++)
		deliver_to(i);
	printf("first delivery, account made                         %10.3f ms\n", (now() - start) * 1e3 / ACCOUNTS);
	bench_deliveries(1, ACCOUNTS);
	bench_deliveries(8, ACCOUNTS);
	bench_deliveries(20, ACCOUNTS);
	bench_deliveries(20, 1);
	store_close(&store);
	open_store();
	bench_open();
	bench_big();
	store_close(&store);
	run("rm -rf '%s'", root);
	return 0;
}
