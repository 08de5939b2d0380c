/* Sessions of all processes: who makes place for whom, who is refused, and what a killed process leaves behind. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/roster.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define ALICE SV("aliceaaaaaaaaaaa")
#define BOB SV("bobbbbbbbbbbbbbb")

static const struct roster_limits limits = { .per_account = 4, .per_account_address = 2, .per_address = 6 };

struct visitor {
	struct roster_guest guest;
	bool is_evicted;
};

struct house {
	struct loop *loop;
	struct roster *roster;
	struct visitor v[16];
};

static void evict(void *arg)
{
	((struct visitor *)arg)->is_evicted = true;
}

static struct house *house_new(const char *path)
{
	struct house *h = calloc(1, sizeof(*h));

	OK(loop_new(&h->loop));
	OK(roster_open(path, h->loop, &h->roster));
	for (size_t i = 0; i < 16; i++)
		h->v[i].guest = (struct roster_guest){ .evict = evict, .arg = &h->v[i] };
	return h;
}

static void house_free(struct house **h)
{
	for (size_t i = 0; i < 16; i++)
		roster_leave(&(*h)->v[i].guest);
	roster_close(&(*h)->roster);
	loop_free(&(*h)->loop);
	free(*h);
	*h = NULL;
}

/* A millisecond later than the one before, so that nobody is as silent as somebody else. */
static bool put(struct house *h, size_t i, struct sv account, const char *address)
{
	struct netaddr from;

	assert_true(netaddr_parse(sv_z(address), &from));
	loop_skip_ms(h->loop, 1);
	return roster_put(h->roster, &h->v[i].guest, account, &from, &limits);
}

static size_t in(const struct house *h)
{
	size_t n = 0;

	for (size_t i = 0; i < 16; i++)
		n += h->v[i].guest.roster != NULL;
	return n;
}

static void the_longest_silent_session_of_an_account_makes_place(void **state)
{
	struct house *h = house_new(NULL);

	(void)state;
	assert_true(put(h, 0, ALICE, "192.0.2.1"));
	assert_true(put(h, 1, ALICE, "192.0.2.2"));
	assert_true(put(h, 2, ALICE, "192.0.2.3"));
	assert_true(put(h, 3, ALICE, "192.0.2.4"));
	assert_true(put(h, 4, BOB, "192.0.2.5"));
	assert_int_equal(in(h), 5);
	assert_true(put(h, 5, ALICE, "192.0.2.6"));
	assert_true(h->v[0].is_evicted);
	assert_int_equal(in(h), 5);
	assert_int_equal(roster_count(h->roster, ALICE), 4);
	assert_int_equal(roster_count(h->roster, BOB), 1);
	house_free(&h);
}

static void at_one_address_those_of_that_address_make_place(void **state)
{
	struct house *h = house_new(NULL);

	(void)state;
	assert_true(put(h, 0, ALICE, "192.0.2.1"));
	assert_true(put(h, 1, ALICE, "2001:db8::1"));
	assert_true(put(h, 2, ALICE, "2001:db8::2"));   /* the same /64 */
	assert_true(put(h, 3, ALICE, "2001:db8::3"));
	assert_false(h->v[0].is_evicted);
	assert_true(h->v[1].is_evicted);
	assert_int_equal(roster_count(h->roster, ALICE), 3);
	house_free(&h);
}

static void an_address_at_its_limit_is_refused_and_ends_nobody(void **state)
{
	const struct sv others[] = { SV("c"), SV("d"), SV("e"), SV("f") };
	struct house *h = house_new(NULL);

	(void)state;
	assert_true(put(h, 0, ALICE, "192.0.2.1"));
	assert_true(put(h, 1, ALICE, "192.0.2.1"));
	for (size_t i = 0; i < 4; i++)
		assert_true(put(h, 2 + i, others[i], "192.0.2.1"));
	assert_false(put(h, 6, BOB, "192.0.2.1"));
	assert_int_equal(in(h), 6);
	assert_true(put(h, 7, BOB, "192.0.2.2"));
	/* In the place of one of her own there is room. */
	assert_true(put(h, 8, ALICE, "192.0.2.1"));
	assert_true(h->v[0].is_evicted);
	house_free(&h);
}

static void who_leaves_makes_place_without_anybody_being_told(void **state)
{
	struct house *h = house_new(NULL);

	(void)state;
	for (unsigned round = 0; round < 100; round++) {
		assert_true(put(h, 0, ALICE, "192.0.2.1"));
		assert_true(put(h, 1, ALICE, "192.0.2.1"));
		roster_leave(&h->v[0].guest);
		roster_leave(&h->v[1].guest);
		roster_leave(&h->v[1].guest);
	}
	assert_int_equal(roster_count(h->roster, ALICE), 0);
	assert_false(h->v[0].is_evicted || h->v[1].is_evicted);
	house_free(&h);
}

static void a_smaller_limit_ends_as_many_as_there_are_too_many(void **state)
{
	const struct roster_limits wide = { .per_account = 10, .per_account_address = 10 }, one = { 1, 1, 0 };
	struct house *h = house_new(NULL);
	struct netaddr from;

	(void)state;
	assert_true(netaddr_parse(SV("192.0.2.1"), &from));
	for (size_t i = 0; i < 8; i++)
		assert_true(roster_put(h->roster, &h->v[i].guest, ALICE, &from, &wide));
	assert_true(roster_put(h->roster, &h->v[8].guest, ALICE, &from, &one));
	assert_int_equal(in(h), 1);
	assert_non_null(h->v[8].guest.roster);
	house_free(&h);
}

static void a_session_of_another_process_is_called_and_one_of_a_killed_process_forgotten(void **state)
{
	char folder[] = "/tmp/postroom-roster-XXXXXX", path[128], name[160];
	struct house *mine;
	int tell[2], ask[2];
	char c = 0;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/roster", folder);
	assert_int_equal(pipe(tell), 0);
	assert_int_equal(pipe(ask), 0);
	pid_t pid = fork();

	if (!pid) {
		struct house *his = house_new(path);
		bool ok = put(his, 0, ALICE, "192.0.2.1") && put(his, 1, ALICE, "192.0.2.1");

		/* Told, asked, and then waits until it is called and then for ever. */
		if (!ok || write(tell[1], "a", 1) != 1 || read(ask[0], &c, 1) != 1)
			_exit(1);
		ok = put(his, 2, BOB, "192.0.2.9");     /* looks, too */
		ok = ok && his->v[0].is_evicted && !his->v[1].is_evicted;
		if (write(tell[1], ok ? "y" : "n", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(tell[0], &c, 1), 1);
	mine = house_new(path);
	assert_int_equal(roster_count(mine->roster, ALICE), 2);
	loop_skip_ms(mine->loop, 1000);
	assert_true(put(mine, 0, ALICE, "192.0.2.1"));
	assert_int_equal(roster_count(mine->roster, ALICE), 2);
	assert_int_equal(write(ask[1], "a", 1), 1);
	assert_int_equal(read(tell[0], &c, 1), 1);
	assert_int_equal(c, 'y');
	assert_int_equal(roster_count(mine->roster, BOB), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(roster_count(mine->roster, ALICE), 1);
	assert_int_equal(roster_count(mine->roster, BOB), 0);
	assert_false(mine->v[0].is_evicted);
	house_free(&mine);
	for (size_t i = 0; i < 2; i++)
		close(tell[i]), close(ask[i]);
	snprintf(name, sizeof(name), "rm -r %s", folder);
	assert_int_equal(system(name), 0);
}

static void in_a_folder(void (*test)(const char *path))
{
	char folder[] = "/tmp/postroom-roster-XXXXXX", path[128], name[160];

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/roster", folder);
	test(path);
	snprintf(name, sizeof(name), "rm -r %s", folder);
	assert_int_equal(system(name), 0);
}

/* An evict() during which somebody else logs in at another process. */
struct meanwhile {
	struct house *other;
	struct netaddr from;
	bool is_done;
};

static void evict_and_meanwhile(void *arg)
{
	const struct roster_limits one = { 1, 1, 0 };
	struct meanwhile *m = arg;

	m->is_done = true;
	loop_skip_ms(m->other->loop, 1000);
	assert_true(roster_put(m->other->roster, &m->other->v[0].guest, ALICE, &m->from, &one));
}

static void let_one_in_that_is_called_at_once(const char *path)
{
	const struct roster_limits one = { 1, 1, 0 };
	struct house *mine = house_new(path), *other = house_new(path);
	struct meanwhile m = { .other = other };

	assert_true(netaddr_parse(SV("192.0.2.1"), &m.from));
	mine->v[0].guest = (struct roster_guest){ .evict = evict_and_meanwhile, .arg = &m };
	assert_true(roster_put(mine->roster, &mine->v[0].guest, ALICE, &m.from, &one));
	assert_true(roster_put(mine->roster, &mine->v[1].guest, ALICE, &m.from, &one));
	assert_true(m.is_done);
	assert_false(mine->v[1].is_evicted);
	assert_non_null(mine->v[1].guest.roster);
	loop_skip_ms(mine->loop, 1000);
	loop_run_once(mine->loop, 0);
	assert_true(mine->v[1].is_evicted);
	assert_int_equal(roster_count(other->roster, ALICE), 1);
	house_free(&mine);
	house_free(&other);
}

static void who_is_called_while_being_let_in_goes_a_little_later(void **state)
{
	(void)state;
	in_a_folder(let_one_in_that_is_called_at_once);
}

static void open_too_many(const char *path)
{
	struct roster *others[256], *none;
	struct house *mine = house_new(path);
	size_t count = 0;

	assert_true(put(mine, 0, ALICE, "192.0.2.1"));
	while (!roster_open(path, mine->loop, &others[count]).kind)
		count++;
	none = others[count];
	assert_int_equal(count, 255);
	assert_null(none);
	assert_int_equal(roster_count(mine->roster, ALICE), 1);
	while (count)
		roster_close(&others[--count]);
	house_free(&mine);
}

static void a_process_too_many_leaves_the_sessions_of_the_others_alone(void **state)
{
	(void)state;
	in_a_folder(open_too_many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_silent_session_of_an_account_makes_place),
		cmocka_unit_test(at_one_address_those_of_that_address_make_place),
		cmocka_unit_test(an_address_at_its_limit_is_refused_and_ends_nobody),
		cmocka_unit_test(who_leaves_makes_place_without_anybody_being_told),
		cmocka_unit_test(a_smaller_limit_ends_as_many_as_there_are_too_many),
		cmocka_unit_test(a_session_of_another_process_is_called_and_one_of_a_killed_process_forgotten),
		cmocka_unit_test(who_is_called_while_being_let_in_goes_a_little_later),
		cmocka_unit_test(a_process_too_many_leaves_the_sessions_of_the_others_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
