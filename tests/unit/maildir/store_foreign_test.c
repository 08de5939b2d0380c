/* Other programs in the Maildir: mail, flags and names that they change, and how we hear of it. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/identity.h"
#include "common/memory.h"
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

static void mail_that_others_deliver_is_adopted(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;
	struct message_row row;
	struct buf text;

	fixture_append(f->inbox, f->user, "ours", 0);
	foreign(f, "printf 'Subject: theirs\\n\\nbare\\nlines\\n' > tmp/x && touch -d @1600000000 tmp/x && "
		   "mv tmp/x new/1500000000.M1P2.other");
	foreign(f, "printf 'Subject: odd\\r\\n\\r\\n' > 'cur/odd:2,FS'");
	foreign(f, "mkdir -p .Work/cur .Work/new .Work/tmp && printf 'Subject: w\\r\\n\\r\\n' > .Work/new/1.a.b");
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 3);
	assert_int_equal(st.unseen, 2);
	/* One of the two came first; both have their flags, dates and sizes. */
	for (uint32_t uid = 2; uid <= 3; uid++) {
		ok(mailbox_row(f->inbox, uid, &row));
		buf_init(&text, 1000);
		fixture_read(f->inbox, uid, &text);
		assert_int_equal(text.len, row.size);
		if (row.flags) {
			assert_int_equal(row.flags, FLAG_FLAGGED | FLAG_SEEN);
		} else {
			assert_string_equal(buf_z(&text), "Subject: theirs\r\n\r\nbare\r\nlines\r\n");
			assert_true(row.internaldate == 1600000000 && row.savedate == 1500000000);
		}
		buf_done(&text);
	}
	ok(mailbox_status(f->user, SV("Work"), &st));
	assert_int_equal(st.messages, 1);
	assert_int_equal(fixture_differences(f), 0);
	foreign(f, "test -z \"$(ls new)\"");
}

static bool note_change(void *arg, const struct change *c)
{
	buf_appendf(arg, "%c%u:%x ", c->kind == CHANGE_NEW ? 'N' : c->kind == CHANGE_FLAGS ? 'F' : 'X', c->uid, c->flags);
	return true;
}

static void flags_that_others_set_are_merged_with_ours(void **state)
{
	struct fixture *f = *state;
	struct uidset uids = { 0 };
	struct buf out;
	uint64_t since, until;
	struct message_row row;

	for (int i = 0; i < 4; i++)
		fixture_append(f->inbox, f->user, "x", FLAG_FLAGGED);
	ok(mailbox_uids(f->inbox, &uids, &since));
	fixture_store(f->inbox, 1, 1, STORE_ADD, FLAG_ANSWERED, "Work"); /* only in index and log until names follow */
	usleep(30000);
	foreign(f, "for n in cur/*; do case $n in *.1:2,F) mv $n ${n%F}S;; *.2:2,F) mv $n ${n}T;; *.3:2,F) rm $n;; esac; done");
	buf_init(&out, 1000);
	ok(mailbox_changes(f->inbox, since, note_change, &out, &until));
	/* Theirs: seen, not flagged. Ours: answered. */
	assert_true(sv_search(buf_sv(&out), SV("F1:3 ")) != SIZE_MAX);
	assert_true(sv_search(buf_sv(&out), SV("F2:c ")) != SIZE_MAX);
	assert_true(sv_search(buf_sv(&out), SV("X3:0 ")) != SIZE_MAX);
	ok(mailbox_row(f->inbox, 1, &row));
	assert_true(row.keywords.w[0] == 1);
	assert_int_equal(fixture_differences(f), 0);

	/* The same after the index is lost, and with the names settled. */
	fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	ok(mailbox_row(f->inbox, 1, &row));
	assert_int_equal(row.flags, FLAG_SEEN | FLAG_ANSWERED);
	store_tidy(f->store);
	foreign(f, "ls cur/*.1:2,RSa && test ! -s postroom-flags.log");
	assert_int_equal(fixture_differences(f), 0);
	uidset_done(&uids);
	buf_done(&out);
}

static void a_message_renamed_meanwhile_is_still_read(void **state)
{
	struct fixture *f = *state;
	struct message_reader *r;
	struct buf text;

	fixture_append(f->inbox, f->user, "x", 0);
	fixture_append(f->inbox, f->user, "y", 0);
	foreign(f, "for n in cur/*.1:2,; do mv $n ${n}S; done; rm cur/*.2:2,");
	buf_init(&text, 1000);
	fixture_read(f->inbox, 1, &text);
	assert_true(text.len > 0);
	assert_int_equal(message_open(f->inbox, 2, &r).kind, FAULT_GONE);
	buf_done(&text);
}

static void mailboxes_that_others_rename_keep_their_messages(void **state)
{
	struct fixture *f = *state;
	struct mailbox *sent = fixture_mailbox(f, "Sent");
	struct mailbox_status st;

	fixture_append(sent, f->user, "x", 0);
	foreign(f, "mv .Sent .Gesendet && rm -r .Junk && cp -a .Gesendet .Copy");
	ok(mailbox_status(f->user, SV("Gesendet"), &st));
	assert_int_equal(st.messages, 1);
	ok(mailbox_counters(sent, &st));
	ok(mailbox_status(f->user, SV("Copy"), &st));
	assert_int_equal(st.messages, 1);
	assert_int_equal(mailbox_status(f->user, SV("Sent"), &st).kind, FAULT_NOT_FOUND);
	assert_int_equal(mailbox_status(f->user, SV("Junk"), &st).kind, FAULT_NOT_FOUND);
	mailbox_close(&sent);
	assert_int_equal(fixture_differences(f), 0);
}

/* Another program makes a folder, at this time. */
static void make_folder_at(struct fixture *f, const char *name, const struct timespec *at)
{
	struct timespec times[2] = { *at, *at };

	assert_int_equal(fixture_shell("mkdir -p '%s/%s/cur'", fixture_path(f, "Maildir"), name), 0);
	assert_int_equal(utimensat(AT_FDCWD, fixture_path(f, "Maildir"), times, 0), 0);
}

static bool count_one(void *arg, const struct mailbox_info *info)
{
	*(unsigned *)arg += info->exists;
	return true;
}

static void a_folder_made_in_the_same_tick_as_the_last_look_is_seen(void **state)
{
	struct fixture *f = *state;
	struct timespec at;
	unsigned first = 0, second = 0;

	/* A time that is still young when this host is slow. */
	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += 600;
	make_folder_at(f, ".One", &at);
	ok(mailbox_list(f->user, count_one, &first));
	make_folder_at(f, ".Two", &at);
	ok(mailbox_list(f->user, count_one, &second));
	assert_int_equal(second, first + 1);
}

static void an_inbox_without_folders_is_empty_not_broken(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;

	fixture_append(f->inbox, f->user, "x", 0);
	foreign(f, "rm -r cur new");
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 0);
	assert_int_equal(fixture_append(f->inbox, f->user, "x", 0), 2);
}

static void links_and_pipes_are_not_read(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;
	struct message_reader *r;

	fixture_append(f->inbox, f->user, "x", 0);
	foreign(f, "ln -s /etc/passwd cur/1.a.b:2, && mkfifo cur/2.a.b:2, && ln -s /tmp .Link && mkdir cur/3.a.b:2,");
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 1);
	assert_int_equal(mailbox_status(f->user, SV("Link"), &st).kind, FAULT_NOT_FOUND);
	foreign(f, "for n in cur/*.1:2,; do rm $n; ln -s /etc/passwd $n; done");
	assert_int_not_equal(message_open(f->inbox, 1, &r).kind, FAULT_NONE);
}

#define RENAMED 300

static void rename_on_and_on(struct fixture *f, int until)
{
	char c;

	fixture_shell("cd '%s' && while ! read -t 0 stop <&%d 2>/dev/null; do for m in *; do case $m in *:2,S) mv -n \"$m\" \"${m%%S}\";; "
		      "*:2,) mv -n \"$m\" \"${m}S\";; esac; done; done 2>/dev/null", fixture_path(f, "Maildir/cur"), until);
	(void)!read(until, &c, 1);
}

/* A directory read misses files while names change: no message may vanish for it, nor come back under another UID. */
static void a_scan_beside_a_program_that_renames_loses_nothing(void **state)
{
	struct fixture f;
	struct mailbox_status st;
	int stop[2], status;

	(void)state;
	fixture_make_folder(&f);
	fixture_open(&f);
	assert_int_equal(fixture_shell("cd '%s' && seq -f '1700000000.%%05g.then' 1 %d | while read n; do "
				       "printf 'Subject: x\r\n\r\n' > $n; done", fixture_path(&f, "Maildir/new"), RENAMED), 0);
	ok(mailbox_counters(f.inbox, &st));
	assert_int_equal(st.messages, RENAMED);
	assert_int_equal(pipe(stop), 0);
	pid_t pid = fork();
	if (!pid) {             /* touches no index: /bin/sh renames */
		close(stop[1]);
		rename_on_and_on(&f, stop[0]);
		_exit(0);
	}
	close(stop[0]);
	for (int i = 0; i < 150; i++) {
		ok(mailbox_counters(f.inbox, &st));
		assert_int_equal(st.messages, RENAMED);
		assert_int_equal(st.uidnext, RENAMED + 1);
		usleep(2000);
	}
	assert_int_equal(write(stop[1], "x\n", 2), 2);
	close(stop[1]);
	waitpid(pid, &status, 0);
	for (int i = 0; i < 3; i++)
		ok(mailbox_counters(f.inbox, &st));
	assert_int_equal(st.messages, RENAMED);
	assert_int_equal(st.uidnext, RENAMED + 1);
	fixture_remove(&f);
}

/* One file that gets other flags all the time, thousands of times a second: whenever its new name is seen, it has another one by the
 * time it is to be adopted. */
struct toggling {
	const char *base;
	atomic_bool is_over;
};

static void *toggle(void *arg)
{
	static const char *const flags[] = { "", "F", "FS", "S", "R", "RS" };
	struct toggling *t = arg;
	char from[1024], to[1024];

	snprintf(from, sizeof(from), "%s", t->base);
	for (unsigned i = 1; !atomic_load(&t->is_over); i++) {
		snprintf(to, sizeof(to), "%s%s", t->base, flags[i % ARRAY_LEN(flags)]);
		if (!rename(from, to))
			memcpy(from, to, sizeof(from));
	}
	rename(from, t->base);
	return NULL;
}

static void a_message_whose_name_never_rests_stays_the_same_message(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;
	struct toggling t = { .is_over = false };
	char base[1024];
	FILE *name;
	pthread_t thread;

	fixture_append(f->inbox, f->user, "x", 0);
	snprintf(base, sizeof(base), "ls %s/*", fixture_path(f, "Maildir/cur"));
	name = popen(base, "r");
	assert_non_null(fgets(base, sizeof(base), name));
	pclose(name);
	base[strcspn(base, "\n")] = '\0';
	t.base = base;
	assert_int_equal(pthread_create(&thread, NULL, toggle, &t), 0);
	for (int i = 0; i < 200; i++) {
		ok(mailbox_counters(f->inbox, &st));
		assert_int_equal(st.messages, 1);
		assert_int_equal(st.uidnext, 2);
	}
	atomic_store(&t.is_over, true);
	pthread_join(thread, NULL);
}

static void note_copy(void *arg, uint32_t from, uint32_t to)
{
	buf_appendf(arg, "%u>%u ", from, to);
}

/* RFC 9051 §6.4.7: OK means that all are copied. Many a client deletes the originals then. */
static void a_copy_leaves_out_nothing_that_others_renamed(void **state)
{
	struct fixture *f = *state;
	struct mailbox *archive = fixture_mailbox(f, "Archive");
	struct buf told;
	uint32_t resume = 0;

	buf_init(&told, 1000);
	for (int i = 0; i < 5; i++)
		fixture_append(f->inbox, f->user, "x", 0);
	foreign(f, "for n in cur/*; do case $n in *.1:2,|*.3:2,) mv $n ${n}S;; *.4:2,) rm $n;; esac; done");
	do
		ok(mailbox_copy(f->inbox, NULL, archive, false, &resume, note_copy, &told));
	while (resume);
	assert_string_equal(buf_z(&told), "1>1 2>2 3>3 5>4 ");
	foreign(f, "for n in cur/*; do case $n in *.1:2,S|*.3:2,S) mv $n ${n%S}F;; esac; done");
	buf_clear(&told);
	do
		ok(mailbox_copy(f->inbox, NULL, archive, true, &resume, note_copy, &told));
	while (resume);
	assert_string_equal(buf_z(&told), "1>5 2>6 3>7 5>8 ");
	assert_int_equal(fixture_differences(f), 0);
	mailbox_close(&archive);
	buf_done(&told);
}

/* What a message has by us, and not by its name, is nowhere but in the log. */
static void flags_outlive_a_rename_that_was_not_seen_when_names_followed(void **state)
{
	struct fixture *f = *state;
	struct message_row row;

	fixture_append(f->inbox, f->user, "x", FLAG_SEEN);
	fixture_store(f->inbox, 1, 1, STORE_REPLACE, FLAG_FLAGGED, NULL);
	usleep(30000);
	foreign(f, "for n in cur/*; do mv $n ${n%S}; done");
	store_tidy(f->store);           /* finds no file of the name that it knows, and cuts the log */
	ok(mailbox_row(f->inbox, 1, &row));
	assert_int_equal(row.flags, FLAG_FLAGGED);
	struct mailbox_status st;
	ok(mailbox_counters(f->inbox, &st));    /* looks at the folder */
	fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	ok(mailbox_row(f->inbox, 1, &row));
	assert_int_equal(row.flags, FLAG_FLAGGED);
}

/* --- notices --------------------------------------------------------------------------------------------------------------- */

static void count_notice(void *arg, void *tag)
{
	assert_ptr_equal(tag, arg);
	++*(unsigned *)arg;
}

static unsigned notices(struct fixture *f, unsigned *counter, int wait_ms)
{
	struct pollfd p = { store_watch_fd(f->store), POLLIN, 0 };

	*counter = 0;
	while (poll(&p, 1, *counter ? 0 : wait_ms) > 0)
		store_watch_read(f->store, count_notice, counter);
	return *counter;
}

static void deliver_one(struct fixture *f)
{
	fixture_open(f);
	if (fixture_deliver(f, ALICE, "Subject: x\r\n\r\n", NULL).kind)
		_exit(2);
}

static void changes_by_other_processes_are_noticed(void **state)
{
	struct fixture f;
	struct mailbox_status st;
	unsigned counter = 0;
	int go[2], status;
	char c;

	(void)state;
	fixture_make_folder(&f);
	assert_int_equal(pipe(go), 0);
	pid_t pid = fork();             /* before anything is opened */
	if (!pid) {
		struct fixture mine = f;
		for (int i = 0; i < 3; i++) {
			if (read(go[0], &c, 1) != 1)
				_exit(9);
			if (i == 0)
				deliver_one(&mine);
			else if (i == 1)
				fixture_shell("cd '%s' && printf 'Subject: y\\n\\n' > new/1.x.y", fixture_path(&mine, "Maildir"));
			else
				fixture_shell("rm -rf '%s'", fixture_path(&mine, "index"));
		}
		_exit(0);
	}
	fixture_open(&f);
	ok(maildir_user_watch(f.user, &counter));
	notices(&f, &counter, 0);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(write(go[1], "x", 1), 1);
		assert_true(notices(&f, &counter, 5000) > 0);
		for (int tries = 0; tries < 500; tries++) {
			ok(mailbox_counters(f.inbox, &st));
			if (st.messages > i || st.messages == 2)
				break;
			usleep(10000);
		}
		assert_int_equal(st.messages, i < 2 ? i + 1 : 2);
		notices(&f, &counter, 50);
	}
	waitpid(pid, &status, 0);
	/* The index was replaced: the new one is watched as well. */
	fixture_append(f.inbox, f.user, "own", 0);
	assert_true(notices(&f, &counter, 5000) > 0);
	ok(maildir_user_watch(f.user, NULL));
	fixture_append(f.inbox, f.user, "own", 0);
	assert_int_equal(notices(&f, &counter, 50), 0);
	close(go[0]);
	close(go[1]);
	fixture_remove(&f);
}

/* As where fs.inotify.max_user_instances is used up. */
static void open_without_inotify(struct fixture *f, char mail[96])
{
	struct store_conf conf = { .mail_dir = mail, .host = "host.test", .create_special_use = true };
	struct auth_identity *id = identity_for_admin(SV(ALICE), SV_NONE);
	struct rlimit was, none;

	snprintf(mail, 96, "%s/mail", f->root);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ 0, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	struct fault opened = store_open(&conf, &f->store);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	ok(opened);
	ok(maildir_user_open(f->store, id, NULL, &f->user));
	ok(mailbox_open(f->user, SV("INBOX"), &f->inbox));
	identity_unref(&id);
}

static unsigned looks(struct fixture *f, unsigned *counter)
{
	*counter = 0;
	store_watch_look(f->store);
	store_watch_read(f->store, count_notice, counter);
	return *counter;
}

static void without_inotify_the_files_are_looked_at(void **state)
{
	struct fixture f;
	char mail[96];
	unsigned counter = 0;

	(void)state;
	fixture_make_folder(&f);
	open_without_inotify(&f, mail);
	assert_int_equal(store_watch_fd(f.store), -1);
	assert_false(store_watch_is_blind(f.store));
	ok(maildir_user_watch(f.user, &counter));
	assert_true(store_watch_is_blind(f.store));
	looks(&f, &counter);
	assert_int_equal(looks(&f, &counter), 0);
	ok(fixture_deliver(&f, ALICE, "Subject: x\r\n\r\n", NULL));
	assert_int_equal(looks(&f, &counter), 1);
	assert_int_equal(looks(&f, &counter), 0);
	fixture_shell("cd '%s' && printf 'Subject: y\n\n' > new/1.x.y", fixture_path(&f, "Maildir"));
	assert_int_equal(looks(&f, &counter), 1);
	fixture_shell("rm -rf '%s'", fixture_path(&f, "index"));
	assert_int_equal(looks(&f, &counter), 1);
	ok(maildir_user_watch(f.user, NULL));
	assert_false(store_watch_is_blind(f.store));
	fixture_remove(&f);
}

static void who_selects_more_than_can_be_watched_is_told_too(void **state)
{
	struct fixture *f = *state;
	struct mailbox *boxes[40];
	unsigned counter = 0;
	char id[24], name[20];

	ok(maildir_user_watch(f->user, &counter));
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "box%d", i);
		ok(mailbox_create(f->user, sv_z(name), 0, id));
		boxes[i] = fixture_mailbox(f, name);
	}
	assert_true(store_watch_is_blind(f->store));
	looks(f, &counter);
	looks(f, &counter);
	assert_int_equal(looks(f, &counter), 0);
	fixture_shell("cd '%s' && printf 'Subject: y\n\n' > new/1.x.y", fixture_path(f, "Maildir/.box39"));
	assert_true(looks(f, &counter) > 0);
	for (int i = 0; i < 40; i++)
		mailbox_close(&boxes[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* These fork, and a child must not touch environments of its parent: first, with nothing open. */
		cmocka_unit_test(a_scan_beside_a_program_that_renames_loses_nothing),
		cmocka_unit_test(changes_by_other_processes_are_noticed),
		cmocka_unit_test(without_inotify_the_files_are_looked_at),
		TEST(mail_that_others_deliver_is_adopted),
		TEST(who_selects_more_than_can_be_watched_is_told_too),
		TEST(flags_that_others_set_are_merged_with_ours),
		TEST(a_message_renamed_meanwhile_is_still_read),
		TEST(a_message_whose_name_never_rests_stays_the_same_message),
		TEST(a_copy_leaves_out_nothing_that_others_renamed),
		TEST(flags_outlive_a_rename_that_was_not_seen_when_names_followed),
		TEST(mailboxes_that_others_rename_keep_their_messages),
		TEST(a_folder_made_in_the_same_tick_as_the_last_look_is_seen),
		TEST(an_inbox_without_folders_is_empty_not_broken),
		TEST(links_and_pipes_are_not_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
