/* Packed messages: to every reader of the store the same as plain ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/conf.h"
#include "maildir/pack.h"
#include "maildir/verify.h"
#include "tests/unit/support/store_fixture.h"

static struct conf_list all = { (char *[]){ (char *)(uintptr_t)"all" }, 1 };
static struct conf_list others = { (char *[]){ (char *)(uintptr_t)"elsewhere.test" }, 1 };

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

#define ok(call) assert_int_equal((call).kind, FAULT_NONE)

static char *make_text(size_t lines, unsigned salt, bool is_lf)
{
	char *text = malloc(lines * 60 + 200);
	size_t len = (size_t)sprintf(text, "From: a@b.test\r\nSubject: big %u\r\n\r\n", salt);

	for (size_t i = 0; i < lines; i++)
		len += (size_t)sprintf(text + len, "line %zu of a message that says little, %u%s", i, salt, is_lf ? "\n" : "\r\n");
	return text;
}

static void check_text(struct mailbox *box, uint32_t uid, const char *text)
{
	struct message_reader *r;
	struct buf out;
	char piece[100];
	size_t got, len = strlen(text);

	buf_init(&out, 4 << 20);
	fixture_read(box, uid, &out);
	assert_int_equal(out.len, len);
	assert_memory_equal(out.p, text, len);
	buf_done(&out);
	ok(message_open(box, uid, &r));
	assert_int_equal(message_size(r), len);
	for (size_t at = len; at > 1000; at = at * 2 / 3) {     /* backwards */
		ok(message_read(r, at - 50, piece, 100, &got));
		assert_memory_equal(piece, text + at - 50, got);
		assert_int_equal(got, len - at + 50 < 100 ? len - at + 50 : 100);
	}
	message_close(&r);
}

static void note_damage(void *arg, const char *mailbox, uint32_t uid, const char *what)
{
	(void)mailbox;
	(void)uid;
	(void)what;
	++*(unsigned *)arg;
}

static unsigned damages(struct fixture *f)
{
	struct verify_counts counts = { 0 };
	unsigned n = 0;

	ok(store_verify_account(f->store, SV(ALICE), note_damage, &n, &counts, NULL, NULL));
	assert_int_equal(counts.damaged, n);
	assert_true(n || counts.digests > 0);
	return n;
}

static struct pack_counts pack(struct fixture *f, bool pack)
{
	struct pack_counts counts = { 0 };

	ok(store_pack_account(f->store, SV(ALICE), pack, NULL, &counts, NULL, NULL));
	return counts;
}

static int files_like(struct fixture *f, const char *magic)
{
	return fixture_shell("cd '%s' && n=0; for f in cur/*; do "
			     "head -c 4 \"$f\" | od -An -tx1 | grep -q '%s' && n=$((n+1)); done; exit $n",
			     fixture_path(f, "Maildir"), magic);
}

#define ZSTD "28 b5 2f fd"

static void packing_changes_nothing_that_anybody_sees(void **state)
{
	struct fixture *f = *state;
	char *big = make_text(20000, 1, false), *middle = make_text(200, 2, false);
	struct buf before, after;

	assert_int_equal(fixture_append_text(f->inbox, f->user, big, FLAG_SEEN, "work"), 1);
	assert_int_equal(fixture_append_text(f->inbox, f->user, middle, 0, NULL), 2);
	assert_int_equal(fixture_append_text(f->inbox, f->user, "Subject: small\r\n\r\nx\r\n", 0, NULL), 3);
	buf_init(&before, 1 << 20);
	buf_init(&after, 1 << 20);
	fixture_describe(f->inbox, &before);

	struct pack_counts counts = pack(f, true);

	assert_int_equal(counts.messages, 3);
	assert_int_equal(counts.changed, 2);
	assert_true(counts.after < counts.before / 3);
	assert_int_equal(files_like(f, ZSTD), 2);
	for (int round = 0; round < 2; round++) {
		check_text(f->inbox, 1, big);
		check_text(f->inbox, 2, middle);
		buf_clear(&after);
		fixture_describe(f->inbox, &after);
		assert_string_equal(buf_z(&before), buf_z(&after));
		assert_int_equal(fixture_differences(f), 0);
		assert_int_equal(damages(f), 0);
		fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	}
	assert_int_equal(pack(f, true).changed, 0);
	assert_int_equal(pack(f, false).changed, 2);
	assert_int_equal(files_like(f, ZSTD), 0);
	check_text(f->inbox, 1, big);
	assert_int_equal(fixture_differences(f), 0);
	assert_int_equal(damages(f), 0);
	assert_int_equal(pack(f, false).changed, 0);
	buf_done(&before);
	buf_done(&after);
	free(big);
	free(middle);
}

static void new_mail_is_packed_where_the_domain_wants_it(void **state)
{
	struct fixture *f = *state;
	char *big = make_text(5000, 3, false);

	fixture_close(f);
	f->more.compress = &all;
	fixture_open(f);
	assert_int_equal(fixture_append_text(f->inbox, f->user, big, 0, NULL), 1);
	ok(fixture_deliver(f, ALICE, big, NULL));
	assert_int_equal(files_like(f, ZSTD), 2);
	check_text(f->inbox, 1, big);
	check_text(f->inbox, 2, big);
	assert_int_equal(damages(f), 0);
	fixture_close(f);
	f->more.compress = &others;
	fixture_open(f);
	ok(fixture_deliver(f, ALICE, big, NULL));
	assert_int_equal(files_like(f, ZSTD), 2);
	check_text(f->inbox, 2, big);
	free(big);
}

static void copies_moves_and_other_programs_keep_packed_messages_readable(void **state)
{
	struct fixture *f = *state;
	struct mailbox *trash = fixture_mailbox(f, "Trash"), *sent = fixture_mailbox(f, "Sent");
	char *big = make_text(5000, 4, false);
	struct mailbox_status st;
	uint32_t resume = 0;

	fixture_append_text(f->inbox, f->user, big, 0, NULL);
	pack(f, true);
	ok(mailbox_copy(f->inbox, NULL, trash, false, &resume, NULL, NULL));
	resume = 0;
	ok(mailbox_copy(f->inbox, NULL, sent, true, &resume, NULL, NULL));
	check_text(trash, 1, big);
	check_text(sent, 1, big);
	fixture_shell("cd '%s' && mv .Trash/cur/* cur/", fixture_path(f, "Maildir"));
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 1);
	check_text(f->inbox, st.uidnext - 1, big);
	fixture_store(f->inbox, 1, 9, STORE_ADD, FLAG_SEEN, NULL);
	store_tidy(f->store);
	check_text(f->inbox, st.uidnext - 1, big);
	ok(mailbox_counters(trash, &st));
	assert_int_equal(st.messages, 0);
	assert_int_equal(fixture_differences(f), 0);
	mailbox_close(&trash);
	mailbox_close(&sent);
	free(big);
}

/* Files of other programs have bare LFs: packed as they are, and converted on the way out. */
static void messages_with_bare_lfs_are_packed_too(void **state)
{
	struct fixture *f = *state;
	char *lf = make_text(3000, 5, true), *crlf = make_text(3000, 5, false), path[200];
	struct mailbox_status st;

	snprintf(path, sizeof(path), "%s", fixture_path(f, "Maildir/new/1700000000.x.then"));
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(lf, file) >= 0 && !fclose(file));
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 1);
	assert_int_equal(pack(f, true).changed, 1);
	check_text(f->inbox, 1, crlf);
	assert_int_equal(fixture_differences(f), 0);
	free(lf);
	free(crlf);
}

static void damage_of_a_packed_file_is_found_and_not_spread(void **state)
{
	struct fixture *f = *state;
	char *big = make_text(5000, 6, false), piece[100];
	struct message_reader *r;
	size_t got;

	fixture_append_text(f->inbox, f->user, big, 0, NULL);
	pack(f, true);
	fixture_shell("cd '%s' && for f in cur/*; do printf XXXX | dd of=$f bs=1 seek=300 conv=notrunc 2>/dev/null; done",
		      fixture_path(f, "Maildir"));
	assert_int_equal(damages(f), 1);
	ok(message_open(f->inbox, 1, &r));
	assert_int_equal(message_read(r, 0, piece, sizeof(piece), &got).kind, FAULT_CORRUPT);
	message_close(&r);
	assert_int_equal(pack(f, false).failed, 1);
	assert_int_equal(files_like(f, ZSTD), 1);
	free(big);
}

static void one_message_of_many_recipients_stays_one_file(void **state)
{
	struct fixture *f = *state;
	char *big = make_text(5000, 7, false);
	struct pack_links *links = pack_links_new();
	struct pack_counts counts = { 0 };
	struct delivery places[2] = { { .mailbox = SV("INBOX") }, { .mailbox = SV("INBOX") } };
	struct incoming *in;

	ok(maildir_drop_open(f->store, SV(ALICE), NULL, &places[0].drop));
	ok(maildir_drop_open(f->store, SV(BOB), NULL, &places[1].drop));
	ok(incoming_new(NULL, places[0].drop, 1 << 20, &in));
	ok(incoming_write(in, sv_z(big)));
	ok(incoming_finish(in));
	ok(incoming_deliver(in, places, 2));
	incoming_free(&in);
	maildir_drop_close(&places[0].drop);
	maildir_drop_close(&places[1].drop);
	for (int pack = 1; pack >= 0; pack--) {
		ok(store_pack_account(f->store, SV(ALICE), pack, links, &counts, NULL, NULL));
		ok(store_pack_account(f->store, SV(BOB), pack, links, &counts, NULL, NULL));
		assert_int_equal(fixture_shell("test $(stat -c %%h '%s'/cur/*) = 2", fixture_path(f, "Maildir")), 0);
	}
	assert_int_equal(counts.changed, 4);
	check_text(f->inbox, 1, big);
	pack_links_free(&links);
	free(big);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(packing_changes_nothing_that_anybody_sees),
		TEST(new_mail_is_packed_where_the_domain_wants_it),
		TEST(copies_moves_and_other_programs_keep_packed_messages_readable),
		TEST(messages_with_bare_lfs_are_packed_too),
		TEST(damage_of_a_packed_file_is_found_and_not_spread),
		TEST(one_message_of_many_recipients_stays_one_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
