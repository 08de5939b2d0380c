/* Keys on disk: made once, rotated with overlap, loaded again when they change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/dkimkey.h"
#include "common/textfile.h"

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	memcpy(folder, "/tmp/dkimkey_test.XXXXXX", 25);
	assert_non_null(mkdtemp(folder));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static bool append(void *arg, const struct dkimkey *key)
{
	assert_true(buf_appendf(arg, "%s/%s/%s ", key->domain, key->selector, dkimkey_state_name(key->state)));
	assert_memory_equal(key->record, key->type == CRYPT_RSA ? "v=DKIM1; k=rsa; p=M" : "v=DKIM1; k=ed25519;", 19);
	return true;
}

static void expect_list(struct sv domain, const char *want)
{
	struct buf text;

	buf_init(&text, 10000);
	assert_int_equal(dkimkey_list(folder, domain, append, &text).kind, FAULT_NONE);
	assert_string_equal(buf_z(&text), want);
	buf_done(&text);
}

static void a_domain_gets_two_keys_once(void **state)
{
	(void)state;
	assert_int_equal(dkimkey_make(folder, "b.test").kind, FAULT_NONE);
	assert_int_equal(dkimkey_make(folder, "a.b.test").kind, FAULT_NONE);
	assert_int_equal(dkimkey_make(folder, "b.test").kind, FAULT_NONE);
	expect_list(SV("b.test"), "b.test/ed1/active b.test/rsa1/active ");
	expect_list(SV_NONE, "a.b.test/ed1/active a.b.test/rsa1/active b.test/ed1/active b.test/rsa1/active ");
}

static void the_record_on_file_is_the_keys_own(void **state)
{
	struct buf text, path;
	(void)state;

	assert_int_equal(dkimkey_make(folder, "b.test").kind, FAULT_NONE);
	buf_init(&text, 10000);
	buf_init(&path, 1000);
	buf_appendf(&path, "%s/b.test.ed1.txt", folder);
	assert_int_equal(textfile_read(buf_z(&path), &text).kind, FAULT_NONE);
	assert_memory_equal(text.p, "v=DKIM1; k=ed25519; p=", 22);
	assert_int_equal(text.len, 22 + 44 + 1);
	buf_done(&text);
	buf_done(&path);
}

static void rotation_overlaps(void **state)
{
	int64_t now = 1000000;
	(void)state;

	assert_int_equal(dkimkey_rotate(folder, "b.test", now).kind, FAULT_NOT_FOUND);
	assert_int_equal(dkimkey_make(folder, "b.test").kind, FAULT_NONE);
	assert_int_equal(dkimkey_switch(folder, "b.test", now).kind, FAULT_NOT_FOUND);
	assert_int_equal(dkimkey_rotate(folder, "b.test", now).kind, FAULT_NONE);
	expect_list(SV_NONE, "b.test/ed1/active b.test/ed2/waiting b.test/rsa1/active b.test/rsa2/waiting ");
	assert_int_equal(dkimkey_rotate(folder, "b.test", now).kind, FAULT_EXISTS);
	assert_int_equal(dkimkey_switch(folder, "b.test", now).kind, FAULT_NONE);
	expect_list(SV_NONE, "b.test/ed1/retired b.test/ed2/active b.test/rsa1/retired b.test/rsa2/active ");
	now += DKIMKEY_RETIRED_S;
	assert_int_equal(dkimkey_rotate(folder, "b.test", now).kind, FAULT_NONE);
	assert_int_equal(dkimkey_switch(folder, "b.test", now).kind, FAULT_NONE);
	expect_list(SV_NONE, "b.test/ed1/retired b.test/ed2/retired b.test/ed3/active "
			     "b.test/rsa1/retired b.test/rsa2/retired b.test/rsa3/active ");
	assert_int_equal(dkimkey_rotate(folder, "b.test", now).kind, FAULT_NONE);
	assert_int_equal(dkimkey_switch(folder, "b.test", now + 1).kind, FAULT_NONE);
	expect_list(SV_NONE, "b.test/ed2/retired b.test/ed3/retired b.test/ed4/active "
			     "b.test/rsa2/retired b.test/rsa3/retired b.test/rsa4/active ");
}

static void a_ring_sees_what_changes_and_keeps_what_is_held(void **state)
{
	struct dkimkeys *ring = dkimkeys_new(folder);
	const struct dkimkey_set *old, *set;
	(void)state;

	assert_null(dkimkeys_hold(ring, SV("b.test")));
	assert_int_equal(dkimkey_make(folder, "b.test").kind, FAULT_NONE);
	old = dkimkeys_hold(ring, SV("mail.B.test"));
	assert_non_null(old);
	assert_string_equal(old->domain, "b.test");
	assert_int_equal(old->count, 2);
	assert_string_equal(old->keys[0].selector, "rsa1");
	assert_string_equal(old->keys[1].selector, "ed1");
	assert_null(dkimkeys_hold(ring, SV("other.test")));
	assert_int_equal(dkimkey_rotate(folder, "b.test", 1).kind, FAULT_NONE);
	assert_int_equal(dkimkey_switch(folder, "b.test", 1).kind, FAULT_NONE);
	set = dkimkeys_hold(ring, SV("b.test"));
	assert_string_equal(set->keys[0].selector, "rsa2");
	assert_string_equal(old->keys[0].selector, "rsa1");
	dkimkeys_release(ring, &set);
	dkimkeys_release(ring, &old);
	dkimkeys_release(ring, &old);
	dkimkeys_free(&ring);
}

static void a_key_that_cannot_be_read_is_left_out(void **state)
{
	struct dkimkeys *ring = dkimkeys_new(folder);
	const struct dkimkey_set *set;
	struct buf path;
	(void)state;

	assert_int_equal(dkimkey_make(folder, "b.test").kind, FAULT_NONE);
	buf_init(&path, 1000);
	buf_appendf(&path, "%s/b.test.rsa1.pem", folder);
	assert_int_equal(textfile_replace(buf_z(&path), SV("no key")).kind, FAULT_NONE);
	set = dkimkeys_hold(ring, SV("b.test"));
	assert_int_equal(set->count, 1);
	assert_string_equal(set->keys[0].selector, "ed1");
	dkimkeys_release(ring, &set);
	dkimkeys_free(&ring);
	buf_done(&path);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(a_domain_gets_two_keys_once),
		WITH_FOLDER(the_record_on_file_is_the_keys_own),
		WITH_FOLDER(rotation_overlaps),
		WITH_FOLDER(a_ring_sees_what_changes_and_keeps_what_is_held),
		WITH_FOLDER(a_key_that_cannot_be_read_is_left_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
