/* Addresses: one form per peer, texts that others can read back, networks of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <sys/un.h>

#include "common/netaddr.h"

static struct netaddr parsed(const char *text)
{
	struct netaddr a;

	assert_true(netaddr_parse(sv_z(text), &a));
	return a;
}

static void texts_come_back_in_their_shortest_form(void **state)
{
	static const struct { const char *in, *out;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "2001:DB8:0:0::1", "2001:db8::1" },
		{ "[::1]", "::1" },
		{ "1111:2222:3333:4444:5555:6666:7777:8888",
		  "1111:2222:3333:4444:5555:6666:7777:8888" },
	};
	static const char *const bad[] = {
		"",
		"1.2.3",
		"1.2.3.4.5",
		"256.1.1.1",
		"[1.2.3.4]",
		"::1]",
		"[::1",
		"[]",
		"example.org",
		"1.2.3.4/8",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999",
		"::g",
		" ::1",
		"1111:2222:3333:4444:5555:6666:255.255.255.255 and more",
	};
	char text[NETADDR_TEXT_MAX];
	struct netaddr a;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		a = parsed(cases[i].in);
		assert_true(sv_eq(netaddr_text(&a, text), sv_z(cases[i].out)));
		assert_string_equal(text, cases[i].out);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(netaddr_parse(sv_z(bad[i]), &a));
	assert_false(netaddr_parse(SV("::1\0"), &a));
	a = parsed("2001:db8::1");
	a.port = 993;
	netaddr_text_port(&a, text);
	assert_string_equal(text, "[2001:db8::1]:993");
	a = parsed("192.0.2.1");
	a.port = 65535;
	netaddr_text_port(&a, text);
	assert_string_equal(text, "192.0.2.1:65535");
	a = (struct netaddr){ NET_UNIX, 0, { 0 } };
	netaddr_text_port(&a, text);
	assert_string_equal(text, "unix");
	a.family = NET_NONE;
	netaddr_text(&a, text);
	assert_string_equal(text, "unknown");
}

static void a_peer_is_the_same_however_its_socket_names_it(void **state)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = htons(25),
				  .sin_addr = { htonl(0xc0000201) } };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(26) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	(void)state;
	memcpy(&v6.sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1", 16);
	struct netaddr a = netaddr_from((struct sockaddr *)&v4, sizeof(v4));
	struct netaddr b = netaddr_from((struct sockaddr *)&v6, sizeof(v6));
	assert_int_equal(a.family, NET_IPV4);
	assert_int_equal(a.port, 25);
	assert_int_equal(b.port, 26);
	assert_true(netaddr_eq_ip(&a, &b));
	assert_int_equal(netaddr_from((struct sockaddr *)&un, sizeof(un)).family, NET_UNIX);
	assert_int_equal(netaddr_from((struct sockaddr *)&v4, 4).family, NET_NONE);
	assert_int_equal(netaddr_from((struct sockaddr *)&v4, 0).family, NET_NONE);
}

static void networks_hold_who_belongs_to_them(void **state)
{
	struct ipnet nets[2];
	struct ipnets list = { nets, 2 };
	struct netaddr unix_peer = { NET_UNIX, 0, { 0 } }, nobody = { NET_NONE, 0, { 0 } };
	(void)state;
	assert_true(ipnet_parse(SV("10.0.0.0/8"), &nets[0]));
	assert_true(ipnet_parse(SV("::1"), &nets[1]));
	static const struct { const char *text; bool in, is_loopback;
	} cases[] = {
		{ "10.255.0.1", true, false }, { "11.0.0.1", false, false },
		{ "::1", true, true },         { "::2", false, false },
		{ "127.3.4.5", false, true },  { "::ffff:127.0.0.1", false, true },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct netaddr a = parsed(cases[i].text);
		assert_int_equal(netaddr_in(&a, &list), cases[i].in);
		assert_int_equal(netaddr_is_loopback(&a), cases[i].is_loopback);
	}
	assert_true(netaddr_in(&unix_peer, &list));
	assert_true(netaddr_is_loopback(&unix_peer));
	assert_false(netaddr_in(&nobody, &list));
	assert_false(netaddr_is_loopback(&nobody));
}

static void cutting_makes_neighbours_equal(void **state)
{
	static const struct { const char *a, *b; unsigned v4, v6; bool same;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1", 32, 64, true },
		{ "192.0.2.1", "192.0.2.2", 32, 64, false },
		{ "192.0.2.1", "192.0.2.200", 24, 48, true },
		{ "192.0.2.1", "192.0.3.1", 24, 48, false },
		{ "2001:db8::1", "2001:db8::ffff", 32, 64, true },
		{ "2001:db8:0:1::1", "2001:db8:0:2::1", 32, 64, false },
		{ "2001:db8:0:1::1", "2001:db8:0:2::1", 24, 48, true },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct netaddr a = parsed(cases[i].a), b = parsed(cases[i].b);
		a.port = 1;
		a = netaddr_cut(&a, cases[i].v4, cases[i].v6);
		b = netaddr_cut(&b, cases[i].v4, cases[i].v6);
		assert_int_equal(netaddr_eq_ip(&a, &b), cases[i].same);
		assert_int_equal(a.port, 0);
	}
}

static void an_address_with_a_port_is_both_and_nothing_more(void **state)
{
	static const char *const bad[] = { "", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:1x", ":25", "host:25",
					   "[::1]", "127.0.0.1:-1", "127.0.0.1 :25" };
	struct netaddr a;

	(void)state;
	assert_true(netaddr_parse_port(SV("127.0.0.1:11334"), &a) && a.family == NET_IPV4 && a.port == 11334);
	assert_true(netaddr_parse_port(SV("[2001:db8::1]:65535"), &a) && a.family == NET_IPV6 && a.port == 65535);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(netaddr_parse_port(sv_z(bad[i]), &a));
}

static void what_the_kernel_is_told_comes_back_from_it(void **state)
{
	static const char *const texts[] = { "192.0.2.1:25", "[2001:db8::1]:65535", "[::ffff:192.0.2.1]:443" };
	struct netaddr a, none = { NET_NONE, 0, { 0 } }, local = { NET_UNIX, 0, { 0 } };
	union netaddr_name name;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_true(netaddr_parse_port(sv_z(texts[i]), &a));
		socklen_t len = netaddr_to(&a, &name);
		struct netaddr b = netaddr_from(&name.sa, len);

		assert_int_equal(b.family, a.family);
		assert_int_equal(b.port, a.port);
		assert_true(netaddr_eq_ip(&a, &b));
	}
	assert_int_equal(netaddr_to(&none, &name), 0);
	assert_int_equal(netaddr_to(&local, &name), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_with_a_port_is_both_and_nothing_more),
		cmocka_unit_test(what_the_kernel_is_told_comes_back_from_it),
		cmocka_unit_test(texts_come_back_in_their_shortest_form),
		cmocka_unit_test(a_peer_is_the_same_however_its_socket_names_it),
		cmocka_unit_test(networks_hold_who_belongs_to_them),
		cmocka_unit_test(cutting_makes_neighbours_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
