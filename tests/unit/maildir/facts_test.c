/* Facts: written and read back, damaged and cut files, one id for one message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/crc32c.h"
#include "common/memory.h"
#include "maildir/facts.h"

static void what_is_written_is_read_back(void **state)
{
	struct box_facts f = { 0 }, again;
	struct buf out, twice;

	(void)state;
	assert_true(box_facts_add(&f, 7, SV("UID7-99")));
	assert_true(box_facts_add(&f, 2, SV("first")));
	assert_true(box_facts_add(&f, 4294967295u, SV("x")));
	assert_int_equal(box_facts_settle(&f), 0);
	buf_init(&out, 4096);
	buf_init(&twice, 4096);
	assert_int_equal(box_facts_write(&f, &out).kind, FAULT_NONE);
	assert_int_equal(box_facts_parse(buf_sv(&out), &again).kind, FAULT_NONE);
	assert_true(sv_eq(box_facts_uidl(&again, 7), SV("UID7-99")));
	assert_true(sv_eq(box_facts_uidl(&again, 2), SV("first")));
	assert_int_equal(box_facts_uidl(&again, 3).len, 0);
	assert_int_equal(box_facts_uidl(&again, 0).len, 0);
	assert_int_equal(box_facts_write(&again, &twice).kind, FAULT_NONE);
	assert_true(sv_eq(buf_sv(&out), buf_sv(&twice)));
	box_facts_done(&f);
	box_facts_done(&again);
	buf_done(&out);
	buf_done(&twice);
}

static void ids_that_rfc_1939_forbids_are_refused(void **state)
{
	struct box_facts f = { 0 };
	char longest[72];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	assert_true(box_facts_add(&f, 1, sv_from(longest, 70)));
	assert_false(box_facts_add(&f, 2, sv_from(longest, 71)));
	assert_false(box_facts_add(&f, 2, SV("")));
	assert_false(box_facts_add(&f, 2, SV("a b")));
	assert_false(box_facts_add(&f, 2, SV("a\n")));
	assert_false(box_facts_add(&f, 2, SV("\xc3\xbc")));
	assert_false(box_facts_add(&f, 0, SV("a")));
	assert_int_equal(f.count, 1);
	box_facts_done(&f);
}

static void a_message_has_one_id_and_an_id_one_message(void **state)
{
	struct box_facts f = { 0 };

	(void)state;
	box_facts_add(&f, 5, SV("same"));
	box_facts_add(&f, 3, SV("same"));
	box_facts_add(&f, 3, SV("later"));
	box_facts_add(&f, 4, SV("other"));
	assert_int_equal(box_facts_settle(&f), 2);
	assert_true(sv_eq(box_facts_uidl(&f, 5), SV("same")));
	assert_true(sv_eq(box_facts_uidl(&f, 4), SV("other")));
	assert_int_equal(box_facts_uidl(&f, 3).len, 0);
	box_facts_done(&f);
}

static void cut_and_damaged_files_are_faults(void **state)
{
	static const char good[] = "postroom-facts 1\nuidl 3 abc\nweather 7 sunny\n";
	struct box_facts f;
	struct buf all, again;

	(void)state;
	buf_init(&all, 4096);
	buf_appendf(&all, "%scrc %08x\n", good, crc32c(sv_z(good)));
	for (size_t n = 0; n < all.len; n++) {
		char *copy = xmalloc(n ? n : 1);
		memcpy(copy, all.p, n);
		assert_int_equal(box_facts_parse(sv_from(copy, n), &f).kind, FAULT_CORRUPT);
		free(copy);
	}
	for (size_t n = 0; n < all.len; n++) {
		all.p[n] ^= 1;
		assert_int_not_equal(box_facts_parse(buf_sv(&all), &f).kind, FAULT_NONE);
		all.p[n] ^= 1;
	}
	assert_int_equal(box_facts_parse(buf_sv(&all), &f).kind, FAULT_NONE);
	/* What a newer program wrote stays. */
	buf_init(&again, 4096);
	assert_int_equal(box_facts_write(&f, &again).kind, FAULT_NONE);
	assert_true(sv_eq(buf_sv(&all), buf_sv(&again)));
	box_facts_done(&f);
	buf_done(&all);
	buf_done(&again);
}

static void a_newer_version_is_refused(void **state)
{
	static const char text[] = "postroom-facts 2\n";
	struct box_facts f;
	struct buf all;

	(void)state;
	buf_init(&all, 4096);
	buf_appendf(&all, "%scrc %08x\n", text, crc32c(sv_z(text)));
	assert_int_equal(box_facts_parse(buf_sv(&all), &f).kind, FAULT_UNSUPPORTED);
	buf_done(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(ids_that_rfc_1939_forbids_are_refused),
		cmocka_unit_test(a_message_has_one_id_and_an_id_one_message),
		cmocka_unit_test(cut_and_damaged_files_are_faults),
		cmocka_unit_test(a_newer_version_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
