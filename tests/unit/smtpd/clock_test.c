/* Mail gets old by the time that the queue was served, whatever the host's clock does (I21): jumps of ten years, summer time, a
 * machine that is suspended, restarts and boots with a wrong clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "smtpd/relay/clock.h"

#include "common/banned.h"

#define HOUR 3600
#define DAY (24 * HOUR)
#define YEAR (365 * (int64_t)DAY)
#define LIFE_S (5 * DAY)
#define MESSAGES 20
#define STEPS 80
#define WORLDS 60
#define LATE_S (2 * HOUR)       /* what jumps of an hour may take or give, and a note that is a quarter of an hour old */

static uint64_t seed = 1;

static uint64_t any(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

struct mail {
	int64_t came_s;         /* in truth */
	int64_t served_s;       /* so long the relay has run since */
	int64_t received_s;     /* what it says */
	int64_t written_s;      /* the BORN record; 0: none */
	int64_t born_s;         /* in the relay's memory */
	int64_t slack_s;        /* of boots with a clock that was wrong by hours: nobody can tell that from hours off */
	int64_t hold_s;         /* it is to wait for so long; 0: it is not */
	int64_t frozen_s;       /* so long the host's clock had stood still before it came */
	bool is_there, is_known, is_new;
};

/* A host, its relay and its queue. */
struct world {
	int64_t now_s;          /* in truth */
	int64_t error_s;        /* of the host's clock */
	int64_t frozen_s;       /* of that: it stood still, as did the one since the boot, while the host was suspended */
	int64_t running_s;
	unsigned boot;
	bool is_running;        /* the relay */
	int64_t offset_ms;
	struct clock_note note;
	bool has_note;
	struct mail mails[MESSAGES];
	unsigned jumps, expired, stalled, given_up;
};

static struct clock_host host_of(const struct world *w)
{
	struct clock_host h = { .wall_ms = (w->now_s + w->error_s) * 1000, .running_ms = w->running_s * 1000 };

	snprintf(h.boot, sizeof(h.boot), "boot-%u", w->boot);
	return h;
}

static int64_t queue_s(const struct world *w)
{
	return w->running_s + w->offset_ms / 1000;
}

static int64_t skew_s(const struct world *w)
{
	return w->now_s + w->error_s - queue_s(w);
}

/* keep - the note, by way of its text. */
static void keep(struct world *w)
{
	struct clock_host h = host_of(w);
	struct clock_note n = { .offset_ms = w->offset_ms, .last_ms = h.running_ms + w->offset_ms, .wall_ms = h.wall_ms };
	struct buf text;

	buf_init(&text, CLOCK_NOTE_MAX);
	memcpy(n.boot, h.boot, sizeof(n.boot));
	clock_note_write(&n, &text);
	w->has_note = clock_note_read(buf_sv(&text), &w->note);
	assert_true(w->has_note && w->note.offset_ms == n.offset_ms && w->note.last_ms == n.last_ms && w->note.wall_ms == n.wall_ms);
	assert_string_equal(w->note.boot, n.boot);
	buf_done(&text);
}

/* register - as smtpd/relay/scan.c does it. */
static void find(struct world *w, struct mail *m, bool is_new)
{
	m->born_s = m->written_s ? m->written_s : clock_born(queue_s(w), skew_s(w), m->received_s, is_new, m->hold_s + LIFE_S);
	m->is_known = true;
	if (m->written_s)
		return;
	if (m->born_s - m->received_s < -CLOCK_SAME_S || m->born_s - m->received_s > CLOCK_SAME_S)
		m->written_s = m->born_s;
}

static void start(struct world *w)
{
	struct clock_host h = host_of(w);

	w->offset_ms = clock_start(&h, w->has_note ? &w->note : NULL);
	w->is_running = true;
	keep(w);
	for (unsigned i = 0; i < MESSAGES; i++)
		if (w->mails[i].is_there)
			find(w, &w->mails[i], false);
}

/* sweep - what the relay does each minute. Where a restart finds the clock wrong by days, and cannot tell by which clock a message came,
 * it may stay twice as long. */
static void sweep(struct world *w)
{
	bool is_empty = true;

	for (unsigned i = 0; i < MESSAGES; i++) {
		struct mail *m = &w->mails[i];

		if (!m->is_there)
			continue;
		if (queue_s(w) < m->born_s + m->hold_s) {
			if (m->served_s > 2 * m->hold_s + LATE_S) {
				w->stalled++;
				m->is_there = false;
			}
		} else if (queue_s(w) >= m->born_s + m->hold_s + LIFE_S) {
			w->given_up++;
			if (w->now_s - m->came_s < LIFE_S + m->hold_s - LATE_S - m->slack_s)
				w->expired++;
			m->is_there = false;
		} else if (m->served_s > 2 * (LIFE_S + m->hold_s) + LATE_S) {
			w->stalled++;
			m->is_there = false;
		}
		is_empty &= !m->is_there;
	}
	if (is_empty)
		w->offset_ms = (w->now_s + w->error_s - w->running_s) * 1000;
	keep(w);
}

static void pass(struct world *w, int64_t seconds)
{
	while (seconds > 0) {
		int64_t some_s = seconds < 900 ? seconds : 900;

		w->now_s += some_s;
		w->running_s += some_s;
		seconds -= some_s;
		for (unsigned i = 0; i < MESSAGES && w->is_running; i++)
			w->mails[i].served_s += some_s;
		if (w->is_running)
			sweep(w);
	}
}

static void jump(struct world *w)
{
	static const int64_t ways[] = { 10 * YEAR, -10 * YEAR, HOUR, -HOUR, 30 * YEAR, -30 * YEAR, 20, -20 };

	w->jumps++;
	w->error_s = any(3) ? w->error_s + ways[any(ARRAY_LEN(ways))] : 0;
	/* Years that a file system and an envelope can hold. */
	if (w->now_s + w->error_s < 0 || w->now_s + w->error_s > 200 * YEAR)
		w->error_s = 0;
	if (!w->error_s)
		w->frozen_s = 0;
}

/* thaw - a clock that stood still is right again: what came before that is older by as much, and so is taken what came behind it. */
static void thaw(struct world *w, bool by_boot)
{
	for (unsigned i = 0; i < MESSAGES && !w->frozen_s; i++) {
		if (by_boot)
			w->mails[i].slack_s += w->mails[i].frozen_s;
		w->mails[i].frozen_s = 0;
	}
}

static void arrive(struct world *w)
{
	struct mail *m = &w->mails[any(MESSAGES)];

	if (m->is_there)
		return;
	*m = (struct mail){ .came_s = w->now_s, .received_s = w->now_s + w->error_s, .is_there = true,
			    .hold_s = any(4) ? 0 : (int64_t)any(3 * DAY), .frozen_s = w->frozen_s };
	if (w->is_running)
		find(w, m, true);
}

static void suspend(struct world *w)
{
	int64_t some_s = (int64_t)any(20 * DAY);

	w->now_s += some_s;
	w->jumps++;
	if (any(4)) {
		w->running_s += some_s;
		return;
	}
	w->error_s -= some_s;
	w->frozen_s += some_s;
}

static void boot(struct world *w)
{
	int64_t before_s = w->error_s + w->frozen_s, wrong_s;

	w->is_running = false;
	if (any(2))
		jump(w);
	w->now_s += (int64_t)any(2 * DAY);
	w->running_s = (int64_t)any(100);
	w->boot++;
	if (any(2))
		jump(w);
	wrong_s = w->error_s + w->frozen_s - before_s;          /* an hour it was frozen for did pass */
	for (unsigned i = 0; i < MESSAGES && wrong_s > 0 && wrong_s <= CLOCK_OFF_S; i++)
		w->mails[i].slack_s += wrong_s;
	thaw(w, true);
	start(w);
}

static void step(struct world *w)
{
	switch (any(10)) {
	case 0:
	case 1:
		jump(w);
		thaw(w, false);
		break;
	case 2:
		suspend(w);
		break;
	case 3:
		boot(w);
		break;
	case 4:                                 /* a restart of the relay; mail comes meanwhile */
		w->is_running = false;
		pass(w, (int64_t)any(60));
		arrive(w);
		start(w);
		break;
	case 5:                                 /* and the clock is put right, or wrong, meanwhile */
		w->is_running = false;
		jump(w);
		thaw(w, false);
		start(w);
		break;
	case 6:
		for (unsigned i = 0; i < MESSAGES && !any(8); i++)
			w->mails[i].is_there = false;   /* all was sent */
		break;
	default:
		for (uint64_t n = any(6); n > 0; n--)
			arrive(w);
		break;
	}
	pass(w, (int64_t)any(any(3) ? 2 * HOUR : 2 * DAY));
}

static void clock_jumps_neither_expire_nor_stall_mail(void **state)
{
	unsigned jumps = 0, expired = 0, stalled = 0, given_up = 0;

	(void)state;
	for (unsigned i = 0; i < WORLDS; i++) {
		struct world w = { .now_s = 55 * YEAR + (int64_t)any(YEAR), .running_s = 100 };

		seed = 88172645463325252ull + i;
		if (any(4) == 0)
			jump(&w);               /* wrong from the first start on */
		start(&w);
		for (unsigned k = 0; k < STEPS; k++)
			step(&w);
		pass(&w, 2 * (LIFE_S + 4 * DAY));     /* all of it comes to an end */
		for (unsigned k = 0; k < MESSAGES; k++)
			stalled += w.mails[k].is_there;
		jumps += w.jumps;
		expired += w.expired;
		stalled += w.stalled;
		given_up += w.given_up;
		if (w.expired || w.stalled)
			print_message("world %u: expired %u, stalled %u\n", i, w.expired, w.stalled);
	}
	print_message("I21 jumps=%u expired=%u stalled=%u (worlds=%u, given up in time=%u)\n", jumps, expired, stalled, WORLDS, given_up);
	assert_true(jumps > 10 * WORLDS && given_up > 10 * WORLDS);
	assert_int_equal(expired, 0);
	assert_int_equal(stalled, 0);
}

static void a_restart_on_the_same_boot_ignores_the_hosts_clock(void **state)
{
	struct clock_host h = { .wall_ms = 5000, .running_ms = 700, .boot = "a" };
	struct clock_note was = { .boot = "a", .offset_ms = 123, .last_ms = 600, .wall_ms = 1000 };

	(void)state;
	assert_int_equal(clock_start(&h, &was), 123);
	assert_int_equal(clock_start(&h, NULL), 4300);
	was.boot[0] = 'b';
	assert_int_equal(clock_start(&h, &was), 600 + 4000 - 700);
	h.wall_ms = 100;                        /* before what was: time stood still */
	assert_int_equal(clock_start(&h, &was), 600 - 700);
	h.wall_ms = 1000 + 9 * DAY * 1000ll;    /* off for that long: it all counts */
	assert_int_equal(clock_start(&h, &was), 600 + 9 * DAY * 1000ll - 700);
	h.wall_ms = 1000 + (CLOCK_OFF_S + 1) * 1000ll;
	assert_int_equal(clock_start(&h, &was), 600 - 700);
}

static void what_got_too_old_while_nobody_was_there_is_too_old(void **state)
{
	static const struct {
		int64_t ago_s, life_s;
		bool is_new;
		int64_t expected_s;             /* its age */
	} cases[] = {
		{ 20 * HOUR, 2 * HOUR, false, 20 * HOUR },      /* BY=7200;R, and the relay was stopped for a day */
		{ 6 * DAY, LIFE_S, false, 6 * DAY },
		{ 30 * DAY, LIFE_S, false, 30 * DAY },
		{ 40 * DAY, LIFE_S + 30 * DAY, false, 40 * DAY },       /* held for thirty days */
		{ LIFE_S + CLOCK_OFF_S, LIFE_S, false, LIFE_S + CLOCK_OFF_S },
		{ LIFE_S + CLOCK_OFF_S + 1, LIFE_S, false, 0 }, /* nobody was off for longer: the clock was wrong */
		{ 10 * YEAR, LIFE_S, false, 0 },
		{ 10 * YEAR, 2 * HOUR, false, 0 },
		{ -HOUR, LIFE_S, false, 0 },
		{ 20 * HOUR, 2 * HOUR, true, CLOCK_FRESH_S },   /* it has come this moment */
		{ 10 * YEAR, LIFE_S, true, 0 },
		{ 5, LIFE_S, true, 5 },
	};
	const int64_t now_s = 55 * YEAR;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(now_s - clock_born(now_s, 0, now_s - cases[i].ago_s, cases[i].is_new, cases[i].life_s), cases[i].expected_s);
}

/* A host that is off for days: mail that is to leave at a time leaves then, and is as old as it is. */
static void a_long_outage_takes_nothing_from_a_date(void **state)
{
	struct world w = { .now_s = 55 * YEAR, .running_s = 100 };
	int64_t until_s = w.now_s + 4 * DAY;

	(void)state;
	start(&w);
	w.mails[0] = (struct mail){ .came_s = w.now_s, .received_s = w.now_s, .is_there = true, .hold_s = 4 * DAY };
	find(&w, &w.mails[0], true);
	pass(&w, HOUR);
	w.is_running = false;
	w.now_s += 3 * DAY;                     /* off */
	w.running_s = 5;
	w.boot++;
	start(&w);
	assert_int_equal(queue_s(&w), w.now_s);
	w.now_s += 20 * HOUR;                   /* suspended */
	w.running_s += 20 * HOUR;
	assert_true(queue_s(&w) == w.now_s && queue_s(&w) < w.mails[0].born_s + w.mails[0].hold_s);
	pass(&w, until_s - w.now_s);
	assert_int_equal(queue_s(&w), w.mails[0].born_s + w.mails[0].hold_s);
}

static void a_note_that_is_none_is_refused_at_every_cut(void **state)
{
	struct clock_note note = { .boot = "6b1f0a8e", .offset_ms = -17, .last_ms = 1800000000000, .wall_ms = 1800000000123 }, out;
	struct buf text;

	(void)state;
	buf_init(&text, CLOCK_NOTE_MAX);
	clock_note_write(&note, &text);
	assert_true(clock_note_read(buf_sv(&text), &out));
	assert_true(out.offset_ms == -17 && out.last_ms == 1800000000000 && out.wall_ms == 1800000000123);
	for (size_t cut = 0; cut + 14 < text.len; cut++)
		assert_false(clock_note_read(sv_sub(buf_sv(&text), 0, cut), &out));
	assert_false(clock_note_read(SV("postroom clock 1 b x 3 4"), &out));
	assert_false(clock_note_read(SV("postroom clock 1 b 3 99999999999999999999 4"), &out));
	assert_false(clock_note_read(SV("postroom clock 1 b 3 4 5 6"), &out));
	assert_false(clock_note_read(SV("postroom clock 1 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 3 4 5"), &out));
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clock_jumps_neither_expire_nor_stall_mail),
		cmocka_unit_test(a_restart_on_the_same_boot_ignores_the_hosts_clock),
		cmocka_unit_test(what_got_too_old_while_nobody_was_there_is_too_old),
		cmocka_unit_test(a_long_outage_takes_nothing_from_a_date),
		cmocka_unit_test(a_note_that_is_none_is_refused_at_every_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
