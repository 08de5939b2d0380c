/* Who somebody is: copied facts, shared by reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/identity.h"
#include "common/identity_private.h"
#include "common/memory.h"

static void facts_are_copied_and_end_with_the_last_reference(void **state)
{
	char *address = xstrdup("a@example.test");
	struct auth_identity *id = identity_new(&(struct identity_facts){
		.address = sv_z(address), .account = SV("id1"), .label = SV("phone"), .mechanism = SV("PLAIN"),
		.peer = SV("192.0.2.1"), .tls = SV("TLSv1.3"), .scope = SCOPE_IMAP | SCOPE_SUBMISSION,
		.credential = 3,
	});
	struct auth_identity *other = identity_ref(id);

	(void)state;
	memset(address, 'x', strlen(address));
	free(address);
	identity_unref(&id);
	assert_null(id);
	assert_string_equal(identity_address(other).p, "a@example.test");
	assert_true(sv_eq(identity_account(other), SV("id1")));
	assert_true(sv_eq(identity_label(other), SV("phone")));
	assert_true(sv_eq(identity_mechanism(other), SV("PLAIN")));
	assert_true(sv_eq(identity_peer(other), SV("192.0.2.1")));
	assert_true(sv_eq(identity_tls(other), SV("TLSv1.3")));
	assert_int_equal(identity_credential(other), 3);
	assert_int_equal(identity_scope(other), SCOPE_IMAP | SCOPE_SUBMISSION);
	identity_unref(&other);
	identity_unref(&other);
}

static void the_admin_may_everything_and_is_known_as_one(void **state)
{
	struct auth_identity *id = identity_for_admin(SV("a@example.test"), SV_NONE);

	(void)state;
	assert_int_equal(identity_scope(id), SCOPE_ALL);
	assert_true(sv_eq(identity_mechanism(id), SV("admin")));
	assert_int_equal(identity_account(id).len, 0);
	assert_string_equal(identity_tls(id).p, "");
	identity_unref(&id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_are_copied_and_end_with_the_last_reference),
		cmocka_unit_test(the_admin_may_everything_and_is_known_as_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
