/* Mailboxes of others: who may do what, what each reader has seen, copies between accounts. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/directory.h"
#include "common/identity.h"
#include "common/memory.h"
#include "maildir/account_private.h"
#include "maildir/metadata.h"
#include "tests/unit/support/store_fixture.h"

#define TEAM "Shared/" ALICE "/Team"
#define ok(call) assert_int_equal((call).kind, FAULT_NONE)

struct world {
	struct fixture f;
	struct directory *directory;
	struct maildir_user *bob;
	struct mailbox *team;           /* alice's, as she has it */
};

static void open_bob(struct world *w)
{
	struct directory_account account;
	struct quota none = { 0 };

	ok(directory_account_get(w->directory, SV(BOB), &account));
	struct auth_identity *id = identity_for_admin(SV(BOB), sv_z(account.id));

	ok(maildir_user_open(w->f.store, id, &none, &w->bob));
	identity_unref(&id);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char path[128];
	char id[24];

	fixture_make(&w->f);
	snprintf(path, sizeof(path), "%s/directory", w->f.root);
	ok(directory_open(path, true, &w->directory));
	ok(directory_domain_add(w->directory, SV("example.test")));
	ok(directory_account_add(w->directory, SV(ALICE), NULL, DIRECTORY_ITERATIONS_MIN, NULL));
	ok(directory_account_add(w->directory, SV(BOB), NULL, DIRECTORY_ITERATIONS_MIN, NULL));
	store_share(w->f.store, w->directory);
	ok(mailbox_create(w->f.user, SV("Team"), 0, id));
	w->team = fixture_mailbox(&w->f, "Team");
	open_bob(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	mailbox_close(&w->team);
	maildir_user_close(&w->bob);
	fixture_remove(&w->f);
	directory_close(&w->directory);
	free(w);
	return 0;
}

static void grant(struct world *w, uint32_t rights)
{
	ok(mailbox_acl_change(w->f.user, SV("Team"), SV(BOB), ACL_REPLACE, rights));
}

static void what_is_absent_and_what_is_not_allowed_are_one_fault_and_open_nothing(void **state)
{
	static const char *const names[] = { TEAM, "Shared/" ALICE "/Nosuch", "Shared/nobody@example.test/INBOX",
					     "Shared/" BOB "/INBOX", "Shared/" ALICE, "Shared/@/x", "Shared/x@y/" };
	struct world *w = *state;
	struct mailbox_status st;
	struct mailbox *box;
	uint32_t rights;
	struct stat folder;
	char id[24], path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct sv name = sv_z(names[i]);

		assert_int_equal(mailbox_open(w->bob, name, &box).kind, FAULT_NOT_FOUND);
		assert_int_equal(mailbox_open_for(w->bob, name, RIGHT_INSERT, &box).kind, FAULT_NOT_FOUND);
		assert_int_equal(mailbox_status(w->bob, name, &st).kind, FAULT_NOT_FOUND);
		assert_int_equal(mailbox_rights(w->bob, name, &rights).kind, FAULT_NOT_FOUND);
		assert_int_equal(mailbox_delete(w->bob, name).kind, FAULT_NOT_FOUND);
	}
	assert_int_equal(mailbox_create(w->bob, SV(TEAM "/x"), 0, id).kind, FAULT_NOT_FOUND);
	assert_int_equal(mailbox_create(w->bob, SV("Shared/nobody@example.test/x"), 0, id).kind, FAULT_NOT_FOUND);
	assert_int_equal(mailbox_acl_change(w->bob, SV(TEAM), SV(BOB), ACL_ADD, RIGHTS_ALL).kind, FAULT_NOT_FOUND);
	snprintf(path, sizeof(path), "%s/mail/example.test/nobody", w->f.root);
	assert_int_equal(stat(path, &folder), -1);
}

static void one_may_keep_folders_called_shared(void **state)
{
	struct world *w = *state;
	struct mailbox_status st;
	char id[24];

	ok(mailbox_create(w->bob, SV("Shared/Photos"), 0, id));
	ok(mailbox_status(w->bob, SV("Shared/Photos"), &st));
}

static bool count_row(void *arg, const struct mailbox_info *info)
{
	(void)info;
	++*(unsigned *)arg;
	return true;
}

static unsigned count_mailboxes(struct maildir_user *user)
{
	unsigned count = 0;

	ok(mailbox_list(user, count_row, &count));
	return count;
}

/* Another process writes the file of who grants something to whom, and this one has read it already. */
static void what_is_granted_is_listed_at_once_each_time(void **state)
{
	struct world *w = *state;
	char mail[128];
	struct store_conf conf = { .mail_dir = mail, .host = "host.test", .create_special_use = true };
	struct store *other;
	struct maildir_user *alice;
	unsigned own = count_mailboxes(w->bob);
	struct auth_identity *id = identity_for_admin(SV(ALICE), SV_NONE);

	snprintf(mail, sizeof(mail), "%s/mail", w->f.root);
	ok(store_open(&conf, &other));
	store_share(other, w->directory);
	ok(maildir_user_open(other, id, NULL, &alice));
	for (int i = 0; i < 20; i++) {
		ok(mailbox_acl_change(alice, SV("Team"), SV(BOB), ACL_REPLACE, i % 2 ? 0 : RIGHT_LOOKUP));
		assert_int_equal(count_mailboxes(w->bob) > own, !(i % 2));
		assert_int_equal(count_mailboxes(w->bob) > own, !(i % 2));
	}
	identity_unref(&id);
	maildir_user_close(&alice);
	store_close(&other);
}

static void rights_are_looked_at_with_every_call(void **state)
{
	struct world *w = *state;
	struct flag_change change = { .mode = STORE_ADD, .flags = FLAG_SEEN | FLAG_FLAGGED };
	struct message_row row;
	struct mailbox *box;
	uint32_t resume = 1;
	struct uidset gone = { 0 };

	fixture_append(w->team, w->f.user, "x", 0);
	grant(w, RIGHT_LOOKUP);
	assert_int_equal(mailbox_open(w->bob, SV(TEAM), &box).kind, FAULT_DENIED);
	grant(w, RIGHT_LOOKUP | RIGHT_READ | RIGHT_WRITE);
	ok(mailbox_open(w->bob, SV(TEAM), &box));
	ok(mailbox_store_flags(box, NULL, &change, &resume, NULL, NULL, NULL));
	ok(mailbox_row(box, 1, &row));
	assert_int_equal(row.flags, FLAG_FLAGGED);      /* what the rights allow */
	grant(w, RIGHT_LOOKUP | RIGHT_READ | RIGHT_SEEN);
	change.flags = FLAG_DELETED;
	resume = 1;
	assert_int_equal(mailbox_store_flags(box, NULL, &change, &resume, NULL, NULL, NULL).kind, FAULT_DENIED);
	resume = 0;
	assert_int_equal(mailbox_expunge(box, NULL, true, &resume, &gone).kind, FAULT_DENIED);
	grant(w, 0);
	assert_int_equal(mailbox_row(box, 1, &row).kind, FAULT_GONE);
	mailbox_close(&box);
	assert_int_equal(mailbox_open(w->bob, SV(TEAM), &box).kind, FAULT_NOT_FOUND);
}

static void a_new_account_with_an_old_name_gets_nothing(void **state)
{
	struct world *w = *state;
	struct mailbox_status st;

	grant(w, RIGHT_LOOKUP | RIGHT_READ);
	ok(mailbox_status(w->bob, SV(TEAM), &st));
	maildir_user_close(&w->bob);
	ok(directory_account_remove(w->directory, SV(BOB)));
	ok(directory_account_add(w->directory, SV(BOB), NULL, DIRECTORY_ITERATIONS_MIN, NULL));
	open_bob(w);
	assert_int_equal(mailbox_status(w->bob, SV(TEAM), &st).kind, FAULT_NOT_FOUND);
	grant(w, RIGHT_LOOKUP | RIGHT_READ);            /* in the place of the former one's */
	ok(mailbox_status(w->bob, SV(TEAM), &st));
	ok(directory_account_remove(w->directory, SV(BOB)));
	ok(mailbox_acl_change(w->f.user, SV("Team"), SV(BOB), ACL_REMOVE, RIGHTS_ALL));  /* also when nobody has the name */
	ok(directory_account_add(w->directory, SV(BOB), NULL, DIRECTORY_ITERATIONS_MIN, NULL));
}

static void identifiers_that_cannot_be_are_refused(void **state)
{
	/* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): two literals are one identifier */
	static const char *const bad[] = { "nobody@example.test", ALICE, "-" ALICE, "", "-", "a b" };
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(mailbox_acl_change(w->f.user, SV("Team"), sv_z(bad[i]), ACL_ADD, RIGHT_READ).kind,
				 FAULT_INVALID);
	assert_int_equal(mailbox_acl_change(w->f.user, SV("Nosuch"), SV(BOB), ACL_ADD, RIGHT_READ).kind, FAULT_NOT_FOUND);
}

static uint32_t seen_of(struct mailbox *box, uint32_t first, uint32_t last)
{
	uint32_t n = 0;

	for (uint32_t uid = first; uid <= last; uid++) {
		struct message_row row;

		ok(mailbox_row(box, uid, &row));
		n += row.flags & FLAG_SEEN;
	}
	return n;
}

static off_t seen_size(struct world *w)
{
	struct directory_account account;
	struct stat st = { 0 };
	char rest[128];

	ok(directory_account_get(w->directory, SV(BOB), &account));
	snprintf(rest, sizeof(rest), "Maildir/.Team/postroom-seen.%s", account.id);
	assert_int_equal(stat(fixture_path(&w->f, rest), &st), 0);
	return st.st_size;
}

static void what_a_reader_has_seen_is_theirs_and_survives_a_rebuild(void **state)
{
	struct world *w = *state;
	struct mailbox_status st;
	struct mailbox *box, *phone;
	uint32_t unseen;

	for (int i = 0; i < 10; i++)
		fixture_append(w->team, w->f.user, "x", i < 2 ? FLAG_SEEN : 0);
	grant(w, RIGHT_LOOKUP | RIGHT_READ | RIGHT_SEEN);
	ok(mailbox_open(w->bob, SV(TEAM), &box));
	ok(mailbox_open(w->bob, SV(TEAM), &phone));
	assert_int_equal(seen_of(box, 1, 10), 0);
	fixture_store(box, 3, 7, STORE_ADD, FLAG_SEEN, NULL);
	fixture_store(box, 5, 5, STORE_REMOVE, FLAG_SEEN, NULL);
	assert_int_equal(seen_of(box, 1, 10), 4);
	assert_int_equal(seen_of(phone, 1, 10), 4);
	assert_int_equal(seen_of(w->team, 1, 10), 2);
	ok(mailbox_counters(box, &st));
	assert_int_equal(st.unseen, 6);
	ok(mailbox_first_unseen(box, &unseen));
	assert_int_equal(unseen, 1);
	ok(store_index_rebuild(w->f.store, SV(ALICE), NULL, NULL));
	assert_int_equal(seen_of(box, 1, 10), 4);
	assert_int_equal(seen_of(w->team, 1, 10), 2);
	mailbox_close(&phone);
	mailbox_close(&box);
}

static void a_file_of_what_was_seen_does_not_grow_for_ever(void **state)
{
	struct world *w = *state;
	struct flag_change change = { .flags = FLAG_SEEN };
	struct uidset odd = { 0 };
	struct mailbox *box, *phone;
	off_t most = 0;

	for (int i = 0; i < 120; i++)
		fixture_append(w->team, w->f.user, "x", 0);
	for (uint32_t uid = 1; uid < 120; uid += 2)
		uidset_add(&odd, uid, uid);
	grant(w, RIGHT_LOOKUP | RIGHT_READ | RIGHT_SEEN);
	ok(mailbox_open(w->bob, SV(TEAM), &box));
	ok(mailbox_open(w->bob, SV(TEAM), &phone));
	for (int i = 0; i < 161; i++) {
		uint32_t resume = 1;

		change.mode = i % 2 ? STORE_REMOVE : STORE_ADD;
		ok(mailbox_store_flags(box, &odd, &change, &resume, NULL, NULL, NULL));
		if (seen_size(w) > most)
			most = seen_size(w);
	}
	assert_true(most > 8192 && most < 16384);       /* of 31,000 octets that were written */
	assert_int_equal(seen_of(box, 1, 120), 60);
	assert_int_equal(seen_of(phone, 1, 120), 60);
	uidset_done(&odd);
	mailbox_close(&phone);
	mailbox_close(&box);
}

static struct device {
	struct mailbox *box;
	uint32_t uid;
	struct fault fault;
	_Atomic pid_t thread;
	pthread_t handle;
} devices[2];

static void *read_one(void *arg)
{
	struct device *d = arg;
	struct flag_change change = { .mode = STORE_ADD, .flags = FLAG_SEEN };
	struct uidset one = { 0 };
	uint32_t resume = 0;

	uidset_add(&one, d->uid, d->uid);
	d->thread = gettid();
	d->fault = mailbox_store_flags(d->box, &one, &change, &resume, NULL, NULL, NULL);
	uidset_done(&one);
	return NULL;
}

static bool is_waiting(pid_t thread)
{
	char path[64], text[256] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
	f = fopen(path, "r");
	if (f && !fgets(text, sizeof(text), f))
		text[0] = '\0';
	if (f)
		fclose(f);
	const char *state = strrchr(text, ')');

	return state && !strncmp(state, ") S", 3);
}

/* While one transaction runs, both devices come, know what was seen until now, and wait for their own. (Should they not be there
 * yet, this only shows less.) */
static void devices_come(bool has_intent)
{
	(void)has_intent;
	index_before_commit = NULL;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&devices[i].handle, NULL, read_one, &devices[i]), 0);
		for (int looks = 0; looks < 100000 && !(devices[i].thread && is_waiting(devices[i].thread)); looks++)
			sched_yield();
	}
}

static void two_devices_of_a_reader_know_all_that_either_has_seen(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 3; i++)
		fixture_append(w->team, w->f.user, "x", 0);
	grant(w, RIGHT_LOOKUP | RIGHT_READ | RIGHT_SEEN);
	for (uint32_t i = 0; i < 2; i++) {
		devices[i] = (struct device){ .uid = i + 1 };
		ok(mailbox_open(w->bob, SV(TEAM), &devices[i].box));
	}
	index_before_commit = devices_come;
	fixture_store(w->team, 3, 3, STORE_ADD, FLAG_FLAGGED, NULL);
	for (size_t i = 0; i < 2; i++) {
		pthread_join(devices[i].handle, NULL);
		ok(devices[i].fault);
	}
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(seen_of(devices[i].box, 1, 3), 2);
		mailbox_close(&devices[i].box);
	}
}

static void take(void *arg, uint32_t from_uid, uint32_t to_uid)
{
	(void)from_uid;
	uidset_add(arg, to_uid, to_uid);
}

static void messages_go_between_accounts_with_the_flags_that_are_allowed(void **state)
{
	struct world *w = *state;
	struct mailbox *own, *theirs;
	struct message_row row, copy;
	struct uidset made = { 0 };
	struct buf before, after;
	uint32_t resume = 0;

	grant(w, RIGHT_LOOKUP | RIGHT_READ | RIGHT_INSERT | RIGHT_SEEN | RIGHT_DELETE | RIGHT_EXPUNGE);
	ok(mailbox_open(w->bob, SV("INBOX"), &own));
	for (int i = 0; i < 40; i++)
		fixture_append(own, w->bob, "mine", FLAG_SEEN | FLAG_FLAGGED);
	ok(mailbox_open_for(w->bob, SV(TEAM), RIGHT_INSERT, &theirs));
	do
		ok(mailbox_copy(own, NULL, theirs, false, &resume, take, &made));
	while (resume);
	assert_int_equal(uidset_total(&made), 40);
	ok(mailbox_row(own, 7, &row));
	ok(mailbox_row(theirs, 7, &copy));
	assert_int_equal(copy.flags, FLAG_SEEN);        /* bob's own; no right w for \Flagged */
	assert_int_equal(copy.internaldate, row.internaldate);
	assert_memory_equal(copy.email, row.email, sizeof(copy.email));
	ok(mailbox_row(w->team, 7, &copy));
	assert_int_equal(copy.flags, 0);
	buf_init(&before, 100000);
	buf_init(&after, 100000);
	fixture_read(own, 7, &before);
	fixture_read(w->team, 7, &after);
	assert_true(sv_eq(buf_sv(&before), buf_sv(&after)));
	do
		ok(mailbox_copy(theirs, NULL, own, true, &resume, take, &made));
	while (resume);
	struct mailbox_status st;

	ok(mailbox_counters(w->team, &st));
	assert_int_equal(st.messages, 0);
	ok(mailbox_counters(own, &st));
	assert_int_equal(st.messages, 80);
	buf_done(&before);
	buf_done(&after);
	uidset_done(&made);
	mailbox_close(&theirs);
	mailbox_close(&own);
}

/* What others do between the moment at which a move has read the originals and the one at which it removes them: in front of a
 * commit in the account that they go to. */
static struct {
	struct mailbox *team, *phone;
	bool is_on;
} others;

static void others_act_once(bool has_intent)
{
	struct uidset gone = { 0 }, third = { 0 };
	uint32_t resume = 0;

	(void)has_intent;
	index_before_commit = NULL;
	fixture_store(others.team, 1, 1, STORE_ADD, FLAG_ANSWERED, "$Forwarded");
	fixture_store(others.team, 2, 2, STORE_REMOVE, FLAG_FLAGGED, "old");
	fixture_store(others.phone, 2, 2, STORE_ADD, FLAG_SEEN, NULL);
	uidset_add(&third, 3, 3);
	ok(mailbox_expunge(others.team, &third, true, &resume, &gone));
	uidset_done(&gone);
	uidset_done(&third);
}

static void others_act_always(bool has_intent)
{
	(void)has_intent;
	index_before_commit = NULL;     /* theirs are transactions, too */
	others.is_on = !others.is_on;
	fixture_store(others.team, 1, 1, others.is_on ? STORE_ADD : STORE_REMOVE, FLAG_DRAFT, NULL);
	index_before_commit = others_act_always;
}

/* Bob moves all of Alice's mailbox into his own. */
static struct fault move_meanwhile(struct world *w, int messages, void (*act)(bool has_intent), struct uidset *made)
{
	struct mailbox *own, *theirs;
	uint32_t resume = 0;

	for (int i = 0; i < messages; i++)
		fixture_append_text(w->team, w->f.user, "Subject: x\r\n\r\nx\r\n", FLAG_FLAGGED, "old");
	grant(w, RIGHTS_ALL);
	ok(mailbox_open(w->bob, SV("INBOX"), &own));
	ok(mailbox_open(w->bob, SV(TEAM), &theirs));
	ok(mailbox_open(w->bob, SV(TEAM), &others.phone));
	others.team = w->team;
	others.is_on = false;
	/* The keyword's place in Bob's mailbox is a transaction of its own. */
	fixture_append_text(own, w->bob, "Subject: x\r\n\r\nx\r\n", 0, "old");
	index_before_commit = act;
	struct fault f = mailbox_copy(theirs, NULL, own, true, &resume, take, made);

	index_before_commit = NULL;
	mailbox_close(&others.phone);
	mailbox_close(&theirs);
	mailbox_close(&own);
	return f;
}

static void what_others_change_during_a_move_between_accounts_arrives(void **state)
{
	struct world *w = *state;
	struct mailbox *own;
	struct uidset made = { 0 };
	struct mailbox_status st;
	struct message_row row;

	ok(move_meanwhile(w, 5, others_act_once, &made));
	ok(mailbox_open(w->bob, SV("INBOX"), &own));
	ok(mailbox_row(own, 2, &row));
	assert_int_equal(row.flags, FLAG_FLAGGED | FLAG_ANSWERED);
	assert_int_equal(row.keywords.w[0], 3);         /* "old" and "$Forwarded" */
	ok(mailbox_row(own, 3, &row));
	assert_int_equal(row.flags, FLAG_SEEN);
	assert_int_equal(row.keywords.w[0], 0);
	assert_int_equal(mailbox_row(own, 4, &row).kind, FAULT_GONE);   /* somebody else removed it: it was not moved */
	ok(mailbox_row(own, 6, &row));
	assert_int_equal(row.flags, FLAG_FLAGGED);
	assert_int_equal(uidset_total(&made), 4);
	assert_false(uidset_has(&made, 4));
	ok(mailbox_counters(w->team, &st));
	assert_int_equal(st.messages, 0);
	uidset_done(&made);
	mailbox_close(&own);
}

static void what_is_changed_all_the_time_is_not_moved(void **state)
{
	struct world *w = *state;
	struct uidset made = { 0 };
	struct mailbox_status st;

	assert_int_equal(move_meanwhile(w, 1, others_act_always, &made).kind, FAULT_BUSY);
	assert_int_equal(made.count, 0);
	ok(mailbox_counters(w->team, &st));
	assert_int_equal(st.messages, 1);
	ok(mailbox_status(w->bob, SV("INBOX"), &st));
	assert_int_equal(st.messages, 1);
	uidset_done(&made);
}

static void the_owners_quota_holds_and_nothing_is_copied_in_part(void **state)
{
	struct world *w = *state;
	struct directory_account alice;
	struct mailbox *own, *theirs;
	struct mailbox_status st;
	uint32_t resume = 0;

	ok(directory_account_get(w->directory, SV(ALICE), &alice));
	alice.quota_messages = 10;
	ok(directory_account_set(w->directory, &alice));
	grant(w, RIGHT_LOOKUP | RIGHT_READ | RIGHT_INSERT);
	ok(mailbox_open(w->bob, SV("INBOX"), &own));
	for (int i = 0; i < 20; i++)
		fixture_append(own, w->bob, "mine", 0);
	ok(mailbox_open_for(w->bob, SV(TEAM), RIGHT_INSERT, &theirs));
	assert_int_equal(mailbox_copy(own, NULL, theirs, false, &resume, NULL, NULL).kind, FAULT_QUOTA);
	ok(mailbox_counters(w->team, &st));
	assert_int_equal(st.messages, 0);
	mailbox_close(&theirs);
	mailbox_close(&own);
}

static bool take_value(void *arg, const struct metadata_entry *e)
{
	struct buf *out = arg;

	return buf_appendf(out, "%.*s=%.*s ", SV_FMT(e->name), SV_FMT(e->value));
}

static void annotations_of_one_person_are_not_another_ones(void **state)
{
	struct world *w = *state;
	struct metadata_entry alices[] = { { SV("/private/comment"), SV("alice") }, { SV("/shared/comment"), SV("all") } };
	struct metadata_entry bobs[] = { { SV("/private/comment"), SV("bob") } };
	struct buf out;

	ok(mailbox_set_metadata(w->f.user, SV("Team"), alices, 2));
	assert_int_equal(mailbox_set_metadata(w->bob, SV(TEAM), bobs, 1).kind, FAULT_NOT_FOUND);
	grant(w, RIGHT_LOOKUP);
	assert_int_equal(mailbox_set_metadata(w->bob, SV(TEAM), bobs, 1).kind, FAULT_DENIED);
	grant(w, RIGHT_LOOKUP | RIGHT_READ);
	ok(mailbox_set_metadata(w->bob, SV(TEAM), bobs, 1));
	buf_init(&out, 1000);
	ok(mailbox_metadata(w->f.user, SV("Team"), take_value, &out));
	assert_string_equal(buf_z(&out), "/private/comment=alice /shared/comment=all ");
	buf_clear(&out);
	ok(mailbox_metadata(w->bob, SV(TEAM), take_value, &out));
	assert_string_equal(buf_z(&out), "/shared/comment=all /private/comment=bob ");
	buf_done(&out);
}

static bool count_shared(void *arg, const struct mailbox_info *info)
{
	*(unsigned *)arg += info->is_shared;
	return true;
}

static void a_list_that_was_damaged_grants_nothing_and_can_be_made_anew(void **state)
{
	struct world *w = *state;
	struct mailbox_status st;
	unsigned shared = 0;

	grant(w, RIGHT_LOOKUP | RIGHT_READ);
	ok(mailbox_list(w->bob, count_shared, &shared));
	assert_int_equal(shared, 1);
	assert_int_equal(fixture_shell("sed -i 's/^acl lr /acl lrswipkxtea /' '%s'",
				       fixture_path(&w->f, "Maildir/.Team/postroom-mailbox")), 0);
	assert_int_equal(mailbox_status(w->bob, SV(TEAM), &st).kind, FAULT_NOT_FOUND);
	shared = 0;
	ok(mailbox_list(w->bob, count_shared, &shared));
	assert_int_equal(shared, 0);
	grant(w, RIGHT_LOOKUP | RIGHT_READ);
	ok(mailbox_status(w->bob, SV(TEAM), &st));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(what_is_absent_and_what_is_not_allowed_are_one_fault_and_open_nothing),
		T(one_may_keep_folders_called_shared),
		T(what_is_granted_is_listed_at_once_each_time),
		T(rights_are_looked_at_with_every_call),
		T(a_new_account_with_an_old_name_gets_nothing),
		T(identifiers_that_cannot_be_are_refused),
		T(what_a_reader_has_seen_is_theirs_and_survives_a_rebuild),
		T(two_devices_of_a_reader_know_all_that_either_has_seen),
		T(a_file_of_what_was_seen_does_not_grow_for_ever),
		T(messages_go_between_accounts_with_the_flags_that_are_allowed),
		T(what_others_change_during_a_move_between_accounts_arrives),
		T(what_is_changed_all_the_time_is_not_moved),
		T(the_owners_quota_holds_and_nothing_is_copied_in_part),
		T(annotations_of_one_person_are_not_another_ones),
		T(a_list_that_was_damaged_grants_nothing_and_can_be_made_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
