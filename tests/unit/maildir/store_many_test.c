/* More accounts than a process may have open: descriptors stay few, whoever is logged in goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>

#include "common/identity.h"
#include "common/memory.h"
#include "tests/unit/support/store_fixture.h"

#define ACCOUNTS 120
#define DESCRIPTORS 192
#define OPEN_MAX 6

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_make_folder(f);
	f->more = (struct store_conf){ .open_accounts_max = OPEN_MAX };
	fixture_open(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_remove(*state);
	free(*state);
	return 0;
}

#define ok(call) assert_int_equal((call).kind, FAULT_NONE)

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static const char *address(int n)
{
	static _Thread_local char text[40];

	snprintf(text, sizeof(text), "user%d@example.test", n);
	return text;
}

static void many_accounts_get_mail_with_few_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit was, now;
	unsigned before = descriptors(), most = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	now = (struct rlimit){ DESCRIPTORS, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	for (int round = 0; round < 2; round++)
		for (int n = 0; n < ACCOUNTS; n++) {
			ok(fixture_deliver(f, address(n), "Subject: x\r\n\r\nx\r\n", NULL));
			most = descriptors() > most ? descriptors() : most;
		}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_true(most < before + 8 * (OPEN_MAX + 1));
}

static void sessions_of_all_accounts_stay_and_are_served(void **state)
{
	struct fixture *f = *state;
	struct maildir_user *users[ACCOUNTS];
	struct mailbox *boxes[ACCOUNTS];
	struct mailbox_status st;
	unsigned before = descriptors();

	for (int n = 0; n < ACCOUNTS; n++) {
		struct auth_identity *id = identity_for_admin(sv_z(address(n)), SV_NONE);
		ok(maildir_user_open(f->store, id, NULL, &users[n]));
		ok(mailbox_open(users[n], SV("INBOX"), &boxes[n]));
		identity_unref(&id);
	}
	assert_true(descriptors() < before + 8 * (OPEN_MAX + 1));
	for (int n = 0; n < ACCOUNTS; n++) {
		fixture_append(boxes[n], users[n], "x", 0);
		ok(mailbox_counters(boxes[n], &st));
		assert_int_equal(st.messages, 1);
	}
	assert_true(descriptors() < before + 8 * (OPEN_MAX + 1));
	for (int n = 0; n < ACCOUNTS; n++) {
		mailbox_close(&boxes[n]);
		maildir_user_close(&users[n]);
	}
}

struct crowd {
	struct fixture *f;
	int first;
};

static void *deliver_around(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < 60; i++) {
		store_job_begin();
		ok(fixture_deliver(c->f, address((c->first + i * 7) % 30), "Subject: x\r\n\r\nx\r\n", NULL));
		store_job_end();
	}
	return NULL;
}

static void threads_that_close_each_others_accounts_lose_nothing(void **state)
{
	struct fixture *f = *state;
	struct crowd crowds[4];
	pthread_t threads[4];
	uint64_t messages = 0;

	for (int i = 0; i < 4; i++) {
		crowds[i] = (struct crowd){ f, i * 3 };
		assert_int_equal(pthread_create(&threads[i], NULL, deliver_around, &crowds[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int n = 0; n < 30; n++) {
		struct auth_identity *id = identity_for_admin(sv_z(address(n)), SV_NONE);
		struct maildir_user *user;
		struct quota_usage usage;
		ok(maildir_user_open(f->store, id, NULL, &user));
		ok(maildir_user_quota(user, &usage));
		messages += usage.messages;
		maildir_user_close(&user);
		identity_unref(&id);
	}
	assert_int_equal(messages, 240);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(many_accounts_get_mail_with_few_descriptors),
		TEST(sessions_of_all_accounts_stay_and_are_served),
		TEST(threads_that_close_each_others_accounts_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
