/* Networks: what is accepted as one, and which peers are inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "common/ipnet.h"

#include "common/banned.h"

static void only_whole_networks_are_read(void **state)
{
	static const struct { const char *in; const char *out;
	} cases[] = {
		{ "127.0.0.0/8", "127.0.0.0/8" },
		{ "192.0.2.7", "192.0.2.7" },
		{ "192.0.2.7/32", "192.0.2.7" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "::/0", "::/0" },
		{ "2001:db8::/32", "2001:db8::/32" },
		{ "::1", "::1" },
		{ "fe80::1/128", "fe80::1" },
		{ "::ffff:192.0.2.0/120", "192.0.2.0/24" },
		{ "127.0.0.1/8", NULL },
		{ "2001:db8::1/32", NULL },
		{ "192.0.2.7/33", NULL },
		{ "::/129", NULL },
		{ "192.0.2", NULL },
		{ "", NULL },
		{ "/8", NULL },
		{ "192.0.2.0/", NULL },
		{ "192.0.2.0/x", NULL },
		{ "192.0.2.0/24 ", NULL },
		{ "localhost", NULL },
		{ "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc", NULL },
	};
	struct ipnet net;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[IPNET_TEXT_MAX];

		assert_int_equal(ipnet_parse(sv_z(cases[i].in), &net), cases[i].out != NULL);
		if (cases[i].out) {
			ipnet_format(&net, text);
			assert_string_equal(text, cases[i].out);
		}
	}
	assert_false(ipnet_parse(sv_from("::1\0", 4), &net));
}

static bool has(const char *network, const char *address)
{
	struct ipnet net;
	uint8_t octets[16] = { [10] = 0xff, [11] = 0xff };

	assert_true(ipnet_parse(sv_z(network), &net));
	if (inet_pton(AF_INET, address, octets + 12) != 1)
		assert_int_equal(inet_pton(AF_INET6, address, octets), 1);
	return ipnet_has(&net, octets);
}

static void an_address_is_found_whatever_family_it_is_written_in(void **state)
{
	(void)state;
	assert_true(has("127.0.0.0/8", "127.255.1.2"));
	assert_true(has("127.0.0.0/8", "::ffff:127.0.0.1"));
	assert_false(has("127.0.0.0/8", "128.0.0.1"));
	assert_true(has("192.0.2.128/25", "192.0.2.200"));
	assert_false(has("192.0.2.128/25", "192.0.2.127"));
	assert_false(has("0.0.0.0/0", "2001:db8::1"));
	assert_true(has("::/0", "2001:db8::1"));
	assert_true(has("::1", "::1"));
	assert_false(has("::1", "127.0.0.1"));
}

static void masks_count_in_the_addresses_own_family(void **state)
{
	struct ipnet v4, v6;
	char text[IPNET_TEXT_MAX];
	(void)state;

	assert_true(ipnet_parse(SV("192.0.2.77"), &v4));
	assert_true(ipnet_parse(SV("2001:db8:1:2:3:4:5:6"), &v6));
	ipnet_mask(v4.addr, 26, 48);
	ipnet_mask(v6.addr, 26, 48);
	ipnet_format(&v4, text);
	assert_string_equal(text, "192.0.2.64");
	ipnet_format(&v6, text);
	assert_string_equal(text, "2001:db8:1::");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_whole_networks_are_read),
		cmocka_unit_test(an_address_is_found_whatever_family_it_is_written_in),
		cmocka_unit_test(masks_count_in_the_addresses_own_family),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
