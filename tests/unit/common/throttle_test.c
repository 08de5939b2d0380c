/* Wrong passwords as they are counted: who is blocked when, by which of the limits, and who never is. */
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

#include "common/throttle.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define MINUTE 60000ull
#define DAY (24 * 60 * MINUTE)
#define START (3 * DAY)

/* The defaults of postroom.conf. */
static const struct throttle_limits limits = {
	.per_minute = 10, .per_day = 50, .per_account = 100, .first_ms = 2000, .most_ms = 15000,
};

static struct throttle_who who(const char *address, const char *account)
{
	struct throttle_who w = { .is_known = false };

	assert_true(netaddr_parse(sv_z(address), &w.address));
	memcpy(w.account, account, strlen(account));
	return w;
}

static uint32_t wrong(struct throttle *t, struct throttle_who w, uint64_t mark, uint64_t now)
{
	return throttle_failure(t, &w, mark, &limits, now);
}

static enum throttle_rule look(struct throttle *t, struct throttle_who w, uint64_t now)
{
	return throttle_look(t, &w, &limits, now);
}

static void an_answer_waits_2_4_8_and_15_seconds(void **state)
{
	struct throttle *t = throttle_new();
	const uint32_t delays[] = { 2000, 4000, 8000, 15000, 15000 };
	struct throttle_who w = who("192.0.2.1", "alice");

	(void)state;
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(wrong(t, w, i + 1, START), delays[i]);
	assert_int_equal(wrong(t, w, 5, START), 15000);
	assert_int_equal(wrong(t, who("192.0.2.2", "alice"), 6, START), 2000);   /* another address */
	assert_int_equal(wrong(t, w, 0, START + 14 * MINUTE), 15000);
	assert_int_equal(wrong(t, w, 0, START + 29 * MINUTE), 2000);             /* a quarter of an hour of peace */
	/* A network of IPv6 is one address. */
	assert_int_equal(wrong(t, who("2001:db8:1:2::1", "alice"), 1, START), 2000);
	assert_int_equal(wrong(t, who("2001:db8:1:2:ffff::1", "alice"), 2, START), 4000);
	assert_int_equal(wrong(t, who("2001:db8:1:3::1", "alice"), 3, START), 2000);
	throttle_free(&t);
}

static void an_address_has_10_a_minute_and_50_a_day(void **state)
{
	struct throttle *t = throttle_new();
	uint64_t now = START, mark = 1;
	struct throttle_who w = who("192.0.2.1", "alice"), known = w;

	(void)state;
	known.is_known = true;
	for (unsigned minute = 0; minute < 5; minute++, now += MINUTE) {
		for (unsigned i = 0; i < 10; i++) {
			assert_int_equal(look(t, w, now), THROTTLE_NONE);
			wrong(t, w, mark++, now);
		}
		assert_int_equal(look(t, w, now + MINUTE - 1), minute < 4 ? THROTTLE_ADDRESS_MINUTE : THROTTLE_ADDRESS_DAY);
		assert_int_equal(look(t, who("192.0.2.1", "another"), now), minute < 4 ? THROTTLE_ADDRESS_MINUTE : THROTTLE_ADDRESS_DAY);
		assert_int_equal(look(t, known, now), THROTTLE_NONE);   /* an address of his is never refused */
		assert_int_equal(look(t, who("192.0.3.1", "alice"), now), THROTTLE_NONE);
	}
	assert_int_equal(look(t, w, START + DAY - 1), THROTTLE_ADDRESS_DAY);
	assert_int_equal(look(t, w, START + DAY), THROTTLE_NONE);
	throttle_free(&t);
}

static void a_network_has_3_times_and_a_wider_one_9_times_as_many(void **state)
{
	static const struct { const char *before, *behind; } nets[] = { { "192.0.2.", "" }, { "2001:db8:1:", "::1" } };

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(nets); k++) {
		struct throttle *t = throttle_new();
		char text[64];
		uint64_t mark = 1;

		for (unsigned i = 0; i < 30; i++) {     /* one of each host */
			snprintf(text, sizeof(text), "%s%u%s", nets[k].before, i, nets[k].behind);
			assert_int_equal(look(t, who(text, "alice"), START), THROTTLE_NONE);
			wrong(t, who(text, "x"), mark++, START);
		}
		snprintf(text, sizeof(text), "%s50%s", nets[k].before, nets[k].behind);
		assert_int_equal(look(t, who(text, "y"), START), THROTTLE_NETWORK_MINUTE);
		assert_int_equal(look(t, who(text, "y"), START + MINUTE), THROTTLE_NONE);
		throttle_free(&t);
	}
	struct throttle *t = throttle_new();
	uint64_t now = START;

	for (unsigned i = 0; i < 90; i++) {             /* three networks of one /21 */
		char text[64];

		snprintf(text, sizeof(text), "198.51.%u.%u", 96 + i % 3, i);
		assert_int_equal(look(t, who(text, "alice"), now), THROTTLE_NONE);
		wrong(t, who(text, "x"), i + 1, now);
	}
	assert_int_equal(look(t, who("198.51.103.200", "y"), now), THROTTLE_WIDER_MINUTE);
	assert_int_equal(look(t, who("198.51.104.1", "y"), now), THROTTLE_NONE);
	for (unsigned i = 0; i < 360; i++) {            /* 450 a day, slowly */
		char text[64];

		now += MINUTE;
		snprintf(text, sizeof(text), "198.51.%u.%u", 96 + i % 7, i % 250);
		wrong(t, who(text, "x"), 1000 + i, now);
	}
	assert_int_equal(look(t, who("198.51.103.200", "y"), now + 2 * MINUTE), THROTTLE_WIDER_DAY);
	throttle_free(&t);
}

static void an_account_has_100_a_day_from_where_it_is_not_known(void **state)
{
	struct throttle *t = throttle_new();
	struct throttle_who known = who("203.0.113.9", "alice");

	(void)state;
	known.is_known = true;
	for (unsigned i = 0; i < 300; i++)
		wrong(t, known, i + 1, START + i * MINUTE);      /* these do not count */
	for (unsigned i = 0; i < 100; i++) {
		char text[64];

		snprintf(text, sizeof(text), "10.%u.0.1", i);
		assert_int_equal(look(t, who(text, "alice"), START), THROTTLE_NONE);
		wrong(t, who(text, "alice"), 1000 + i, START);
	}
	assert_int_equal(look(t, who("10.200.0.1", "alice"), START), THROTTLE_ACCOUNT_DAY);
	assert_int_equal(look(t, who("10.200.0.1", "bob"), START), THROTTLE_NONE);
	assert_int_equal(look(t, known, START), THROTTLE_NONE);
	assert_int_equal(look(t, who("10.200.0.1", "alice"), START + DAY), THROTTLE_NONE);
	throttle_free(&t);
}

static void the_same_wrong_password_counts_once_among_the_last_ten(void **state)
{
	struct throttle *t = throttle_new();
	struct throttle_who w = who("192.0.2.1", "alice");

	(void)state;
	for (unsigned i = 0; i < 200; i++)              /* a telephone that was not told of the new password */
		assert_int_equal(wrong(t, w, 7, START + i * 1000), 2000);
	assert_int_equal(look(t, w, START + MINUTE), THROTTLE_NONE);
	for (uint64_t mark = 10; mark < 20; mark++)
		wrong(t, w, mark, START + 20 * MINUTE);
	assert_int_equal(look(t, w, START + 20 * MINUTE), THROTTLE_ADDRESS_MINUTE);
	for (uint64_t mark = 10; mark < 20; mark++)
		wrong(t, w, mark, START + 22 * MINUTE);
	assert_int_equal(look(t, w, START + 22 * MINUTE), THROTTLE_NONE);
	wrong(t, w, 7, START + 24 * MINUTE);             /* pushed out meanwhile: counts again */
	for (uint64_t mark = 30; mark < 39; mark++)
		wrong(t, w, mark, START + 24 * MINUTE);
	assert_int_equal(look(t, w, START + 24 * MINUTE), THROTTLE_ADDRESS_MINUTE);
	throttle_free(&t);
}

static void many_names_do_not_push_out_the_one_under_attack(void **state)
{
	struct throttle *t = throttle_new();

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		wrong(t, who("10.1.0.1", "alice"), i + 1, START);
	for (unsigned i = 0; i < 30000; i++) {
		char name[THROTTLE_KEY_LEN + 1], text[64];

		snprintf(name, sizeof(name), "n%u", i);
		snprintf(text, sizeof(text), "2001:db8:%x:%x::1", i, i);
		wrong(t, who(text, name), 1, START);
	}
	assert_int_equal(look(t, who("10.200.0.1", "alice"), START), THROTTLE_ACCOUNT_DAY);
	assert_int_equal(look(t, who("10.1.0.1", "bob"), START), THROTTLE_ADDRESS_DAY);
	throttle_free(&t);
}

struct tally {
	unsigned addresses, networks, accounts, blocked;
	uint64_t until_ms;
};

static void add(void *arg, const struct throttle_entry *e)
{
	struct tally *n = arg;

	n->addresses += e->kind == THROTTLE_ADDRESS;
	n->networks += e->kind == THROTTLE_NETWORK || e->kind == THROTTLE_WIDER;
	n->accounts += e->kind == THROTTLE_ACCOUNT;
	n->blocked += e->until_ms != 0;
	if (e->kind == THROTTLE_ADDRESS)
		n->until_ms = e->until_ms;
}

/* Another thread read the clock later, but counted first. */
static void a_clock_that_was_read_a_moment_earlier_forgets_nothing(void **state)
{
	struct throttle *t = throttle_new();
	struct throttle_who w = who("192.0.2.1", "alice");
	struct tally n = { 0 };

	(void)state;
	for (unsigned i = 0; i < 9; i++)
		wrong(t, w, i + 1, START + 1);
	assert_int_equal(wrong(t, w, 10, START), 15000);
	assert_int_equal(look(t, w, START), THROTTLE_ADDRESS_MINUTE);
	throttle_list(t, &limits, START, add, &n);
	assert_int_equal(n.addresses, 1);
	throttle_free(&t);
}

static void what_is_counted_can_be_listed_and_forgotten(void **state)
{
	struct throttle *t = throttle_new();
	struct throttle_who w = who("192.0.2.1", "alice");
	struct tally n = { 0 };

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		wrong(t, w, i + 1, START);
	throttle_list(t, &limits, START + 1, add, &n);
	assert_int_equal(n.addresses + 10 * n.networks + 100 * n.accounts, 121);
	assert_int_equal(n.blocked, 1);
	assert_int_equal(n.until_ms, START + MINUTE);
	assert_false(throttle_forget_address(t, &(struct netaddr){ .family = NET_IPV4 }));
	assert_true(throttle_forget_address(t, &w.address));
	assert_int_equal(look(t, w, START + 1), THROTTLE_NONE);
	assert_true(throttle_forget_account(t, w.account));
	assert_false(throttle_forget_account(t, w.account));
	n = (struct tally){ 0 };
	throttle_list(t, &limits, START + 1, add, &n);
	assert_int_equal(n.addresses + n.networks + n.accounts, 0);
	throttle_free(&t);
}

static void all_processes_count_together_and_one_that_dies_blocks_nobody(void **state)
{
	char folder[] = "/tmp/throttle-test-XXXXXX", path[64];
	struct throttle *t = NULL, *again = NULL;
	struct throttle_who w = who("192.0.2.1", "alice");
	uint64_t now = throttle_now_ms();
	int status;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/throttle", folder);
	assert_int_equal(throttle_open(path, false, &t).kind, FAULT_NOT_FOUND);
	OK(throttle_open(path, true, &t));
	for (unsigned k = 0; k < 10; k++) {             /* each is killed while it counts as fast as it can */
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			struct throttle *mine = NULL;

			if (throttle_open(path, true, &mine).kind)
				_exit(1);
			for (;;)
				wrong(mine, w, 0, now);
		}
		usleep(3000);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		wrong(t, w, 0, now);
	}
	assert_int_equal(look(t, w, now), THROTTLE_ADDRESS_DAY);
	throttle_free(&t);
	OK(throttle_open(path, false, &again));         /* also after all have ended */
	assert_int_equal(look(again, w, now), THROTTLE_ADDRESS_DAY);
	throttle_free(&again);
	assert_int_equal(truncate(path, 100), 0);       /* what is no memory of ours is replaced */
	assert_int_equal(throttle_open(path, false, &again).kind, FAULT_NOT_FOUND);
	OK(throttle_open(path, true, &again));
	assert_int_equal(look(again, w, now), THROTTLE_NONE);
	throttle_free(&again);
	unlink(path);
	snprintf(path, sizeof(path), "%s/throttle.lock", folder);
	unlink(path);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_waits_2_4_8_and_15_seconds),
		cmocka_unit_test(an_address_has_10_a_minute_and_50_a_day),
		cmocka_unit_test(a_network_has_3_times_and_a_wider_one_9_times_as_many),
		cmocka_unit_test(an_account_has_100_a_day_from_where_it_is_not_known),
		cmocka_unit_test(the_same_wrong_password_counts_once_among_the_last_ten),
		cmocka_unit_test(many_names_do_not_push_out_the_one_under_attack),
		cmocka_unit_test(a_clock_that_was_read_a_moment_earlier_forgets_nothing),
		cmocka_unit_test(what_is_counted_can_be_listed_and_forgotten),
		cmocka_unit_test(all_processes_count_together_and_one_that_dies_blocks_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
