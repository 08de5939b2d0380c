/* Tokens for some domains: who has one is found, and a narrowed directory shows nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "common/directory_delegate.h"
#include "common/memory.h"
#include "tests/unit/support/directory_fixture.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define FAILS(expr, what) assert_int_equal((expr).kind, (what))

struct place {
	char path[64];
	struct directory *dir;
};

static int setup(void **state)
{
	static const char *const accounts[] = { "alice@a.test", "bob@a.test", "alice@b.test", "carol@c.test", "dora@a.test.b.test" };
	struct place *p = xcalloc(1, sizeof(*p));
	struct sv target = SV("alice@a.test");

	p->dir = directory_fixture_make(p->path);
	OK(directory_domain_add(p->dir, SV("a.test")));
	OK(directory_domain_add(p->dir, SV("b.test")));
	OK(directory_domain_add(p->dir, SV("c.test")));
	OK(directory_domain_add(p->dir, SV("a.test.b.test")));
	for (size_t i = 0; i < ARRAY_LEN(accounts); i++)
		OK(directory_account_add(p->dir, sv_z(accounts[i]), NULL, DIRECTORY_ITERATIONS_MIN, NULL));
	OK(directory_alias_add(p->dir, SV("info@a.test"), &target, 1));
	OK(directory_alias_add(p->dir, SV("info@b.test"), &target, 1));
	OK(directory_grant_add(p->dir, SV("alice@a.test"), SV("press@a.test")));
	OK(directory_grant_add(p->dir, SV("alice@a.test"), SV("@b.test")));
	OK(directory_grant_add(p->dir, SV("alice@b.test"), SV("press@a.test")));
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	int rc = directory_fixture_remove(&p->dir, p->path);

	free(p);
	return rc;
}

static const struct directory_delegate of_a_and_c = {
	.name = "shop", .domains = { "C.test", "a.TEST", "c.test" }, .domain_count = 3, .may_change = true,
};

static void a_token_finds_its_row_and_nothing_else_does(void **state)
{
	struct place *p = *state;
	char token[DELEGATE_TOKEN_LEN + 1], other[DELEGATE_TOKEN_LEN + 1];
	struct directory_delegate d;
	int64_t now = (int64_t)time(NULL);

	OK(directory_delegate_add(p->dir, &of_a_and_c, token));
	assert_int_equal(strlen(token), DELEGATE_TOKEN_LEN);
	OK(directory_delegate_find(p->dir, sv_z(token), now, &d));
	assert_string_equal(d.name, "shop");
	assert_int_equal(d.domain_count, 2);
	assert_string_equal(d.domains[0], "c.test");
	assert_string_equal(d.domains[1], "a.test");
	assert_true(d.may_change);
	assert_int_equal(d.used_s, now);
	memcpy(other, token, sizeof(other));
	other[20] = other[20] == 'a' ? 'b' : 'a';
	FAILS(directory_delegate_find(p->dir, sv_z(other), now, &d), FAULT_AUTH);
	FAILS(directory_delegate_find(p->dir, SV_NONE, now, &d), FAULT_AUTH);
	FAILS(directory_delegate_find(p->dir, sv_from(token, DELEGATE_TOKEN_LEN - 1), now, &d), FAULT_AUTH);
	OK(directory_delegate_remove(p->dir, SV("shop")));
	FAILS(directory_delegate_remove(p->dir, SV("shop")), FAULT_NOT_FOUND);
	FAILS(directory_delegate_find(p->dir, sv_z(token), now, &d), FAULT_AUTH);
}

static void a_token_ends_when_it_is_said_to(void **state)
{
	struct place *p = *state;
	struct directory_delegate until = of_a_and_c, d;
	char token[DELEGATE_TOKEN_LEN + 1];

	until.expires_s = 2000;
	OK(directory_delegate_add(p->dir, &until, token));
	OK(directory_delegate_find(p->dir, sv_z(token), 1999, &d));
	FAILS(directory_delegate_find(p->dir, sv_z(token), 2000, &d), FAULT_AUTH);
}

static void names_are_used_once_and_domains_are_ours(void **state)
{
	struct place *p = *state;
	char token[DELEGATE_TOKEN_LEN + 1];
	struct directory_delegate d = of_a_and_c;

	OK(directory_delegate_add(p->dir, &d, token));
	FAILS(directory_delegate_add(p->dir, &d, token), FAULT_EXISTS);
	snprintf(d.name, sizeof(d.name), "other");
	snprintf(d.domains[1], sizeof(d.domains[1]), "elsewhere.test");
	FAILS(directory_delegate_add(p->dir, &d, token), FAULT_NOT_FOUND);
	d.domain_count = 0;
	FAILS(directory_delegate_add(p->dir, &d, token), FAULT_INVALID);
	d = of_a_and_c;
	d.name[0] = '\0';
	FAILS(directory_delegate_add(p->dir, &d, token), FAULT_INVALID);
}

static void a_domain_that_goes_takes_its_tokens_along(void **state)
{
	struct place *p = *state;
	struct directory_delegate only_c = { .name = "c", .domains = { "c.test" }, .domain_count = 1 }, d;
	char both[DELEGATE_TOKEN_LEN + 1], one[DELEGATE_TOKEN_LEN + 1];

	OK(directory_delegate_add(p->dir, &of_a_and_c, both));
	OK(directory_delegate_add(p->dir, &only_c, one));
	OK(directory_account_remove(p->dir, SV("carol@c.test")));
	OK(directory_domain_remove(p->dir, SV("c.test")));
	FAILS(directory_delegate_find(p->dir, sv_z(one), 1, &d), FAULT_AUTH);
	OK(directory_delegate_find(p->dir, sv_z(both), 1, &d));
	assert_int_equal(d.domain_count, 1);
	assert_string_equal(d.domains[0], "a.test");
}

/* ---- a narrowed handle ---- */

static bool add_domain(void *arg, const struct directory_domain *d)
{
	buf_appendf(arg, "%s ", d->name);
	return true;
}

static bool add_account(void *arg, const struct directory_account *a)
{
	buf_appendf(arg, "%s ", a->address);
	return true;
}

static bool add_alias(void *arg, const struct directory_alias *a)
{
	buf_appendf(arg, "%.*s ", SV_FMT(a->address));
	return true;
}

static bool add_grant(void *arg, struct sv account, struct sv address)
{
	buf_appendf(arg, "%.*s>%.*s ", SV_FMT(account), SV_FMT(address));
	return true;
}

static bool add_nothing(void *arg, const struct directory_delegate *d)
{
	(void)arg;
	(void)d;
	return true;
}

static void said(struct buf *b, const char *expected)
{
	assert_string_equal(buf_z(b), expected);
	buf_clear(b);
}

static void listings_of_a_narrowed_directory_have_its_domains_only(void **state)
{
	struct place *p = *state;
	struct directory_delegate d;
	char token[DELEGATE_TOKEN_LEN + 1];
	struct buf b;

	buf_init(&b, 4096);
	OK(directory_delegate_add(p->dir, &of_a_and_c, token));
	OK(directory_delegate_find(p->dir, sv_z(token), 1, &d));
	directory_narrow(p->dir, &d);
	OK(directory_domain_list(p->dir, add_domain, &b));
	said(&b, "a.test c.test ");
	OK(directory_account_list(p->dir, SV_NONE, add_account, &b));
	said(&b, "carol@c.test alice@a.test bob@a.test ");
	OK(directory_account_list(p->dir, SV("a.test"), add_account, &b));
	said(&b, "alice@a.test bob@a.test ");
	OK(directory_alias_list(p->dir, SV_NONE, add_alias, &b));
	said(&b, "info@a.test ");
	OK(directory_grant_list(p->dir, SV_NONE, add_grant, &b));
	said(&b, "alice@a.test>press@a.test ");
	FAILS(directory_account_list(p->dir, SV("b.test"), add_account, &b), FAULT_NOT_FOUND);
	FAILS(directory_alias_list(p->dir, SV("b.test"), add_alias, &b), FAULT_NOT_FOUND);
	FAILS(directory_grant_list(p->dir, SV("alice@b.test"), add_grant, &b), FAULT_NOT_FOUND);
	FAILS(directory_delegate_list(p->dir, add_nothing, NULL), FAULT_DENIED);
	FAILS(directory_delegate_add(p->dir, &of_a_and_c, token), FAULT_DENIED);
	FAILS(directory_delegate_remove(p->dir, SV("shop")), FAULT_DENIED);
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

static void what_is_not_shown_can_be_neither_read_nor_changed(void **state)
{
	struct place *p = *state;
	struct directory_delegate d = of_a_and_c;
	struct directory_account account;
	struct directory_domain domain;
	struct directory_alias alias;
	struct sv target = SV("alice@a.test");
	struct fault there, missing;
	char first[200];
	struct arena a;

	arena_init(&a, 1 << 20);
	snprintf(d.domains[0], sizeof(d.domains[0]), "c.test");
	snprintf(d.domains[1], sizeof(d.domains[1]), "a.test");
	d.domain_count = 2;
	directory_narrow(p->dir, &d);
	OK(directory_account_get(p->dir, SV("alice@A.test"), &account));
	OK(directory_domain_get(p->dir, SV("a.test"), &domain));
	FAILS(directory_domain_get(p->dir, SV("b.test"), &domain), FAULT_NOT_FOUND);
	FAILS(directory_domain_add(p->dir, SV("new.test")), FAULT_NOT_FOUND);
	FAILS(directory_domain_remove(p->dir, SV("b.test")), FAULT_NOT_FOUND);
	FAILS(directory_account_add(p->dir, SV("new@b.test"), NULL, DIRECTORY_ITERATIONS_MIN, NULL), FAULT_NOT_FOUND);
	FAILS(directory_account_remove(p->dir, SV("alice@b.test")), FAULT_NOT_FOUND);
	FAILS(directory_password_set(p->dir, SV("alice@b.test"), SV("secret"), DIRECTORY_ITERATIONS_MIN), FAULT_NOT_FOUND);
	FAILS(directory_credential_add(p->dir, SV("alice@b.test"), SV("phone"), 1, SV("secret"), NULL), FAULT_NOT_FOUND);
	FAILS(directory_credential_remove(p->dir, SV("alice@b.test"), 1), FAULT_NOT_FOUND);
	FAILS(directory_alias_get(p->dir, &a, SV("info@b.test"), &alias), FAULT_NOT_FOUND);
	FAILS(directory_alias_add(p->dir, SV("new@b.test"), &target, 1), FAULT_NOT_FOUND);
	FAILS(directory_alias_set(p->dir, SV("info@b.test"), &target, 1), FAULT_NOT_FOUND);
	FAILS(directory_alias_remove(p->dir, SV("info@b.test")), FAULT_NOT_FOUND);
	FAILS(directory_grant_add(p->dir, SV("alice@b.test"), SV("x@a.test")), FAULT_NOT_FOUND);
	FAILS(directory_grant_add(p->dir, SV("alice@a.test"), SV("x@b.test")), FAULT_NOT_FOUND);
	FAILS(directory_grant_add(p->dir, SV("alice@a.test"), SV("@b.test")), FAULT_NOT_FOUND);
	/* Somebody who is there and somebody who is not are told of in the same words. */
	there = directory_account_get(p->dir, SV("alice@b.test"), &account);
	snprintf(first, sizeof(first), "%s", there.detail);
	missing = directory_account_get(p->dir, SV("nobody@b.test"), &account);
	assert_int_equal(there.kind, missing.kind);
	assert_string_equal(first, missing.detail);
	OK(directory_delegate_check_address(&d, SV("nobody@A.TEST")));
	FAILS(directory_delegate_check_address(&d, SV("alice@b.test")), FAULT_NOT_FOUND);
	FAILS(directory_delegate_check_address(&d, SV("a.test")), FAULT_INVALID);
	FAILS(directory_delegate_check_address(&d, SV("alice@a.test.b.test")), FAULT_NOT_FOUND);
	FAILS(directory_delegate_check_domain(&d, SV("a.test.b.test")), FAULT_NOT_FOUND);
	FAILS(directory_delegate_check_domain(&d, SV("test")), FAULT_NOT_FOUND);
	FAILS(directory_delegate_check_domain(&d, SV_NONE), FAULT_INVALID);
	arena_done(&a);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_token_finds_its_row_and_nothing_else_does),
		TEST(a_token_ends_when_it_is_said_to),
		TEST(names_are_used_once_and_domains_are_ours),
		TEST(a_domain_that_goes_takes_its_tokens_along),
		TEST(listings_of_a_narrowed_directory_have_its_domains_only),
		TEST(what_is_not_shown_can_be_neither_read_nor_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
