/* The store as its callers see it: one process, everyday work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/identity.h"
#include "common/memory.h"
#include "common/mime.h"
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
	fixture_remove(*state);
	free(*state);
	return 0;
}

#define ok(call) assert_int_equal((call).kind, FAULT_NONE)

static void a_message_comes_back_as_it_was_put(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "From: x@example.test\r\nSubject: one\r\n\r\nline\r\n.dot\r\n";
	struct mailbox_status st;
	struct message_row row;
	struct buf out;
	char uidl[72], email_id[EMAIL_ID_SIZE];

	uint32_t uid = fixture_append_text(f->inbox, f->user, text, FLAG_SEEN, "$Forwarded");
	assert_int_equal(uid, 1);
	buf_init(&out, 10000);
	fixture_read(f->inbox, uid, &out);
	assert_true(sv_eq(buf_sv(&out), sv_z(text)));
	buf_done(&out);
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 1);
	assert_int_equal(st.unseen, 0);
	assert_int_equal(st.uidnext, 2);
	assert_int_equal(st.size, sizeof(text) - 1);
	ok(mailbox_row(f->inbox, uid, &row));
	assert_int_equal(row.flags, FLAG_SEEN);
	assert_true(row.keywords.w[0] == 1);
	assert_int_equal(row.size, sizeof(text) - 1);
	message_email_id(&row, email_id);
	assert_int_equal(strlen(email_id), EMAIL_ID_SIZE - 1);
	ok(mailbox_uidl(f->inbox, uid, uidl));
	assert_int_equal(strlen(uidl), 16);
	assert_int_equal(mailbox_row(f->inbox, 2, &row).kind, FAULT_GONE);
	assert_int_equal(fixture_differences(f), 0);
}

static bool see_subject(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	(void)row;
	assert_non_null(parsed);
	assert_true(sv_starts(parsed->base_subject, SV("S")));
	++*(unsigned *)arg;
	return true;
}

static void parsed_data_is_there_also_after_the_index_is_lost(void **state)
{
	struct fixture *f = *state;
	unsigned seen = 0;
	uint32_t resume = 0;

	for (int i = 0; i < 150; i++) {
		char subject[20];
		snprintf(subject, sizeof(subject), "S%d", i);
		fixture_append(f->inbox, f->user, subject, 0);
	}
	do {
		ok(mailbox_scan(f->inbox, NULL, SCAN_PARSED, &resume, see_subject, &seen));
	} while (resume);
	assert_int_equal(seen, 150);
	fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	seen = 0;
	do {
		ok(mailbox_scan(f->inbox, NULL, SCAN_PARSED, &resume, see_subject, &seen));
	} while (resume);
	assert_int_equal(seen, 150);
}

static void a_new_account_has_its_mailboxes(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;
	uint32_t uid = 0;

	ok(fixture_deliver(f, BOB, "Subject: hello\r\n\r\nx\r\n", &uid));
	assert_int_equal(uid, 1);
	static const char *const names[] = { "INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		ok(mailbox_status(f->user, sv_z(names[i]), &st));
	assert_int_equal(mailbox_status(f->user, SV("Other"), &st).kind, FAULT_NOT_FOUND);
}

static void flags_change_and_are_told(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;
	struct message_row row;
	struct uidset modified = { 0 }, set = { 0 };
	uint32_t resume = 0;

	for (int i = 0; i < 3; i++)
		fixture_append(f->inbox, f->user, "x", 0);
	fixture_store(f->inbox, 1, 2, STORE_ADD, FLAG_SEEN | FLAG_FLAGGED, "Work");
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.unseen, 1);
	fixture_store(f->inbox, 2, 2, STORE_REMOVE, FLAG_SEEN, "work");
	ok(mailbox_row(f->inbox, 2, &row));
	assert_int_equal(row.flags, FLAG_FLAGGED);
	assert_true(!row.keywords.w[0]);
	fixture_store(f->inbox, 1, 3, STORE_REPLACE, FLAG_DELETED, NULL);
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.deleted, 3);
	assert_int_equal(st.unseen, 3);

	/* RFC 7162: a message changed since is left alone. */
	ok(mailbox_row(f->inbox, 1, &row));
	struct flag_change change = { .mode = STORE_REPLACE, .has_unchangedsince = true, .unchangedsince = row.modseq };
	uidset_add(&set, 1, 3);
	ok(mailbox_store_flags(f->inbox, &set, &change, &resume, &modified, NULL, NULL));
	assert_int_equal(uidset_total(&modified), 2);
	assert_false(uidset_has(&modified, 1));
	uidset_done(&set);
	uidset_done(&modified);
	assert_int_equal(fixture_differences(f), 0);
}

static bool note_change(void *arg, const struct change *c)
{
	buf_appendf(arg, "%c%u ", c->kind == CHANGE_NEW ? 'N' : c->kind == CHANGE_FLAGS ? 'F' : 'X', c->uid);
	return true;
}

static void changes_tell_each_message_once(void **state)
{
	struct fixture *f = *state;
	struct uidset uids = { 0 };
	struct buf out;
	uint64_t modseq, until;

	buf_init(&out, 10000);
	for (int i = 0; i < 4; i++)
		fixture_append(f->inbox, f->user, "x", 0);
	ok(mailbox_uids(f->inbox, &uids, &modseq));
	assert_int_equal(uidset_total(&uids), 4);
	fixture_store(f->inbox, 1, 2, STORE_ADD, FLAG_SEEN, NULL);
	fixture_append(f->inbox, f->user, "x", 0);              /* 5: stays */
	fixture_append(f->inbox, f->user, "x", 0);              /* 6: goes again */
	fixture_store(f->inbox, 2, 2, STORE_ADD, FLAG_FLAGGED, NULL);
	fixture_store(f->inbox, 5, 5, STORE_ADD, FLAG_FLAGGED, NULL);
	fixture_store(f->inbox, 3, 3, STORE_ADD, FLAG_DELETED, NULL);
	fixture_store(f->inbox, 6, 6, STORE_ADD, FLAG_DELETED, NULL);
	assert_int_equal(fixture_expunge(f->inbox), 2);
	ok(mailbox_changes(f->inbox, modseq, note_change, &out, &until));
	assert_string_equal(buf_z(&out), "F1 F2 N5 X3 ");
	assert_true(until > modseq);
	buf_clear(&out);
	ok(mailbox_changes(f->inbox, until, note_change, &out, &until));
	assert_int_equal(out.len, 0);
	uidset_done(&uids);
	buf_done(&out);
}

static void expect_vanished(struct mailbox *box, uint64_t since, const char *want)
{
	struct uidset gone = { 0 };
	struct buf text;

	buf_init(&text, 1000);
	ok(mailbox_vanished(box, since, &gone));
	assert_true(uidset_write(&gone, &text));
	assert_string_equal(buf_z(&text), want);
	uidset_done(&gone);
	buf_done(&text);
}

static void what_vanished_is_told_also_of_messages_that_came_later(void **state)
{
	struct fixture *f = *state;
	struct uidset uids = { 0 };
	uint64_t before, after;

	for (int i = 0; i < 6; i++)
		fixture_append(f->inbox, f->user, "x", 0);
	ok(mailbox_uids(f->inbox, &uids, &before));
	uidset_done(&uids);
	expect_vanished(f->inbox, before, "");
	fixture_append(f->inbox, f->user, "x", 0);
	fixture_store(f->inbox, 5, 7, STORE_ADD, FLAG_DELETED, NULL);
	fixture_expunge(f->inbox);
	ok(mailbox_uids(f->inbox, &uids, &after));
	uidset_done(&uids);
	fixture_store(f->inbox, 2, 2, STORE_ADD, FLAG_DELETED, NULL);
	fixture_expunge(f->inbox);
	expect_vanished(f->inbox, before, "2,5:7");
	expect_vanished(f->inbox, after, "2");
	/* A MODSEQ that was never given: everything that is not there. */
	expect_vanished(f->inbox, UINT64_MAX, "2,5:7");
}

static void note_copy(void *arg, uint32_t from, uint32_t to)
{
	buf_appendf(arg, "%u>%u ", from, to);
}

static void copies_and_moves_keep_what_a_message_is(void **state)
{
	struct fixture *f = *state;
	struct mailbox *archive = fixture_mailbox(f, "Archive");
	struct message_row before, after;
	struct uidset set = { 0 };
	struct buf told, text;
	uint32_t resume = 0;

	buf_init(&told, 1000);
	buf_init(&text, 1000);
	fixture_append_text(archive, f->user, "Subject: other\r\n\r\n", 0, "Alone");
	fixture_append_text(f->inbox, f->user, "Subject: one\r\n\r\nxyz\r\n", FLAG_SEEN, "Work");
	fixture_append(f->inbox, f->user, "two", 0);
	ok(mailbox_row(f->inbox, 1, &before));
	uidset_add(&set, 1, 2);
	ok(mailbox_copy(f->inbox, &set, archive, false, &resume, note_copy, &told));
	assert_int_equal(resume, 0);
	assert_string_equal(buf_z(&told), "1>2 2>3 ");
	ok(mailbox_row(archive, 2, &after));
	assert_memory_equal(after.email, before.email, sizeof(after.email));
	assert_int_equal(after.flags, FLAG_SEEN);
	assert_true(after.keywords.w[0] == 2);  /* "Work" is the second keyword there */
	assert_true(after.internaldate == before.internaldate);
	fixture_read(archive, 2, &text);
	assert_string_equal(buf_z(&text), "Subject: one\r\n\r\nxyz\r\n");

	buf_clear(&told);
	ok(mailbox_copy(f->inbox, &set, archive, true, &resume, note_copy, &told));
	assert_string_equal(buf_z(&told), "1>4 2>5 ");
	assert_int_equal(mailbox_row(f->inbox, 1, &after).kind, FAULT_GONE);
	/* RFC 9051 §6.4.7: into the mailbox itself, too. */
	buf_clear(&told);
	uidset_add(&set, 4, 4);
	ok(mailbox_copy(archive, &set, archive, false, &resume, note_copy, &told));
	assert_string_equal(buf_z(&told), "1>6 2>7 4>8 ");
	assert_int_equal(fixture_differences(f), 0);
	mailbox_close(&archive);
	uidset_done(&set);
	buf_done(&told);
	buf_done(&text);
}

static bool note_mailbox(void *arg, const struct mailbox_info *info)
{
	buf_appendf(arg, "%.*s%s%s%s ", SV_FMT(info->name), info->exists ? "" : "!", info->has_children ? "+" : "",
		    info->subscribed ? "*" : "");
	return true;
}

static void expect_list(struct fixture *f, const char *want)
{
	struct buf out;

	buf_init(&out, 10000);
	ok(mailbox_list(f->user, note_mailbox, &out));
	assert_string_equal(buf_z(&out), want);
	buf_done(&out);
}

static void mailboxes_are_made_renamed_and_deleted(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status before, after;
	char id[24];

	ok(mailbox_create(f->user, SV("a/b.c/d"), 0, id));
	assert_int_equal(mailbox_create(f->user, SV("A/../x"), 0, NULL).kind, FAULT_NONE);
	assert_int_equal(mailbox_create(f->user, SV("a"), 0, NULL).kind, FAULT_EXISTS);
	assert_int_equal(mailbox_create(f->user, SV("s2"), USE_SENT, NULL).kind, FAULT_EXISTS);
	ok(mailbox_subscribe(f->user, SV("nowhere"), true));
	ok(mailbox_subscribe(f->user, SV("Junk"), false));
	expect_list(f, "INBOX* A+ A/..+ A/../x Archive* Drafts* Junk Sent* Trash* a+ a/b.c+ a/b.c/d nowhere!* ");
	struct mailbox *box = fixture_mailbox(f, "a/b.c");
	fixture_append(box, f->user, "x", 0);
	ok(mailbox_counters(box, &before));
	ok(mailbox_rename(f->user, SV("a"), SV("z/new")));
	ok(mailbox_status(f->user, SV("z/new/b.c"), &after));
	assert_true(before.uidvalidity == after.uidvalidity && after.messages == 1);
	assert_string_equal(before.mailbox_id, after.mailbox_id);
	ok(mailbox_counters(box, &after));      /* the handle does not mind */
	assert_int_equal(mailbox_rename(f->user, SV("a"), SV("b")).kind, FAULT_NOT_FOUND);
	assert_int_equal(mailbox_rename(f->user, SV("z"), SV("z/y")).kind, FAULT_INVALID);
	assert_int_equal(mailbox_rename(f->user, SV("z"), SV("Sent")).kind, FAULT_EXISTS);
	ok(mailbox_delete(f->user, SV("z/new/b.c")));
	assert_int_equal(mailbox_counters(box, &after).kind, FAULT_GONE);
	mailbox_close(&box);
	assert_int_equal(mailbox_delete(f->user, SV("z/new/b.c")).kind, FAULT_NOT_FOUND);
	assert_int_equal(mailbox_delete(f->user, SV("inbox")).kind, FAULT_INVALID);
	expect_list(f, "INBOX* A+ A/..+ A/../x Archive* Drafts* Junk Sent* Trash* nowhere!* z+ z/new+ z/new/b.c!+ "
		       "z/new/b.c/d ");
	/* A mailbox made anew under an old name has another UIDVALIDITY. */
	ok(mailbox_create(f->user, SV("z/new/b.c"), 0, NULL));
	ok(mailbox_status(f->user, SV("z/new/b.c"), &after));
	assert_int_not_equal(before.uidvalidity, after.uidvalidity);
	assert_int_equal(fixture_differences(f), 0);
}

static void renaming_inbox_moves_its_messages(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;

	for (int i = 0; i < 5; i++)
		fixture_append(f->inbox, f->user, "x", 0);
	ok(mailbox_rename(f->user, SV("INBOX"), SV("old/inbox")));
	ok(mailbox_status(f->user, SV("old/inbox"), &st));
	assert_int_equal(st.messages, 5);
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 0);
	assert_int_equal(st.uidnext, 6);
}

static void the_index_can_be_deleted_under_a_live_handle(void **state)
{
	struct fixture *f = *state;
	struct buf before, after;
	struct mailbox_status was, is;

	buf_init(&before, 1 << 22);
	buf_init(&after, 1 << 22);
	for (int i = 0; i < 300; i++)
		fixture_append(f->inbox, f->user, "x", i % 3 ? FLAG_SEEN : 0);
	for (int i = 0; i < 40; i++) {
		char word[16];
		snprintf(word, sizeof(word), "word%d", i);
		fixture_store(f->inbox, 1 + (uint32_t)i, 50 + (uint32_t)i, STORE_ADD, FLAG_FLAGGED, word);
	}
	fixture_store(f->inbox, 290, 300, STORE_ADD, FLAG_DELETED, NULL);
	fixture_expunge(f->inbox);
	ok(mailbox_counters(f->inbox, &was));
	fixture_describe(f->inbox, &before);
	fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	fixture_describe(f->inbox, &after);
	assert_string_equal(buf_z(&before), buf_z(&after));
	ok(mailbox_counters(f->inbox, &is));
	assert_true(is.uidnext >= was.uidnext);
	assert_true(is.highestmodseq > was.highestmodseq);
	assert_int_equal(fixture_differences(f), 0);

	/* Once more, with the flags in names and the log cut. */
	store_tidy(f->store);
	assert_int_equal(fixture_differences(f), 0);
	fixture_shell("test ! -s '%s'", fixture_path(f, "Maildir/postroom-flags.log"));
	fixture_close(f);
	fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	fixture_open(f);
	buf_clear(&after);
	fixture_describe(f->inbox, &after);
	assert_string_equal(buf_z(&before), buf_z(&after));
	buf_done(&before);
	buf_done(&after);
}

static bool note_all_of_mailbox(void *arg, const struct mailbox_info *info)
{
	buf_appendf(arg, "%.*s %x %d%d%d %s\n", SV_FMT(info->name), info->special_use, info->exists, info->has_children,
		    info->subscribed, info->mailbox_id);
	return true;
}

static void mailboxes_come_back_from_the_maildir_alone(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status was, is;
	struct buf before, after;
	char uidl[72], again[72];
	uint32_t kept;

	buf_init(&before, 1 << 16);
	buf_init(&after, 1 << 16);
	ok(mailbox_create(f->user, SV("Wichtig & Gro\xc3\x9f/v1.0"), USE_IMPORTANT, NULL));
	ok(mailbox_subscribe(f->user, SV("gone"), true));
	for (int i = 0; i < 3; i++)
		kept = fixture_append(f->inbox, f->user, "x", 0);
	fixture_store(f->inbox, kept, kept, STORE_ADD, FLAG_DELETED, NULL);
	assert_int_equal(fixture_expunge(f->inbox), 1);
	ok(mailbox_uidl(f->inbox, 1, uidl));
	ok(mailbox_counters(f->inbox, &was));
	ok(mailbox_list(f->user, note_all_of_mailbox, &before));
	for (int round = 0; round < 3; round++) {
		fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
		buf_clear(&after);
		ok(mailbox_list(f->user, note_all_of_mailbox, &after));
		assert_string_equal(buf_z(&before), buf_z(&after));
		ok(mailbox_counters(f->inbox, &is));
		assert_int_equal(was.uidvalidity, is.uidvalidity);
		assert_true(is.uidnext >= was.uidnext && is.highestmodseq > was.highestmodseq);
		ok(mailbox_uidl(f->inbox, 1, again));
		assert_string_equal(uidl, again);
		was = is;
		/* An expunged message's UID is never given again. */
		assert_true(fixture_append(f->inbox, f->user, "y", 0) > kept);
	}
	buf_done(&before);
	buf_done(&after);
}

static void quota_counts_and_refuses(void **state)
{
	struct fixture *f = *state;
	struct quota_usage usage;
	char text[1200];
	uint32_t uid;

	fixture_close(f);
	f->quota = (struct quota){ 2500, 3 };
	fixture_open(f);
	memset(text, 'x', sizeof(text));
	memcpy(text, "Subject: x\r\n\r\n", 14);
	memcpy(text + 998, "\r\n", 3);
	ok(fixture_deliver(f, ALICE, text, &uid));
	ok(fixture_deliver(f, ALICE, text, &uid));
	assert_int_equal(fixture_deliver(f, ALICE, text, &uid).kind, FAULT_QUOTA);
	assert_int_equal(uid, 0);
	ok(fixture_deliver(f, ALICE, "Subject: small\r\n\r\n", &uid));
	assert_int_equal(fixture_deliver(f, ALICE, "\r\n", &uid).kind, FAULT_QUOTA);
	ok(maildir_user_quota(f->user, &usage));
	assert_true(usage.bytes == 2018 && usage.messages == 3 && usage.bytes_max == 2500);
	ok(maildir_user_recount(f->user));
	ok(maildir_user_quota(f->user, &usage));
	assert_true(usage.bytes == 2018 && usage.messages == 3);
	fixture_store(f->inbox, 1, 1, STORE_ADD, FLAG_DELETED, NULL);
	assert_int_equal(fixture_expunge(f->inbox), 1);
	ok(maildir_user_quota(f->user, &usage));
	assert_true(usage.bytes == 1018 && usage.messages == 2);
	assert_int_equal(fixture_differences(f), 0);
}

static void keywords_are_limited(void **state)
{
	struct fixture *f = *state;
	struct buf before, after;

	fixture_append(f->inbox, f->user, "x", 0);
	for (int i = 0; i < KEYWORDS_MAX; i++) {
		char word[16];
		snprintf(word, sizeof(word), "k%d", i);
		fixture_store(f->inbox, 1, 1, STORE_ADD, 0, word);
	}
	struct sv words[2] = { SV("one-more"), SV("k1") };
	struct flag_change change = { .mode = STORE_ADD, .keywords = words, .keyword_count = 2 };
	uint32_t resume = 0;
	assert_int_equal(mailbox_store_flags(f->inbox, NULL, &change, &resume, NULL, NULL, NULL).kind, FAULT_LIMIT);
	buf_init(&before, 1 << 20);
	buf_init(&after, 1 << 20);
	fixture_describe(f->inbox, &before);
	store_tidy(f->store);
	fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	fixture_describe(f->inbox, &after);
	assert_string_equal(buf_z(&before), buf_z(&after));
	buf_done(&before);
	buf_done(&after);
}

static void recent_is_claimed_once(void **state)
{
	struct fixture *f = *state;
	struct uidset got = { 0 };
	uint32_t first;

	fixture_append(f->inbox, f->user, "x", FLAG_SEEN);
	fixture_append(f->inbox, f->user, "x", 0);
	ok(mailbox_claim_recent(f->inbox, true, &got));
	assert_int_equal(uidset_total(&got), 2);
	uidset_done(&got);
	ok(mailbox_claim_recent(f->inbox, false, &got));
	assert_int_equal(uidset_total(&got), 2);
	uidset_done(&got);
	ok(mailbox_claim_recent(f->inbox, false, &got));
	assert_int_equal(uidset_total(&got), 0);
	ok(mailbox_first_unseen(f->inbox, &first));
	assert_int_equal(first, 2);
	fixture_store(f->inbox, 2, 2, STORE_ADD, FLAG_SEEN, NULL);
	ok(mailbox_first_unseen(f->inbox, &first));
	assert_int_equal(first, 0);
}

static void one_message_goes_to_many_places_or_to_none(void **state)
{
	struct fixture *f = *state;
	struct incoming *in;
	struct maildir_drop *alice, *bob;
	struct quota tight = { 5, 0 };
	struct mailbox_status st;
	struct sv word = SV("Label");

	ok(maildir_drop_open(f->store, SV(ALICE), NULL, &alice));
	ok(maildir_drop_open(f->store, SV(BOB), NULL, &bob));
	ok(incoming_new(NULL, alice, 1000, &in));
	ok(incoming_write(in, SV("Subject: many\r\n\r\nx\r\n")));
	ok(incoming_finish(in));
	struct delivery places[] = {
		{ .drop = bob, .mailbox = SV("INBOX") },
		{ .drop = alice, .mailbox = SV("new/box"), .create = true, .flags = FLAG_SEEN, .keywords = &word,
		  .keyword_count = 1 },
		{ .drop = alice, .mailbox = SV("missing") },
	};
	ok(incoming_deliver(in, places, 3));
	for (int i = 0; i < 3; i++)
		assert_int_equal(places[i].uid, 1);
	ok(mailbox_status(f->user, SV("new/box"), &st));
	assert_int_equal(st.messages, 1);
	assert_int_equal(st.unseen, 0);
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 1);
	/* One inode for all of them. */
	assert_int_equal(fixture_shell("test $(find '%s' -type f -links +2 -path '*/cur/*' | wc -l) = 3", f->root), 0);
	incoming_free(&in);
	maildir_drop_close(&bob);

	ok(maildir_drop_open(f->store, SV(BOB), &tight, &bob));
	ok(incoming_new(NULL, alice, 1000, &in));
	ok(incoming_write(in, SV("Subject: none\r\n\r\nx\r\n")));
	ok(incoming_finish(in));
	struct delivery both[] = { { .drop = alice, .mailbox = SV("INBOX") }, { .drop = bob, .mailbox = SV("INBOX") } };
	assert_int_equal(incoming_deliver(in, both, 2).kind, FAULT_QUOTA);
	assert_int_equal(both[1].result.kind, FAULT_QUOTA);
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 1);
	incoming_free(&in);
	assert_int_equal(fixture_shell("cd '%s' && test -z \"$(find . -path '*/tmp/*')\"", f->root), 0);
	maildir_drop_close(&alice);
	maildir_drop_close(&bob);
	assert_int_equal(fixture_differences(f), 0);
}

static void mail_from_the_queue_is_not_delivered_twice(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;

	for (int round = 0; round < 3; round++) {
		struct incoming *in;
		struct delivery place = { .mailbox = SV("INBOX"), .dedup_id = SV("q123 alice@example.test") };
		ok(maildir_drop_open(f->store, SV(ALICE), NULL, &place.drop));
		ok(incoming_new(NULL, place.drop, 1000, &in));
		ok(incoming_write(in, SV("Subject: queue\r\n\r\n")));
		ok(incoming_finish(in));
		ok(incoming_deliver(in, &place, 1));
		assert_int_equal(place.uid, 1);
		incoming_free(&in);
		maildir_drop_close(&place.drop);
		ok(mailbox_counters(f->inbox, &st));
		assert_int_equal(st.messages, 1);
		if (round == 1)         /* the name alone says it, too */
			fixture_shell("rm -rf '%s'", fixture_path(f, "index"));
	}
}

static void limits_and_abandoned_messages_leave_nothing(void **state)
{
	struct fixture *f = *state;
	struct incoming *in;

	ok(incoming_new(f->user, NULL, 10, &in));
	ok(incoming_write(in, SV("12345")));
	assert_int_equal(incoming_write(in, SV("678901")).kind, FAULT_LIMIT);
	assert_int_equal(incoming_write(in, SV("6")).kind, FAULT_LIMIT);
	assert_int_equal(incoming_finish(in).kind, FAULT_LIMIT);
	struct append_item item = { .message = in };
	assert_int_equal(incoming_append(f->inbox, &item, 1).kind, FAULT_LIMIT);
	incoming_free(&in);
	ok(incoming_new(f->user, NULL, 10, &in));
	incoming_free(&in);
	assert_int_equal(fixture_shell("test -z \"$(ls '%s')\"", fixture_path(f, "Maildir/tmp")), 0);
}

static void several_messages_are_appended_or_none(void **state)
{
	struct fixture *f = *state;
	struct append_item items[3] = { 0 };
	struct sv bad = SV("not a keyword");
	struct mailbox_status st;

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < 3; i++) {
			if (!items[i].message) {
				ok(incoming_new(f->user, NULL, 100, &items[i].message));
				ok(incoming_write(items[i].message, SV("Subject: x\r\n\r\n")));
				ok(incoming_finish(items[i].message));
			}
			items[i].keywords = &bad;
			items[i].has_internaldate = true;
			items[i].internaldate = -1000 * (int64_t)i;
		}
		items[2].keyword_count = round ? 0 : 1;
		struct fault r = incoming_append(f->inbox, items, 3);
		assert_int_equal(r.kind, round ? FAULT_NONE : FAULT_INVALID);
		ok(mailbox_counters(f->inbox, &st));
		assert_int_equal(st.messages, round ? 3 : 0);
	}
	assert_int_equal(items[2].uid, 3);
	struct message_row row;
	ok(mailbox_row(f->inbox, 3, &row));
	assert_true(row.internaldate == -2000);
	assert_int_equal(fixture_differences(f), 0);
}

static void the_maildrop_is_locked_once(void **state)
{
	struct fixture *f = *state;
	struct mailbox *second = fixture_mailbox(f, "INBOX");

	ok(mailbox_lock(f->inbox));
	assert_int_equal(mailbox_lock(second).kind, FAULT_IN_USE);
	mailbox_unlock(f->inbox);
	ok(mailbox_lock(second));
	mailbox_close(&second);
	ok(mailbox_lock(f->inbox));
	mailbox_unlock(f->inbox);
}

static void old_changes_are_forgotten_not_made_up(void **state)
{
	struct fixture *f = *state;
	struct buf out;
	uint64_t first, until;
	struct uidset uids = { 0 };

	for (int i = 0; i < 1100; i++)
		fixture_append(f->inbox, f->user, "x", 0);
	ok(mailbox_uids(f->inbox, &uids, &first));
	uidset_done(&uids);
	buf_init(&out, 1 << 20);
	for (int i = 0; i < 250; i++)   /* 275,000 changes: more than are kept */
		fixture_store(f->inbox, 1, 1100, i % 2 ? STORE_ADD : STORE_REMOVE, FLAG_FLAGGED, NULL);
	assert_int_equal(mailbox_changes(f->inbox, first, note_change, &out, &until).kind, FAULT_GONE);
	assert_true(until > first);
	fixture_store(f->inbox, 7, 7, STORE_ADD, FLAG_DELETED, NULL);
	fixture_expunge(f->inbox);
	expect_vanished(f->inbox, first, "7");
	ok(mailbox_uids(f->inbox, &uids, &until));
	uidset_done(&uids);
	fixture_store(f->inbox, 7, 8, STORE_ADD, FLAG_SEEN, NULL);
	ok(mailbox_changes(f->inbox, until, note_change, &out, &until));
	assert_string_equal(buf_z(&out), "F8 ");
	buf_done(&out);
}

static bool add_uid(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	(void)parsed;
	return uidset_add(arg, row->uid, row->uid);
}

static void check_uids(struct fixture *f, uint32_t expected)
{
	struct uidset told = { 0 }, walked = { 0 };
	struct buf a, b;
	uint64_t modseq;
	uint32_t resume = 0;

	ok(mailbox_uids(f->inbox, &told, &modseq));
	do
		ok(mailbox_scan(f->inbox, NULL, SCAN_ROW, &resume, add_uid, &walked));
	while (resume);
	assert_int_equal(uidset_total(&told), expected);
	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	assert_true(uidset_write(&told, &a) && uidset_write(&walked, &b));
	assert_string_equal(buf_z(&a), buf_z(&b));
	buf_done(&a);
	buf_done(&b);
	uidset_done(&told);
	uidset_done(&walked);
}

static bool see_parsed(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	(void)row;
	*(unsigned *)arg += parsed != NULL;
	return true;
}

static void note_progress(void *arg, uint64_t done, uint64_t total)
{
	uint64_t *last = arg;

	assert_true(done <= total && done >= *last);
	*last = done;
}

/* The parsed form of each message is there before anybody asks. */
static void messages_are_parsed_in_the_background(void **state)
{
	struct fixture *f = *state;
	struct mailbox *trash = fixture_mailbox(f, "Trash");
	uint64_t last = 0;
	unsigned parsed = 0;
	uint32_t resume = 0;

	for (int i = 0; i < 150; i++)
		fixture_append(f->inbox, f->user, "S", 0);
	for (int i = 0; i < 3; i++)
		fixture_append(trash, f->user, "T", 0);
	ok(store_index_rebuild(f->store, SV(ALICE), note_progress, &last));
	assert_int_equal(last, 153);
	struct mailbox_status st;
	ok(mailbox_counters(f->inbox, &st));    /* so that the new index is open */
	for (int i = 0; i < 20; i++)
		store_refill(f->store, i % 2 ? 1000 : 0);
	/* Were a file needed now, the message could not be parsed. */
	fixture_shell("cd '%s' && for f in cur/* .Trash/cur/*; do mv $f $f.away; done", fixture_path(f, "Maildir"));
	do
		ok(mailbox_scan(f->inbox, NULL, SCAN_PARSED, &resume, see_parsed, &parsed));
	while (resume);
	do
		ok(mailbox_scan(trash, NULL, SCAN_PARSED, &resume, see_parsed, &parsed));
	while (resume);
	assert_int_equal(parsed, 153);
	mailbox_close(&trash);
}

static void a_user_is_known_while_the_index_of_the_account_is_open(void **state)
{
	struct fixture *f = *state;
	struct auth_identity *alice = identity_for_admin(SV(ALICE), SV_NONE), *nobody = identity_for_admin(SV("nobody@example.test"), SV_NONE);
	struct quota quota = { .messages = 7 };
	struct quota_usage usage;
	struct maildir_user *user = NULL;
	struct mailbox *box;

	assert_true(maildir_user_known(f->store, alice, &user));
	maildir_user_set_quota(user, &quota);
	ok(maildir_user_quota(user, &usage));
	assert_int_equal(usage.messages_max, 7);
	ok(mailbox_open(user, SV("INBOX"), &box));
	mailbox_close(&box);
	maildir_user_close(&user);
	assert_false(maildir_user_known(f->store, nobody, &user));
	assert_null(user);
	identity_unref(&alice);
	identity_unref(&nobody);
}

/* UIDs of all lengths, as a folder shows them: in no order. Two files say 77: the older one is it, the other one is new mail. */
static void a_new_index_has_all_messages_under_the_uids_that_their_names_say(void **state)
{
	static const uint32_t far[] = { 255, 256, 65535, 65536, 70000, 16777215, 16777216, 20000000, 1000000000 };
	struct fixture *f = *state;
	struct mailbox_status st;
	struct uidset uids = { 0 };
	struct message_row row;
	uint64_t modseq;
	char list[200] = "";

	ok(mailbox_counters(f->inbox, &st));
	for (size_t i = 0; i < ARRAY_LEN(far); i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), " %u", far[i]);
	assert_int_equal(fixture_shell("cd '%s' && printf 'Subject: x\r\n\r\n' > text && for n in $(seq 1 200)%s; do "
				       "cp text cur/17000000$((n %% 90 + 10)).a$((n * 7 %% 1000))b$n.h,S=14,W=14,U=%u.$n:2,$([ $((n %% 2)) = 1 ] || echo S); "
				       "done && rm text && printf 'Subject: twin\r\n\r\n' > cur/1.twin.h,S=17,W=17,U=%u.77:2,",
				       fixture_path(f, "Maildir"), list, st.uidvalidity, st.uidvalidity), 0);
	ok(store_index_rebuild(f->store, SV(ALICE), NULL, NULL));
	ok(mailbox_counters(f->inbox, &st));
	ok(mailbox_uids(f->inbox, &uids, &modseq));
	assert_int_equal(uidset_total(&uids), 200 + ARRAY_LEN(far) + 1);
	assert_int_equal(st.messages, 200 + ARRAY_LEN(far) + 1);
	for (uint32_t i = 0; i < 200 + ARRAY_LEN(far); i++) {
		uint32_t uid = i < 200 ? i + 1 : far[i - 200];
		ok(mailbox_row(f->inbox, uid, &row));
		assert_int_equal(row.flags, uid % 2 ? 0 : FLAG_SEEN);
		assert_int_equal(row.size, 14);
		assert_int_equal(row.savedate, 1700000000 + uid % 90 + 10);
	}
	uidset_done(&uids);
}

/* So many that they are not walked each time: as this process knew them, as the index has them, and what came since. */
static void uids_of_a_big_mailbox_are_right_also_in_a_new_process(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fixture_shell("cd '%s' && seq -f '1700000000.%%05g.then' 1 2500 | while read n; do "
				       "printf 'Subject: x\r\n\r\n' > $n; done", fixture_path(f, "Maildir/new")), 0);
	check_uids(f, 2500);
	check_uids(f, 2500);
	fixture_store(f->inbox, 100, 120, STORE_ADD, FLAG_DELETED, NULL);
	assert_int_equal(fixture_expunge(f->inbox), 21);
	check_uids(f, 2479);
	for (int round = 0; round < 2; round++) {
		fixture_close(f);
		fixture_open(f);
		fixture_append(f->inbox, f->user, "new", 0);
		check_uids(f, 2480 + (uint32_t)round);
	}
	for (int i = 0; i < 5; i++)     /* so many changes that the set is noted anew */
		fixture_store(f->inbox, 1, 2500, i % 2 ? STORE_REMOVE : STORE_ADD, FLAG_FLAGGED, NULL);
	fixture_close(f);
	fixture_open(f);
	check_uids(f, 2481);
	fixture_close(f);
	fixture_open(f);
	check_uids(f, 2481);
	assert_int_equal(fixture_differences(f), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_comes_back_as_it_was_put),
		TEST(parsed_data_is_there_also_after_the_index_is_lost),
		TEST(a_new_account_has_its_mailboxes),
		TEST(flags_change_and_are_told),
		TEST(changes_tell_each_message_once),
		TEST(what_vanished_is_told_also_of_messages_that_came_later),
		TEST(copies_and_moves_keep_what_a_message_is),
		TEST(mailboxes_are_made_renamed_and_deleted),
		TEST(renaming_inbox_moves_its_messages),
		TEST(the_index_can_be_deleted_under_a_live_handle),
		TEST(mailboxes_come_back_from_the_maildir_alone),
		TEST(quota_counts_and_refuses),
		TEST(keywords_are_limited),
		TEST(recent_is_claimed_once),
		TEST(one_message_goes_to_many_places_or_to_none),
		TEST(mail_from_the_queue_is_not_delivered_twice),
		TEST(limits_and_abandoned_messages_leave_nothing),
		TEST(several_messages_are_appended_or_none),
		TEST(the_maildrop_is_locked_once),
		TEST(old_changes_are_forgotten_not_made_up),
		TEST(messages_are_parsed_in_the_background),
		TEST(a_new_index_has_all_messages_under_the_uids_that_their_names_say),
		TEST(a_user_is_known_while_the_index_of_the_account_is_open),
		TEST(uids_of_a_big_mailbox_are_right_also_in_a_new_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
