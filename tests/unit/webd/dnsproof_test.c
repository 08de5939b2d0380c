/* Proofs in the DNS: where the record would go is found out, and what cannot be is told in a sentence. tests/interop/test_first_hour.py has the
 * whole way, with Knot and pebble. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/textfile.h"
#include "tests/unit/support/dns_table.h"
#include "webd/acme/dnsproof.h"

#define VALUE "0123456789012345678901234567890123456789abc"

static const struct dns_row rows[] = {
	{ "_acme-challenge.mail.silent.example", DNS_SOA, "!" },
};

static int setup(void **state)
{
	return dns_table_setup(state, rows, ARRAY_LEN(rows));
}

struct seen {
	struct loop *loop;
	char detail[300];
	enum fault_kind kind;
	unsigned count;
};

static void see(void *arg, struct fault f)
{
	struct seen *seen = arg;

	seen->kind = f.kind;
	seen->count++;
	snprintf(seen->detail, sizeof(seen->detail), "%s", f.detail ? f.detail : "");
	loop_stop(seen->loop);
}

static struct seen put(void **state, struct sv name, struct sv value)
{
	const struct dns_table *t = *state;
	const struct dnsmessage_key key = { .name = "k" };
	const struct dnsproof_zone zone = { t->loop, t->dns, &key, "/nowhere" };
	struct seen seen = { .loop = t->loop };
	struct dnsproof *p = dnsproof_put(&zone, name, value, see, &seen);

	loop_run(t->loop);
	dnsproof_take_away(&p);
	assert_null(p);
	assert_int_equal(seen.count, 1);
	return seen;
}

static void a_zone_that_cannot_be_found_is_told_once(void **state)
{
	struct seen seen = put(state, SV("mail.silent.example"), SV(VALUE));

	assert_int_equal(seen.kind, FAULT_UNAVAILABLE);
	assert_non_null(strstr(seen.detail, "the zone of _acme-challenge.mail.silent.example cannot be found"));
	seen = put(state, SV("mail.nobody.example"), SV(VALUE));
	assert_non_null(strstr(seen.detail, "no zone holds _acme-challenge.mail.nobody.example"));
}

static void a_name_that_is_too_long_or_a_value_that_is_a_path_goes_nowhere(void **state)
{
	char name[251];

	memset(name, 'a', sizeof(name));
	assert_int_equal(put(state, sv_from(name, sizeof(name)), SV(VALUE)).kind, FAULT_LIMIT);
	assert_int_equal(put(state, SV("mail.a.example"), SV("../x")).kind, FAULT_LIMIT);
}

static void a_proof_that_is_taken_away_before_it_is_there_tells_nobody(void **state)
{
	const struct dns_table *t = *state;
	const struct dnsmessage_key key = { .name = "k" };
	const struct dnsproof_zone zone = { t->loop, t->dns, &key, "/nowhere" };
	struct seen seen = { .loop = t->loop };
	struct dnsproof *p = dnsproof_put(&zone, SV("mail.silent.example"), SV(VALUE), see, &seen);

	dnsproof_take_away(&p);
	loop_run_once(t->loop, 0);
	assert_int_equal(seen.count, 0);
}

static void of_what_was_left_that_cannot_be_read_the_file_goes(void **state)
{
	const struct dns_table *t = *state;
	const struct dnsmessage_key key = { .name = "k" };
	char folder[] = "/tmp/postroom-dnsproof-XXXXXX", path[2][64];
	static const char *const texts[] = { "192.0.2.1@53 a.example _acme-challenge.a.example\n", "nonsense" };

	assert_non_null(mkdtemp(folder));
	const struct dnsproof_zone zone = { t->loop, t->dns, &key, folder };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		snprintf(path[i], sizeof(path[i]), "%s/dns.%zu", folder, i);
		assert_int_equal(textfile_replace(path[i], sv_z(texts[i])).kind, FAULT_NONE);
	}
	dnsproof_sweep(&zone);
	assert_int_equal(rmdir(folder), 0);     /* it is empty */
	dnsproof_sweep(&zone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_zone_that_cannot_be_found_is_told_once, setup, dns_table_teardown),
		cmocka_unit_test_setup_teardown(a_name_that_is_too_long_or_a_value_that_is_a_path_goes_nowhere, setup, dns_table_teardown),
		cmocka_unit_test_setup_teardown(a_proof_that_is_taken_away_before_it_is_there_tells_nobody, setup, dns_table_teardown),
		cmocka_unit_test_setup_teardown(of_what_was_left_that_cannot_be_read_the_file_goes, setup, dns_table_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
