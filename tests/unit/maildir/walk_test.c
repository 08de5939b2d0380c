/* A damaged row is never taken for the end of the mailbox: whoever meets it says so, does nothing by halves, and the index is made
 * anew from the files, with every message in it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory.h"
#include "maildir/backup.h"
#include "maildir/pack.h"
#include "maildir/verify.h"
#include "maildir/walk_private.h"
#include "tests/unit/support/store_fixture.h"

#define MESSAGES 10
#define ok(call) assert_int_equal((call).kind, FAULT_NONE)

/* --- damage --------------------------------------------------------------------------------------------------------------- */

enum damage { LONG_KEY, SHORT_ROW, LONG_BOX };

/* Behind UID 5, or its row, or a mailbox behind INBOX. */
static struct fault put_damage(struct kv_txn *kv, void *arg)
{
	enum damage damage = *(enum damage *)arg;
	struct index_box box;
	struct kv_key key;
	struct fault f = index_box_find(kv, SV("INBOX"), &box);

	if (f.kind)
		return f;
	if (damage == LONG_BOX) {
		kv_key_init(&key);
		kv_key_u64(&key, box.id);
		kv_key_u8(&key, 0);
		return kv_put(kv, T_BOXES, kv_key_view(&key), SV("short"));
	}
	index_row_key(&key, box.id, 5);
	if (damage == LONG_KEY)
		kv_key_u8(&key, 0);
	return kv_put(kv, T_ROWS, kv_key_view(&key), SV("short"));
}

static void damage_index(struct fixture *f, enum damage damage)
{
	const struct kv_options options = { .kind = KV_DISPOSABLE, .tables = index_tables, .table_count = T_COUNT };
	struct kv_env *env;

	ok(kv_env_open(fixture_path(f, "index"), &options, &env));
	ok(kv_update(env, put_damage, &damage));
	kv_env_close(&env);
}

/* --- what meets it -------------------------------------------------------------------------------------------------------- */

static struct fault do_store(struct fixture *f)
{
	struct flag_change change = { .mode = STORE_ADD, .flags = FLAG_FLAGGED };
	uint32_t resume = 0;

	return mailbox_store_flags(f->inbox, NULL, &change, &resume, NULL, NULL, NULL);
}

static struct fault do_expunge(struct fixture *f)
{
	struct uidset gone = { 0 };
	uint32_t resume = 0;
	struct fault r = mailbox_expunge(f->inbox, NULL, false, &resume, &gone);

	assert_int_equal(uidset_total(&gone), r.kind ? 0 : 1);
	uidset_done(&gone);
	return r;
}

static struct fault do_copy(struct fixture *f)
{
	struct mailbox *to = fixture_mailbox(f, "Trash");
	struct mailbox_status st;
	uint32_t resume = 0;
	struct fault r = mailbox_copy(f->inbox, NULL, to, false, &resume, NULL, NULL);

	ok(mailbox_counters(to, &st));
	assert_int_equal(st.messages, r.kind ? 0 : MESSAGES);
	mailbox_close(&to);
	return r;
}

static struct fault do_uids(struct fixture *f)
{
	struct uidset uids = { 0 };
	uint64_t modseq;
	struct fault r = mailbox_uids(f->inbox, &uids, &modseq);

	if (!r.kind)
		assert_int_equal(uidset_total(&uids), MESSAGES);
	uidset_done(&uids);
	return r;
}

static bool count_message(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	(void)row;
	(void)parsed;
	++*(unsigned *)arg;
	return true;
}

static struct fault do_scan(struct fixture *f)
{
	uint32_t resume = 0;
	unsigned count = 0;
	struct fault r = mailbox_scan(f->inbox, NULL, 0, &resume, count_message, &count);

	if (!r.kind)
		assert_int_equal(count, MESSAGES);
	return r;
}

static struct fault do_recent(struct fixture *f)
{
	struct uidset recent = { 0 };
	struct fault r = mailbox_claim_recent(f->inbox, true, &recent);

	uidset_done(&recent);
	return r;
}

static struct fault do_unseen(struct fixture *f)
{
	uint32_t uid;
	struct fault r = mailbox_first_unseen(f->inbox, &uid);

	if (!r.kind)
		assert_int_equal(uid, MESSAGES);
	return r;
}

static struct fault do_recount(struct fixture *f)
{
	return maildir_user_recount(f->user);
}

/* Another program touched the folder, so it is looked through. */
static struct fault do_adopt(struct fixture *f)
{
	struct mailbox_status st;

	assert_int_equal(fixture_shell("cd '%s' && rm -f cur/*.2:2,*", fixture_path(f, "Maildir")), 0);
	struct fault r = mailbox_counters(f->inbox, &st);

	if (!r.kind)
		assert_int_equal(st.messages, MESSAGES - 1);
	return r;
}

static struct fault do_backup(struct fixture *f)
{
	struct backup_counts counts = { 0 };
	char to[128];

	snprintf(to, sizeof(to), "%s/backup", f->root);
	assert_int_equal(fixture_shell("rm -rf '%s' && mkdir '%s'", to, to), 0);
	int fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fault r = store_backup_account(f->store, SV(ALICE), fd, -1, &counts, NULL, NULL);

	close(fd);
	if (!r.kind)
		assert_int_equal(counts.messages, MESSAGES);
	return r;
}

static struct fault do_pack(struct fixture *f)
{
	struct pack_links *links = pack_links_new();
	struct pack_counts counts = { 0 };
	struct fault r = store_pack_account(f->store, SV(ALICE), true, links, &counts, NULL, NULL);

	pack_links_free(&links);
	return r;
}

static void note(void *arg, const char *mailbox, uint32_t uid, const char *what)
{
	(void)arg;
	(void)mailbox;
	(void)uid;
	(void)what;
}

static struct fault do_check(struct fixture *f)
{
	uint64_t messages;

	return store_index_check(f->store, SV(ALICE), note, NULL, &messages);
}

static struct fault do_verify(struct fixture *f)
{
	struct verify_counts counts = { 0 };

	return store_verify_account(f->store, SV(ALICE), note, NULL, &counts, NULL, NULL);
}

/* --- tests ---------------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	struct fault (*run)(struct fixture *f);
	bool keys_only;         /* it does not read rows */
	bool is_loss;           /* it removes one message when it works */
} users[] = {
	{ "STORE", do_store, false, false },
	{ "EXPUNGE", do_expunge, false, true },
	{ "COPY", do_copy, false, false },
	{ "UIDs", do_uids, true, false },
	{ "scan", do_scan, false, false },
	{ "\\Recent", do_recent, true, false },
	{ "first unseen", do_unseen, false, false },
	{ "recount", do_recount, false, false },
	{ "other programs' changes", do_adopt, false, true },
	{ "backup", do_backup, false, false },
	{ "pack", do_pack, false, false },
};

static void begin(struct fixture *f)
{
	fixture_make(f);
	for (unsigned i = 1; i <= MESSAGES; i++)
		fixture_append(f->inbox, f->user, "x", i == 1 ? FLAG_SEEN | FLAG_DELETED : i < MESSAGES ? FLAG_SEEN : 0);
}

static void expect_healed(struct fixture *f, size_t i)
{
	struct mailbox_status st;
	struct fault again = users[i].run(f);

	if (again.kind)
		fail_msg("%s, a second time: %s: %s", users[i].name, fault_name(again.kind), again.detail ? again.detail : "");
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, users[i].is_loss ? MESSAGES - 1 : MESSAGES);
	assert_int_equal(fixture_differences(f), 0);
}

static void damage_is_told_once_and_then_mended_without_a_loss(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(users); i++)
		for (int damage = LONG_KEY; damage <= (users[i].keys_only ? LONG_KEY : SHORT_ROW); damage++) {
			struct fixture f;

			begin(&f);
			damage_index(&f, (enum damage)damage);
			struct fault r = users[i].run(&f);
			if (r.kind != FAULT_CORRUPT)
				fail_msg("%s, damage %d: %s", users[i].name, damage, fault_name(r.kind));
			expect_healed(&f, i);
			fixture_remove(&f);
		}
}

static void a_mailbox_that_makes_no_sense_is_not_left_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		struct fixture f;

		if (users[i].run != do_recount && users[i].run != do_backup && users[i].run != do_pack)
			continue;
		begin(&f);
		damage_index(&f, LONG_BOX);
		assert_int_equal(users[i].run(&f).kind, FAULT_CORRUPT);
		expect_healed(&f, i);
		fixture_remove(&f);
	}
}

static void who_only_looks_tells_it_and_changes_nothing(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	damage_index(&f, LONG_KEY);
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(do_check(&f).kind, FAULT_CORRUPT);
		assert_int_equal(do_verify(&f).kind, FAULT_CORRUPT);
	}
	fixture_remove(&f);
}

#define MANY 10000

/* Rows alone, as the first message's. */
static struct fault put_many(struct kv_txn *kv, void *arg)
{
	struct index_box box;
	struct index_row row;
	struct fault f = index_box_find(kv, SV("INBOX"), &box);

	(void)arg;
	if (!f.kind)
		f = index_row_get(kv, box.id, 1, &row);
	for (row.uid = MESSAGES + 1; !f.kind && row.uid <= MANY; row.uid++)
		f = index_row_put(kv, box.id, &row);
	return f;
}

static bool count_in_order(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	(void)parsed;
	assert_int_equal(row->uid, ++*(uint32_t *)arg);
	return true;
}

static void a_long_mailbox_is_scanned_in_transactions_that_follow_each_other(void **state)
{
	const struct kv_options options = { .kind = KV_DISPOSABLE, .tables = index_tables, .table_count = T_COUNT };
	uint32_t resume = 0, last = 0, calls = 0;
	struct kv_env *env;
	struct fixture f;

	(void)state;
	begin(&f);
	ok(kv_env_open(fixture_path(&f, "index"), &options, &env));
	ok(kv_update(env, put_many, NULL));
	kv_env_close(&env);
	do {
		ok(mailbox_scan(f.inbox, NULL, 0, &resume, count_in_order, &last));
		calls++;
	} while (resume && calls < MANY);
	assert_int_equal(last, MANY);
	assert_true(calls > 1);
	fixture_remove(&f);
}

/* UID 5's file goes and its row is damaged, while verify is at work on another message. */
static void lose_one(void *arg, uint64_t done, uint64_t total)
{
	(void)total;
	if (done != 1)
		return;
	assert_int_equal(fixture_shell("rm -f '%s'/cur/* '%s'/new/*", fixture_path(arg, "Maildir"), fixture_path(arg, "Maildir")), 0);
	damage_index(arg, SHORT_ROW);
}

static void a_message_whose_row_is_damaged_is_not_taken_for_expunged(void **state)
{
	struct verify_counts counts = { 0 };
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(store_verify_account(f.store, SV(ALICE), note, NULL, &counts, lose_one, &f).kind, FAULT_CORRUPT);
	fixture_remove(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_whose_row_is_damaged_is_not_taken_for_expunged),
		cmocka_unit_test(a_long_mailbox_is_scanned_in_transactions_that_follow_each_other),
		cmocka_unit_test(damage_is_told_once_and_then_mended_without_a_loss),
		cmocka_unit_test(a_mailbox_that_makes_no_sense_is_not_left_out),
		cmocka_unit_test(who_only_looks_tells_it_and_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
