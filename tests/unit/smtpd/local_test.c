/* Users of this host: their addresses, and as whom they may write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtpd/local.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "toor:x:0:0::/root:/bin/sh\n"
			     "broken line\n"
			     "www-data:x:33:33:www-data:/var/www:/bin/false\n"
			     "a b:x:1000:1000::/:\n"
			     ":x:7:7::/:\n"
			     "no-number:x:-5:0::/:\n"
			     "last:x:4294967294:1::/:";

static void address_is(uid_t uid, const char *wanted)
{
	struct local *l = local_new(sv_from(passwd, sizeof(passwd) - 1), SV("example.org"));
	struct buf out;

	buf_init(&out, 400);
	assert_true(local_address(l, uid, &out));
	assert_true(sv_eq(buf_sv(&out), sv_z(wanted)));
	buf_done(&out);
	local_free(&l);
	assert_null(l);
}

static void users_have_the_address_of_their_first_name(void **state)
{
	(void)state;
	address_is(0, "root@example.org");
	address_is(33, "www-data@example.org");
	address_is(1000, "\"a b\"@example.org");
	address_is(4294967294u, "last@example.org");
	address_is(7, "uid7@example.org");
	address_is(12345, "uid12345@example.org");
}

static void users_are_known_by_name_or_number_at_their_domain(void **state)
{
	static const struct { const char *local, *domain; bool has; } cases[] = {
		{ "www-data", "Example.ORG", true }, { "a b", "example.org", true }, { "uid12345", "example.org", true },
		{ "www-data", "example.net", false }, { "WWW-data", "example.org", false }, { "uid", "example.org", false },
		{ "uidx", "example.org", false }, { "alice", "example.org", false }, { "", "example.org", false },
	};
	struct local *l = local_new(sv_from(passwd, sizeof(passwd) - 1), SV("example.org"));
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct address a = { .local = sv_z(cases[i].local), .domain = sv_z(cases[i].domain) };

		assert_int_equal(local_has(l, &a), cases[i].has);
	}
	local_free(&l);
}

static bool may(const char *user, const char *as)
{
	static const char text[] = "hostname mail.example.org\nlocal-senders www-data=shop@x.example www-data=@y.example\n";
	struct conf_report report = { NULL, 0, false };
	struct conf *conf = NULL;
	struct address a;
	struct arena arena;
	bool result;

	assert_int_equal(conf_parse(sv_z(text), "test", "/nowhere", &report, &conf).kind, FAULT_NONE);
	arena_init(&arena, 8192);
	assert_int_equal(address_parse(&arena, sv_z(as), &a).kind, FAULT_NONE);
	result = local_may_send(conf, sv_z(user), &a);
	arena_done(&arena);
	conf_unref(&conf);
	return result;
}

static void a_user_writes_as_himself_and_as_the_configuration_says(void **state)
{
	(void)state;
	assert_true(may("www-data@example.org", "www-data@example.org"));
	assert_true(may("www-data@example.org", "www-data+forms@EXAMPLE.org"));
	assert_true(may("www-data@example.org", "www-data@mail.example.org"));
	assert_true(may("www-data@example.org", "Shop@x.example"));
	assert_true(may("www-data@example.org", "anybody@y.example"));
	assert_false(may("www-data@example.org", "other@x.example"));
	assert_false(may("www-data@example.org", "www-data@z.example"));
	assert_false(may("www-data@example.org", "root@example.org"));
	assert_false(may("nobody@example.org", "shop@x.example"));
	assert_false(may("nobody@example.org", "www-data@example.org"));
}

static void rules_name_a_user_and_an_address_or_a_domain(void **state)
{
	(void)state;
	assert_true(local_senders_check("a=b@c"));
	assert_true(local_senders_check("a=@c"));
	assert_false(local_senders_check("a"));
	assert_false(local_senders_check("=b@c"));
	assert_false(local_senders_check("a=b"));
	assert_false(local_senders_check("a=b@"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_have_the_address_of_their_first_name),
		cmocka_unit_test(users_are_known_by_name_or_number_at_their_domain),
		cmocka_unit_test(a_user_writes_as_himself_and_as_the_configuration_says),
		cmocka_unit_test(rules_name_a_user_and_an_address_or_a_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
