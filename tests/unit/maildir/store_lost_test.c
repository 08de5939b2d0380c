/* Power cuts, lost, damaged and copied indexes, full disks: what is there afterwards, whoever works meanwhile. */
#include <pthread.h>
#include <stdatomic.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory.h"
#include "maildir/mark_private.h"
#include "tests/unit/support/store_fixture.h"

#define ok(call) assert_int_equal((call).kind, FAULT_NONE)

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	fixture_make(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_remove(*state);
	free(*state);
	return 0;
}

/* In the account's Maildir, by another process. */
#define foreign(f, command) assert_int_equal(fixture_shell("cd '%s' && %s", fixture_path(f, "Maildir"), command), 0)

/* --- power cuts, copies -------------------------------------------------------------------------------------------------- */

static void another_boot(char out[BOOT_ID_MAX])
{
	snprintf(out, BOOT_ID_MAX, "another-boot");
}

/* Run in a process of its own, because a process keeps its environments. */
static void in_child(struct fixture *f, void (*fn)(struct fixture *f))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		fn(f);
		fixture_close(f);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void fill_and_die(struct fixture *f)
{
	fixture_open(f);
	for (int i = 0; i < 20; i++)
		fixture_append(f->inbox, f->user, "x", 0);
	fixture_store(f->inbox, 5, 9, STORE_ADD, FLAG_SEEN, "Word");
	kill(getpid(), SIGKILL);        /* no clean end: the mark stays */
}

static void damage(struct fixture *f)
{
	/* What a power cut may do without any error: the counters are wrong. */
	fixture_shell("cd '%s' && f=index/data.mdb && s=$(stat -c %%s $f) && test -e index/dirty -o -L index/dirty && "
		      "dd if=/dev/urandom of=$f bs=4096 seek=2 count=3 conv=notrunc 2> /dev/null", fixture_path(f, "."));
	mark_boot_id = another_boot;
	fixture_open(f);
	struct mailbox_status st;
	if (mailbox_counters(f->inbox, &st).kind || st.messages != 20 || st.unseen != 15)
		_exit(2);
	if (fixture_append(f->inbox, f->user, "next", 0) <= 20)
		_exit(3);
	if (fixture_differences(f))
		_exit(4);
}

static void an_index_of_before_a_power_cut_is_made_anew(void **state)
{
	struct fixture f;
	int status;

	(void)state;
	fixture_make_folder(&f);
	pid_t pid = fork();
	if (!pid)
		fill_and_die(&f);
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	in_child(&f, damage);
	/* A clean end leaves no mark, so the next boot believes the index. */
	assert_int_equal(fixture_shell("test ! -L '%s'", fixture_path(&f, "index/dirty")), 0);
	fixture_shell("rm -rf '%s'", f.root);
}

static void fill_and_close(struct fixture *f)
{
	fixture_open(f);
	for (int i = 0; i < 5; i++)
		fixture_append(f->inbox, f->user, "x", 0);
}

static void expect_five(struct fixture *f)
{
	fixture_open(f);
	struct mailbox_status st;
	if (mailbox_counters(f->inbox, &st).kind || st.messages != 5 || fixture_differences(f))
		_exit(2);
}

static void a_copied_tree_gets_an_index_of_its_own(void **state)
{
	struct fixture f;

	(void)state;
	fixture_make_folder(&f);
	in_child(&f, fill_and_close);
	fixture_shell("cd '%s' && cp -a mail copy && rm -r mail && mv copy mail", f.root);
	in_child(&f, expect_five);
	fixture_shell("rm -rf '%s'", f.root);
}

static void expect_all_to_heal(struct fixture *f)
{
	struct mailbox_status st;
	struct buf all;
	struct fault r = FAULT_OK;

	fixture_open(f);        /* an index that cannot even be opened is made anew here */
	buf_init(&all, 1 << 16);
	for (int tries = 0; tries < 3; tries++) {
		r = mailbox_counters(f->inbox, &st);
		if (!r.kind && fixture_deliver(f, ALICE, "Subject: x\r\n\r\n", NULL).kind == FAULT_NONE)
			break;
	}
	fixture_describe(f->inbox, &all);
	if (r.kind || st.messages < 5 || fixture_differences(f))
		_exit(2);
	buf_done(&all);
}

static void a_damaged_index_is_made_anew(void **state)
{
	static const char *const damages[] = {
		"truncate -s 8192 %s", "truncate -s 20480 %s", "truncate -s 0 %s", "rm %s", "echo garbage > %s",
		"dd if=/dev/urandom of=%s bs=4096 count=2 conv=notrunc 2> /dev/null",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		struct fixture f;
		struct buf command;
		struct sv rest = sv_z(damages[i]);
		buf_init(&command, 4096);
		fixture_make_folder(&f);
		in_child(&f, fill_and_close);
		while (rest.len) {
			size_t at = sv_search(rest, SV("%s"));
			buf_append(&command, sv_sub(rest, 0, at));
			if (at == SIZE_MAX)
				break;
			buf_append(&command, sv_z(fixture_path(&f, "index/data.mdb")));
			sv_skip(&rest, at + 2);
		}
		fixture_shell("%s", buf_z(&command));
		buf_done(&command);
		in_child(&f, expect_all_to_heal);
		fixture_shell("rm -rf '%s'", f.root);
	}
}

static void broken_sidecars_are_made_from_what_is_known(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status before, after;
	uint32_t uid;

	for (int i = 0; i < 5; i++)
		fixture_append(f->inbox, f->user, "x", 0);
	ok(mailbox_counters(f->inbox, &before));
	foreign(f, "echo garbage > postroom-mailbox && echo garbage > postroom-account && rm postroom-subscriptions");
	fixture_close(f);
	fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	fixture_open(f);
	ok(mailbox_counters(f->inbox, &after));
	assert_int_equal(before.uidvalidity, after.uidvalidity);
	assert_int_equal(after.messages, 5);
	uid = fixture_append(f->inbox, f->user, "x", 0);
	assert_true(uid > 5);
	assert_int_equal(fixture_differences(f), 0);
}

static void ten_thousand_messages_come_back_the_same(void **state)
{
	struct fixture *f = *state;
	struct buf before, after;

	/* As another postroom left them: names alone, most of them never seen by this index. */
	fixture_append(f->inbox, f->user, "x", 0);
	foreign(f, "v=$(ls cur | sed 's/.*U=\\([0-9]*\\).*/\\1/'); i=2; while [ $i -le 10000 ]; do "
		   "s=; [ $((i % 3)) != 0 ] || s=S; printf x > cur/1700000000.m$i.host,S=1,W=1,U=$v.$i,T=16$i:2,$s; "
		   "i=$((i + 1)); done");
	fixture_close(f);
	fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	fixture_open(f);
	buf_init(&before, 1 << 24);
	buf_init(&after, 1 << 24);
	for (uint32_t i = 0; i < 30; i++) {
		char word[16];
		snprintf(word, sizeof(word), "word%u", i);
		fixture_store(f->inbox, i * 300 + 1, i * 300 + 200, STORE_ADD, FLAG_ANSWERED, word);
	}
	fixture_describe(f->inbox, &before);
	assert_int_equal(sv_search(buf_sv(&before), SV("messages 10000 ")), 0);

	/* Known UIDs are brought up to date by the changes since. */
	struct uidset uids = { 0 }, again = { 0 };
	uint64_t modseq;
	ok(mailbox_uids(f->inbox, &uids, &modseq));
	assert_int_equal(uidset_total(&uids), 10000);
	fixture_store(f->inbox, 4000, 4009, STORE_ADD, FLAG_DELETED, NULL);
	assert_int_equal(fixture_expunge(f->inbox), 10);
	uint32_t uid = fixture_append(f->inbox, f->user, "z", 0);
	ok(mailbox_uids(f->inbox, &again, &modseq));
	assert_int_equal(uidset_total(&again), 9991);
	assert_true(uidset_has(&again, uid) && uidset_has(&again, 3999) && uidset_has(&again, 4010));
	assert_int_equal(uidset_next(&again, 4000), 4010);
	uidset_done(&uids);
	uidset_done(&again);
	buf_clear(&before);
	fixture_describe(f->inbox, &before);
	fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	fixture_describe(f->inbox, &after);
	assert_int_equal(sv_cmp(buf_sv(&before), buf_sv(&after)), 0);
	store_tidy(f->store);
	fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	buf_clear(&after);
	fixture_describe(f->inbox, &after);
	assert_int_equal(sv_cmp(buf_sv(&before), buf_sv(&after)), 0);
	assert_int_equal(fixture_differences(f), 0);
	buf_done(&before);
	buf_done(&after);
}

#define THREADS 4
#define ROUNDS 60

static void *work_in_thread(void *arg)
{
	struct fixture *f = arg;
	struct mailbox *box = fixture_mailbox(f, "INBOX");
	struct buf all;

	for (int i = 0; i < ROUNDS; i++) {
		uint32_t uid = fixture_append(box, f->user, "x", 0);
		fixture_store(box, uid, uid, STORE_ADD, FLAG_SEEN, i % 7 ? NULL : "Word");
		if (i % 10 == 0) {
			buf_init(&all, 1 << 20);
			fixture_describe(box, &all);
			buf_done(&all);
		}
		if (i % 15 == 0)
			store_tidy(f->store);
	}
	mailbox_close(&box);
	return NULL;
}

static void threads_go_on_while_the_index_is_removed(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work_in_thread, f), 0);
	for (int i = 0; i < 5; i++) {
		usleep(20000);
		fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, THREADS * ROUNDS);
	assert_int_equal(st.unseen, 0);
	assert_int_equal(fixture_differences(f), 0);
}

#define MARKED 1500

struct marking {
	struct fixture *f;
	atomic_bool is_over;
};

static void *settle_in_thread(void *arg)
{
	struct marking *m = arg;

	while (!atomic_load(&m->is_over))
		store_tidy(m->f->store);
	return NULL;
}

/* Lines of the flag log that are equally long, and several who let names follow it: whoever comes second must not cut off
 * what came behind the first one's cut. Only a rebuild, from names and log, shows what is lost. */
static void flags_are_kept_while_several_let_names_follow(void **state)
{
	struct fixture *f = *state;
	struct marking m = { .f = f };
	struct mailbox_status st;
	pthread_t threads[2];

	atomic_init(&m.is_over, false);
	for (int i = 0; i < MARKED; i++)
		(void)fixture_append(f->inbox, f->user, "x", 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, settle_in_thread, &m), 0);
	for (uint32_t uid = 1; uid <= MARKED; uid++)
		fixture_store(f->inbox, uid, uid, STORE_ADD, FLAG_SEEN, NULL);
	atomic_store(&m.is_over, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, MARKED);
	assert_int_equal(st.unseen, 0);
}

static void only_one_at_a_time_lets_names_follow(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	int log;

	uint32_t uid = fixture_append(f->inbox, f->user, "x", 0);
	fixture_store(f->inbox, uid, uid, STORE_ADD, FLAG_SEEN, NULL);
	log = open(fixture_path(f, "Maildir/postroom-flags.log"), O_RDONLY | O_CLOEXEC);
	assert_true(log >= 0 && !flock(log, LOCK_EX));
	store_tidy(f->store);
	assert_int_equal(fstat(log, &st), 0);
	assert_true(st.st_size > 0);    /* somebody else is at it: it is his to cut */
	close(log);
	store_tidy(f->store);
	assert_int_equal(stat(fixture_path(f, "Maildir/postroom-flags.log"), &st), 0);
	assert_int_equal(st.st_size, 0);
}

/* --- schedules ------------------------------------------------------------------------------------------------------------- */

static void note_state(struct fixture *f, const char *name)
{
	struct mailbox_status st;
	char path[128];

	ok(mailbox_counters(f->inbox, &st));
	snprintf(path, sizeof(path), "%s/%s", f->root, name);
	FILE *file = fopen(path, "w");
	if (!file || fprintf(file, "%u %u %llu\n", st.uidvalidity, st.uidnext, (unsigned long long)st.highestmodseq) < 0 || fclose(file))
		_exit(3);
}

static void fill_before_the_copy(struct fixture *f)
{
	fixture_open(f);
	for (int i = 0; i < 5; i++)
		fixture_append(f->inbox, f->user, "old", 0);
	store_tidy(f->store);
	fixture_shell("cp -a '%s/mail' '%s/copy'", f->root, f->root);   /* as a backup program does it, under a live server */
	/* More than one block of UIDs: the sidecar of the copy knows nothing of them. */
	fixture_shell("cd '%s' && seq -f '1700000000.%%05g.then' 1 1500 | while read n; do printf 'Subject: x\r\n\r\n' > $n; done",
		      fixture_path(f, "Maildir/new"));
	struct mailbox_status st;
	ok(mailbox_counters(f->inbox, &st));
	if (st.uidnext <= 1500)
		_exit(6);
	for (int i = 0; i < 3; i++)
		fixture_store(f->inbox, 1, 45, i % 2 ? STORE_REMOVE : STORE_ADD, FLAG_FLAGGED, NULL);
	note_state(f, "told");
}

static void append_after_the_restore(struct fixture *f)
{
	unsigned uidvalidity, uidnext;
	unsigned long long modseq;
	struct mailbox_status st;
	char path[128];

	fixture_open(f);
	snprintf(path, sizeof(path), "%s/told", f->root);
	FILE *file = fopen(path, "r");
	if (!file || fscanf(file, "%u %u %llu", &uidvalidity, &uidnext, &modseq) != 3 || fclose(file))
		_exit(3);
	uint32_t uid = fixture_append(f->inbox, f->user, "new", 0);
	ok(mailbox_counters(f->inbox, &st));
	if (st.uidvalidity == uidvalidity && (uid < uidnext || st.highestmodseq <= modseq))
		_exit(4);
	if (st.messages != 6)
		_exit(5);
}

/* What was told between the copy and its return is never told again with another meaning, whatever came back with it: the whole tree
 * with index and mark, the Maildir alone under the newer index, or the Maildir without any index. */
static void a_tree_that_comes_back_reuses_no_number(void **state)
{
	static const char *const ways[] = {
		"rm -r mail && mv copy mail",
		"rm -r mail/example.test/alice/Maildir && mv copy/example.test/alice/Maildir mail/example.test/alice/",
		"rm -r mail && mv copy mail && rm -r mail/example.test/alice/index",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct fixture f;
		fixture_make_folder(&f);
		in_child(&f, fill_before_the_copy);
		assert_int_equal(fixture_shell("cd '%s' && %s", f.root, ways[i]), 0);
		in_child(&f, append_after_the_restore);
		fixture_shell("rm -rf '%s'", f.root);
	}
}

/* --- full disk ------------------------------------------------------------------------------------------------------------- */

static void a_full_disk_refuses_mail_and_still_expunges(void **state)
{
	struct fixture f;
	struct mailbox_status st;
	struct fault r = FAULT_OK;
	char *big = xmalloc(100001);

	(void)state;
	fixture_make_folder(&f);
	if (mount("tmpfs", f.root, "tmpfs", 0, "size=8m")) {
		free(big);
		fixture_shell("rm -rf '%s'", f.root);
		skip();                 /* needs root: mount(2) */
		return;
	}
	fixture_open(&f);
	memset(big, 'x', 100000);
	memcpy(big, "Subject: x\r\n\r\n", 14);
	big[100000] = '\0';
	unsigned accepted = 0;
	while (!(r = fixture_deliver(&f, ALICE, big, NULL)).kind && accepted < 1000)
		accepted++;
	assert_int_equal(r.kind, FAULT_NO_SPACE);
	assert_true(accepted > 10);
	/* Nothing at all is left. */
	fixture_shell("dd if=/dev/zero of='%s/filler' bs=4096 2> /dev/null", f.root);
	ok(mailbox_counters(f.inbox, &st));
	assert_int_equal(st.messages, accepted);
	fixture_store(f.inbox, 1, accepted, STORE_ADD, FLAG_DELETED, NULL);
	assert_int_equal(fixture_expunge(f.inbox), accepted);
	ok(mailbox_counters(f.inbox, &st));
	assert_int_equal(st.messages, 0);
	fixture_shell("rm '%s/filler'", f.root);
	ok(fixture_deliver(&f, ALICE, big, NULL));
	assert_int_equal(fixture_differences(&f), 0);
	fixture_close(&f);
	umount(f.root);
	fixture_shell("rm -rf '%s'", f.root);
	free(big);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* These fork, and a child must not touch environments of its parent: first, with nothing open. */
		cmocka_unit_test(an_index_of_before_a_power_cut_is_made_anew),
		cmocka_unit_test(a_damaged_index_is_made_anew),
		cmocka_unit_test(a_copied_tree_gets_an_index_of_its_own),
		cmocka_unit_test(a_tree_that_comes_back_reuses_no_number),
		cmocka_unit_test(a_full_disk_refuses_mail_and_still_expunges),
		TEST(broken_sidecars_are_made_from_what_is_known),
		TEST(threads_go_on_while_the_index_is_removed),
		TEST(flags_are_kept_while_several_let_names_follow),
		TEST(only_one_at_a_time_lets_names_follow),
		TEST(ten_thousand_messages_come_back_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
