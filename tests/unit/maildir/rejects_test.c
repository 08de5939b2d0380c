/* Mail that was refused and is kept: uncounted, bounded, nobody else's way around the quota, and gone after a while. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/directory.h"
#include "common/lines.h"
#include "maildir/rejects_private.h"
#include "maildir/retention.h"
#include "tests/unit/support/store_fixture.h"

#define OLD "1500000000"        /* 2017 */
#define ok(call) assert_int_equal((call).kind, FAULT_NONE)

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_make_folder(f);
	f->more = (struct store_conf){ .keeps_rejects = true, .rejects_age_s = 86400 };
	f->quota = (struct quota){ 100000, 10 };
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

static struct fault keep(struct fixture *f, const char *text)
{
	struct maildir_drop *drop = NULL;
	struct incoming *in = NULL;
	struct fault fault;

	ok(maildir_drop_open(f->store, SV(ALICE), &f->quota, &drop));
	ok(incoming_new(NULL, drop, 1 << 20, &in));
	ok(incoming_write(in, sv_z(text)));
	ok(incoming_finish(in));
	struct delivery place = { .drop = drop, .is_reject = true };
	fault = incoming_deliver(in, &place, 1);
	incoming_free(&in);
	maildir_drop_close(&drop);
	return fault;
}

static struct mailbox_status status(struct fixture *f, const char *name)
{
	struct mailbox_status st;

	ok(mailbox_status(f->user, sv_z(name), &st));
	return st;
}

static uint64_t counted(struct fixture *f)
{
	struct quota_usage usage;

	ok(maildir_user_quota(f->user, &usage));
	return usage.messages;
}

static void it_is_seen_and_does_not_count_also_in_a_new_index(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 12; i++)       /* more than the quota */
		ok(keep(f, "Subject: refused\r\n\r\nx\r\n"));
	assert_int_equal(status(f, "Rejects").messages, 12);
	assert_int_equal(status(f, "Rejects").unseen, 0);
	assert_int_equal(counted(f), 0);
	ok(maildir_user_recount(f->user));
	assert_int_equal(counted(f), 0);
	assert_int_equal(fixture_differences(f), 0);
	fixture_close(f);
	assert_int_equal(fixture_shell("rm -r '%s'", fixture_path(f, "index")), 0);
	fixture_open(f);
	assert_int_equal(status(f, "Rejects").messages, 12);
	assert_int_equal(counted(f), 0);
	assert_int_equal(fixture_differences(f), 0);
	ok(mailbox_delete(f->user, SV("Rejects")));
	assert_int_equal(counted(f), 0);
	ok(keep(f, "Subject: again\r\n\r\nx\r\n"));
	assert_int_equal(status(f, "Rejects").messages, 1);
}

static void nobody_else_puts_anything_there_and_what_leaves_it_counts(void **state)
{
	struct fixture *f = *state;
	struct mailbox *rejects;
	uint32_t resume = 0;

	ok(keep(f, "Subject: refused\r\n\r\nx\r\n"));
	fixture_append(f->inbox, f->user, "mine", 0);
	rejects = fixture_mailbox(f, "Rejects");
	assert_int_equal(mailbox_copy(f->inbox, NULL, rejects, false, &resume, NULL, NULL).kind, FAULT_DENIED);
	resume = 0;
	assert_int_equal(mailbox_copy(f->inbox, NULL, rejects, true, &resume, NULL, NULL).kind, FAULT_DENIED);
	assert_int_equal(counted(f), 1);
	resume = 0;
	ok(mailbox_copy(rejects, NULL, f->inbox, true, &resume, NULL, NULL));
	assert_int_equal(counted(f), 2);
	assert_int_equal(status(f, "INBOX").messages, 2);
	for (unsigned i = 0; i < 8; i++)
		fixture_append(f->inbox, f->user, "more", 0);
	ok(keep(f, "Subject: refused\r\n\r\nx\r\n"));
	resume = 0;
	assert_int_equal(mailbox_copy(rejects, NULL, f->inbox, true, &resume, NULL, NULL).kind, FAULT_QUOTA);
	mailbox_close(&rejects);
}

static void the_oldest_make_room_and_time_empties_it(void **state)
{
	struct fixture *f = *state;
	struct retention_counts counts = { 0 };
	bool is_cut;

	ok(keep(f, "Subject: first\r\n\r\nx\r\n"));
	assert_int_equal(fixture_shell("for i in $(seq %u); do printf 'Subject: old\\r\\n\\r\\nx\\r\\n' > '%s/.Rejects/new/" OLD ".'$i.then; done",
				       REJECTS_MESSAGES_MAX, fixture_path(f, "Maildir")), 0);
	assert_int_equal(status(f, "Rejects").messages, REJECTS_MESSAGES_MAX + 1);
	ok(keep(f, "Subject: last\r\n\r\nx\r\n"));
	assert_int_equal(status(f, "Rejects").messages, REJECTS_MESSAGES_MAX * 9 / 10 + 1);
	assert_true(retention_has_rules(f->store));
	ok(retention_account(f->store, SV(ALICE), false, 0, &counts, NULL, NULL, &is_cut));
	assert_int_equal(status(f, "Rejects").messages, 1);
	assert_int_equal(counted(f), 0);
	assert_int_equal(fixture_differences(f), 0);
}

static void pass(struct fixture *f, struct directory *dir)
{
	struct retention *r = retention_new(f->store, dir);

	(void)fixture_shell("rm -f '%s/mail/.expired'", f->root);
	for (int i = 0; i < 5; i++)
		retention_step(r);
	retention_free(&r);
}

static void what_was_kept_goes_also_when_nothing_new_is(void **state)
{
	struct fixture *f = *state;
	struct directory *dir;
	char path[96];

	snprintf(path, sizeof(path), "%s/directory", f->root);
	ok(directory_open(path, true, &dir));
	ok(directory_domain_add(dir, SV("example.test")));
	ok(directory_account_add(dir, SV(ALICE), NULL, 4096, NULL));
	ok(keep(f, "Subject: new\r\n\r\nx\r\n"));
	pass(f, dir);
	fixture_close(f);
	f->more.keeps_rejects = false;
	fixture_open(f);
	assert_true(retention_has_rules(f->store));
	pass(f, dir);
	assert_int_equal(status(f, "Rejects").messages, 1);     /* not old enough: it is looked for again */
	assert_true(retention_has_rules(f->store));
	assert_int_equal(fixture_shell("cd '%s/.Rejects' && mv cur/* new/" OLD ".moved", fixture_path(f, "Maildir")), 0);
	pass(f, dir);
	assert_int_equal(status(f, "Rejects").messages, 0);
	pass(f, dir);
	assert_false(retention_has_rules(f->store));
	directory_close(&dir);
}

static void a_mailbox_of_the_users_own_is_left_alone(void **state)
{
	struct fixture *f = *state;
	char id[24];

	ok(mailbox_create(f->user, SV("Rejects"), 0, id));
	ok(keep(f, "Subject: refused\r\n\r\nx\r\n"));
	assert_int_equal(status(f, "Rejects").messages, 0);
	assert_int_equal(status(f, "Refused mail").messages, 1);
	ok(mailbox_rename(f->user, SV("Refused mail"), SV("Elsewhere")));
	ok(keep(f, "Subject: refused\r\n\r\nx\r\n"));
	assert_int_equal(status(f, "Elsewhere").messages, 2);
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_store(it_is_seen_and_does_not_count_also_in_a_new_index),
		with_store(nobody_else_puts_anything_there_and_what_leaves_it_counts),
		with_store(the_oldest_make_room_and_time_empties_it),
		with_store(what_was_kept_goes_also_when_nothing_new_is),
		with_store(a_mailbox_of_the_users_own_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
