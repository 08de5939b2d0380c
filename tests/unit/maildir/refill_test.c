/* Parsed forms that the index lacks are made when a scan wants them: by one thread or by several, all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/mime.h"
#include "maildir/message_private.h"
#include "maildir/refill_private.h"
#include "tests/unit/support/in_job.h"
#include "tests/unit/support/store_fixture.h"

#define ok(call) assert_int_equal((call).kind, FAULT_NONE)
#define MESSAGES 300u           /* two chunks, the last one not full, nor its last piece */

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_make(f);
	/* Another program's: nobody has parsed them. */
	assert_int_equal(fixture_shell("cd '%s' && seq -f '%%04g' 1 %u | while read n; do printf 'Subject: s%%s\\r\\n\\r\\nbody\\r\\n' $n "
				       "> 1700000000.$n.then; done", fixture_path(f, "Maildir/new"), MESSAGES), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_remove(*state);
	free(*state);
	return 0;
}

struct seen {
	unsigned told, parsed, wrong;
	uint32_t last;
};

static bool see(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct seen *s = arg;
	char subject[16];

	snprintf(subject, sizeof(subject), "s%04u", row->uid);
	s->told++;
	s->parsed += parsed != NULL;
	s->wrong += row->uid <= s->last || (parsed && !sv_eq(parsed->base_subject, sv_z(subject)));
	s->last = row->uid;
	return true;
}

static struct seen scan(struct fixture *f, const struct uidset *set)
{
	struct seen s = { 0 };
	uint32_t resume = 0;

	do
		ok(mailbox_scan(f->inbox, set, SCAN_PARSED, &resume, see, &s));
	while (resume);
	return s;
}

struct job {
	struct fixture *f;
	struct seen seen;
};

static void run_scan(void *arg)
{
	struct job *job = arg;

	job->seen = scan(job->f, NULL);
}

static struct seen scan_in_job(struct fixture *f, uint32_t cores)
{
	struct job job = { .f = f };

	in_job(cores, run_scan, &job);
	return job.seen;
}

static void adopt(struct fixture *f)
{
	struct uidset all = { 0 };
	uint64_t modseq;

	ok(mailbox_uids(f->inbox, &all, &modseq));
	assert_int_equal(uidset_total(&all), MESSAGES);
	uidset_done(&all);
}

static void take_files_away(struct fixture *f)
{
	assert_int_equal(fixture_shell("cd '%s' && mkdir ../away && mv cur/* ../away/", fixture_path(f, "Maildir")), 0);
}

static void every_message_is_parsed_once_and_from_then_on_the_index_has_it(void **state)
{
	static const uint32_t cores[] = { 1, 2, 4 };
	struct fixture *f = *state;

	adopt(f);
	for (size_t i = 0; i < ARRAY_LEN(cores); i++) {
		ok(store_index_rebuild(f->store, SV(ALICE), NULL, NULL));
		struct seen s = scan_in_job(f, cores[i]);
		assert_int_equal(s.told, MESSAGES);
		assert_int_equal(s.parsed, MESSAGES);
		assert_int_equal(s.wrong, 0);
	}
	take_files_away(f);
	struct seen s = scan(f, NULL);
	assert_int_equal(s.parsed, MESSAGES);
	assert_int_equal(s.wrong, 0);
}

/* At the ends of pieces and chunks, and in the middle. */
static void a_file_that_was_renamed_is_found_and_one_that_is_gone_or_damaged_harms_no_other(void **state)
{
	static const uint32_t cores[] = { 1, 4 };
	struct fixture *f = *state;

	adopt(f);
	for (size_t i = 0; i < ARRAY_LEN(cores); i++) {
		ok(store_index_rebuild(f->store, SV(ALICE), NULL, NULL));
		/* Other flags by another program while nobody looks; one cut short; one that cannot be read. */
		assert_int_equal(fixture_shell("cd '%s' && for n in 0001 0016 0017 0100 0256 0257 0300; do f=$(echo 1700000000.$n.*); "
					       "mv $f ${f%%%%2,*}2,%s; done; f=$(echo 1700000000.0290.*); : > $f; "
					       "f=$(echo 1700000000.0200.*); test -d $f || { rm $f; mkdir $f; }",
					       fixture_path(f, "Maildir/cur"), i ? "FS" : "F"), 0);
		struct seen s = scan_in_job(f, cores[i]);
		assert_true(s.told >= MESSAGES - 1 - (unsigned)i);
		assert_true(s.parsed >= MESSAGES - 2);
		assert_int_equal(s.wrong, 0);
	}
}

static bool has_parsed(struct fixture *f, uint32_t uid)
{
	struct kv_txn *kv = NULL;

	ok(mailbox_enter(f->inbox, false));
	ok(account_read(f->inbox->account, &kv));
	bool has = refill_is_parsed(kv, f->inbox->id, uid);

	kv_read_end(&kv);
	account_leave(f->inbox->account);
	return has;
}

static void only_messages_of_the_set_are_parsed(void **state)
{
	struct fixture *f = *state;
	struct uidset set = { 0 };

	adopt(f);
	uidset_add(&set, 3, 3);
	uidset_add(&set, 200, 202);
	struct seen s = scan(f, &set);
	assert_int_equal(s.parsed, 4);
	assert_true(has_parsed(f, 3) && has_parsed(f, 200) && has_parsed(f, 202));
	assert_false(has_parsed(f, 2) || has_parsed(f, 4) || has_parsed(f, 203));
	uidset_done(&set);
}

/* However large it is, the first one is parsed; what does not fit is left to the next chunk. */
static void parsed_forms_beyond_the_limit_are_left_to_the_next_chunk(void **state)
{
	struct fixture *f = *state;
	struct refill r;

	adopt(f);
	refill_init(&r, f->inbox->id);
	r.octets_max = 1;
	for (uint32_t uid = 1; uid <= 50; uid++)
		refill_add(&r, uid);
	ok(mailbox_enter(f->inbox, false));
	refill_run(f->inbox, &r);
	account_leave(f->inbox->account);
	assert_int_equal(r.count, 1);
	assert_true(refill_find(&r, 1)->encoded.len > 1);
	assert_null(refill_find(&r, 2));
	refill_done(&r);
	assert_true(has_parsed(f, 1));
	assert_false(has_parsed(f, 2));
	assert_int_equal(scan(f, NULL).parsed, MESSAGES);
}

static void what_a_chunk_leaves_out_is_parsed_in_the_background_all_the_same(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fixture_shell("cd '%s' && { printf 'Subject: big\r\n\r\n'; yes 2> /dev/null | head -c %llu; } > 1700000001.big.then && "
				       "printf 'Subject: small\r\n\r\nbody\r\n' > 1700000002.small.then",
				       fixture_path(f, "Maildir/new"), (unsigned long long)REFILL_READ), 0);
	struct uidset all = { 0 };
	uint64_t modseq;
	ok(mailbox_uids(f->inbox, &all, &modseq));
	assert_int_equal(uidset_total(&all), MESSAGES + 2);
	uidset_done(&all);
	store_refill(f->store, 60000);
	for (uint32_t uid = 1; uid <= MESSAGES + 2; uid++)
		assert_true(has_parsed(f, uid));
}

static void files_that_all_have_other_names_by_now_keep_to_the_limit_too(void **state)
{
	struct fixture *f = *state;
	struct index_row row = { .name = "renamed" };
	struct refill r;

	adopt(f);
	refill_init(&r, f->inbox->id);
	r.octets_max = 1;
	for (row.uid = 1; row.uid <= 50; row.uid++)
		refill_add_row(&r, ".", &row);
	ok(mailbox_enter(f->inbox, false));
	refill_run(f->inbox, &r);
	account_leave(f->inbox->account);
	assert_int_equal(r.count, 1);
	assert_true(refill_find(&r, 1)->encoded.len > 1);
	refill_done(&r);
	assert_int_equal(scan(f, NULL).parsed, MESSAGES);
}

static void files_beyond_the_limit_of_what_one_chunk_reads_are_left_to_the_next(void **state)
{
	struct fixture *f = *state;
	struct refill r;

	adopt(f);
	refill_init(&r, f->inbox->id);
	r.read_max = 50;                /* each has 22 octets */
	for (uint32_t uid = 1; uid <= 50; uid++)
		refill_add(&r, uid);
	ok(mailbox_enter(f->inbox, false));
	refill_run(f->inbox, &r);
	account_leave(f->inbox->account);
	assert_int_equal(r.count, 3);
	refill_done(&r);
	assert_true(has_parsed(f, 3));
	assert_false(has_parsed(f, 4));
	assert_int_equal(scan(f, NULL).parsed, MESSAGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_message_is_parsed_once_and_from_then_on_the_index_has_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_was_renamed_is_found_and_one_that_is_gone_or_damaged_harms_no_other, setup,
						teardown),
		cmocka_unit_test_setup_teardown(only_messages_of_the_set_are_parsed, setup, teardown),
		cmocka_unit_test_setup_teardown(parsed_forms_beyond_the_limit_are_left_to_the_next_chunk, setup, teardown),
		cmocka_unit_test_setup_teardown(files_beyond_the_limit_of_what_one_chunk_reads_are_left_to_the_next, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_chunk_leaves_out_is_parsed_in_the_background_all_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(files_that_all_have_other_names_by_now_keep_to_the_limit_too, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
