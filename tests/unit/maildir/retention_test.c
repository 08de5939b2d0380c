/* Messages that are older than a rule lets them become go, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "common/directory.h"
#include "maildir/retention.h"
#include "tests/unit/support/store_fixture.h"

#define OLD "1500000000"        /* 2017 */
#define DAY 86400

static const struct expiry_rule rules[] = {
	{ EXPIRY_TRASH, { "trash", 5 }, 30 * DAY },
	{ EXPIRY_NAME, { "Lists/Kept", 10 }, EXPIRY_AGE_MAX_S },
	{ EXPIRY_PREFIX, { "Lists/", 6 }, 7 * DAY },
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_make_folder(f);
	f->more = (struct store_conf){ .expire = rules, .expire_count = ARRAY_LEN(rules) };
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

/* Files that say in their names when they came, as after years. */
static void put_old(struct fixture *f, const char *folder, int count)
{
	for (int i = 0; i < count; i++)
		assert_int_equal(fixture_shell("printf 'Subject: old\\r\\n\\r\\nx\\r\\n' > '%s/%s/new/" OLD ".%d.then'",
					       fixture_path(f, "Maildir"), folder, i), 0);
}

static uint32_t messages(struct fixture *f, const char *name)
{
	struct mailbox_status st;

	ok(mailbox_status(f->user, sv_z(name), &st));
	return st.messages;
}

struct told {
	unsigned boxes;
	uint64_t messages, octets;
	char last[64];
};

static void note(void *arg, const char *account, const char *mailbox, uint64_t count, uint64_t octets)
{
	struct told *t = arg;

	assert_string_equal(account, ALICE);
	t->boxes++;
	t->messages += count;
	t->octets += octets;
	snprintf(t->last, sizeof(t->last), "%s", mailbox);
}

static struct told expire(struct fixture *f, bool is_trial)
{
	struct retention_counts counts = { 0 };
	struct told told = { 0 };
	bool is_cut;

	ok(retention_account(f->store, SV(ALICE), is_trial, 0, &counts, note, &told, &is_cut));
	assert_false(is_cut);
	assert_int_equal(counts.messages, told.messages);
	return told;
}

static bool count_gone(void *arg, const struct change *change)
{
	*(unsigned *)arg += change->kind == CHANGE_EXPUNGED;
	return true;
}

static void old_messages_of_trash_go_and_sessions_are_told(void **state)
{
	struct fixture *f = *state;
	struct mailbox *trash = fixture_mailbox(f, "Trash");
	struct quota_usage before, after;
	struct uidset uids = { 0 };
	uint64_t since, until;
	unsigned gone = 0;

	put_old(f, ".Trash", 600);      /* more than one chunk */
	put_old(f, ".", 2);
	assert_int_equal(messages(f, "Trash"), 600);
	fixture_append(trash, f->user, "young", 0);
	assert_int_equal(messages(f, "INBOX"), 2);
	ok(mailbox_uids(trash, &uids, &since));
	ok(maildir_user_quota(f->user, &before));

	struct told told = expire(f, false);

	assert_int_equal(told.boxes, 1);
	assert_int_equal(told.messages, 600);
	assert_int_equal(messages(f, "Trash"), 1);
	assert_int_equal(messages(f, "INBOX"), 2);
	ok(maildir_user_quota(f->user, &after));
	assert_int_equal(before.bytes - after.bytes, told.octets);
	ok(mailbox_changes(trash, since, count_gone, &gone, &until));
	assert_int_equal(gone, 600);
	assert_int_equal(expire(f, false).messages, 0);
	assert_int_equal(fixture_differences(f), 0);
	uidset_done(&uids);
	mailbox_close(&trash);
}

static void moving_to_trash_starts_the_clock(void **state)
{
	struct fixture *f = *state;
	struct mailbox *trash = fixture_mailbox(f, "Trash");
	uint32_t resume = 0;

	put_old(f, ".", 1);
	assert_int_equal(messages(f, "INBOX"), 1);
	ok(mailbox_copy(f->inbox, NULL, trash, true, &resume, NULL, NULL));
	assert_int_equal(expire(f, false).messages, 0);
	assert_int_equal(messages(f, "Trash"), 1);
	mailbox_close(&trash);
}

static void a_trial_removes_nothing(void **state)
{
	struct fixture *f = *state;

	put_old(f, ".Trash", 3);
	assert_int_equal(messages(f, "Trash"), 3);
	assert_int_equal(expire(f, true).messages, 3);
	assert_int_equal(messages(f, "Trash"), 3);
}

static void the_first_rule_that_names_a_mailbox_holds(void **state)
{
	struct fixture *f = *state;
	char id[24];

	ok(mailbox_create(f->user, SV("Lists/Kept"), 0, id));
	ok(mailbox_create(f->user, SV("Lists/News"), 0, id));
	put_old(f, ".Lists.Kept", 1);
	put_old(f, ".Lists.News", 1);
	assert_int_equal(messages(f, "Lists/Kept"), 1);
	assert_int_equal(messages(f, "Lists/News"), 1);

	struct told told = expire(f, false);

	assert_int_equal(told.messages, 1);
	assert_string_equal(told.last, "Lists/News");
	assert_int_equal(messages(f, "Lists/Kept"), 1);
}

static void an_account_without_mail_stays_without(void **state)
{
	struct fixture *f = *state;
	struct retention_counts counts = { 0 };
	bool is_cut;

	ok(retention_account(f->store, SV(BOB), false, 0, &counts, NULL, NULL, &is_cut));
	assert_int_equal(counts.accounts, 0);
	assert_int_not_equal(fixture_shell("test -e '%s/../bob'", fixture_path(f, "")), 0);
}

static void time_that_is_over_leaves_the_rest_for_the_next_step(void **state)
{
	struct fixture *f = *state;
	struct retention_counts counts = { 0 };
	bool is_cut;
	unsigned steps = 0;

	put_old(f, ".Trash", 600);
	assert_int_equal(messages(f, "Trash"), 600);
	do {
		ok(retention_account(f->store, SV(ALICE), false, 1, &counts, NULL, NULL, &is_cut));
		steps++;
	} while (is_cut);
	assert_true(steps > 1);
	assert_int_equal(counts.messages, 600);
	assert_int_equal(messages(f, "Trash"), 0);
}

static void all_accounts_are_done_once_an_hour(void **state)
{
	struct fixture *f = *state;
	struct directory *dir;
	char path[96];

	snprintf(path, sizeof(path), "%s/directory", f->root);
	ok(directory_open(path, true, &dir));
	ok(directory_domain_add(dir, SV("example.test")));
	ok(directory_account_add(dir, SV(ALICE), NULL, 4096, NULL));
	ok(directory_account_add(dir, SV(BOB), NULL, 4096, NULL));
	struct retention *one = retention_new(f->store, dir), *other = retention_new(f->store, dir);

	put_old(f, ".Trash", 5);
	assert_int_equal(messages(f, "Trash"), 5);
	assert_true(retention_is_due(one));
	for (int i = 0; i < 5; i++)
		retention_step(one);
	assert_int_equal(messages(f, "Trash"), 0);
	assert_false(retention_is_due(one));
	put_old(f, ".Trash", 5);
	assert_int_equal(messages(f, "Trash"), 5);
	retention_step(other);
	assert_int_equal(messages(f, "Trash"), 5);
	assert_int_equal(fixture_shell("touch -d '2 hours ago' '%s/mail/.expired'", f->root), 0);
	retention_free(&other);
	other = retention_new(f->store, dir);
	retention_step(other);
	assert_int_equal(messages(f, "Trash"), 0);
	retention_free(&one);
	retention_free(&other);
	directory_close(&dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(old_messages_of_trash_go_and_sessions_are_told),
		TEST(moving_to_trash_starts_the_clock),
		TEST(a_trial_removes_nothing),
		TEST(the_first_rule_that_names_a_mailbox_holds),
		TEST(an_account_without_mail_stays_without),
		TEST(time_that_is_over_leaves_the_rest_for_the_next_step),
		TEST(all_accounts_are_done_once_an_hour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
