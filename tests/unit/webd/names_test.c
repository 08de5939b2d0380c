/* Which names a certificate is asked for: those that are given, and what leads to this host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/tls.h"
#include "tests/unit/support/dns_table.h"
#include "webd/acme/names.h"

static const struct dns_row rows[] = {
	{ "mail.a.example", DNS_A, "192.0.2.1" },
	{ "mail.a.example", DNS_AAAA, "2001:db8::1" },
	{ "mta-sts.a.example", DNS_A, "192.0.2.1" },
	{ "mta-sts.a.example", DNS_AAAA, "2001:db8::1" },
	{ "autoconfig.a.example", DNS_A, "192.0.2.1" },
	{ "autoconfig.a.example", DNS_A, "192.0.2.77" },        /* another web server, too */
	{ "autodiscover.a.example", DNS_AAAA, "2001:db8::1" },
	{ "mta-sts.b.example", DNS_A, "192.0.2.77" },
	{ "autoconfig.b.example", DNS_A, "!" },
	{ "autodiscover.b.example", DNS_A, "!" },
	{ "given.example", DNS_A, "192.0.2.200" },
	{ "silent.example", DNS_A, "!" },
};

static int setup(void **state)
{
	return dns_table_setup(state, rows, ARRAY_LEN(rows));
}

struct seen {
	struct loop *loop;
	char names[1024], missing[256];
	size_t count;
};

static void see(void *arg, const struct acme_names *found)
{
	struct seen *seen = arg;
	size_t len = 0;

	for (size_t i = 0; i < found->count; i++)
		len += (size_t)snprintf(seen->names + len, sizeof(seen->names) - len, "%s%s", i ? " " : "", found->text[i]);
	snprintf(seen->missing, sizeof(seen->missing), "%s", found->missing ? found->missing : "");
	seen->count = found->count;
	loop_stop(seen->loop);
}

static struct conf *new_conf(const char *const *given, size_t count, const char *cert)
{
	struct conf *conf = xcalloc(1, sizeof(*conf));

	conf->host.hostname = sv_copy_z(SV("mail.a.example"));
	conf->tls.certificate = sv_copy_z(sv_z(cert));
	conf->acme.names = (struct conf_list){ xcalloc(count, sizeof(char *)), count };
	for (size_t i = 0; i < count; i++)
		conf->acme.names.items[i] = sv_copy_z(sv_z(given[i]));
	return conf;
}

static void free_conf(struct conf *conf)
{
	for (size_t i = 0; i < conf->acme.names.count; i++)
		free(conf->acme.names.items[i]);
	free(conf->acme.names.items);
	free(conf->host.hostname);
	free(conf->tls.certificate);
	free(conf);
}

static struct seen look(void **state, const char *const *given, size_t count, const char *cert, const char *domains)
{
	const struct dns_table *t = *state;
	struct conf *conf = new_conf(given, count, cert);
	struct seen seen = { .loop = t->loop };
	struct acme_look *l = NULL;

	acme_names_look(t->loop, t->dns, conf, sv_z(domains), see, &seen, &l);
	assert_non_null(l);
	loop_run(t->loop);
	assert_null(l);
	free_conf(conf);
	return seen;
}

static void of_a_domain_those_names_count_that_lead_here_alone(void **state)
{
	static const char *const given[] = { "hostname", "domains" };
	struct seen seen = look(state, given, 2, "/nowhere", "a.example\nb.example\nc.example\n");

	assert_string_equal(seen.names, "mail.a.example mta-sts.a.example autodiscover.a.example");
	assert_string_equal(seen.missing, "");
}

static void a_name_that_is_given_is_asked_for_wherever_it_leads_and_is_missed(void **state)
{
	static const char *const given[] = { "hostname", "given.example", "silent.example", "mail.a.example", "nobody.example" };
	struct seen seen = look(state, given, 4, "/nowhere", "a.example\n");

	assert_string_equal(seen.names, "mail.a.example given.example silent.example");
	assert_string_equal(seen.missing, "");
	seen = look(state, given, 5, "/nowhere", "a.example\n");
	assert_string_equal(seen.missing, "nobody.example");
}

static void a_name_stays_on_the_certificate_while_the_dns_fails(void **state)
{
	static const char *const given[] = { "domains" };
	const struct sv names[] = { SV_INIT("autoconfig.b.example") };
	char folder[] = "/tmp/postroom-names-XXXXXX", cert[64], key[64];

	assert_non_null(mkdtemp(folder));
	snprintf(cert, sizeof(cert), "%s/cert", folder);
	snprintf(key, sizeof(key), "%s/key", folder);
	assert_int_equal(tls_make_self_signed(names, 1, cert, key).kind, FAULT_NONE);
	struct seen seen = look(state, given, 1, cert, "b.example\n");

	assert_string_equal(seen.names, "autoconfig.b.example");
	unlink(cert);
	unlink(key);
	rmdir(folder);
}

static void domains_without_names_that_lead_here_take_no_room(void **state)
{
	static const char *const given[] = { "domains", "hostname" };
	struct buf domains;

	buf_init(&domains, 4096);
	for (int i = 0; i < 100; i++)
		assert_true(buf_append(&domains, SV("b.example\na.example\n")));
	assert_true(buf_append_c(&domains, '\0'));
	struct seen seen = look(state, given, 2, "/nowhere", domains.p);

	assert_string_equal(seen.names, "mail.a.example mta-sts.a.example autodiscover.a.example");
	buf_clear(&domains);
	for (int i = 0; i < 60; i++)
		assert_true(buf_appendf(&domains, "d%d.example\n", i));
	assert_true(buf_append(&domains, SV("a.example\n")) && buf_append_c(&domains, '\0'));
	seen = look(state, given, 2, "/nowhere", domains.p);
	assert_string_equal(seen.names, "mail.a.example mta-sts.a.example autodiscover.a.example");
	buf_done(&domains);
}

static void what_is_forgotten_is_not_told(void **state)
{
	static const char *const given[] = { "hostname", "domains" };
	const struct dns_table *t = *state;
	struct conf *conf = new_conf(given, 2, "/nowhere");
	struct seen seen = { .loop = t->loop };
	struct acme_look *l = NULL;

	acme_names_look(t->loop, t->dns, conf, SV("a.example\n"), see, &seen, &l);
	acme_names_forget(&l);
	assert_null(l);
	acme_names_forget(&l);
	assert_int_equal(seen.count, 0);
	free_conf(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(of_a_domain_those_names_count_that_lead_here_alone, setup, dns_table_teardown),
		cmocka_unit_test_setup_teardown(a_name_that_is_given_is_asked_for_wherever_it_leads_and_is_missed, setup, dns_table_teardown),
		cmocka_unit_test_setup_teardown(a_name_stays_on_the_certificate_while_the_dns_fails, setup, dns_table_teardown),
		cmocka_unit_test_setup_teardown(domains_without_names_that_lead_here_take_no_room, setup, dns_table_teardown),
		cmocka_unit_test_setup_teardown(what_is_forgotten_is_not_told, setup, dns_table_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
