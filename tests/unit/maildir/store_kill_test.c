/* Several processes work in one account and are killed at any moment: what was acknowledged is there, no UID ever means
 * another message, and the index agrees with the files, also when it is made anew.
 *
 * Workers note in shared memory what they begin and what was acknowledged; memory outlives a kill -9 as the page cache does.
 * STORE_KILLS=n makes it longer. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/mime.h"
#include "tests/unit/support/store_fixture.h"

#define WORKERS 3
#define MESSAGES 4000           /* of one worker, in all its lives */

enum where { NOWHERE = 0, INBOX, ARCHIVE, EXPUNGED, UNKNOWN };  /* UNKNOWN: its operation was interrupted */
enum doing { IDLE = 0, APPENDING, STORING, MOVING, EXPUNGING };

struct note {
	uint32_t uid;
	uint8_t where, flags;
};

struct worker_notes {
	uint32_t count;                 /* messages begun */
	uint32_t doing, subject;        /* what is under way, with which message */
	uint8_t to_flags;
	uint32_t killed_while[5];
	struct note notes[MESSAGES];
};

static struct worker_notes *shared;

static void in_flight(struct worker_notes *n, enum doing what, uint32_t subject)
{
	n->subject = subject;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	n->doing = what;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void acknowledged(struct worker_notes *n)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	n->doing = IDLE;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static uint32_t copied_to;

static void note_copy(void *arg, uint32_t from, uint32_t to)
{
	(void)arg;
	(void)from;
	copied_to = to;
}

static uint32_t pick(const struct worker_notes *n, enum where where)
{
	for (int tries = 0; tries < 50 && n->count; tries++) {
		uint32_t at = (uint32_t)rand() % n->count;
		if (n->notes[at].where == where)
			return at;
	}
	return UINT32_MAX;
}

static void work(struct fixture *f, int worker)
{
	struct worker_notes *n = &shared[worker];
	struct mailbox *archive = fixture_mailbox(f, "Archive");
	char subject[40];

	for (;;) {
		int what = rand() % 10;
		uint32_t at = pick(n, INBOX);
		struct uidset one = { 0 }, gone = { 0 };
		uint32_t resume = 0;

		if (n->count == MESSAGES)
			_exit(3);
		if (what < 4 || at == UINT32_MAX) {
			at = n->count++;
			in_flight(n, APPENDING, at);
			snprintf(subject, sizeof(subject), "w%d-%u", worker, at);
			if (what % 2) {
				char text[100];
				snprintf(text, sizeof(text), "Subject: %s\r\n\r\nbody\r\n", subject);
				if (fixture_deliver(f, ALICE, text, &n->notes[at].uid).kind)
					_exit(4);
			} else {
				n->notes[at].uid = fixture_append(f->inbox, f->user, subject, 0);
			}
			n->notes[at].where = INBOX;
		} else if (what < 7) {
			n->to_flags = (uint8_t)(rand() % 8) & (FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED);
			in_flight(n, STORING, at);
			fixture_store(f->inbox, n->notes[at].uid, n->notes[at].uid, STORE_REPLACE, n->to_flags, NULL);
			n->notes[at].flags = n->to_flags;
		} else if (what < 9) {
			in_flight(n, MOVING, at);
			uidset_add(&one, n->notes[at].uid, n->notes[at].uid);
			copied_to = 0;
			if (mailbox_copy(f->inbox, &one, archive, true, &resume, note_copy, NULL).kind || !copied_to)
				_exit(5);
			n->notes[at].uid = copied_to;
			n->notes[at].where = ARCHIVE;
		} else {
			in_flight(n, EXPUNGING, at);
			uidset_add(&one, n->notes[at].uid, n->notes[at].uid);
			if (mailbox_expunge(f->inbox, &one, true, &resume, &gone).kind || uidset_total(&gone) != 1)
				_exit(6);
			n->notes[at].where = EXPUNGED;
		}
		acknowledged(n);
		uidset_done(&one);
		uidset_done(&gone);
		if (rand() % 50 == 0)
			store_tidy(f->store);
		if (rand() % 20 == 0)
			store_flush_flags(f->store);
	}
}

static pid_t start(struct fixture *f, int worker, unsigned seed)
{
	pid_t pid = fork();

	if (!pid) {
		srand(seed);
		fixture_open(f);
		work(f, worker);
	}
	assert_true(pid > 0);
	return pid;
}

/* --- what is left ------------------------------------------------------------------------------------------------------ */

struct seen {
	uint32_t uid, flags;
	enum where where;
	unsigned times;
};

struct gathering {
	struct seen *seen[WORKERS];
	enum where where;
	unsigned violations;
};

static bool gather(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct gathering *g = arg;
	unsigned worker, at;
	char subject[64];

	if (!parsed)
		BUG("message %u cannot be read", row->uid);
	snprintf(subject, sizeof(subject), "%.*s", SV_FMT(parsed->base_subject));
	if (sscanf(subject, "w%u-%u", &worker, &at) != 2 && sscanf(subject, "W%u-%u", &worker, &at) != 2)
		BUG("strange subject %s", subject);
	struct seen *s = &g->seen[worker][at];
	s->uid = row->uid;
	s->flags = row->flags;
	s->where = g->where;
	s->times++;
	return true;
}

static void violation(struct gathering *g, int worker, uint32_t at, const char *what)
{
	const struct note *n = &shared[worker].notes[at];
	const struct seen *s = &g->seen[worker][at];

	g->violations++;
	fprintf(stderr, "w%d-%u: %s: noted where=%d uid=%u flags=%x, found times=%u where=%d uid=%u flags=%x\n", worker, at,
		what, n->where, n->uid, n->flags, s->times, (int)s->where, s->uid, s->flags);
}

static void compare(struct gathering *g, int worker, uint32_t at)
{
	const struct worker_notes *w = &shared[worker];
	const struct note *n = &w->notes[at];
	const struct seen *s = &g->seen[worker][at];
	enum doing doing = w->subject == at ? (enum doing)w->doing : IDLE;

	if (s->times > 1) {
		violation(g, worker, at, "twice");
	} else if (doing == APPENDING || n->where == UNKNOWN) {
		return;                 /* never acknowledged: there or not */
	} else if (n->where == EXPUNGED) {
		if (s->times)
			violation(g, worker, at, "came back");
	} else if (!s->times) {
		if (doing != EXPUNGING)
			violation(g, worker, at, "lost");
	} else if (s->where != n->where) {
		if (doing != MOVING)
			violation(g, worker, at, "in another mailbox");
	} else if (s->uid != n->uid) {
		violation(g, worker, at, "other UID");
	} else if (s->flags != n->flags && !(doing == STORING && s->flags == w->to_flags)) {
		violation(g, worker, at, "other flags");
	}
}

/* In a process of its own: the parent never opens the store, so that it may fork. */
static unsigned check(struct fixture *f, bool without_index)
{
	pid_t pid;
	int status;

	if (without_index)
		fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	pid = fork();
	if (!pid) {
		struct gathering g = { .violations = 0 };
		for (int w = 0; w < WORKERS; w++)
			g.seen[w] = xcalloc(MESSAGES, sizeof(struct seen));
		fixture_open(f);
		for (g.where = INBOX; g.where <= ARCHIVE; g.where++) {
			struct mailbox *box = fixture_mailbox(f, g.where == INBOX ? "INBOX" : "Archive");
			uint32_t resume = 0;
			do {
				if (mailbox_scan(box, NULL, SCAN_PARSED, &resume, gather, &g).kind)
					_exit(100);
			} while (resume);
			mailbox_close(&box);
		}
		for (int w = 0; w < WORKERS; w++)
			for (uint32_t i = 0; i < shared[w].count; i++)
				compare(&g, w, i);
		g.violations += fixture_differences(f);
		fixture_close(f);
		_exit(g.violations > 99 ? 99 : (int)g.violations);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? (unsigned)WEXITSTATUS(status) : 1000;
}

/* Kill a worker; was it in the middle of something? */
static unsigned end(pid_t pid, int worker)
{
	struct worker_notes *n = &shared[worker];
	int status;

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (!WIFSIGNALED(status))
		fprintf(stderr, "worker %d ended by itself with %d\n", worker, WEXITSTATUS(status));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	n->killed_while[n->doing]++;
	return n->doing != IDLE;
}

/* Its next life does not touch the message that it was working on. */
static void settle(int worker)
{
	struct worker_notes *n = &shared[worker];

	if (n->doing != IDLE)
		n->notes[n->subject].where = UNKNOWN;
	n->doing = IDLE;
}

static void killed_processes_lose_nothing_that_was_acknowledged(void **state)
{
	struct fixture f;
	pid_t pids[WORKERS];
	int kills = getenv("STORE_KILLS") ? (int)strtol(getenv("STORE_KILLS"), NULL, 10) : 60;
	unsigned met = 0, seed = getenv("STORE_SEED") ? (unsigned)strtoul(getenv("STORE_SEED"), NULL, 10) :
			      (unsigned)time(NULL);

	(void)state;
	srand(seed);
	shared = mmap(NULL, WORKERS * sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	fixture_make_folder(&f);
	for (int w = 0; w < WORKERS; w++)
		pids[w] = start(&f, w, seed + (unsigned)w);
	for (int k = 0; k < kills; k++) {
		int w = rand() % WORKERS;
		usleep((useconds_t)(3000 + rand() % 20000));
		met += end(pids[w], w);
		if (k % 10 == 9) {      /* all of them, and a look at what is left */
			for (int o = 0; o < WORKERS; o++)
				if (o != w)
					met += end(pids[o], o);
			unsigned bad = check(&f, k % 20 == 9);
			if (bad)
				fprintf(stderr, "%u violations at kill %d, STORE_SEED=%u\n", bad, k, seed);
			assert_int_equal(bad, 0);
			for (int o = 0; o < WORKERS; o++) {
				settle(o);
				if (o != w)
					pids[o] = start(&f, o, (unsigned)rand());
			}
		}
		settle(w);
		pids[w] = start(&f, w, (unsigned)rand());
	}
	for (int w = 0; w < WORKERS; w++)
		met += end(pids[w], w);
	assert_int_equal(check(&f, false), 0);
	assert_int_equal(check(&f, true), 0);
	fprintf(stderr, "kills=%d met an operation=%u: append %u store %u move %u expunge %u\n", kills, met,
		shared[0].killed_while[APPENDING] + shared[1].killed_while[APPENDING] + shared[2].killed_while[APPENDING],
		shared[0].killed_while[STORING] + shared[1].killed_while[STORING] + shared[2].killed_while[STORING],
		shared[0].killed_while[MOVING] + shared[1].killed_while[MOVING] + shared[2].killed_while[MOVING],
		shared[0].killed_while[EXPUNGING] + shared[1].killed_while[EXPUNGING] + shared[2].killed_while[EXPUNGING]);
	fixture_shell("rm -rf '%s'", f.root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_processes_lose_nothing_that_was_acknowledged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
