/* What the directory lists, in which order, and that a domain is empty before it goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/directory.h"
#include "common/memory.h"
#include "tests/unit/support/directory_fixture.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define FAILS(expr, what) assert_int_equal((expr).kind, (what))

struct texts {
	char text[1024];
	size_t len;
	int stop_after;
};

static bool note(struct texts *t, const char *a, const char *b)
{
	t->len += (size_t)snprintf(t->text + t->len, sizeof(t->text) - t->len, "%s%s%s ", a, b ? ">" : "", b ? b : "");
	return --t->stop_after != 0;
}

static bool note_domain(void *arg, const struct directory_domain *d)
{
	return note(arg, d->name, NULL);
}

static bool note_account(void *arg, const struct directory_account *a)
{
	return note(arg, a->address, NULL);
}

static bool note_alias(void *arg, const struct directory_alias *alias)
{
	char all[256] = "", address[100];
	size_t len = 0;

	for (size_t i = 0; i < alias->count; i++)
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%.*s", i ? "," : "", SV_FMT(alias->targets[i]));
	snprintf(address, sizeof(address), "%.*s", SV_FMT(alias->address));
	return note(arg, address, all);
}

static bool note_grant(void *arg, struct sv account, struct sv address)
{
	char text[DIRECTORY_ADDRESS_MAX + 1];

	snprintf(text, sizeof(text), "%.*s", SV_FMT(address));
	return note(arg, account.p, text);
}

static void listings_are_by_domain_and_name(void **state)
{
	struct directory_place *p = *state;
	struct texts t = { .len = 0 };

	OK(directory_domain_add(p->dir, SV("a.test")));
	FAILS(directory_domain_add(p->dir, SV("A.test")), FAULT_EXISTS);
	FAILS(directory_domain_add(p->dir, SV("")), FAULT_INVALID);
	OK(directory_domain_list(p->dir, note_domain, &t));
	assert_string_equal(t.text, "a.test example.test ");
	directory_fixture_account(p->dir, "zoe@a.test");
	directory_fixture_account(p->dir, "bob@example.test");
	directory_fixture_account(p->dir, "alice@example.test");
	directory_fixture_alias(p->dir, "b@example.test", "bob@example.test", "Ann@Elsewhere.test");
	directory_fixture_alias(p->dir, "z@a.test", "zoe@a.test", NULL);
	t = (struct texts){ .len = 0 };
	OK(directory_account_list(p->dir, SV_NONE, note_account, &t));
	assert_string_equal(t.text, "zoe@a.test alice@example.test bob@example.test ");
	t = (struct texts){ .stop_after = 2 };
	OK(directory_account_list(p->dir, SV_NONE, note_account, &t));
	assert_string_equal(t.text, "zoe@a.test alice@example.test ");
	t = (struct texts){ .len = 0 };
	OK(directory_account_list(p->dir, SV("Example.test"), note_account, &t));
	assert_string_equal(t.text, "alice@example.test bob@example.test ");
	t = (struct texts){ .len = 0 };
	OK(directory_alias_list(p->dir, SV_NONE, note_alias, &t));
	assert_string_equal(t.text, "z@a.test>zoe@a.test b@example.test>bob@example.test,Ann@elsewhere.test ");
	t = (struct texts){ .len = 0 };
	OK(directory_alias_list(p->dir, SV("a.test"), note_alias, &t));
	assert_string_equal(t.text, "z@a.test>zoe@a.test ");
	OK(directory_grant_add(p->dir, SV("zoe@a.test"), SV("@b.test")));
	OK(directory_grant_add(p->dir, SV("bob@example.test"), SV("c@b.test")));
	t = (struct texts){ .len = 0 };
	OK(directory_grant_list(p->dir, SV("bob@example.test"), note_grant, &t));
	assert_string_equal(t.text, "bob@example.test>c@b.test ");
	t = (struct texts){ .len = 0 };
	OK(directory_grant_list(p->dir, SV_NONE, note_grant, &t));
	assert_int_equal(t.len, strlen("zoe@a.test>@b.test bob@example.test>c@b.test "));
	FAILS(directory_grant_list(p->dir, SV("nobody@a.test"), note_grant, &t), FAULT_NOT_FOUND);
	/* What an account had goes with it. */
	OK(directory_account_remove(p->dir, SV("zoe@a.test")));
	t = (struct texts){ .len = 0 };
	OK(directory_grant_list(p->dir, SV_NONE, note_grant, &t));
	assert_string_equal(t.text, "bob@example.test>c@b.test ");
}

static void a_domain_goes_only_when_it_is_empty(void **state)
{
	struct directory_place *p = *state;
	struct directory_domain d;
	bool is_local = false;

	OK(directory_domain_default(p->dir, &d));
	assert_string_equal(d.name, "example.test");
	OK(directory_domain_add(p->dir, SV("example.test.example")));
	directory_fixture_account(p->dir, "alice@example.test");
	FAILS(directory_domain_remove(p->dir, SV("example.test")), FAULT_DENIED);
	OK(directory_account_remove(p->dir, SV("alice@example.test")));
	OK(directory_is_local_domain(p->dir, SV("example.test"), &is_local));
	assert_true(is_local);
	OK(directory_domain_remove(p->dir, SV("example.test")));
	FAILS(directory_domain_remove(p->dir, SV("example.test")), FAULT_NOT_FOUND);
	OK(directory_is_local_domain(p->dir, SV("example.test"), &is_local));
	assert_false(is_local);
	OK(directory_domain_default(p->dir, &d));
	assert_string_equal(d.name, "example.test.example");
	OK(directory_domain_remove(p->dir, SV("example.test.example")));
	FAILS(directory_domain_default(p->dir, &d), FAULT_NOT_FOUND);
	OK(directory_domain_add(p->dir, SV("new.test")));
	OK(directory_domain_default(p->dir, &d));
	assert_string_equal(d.name, "new.test");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, directory_place_setup, directory_place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(listings_are_by_domain_and_name),
		CASE(a_domain_goes_only_when_it_is_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
