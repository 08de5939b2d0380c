/* Who is asked for which password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/elsewhere.h"
#include "common/log.h"

#include "common/banned.h"

static char none[] = "none", all[] = "all", org[] = "example.org", net[] = "Example.NET", empty[] = "", url[] = "ldapi://%2Fnowhere",
	dn[] = "uid=%n", nowhere[] = "/nonexistent/mux", service[] = "postroom";
static char *no_items[] = { none }, *all_items[] = { all }, *org_items[] = { org }, *net_items[] = { net };

static struct conf_auth conf_with(char **ldap, char **saslauthd)
{
	return (struct conf_auth){
		.ldap_url = ldap == no_items ? empty : url, .ldap_dn = dn, .ldap_base = empty, .ldap_filter = empty, .ldap_search_dn = empty,
		.ldap_search_password = empty, .ldap_ca_file = empty, .ldap_domains = { ldap, 1 }, .ldap_timeout_ms = 100,
		.saslauthd_domains = { saslauthd, 1 }, .saslauthd_socket = nowhere, .saslauthd_service = service, .saslauthd_timeout_ms = 100,
	};
}

static void who_is_for_nobody_is_not_there(void **state)
{
	struct conf_auth conf = conf_with(no_items, no_items);
	uint16_t ports[8];
	(void)state;

	assert_null(elsewhere_open(&conf));     /* so SCRAM is offered: conf describe ldap-domains */
	assert_int_equal(elsewhere_ports(&conf, ports, 0), 0);
	conf.ldap_url = url;
	assert_null(elsewhere_open(&conf));
}

static void each_domain_has_its_keeper(void **state)
{
	struct conf_auth conf = conf_with(org_items, net_items);
	struct elsewhere *e = elsewhere_open(&conf);
	(void)state;

	assert_true(elsewhere_covers(e, SV("a@example.org")));
	assert_true(elsewhere_covers(e, SV("a@example.net")));
	assert_false(elsewhere_covers(e, SV("a@example.com")));
	assert_false(elsewhere_covers(e, SV("a@mail.example.org")));
	assert_false(elsewhere_covers(e, SV("example.org")));
	elsewhere_close(&e);
	conf = conf_with(no_items, all_items);
	e = elsewhere_open(&conf);
	assert_true(elsewhere_covers(e, SV("a@example.com")));
	elsewhere_close(&e);
}

static void who_is_away_makes_no_password_wrong_but_an_empty_one_is(void **state)
{
	struct conf_auth conf = conf_with(org_items, net_items);
	struct elsewhere *e;
	(void)state;

	e = elsewhere_open(&conf);
	assert_int_equal(elsewhere_check(e, SV("a@example.org"), SV("secret")), ELSEWHERE_UNKNOWN);
	assert_int_equal(elsewhere_check(e, SV("a@example.net"), SV("secret")), ELSEWHERE_UNKNOWN);
	assert_int_equal(elsewhere_check(e, SV("a@example.net"), SV("")), ELSEWHERE_WRONG);
	elsewhere_close(&e);
}

static void a_unix_socket_needs_the_right_to_make_sockets(void **state)
{
	struct conf_auth conf = conf_with(no_items, all_items);
	uint16_t ports[8] = { 25 };
	(void)state;

	assert_int_equal(elsewhere_ports(&conf, ports, 1), 1);
	assert_int_equal(elsewhere_ports(&conf, ports, 0), 1);
	assert_int_equal(ports[0], 0);
}

static void after_a_pause_one_asks_until_there_is_an_answer(void **state)
{
	struct elsewhere_pause p = { .until_ms = 0 };
	(void)state;

	assert_false(elsewhere_is_paused(&p, 60000));
	assert_false(elsewhere_is_paused(&p, 60000));
	elsewhere_pause_begin(&p);
	p.until_ms = 1;                 /* long ago */
	assert_false(elsewhere_is_paused(&p, 60000));
	assert_true(elsewhere_is_paused(&p, 60000));    /* so one that hangs holds one thread */
	elsewhere_pause_end(&p);
	assert_false(elsewhere_is_paused(&p, 60000));
	assert_false(elsewhere_is_paused(&p, 60000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_for_nobody_is_not_there),
		cmocka_unit_test(each_domain_has_its_keeper),
		cmocka_unit_test(who_is_away_makes_no_password_wrong_but_an_empty_one_is),
		cmocka_unit_test(after_a_pause_one_asks_until_there_is_an_answer),
		cmocka_unit_test(a_unix_socket_needs_the_right_to_make_sockets),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
