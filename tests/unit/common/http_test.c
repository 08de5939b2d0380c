/* Where the fetch helper may go. (What it does there: tests/e2e/smtpd/test_fetch_helper.py.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/http.h"

static bool is_public(const char *text)
{
	struct ipnet net;

	assert_true(ipnet_parse(sv_z(text), &net));
	return http_is_public(net.addr);
}

static void addresses_of_the_internet_are_public(void **state)
{
	(void)state;
	assert_true(is_public("8.8.8.8"));
	assert_true(is_public("172.32.0.1"));
	assert_true(is_public("100.128.0.1"));
	assert_true(is_public("2001:4860:4860::8888"));
}

static void all_others_are_not(void **state)
{
	static const char *const others[] = {
		"0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.1.1",
		"198.18.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fc00::1", "fdff::1", "fe80::1", "ff02::1", "2001:db8::1",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_false(is_public(others[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_the_internet_are_public),
		cmocka_unit_test(all_others_are_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
