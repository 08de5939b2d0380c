/* Lists, names that expire, domains with the names of others: where mail leads, and who may send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/date.h"
#include "common/directory.h"
#include "common/memory.h"
#include "tests/unit/support/directory_fixture.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define FAILS(expr, what) assert_int_equal((expr).kind, (what))

struct place {
	char path[64];
	struct directory *dir;
	struct arena arena;
	char alice[DIRECTORY_ID_LEN + 1];
};

static int setup(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));
	struct directory_account a;

	p->dir = directory_fixture_make(p->path);
	OK(directory_domain_add(p->dir, SV("a.test")));
	OK(directory_domain_add(p->dir, SV("b.test")));
	OK(directory_account_add(p->dir, SV("alice@a.test"), NULL, DIRECTORY_ITERATIONS_MIN, &a));
	memcpy(p->alice, a.id, sizeof(p->alice));
	OK(directory_account_add(p->dir, SV("bob@a.test"), NULL, DIRECTORY_ITERATIONS_MIN, NULL));
	OK(directory_account_add(p->dir, SV("bob@b.test"), NULL, DIRECTORY_ITERATIONS_MIN, NULL));
	arena_init(&p->arena, 1u << 20);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	int rc = directory_fixture_remove(&p->dir, p->path);

	arena_done(&p->arena);
	free(p);
	return rc;
}

static void put(struct place *p, const char *address, const char *owner, enum directory_posters posters, const char *t1, const char *t2)
{
	struct sv targets[] = { sv_z(t1), sv_z(t2) }, named[] = { SV("Named@else.test") };
	struct directory_alias alias = { .address = sv_z(address), .targets = targets, .count = t2 ? 2 : 1, .is_list = owner != NULL,
					 .owner = sv_z(owner), .posters = posters, .named = named, .named_count = owner ? 1 : 0 };

	OK(directory_alias_put(p->dir, &alias, false));
}

/* resolve - "TARGET[by LIST] ...|LIST TO BE ASKED ..." */
static const char *resolve(struct place *p, const char *local, const char *domain)
{
	static char text[1000];
	struct address to = { .local = sv_z(local), .domain = sv_z(domain) };
	struct directory_route route;
	size_t n = 0;

	OK(directory_resolve(p->dir, &p->arena, &to, &route));
	text[0] = '\0';
	for (size_t i = 0; i < route.count; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s%s%.*s", i ? " " : "", SV_FMT(route.targets[i].address),
				      route.targets[i].list ? " by " : "",
				      SV_FMT(route.targets[i].list ? route.targets[i].list->address : SV_NONE));
	for (size_t i = 0; i < route.list_count; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "|%.*s %.*s", SV_FMT(route.lists[i]->address), SV_FMT(route.lists[i]->owner));
	return n ? text : "nobody";
}

static bool may(struct place *p, const char *list, const char *sender, const char *account)
{
	bool is = false;

	OK(directory_may_post(p->dir, sv_z(list), sv_z(sender), sv_z(account), &is));
	return is;
}

static void what_is_behind_a_list_comes_from_the_first_one(void **state)
{
	struct place *p = *state;

	put(p, "inner@a.test", "boss@else.test", DIRECTORY_POST_MEMBERS, "bob@a.test", "x@else.test");
	put(p, "outer@a.test", "alice@a.test", DIRECTORY_POST_ANYONE, "alice@a.test", "inner@a.test");
	put(p, "alias@a.test", NULL, 0, "alice@a.test", "inner@a.test");
	assert_string_equal(resolve(p, "inner", "a.test"), "bob@a.test by inner@a.test x@else.test by inner@a.test|inner@a.test boss@else.test");
	assert_string_equal(resolve(p, "outer", "a.test"), "alice@a.test by outer@a.test bob@a.test by outer@a.test x@else.test by outer@a.test"
							   "|outer@a.test alice@a.test");
	assert_string_equal(resolve(p, "alias", "a.test"), "alice@a.test bob@a.test by inner@a.test x@else.test by inner@a.test|inner@a.test boss@else.test");
}

static void a_list_says_who_may_send(void **state)
{
	struct place *p = *state;

	put(p, "members@a.test", "o@a.test", DIRECTORY_POST_MEMBERS, "Alice@A.test", "Joe@else.test");
	put(p, "accounts@a.test", "o@a.test", DIRECTORY_POST_ACCOUNTS, "alice@a.test", NULL);
	put(p, "named@a.test", "o@a.test", DIRECTORY_POST_NAMED, "alice@a.test", NULL);
	put(p, "anyone@a.test", "o@a.test", DIRECTORY_POST_ANYONE, "alice@a.test", NULL);
	assert_true(may(p, "members@a.test", "joe@ELSE.test", ""));
	assert_true(may(p, "members@a.test", "other@a.test", "alice@a.test"));
	assert_true(may(p, "members@a.test", "named@else.test", ""));
	assert_false(may(p, "members@a.test", "bob@a.test", "bob@a.test"));
	assert_false(may(p, "members@a.test", "", ""));
	assert_true(may(p, "accounts@a.test", "x@y.test", "bob@a.test"));
	assert_false(may(p, "accounts@a.test", "bob@a.test", ""));
	assert_false(may(p, "accounts@a.test", "bob@b.test", "bob@b.test"));
	assert_false(may(p, "named@a.test", "alice@a.test", "alice@a.test"));
	assert_true(may(p, "named@a.test", "Named@else.test", ""));
	assert_true(may(p, "anyone@a.test", "", ""));
}

static void a_list_is_read_as_it_was_written(void **state)
{
	struct directory_alias alias;
	struct place *p = *state;

	put(p, "l@a.test", "o@a.test", DIRECTORY_POST_ACCOUNTS, "alice@a.test", "Joe@else.test");
	OK(directory_alias_get(p->dir, &p->arena, SV("L@a.test"), &alias));
	assert_true(alias.is_list && alias.posters == DIRECTORY_POST_ACCOUNTS && !alias.expires_s);
	assert_int_equal(alias.count, 2);
	assert_true(sv_eq(alias.targets[1], SV("Joe@else.test")) && sv_eq(alias.owner, SV("o@a.test")));
	assert_true(alias.named_count == 1 && sv_eq(alias.named[0], SV("Named@else.test")));
	FAILS(directory_alias_get(p->dir, &p->arena, SV("alice@a.test"), &alias), FAULT_NOT_FOUND);
	FAILS(directory_alias_get(p->dir, &p->arena, SV("none@a.test"), &alias), FAULT_NOT_FOUND);
	OK(directory_alias_set(p->dir, SV("l@a.test"), &SV("bob@a.test"), 1));
	OK(directory_alias_get(p->dir, &p->arena, SV("l@a.test"), &alias));
	assert_true(alias.is_list && alias.posters == DIRECTORY_POST_ACCOUNTS && alias.named_count == 1 && alias.count == 1);
	alias.owner = SV("l@a.test");
	FAILS(directory_alias_put(p->dir, &alias, true), FAULT_INVALID);
}

static void a_member_does_not_own_the_list(void **state)
{
	struct address list = { .local = SV("l"), .domain = SV("a.test") };
	struct place *p = *state;
	bool owns = true;

	put(p, "l@a.test", "o@a.test", DIRECTORY_POST_ANYONE, "alice@a.test", NULL);
	OK(directory_owns(p->dir, sv_z(p->alice), &list, &owns));
	assert_false(owns);
}

static void what_has_expired_is_unknown_even_with_a_catch_all(void **state)
{
	struct sv to = SV("alice@a.test");
	struct directory_alias alias = { .address = SV("shop@a.test"), .targets = &to, .count = 1, .expires_s = date_now().seconds + 3600 };
	struct directory_domain d;
	struct place *p = *state;

	OK(directory_alias_put(p->dir, &alias, false));
	assert_string_equal(resolve(p, "shop", "a.test"), "alice@a.test");
	OK(directory_domain_get(p->dir, SV("a.test"), &d));
	memcpy(d.catch_all, "bob@a.test", sizeof("bob@a.test"));
	OK(directory_domain_set(p->dir, &d));
	alias.expires_s = date_now().seconds;
	OK(directory_alias_put(p->dir, &alias, true));
	assert_string_equal(resolve(p, "shop", "a.test"), "nobody");
	assert_string_equal(resolve(p, "shop+x", "a.test"), "nobody");
	assert_string_equal(resolve(p, "other", "a.test"), "bob@a.test");
}

static void a_domain_may_have_the_names_of_another(void **state)
{
	struct address from = { .local = SV("alice"), .domain = SV("b.test") };
	struct directory_domain d;
	struct place *p = *state;
	bool owns = false;

	assert_string_equal(resolve(p, "alice", "b.test"), "nobody");
	OK(directory_domain_get(p->dir, SV("b.test"), &d));
	memcpy(d.alias_of, "A.test", sizeof("A.test"));
	OK(directory_domain_set(p->dir, &d));
	assert_string_equal(resolve(p, "Alice+x", "b.test"), "alice@a.test");
	assert_string_equal(resolve(p, "bob", "b.test"), "bob@b.test");         /* its own come first */
	assert_string_equal(resolve(p, "nobody", "b.test"), "nobody");
	OK(directory_owns(p->dir, sv_z(p->alice), &from, &owns));
	assert_true(owns);
	OK(directory_domain_get(p->dir, SV("a.test"), &d));
	memcpy(d.alias_of, "b.test", sizeof("b.test"));
	FAILS(directory_domain_set(p->dir, &d), FAULT_INVALID);
	memcpy(d.alias_of, "a.test", sizeof("a.test"));
	FAILS(directory_domain_set(p->dir, &d), FAULT_INVALID);
	memcpy(d.alias_of, "c.test", sizeof("c.test"));
	FAILS(directory_domain_set(p->dir, &d), FAULT_NOT_FOUND);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(what_is_behind_a_list_comes_from_the_first_one),
		CASE(a_list_says_who_may_send),
		CASE(a_list_is_read_as_it_was_written),
		CASE(a_member_does_not_own_the_list),
		CASE(what_has_expired_is_unknown_even_with_a_catch_all),
		CASE(a_domain_may_have_the_names_of_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
