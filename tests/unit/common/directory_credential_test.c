/* What an account logs in with: passwords, app passwords, hashes of other servers, keys of certificates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/crypt.h"
#include "common/directory_private.h"
#include "common/identity.h"
#include "common/memory.h"
#include "tests/unit/support/directory_fixture.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define FAILS(expr, what) assert_int_equal((expr).kind, (what))

static bool fits(const struct directory_login *l, const struct directory_credential *c, struct sv password)
{
	int fitting = 0;

	for (size_t hash = 0; hash < DIRECTORY_HASHES; hash++) {
		struct scram_keys keys = crypt_scram_keys((enum crypt_hash)hash, password,
							  sv_from((const char *)l->salt, sizeof(l->salt)), l->iterations);
		const struct directory_verifier *v = &c->verifiers[hash];

		fitting += v->is_there && memcmp(keys.stored, v->stored, keys.len) == 0 &&
			   memcmp(keys.server, v->server, keys.len) == 0;
	}
	assert_true(fitting == 0 || fitting == DIRECTORY_HASHES);
	return fitting > 0;
}

static void a_login_brings_the_verifiers(void **state)
{
	struct directory_place *p = *state;
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct sv first = SV("first"), empty = SV_NONE;
	uint32_t number = 0;

	OK(directory_account_add(p->dir, SV("alice@example.test"), &first, ITERATIONS, NULL));
	OK(directory_login(p->dir, SV("ALICE@Example.test  "), l));
	assert_int_equal(l->count, 1);
	assert_int_equal(l->iterations, ITERATIONS);
	assert_true(fits(l, &l->credentials[0], first));
	uint64_t revision = l->account.revision;

	OK(directory_password_set(p->dir, SV("alice@example.test"), SV("second"), ITERATIONS + 1));
	OK(directory_login(p->dir, SV("alice"), l));    /* the only domain there is */
	assert_true(l->account.revision > revision);
	assert_int_equal(l->iterations, ITERATIONS + 1);
	assert_false(fits(l, &l->credentials[0], first));
	assert_true(fits(l, &l->credentials[0], SV("second")));

	OK(directory_credential_add(p->dir, SV("alice@example.test"), SV("phone"), SCOPE_IMAP, SV("app1"), &number));
	assert_int_equal(number, 1);
	FAILS(directory_credential_add(p->dir, SV("alice@example.test"), SV("phone"), SCOPE_IMAP, SV("x"), NULL), FAULT_EXISTS);
	FAILS(directory_credential_add(p->dir, SV("alice@example.test"), empty, SCOPE_IMAP, SV("x"), NULL), FAULT_INVALID);
	FAILS(directory_credential_add(p->dir, SV("alice@example.test"), SV("none"), 0, SV("x"), NULL), FAULT_INVALID);
	OK(directory_credential_add(p->dir, SV("alice@example.test"), SV("tablet"), SCOPE_POP3, SV("app2"), &number));
	assert_int_equal(number, 2);
	/* With app passwords there the count stays, or they would not fit any more. */
	OK(directory_password_set(p->dir, SV("alice@example.test"), SV("third"), ITERATIONS + 2));
	OK(directory_login(p->dir, SV("alice"), l));
	assert_int_equal(l->count, 3);
	assert_int_equal(l->iterations, ITERATIONS + 1);
	assert_true(fits(l, &l->credentials[0], SV("third")));
	assert_true(fits(l, &l->credentials[1], SV("app1")));
	assert_int_equal(l->credentials[1].scope, SCOPE_IMAP);
	assert_string_equal(l->credentials[1].label, "phone");
	assert_true(fits(l, &l->credentials[2], SV("app2")));
	OK(directory_credential_remove(p->dir, SV("alice@example.test"), 1));
	FAILS(directory_credential_remove(p->dir, SV("alice@example.test"), 1), FAULT_NOT_FOUND);
	OK(directory_login(p->dir, SV("alice"), l));
	assert_int_equal(l->count, 2);

	OK(directory_domain_add(p->dir, SV("second.test")));
	FAILS(directory_login(p->dir, SV("alice"), l), FAULT_NOT_FOUND);
	directory_fixture_alias(p->dir, "a@example.test", "alice@example.test", NULL);
	FAILS(directory_login(p->dir, SV("a@example.test"), l), FAULT_NOT_FOUND);
	FAILS(directory_login(p->dir, SV("alice+x@example.test"), l), FAULT_NOT_FOUND);
	FAILS(directory_login(p->dir, SV(""), l), FAULT_NOT_FOUND);
	FAILS(directory_login(p->dir, SV("\0\xff@@"), l), FAULT_NOT_FOUND);
	char *longest = xcalloc(1, 5000);
	FAILS(directory_login(p->dir, sv_from(longest, 5000), l), FAULT_NOT_FOUND);
	free(longest);
	directory_login_done(l);
	free(l);
}

static void there_are_at_most_so_many_app_passwords(void **state)
{
	struct directory_place *p = *state;
	char label[16];

	directory_fixture_account(p->dir, "alice@example.test");
	for (int i = 0; i < DIRECTORY_CREDENTIALS_MAX - 1; i++) {
		snprintf(label, sizeof(label), "app %d", i);
		OK(directory_credential_add(p->dir, SV("alice@example.test"), sv_z(label), SCOPE_ALL, SV("x"), NULL));
	}
	FAILS(directory_credential_add(p->dir, SV("alice@example.test"), SV("more"), SCOPE_ALL, SV("x"), NULL), FAULT_LIMIT);
	OK(directory_password_set(p->dir, SV("alice@example.test"), SV("main"), ITERATIONS));
}

static void a_fake_login_is_the_same_each_time_and_differs_by_name(void **state)
{
	struct directory_place *p = *state;
	struct directory_login *a = xcalloc(1, sizeof(*a)), *b = xcalloc(1, sizeof(*b));

	directory_login_fake(p->dir, SV("Nobody@example.test"), 15000, a);
	directory_login_fake(p->dir, SV("nobody@EXAMPLE.test "), 15000, b);
	assert_memory_equal(a->salt, b->salt, sizeof(a->salt));
	assert_memory_equal(a->credentials[0].verifiers, b->credentials[0].verifiers, sizeof(a->credentials[0].verifiers));
	assert_int_equal(a->iterations, 15000);
	assert_int_equal(a->count, 1);
	assert_int_equal(a->account.id[0], 0);
	directory_login_fake(p->dir, SV("nobody2@example.test"), 15000, b);
	assert_memory_not_equal(a->salt, b->salt, sizeof(a->salt));
	directory_login_fake(p->dir, SV("\xff\0 anything"), 15000, b);
	free(a);
	free(b);
}

static bool lacks(struct directory_place *p, enum crypt_hash hash, char id[DIRECTORY_ID_LEN + 1])
{
	bool lacks = false;

	OK(directory_lacks_verifier(p->dir, hash, id, &lacks));
	assert_int_equal(lacks, id[0] != '\0');
	return lacks;
}

static void hashes_of_other_servers_are_in_the_way_until_a_password_takes_their_place(void **state)
{
	struct directory_place *p = *state;
	struct sv hash = SV("{SSHA}9Q2rb8lDGUvFJHkLywEnEdJklddALSuH");
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct directory_account account;
	char id[DIRECTORY_ID_LEN + 1] = "";

	FAILS(directory_account_add_hashed(p->dir, SV("a@example.test"), SV("{NTLM}x"), ITERATIONS, NULL), FAULT_UNSUPPORTED);
	assert_false(lacks(p, CRYPT_SHA256, id));
	OK(directory_account_add_hashed(p->dir, SV("a@example.test"), hash, ITERATIONS, NULL));
	OK(directory_account_add_hashed(p->dir, SV("b@example.test"), hash, ITERATIONS, NULL));
	OK(directory_account_add_hashed(p->dir, SV("c@example.test"), hash, ITERATIONS, NULL));
	OK(directory_account_add_hashed(p->dir, SV("d@example.test"), hash, ITERATIONS, &account));
	account.is_enabled = false;             /* cannot log in, so is in nobody's way */
	OK(directory_account_set(p->dir, &account));
	OK(directory_account_add_hashed(p->dir, SV("e@example.test"), hash, ITERATIONS, &account));
	account.use = DIRECTORY_USE_NOLOGIN;    /* nor can this one */
	OK(directory_account_set(p->dir, &account));
	assert_true(lacks(p, CRYPT_SHA256, id));
	OK(directory_password_set(p->dir, SV("a@example.test"), SV("new"), ITERATIONS));
	OK(directory_account_remove(p->dir, SV("b@example.test")));
	assert_true(lacks(p, CRYPT_SHA256, id));
	assert_true(lacks(p, CRYPT_SHA1, id));
	OK(directory_account_get(p->dir, SV("c@example.test"), &account));
	assert_string_equal(id, account.id);
	OK(directory_login(p->dir, SV("c@example.test"), l));
	assert_string_equal(l->hash, hash.p);
	assert_int_equal(l->count, 0);
	OK(directory_password_upgrade(p->dir, l, SV("old")));
	FAILS(directory_password_upgrade(p->dir, l, SV("older")), FAULT_BUSY);
	assert_false(lacks(p, CRYPT_SHA256, id));
	assert_false(lacks(p, CRYPT_SHA1, id));
	OK(directory_login(p->dir, SV("c@example.test"), l));
	assert_string_equal(l->hash, "");
	assert_int_equal(l->count, 1);
	directory_login_done(l);
	free(l);
}

struct older {
	const char *id;
	struct directory_credential credential;
};

static struct fault write_older(struct kv_txn *txn, void *arg)
{
	struct older *o = arg;

	return credential_write(txn, o->id, &o->credential);
}

/* As a version wrote it that knew SHA-256 only. */
static void forget_sha1(struct directory_place *p, const struct directory_login *l, size_t i)
{
	struct older o = { l->account.id, l->credentials[i] };

	o.credential.verifiers[CRYPT_SHA1].is_there = false;
	OK(kv_update(p->dir->env, write_older, &o));
}

static void a_verifier_that_an_older_version_did_not_make_is_made_of_the_password(void **state)
{
	struct directory_place *p = *state;
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct sv main = SV("main"), app = SV("app");
	char id[DIRECTORY_ID_LEN + 1] = "";
	uint32_t number = 0;
	bool is_lacking = false;

	OK(directory_account_add(p->dir, SV("a@example.test"), &main, ITERATIONS, NULL));
	OK(directory_account_add(p->dir, SV("b@example.test"), &main, ITERATIONS, NULL));
	OK(directory_credential_add(p->dir, SV("a@example.test"), SV("phone"), SCOPE_IMAP, app, &number));
	OK(directory_login(p->dir, SV("a@example.test"), l));
	forget_sha1(p, l, 0);
	forget_sha1(p, l, 1);
	assert_true(lacks(p, CRYPT_SHA1, id));
	assert_false(lacks(p, CRYPT_SHA256, (char[DIRECTORY_ID_LEN + 1]){ "" }));
	OK(directory_account_lacks_verifier(p->dir, SV("a@example.test"), CRYPT_SHA1, &is_lacking));
	assert_true(is_lacking);
	OK(directory_account_lacks_verifier(p->dir, SV("b@example.test"), CRYPT_SHA1, &is_lacking));
	assert_false(is_lacking);
	FAILS(directory_verifiers_complete(p->dir, l, 77, main), FAULT_NOT_FOUND);
	OK(directory_verifiers_complete(p->dir, l, 0, main));
	FAILS(directory_verifiers_complete(p->dir, l, number, app), FAULT_BUSY);
	assert_true(lacks(p, CRYPT_SHA1, id));          /* the app password's is missing still */
	OK(directory_login(p->dir, SV("a@example.test"), l));
	OK(directory_verifiers_complete(p->dir, l, number, app));
	assert_false(lacks(p, CRYPT_SHA1, id));
	OK(directory_login(p->dir, SV("a@example.test"), l));
	assert_true(fits(l, &l->credentials[0], main));
	assert_true(fits(l, &l->credentials[1], app));
	assert_int_equal(l->credentials[1].scope, SCOPE_IMAP);
	assert_string_equal(l->credentials[1].label, "phone");
	directory_login_done(l);
	free(l);
}

static void a_certificates_key_stands_for_one_account_until_it_is_taken_back(void **state)
{
	static const uint8_t key[32] = "key of a laptop", other[32] = "key of a phone";
	struct directory_place *p = *state;
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct directory *dir = p->dir;
	char owner[DIRECTORY_ADDRESS_MAX + 1], id[DIRECTORY_ID_LEN + 1] = "";
	uint32_t number = 0, app = 0;
	struct buf keys;

	buf_init(&keys, 64);
	directory_fixture_account(p->dir, "a@example.test");
	directory_fixture_account(p->dir, "b@example.test");
	FAILS(directory_certificate_owner(dir, key, owner), FAULT_NOT_FOUND);
	FAILS(directory_certificate_add(dir, SV("a@example.test"), SV(""), SCOPE_IMAP, key, NULL), FAULT_INVALID);
	FAILS(directory_certificate_add(dir, SV("a@example.test"), SV("laptop"), 0, key, NULL), FAULT_INVALID);
	FAILS(directory_certificate_add(dir, SV("nobody@example.test"), SV("laptop"), SCOPE_IMAP, key, NULL), FAULT_NOT_FOUND);
	OK(directory_certificate_add(dir, SV("a@example.test"), SV("laptop"), SCOPE_IMAP, key, &number));
	FAILS(directory_certificate_add(dir, SV("a@example.test"), SV("again"), SCOPE_IMAP, key, NULL), FAULT_EXISTS);
	FAILS(directory_certificate_add(dir, SV("a@example.test"), SV("laptop"), SCOPE_IMAP, other, NULL), FAULT_EXISTS);
	OK(directory_certificate_owner(dir, key, owner));
	assert_string_equal(owner, "a@example.test");
	/* It is no password: what is said of those does not hold for it. */
	assert_false(lacks(p, CRYPT_SHA1, id));
	OK(directory_password_set(dir, SV("a@example.test"), SV("main"), ITERATIONS + 7));
	OK(directory_credential_add(dir, SV("a@example.test"), SV("phone"), SCOPE_IMAP, SV("app"), &app));
	OK(directory_login(dir, SV("a@example.test"), l));
	assert_int_equal(l->iterations, ITERATIONS + 7);
	assert_int_equal(l->count, 3);
	assert_true(l->credentials[1].is_certificate);
	assert_int_equal(l->credentials[1].number, number);
	assert_int_equal(l->credentials[1].scope, SCOPE_IMAP);
	assert_memory_equal(l->credentials[1].key, key, sizeof(key));
	assert_false(l->credentials[2].is_certificate);
	assert_true(fits(l, &l->credentials[2], SV("app")));
	/* With two accounts nobody can say which one is meant. */
	OK(directory_certificate_add(dir, SV("b@example.test"), SV("laptop"), SCOPE_ALL, key, NULL));
	FAILS(directory_certificate_owner(dir, key, owner), FAULT_NOT_FOUND);
	OK(directory_certificate_keys(dir, &keys));
	assert_int_equal(keys.len, 64);
	OK(directory_credential_remove(dir, SV("a@example.test"), number));
	OK(directory_certificate_owner(dir, key, owner));
	assert_string_equal(owner, "b@example.test");
	OK(directory_account_remove(dir, SV("b@example.test")));
	FAILS(directory_certificate_owner(dir, key, owner), FAULT_NOT_FOUND);
	buf_clear(&keys);
	OK(directory_certificate_keys(dir, &keys));
	assert_int_equal(keys.len, 0);
	buf_done(&keys);
	directory_login_done(l);
	free(l);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, directory_place_setup, directory_place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_login_brings_the_verifiers),
		CASE(there_are_at_most_so_many_app_passwords),
		CASE(a_fake_login_is_the_same_each_time_and_differs_by_name),
		CASE(hashes_of_other_servers_are_in_the_way_until_a_password_takes_their_place),
		CASE(a_verifier_that_an_older_version_did_not_make_is_made_of_the_password),
		CASE(a_certificates_key_stands_for_one_account_until_it_is_taken_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
