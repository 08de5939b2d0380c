/* tests/bench/scale_bench.c - does a step cost the same in a small mailbox and in a huge one? SELECT, new mail, a flag change, an expunge
 * and a look for news, in mailboxes of 1,000, 10,000, 100,000 and 1,000,000 messages (or up to the number given), index in memory.
 *
 *   make bench-scale [SCALE=100000]
 *
 * Prints processor time of the thread (which other work on the machine changes little) and wall time, medians over STEPS; and the ratio
 * of processor time to the smallest mailbox's; then, for bulk work on 100,000 messages, how long one transaction lasts, for which the
 * others of the account wait. Messages are links of a few files: their octets do not matter here. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/identity.h"
#include "common/kv.h"
#include "common/log.h"
#include "maildir/incoming.h"
#include "maildir/mailbox.h"
#include "maildir/store.h"

#include "common/banned.h"

#define ADDRESS "big@bench.test"
#define TEXT "From: a@b.test\r\nSubject: bench\r\nDate: Sat, 21 Nov 2026 20:00:00 +0000\r\n\r\nHello.\r\n"
#define STEPS 300
#define LINKS_MAX 30000         /* of one file; file systems have limits */
#define SIZES 4

enum step { STEP_FIRST_SELECT, STEP_SELECT, STEP_DELIVER, STEP_NEWS, STEP_FLAG, STEP_EXPUNGE, STEP_REBUILD, STEP_COUNT };
static const char *const step_names[STEP_COUNT] = {
	"first SELECT in a process", "SELECT", "new mail, durable", "look for news", "flag change", "expunge of one, durable",
	"rebuild of identity",
};
static struct result {
	double cpu_us, wall_us;
} results[SIZES][STEP_COUNT];

static void must(struct fault f, const char *what)
{
	if (f.kind)
		BUG("%s: %s %s", what, fault_name(f.kind), f.detail ? f.detail : "");
}

static double clock_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* --- taking the time -------------------------------------------------------------------------------------------------- */

struct watch {
	double cpu[STEPS], wall[STEPS];
	size_t count;
	double cpu_from, wall_from;
};

static void watch_start(struct watch *w)
{
	w->wall_from = clock_us(CLOCK_MONOTONIC);
	w->cpu_from = clock_us(CLOCK_THREAD_CPUTIME_ID);
}

static void watch_stop(struct watch *w)
{
	w->cpu[w->count] = clock_us(CLOCK_THREAD_CPUTIME_ID) - w->cpu_from;
	w->wall[w->count++] = clock_us(CLOCK_MONOTONIC) - w->wall_from;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void watch_end(struct watch *w, struct result *out)
{
	qsort(w->cpu, w->count, sizeof(double), by_value);
	qsort(w->wall, w->count, sizeof(double), by_value);
	*out = (struct result){ w->cpu[w->count / 2], w->wall[w->count / 2] };
	w->count = 0;
}

/* --- a mailbox --------------------------------------------------------------------------------------------------------- */

static struct store *store;
static struct maildir_user *user;

static void open_store(const char *mail)
{
	struct store_conf conf = { .mail_dir = mail, .host = "bench.test", .create_special_use = true };
	struct auth_identity *id = identity_for_admin(SV(ADDRESS), SV_NONE);

	must(store_open(&conf, &store), "store_open");
	must(maildir_user_open(store, id, NULL, &user), "maildir_user_open");
	identity_unref(&id);
}

static void close_store(void)
{
	maildir_user_close(&user);
	store_close(&store);
}

static void make_messages(const char *mail, long messages)
{
	struct mailbox_status st;
	char seed[700], path[900];
	struct mailbox *box;

	must(mailbox_open(user, SV("INBOX"), &box), "open");
	must(mailbox_counters(box, &st), "counters");
	mailbox_close(&box);
	for (long i = 1; i <= messages; i++) {
		if (i % LINKS_MAX == 1) {
			snprintf(seed, sizeof(seed), "%s/seed.%ld", mail, i);
			int fd = open(seed, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
			if (fd < 0 || write(fd, TEXT, sizeof(TEXT) - 1) != sizeof(TEXT) - 1 || close(fd))
				BUG("cannot write %s", seed);
		}
		snprintf(path, sizeof(path), "%s/bench.test/big/Maildir/cur/1700000000.m%ld.host,S=%zu,W=%zu,U=%u.%ld:2,%s", mail, i,
			 sizeof(TEXT) - 1, sizeof(TEXT) - 1, st.uidvalidity, i, i % 2 ? "S" : "");
		if (link(seed, path))
			BUG("cannot link %s", path);
	}
}

/* --- the steps --------------------------------------------------------------------------------------------------------- */

static void select_box(struct mailbox **out)
{
	struct mailbox_status st;
	struct uidset uids = { 0 };
	uint64_t modseq;
	uint32_t uid;

	must(mailbox_open(user, SV("INBOX"), out), "open");
	must(mailbox_counters(*out, &st), "counters");
	must(mailbox_uids(*out, &uids, &modseq), "uids");
	must(mailbox_first_unseen(*out, &uid), "unseen");
	uidset_done(&uids);
}

static void deliver(void)
{
	struct delivery place = { .mailbox = SV("INBOX") };
	struct incoming *in;

	must(maildir_drop_open(store, SV(ADDRESS), NULL, &place.drop), "drop");
	must(incoming_new(NULL, place.drop, 1 << 20, &in), "incoming_new");
	must(incoming_write(in, SV(TEXT)), "write");
	must(incoming_finish(in), "finish");
	must(incoming_deliver(in, &place, 1), "deliver");
	incoming_free(&in);
	maildir_drop_close(&place.drop);
}

static bool ignore_change(void *arg, const struct change *change)
{
	(void)arg;
	(void)change;
	return true;
}

static void set_flag(struct mailbox *box, uint32_t uid, uint32_t flag)
{
	struct flag_change change = { .mode = STORE_ADD, .flags = flag };
	struct uidset set = { 0 };
	uint32_t resume = 0;

	uidset_add(&set, uid, uid);
	must(mailbox_store_flags(box, &set, &change, &resume, NULL, NULL, NULL), "store");
	uidset_done(&set);
}

static void expunge_one(struct mailbox *box, uint32_t uid)
{
	struct uidset set = { 0 }, gone = { 0 };
	uint32_t resume = 0;

	uidset_add(&set, uid, uid);
	must(mailbox_expunge(box, &set, true, &resume, &gone), "expunge");
	uidset_done(&set);
	uidset_done(&gone);
}

static void take_steps(const char *mail, long messages, struct result out[STEP_COUNT])
{
	uint32_t apart = (uint32_t)(messages / (2 * STEPS + 1)), uid = apart;
	struct watch *w = calloc(STEP_COUNT, sizeof(*w));
	struct mailbox *box;
	uint64_t modseq = 0;
	struct uidset uids = { 0 };

	select_box(&box);
	mailbox_close(&box);
	close_store();
	open_store(mail);
	watch_start(&w[STEP_FIRST_SELECT]);
	select_box(&box);
	watch_stop(&w[STEP_FIRST_SELECT]);
	must(mailbox_uids(box, &uids, &modseq), "uids");
	uidset_done(&uids);
	for (int i = 0; i < STEPS; i++, uid += 2 * apart) {
		struct mailbox *other;
		watch_start(&w[STEP_SELECT]);
		select_box(&other);
		watch_stop(&w[STEP_SELECT]);
		mailbox_close(&other);
		watch_start(&w[STEP_DELIVER]);
		deliver();
		watch_stop(&w[STEP_DELIVER]);
		watch_start(&w[STEP_NEWS]);
		must(mailbox_changes(box, modseq, ignore_change, NULL, &modseq), "changes");
		watch_stop(&w[STEP_NEWS]);
		watch_start(&w[STEP_FLAG]);
		set_flag(box, uid, FLAG_FLAGGED);
		watch_stop(&w[STEP_FLAG]);
		watch_start(&w[STEP_EXPUNGE]);
		expunge_one(box, uid + apart);
		watch_stop(&w[STEP_EXPUNGE]);
	}
	mailbox_close(&box);
	for (int s = 0; s < STEP_REBUILD; s++)
		watch_end(&w[s], &out[s]);
	free(w);
}

static void measure(long messages, struct result out[STEP_COUNT])
{
	char mail[600];
	struct watch *w = calloc(1, sizeof(*w));

	snprintf(mail, sizeof(mail), "mail-%ld", messages);
	open_store(mail);
	make_messages(mail, messages);
	watch_start(w);
	must(store_index_rebuild(store, SV(ADDRESS), NULL, NULL), "rebuild");
	watch_stop(w);
	watch_end(w, &out[STEP_REBUILD]);
	free(w);
	close_store();
	sync();                 /* what making them left to write is not this bench's */
	open_store(mail);
	take_steps(mail, messages, out);
	close_store();
}

/* --- bulk work: how long does one transaction keep the others of the account waiting? ------------------------------------- */

enum bulk { BULK_FLAG, BULK_COPY, BULK_MOVE, BULK_EXPUNGE, BULK_COUNT };
static const char *const bulk_names[BULK_COUNT] = { "flag all", "COPY all", "MOVE all", "EXPUNGE all" };
static double held_from, held_most;

static unsigned note_begin(void)
{
	held_from = clock_us(CLOCK_THREAD_CPUTIME_ID);
	return 0;
}

static void note_end(unsigned slot)
{
	double held = clock_us(CLOCK_THREAD_CPUTIME_ID) - held_from;

	(void)slot;
	held_most = held > held_most ? held : held_most;
}

static void do_bulk(enum bulk what, struct mailbox *inbox, struct mailbox *other)
{
	struct flag_change change = { .mode = STORE_ADD, .flags = FLAG_ANSWERED };
	struct uidset gone = { 0 };
	uint32_t resume = 0;

	do {
		switch (what) {
		case BULK_FLAG:
			must(mailbox_store_flags(inbox, NULL, &change, &resume, NULL, NULL, NULL), "store");
			break;
		case BULK_COPY:
		case BULK_MOVE:
			must(mailbox_copy(inbox, NULL, other, what == BULK_MOVE, &resume, NULL, NULL), "copy");
			break;
		default:
			must(mailbox_expunge(other, NULL, true, &resume, &gone), "expunge");
		}
	} while (resume);
	uidset_done(&gone);
}

static void bulk(const char *mail, long messages)
{
	struct mailbox *inbox, *other;

	open_store(mail);
	must(mailbox_open(user, SV("INBOX"), &inbox), "open");
	must(mailbox_open(user, SV("Archive"), &other), "open");
	kv_set_txn_hooks(note_begin, note_end);
	printf("\n%-28s%12s   longest transaction, CPU\n", "of about as many as there are", "seconds");
	for (int what = 0; what < BULK_COUNT; what++) {
		double from = clock_us(CLOCK_MONOTONIC);
		held_most = 0;
		do_bulk(what, inbox, other);
		printf("%-11s%9ld messages%11.1f %15.1f ms\n", bulk_names[what], messages * (what == BULK_EXPUNGE ? 2 : 1),
		       (clock_us(CLOCK_MONOTONIC) - from) / 1e6, held_most / 1e3);
		fflush(stdout);
	}
	kv_set_txn_hooks(NULL, NULL);
	mailbox_close(&inbox);
	mailbox_close(&other);
	close_store();
}

/* --- the table --------------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
	long sizes[SIZES] = { 1000, 10000, 100000 }, most = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
	size_t count = 0;

	while (count < SIZES - 1 && sizes[count] < most)
		count++;
	sizes[count++] = most < 1000 ? 1000 : most;
	size_t bulky = count < 3 ? count - 1 : 2;

	log_set_level(LOG_LEVEL_ERROR);
	printf("%-28s", "CPU us (wall us)");
	for (size_t i = 0; i < count; i++) {
		printf("%12ld messages", sizes[i]);
		fflush(stdout);
		measure(sizes[i], results[i]);
	}
	printf("%10s\n", "ratio");
	for (int s = 0; s < STEP_COUNT; s++) {
		printf("%-28s", step_names[s]);
		for (size_t i = 0; i < count; i++)
			printf("%9.0f (%9.0f)", results[i][s].cpu_us, results[i][s].wall_us);
		double ratio = results[count - 1][s].cpu_us / results[0][s].cpu_us;
		printf("%10.2f%s\n", ratio, s == STEP_REBUILD ? "  (grows with the mailbox)" :
				     ratio <= 2 ? "" : "  MORE THAN 2");
	}
	char mail[40];

	snprintf(mail, sizeof(mail), "mail-%ld", sizes[bulky]);
	bulk(mail, sizes[bulky]);
	return 0;
}
