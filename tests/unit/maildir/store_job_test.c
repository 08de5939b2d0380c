/* A job enters an account once: what it does stays right, and nobody is kept out for longer than the job lasts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/identity.h"
#include "tests/unit/support/store_fixture.h"

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_make(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	store_job_end();
	fixture_remove(*state);
	free(*state);
	return 0;
}

#define ok(call) assert_int_equal((call).kind, FAULT_NONE)
#define TEXT "Subject: x\r\n\r\nx\r\n"

/* Could another process make the index anew now? */
static bool is_free(struct fixture *f, const char *account)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/mail/example.test/%s", f->root, account);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	bool had = !flock(fd, LOCK_EX | LOCK_NB);

	close(fd);
	return had;
}

static void a_job_keeps_its_account_until_it_ends(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;

	ok(mailbox_counters(f->inbox, &st));
	assert_true(is_free(f, "alice"));
	store_job_begin();
	fixture_append(f->inbox, f->user, "one", 0);
	assert_false(is_free(f, "alice"));
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 1);
	store_job_end();
	assert_true(is_free(f, "alice"));
}

static void going_to_another_account_leaves_the_first(void **state)
{
	struct fixture *f = *state;

	store_job_begin();
	fixture_append(f->inbox, f->user, "one", 0);
	ok(fixture_deliver(f, BOB, TEXT, NULL));
	assert_true(is_free(f, "alice"));
	assert_false(is_free(f, "bob"));
	fixture_append(f->inbox, f->user, "two", 0);
	assert_true(is_free(f, "bob"));
	store_job_end();
	assert_true(is_free(f, "alice"));
}

static void what_needs_the_account_alone_gets_it_inside_a_job(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;

	fixture_append(f->inbox, f->user, "one", 0);
	store_job_begin();
	ok(mailbox_counters(f->inbox, &st));
	ok(store_index_rebuild(f->store, SV(ALICE), NULL, NULL));
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 1);
	store_tidy(f->store);
	ok(mailbox_counters(f->inbox, &st));
	store_job_end();
	store_job_begin();
	ok(mailbox_counters(f->inbox, &st));
	mailbox_close(&f->inbox);
	maildir_user_close(&f->user);
	store_job_end();
}

static void an_index_that_goes_is_noticed_by_the_next_job(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;

	store_job_begin();
	fixture_append(f->inbox, f->user, "one", 0);
	fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	fixture_append(f->inbox, f->user, "two", 0);    /* the names stay, and with them the mail */
	store_job_end();
	store_job_begin();
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 2);
	store_job_end();
	assert_int_equal(fixture_differences(f), 0);
}

static void another_programs_mail_is_noticed_by_the_next_job(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;

	store_job_begin();
	ok(mailbox_counters(f->inbox, &st));
	store_job_end();
	fixture_shell("printf 'Subject: y\\n\\ny\\n' > '%s/new/1700000000.1.mutt'", fixture_path(f, "Maildir"));
	store_job_begin();
	ok(mailbox_counters(f->inbox, &st));
	store_job_end();
	assert_int_equal(st.messages, 1);
}

struct side {
	struct fixture *f;
	const char *own, *other;
};

static void must(struct fault f, const char *what)
{
	if (f.kind)
		fprintf(stderr, "%s: %s: %s\n", what, fault_name(f.kind), f.detail ? f.detail : "");
	assert_int_equal(f.kind, FAULT_NONE);
}

static void *deliver_crosswise(void *arg)
{
	struct side *s = arg;

	for (int i = 0; i < 20; i++) {
		store_job_begin();
		must(fixture_deliver(s->f, s->own, TEXT, NULL), s->own);
		must(fixture_deliver(s->f, s->other, TEXT, NULL), s->other);
		if (i % 5 == 0)
			must(store_index_rebuild(s->f->store, sv_z(s->other), NULL, NULL), "rebuild");
		store_job_end();
	}
	return NULL;
}

static void jobs_that_cross_each_other_end(void **state)
{
	struct fixture *f = *state;
	struct side a = { f, ALICE, BOB }, b = { f, BOB, ALICE };
	struct mailbox_status st;
	pthread_t one, two;

	assert_int_equal(pthread_create(&one, NULL, deliver_crosswise, &a), 0);
	assert_int_equal(pthread_create(&two, NULL, deliver_crosswise, &b), 0);
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 40);
	assert_int_equal(fixture_differences(f), 0);
}

struct maker {
	struct maildir_user *user;
	pthread_barrier_t *start;
	char name[16];
	struct fault fault;
};

static void *make_with_use(void *arg)
{
	struct maker *m = arg;

	pthread_barrier_wait(m->start);
	m->fault = mailbox_create(m->user, sv_z(m->name), USE_FLAGGED, NULL);
	return NULL;
}

/* RFC 6154 §3: two devices that look for the same mailbox at once must not end up with one each. */
static void of_many_that_make_a_special_mailbox_at_once_one_succeeds(void **state)
{
	struct fixture *f = *state;
	struct auth_identity *id = identity_for_admin(SV(ALICE), SV_NONE);
	struct maker makers[6];
	pthread_t threads[ARRAY_LEN(makers)];
	pthread_barrier_t start;
	unsigned made = 0;

	pthread_barrier_init(&start, NULL, ARRAY_LEN(makers));
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		makers[i].start = &start;
		snprintf(makers[i].name, sizeof(makers[i].name), "Starred %zu", i);
		ok(maildir_user_open(f->store, id, NULL, &makers[i].user));
		assert_int_equal(pthread_create(&threads[i], NULL, make_with_use, &makers[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		pthread_join(threads[i], NULL);
		made += !makers[i].fault.kind;
		assert_true(!makers[i].fault.kind || makers[i].fault.kind == FAULT_EXISTS);
		maildir_user_close(&makers[i].user);
	}
	assert_int_equal(made, 1);
	pthread_barrier_destroy(&start);
	identity_unref(&id);
}

/* One device moves a message, another one tags it, at the same moment. */
struct pair {
	struct mailbox *inbox, *archive;
	pthread_barrier_t start;
	uint32_t uid;
	bool is_tagged;
	struct fault fault;
};

static bool note_tagged(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	(void)row;
	(void)parsed;
	*(bool *)arg = true;
	return true;
}

static void *tag(void *arg)
{
	static const struct sv word = SV_INIT("$tagged");
	struct pair *p = arg;
	struct flag_change change = { .mode = STORE_ADD, .keywords = &word, .keyword_count = 1 };
	struct uidset one = { 0 };
	uint32_t resume = 0;

	uidset_add(&one, p->uid, p->uid);
	pthread_barrier_wait(&p->start);
	p->fault = mailbox_store_flags(p->inbox, &one, &change, &resume, NULL, note_tagged, &p->is_tagged);
	uidset_done(&one);
	return NULL;
}

static void note_copy(void *arg, uint32_t from, uint32_t to)
{
	(void)from;
	*(uint32_t *)arg = to;
}

static void a_tag_is_not_lost_when_the_message_is_moved_at_the_same_moment(void **state)
{
	struct fixture *f = *state;
	struct pair p = { .inbox = fixture_mailbox(f, "INBOX"), .archive = fixture_mailbox(f, "Archive") };

	pthread_barrier_init(&p.start, NULL, 2);
	for (int i = 0; i < 60; i++) {
		struct uidset one = { 0 };
		struct message_row row;
		uint32_t resume = 0, to = 0;
		pthread_t thread;

		p.is_tagged = false;
		p.uid = fixture_append(f->inbox, f->user, "x", 0);
		uidset_add(&one, p.uid, p.uid);
		assert_int_equal(pthread_create(&thread, NULL, tag, &p), 0);
		pthread_barrier_wait(&p.start);
		ok(mailbox_copy(f->inbox, &one, p.archive, true, &resume, note_copy, &to));
		pthread_join(thread, NULL);
		ok(p.fault);
		ok(mailbox_row(p.archive, to, &row));
		assert_int_equal(row.keywords.w[0] != 0, p.is_tagged);
		uidset_done(&one);
	}
	pthread_barrier_destroy(&p.start);
	mailbox_close(&p.inbox);
	mailbox_close(&p.archive);
}

/* A folder that another program takes away and puts back, thousands of times a second. */
struct blinking {
	char here[160], away[160];
	atomic_bool is_over;
};

static void *blink(void *arg)
{
	struct blinking *b = arg;

	while (!atomic_load(&b->is_over)) {
		(void)!rename(b->here, b->away);
		(void)!rename(b->away, b->here);
	}
	return NULL;
}

static bool count_mailboxes(void *arg, const struct mailbox_info *info)
{
	*(unsigned *)arg += info->exists;
	return true;
}

static void mailboxes_are_listed_while_one_comes_and_goes(void **state)
{
	struct fixture *f = *state;
	struct blinking b = { .is_over = false };
	pthread_t thread;
	unsigned seen, usual = 0;

	ok(mailbox_list(f->user, count_mailboxes, &usual));
	assert_int_equal(fixture_shell("mkdir -p '%s/.Blink/cur'", fixture_path(f, "Maildir")), 0);
	snprintf(b.here, sizeof(b.here), "%s", fixture_path(f, "Maildir/.Blink"));
	snprintf(b.away, sizeof(b.away), "%s", fixture_path(f, "away"));
	assert_int_equal(pthread_create(&thread, NULL, blink, &b), 0);
	for (int i = 0; i < 80; i++) {
		seen = 0;
		ok(mailbox_list(f->user, count_mailboxes, &seen));
		assert_in_range(seen, usual, usual + 1);
		usleep(4000);           /* a tick of the clock that the folder's time goes by */
	}
	atomic_store(&b.is_over, true);
	pthread_join(thread, NULL);
	seen = 0;
	ok(mailbox_list(f->user, count_mailboxes, &seen));
	assert_int_equal(seen, usual + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_job_keeps_its_account_until_it_ends),
		TEST(going_to_another_account_leaves_the_first),
		TEST(what_needs_the_account_alone_gets_it_inside_a_job),
		TEST(an_index_that_goes_is_noticed_by_the_next_job),
		TEST(another_programs_mail_is_noticed_by_the_next_job),
		TEST(jobs_that_cross_each_other_end),
		TEST(of_many_that_make_a_special_mailbox_at_once_one_succeeds),
		TEST(mailboxes_are_listed_while_one_comes_and_goes),
		TEST(a_tag_is_not_lost_when_the_message_is_moved_at_the_same_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
