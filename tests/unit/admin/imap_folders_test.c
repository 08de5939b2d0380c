/* What mailboxes of other IMAP servers are called here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "admin/imap_folders.h"
#include "maildir/mailbox.h"

static void names_come_by_the_servers_own_levels(void **state)
{
	static const struct { struct sv raw; char delimiter; struct sv prefix; const char *name; } cases[] = {
		{ SV_INIT("INBOX"), '/', SV_INIT(""), "INBOX" },
		{ SV_INIT("inbox"), '.', SV_INIT("INBOX."), "INBOX" },
		{ SV_INIT("INBOX.Sent"), '.', SV_INIT("INBOX."), "Sent" },
		{ SV_INIT("inbox.Sent"), '.', SV_INIT("INBOX."), "Sent" },
		{ SV_INIT("INBOX.a.b"), '.', SV_INIT(""), "INBOX/a/b" },
		{ SV_INIT("Lists.postfix/users"), '.', SV_INIT(""), "Lists/postfix_users" },
		{ SV_INIT("Lists/v1.0"), '/', SV_INIT(""), "Lists/v1.0" },
		{ SV_INIT("Entw&APw-rfe/2026 &- sp&AOQ-ter"), '/', SV_INIT(""), "Entwürfe/2026 & später" },
		{ SV_INIT("Entwürfe"), '/', SV_INIT(""), "Entwürfe" },
		{ SV_INIT("R&D"), '/', SV_INIT(""), "R&D" },
		{ SV_INIT("\xff"), '/', SV_INIT(""), "\xef\xbf\xbd" },
		{ SV_INIT("a\x01""b"), '/', SV_INIT(""), "a_b" },
		{ SV_INIT("a//b/"), '/', SV_INIT(""), "a/b" },
		{ SV_INIT("a.b/c"), '\0', SV_INIT(""), "a.b_c" },
		{ SV_INIT("[Gmail]/Sent Mail"), '/', SV_INIT(""), "[Gmail]/Sent Mail" },
		{ SV_INIT("Shared/bob"), '/', SV_INIT(""), "Shared_/bob" },
		{ SV_INIT("~/mail/x"), '/', SV_INIT("~/mail/"), "x" },
	};
	struct buf out;
	(void)state;

	buf_init(&out, MAILBOX_NAME_MAX + 1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(imap_folder_name(cases[i].raw, cases[i].delimiter, cases[i].prefix, &out).kind, FAULT_NONE);
		assert_string_equal(buf_z(&out), cases[i].name);
	}
	assert_int_equal(imap_folder_name(SV("//"), '/', SV_NONE, &out).kind, FAULT_INVALID);
	buf_done(&out);
}

static void a_name_that_cannot_be_quoted_is_not_sent(void **state)
{
	struct buf out;
	(void)state;

	buf_init(&out, 64);
	assert_true(imap_client_quote(&out, SV("a \"b\"\\")));
	assert_string_equal(buf_z(&out), "\"a \\\"b\\\"\\\\\"");
	assert_false(imap_client_quote(&out, SV("a\r\nb LOGOUT")));
	assert_false(imap_client_quote(&out, SV("a\0b")));
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_come_by_the_servers_own_levels),
		cmocka_unit_test(a_name_that_cannot_be_quoted_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
