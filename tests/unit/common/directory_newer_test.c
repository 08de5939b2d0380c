/* A directory that a newer program wrote into: what this one does not know stays, and is never taken for something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/directory_delegate.h"
#include "common/directory_private.h"
#include "common/identity.h"
#include "common/memory.h"
#include "tests/unit/support/directory_fixture.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define FAILS(expr, what) assert_int_equal((expr).kind, (what))
#define NEW_TAG 200
#define A_USE 14

struct place {
	char path[64];
	struct directory *dir;
	struct directory_account alice;
};

static int setup(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));
	struct sv password = SV("secret"), target = SV("alice@a.test");

	p->dir = directory_fixture_make(p->path);
	OK(directory_domain_add(p->dir, SV("a.test")));
	OK(directory_account_add(p->dir, SV("alice@a.test"), &password, DIRECTORY_ITERATIONS_MIN, &p->alice));
	OK(directory_credential_add(p->dir, SV("alice@a.test"), SV("phone"), SCOPE_IMAP, SV("phone's"), NULL));
	OK(directory_alias_add(p->dir, SV("info@a.test"), &target, 1));
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

/* What a newer program would write: the row that is there with one more field, or with only this and the version given. */
struct writing {
	unsigned table;
	struct sv key;
	uint8_t version, tag;
	uint64_t value;
	bool is_alone;
};

static struct fault write_newer(struct kv_txn *txn, void *arg)
{
	const struct writing *w = arg;
	struct record_out out;
	struct record_in in;
	struct sv value, field;
	uint8_t tag;
	struct fault f;

	record_begin(&out, w->version);
	if (!w->is_alone) {
		OK(kv_get(txn, w->table, w->key, &value));
		OK(record_open(value, ROW_VERSION, &in));
		while (record_next(&in, &tag, &field))
			record_put(&out, tag, field);
	}
	record_put_u64(&out, w->tag, w->value);
	OK(record_end(&out, &value));
	f = kv_put(txn, w->table, w->key, value);
	record_done(&out);
	return f;
}

static void add_field(struct place *p, unsigned table, struct sv key)
{
	struct writing w = { table, key, ROW_VERSION, NEW_TAG, 7, false };

	OK(kv_update(p->dir->env, write_newer, &w));
}

static bool has_field(struct place *p, unsigned table, struct sv key)
{
	struct kv_txn *txn = NULL;
	struct record_in in;
	struct sv value, field;
	uint8_t tag;
	size_t found = 0;

	OK(kv_read_begin(p->dir->env, &txn));
	OK(kv_get(txn, table, key, &value));
	OK(record_open(value, ROW_VERSION, &in));
	while (record_next(&in, &tag, &field))
		found += tag == NEW_TAG;
	kv_read_end(&txn);
	assert_true(found <= 1);
	return found;
}

static void fields_of_a_newer_program_survive_our_changes(void **state)
{
	struct place *p = *state;
	struct directory_domain domain;
	struct directory_account account;
	struct kv_key name, password;
	struct name n;
	struct sv target = SV("bob@elsewhere.test");

	OK(name_from_text(SV("info@a.test"), &n));
	name_key(&n, &name);
	credential_key(p->alice.id, 0, &password);
	add_field(p, DT_DOMAINS, SV("a.test"));
	add_field(p, DT_ACCOUNTS, sv_z(p->alice.id));
	add_field(p, DT_NAMES, kv_key_view(&name));
	add_field(p, DT_CREDENTIALS, kv_key_view(&password));
	OK(directory_domain_get(p->dir, SV("a.test"), &domain));
	domain.separator = '-';
	OK(directory_domain_set(p->dir, &domain));
	OK(directory_account_get(p->dir, SV("alice@a.test"), &account));
	account.quota_bytes = 1000;
	OK(directory_account_set(p->dir, &account));
	OK(directory_alias_set(p->dir, SV("info@a.test"), &target, 1));
	OK(directory_password_set(p->dir, SV("alice@a.test"), SV("another"), DIRECTORY_ITERATIONS_MIN));
	assert_true(has_field(p, DT_DOMAINS, SV("a.test")));
	assert_true(has_field(p, DT_ACCOUNTS, sv_z(p->alice.id)));
	assert_true(has_field(p, DT_NAMES, kv_key_view(&name)));
	assert_false(has_field(p, DT_CREDENTIALS, kv_key_view(&password)));      /* it may have been a verifier of the old one */
}

static void rows_of_a_newer_version_are_refused_and_left_alone(void **state)
{
	struct place *p = *state;
	struct writing w = { DT_ACCOUNTS, sv_z(p->alice.id), ROW_VERSION + 1, NEW_TAG, 7, true };
	struct directory_account account = p->alice;

	OK(kv_update(p->dir->env, write_newer, &w));
	FAILS(directory_account_get(p->dir, SV("alice@a.test"), &account), FAULT_UNSUPPORTED);
	FAILS(directory_account_set(p->dir, &p->alice), FAULT_UNSUPPORTED);
	w = (struct writing){ DT_DOMAINS, SV("a.test"), ROW_VERSION + 1, NEW_TAG, 7, true };
	OK(kv_update(p->dir->env, write_newer, &w));
	FAILS(directory_domain_add(p->dir, SV("a.test")), FAULT_UNSUPPORTED);
}

static void a_state_that_only_a_newer_program_knows_lets_nobody_in(void **state)
{
	struct place *p = *state;
	struct writing w = { DT_ACCOUNTS, sv_z(p->alice.id), ROW_VERSION, A_USE, DIRECTORY_USES, false };
	struct directory_login login;

	OK(kv_update(p->dir->env, write_newer, &w));
	FAILS(directory_login(p->dir, SV("alice@a.test"), &login), FAULT_UNSUPPORTED);
}

static void a_name_of_a_newer_kind_is_no_alias(void **state)
{
	struct place *p = *state;
	struct sv target = SV("alice@a.test");
	struct directory_route route;
	struct address to;
	struct kv_key key;
	struct arena a;
	struct name n;

	arena_init(&a, 1 << 20);
	OK(name_from_text(SV("thing@a.test"), &n));
	name_key(&n, &key);
	struct writing w = { DT_NAMES, kv_key_view(&key), ROW_VERSION, NEW_TAG, 7, true };

	OK(kv_update(p->dir->env, write_newer, &w));
	OK(address_parse(&a, SV("thing@a.test"), &to));
	FAILS(directory_resolve(p->dir, &a, &to, &route), FAULT_UNSUPPORTED);  /* a temporary answer, not "unknown" */
	FAILS(directory_alias_remove(p->dir, SV("thing@a.test")), FAULT_UNSUPPORTED);
	FAILS(directory_alias_set(p->dir, SV("thing@a.test"), &target, 1), FAULT_UNSUPPORTED);
	FAILS(directory_account_add(p->dir, SV("thing@a.test"), NULL, DIRECTORY_ITERATIONS_MIN, NULL), FAULT_UNSUPPORTED);
	arena_done(&a);
}

/* Tags 4 to 8 are all that the first version knew of: without any of them it takes a credential for one of a newer kind. */
static void a_program_that_knows_of_no_bounds_lets_nobody_in_by_a_bounded_password(void **state)
{
	struct place *p = *state;
	struct directory_bounds bounds = { .expires_s = 5000000000, .source_count = DIRECTORY_SOURCES_MAX };
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct kv_txn *txn = NULL;
	struct record_in in;
	struct sv value, field;
	struct kv_key key;
	uint32_t number;
	uint8_t tag;

	for (size_t i = 0; i < DIRECTORY_SOURCES_MAX; i++)
		assert_true(ipnet_parse(i % 2 ? SV("2001:db8::/32") : SV("192.0.2.7"), &bounds.sources[i]));
	OK(directory_credential_add_bounded(p->dir, SV("alice@a.test"), SV("bounded"), SCOPE_ALL, &bounds, SV("secret"), &number));
	OK(directory_login(p->dir, SV("alice@a.test"), l));
	const struct directory_credential *c = &l->credentials[l->count - 1];

	assert_string_equal(c->label, "bounded");
	assert_memory_equal(&c->bounds, &bounds, sizeof(bounds));
	assert_true(c->verifiers[CRYPT_SHA256].is_there && c->verifiers[CRYPT_SHA1].is_there);
	credential_key(p->alice.id, number, &key);
	OK(kv_read_begin(p->dir->env, &txn));
	OK(kv_get(txn, DT_CREDENTIALS, kv_key_view(&key), &value));
	OK(record_open(value, ROW_VERSION, &in));
	while (record_next(&in, &tag, &field))
		assert_false(tag >= 4 && tag <= 8);
	kv_read_end(&txn);
	directory_login_done(l);
	free(l);
}

static void a_credential_of_a_newer_kind_opens_nothing_and_bars_no_other(void **state)
{
	struct place *p = *state;
	struct directory_login *login = xcalloc(1, sizeof(*login));
	struct kv_key key;

	credential_key(p->alice.id, 17, &key);
	struct writing w = { DT_CREDENTIALS, kv_key_view(&key), ROW_VERSION, NEW_TAG, 7, true };

	OK(kv_update(p->dir->env, write_newer, &w));
	OK(directory_login(p->dir, SV("alice@a.test"), login));
	assert_int_equal(login->count, 2);
	directory_login_done(login);
	free(login);
	OK(directory_account_remove(p->dir, SV("alice@a.test")));
}

static bool see_delegate(void *arg, const struct directory_delegate *d)
{
	*(struct directory_delegate *)arg = *d;
	return true;
}

static bool keep_key(void *arg, struct sv key, struct sv value)
{
	(void)value;
	memcpy(arg, key.p, CRYPT_SHA256_LEN);
	return true;
}

static void a_token_that_a_newer_program_narrowed_is_good_for_nothing(void **state)
{
	struct place *p = *state;
	struct directory_delegate made = { .name = "carol", .domains = { "a.test" }, .domain_count = 1, .may_change = true }, d;
	char token[DELEGATE_TOKEN_LEN + 1];
	uint8_t key[CRYPT_SHA256_LEN];

	OK(directory_delegate_add(p->dir, &made, token));
	OK(directory_delegate_find(p->dir, sv_z(token), 1000, &d));
	assert_false(d.is_newer);
	OK(kv_each(p->dir->env, DT_DELEGATES, SV_NONE, keep_key, key));
	add_field(p, DT_DELEGATES, sv_from((const char *)key, sizeof(key)));
	FAILS(directory_delegate_find(p->dir, sv_z(token), 1000, &d), FAULT_UNSUPPORTED);
	OK(directory_delegate_list(p->dir, see_delegate, &d));
	assert_true(d.is_newer);
	assert_true(has_field(p, DT_DELEGATES, sv_from((const char *)key, sizeof(key))));
	OK(directory_delegate_remove(p->dir, SV("carol")));
	FAILS(directory_delegate_find(p->dir, sv_z(token), 1000, &d), FAULT_AUTH);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fields_of_a_newer_program_survive_our_changes),
		TEST(rows_of_a_newer_version_are_refused_and_left_alone),
		TEST(a_state_that_only_a_newer_program_knows_lets_nobody_in),
		TEST(a_name_of_a_newer_kind_is_no_alias),
		TEST(a_token_that_a_newer_program_narrowed_is_good_for_nothing),
		TEST(a_program_that_knows_of_no_bounds_lets_nobody_in_by_a_bounded_password),
		TEST(a_credential_of_a_newer_kind_opens_nothing_and_bars_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
