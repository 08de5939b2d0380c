/* What imports over the network remember: written, read again, cut off by a kill, kept for one at a time. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "maildir/import_book.h"
#include "tests/unit/support/store_fixture.h"

#define ok(call) assert_int_equal((call).kind, FAULT_NONE)
#define fails(call, kind_) assert_int_equal((call).kind, kind_)
#define SOURCE SV("imap alice@old.example old.example")

static int setup(void **state)
{
	struct fixture *fix = calloc(1, sizeof(*fix));

	fixture_make(fix);
	*state = fix;
	return 0;
}

static int teardown(void **state)
{
	fixture_remove(*state);
	free(*state);
	return 0;
}

static void knows(const struct import_book_box *box, uint32_t theirs, uint32_t ours, uint32_t flags)
{
	const struct import_book_entry *e = import_book_find(box, theirs);

	assert_non_null(e);
	assert_int_equal(e->ours, ours);
	assert_int_equal(e->flags, flags);
}

static void what_was_noted_is_known_to_the_next_run(void **state)
{
	struct fixture *fix = *state;
	struct import_book *book = NULL;
	struct import_book_box *box, *other;

	ok(import_book_open(fix->user, SOURCE, false, &book));
	box = import_book_box(book, SV("INBOX"), 7, 70);
	assert_false(box->is_known);
	other = import_book_box(book, SV("a \"b\"\xff%41\n"), 8, 80);
	ok(import_book_note(book, other, (struct import_book_entry){ 5, 50, 0xffffffff }));
	for (uint32_t uid = 100; uid; uid -= 10)
		ok(import_book_note(book, box, (struct import_book_entry){ uid, uid + 1, uid }));
	ok(import_book_note(book, box, (struct import_book_entry){ 50, 51, 9 }));
	assert_int_equal(box->count, 10);
	ok(import_book_flush(book));
	import_book_close(&book);

	ok(import_book_open(fix->user, SOURCE, false, &book));
	box = import_book_box(book, SV("INBOX"), 7, 70);
	other = import_book_box(book, SV("a \"b\"\xff%41\n"), 8, 80);
	assert_true(box->is_known && other->is_known);
	assert_int_equal(box->count, 10);
	knows(box, 10, 11, 10);
	knows(box, 50, 51, 9);
	knows(box, 100, 101, 100);
	knows(other, 5, 50, 0xffffffff);
	assert_null(import_book_find(box, 5));
	assert_null(import_book_find(box, 11));
	assert_null(import_book_find(box, 101));
	for (size_t i = 1; i < box->count; i++)
		assert_true(box->entries[i - 1].theirs < box->entries[i].theirs);
	import_book_close(&book);
}

static void another_uidvalidity_on_either_side_is_another_mailbox(void **state)
{
	struct fixture *fix = *state;
	struct import_book *book = NULL;
	struct import_book_box *box;

	ok(import_book_open(fix->user, SOURCE, false, &book));
	box = import_book_box(book, SV("INBOX"), 7, 70);
	ok(import_book_note(book, box, (struct import_book_entry){ 1, 1, 0 }));
	assert_ptr_equal(import_book_box(book, SV("INBOX"), 7, 70), box);
	assert_ptr_not_equal(import_book_box(book, SV("INBOX"), 8, 70), box);
	assert_ptr_not_equal(import_book_box(book, SV("INBOX"), 7, 71), box);
	import_book_close(&book);
}

/* The only book, at every length to which a kill may have cut its last lines. */
static void a_line_that_a_kill_cut_off_is_forgotten(void **state)
{
	struct fixture *fix = *state;
	struct import_book *book = NULL;
	struct import_book_box *box;
	glob_t found = { 0 };
	struct stat st;

	ok(import_book_open(fix->user, SOURCE, false, &book));
	box = import_book_box(book, SV("INBOX"), 7, 70);
	ok(import_book_note(book, box, (struct import_book_entry){ 1, 11, 0 }));
	ok(import_book_note(book, box, (struct import_book_entry){ 2, 12, 0 }));
	ok(import_book_flush(book));
	import_book_close(&book);
	assert_int_equal(glob(fixture_path(fix, "import-*"), 0, NULL, &found), 0);
	assert_int_equal(stat(found.gl_pathv[0], &st), 0);
	for (off_t size = st.st_size - 1; size >= 0; size--) {
		assert_int_equal(truncate(found.gl_pathv[0], size), 0);
		ok(import_book_open(fix->user, SOURCE, false, &book));
		box = import_book_box(book, SV("INBOX"), 7, 70);
		assert_true(box->count < 2);
		ok(import_book_note(book, box, (struct import_book_entry){ 3, 13, 0 }));
		ok(import_book_flush(book));
		import_book_close(&book);
		ok(import_book_open(fix->user, SOURCE, false, &book));
		knows(import_book_box(book, SV("INBOX"), 7, 70), 3, 13, 0);
		import_book_close(&book);
	}
	globfree(&found);
}

static void one_at_a_time_has_the_book_of_a_source(void **state)
{
	struct fixture *fix = *state;
	struct import_book *book = NULL, *again = NULL;

	ok(import_book_open(fix->user, SOURCE, false, &book));
	fails(import_book_open(fix->user, SOURCE, false, &again), FAULT_IN_USE);
	ok(import_book_open(fix->user, SV("imap bob@old.example old.example"), false, &again));
	import_book_close(&again);
	import_book_close(&book);
	ok(import_book_open(fix->user, SOURCE, false, &book));
	import_book_close(&book);
}

static void a_dry_run_makes_and_writes_nothing(void **state)
{
	struct fixture *fix = *state;
	struct import_book *book = NULL;
	struct import_book_box *box;

	for (int i = 0; i < 2; i++) {
		ok(import_book_open(fix->user, SOURCE, true, &book));
		box = import_book_box(book, SV("INBOX"), 7, 70);
		assert_false(box->is_known);
		ok(import_book_note(book, box, (struct import_book_entry){ 1, 1, 0 }));
		ok(import_book_flush(book));
		import_book_close(&book);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_noted_is_known_to_the_next_run, setup, teardown),
		cmocka_unit_test_setup_teardown(another_uidvalidity_on_either_side_is_another_mailbox, setup, teardown),
		cmocka_unit_test_setup_teardown(a_line_that_a_kill_cut_off_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(one_at_a_time_has_the_book_of_a_source, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dry_run_makes_and_writes_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
