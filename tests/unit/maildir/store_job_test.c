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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
