/* Senders of forwarded mail: there and back, and nothing that was not made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtpd/srs.h"

#include "common/banned.h"

#define NOW 1800000000
#define DAY 86400

static struct directory *dir;
static char folder[] = "/tmp/postroom-srs-XXXXXX";

static int setup(void **state)
{
	char path[64];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/directory", folder);
	return directory_open(path, true, &dir).kind ? -1 : 0;
}

static int teardown(void **state)
{
	char path[96];

	(void)state;
	directory_close(&dir);
	snprintf(path, sizeof(path), "%s/directory/data.mdb", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/directory/lock.mdb", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/directory", folder);
	rmdir(path);
	return rmdir(folder);
}

static struct sv local_of(struct sv address)
{
	return sv_sub(address, 0, sv_rfind(address, '@'));
}

static void a_sender_comes_back_from_what_was_made_of_it(void **state)
{
	static const char *const senders[] = {
		"joe@example.net", "a=b+c@x.example", "SRS0=abcd=tt=a.example=joe@b.example",
		"srs0+abcd=tt=a.example=joe@b.example",
	};
	struct buf out, back;
	(void)state;

	buf_init(&out, 1000);
	buf_init(&back, 1000);
	for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
		buf_clear(&out);
		buf_clear(&back);
		assert_true(srs_forward(dir, sv_z(senders[i]), SV("example.test"), NOW, &out));
		assert_true(sv_ends(buf_sv(&out), SV("@example.test")));
		for (size_t k = 0; k < out.len; k++)    /* some servers write everything in one case */
			out.p[k] = i % 2 ? ascii_upper(out.p[k]) : out.p[k];
		assert_true(srs_is_one(local_of(buf_sv(&out))));
		assert_true(srs_reverse(dir, local_of(buf_sv(&out)), NOW + 20 * DAY, &back));
		assert_true(sv_eq_nocase(buf_sv(&back), sv_z(senders[i])));
	}
	buf_done(&out);
	buf_done(&back);
}

static void a_second_forwarder_takes_the_first_ones_place(void **state)
{
	struct buf out, back;
	(void)state;

	buf_init(&out, 1000);
	buf_init(&back, 1000);
	assert_true(srs_forward(dir, SV("SRS1=zzzz=a.example==abcd=tt=o.example=joe@b.example"), SV("c.test"), NOW, &out));
	assert_true(sv_starts(buf_sv(&out), SV("SRS1=")));
	assert_true(srs_reverse(dir, local_of(buf_sv(&out)), NOW, &back));
	assert_true(sv_eq(buf_sv(&back), SV("SRS0=abcd=tt=o.example=joe@a.example")));
	buf_done(&out);
	buf_done(&back);
}

static void what_was_changed_is_old_or_invented_leads_nowhere(void **state)
{
	struct buf out, back;
	struct sv local;
	(void)state;

	buf_init(&out, 1000);
	buf_init(&back, 1000);
	assert_true(srs_forward(dir, SV("joe@example.net"), SV("example.test"), NOW, &out));
	local = local_of(buf_sv(&out));
	assert_false(srs_reverse(dir, local, NOW + (SRS_DAYS + 1) * DAY, &back));
	assert_false(srs_reverse(dir, local, NOW - DAY, &back));        /* a clock that went back */
	for (size_t i = 5; i < local.len; i++) {
		char was = out.p[i];

		out.p[i] = was == 'x' ? 'y' : 'x';
		assert_false(srs_reverse(dir, local, NOW, &back));
		out.p[i] = was;
	}
	for (size_t n = 0; n < local.len; n++)
		assert_false(srs_reverse(dir, sv_sub(local, 0, n), NOW, &back));
	assert_false(srs_reverse(dir, SV("SRS0=aaaaa=aa=evil.example=victim"), NOW, &back));
	assert_false(srs_reverse(dir, SV("joe"), NOW, &back));
	assert_int_equal(back.len, 0);
	buf_done(&out);
	buf_done(&back);
}

static void what_does_not_fit_an_address_stays_as_it_is(void **state)
{
	struct buf out;
	(void)state;

	buf_init(&out, 1000);
	assert_false(srs_forward(dir, SV("a-very-long-name-of-a-mailing-list@and.a.long.domain.example"), SV("x.test"), NOW, &out));
	assert_false(srs_forward(dir, SV("\"a b\"@example.net"), SV("x.test"), NOW, &out));
	assert_false(srs_forward(dir, SV("nobody"), SV("x.test"), NOW, &out));
	assert_false(srs_forward(dir, SV("SRS1=abcd@example.net"), SV("x.test"), NOW, &out));
	assert_int_equal(out.len, 0);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sender_comes_back_from_what_was_made_of_it),
		cmocka_unit_test(a_second_forwarder_takes_the_first_ones_place),
		cmocka_unit_test(what_was_changed_is_old_or_invented_leads_nowhere),
		cmocka_unit_test(what_does_not_fit_an_address_stays_as_it_is),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
