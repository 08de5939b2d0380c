/* What is kept of the DNS's answers, how long, and how much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/dnscache.h"
#include "common/memory.h"

static struct dnscache *cache;
static struct dns_answer found;

static int setup(void **state)
{
	(void)state;
	cache = dnscache_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dnscache_free(cache);
	return 0;
}

static struct dns_answer data(const char *canonical, uint32_t ttl_s)
{
	struct dns_answer a = { .status = DNS_DATA, .secure = true, .name = sv_z(canonical), .count = 2, .ttl_s = ttl_s };

	a.records[0] = SV("\xc0\0\2\1");
	a.records[1] = SV("");
	return a;
}

static void keep(const char *name, enum dns_type type, struct dns_answer a, uint64_t now_ms)
{
	dnscache_keep(cache, sv_z(name), type, &a, now_ms);
}

static bool find(const char *name, enum dns_type type, uint64_t now_ms)
{
	bool has = dnscache_has(cache, sv_z(name), type, now_ms);

	assert_int_equal(dnscache_find(cache, sv_z(name), type, now_ms, &found), has);
	return has;
}

static void an_answer_comes_back_whole_whatever_the_case_of_its_name(void **state)
{
	(void)state;
	keep("Mail.Example", DNS_A, data("host.example", 30), 1000);
	assert_true(find("mAIL.eXAMPLE", DNS_A, 2000));
	assert_int_equal(found.status, DNS_DATA);
	assert_true(found.secure);
	assert_true(sv_eq(found.name, SV("host.example")));
	assert_int_equal(found.count, 2);
	assert_true(sv_eq(found.records[0], SV("\xc0\0\2\1")));
	assert_int_equal(found.records[1].len, 0);
	assert_int_equal(found.ttl_s, 28);
	assert_false(find("mail.example", DNS_AAAA, 2000));
	assert_false(find("mail.example.", DNS_A, 2000));
	assert_false(find("ail.example", DNS_A, 2000));
}

static void it_lives_as_long_as_the_zone_allows_and_a_minute_at_most(void **state)
{
	(void)state;
	keep("short.example", DNS_A, data("short.example", 5), 1000);
	keep("long.example", DNS_A, data("long.example", 86400), 1000);
	keep("none.example", DNS_A, data("none.example", 1), 1000);
	assert_true(find("short.example", DNS_A, 4999));
	assert_false(find("short.example", DNS_A, 5000));
	assert_true(find("long.example", DNS_A, 60999));
	assert_false(find("long.example", DNS_A, 61000));
	assert_false(find("none.example", DNS_A, 1000));
}

static void absence_is_kept_and_failure_is_not(void **state)
{
	struct dns_answer none = { .status = DNS_NXDOMAIN, .name = SV("x.example"), .ttl_s = 60 };
	struct dns_answer failed = { .status = DNS_TEMPFAIL, .name = SV("y.example"), .ttl_s = 60, .why = "SERVFAIL" };

	(void)state;
	keep("x.example", DNS_TXT, none, 0);
	keep("y.example", DNS_TXT, failed, 0);
	assert_true(find("x.example", DNS_TXT, 1));
	assert_int_equal(found.status, DNS_NXDOMAIN);
	assert_false(found.secure);
	assert_int_equal(found.count, 0);
	assert_false(find("y.example", DNS_TXT, 1));
}

static void a_newer_answer_takes_the_place_of_the_older_one(void **state)
{
	struct dns_answer none = { .status = DNS_NODATA, .name = SV("a.example"), .ttl_s = 60 };

	(void)state;
	keep("a.example", DNS_MX, data("a.example", 60), 0);
	keep("A.example", DNS_MX, none, 1);
	assert_true(find("a.example", DNS_MX, 2));
	assert_int_equal(found.status, DNS_NODATA);
}

static void what_is_too_long_is_not_kept(void **state)
{
	static char octets[DNSCACHE_OCTETS_MAX - 1];
	struct dns_answer a = { .status = DNS_DATA, .name = SV("big.example"), .count = 1, .ttl_s = 60 };

	(void)state;
	a.records[0] = sv_from(octets, sizeof(octets));
	keep("big.example", DNS_TXT, a, 0);
	assert_false(find("big.example", DNS_TXT, 1));
	a.records[0].len--;
	keep("big.example", DNS_TXT, a, 0);
	assert_true(find("big.example", DNS_TXT, 1));
	assert_int_equal(found.records[0].len, DNSCACHE_OCTETS_MAX - 2);
}

/* However many names strangers make us ask for: the table does not grow, and the newest are there. */
static void a_flood_of_names_stays_in_bounds(void **state)
{
	size_t kept = 0;
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		keep(name, DNS_A, data(name, 60), i);
		assert_true(find(name, DNS_A, i));
	}
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		kept += find(name, DNS_A, 20000);
	}
	assert_true(kept <= DNSCACHE_SETS * DNSCACHE_WAYS);
	assert_true(kept > DNSCACHE_SETS * (DNSCACHE_WAYS - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_answer_comes_back_whole_whatever_the_case_of_its_name, setup, teardown),
		cmocka_unit_test_setup_teardown(it_lives_as_long_as_the_zone_allows_and_a_minute_at_most, setup, teardown),
		cmocka_unit_test_setup_teardown(absence_is_kept_and_failure_is_not, setup, teardown),
		cmocka_unit_test_setup_teardown(a_newer_answer_takes_the_place_of_the_older_one, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_too_long_is_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flood_of_names_stays_in_bounds, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
