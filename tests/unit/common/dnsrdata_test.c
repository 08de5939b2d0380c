/* Data of DNS records: what is written is what is read, and printed as zone files have it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/dnsrdata.h"

static struct buf rdata, text;

static int set_up(void **state)
{
	(void)state;
	buf_init(&rdata, 4096);
	buf_init(&text, 4096);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_done(&rdata);
	buf_done(&text);
	return 0;
}

static void assert_prints(enum dns_type type, const char *expected)
{
	buf_clear(&text);
	assert_true(dnsrdata_print(type, buf_sv(&rdata), &text));
	assert_string_equal(buf_z(&text), expected);
	buf_clear(&rdata);
}

static void each_type_is_printed_as_zone_files_have_it(void **state)
{
	static const uint8_t v4[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1 };
	static const uint8_t v6[16] = { 0x20, 1, 0xd, 0xb8, [15] = 1 };

	(void)state;
	assert_true(dnsrdata_ip(&rdata, v4));
	assert_prints(DNS_A, "192.0.2.1");
	assert_true(dnsrdata_ip(&rdata, v6));
	assert_prints(DNS_AAAA, "2001:db8::1");
	assert_true(dnsrdata_mx(&rdata, 10, SV("mail.example.org")));
	assert_prints(DNS_MX, "10 mail.example.org.");
	assert_true(dnsrdata_srv(&rdata, 0, 1, 993, SV("mail.example.org.")));
	assert_prints(DNS_SRV, "0 1 993 mail.example.org.");
	assert_true(dnsrdata_srv(&rdata, 0, 0, 0, SV("")));
	assert_prints(DNS_SRV, "0 0 0 .");
	assert_true(dnsrdata_tlsa(&rdata, 3, 1, 1, SV("00ffAb")));
	assert_prints(DNS_TLSA, "3 1 1 00ffab");
	assert_true(dnsrdata_caa(&rdata, 0, SV("issue"), SV("ca.example")));
	assert_prints(DNS_CAA, "0 issue \"ca.example\"");
	assert_true(dnsrdata_name(&rdata, SV("host.example.")));
	assert_prints(DNS_CNAME, "host.example.");
	assert_true(dnsrdata_txt(&rdata, SV("say \"hi\" \\ \x01")));
	assert_prints(DNS_TXT, "\"say \\\"hi\\\" \\\\ \\001\"");
}

static void a_long_text_is_cut_into_strings_and_joined_again(void **state)
{
	char octets[600];
	struct buf joined;

	(void)state;
	memset(octets, 'x', sizeof(octets));
	buf_init(&joined, 1024);
	assert_true(dnsrdata_txt(&rdata, sv_from(octets, sizeof(octets))));
	assert_int_equal(rdata.len, 600 + 3);
	assert_true(dns_txt_from(buf_sv(&rdata), &joined));
	assert_true(sv_eq(buf_sv(&joined), sv_from(octets, sizeof(octets))));
	buf_done(&joined);
}

static void what_cannot_be_a_name_leaves_nothing_behind(void **state)
{
	static const char *const wrong[] = { "a..b", ".a", "a.b..", "back\\slash.example",
		"a123456789012345678901234567890123456789012345678901234567890123.example" };
	char longest[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_false(dnsrdata_name(&rdata, sv_z(wrong[i])));
		assert_false(dnsrdata_mx(&rdata, 1, sv_z(wrong[i])));
		assert_int_equal(rdata.len, 0);
	}
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 2 ? '.' : 'a';
	assert_true(dnsrdata_name(&rdata, sv_from(longest, 253)));
	buf_clear(&rdata);
	assert_false(dnsrdata_name(&rdata, sv_from(longest, 255)));
}

static void damaged_data_is_printed_as_octets(void **state)
{
	(void)state;
	buf_append(&rdata, sv_from("\x05" "ab", 3));
	assert_prints(DNS_TXT, "\\# 3 056162");
	buf_append(&rdata, sv_from("\0\1\0", 3));
	assert_prints(DNS_SRV, "\\# 3 000100");
	buf_append(&rdata, SV("abc"));
	assert_prints(DNS_A, "\\# 3 616263");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_type_is_printed_as_zone_files_have_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_long_text_is_cut_into_strings_and_joined_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_a_name_leaves_nothing_behind, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damaged_data_is_printed_as_octets, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
