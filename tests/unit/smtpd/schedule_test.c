/* The queue in memory: destinations take turns, a dead one costs nobody else anything, waits grow and are spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "smtpd/relay/schedule.h"

#include "common/banned.h"

#define MIN 60000ull

static const struct schedule_limits limits = {
	.retry_min_ms = 5 * MIN, .retry_max_ms = 70 * MIN, .connections = 10, .per_destination = 4,
};

static struct message *add(struct schedule *s, unsigned number, const char *destination)
{
	char id[QUEUE_ID_LEN + 1];
	struct message *m;

	snprintf(id, sizeof(id), "%016u", number);
	m = schedule_add(s, id);
	assert_non_null(m);
	schedule_add_part(s, m, sv_z(destination), 0, 0);
	return m;
}

static struct part *work(struct schedule *s, struct destination *d)
{
	struct part *p = schedule_take(s, d);

	if (d->fresh)
		d->fresh--;
	return p;
}

static void ten_messages_never_wait_for_ten_thousand(void **state)
{
	struct schedule *s = schedule_new(&limits);
	struct destination *d;
	bool seen = false;

	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		add(s, i, "big.example");
	add(s, 10000, "small.example");
	for (int i = 0; i < 3; i++) {
		d = schedule_pick(s);
		assert_non_null(d);
		seen |= sv_eq(sv_z(d->name), SV("small.example"));
	}
	assert_true(seen);
	assert_null(schedule_pick(s));  /* each begins with two connections, and one message needs one */
	schedule_free(&s);
}

static void higher_levels_go_first_and_each_in_its_order(void **state)
{
	static const unsigned levels[] = { 2, 0, 5, 2, 5 };
	static const char *const wanted[] = { "0000000000000002", "0000000000000004", "0000000000000000", "0000000000000003",
					      "0000000000000001" };
	struct schedule *s = schedule_new(&limits);
	struct destination *d;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(levels); i++) {
		char id[QUEUE_ID_LEN + 1];
		struct message *m;

		snprintf(id, sizeof(id), "%016u", i);
		m = schedule_add(s, id);
		m->level = levels[i];
		schedule_add_part(s, m, SV("one.example"), 0, 0);
	}
	d = schedule_pick(s);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		struct part *p = work(s, d);

		assert_string_equal(p->message->id, wanted[i]);
		schedule_drop_part(s, p);
	}
	schedule_free(&s);
}

static void what_is_for_later_waits_whoever_hurries(void **state)
{
	struct schedule *s = schedule_new(&limits);
	struct message *m = schedule_add(s, "0000000000000001");

	(void)state;
	m->not_before_ms = 5000;
	schedule_add_part(s, m, SV("one.example"), 0, 0);
	assert_int_equal(schedule_next_ms(s), 5000);
	schedule_tick(s, 4999);
	schedule_hurry(s, m);
	schedule_hold(s, m, true);
	schedule_hold(s, m, false);
	assert_null(schedule_pick(s));
	schedule_tick(s, 5000);
	assert_non_null(schedule_pick(s));
	schedule_free(&s);
}

static void connections_grow_with_success_and_shrink_with_failure(void **state)
{
	struct schedule *s = schedule_new(&limits);
	struct destination *d = NULL;
	int most = 0;

	(void)state;
	for (unsigned i = 0; i < 50; i++)
		add(s, i, "one.example");
	while ((d = schedule_pick(s))) {
		most++;
		schedule_drop_part(s, work(s, d));
		schedule_works(s, d);
	}
	assert_int_equal(most, 4);
	d = schedule_destination(s, SV("one.example"));
	schedule_fails(s, d, 0, "4.4.1", "gone");
	assert_int_equal(d->limit, 2);
	assert_null(schedule_take(s, d));
	schedule_free(&s);
}

static void a_dead_destination_is_tried_once_per_wait(void **state)
{
	struct schedule *s = schedule_new(&limits);
	struct destination *d;
	uint64_t now = 0, longest = 0, before = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		add(s, i, "dead.example");
	for (int round = 0; round < 8; round++) {
		schedule_tick(s, now);
		d = schedule_pick(s);
		assert_non_null(d);
		if (round)
			assert_null(schedule_pick(s));  /* one connection shows whether it is over */
		d->fresh = 0;
		schedule_fails(s, d, now, "4.4.1", "no answer in time");
		schedule_hang_up(s, d);
		if (!round && d->active)
			schedule_hang_up(s, d);
		assert_null(schedule_pick(s));
		add(s, 5000 + (unsigned)round, "dead.example");         /* what comes now waits with the rest */
		assert_null(schedule_pick(s));
		before = schedule_next_ms(s) - now;
		assert_true(before >= 5 * MIN * 9 / 10 && before <= 70 * MIN * 11 / 10);
		longest = before > longest ? before : longest;
		now = schedule_next_ms(s);
	}
	assert_true(longest >= 63 * MIN);
	schedule_free(&s);
}

static void a_message_put_off_waits_longer_each_time(void **state)
{
	static const uint64_t waits[] = { 5 * MIN, 10 * MIN, 20 * MIN, 40 * MIN, 70 * MIN, 70 * MIN };
	struct schedule *s = schedule_new(&limits);
	struct message *m = add(s, 1, "slow.example");
	uint64_t now = 1000;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		struct destination *d;
		struct part *p;

		schedule_tick(s, now);
		d = schedule_pick(s);
		assert_non_null(d);
		p = work(s, d);
		assert_ptr_equal(p, m->parts);
		assert_int_equal(m->active, 1);
		schedule_defer(s, p, now);
		schedule_hang_up(s, d);
		assert_in_range(schedule_next_ms(s) - now, waits[i] - waits[i] / 10, waits[i] + waits[i] / 10);
		schedule_tick(s, now + waits[i] / 2);
		assert_null(schedule_pick(s));
		now = schedule_next_ms(s);
	}
	schedule_free(&s);
}

static void held_and_paused_mail_waits_for_a_word(void **state)
{
	struct schedule *s = schedule_new(&limits);
	struct message *m = add(s, 1, "a.example");
	struct destination *d = schedule_destination(s, SV("a.example"));

	(void)state;
	schedule_hold(s, m, true);
	schedule_hurry(s, m);
	schedule_tick(s, 1000 * MIN);
	assert_null(schedule_pick(s));
	schedule_hold(s, m, false);
	schedule_pause(s, d, true);
	assert_null(schedule_pick(s));
	schedule_pause(s, d, false);
	assert_ptr_equal(schedule_pick(s), d);
	assert_non_null(work(s, d));
	schedule_free(&s);
}

/* connect - as a sender does: it learns whose server it is when it has the way. */
static bool connect_to(struct schedule *s, struct destination *d, const char *provider)
{
	d->fresh--;
	if (schedule_provide(s, d, sv_z(provider)))
		return true;
	schedule_hang_up(s, d);
	return false;
}

static unsigned connect_all(struct schedule *s, const char *provider, struct destination **last)
{
	struct destination *d;
	unsigned count = 0;

	while ((d = schedule_pick(s)))
		if (connect_to(s, d, provider)) {
			*last = d;
			count++;
		}
	return count;
}

static void who_runs_many_domains_gets_as_many_connections_as_one_of_them(void **state)
{
	struct schedule *s = schedule_new(&limits);
	struct destination *d = NULL;
	char name[40];

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "%u.example", i);
		add(s, i, name);
	}
	assert_int_equal(connect_all(s, "big", &d), 2);
	schedule_works(s, d);
	assert_int_equal(connect_all(s, "big", &d), 1);
	for (unsigned i = 0; i < 10; i++)
		schedule_works(s, d);
	assert_int_equal(connect_all(s, "big", &d), 1);         /* 4, as for one destination */
	add(s, 100, "else.example");
	d = schedule_pick(s);
	assert_true(d && sv_eq(sv_z(d->name), SV("else.example")));     /* which nobody else waits for */
	assert_true(connect_to(s, d, ""));
	schedule_free(&s);
}

static void what_one_domain_is_told_holds_for_all_of_its_provider(void **state)
{
	struct schedule *s = schedule_new(&limits);
	struct destination *a, *b, *other = NULL;
	uint64_t next;

	(void)state;
	add(s, 1, "a.example");
	add(s, 2, "b.example");
	a = schedule_pick(s);
	b = schedule_pick(s);
	assert_true(connect_to(s, a, "big") && connect_to(s, b, "big"));
	schedule_slow(s, a, 0, "4.7.28", "not so fast", true);
	assert_null(schedule_take(s, b));
	schedule_hang_up(s, a);
	schedule_hang_up(s, b);
	add(s, 3, "c.example");
	add(s, 4, "d.example");
	assert_int_equal(connect_all(s, "big", &other), 0);     /* those that nobody knew find out when they have the way */
	next = schedule_next_ms(s);
	assert_true(next >= MIN * 9 / 10 && next <= MIN * 11 / 10);     /* a fifth of a destination's wait */
	schedule_tick(s, next);
	assert_int_equal(connect_all(s, "big", &other), 1);     /* one shows whether it is over */
	schedule_slow(s, other, next, "4.7.28", "not so fast", true);
	assert_true(schedule_next_ms(s) >= next + 2 * MIN * 9 / 10);
	schedule_unblock(s, other);
	schedule_works(s, other);
	assert_true(connect_all(s, "big", &other) > 0);
	/* Half as many, without a pause. */
	schedule_slow(s, other, next, "4.7.1", "put off", false);
	assert_int_equal(other->provider->blocked_until_ms, 0);
	assert_int_equal(other->provider->limit, 1);
	/* Its servers moved elsewhere. */
	assert_true(schedule_provide(s, other, SV("small")));
	assert_int_equal(other->provider->active, other->active);
	assert_true(schedule_provide(s, other, SV("")));
	assert_null(other->provider);
	schedule_slow(s, other, next, "4.7.1", "nobody", true);
	schedule_free(&s);
}

static void a_message_costs_less_than_a_kilobyte(void **state)
{
	(void)state;
	assert_true(sizeof(struct message) + sizeof(struct part) + 2 * sizeof(void *) < 400);
}

static void many_messages_come_and_go(void **state)
{
	struct schedule *s = schedule_new(&limits);
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "d%u.example", i % 1000);
		add(s, i, name);
	}
	assert_null(schedule_add(s, "0000000000000007"));
	for (unsigned i = 0; i < 5000; i++) {
		char id[QUEUE_ID_LEN + 1];

		snprintf(id, sizeof(id), "%016u", i);
		schedule_drop(s, schedule_find(s, sv_z(id)));
	}
	assert_int_equal(schedule_count(s), 0);
	assert_null(schedule_pick(s));
	assert_true(schedule_next_ms(s) == UINT64_MAX);
	schedule_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_messages_never_wait_for_ten_thousand),
		cmocka_unit_test(higher_levels_go_first_and_each_in_its_order),
		cmocka_unit_test(what_is_for_later_waits_whoever_hurries),
		cmocka_unit_test(connections_grow_with_success_and_shrink_with_failure),
		cmocka_unit_test(a_dead_destination_is_tried_once_per_wait),
		cmocka_unit_test(a_message_put_off_waits_longer_each_time),
		cmocka_unit_test(held_and_paused_mail_waits_for_a_word),
		cmocka_unit_test(who_runs_many_domains_gets_as_many_connections_as_one_of_them),
		cmocka_unit_test(what_one_domain_is_told_holds_for_all_of_its_provider),
		cmocka_unit_test(a_message_costs_less_than_a_kilobyte),
		cmocka_unit_test(many_messages_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
