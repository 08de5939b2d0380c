/* Annotations: names, limits, the file written and read back, damaged and cut files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "maildir/metadata.h"

static void names_are_checked_as_rfc_5464_wants(void **state)
{
	static const char *const good[] = { "/private/comment", "/SHARED/vendor/a/b", "/shared/a b" };
	static const char *const bad[] = { "", "/", "/private", "/private/", "//private/x", "/private//x", "/other/x",
					   "private/x", "/shared/a*", "/shared/%", "/shared/\x01", "/shared/\xc3\xa4",
					   "/shared/x\t" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(metadata_name_is_valid(sv_z(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(metadata_name_is_valid(sv_z(bad[i])));
}

static void what_is_written_is_read_back_with_unknown_lines(void **state)
{
	struct metadata m = { 0 }, again;
	struct buf out, twice;

	(void)state;
	buf_init(&m.unknown, 1024);
	assert_true(buf_append(&m.unknown, SV("weather sunny\n")));
	m.generation = 4;
	assert_int_equal(metadata_put(&m, "-", SV("/shared/comment"), SV("all")).kind, FAULT_NONE);
	assert_int_equal(metadata_put(&m, "~", SV("/private/comment"), sv_from("a\0b\xff", 4)).kind, FAULT_NONE);
	assert_int_equal(metadata_put(&m, "7f3kq2", SV("/private/comment"), SV("")).kind, FAULT_NONE);
	buf_init(&out, 65536);
	buf_init(&twice, 65536);
	assert_int_equal(metadata_write(&m, &out).kind, FAULT_NONE);
	assert_int_equal(metadata_parse(buf_sv(&out), &again).kind, FAULT_NONE);
	assert_int_equal(again.generation, 4);
	assert_true(sv_eq(metadata_get(&again, "~", SV("/PRIVATE/Comment")), sv_from("a\0b\xff", 4)));
	assert_true(sv_eq(metadata_get(&again, "-", SV("/shared/comment")), SV("all")));
	struct sv empty = metadata_get(&again, "7f3kq2", SV("/private/comment"));

	assert_true(empty.p && !empty.len);
	assert_null(metadata_get(&again, "7f3kq3", SV("/private/comment")).p);
	assert_int_equal(metadata_write(&again, &twice).kind, FAULT_NONE);
	assert_true(sv_eq(buf_sv(&out), buf_sv(&twice)));
	for (size_t i = 0; i < out.len; i++) {
		struct metadata broken;

		out.p[i] ^= 1;
		assert_int_not_equal(metadata_parse(buf_sv(&out), &broken).kind, FAULT_NONE);
		out.p[i] ^= 1;
		assert_int_equal(metadata_parse(sv_from(out.p, i), &broken).kind, FAULT_CORRUPT);
	}
	metadata_done(&m);
	metadata_done(&again);
	buf_done(&out);
	buf_done(&twice);
}

static void each_person_has_room_for_a_hundred(void **state)
{
	struct metadata m = { 0 };
	char name[64];

	(void)state;
	for (int i = 0; i < METADATA_ENTRIES_MAX; i++) {
		snprintf(name, sizeof(name), "/private/vendor/x/%d", i);
		assert_int_equal(metadata_put(&m, "~", sv_z(name), SV("v")).kind, FAULT_NONE);
	}
	assert_int_equal(metadata_put(&m, "~", SV("/private/more"), SV("v")).kind, FAULT_LIMIT);
	assert_int_equal(metadata_put(&m, "7f3kq2", SV("/private/more"), SV("v")).kind, FAULT_NONE);
	assert_int_equal(metadata_put(&m, "~", SV("/private/vendor/x/7"), SV("other")).kind, FAULT_NONE);
	assert_int_equal(metadata_put(&m, "~", SV("/private/vendor/x/7"), SV_NONE).kind, FAULT_NONE);
	assert_int_equal(metadata_put(&m, "~", SV("/private/more"), SV("v")).kind, FAULT_NONE);
	assert_int_equal(m.count, METADATA_ENTRIES_MAX + 1);
	metadata_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_checked_as_rfc_5464_wants),
		cmocka_unit_test(what_is_written_is_read_back_with_unknown_lines),
		cmocka_unit_test(each_person_has_room_for_a_hundred),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
