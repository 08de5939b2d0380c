/* Warnings: one message for each threshold that is passed, by whatever way mail came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/store_fixture.h"

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_make_folder(f);
	f->quota = (struct quota){ .messages = 10 };
	f->more = (struct store_conf){ .quota_warnings = { 50, 80 }, .quota_warning_count = 2 };
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

static uint32_t messages(struct fixture *f, const char *name)
{
	struct mailbox_status st;

	ok(mailbox_status(f->user, sv_z(name), &st));
	return st.messages;
}

static void deliver(struct fixture *f)
{
	struct maildir_drop *drop;
	struct incoming *in;

	ok(maildir_drop_open(f->store, SV(ALICE), &f->quota, &drop));
	ok(incoming_new(NULL, drop, 1000, &in));
	ok(incoming_write(in, SV("Subject: x\r\n\r\nx\r\n")));
	ok(incoming_finish(in));
	struct delivery place = { .drop = drop, .mailbox = SV("Archive") };

	ok(incoming_deliver(in, &place, 1));
	incoming_free(&in);
	maildir_drop_close(&drop);
}

static void each_threshold_is_told_once(void **state)
{
	struct fixture *f = *state;
	struct buf text;

	for (int i = 0; i < 4; i++)
		deliver(f);
	assert_int_equal(messages(f, "INBOX"), 0);
	deliver(f);                                     /* 5 of 10 */
	assert_int_equal(messages(f, "INBOX"), 1);
	buf_init(&text, 10000);
	fixture_read(f->inbox, 1, &text);
	assert_non_null(strstr(buf_z(&text), "Subject: Your mailbox is 50 % full\r\n"));
	assert_non_null(strstr(buf_z(&text), "Auto-Submitted: auto-generated\r\n"));
	assert_non_null(strstr(buf_z(&text), "Messages: 5 of 10 (50 %)\r\n"));
	buf_done(&text);
	deliver(f);                                     /* 7 with the warning */
	assert_int_equal(messages(f, "INBOX"), 1);
	deliver(f);                                     /* 8: the next threshold */
	assert_int_equal(messages(f, "INBOX"), 2);
	deliver(f);                                     /* full */
	assert_int_equal(messages(f, "INBOX"), 2);
	assert_int_equal(fixture_differences(f), 0);
}

static void who_falls_below_and_passes_again_is_told_again(void **state)
{
	struct fixture *f = *state;
	struct mailbox *archive = fixture_mailbox(f, "Archive");

	for (int i = 0; i < 5; i++)
		deliver(f);
	assert_int_equal(messages(f, "INBOX"), 1);
	fixture_store(archive, 1, 5, STORE_ADD, FLAG_DELETED, NULL);
	assert_int_equal(fixture_expunge(archive), 5);
	for (int i = 0; i < 3; i++)
		deliver(f);
	assert_int_equal(messages(f, "INBOX"), 1);
	deliver(f);
	assert_int_equal(messages(f, "INBOX"), 2);
	mailbox_close(&archive);
}

static void append_and_copy_warn_too(void **state)
{
	struct fixture *f = *state;
	struct mailbox *archive = fixture_mailbox(f, "Archive");
	uint32_t resume = 0;

	for (int i = 0; i < 5; i++)
		fixture_append(archive, f->user, "x", 0);
	assert_int_equal(messages(f, "INBOX"), 1);
	struct uidset two = { 0 };

	uidset_add(&two, 1, 2);
	ok(mailbox_copy(archive, &two, archive, false, &resume, NULL, NULL));   /* 8 of 10 */
	uidset_done(&two);
	assert_int_equal(messages(f, "INBOX"), 2);
	mailbox_close(&archive);
}

static void a_new_index_tells_nothing_again(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++)
		deliver(f);
	assert_int_equal(messages(f, "INBOX"), 1);
	ok(store_index_rebuild(f->store, SV(ALICE), NULL, NULL));
	deliver(f);
	assert_int_equal(messages(f, "INBOX"), 1);
	deliver(f);
	assert_int_equal(messages(f, "INBOX"), 2);
}

static void without_a_quota_nobody_is_warned(void **state)
{
	struct fixture *f = *state;

	f->quota = (struct quota){ 0 };
	for (int i = 0; i < 12; i++)
		deliver(f);
	assert_int_equal(messages(f, "INBOX"), 0);
}

static void counting_anew_finds_what_is_there(void **state)
{
	struct fixture *f = *state;
	struct quota_usage usage;

	for (int i = 0; i < 3; i++)
		deliver(f);
	ok(maildir_user_recount(f->user));
	ok(maildir_user_quota(f->user, &usage));
	assert_int_equal(usage.messages, 3);
	assert_int_equal(usage.bytes, 3 * 17);
	assert_int_equal(fixture_differences(f), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_threshold_is_told_once),
		TEST(who_falls_below_and_passes_again_is_told_again),
		TEST(append_and_copy_warn_too),
		TEST(a_new_index_tells_nothing_again),
		TEST(without_a_quota_nobody_is_warned),
		TEST(counting_anew_finds_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
