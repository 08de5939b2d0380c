/* Access control lists: letters, what several entries mean together, lines of the sidecar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "maildir/acl.h"

#define ID "7f3kq2x0a9b1c8d4"

static struct acl_entry entry(const char *name, const char *id, uint32_t rights, bool is_negative)
{
	struct acl_entry e = { .rights = rights, .is_negative = is_negative };

	memcpy(e.name, name, strlen(name));
	memcpy(e.id, id, strlen(id));
	return e;
}

static void letters_go_both_ways_and_others_are_refused(void **state)
{
	char text[RIGHTS_TEXT_MAX];
	uint32_t rights;

	(void)state;
	assert_true(rights_read(SV("lrswipkxtea"), &rights));
	assert_int_equal(rights, RIGHTS_ALL);
	rights_write(rights, false, text);
	assert_string_equal(text, "lrswipkxtea");
	rights_write(rights, true, text);
	assert_string_equal(text, "lrswipkxteacd");
	assert_true(rights_read(SV(""), &rights));
	assert_int_equal(rights, 0);
	assert_false(rights_read(SV("lrq"), &rights));
	assert_false(rights_read(SV("L"), &rights));
	assert_false(rights_read(sv_from("l\0", 2), &rights));
}

static void the_old_rights_stand_for_their_members(void **state)
{
	char text[RIGHTS_TEXT_MAX];
	uint32_t rights;

	(void)state;
	assert_true(rights_read(SV("cd"), &rights));
	assert_int_equal(rights, RIGHT_CREATE | RIGHT_REMOVE | RIGHT_DELETE | RIGHT_EXPUNGE);
	rights_write(RIGHT_LOOKUP | RIGHT_CREATE, true, text);
	assert_string_equal(text, "lkc");
	rights_write(RIGHT_EXPUNGE, true, text);
	assert_string_equal(text, "ed");
}

static void rights_of_several_entries_add_up_and_negative_ones_take_away(void **state)
{
	struct acl acl = { 0 };
	struct acl_entry all[] = {
		entry("bob@example.test", ID, RIGHT_LOOKUP | RIGHT_WRITE, false),
		entry("anyone", "", RIGHT_READ | RIGHT_SEEN, false),
		entry("bob@example.test", ID, RIGHT_SEEN, true),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		assert_true(acl_put(&acl, &all[i]));
	assert_int_equal(acl_rights(&acl, SV(ID)), RIGHT_LOOKUP | RIGHT_WRITE | RIGHT_READ);
	assert_int_equal(acl_rights(&acl, SV("another")), RIGHT_READ | RIGHT_SEEN);
	assert_ptr_equal(acl_find(&acl, SV("BOB@example.test"), true), &acl.entries[2]);
	all[0].rights = 0;
	assert_true(acl_put(&acl, &all[0]));
	assert_int_equal(acl.count, 2);
	assert_null(acl_find(&acl, SV("bob@example.test"), false));
	assert_int_equal(acl_rights(&acl, SV(ID)), RIGHT_READ);
	acl_done(&acl);
}

static void a_new_account_with_an_old_name_inherits_nothing(void **state)
{
	struct acl acl = { 0 };
	struct acl_entry e = entry("bob@example.test", ID, RIGHTS_ALL, false);

	(void)state;
	assert_true(acl_put(&acl, &e));
	assert_int_equal(acl_rights(&acl, SV("0000000000000000")), 0);
	assert_int_equal(acl_rights(&acl, SV("")), 0);
	acl_done(&acl);
}

static void a_list_has_an_end(void **state)
{
	struct acl acl = { 0 };
	struct acl_entry e = entry("", ID, RIGHT_LOOKUP, false);

	(void)state;
	for (unsigned i = 0; i < ACL_ENTRIES_MAX; i++) {
		e.name[0] = (char)('a' + i % 26);
		e.name[1] = (char)('a' + i / 26);
		assert_true(acl_put(&acl, &e));
	}
	e.name[0] = '0';
	assert_false(acl_put(&acl, &e));
	e.name[0] = 'a';
	e.name[1] = 'a';
	assert_true(acl_put(&acl, &e));
	acl_done(&acl);
}

static void lines_go_both_ways_and_bad_ones_grant_nothing(void **state)
{
	static const char *const good[] = {
		"lrs " ID " bob@example.test", "-w " ID " bob@example.test", "lr - anyone",
		"a " ID " \"quoted name\"@example.test",
	};
	static const char *const bad[] = {
		"", "lrs", "lrs " ID, "lrs " ID " ", "lrs - bob@example.test", "lrs " ID " anyone", "q " ID " b@c",
		" " ID " b@c", "- " ID " b@c", "lrs " ID "0 b@c",
	};
	struct acl acl = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct buf out;

		assert_true(acl_read_line(sv_z(good[i]), &acl));
		buf_init(&out, 1024);
		assert_true(acl_write_line(&acl.entries[i], &out));
		assert_string_equal(buf_z(&out), good[i]);
		buf_done(&out);
		assert_false(acl_read_line(sv_z(good[i]), &acl));       /* twice */
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *exact = xmalloc(strlen(bad[i]) + 1);

		memcpy(exact, bad[i], strlen(bad[i]));
		assert_false(acl_read_line(sv_from(exact, strlen(bad[i])), &acl));
		free(exact);
	}
	assert_int_equal(acl.count, ARRAY_LEN(good));
	acl_done(&acl);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(letters_go_both_ways_and_others_are_refused),
		cmocka_unit_test(the_old_rights_stand_for_their_members),
		cmocka_unit_test(rights_of_several_entries_add_up_and_negative_ones_take_away),
		cmocka_unit_test(a_new_account_with_an_old_name_inherits_nothing),
		cmocka_unit_test(a_list_has_an_end),
		cmocka_unit_test(lines_go_both_ways_and_bad_ones_grant_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
