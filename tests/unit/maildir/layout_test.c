/* Mailbox names and their directories: one to one, and what others wrote is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "maildir/layout.h"

static void names_and_directories_go_both_ways(void **state)
{
	static const struct { const char *name, *dir; } cases[] = {
		{ "INBOX", "." }, { "Sent", ".Sent" }, { "a/b", ".a.b" }, { "INBOX/x", ".INBOX.x" },
		{ "R&D", ".R&-D" }, { "v1.0", ".v1&AC4-0" }, { "..", ".&AC4ALg-" },
		{ "Entw\xc3\xbcrfe", ".Entw&APw-rfe" },                         /* RFC 3501 §5.1.3, as Dovecot has it */
		{ "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", ".~peter.mail.&U,BTFw-.&ZeVnLIqe-" },
		{ "\xf0\x9f\x93\xa7", ".&2D3c5w-" }, { "a b", ".a b" }, { "\xc3\xbc.x", ".&APwALg-x" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char dir[LAYOUT_DIR_MAX + 1];
		struct buf name, checked;
		buf_init(&name, 1000);
		buf_init(&checked, MAILBOX_NAME_MAX + 1);
		assert_int_equal(mailbox_name_check(sv_z(cases[i].name), &checked).kind, FAULT_NONE);
		assert_true(layout_dir(buf_sv(&checked), dir));
		assert_string_equal(dir, cases[i].dir);
		assert_true(layout_name(sv_z(dir), &name));
		assert_string_equal(buf_z(&name), cases[i].name);
		buf_done(&name);
		buf_done(&checked);
	}
}

static void names_from_outside_are_checked(void **state)
{
	static const struct { const char *name; enum fault_kind kind; const char *out; } cases[] = {
		{ "inBox", FAULT_NONE, "INBOX" }, { "inbox/a", FAULT_NONE, "INBOX/a" }, { "a/inbox", FAULT_NONE, "a/inbox" },
		{ "a/", FAULT_NONE, "a" }, { "", FAULT_INVALID, NULL }, { "/", FAULT_INVALID, NULL },
		{ "/a", FAULT_INVALID, NULL }, { "a//b", FAULT_INVALID, NULL }, { "a//", FAULT_INVALID, NULL },
		{ "a\nb", FAULT_INVALID, NULL }, { "a\x7f", FAULT_INVALID, NULL }, { "\xc2\x85", FAULT_INVALID, NULL },
		{ "\xff", FAULT_INVALID, NULL }, { "\xc0\x80", FAULT_INVALID, NULL }, { "../../etc", FAULT_NONE, "../../etc" },
		{ "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t", FAULT_NONE, "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t" },
		{ "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u", FAULT_LIMIT, NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out;
		buf_init(&out, MAILBOX_NAME_MAX + 1);
		assert_int_equal(mailbox_name_check(sv_z(cases[i].name), &out).kind, cases[i].kind);
		if (cases[i].out)
			assert_string_equal(buf_z(&out), cases[i].out);
		buf_done(&out);
	}
	char longest[300];
	struct buf out;
	char dir[LAYOUT_DIR_MAX + 1];
	buf_init(&out, MAILBOX_NAME_MAX + 1);
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(mailbox_name_check(sv_from(longest, 254), &out).kind, FAULT_NONE);
	assert_true(layout_dir(buf_sv(&out), dir));
	assert_int_equal(strlen(dir), 255);
	assert_int_equal(mailbox_name_check(sv_from(longest, 255), &out).kind, FAULT_LIMIT);
	assert_int_equal(mailbox_name_check(sv_from("a\0b", 3), &out).kind, FAULT_INVALID);
	buf_done(&out);
}

static void what_others_put_on_disk_is_read(void **state)
{
	static const struct { const char *dir, *name; } cases[] = {
		{ ".Entw\xc3\xbcrfe", "Entw\xc3\xbcrfe" },      /* Dovecot with mailbox names in UTF-8 */
		{ ".R&D", "R&D" }, { ".a.b&", "a/b&" }, { ".&AEE-x", "Ax" },    /* sloppy, yet clear */
		{ ".&AC8-", "&AC8-" }, { ".&2D0-", "&2D0-" },                   /* '/' in a level; half a surrogate pair */
		{ ".&APx-", "&APx-" },                                          /* padding bits set */
		{ "..", NULL }, { ".", "INBOX" }, { "cur", NULL }, { ".a..b", NULL }, { ".a.", NULL }, { ".INBOX", NULL },
		{ ".inbox", NULL }, { ".\xff", NULL }, { ".a\x01", NULL }, { "", NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf name;
		buf_init(&name, 1000);
		assert_int_equal(layout_name(sv_z(cases[i].dir), &name), cases[i].name != NULL);
		if (cases[i].name)
			assert_string_equal(buf_z(&name), cases[i].name);
		buf_done(&name);
	}
}

static void an_address_becomes_two_folders_or_nothing(void **state)
{
	static const char *const bad[] = {
		"", "alice", "@example.test", "alice@", "a/b@example.test", "..@example.test", "alice@..",
		"alice@a/b", ".x@example.test", "a\nb@example.test",
	};
	struct sv user, domain;
	(void)state;
	assert_true(layout_account_split(SV("alice@example.test"), &user, &domain));
	assert_true(sv_eq(user, SV("alice")) && sv_eq(domain, SV("example.test")));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(layout_account_split(sv_z(bad[i]), &user, &domain));
	assert_true(layout_is_inside(SV("a/b"), SV("a")));
	assert_true(layout_is_inside(SV("a"), SV("a")));
	assert_false(layout_is_inside(SV("ab"), SV("a")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_directories_go_both_ways),
		cmocka_unit_test(names_from_outside_are_checked),
		cmocka_unit_test(what_others_put_on_disk_is_read),
		cmocka_unit_test(an_address_becomes_two_folders_or_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
