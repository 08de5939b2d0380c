/* Accounts: found by their names, what state they are in and what that means for mail and logins, changes that meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/directory.h"
#include "common/identity.h"
#include "common/memory.h"
#include "tests/unit/support/directory_fixture.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define FAILS(expr, what) assert_int_equal((expr).kind, (what))

static void an_account_is_found_by_its_name_in_any_case(void **state)
{
	struct directory_place *p = *state;
	struct directory_account a = directory_fixture_account(p->dir, "Alice@EXAMPLE.test"), b;

	assert_string_equal(a.address, "alice@example.test");
	assert_int_equal(strlen(a.id), DIRECTORY_ID_LEN);
	assert_true(a.is_enabled);
	OK(directory_account_get(p->dir, SV("aLICE@Example.Test"), &b));
	assert_string_equal(a.id, b.id);
	assert_int_equal(a.revision, b.revision);
	OK(directory_account_by_id(p->dir, sv_z(a.id), &b));
	assert_string_equal(b.address, "alice@example.test");
	FAILS(directory_account_get(p->dir, SV("bob@example.test"), &b), FAULT_NOT_FOUND);
	FAILS(directory_account_by_id(p->dir, SV("0123456789abcdef"), &b), FAULT_NOT_FOUND);
	FAILS(directory_account_by_id(p->dir, SV("0"), &b), FAULT_NOT_FOUND);
	FAILS(directory_account_add(p->dir, SV("ALICE@example.test"), NULL, ITERATIONS, NULL), FAULT_EXISTS);
	FAILS(directory_account_add(p->dir, SV("x@elsewhere.test"), NULL, ITERATIONS, NULL), FAULT_NOT_FOUND);
	FAILS(directory_account_add(p->dir, SV("nonsense"), NULL, ITERATIONS, NULL), FAULT_INVALID);
	FAILS(directory_account_add(p->dir, SV("y@example.test"), NULL, 1, NULL), FAULT_INVALID);
	FAILS(directory_account_add(p->dir, SV("y@example.test"), &SV_NONE, ITERATIONS, NULL), FAULT_INVALID);
}

static struct directory_answer_of { enum directory_answer answer; char to[DIRECTORY_ADDRESS_MAX + 1]; }
answer_of(struct directory *dir, const char *local)
{
	struct directory_answer_of out = { .answer = DIRECTORY_UNKNOWN };
	struct directory_route route;
	struct arena arena;
	struct address to = { .local = sv_z(local), .domain = SV("example.test"), .domain_given = SV("example.test") };

	arena_init(&arena, 1 << 20);
	OK(directory_resolve(dir, &arena, &to, &route));
	out.answer = route.answer;
	if (route.count == 1)
		memcpy(out.to, route.targets[0].address.p, route.targets[0].address.len);
	arena_done(&arena);
	return out;
}

static void an_account_for_sending_only_takes_no_mail_or_has_it_forwarded(void **state)
{
	struct directory_place *p = *state;
	struct directory_account a = directory_fixture_account(p->dir, "robot@example.test"), b;
	const struct sv targets[] = { SV("robot@example.test"), SV("bob@example.test") };

	directory_fixture_account(p->dir, "bob@example.test");
	OK(directory_alias_add(p->dir, SV("both@example.test"), targets, 2));
	assert_true(directory_state_parse(SV("send-only"), &a));
	OK(directory_account_set(p->dir, &a));
	OK(directory_account_get(p->dir, SV("robot@example.test"), &a));
	assert_string_equal(directory_state_name(&a), "send-only");
	assert_int_equal(directory_account_scope(&a), SCOPE_SUBMISSION);
	assert_int_equal(answer_of(p->dir, "robot").answer, DIRECTORY_CLOSED);
	assert_string_equal(answer_of(p->dir, "both").to, "bob@example.test");
	assert_true(directory_fixture_owns(p->dir, a.id, "robot", "example.test"));
	assert_true(directory_forward_set(SV("Bob@Example.test"), &a));
	OK(directory_account_set(p->dir, &a));
	assert_string_equal(answer_of(p->dir, "robot").to, "bob@example.test");
	OK(directory_account_get(p->dir, SV("robot@example.test"), &a));
	assert_true(directory_forward_set(SV("robot@example.test"), &a));
	FAILS(directory_account_set(p->dir, &a), FAULT_INVALID);
	/* Switched off and on again it is what it was. */
	OK(directory_account_get(p->dir, SV("robot@example.test"), &b));
	assert_true(directory_state_parse(SV("disabled"), &b));
	assert_string_equal(directory_state_name(&b), "disabled");
	b.is_enabled = true;
	assert_string_equal(directory_state_name(&b), "send-only");
	assert_false(directory_state_parse(SV("asleep"), &b));
}

static void what_is_said_at_login_is_one_line_and_only_for_what_the_state_bars(void **state)
{
	struct directory_account a = { .is_enabled = true, .scope = SCOPE_ALL };

	(void)state;
	assert_string_equal(directory_account_refusal(&a, SCOPE_IMAP), "");
	assert_true(directory_message_set(SV("Moved: call 12-34"), &a));
	assert_string_equal(directory_account_refusal(&a, SCOPE_IMAP), "");
	assert_true(directory_state_parse(SV("receive-only"), &a));
	assert_string_equal(directory_account_refusal(&a, SCOPE_IMAP), "");
	assert_string_equal(directory_account_refusal(&a, SCOPE_SUBMISSION), "Moved: call 12-34");
	assert_true(directory_message_set(SV("none"), &a));
	assert_string_equal(directory_account_refusal(&a, SCOPE_SUBMISSION), "This account is for reading only: it may not send");
	assert_true(directory_state_parse(SV("nologin"), &a));
	assert_int_equal(directory_account_scope(&a), 0);
	assert_false(directory_message_set(SV("two\r\nlines"), &a));
	assert_false(directory_message_set(SV("\xc3\xa9"), &a));
}

static void a_change_by_an_old_copy_of_an_account_is_refused(void **state)
{
	struct directory_place *p = *state;
	struct directory_account a = directory_fixture_account(p->dir, "alice@example.test"), old = a, b;

	a.is_enabled = false;
	a.quota_bytes = 1234;
	a.quota_messages = 56;
	a.scope = SCOPE_IMAP;
	OK(directory_account_set(p->dir, &a));
	FAILS(directory_account_set(p->dir, &old), FAULT_BUSY);
	OK(directory_account_get(p->dir, SV("alice@example.test"), &b));
	assert_false(b.is_enabled);
	assert_int_equal(b.quota_bytes, 1234);
	assert_int_equal(b.quota_messages, 56);
	assert_int_equal(b.scope, SCOPE_IMAP);
	OK(directory_account_remove(p->dir, SV("alice@example.test")));
	FAILS(directory_account_set(p->dir, &b), FAULT_NOT_FOUND);
	FAILS(directory_account_remove(p->dir, SV("alice@example.test")), FAULT_NOT_FOUND);
	struct directory_account again = directory_fixture_account(p->dir, "alice@example.test");
	assert_string_not_equal(again.id, a.id);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, directory_place_setup, directory_place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_account_is_found_by_its_name_in_any_case),
		CASE(an_account_for_sending_only_takes_no_mail_or_has_it_forwarded),
		cmocka_unit_test(what_is_said_at_login_is_one_line_and_only_for_what_the_state_bars),
		CASE(a_change_by_an_old_copy_of_an_account_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
