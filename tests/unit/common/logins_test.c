/* Who logged in: what is written down, which device it was, from where a name is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/logins.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define ALICE "aliceaccount2345"
#define BOB "bobbyaccount2345"

struct place {
	char path[64];
	struct logins *l;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	*state = p;
	snprintf(p->path, sizeof(p->path), "/tmp/logins-test-XXXXXX");
	assert_non_null(mkdtemp(p->path));
	OK(logins_open(p->path, true, &p->l));
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char name[128];

	logins_close(&p->l);
	snprintf(name, sizeof(name), "%s/data.mdb", p->path);
	unlink(name);
	snprintf(name, sizeof(name), "%s/lock.mdb", p->path);
	unlink(name);
	assert_int_equal(rmdir(p->path), 0);
	free(p);
	return 0;
}

static struct netaddr address(const char *text)
{
	struct netaddr a;

	assert_true(netaddr_parse(sv_z(text), &a));
	return a;
}

static const uint8_t alices_name[LOGINS_KEY_LEN] = "alice", bobs_name[LOGINS_KEY_LEN] = "bob";

static struct login login_of(const char *from, const char *program)
{
	return (struct login){
		.account = SV(ALICE),
		.name = alices_name,
		.address = address(from),
		.sid = SV("1234abcd"),
		.protocol = SV("imap"),
		.mechanism = SV("PLAIN"),
		.credential = SV("password"),
		.tls = SV("TLSv1.3"),
		.program = sv_z(program),
		.client = sv_z(program),
		.result = SV("ok"),
	};
}

struct found {
	size_t count;
	uint64_t logins, modseq;
	char names[256], key[64];
};

static bool add_device(void *arg, const struct logins_device *d)
{
	struct found *f = arg;
	size_t at = strlen(f->names);

	f->count++;
	f->logins += d->count;
	f->modseq = d->modseq;
	snprintf(f->names + at, sizeof(f->names) - at, "%.*s;", SV_FMT(d->name));
	snprintf(f->key, sizeof(f->key), "%s", d->key);
	return true;
}

static struct found devices(struct place *p, const char *account)
{
	struct found f = { 0 };

	OK(logins_devices(p->l, sv_z(account), add_device, &f));
	return f;
}

static bool count_row(void *arg, struct sv json)
{
	(void)json;
	++*(size_t *)arg;
	return true;
}

static size_t rows(struct place *p)
{
	size_t n = 0;

	OK(logins_history(p->l, SV(ALICE), count_row, &n));
	return n;
}

static void a_name_is_known_where_it_has_logged_in(void **state)
{
	struct place *p = *state;
	struct login l = login_of("192.0.2.1", "Thunderbird"), six = login_of("2001:db8:1:2::1", "Thunderbird");
	struct netaddr same = address("192.0.2.1"), other = address("192.0.2.2"), beside = address("2001:db8:1:2::9");

	assert_false(logins_is_known(p->l, alices_name, &same));
	logins_note(p->l, &l);
	logins_note(p->l, &six);
	logins_flush(p->l, false);
	assert_true(logins_is_known(p->l, alices_name, &same));
	assert_true(logins_is_known(p->l, alices_name, &beside));
	assert_false(logins_is_known(p->l, alices_name, &other));
	assert_false(logins_is_known(p->l, bobs_name, &same));
	OK(logins_expire(p->l, time(NULL) - 60));
	assert_true(logins_is_known(p->l, alices_name, &same));
	OK(logins_forget_name(p->l, alices_name));
	assert_false(logins_is_known(p->l, alices_name, &same));
}

static void a_failure_makes_nobody_known_and_no_device(void **state)
{
	struct place *p = *state;
	struct login l = login_of("192.0.2.1", "Thunderbird");

	l.result = SV("bad-credentials");
	l.name = NULL;
	logins_note(p->l, &l);
	l.account = SV("");             /* an unknown name is not written down at all */
	logins_note(p->l, &l);
	logins_flush(p->l, true);
	assert_false(logins_is_known(p->l, alices_name, &l.address));
	assert_int_equal(devices(p, ALICE).count, 0);
	assert_int_equal(rows(p), 1);
}

static void an_hour_of_the_same_is_one_row(void **state)
{
	struct place *p = *state;
	struct login l = login_of("192.0.2.1", "Thunderbird");

	for (int i = 0; i < 50; i++)
		logins_note(p->l, &l);
	logins_flush(p->l, true);
	assert_true(rows(p) <= 2);      /* the test may run over the end of an hour */
	assert_int_equal(devices(p, ALICE).logins, 50);
}

static void a_program_may_say_its_name_after_it_has_logged_in(void **state)
{
	struct place *p = *state;
	struct login l = login_of("192.0.2.1", "");

	logins_note(p->l, &l);
	logins_flush(p->l, false);
	assert_int_equal(devices(p, ALICE).count, 0);           /* it may still do so */
	assert_true(logins_is_known(p->l, alices_name, &l.address));
	logins_client(p->l, SV("another1"), SV("Mutt 2.2"));
	logins_client(p->l, SV("1234abcd"), SV("Thunderbird 140.5 (Linux)"));
	logins_flush(p->l, true);
	assert_string_equal(devices(p, ALICE).names, "Thunderbird;");
}

static void a_device_is_an_app_password_a_program_or_a_protocol_in_a_network(void **state)
{
	struct place *p = *state;
	struct login phone = login_of("192.0.2.1", "Phone Mail"), program = login_of("192.0.2.1", "Thunderbird"),
		     nameless = login_of("192.0.2.1", "");
	const char *from[] = { "192.0.2.1", "198.51.100.1", "192.0.2.77" };

	phone.number = 1;
	phone.credential = SV("phone");
	for (size_t i = 0; i < 3; i++) {
		phone.address = program.address = nameless.address = address(from[i]);
		logins_note(p->l, &phone);
		logins_note(p->l, &program);
		logins_note(p->l, &nameless);
	}
	logins_flush(p->l, true);
	struct found f = devices(p, ALICE);

	assert_int_equal(f.count, 4);   /* the nameless one came from two networks */
	assert_non_null(strstr(f.names, "phone;"));
	assert_non_null(strstr(f.names, "Thunderbird;"));
	assert_non_null(strstr(f.names, "IMAP program;"));
	assert_int_equal(devices(p, BOB).count, 0);
	OK(logins_forget_device(p->l, SV(ALICE), f.key));
	assert_int_equal(devices(p, ALICE).count, 3);
	assert_int_equal(logins_forget_device(p->l, SV(ALICE), f.key).kind, FAULT_NOT_FOUND);
}

static void a_session_tells_how_far_it_has_seen(void **state)
{
	struct place *p = *state;
	struct login l = login_of("192.0.2.1", "Thunderbird");

	logins_note(p->l, &l);
	logins_synced(p->l, &l, 4711);
	logins_flush(p->l, true);
	struct found f = devices(p, ALICE);

	assert_int_equal(f.modseq, 4711);
	assert_int_equal(f.logins, 1);
	assert_int_equal(f.count, 1);
	OK(logins_forget_device(p->l, SV(ALICE), f.key));
	logins_synced(p->l, &l, 4712);          /* a session that outlives its device does not bring it back */
	logins_flush(p->l, true);
	assert_int_equal(devices(p, ALICE).count, 0);
}

static void count_new(void *arg, const struct logins_device *d)
{
	assert_int_equal(d->account.len, 16);
	++*(unsigned *)arg;
}

static void a_new_device_is_told_of_once_but_never_the_first(void **state)
{
	struct place *p = *state;
	struct login first = login_of("192.0.2.1", "Thunderbird"), second = login_of("192.0.2.1", "Mutt");
	struct loop *loop = NULL;
	unsigned told = 0;

	OK(loop_new(&loop));
	logins_start(p->l, loop, 86400000, count_new, &told);
	logins_note(p->l, &first);
	logins_flush(p->l, true);
	assert_int_equal(told, 0);
	for (int i = 0; i < 3; i++) {
		logins_note(p->l, &second);
		logins_flush(p->l, true);
		assert_int_equal(told, 1);
	}
	loop_free(&loop);
}

static void imap_and_pop3_of_one_nameless_program_are_nobody_new(void **state)
{
	struct place *p = *state;
	struct login imap = login_of("2001:db8:1:2::1", ""), pop3 = login_of("2001:db8:1:2::2", ""), far = login_of("192.0.2.1", "");
	struct loop *loop = NULL;
	unsigned told = 0;

	OK(loop_new(&loop));
	logins_start(p->l, loop, 86400000, count_new, &told);
	pop3.protocol = SV("pop3");
	far.protocol = SV("submission");
	logins_note(p->l, &imap);
	logins_note(p->l, &pop3);
	logins_flush(p->l, true);
	assert_int_equal(told, 0);
	assert_int_equal(devices(p, ALICE).count, 2);
	logins_note(p->l, &far);
	logins_flush(p->l, true);
	assert_int_equal(told, 1);
	loop_free(&loop);
}

static void what_is_old_goes(void **state)
{
	struct place *p = *state;
	struct login l = login_of("192.0.2.1", "Thunderbird");

	logins_note(p->l, &l);
	logins_flush(p->l, true);
	OK(logins_expire(p->l, time(NULL) - 7200));
	assert_int_equal(devices(p, ALICE).count + rows(p), 2);
	OK(logins_expire(p->l, time(NULL) + 7200));
	assert_int_equal(devices(p, ALICE).count + rows(p), 0);
}

static void all_that_is_old_goes_however_much_it_is(void **state)
{
	struct place *p = *state;

	for (int i = 0; i < 6000; i++) {
		char program[32];

		snprintf(program, sizeof(program), "Program%d", i);
		struct login l = login_of("192.0.2.1", program);

		logins_note(p->l, &l);
		if (i == 3000)
			logins_flush(p->l, true);
	}
	logins_flush(p->l, true);
	assert_true(rows(p) >= 6000);
	OK(logins_expire(p->l, time(NULL) - 7200));
	assert_true(rows(p) >= 6000);
	OK(logins_expire(p->l, time(NULL) + 7200));
	assert_int_equal(devices(p, ALICE).count + rows(p), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_name_is_known_where_it_has_logged_in),
		CASE(a_failure_makes_nobody_known_and_no_device),
		CASE(an_hour_of_the_same_is_one_row),
		CASE(a_program_may_say_its_name_after_it_has_logged_in),
		CASE(a_device_is_an_app_password_a_program_or_a_protocol_in_a_network),
		CASE(a_session_tells_how_far_it_has_seen),
		CASE(a_new_device_is_told_of_once_but_never_the_first),
		CASE(imap_and_pop3_of_one_nameless_program_are_nobody_new),
		CASE(what_is_old_goes),
		CASE(all_that_is_old_goes_however_much_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
