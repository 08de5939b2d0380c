/* What is asked of the directory is answered: recipients, senders; its secret stays, damage is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/directory_private.h"
#include "common/memory.h"
#include "tests/unit/support/directory_fixture.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define FAILS(expr, what) assert_int_equal((expr).kind, (what))

/* "a@x b@y+tag !remote", or "elsewhere", "unknown"; the fault's name when there is one. */
static const char *resolve(struct directory *dir, const char *local, const char *domain)
{
	static char text[4096];
	struct address to = { .local = sv_z(local), .domain = sv_z(domain), .domain_given = sv_z(domain) };
	struct directory_route route;
	struct arena a;
	size_t len = 0;

	arena_init(&a, 1 << 20);
	struct fault f = directory_resolve(dir, &a, &to, &route);
	text[0] = '\0';
	if (f.kind)
		len += (size_t)snprintf(text, sizeof(text), "%s", fault_name(f.kind));
	else if (route.answer == DIRECTORY_NOT_OURS)
		len += (size_t)snprintf(text, sizeof(text), "elsewhere");
	else if (route.answer == DIRECTORY_UNKNOWN)
		len += (size_t)snprintf(text, sizeof(text), "unknown");
	for (size_t i = 0; i < route.count && !f.kind; i++) {
		const struct directory_target *t = &route.targets[i];
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%.*s%s%.*s", i ? " " : "",
					t->is_remote ? "!" : "", SV_FMT(t->address), t->tag.len ? "+" : "",
					SV_FMT(t->tag));
	}
	arena_done(&a);
	return text;
}

static void recipients_resolve_to_accounts(void **state)
{
	struct directory_place *p = *state;
	struct directory_domain d;

	directory_fixture_account(p->dir, "alice@example.test");
	directory_fixture_account(p->dir, "bob@example.test");
	directory_fixture_account(p->dir, "with+plus@example.test");
	assert_string_equal(resolve(p->dir, "alice", "example.test"), "alice@example.test");
	assert_string_equal(resolve(p->dir, "ALICE", "example.test"), "alice@example.test");
	assert_string_equal(resolve(p->dir, "alice+Lists.X+y", "example.test"), "alice@example.test+Lists.X+y");
	assert_string_equal(resolve(p->dir, "with+plus", "example.test"), "with+plus@example.test");
	assert_string_equal(resolve(p->dir, "nobody", "example.test"), "unknown");
	assert_string_equal(resolve(p->dir, "+alice", "example.test"), "unknown");
	assert_string_equal(resolve(p->dir, "alice", "elsewhere.test"), "elsewhere");
	assert_string_equal(resolve(p->dir, "alice@example.test", "elsewhere.test"), "elsewhere");
	assert_string_equal(resolve(p->dir, "alice%elsewhere.test", "example.test"), "unknown");

	OK(directory_domain_get(p->dir, SV("example.test"), &d));
	d.separator = '-';
	memcpy(d.catch_all, "Bob@example.test", sizeof("Bob@example.test"));
	OK(directory_domain_set(p->dir, &d));
	assert_string_equal(resolve(p->dir, "alice-x", "example.test"), "alice@example.test+x");
	assert_string_equal(resolve(p->dir, "alice+x", "example.test"), "bob@example.test");
	assert_string_equal(resolve(p->dir, "nobody", "example.test"), "bob@example.test");
	d.separator = '@';
	FAILS(directory_domain_set(p->dir, &d), FAULT_INVALID);
	d.separator = '\0';
	memcpy(d.catch_all, "no address", sizeof("no address"));
	FAILS(directory_domain_set(p->dir, &d), FAULT_INVALID);
	d.catch_all[0] = '\0';
	OK(directory_domain_set(p->dir, &d));
	assert_string_equal(resolve(p->dir, "alice-x", "example.test"), "unknown");
}

static void aliases_are_followed_each_target_once(void **state)
{
	struct directory_place *p = *state;

	directory_fixture_account(p->dir, "alice@example.test");
	directory_fixture_account(p->dir, "bob@example.test");
	directory_fixture_alias(p->dir, "info@example.test", "alice@example.test", "Someone@Elsewhere.test");
	directory_fixture_alias(p->dir, "all@example.test", "info@example.test", "bob@example.test");
	directory_fixture_alias(p->dir, "more@example.test", "all@example.test", "alice+tag@example.test");
	assert_string_equal(resolve(p->dir, "info", "example.test"), "alice@example.test !Someone@elsewhere.test");
	assert_string_equal(resolve(p->dir, "info+x", "example.test"), "alice@example.test !Someone@elsewhere.test");
	assert_string_equal(resolve(p->dir, "more", "example.test"),
			    "alice@example.test+tag bob@example.test !Someone@elsewhere.test");

	directory_fixture_alias(p->dir, "gone@example.test", "left@example.test", NULL);
	assert_string_equal(resolve(p->dir, "gone", "example.test"), "unknown");
	directory_fixture_alias(p->dir, "half@example.test", "left@example.test", "bob@example.test");
	assert_string_equal(resolve(p->dir, "half", "example.test"), "bob@example.test");

	directory_fixture_alias(p->dir, "x@example.test", "y@example.test", NULL);
	directory_fixture_alias(p->dir, "y@example.test", "x@example.test", NULL);
	assert_string_equal(resolve(p->dir, "x", "example.test"), "invalid");
	directory_fixture_alias(p->dir, "z@example.test", "y@example.test", "bob@example.test");
	assert_string_equal(resolve(p->dir, "z", "example.test"), "bob@example.test");

	FAILS(directory_alias_add(p->dir, SV("alice@example.test"), &SV("x@y.test"), 1), FAULT_EXISTS);
	FAILS(directory_alias_set(p->dir, SV("alice@example.test"), &SV("x@y.test"), 1), FAULT_EXISTS);
	FAILS(directory_alias_add(p->dir, SV("x@example.test"), &SV("x@y.test"), 1), FAULT_EXISTS);
	FAILS(directory_alias_add(p->dir, SV("new@example.test"), &SV("x@y.test"), 0), FAULT_INVALID);
	FAILS(directory_alias_add(p->dir, SV("new@example.test"), &SV("nothing"), 1), FAULT_INVALID);
	FAILS(directory_alias_add(p->dir, SV("new@elsewhere.test"), &SV("x@y.test"), 1), FAULT_NOT_FOUND);
	FAILS(directory_account_add(p->dir, SV("x@example.test"), NULL, ITERATIONS, NULL), FAULT_EXISTS);
	OK(directory_alias_set(p->dir, SV("x@example.test"), &SV("alice@example.test"), 1));
	assert_string_equal(resolve(p->dir, "y", "example.test"), "alice@example.test");
	OK(directory_alias_remove(p->dir, SV("x@example.test")));
	FAILS(directory_alias_remove(p->dir, SV("x@example.test")), FAULT_NOT_FOUND);
	FAILS(directory_alias_remove(p->dir, SV("alice@example.test")), FAULT_NOT_FOUND);
	assert_string_equal(resolve(p->dir, "x", "example.test"), "unknown");
}

static void aliases_have_a_depth_and_a_size(void **state)
{
	struct directory_place *p = *state;
	char from[64], to[64];
	struct sv *targets = xcalloc(DIRECTORY_ALIAS_TARGETS_MAX + 1, sizeof(*targets));

	directory_fixture_account(p->dir, "end@example.test");
	for (int i = 1; i <= DIRECTORY_ALIAS_DEPTH_MAX + 1; i++) {
		snprintf(from, sizeof(from), "deep%d@example.test", i);
		snprintf(to, sizeof(to), "deep%d@example.test", i - 1);
		directory_fixture_alias(p->dir, from, i == 1 ? "end@example.test" : to, NULL);
	}
	snprintf(from, sizeof(from), "deep%d", DIRECTORY_ALIAS_DEPTH_MAX);
	assert_string_equal(resolve(p->dir, from, "example.test"), "end@example.test");
	snprintf(from, sizeof(from), "deep%d", DIRECTORY_ALIAS_DEPTH_MAX + 1);
	assert_string_equal(resolve(p->dir, from, "example.test"), "limit");

	for (size_t i = 0; i <= DIRECTORY_ALIAS_TARGETS_MAX; i++) {
		snprintf(to, sizeof(to), "r%zu@elsewhere.test", i);
		targets[i] = sv_z(xstrdup(to));
	}
	FAILS(directory_alias_add(p->dir, SV("big@example.test"), targets, DIRECTORY_ALIAS_TARGETS_MAX + 1), FAULT_INVALID);
	OK(directory_alias_add(p->dir, SV("big@example.test"), targets, DIRECTORY_ALIAS_TARGETS_MAX));
	assert_string_equal(resolve(p->dir, "big", "example.test"), "limit");  /* itself counts */
	OK(directory_alias_set(p->dir, SV("big@example.test"), targets, DIRECTORY_RECIPIENTS_MAX - 1));
	struct address to_big = { .local = SV("big"), .domain = SV("example.test") };
	struct directory_route route;
	struct arena a;

	arena_init(&a, 1 << 20);
	OK(directory_resolve(p->dir, &a, &to_big, &route));
	assert_int_equal(route.count, DIRECTORY_RECIPIENTS_MAX - 1);
	arena_done(&a);
	arena_init(&a, 4096);           /* less than the answer needs */
	FAILS(directory_resolve(p->dir, &a, &to_big, &route), FAULT_LIMIT);
	arena_done(&a);
	for (size_t i = 0; i <= DIRECTORY_ALIAS_TARGETS_MAX; i++)
		free((char *)targets[i].p);
	free(targets);
}

static void postmaster_is_never_unknown(void **state)
{
	struct directory_place *p = *state;

	assert_string_equal(resolve(p->dir, "postmaster", "example.test"), "unknown");   /* nobody is there at all */
	directory_fixture_account(p->dir, "first@example.test");
	OK(directory_domain_add(p->dir, SV("second.test")));
	assert_string_equal(resolve(p->dir, "Postmaster", ""), "first@example.test");
	assert_string_equal(resolve(p->dir, "postmaster+x", "second.test"), "first@example.test");
	directory_fixture_account(p->dir, "boss@second.test");
	directory_fixture_alias(p->dir, "postmaster@example.test", "boss@second.test", NULL);
	assert_string_equal(resolve(p->dir, "PostMaster", ""), "boss@second.test");
	assert_string_equal(resolve(p->dir, "postmaster", "second.test"), "boss@second.test");
	assert_string_equal(resolve(p->dir, "hostmaster", "second.test"), "unknown");
	assert_string_equal(resolve(p->dir, "postmaster", "elsewhere.test"), "elsewhere");
}

/* asked - does somebody else have to say whether it is good? */
static bool asked(struct directory *dir, const char *address)
{
	struct directory_route route;
	struct address to;
	struct arena arena;

	arena_init(&arena, 1u << 16);
	OK(address_parse(&arena, sv_z(address), &to));
	OK(directory_resolve(dir, &arena, &to, &route));
	assert_int_equal(route.answer, DIRECTORY_TARGETS);
	assert_true(route.targets[0].is_remote);
	arena_done(&arena);
	return route.is_asked;
}

static void only_names_that_nobody_listed_are_asked_for(void **state)
{
	struct directory_place *p = *state;
	struct directory_domain d;

	OK(directory_domain_add(p->dir, SV("branch.test")));
	OK(directory_domain_get(p->dir, SV("branch.test"), &d));
	d.relay = DIRECTORY_RELAY_ASKED;
	OK(directory_domain_set(p->dir, &d));
	OK(directory_relay_add(p->dir, SV("listed@branch.test")));
	directory_fixture_alias(p->dir, "info@example.test", "other@branch.test", NULL);
	assert_true(asked(p->dir, "other@branch.test"));
	assert_false(asked(p->dir, "listed@branch.test"));
	assert_false(asked(p->dir, "info@example.test"));       /* an administrator's word */
	assert_false(directory_fixture_owns(p->dir, "0123456789abcdef", "other", "branch.test"));
	d.relay = DIRECTORY_RELAY_ANY;
	OK(directory_domain_set(p->dir, &d));
	assert_false(asked(p->dir, "other@branch.test"));
}

static void an_account_sends_as_what_is_its_own(void **state)
{
	struct directory_place *p = *state;
	struct directory_account a = directory_fixture_account(p->dir, "alice@example.test"), b = directory_fixture_account(p->dir, "bob@example.test");
	struct directory_domain d;

	directory_fixture_alias(p->dir, "info@example.test", "alice@example.test", "x@elsewhere.test");
	directory_fixture_alias(p->dir, "sales@example.test", "info@example.test", NULL);
	OK(directory_domain_get(p->dir, SV("example.test"), &d));
	memcpy(d.catch_all, "alice@example.test", sizeof("alice@example.test"));
	OK(directory_domain_set(p->dir, &d));

	assert_true(directory_fixture_owns(p->dir, a.id, "Alice", "example.test"));
	assert_true(directory_fixture_owns(p->dir, a.id, "alice+tag", "example.test"));
	assert_true(directory_fixture_owns(p->dir, a.id, "info", "example.test"));
	assert_true(directory_fixture_owns(p->dir, a.id, "sales+x", "example.test"));
	assert_false(directory_fixture_owns(p->dir, b.id, "info", "example.test"));
	assert_false(directory_fixture_owns(p->dir, a.id, "bob", "example.test"));
	assert_false(directory_fixture_owns(p->dir, a.id, "nobody", "example.test"));     /* the catch-all is not hers */
	assert_false(directory_fixture_owns(p->dir, a.id, "alice", "elsewhere.test"));
	assert_false(directory_fixture_owns(p->dir, a.id, "x", "elsewhere.test"));
	assert_false(directory_fixture_owns(p->dir, a.id, "postmaster", "example.test"));
	assert_false(directory_fixture_owns(p->dir, "", "alice", "example.test"));
	assert_false(directory_fixture_owns(p->dir, "0123456789abcdef", "alice", "example.test"));

	OK(directory_grant_add(p->dir, SV("bob@example.test"), SV("ALICE@example.test")));
	FAILS(directory_grant_add(p->dir, SV("bob@example.test"), SV("alice@example.test")), FAULT_EXISTS);
	OK(directory_grant_add(p->dir, SV("bob@example.test"), SV("@Elsewhere.test")));
	FAILS(directory_grant_add(p->dir, SV("nobody@example.test"), SV("@elsewhere.test")), FAULT_NOT_FOUND);
	FAILS(directory_grant_add(p->dir, SV("bob@example.test"), SV("nothing")), FAULT_INVALID);
	assert_true(directory_fixture_owns(p->dir, b.id, "alice", "example.test"));
	assert_true(directory_fixture_owns(p->dir, b.id, "alice+t", "example.test"));
	assert_true(directory_fixture_owns(p->dir, b.id, "anyone", "elsewhere.test"));
	assert_false(directory_fixture_owns(p->dir, a.id, "anyone", "elsewhere.test"));
	OK(directory_grant_remove(p->dir, SV("bob@example.test"), SV("alice@example.test")));
	FAILS(directory_grant_remove(p->dir, SV("bob@example.test"), SV("alice@example.test")), FAULT_NOT_FOUND);
	assert_false(directory_fixture_owns(p->dir, b.id, "alice", "example.test"));
}

static void the_secret_stays_and_purposes_differ(void **state)
{
	struct directory_place *p = *state;
	struct directory *again = NULL;
	uint8_t a[32], b[32];

	directory_keyed(p->dir, "one", SV("data"), a);
	directory_keyed(p->dir, "two", SV("data"), b);
	assert_memory_not_equal(a, b, sizeof(a));
	directory_close(&p->dir);
	OK(directory_open(p->path, false, &p->dir));
	directory_keyed(p->dir, "one", SV("data"), b);
	assert_memory_equal(a, b, sizeof(a));
	FAILS(directory_open("/tmp/directory-test-that-is-not-there", false, &again), FAULT_NOT_FOUND);
	assert_null(again);
}

static void put_raw(struct directory *dir, unsigned table, struct sv key, struct sv value)
{
	struct kv_txn *txn = NULL;

	OK(kv_write_begin(dir->env, &txn));
	OK(kv_put(txn, table, key, value));
	OK(kv_commit(&txn));
}

static void a_newer_format_is_refused_in_words(void **state)
{
	struct directory_place *p = *state;
	struct directory *again = NULL;

	put_raw(p->dir, DT_META, SV("format"), SV("\0\0\0\2"));
	struct fault f = directory_open(p->path, false, &again);
	assert_int_equal(f.kind, FAULT_UNSUPPORTED);
	assert_non_null(strstr(f.detail, "newer"));
}

static void damaged_rows_are_corrupt_at_every_cut(void **state)
{
	struct directory_place *p = *state;
	struct directory_account a = directory_fixture_account(p->dir, "alice@example.test"), b;
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct kv_txn *txn = NULL;
	struct sv value;
	char *whole;

	OK(directory_password_set(p->dir, SV("alice@example.test"), SV("pw"), ITERATIONS));
	OK(kv_read_begin(p->dir->env, &txn));
	OK(kv_get(txn, DT_ACCOUNTS, sv_z(a.id), &value));
	whole = sv_copy_z(value);
	size_t len = value.len;
	kv_read_end(&txn);
	for (size_t cut = 0; cut < len; cut += 7) {
		put_raw(p->dir, DT_ACCOUNTS, sv_z(a.id), sv_from(whole, cut));
		FAILS(directory_account_by_id(p->dir, sv_z(a.id), &b), FAULT_CORRUPT);
	}
	FAILS(directory_login(p->dir, SV("alice@example.test"), l), FAULT_CORRUPT);
	assert_string_equal(resolve(p->dir, "alice", "example.test"), "corrupt");
	put_raw(p->dir, DT_ACCOUNTS, sv_z(a.id), sv_from(whole, len));
	OK(directory_login(p->dir, SV("alice@example.test"), l));

	struct kv_key key;
	credential_key(a.id, 0, &key);
	put_raw(p->dir, DT_CREDENTIALS, kv_key_view(&key), SV("junk"));
	FAILS(directory_login(p->dir, SV("alice@example.test"), l), FAULT_CORRUPT);
	struct name n;
	OK(name_from_text(SV("alice@example.test"), &n));
	name_key(&n, &key);
	put_raw(p->dir, DT_NAMES, kv_key_view(&key), SV_NONE);
	assert_string_equal(resolve(p->dir, "alice", "example.test"), "corrupt");
	put_raw(p->dir, DT_DOMAINS, SV("example.test"), SV("\1"));
	assert_string_equal(resolve(p->dir, "alice", "example.test"), "corrupt");
	free(whole);
	free(l);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, directory_place_setup, directory_place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(recipients_resolve_to_accounts),
		CASE(aliases_are_followed_each_target_once),
		CASE(aliases_have_a_depth_and_a_size),
		CASE(postmaster_is_never_unknown),
		CASE(only_names_that_nobody_listed_are_asked_for),
		CASE(an_account_sends_as_what_is_its_own),
		CASE(the_secret_stays_and_purposes_differ),
		CASE(a_newer_format_is_refused_in_words),
		CASE(damaged_rows_are_corrupt_at_every_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
