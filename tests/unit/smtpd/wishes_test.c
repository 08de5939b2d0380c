/* Parameters of time and order: what they may say, and what an envelope with them means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtpd/wishes.h"

static void times_to_wait_for_are_numbers_above_zero(void **state)
{
	static const char *const bad[] = { "", "0", "000", "-1", "+1", "1234567890", "1x", " 1" };
	uint64_t n;

	(void)state;
	assert_true(wishes_hold_for(SV("999999999"), &n) && n == 999999999);
	assert_true(wishes_hold_for(SV("007"), &n) && n == 7);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(wishes_hold_for(sv_z(bad[i]), &n));
}

static void times_to_wait_until_are_dates_of_the_internet(void **state)
{
	static const char *const bad[] = { "", "2026-12-24", "2026-12-24T18:00:00", "2026-12-24 18:00:00Z", "2026-13-24T18:00:00Z",
					   "2026-12-24T18:00:00.5Z", "2026-12-24T18:00:00+1:00", "2026-12-24T25:00:00Z",
					   "2026-02-30T18:00:00Z", "2026-12-24T18:00:00Z0" };
	int64_t at;

	(void)state;
	assert_true(wishes_hold_until(SV("2026-12-24T18:00:00Z"), &at) && at == 1798135200);
	assert_true(wishes_hold_until(SV("2026-12-24t20:30:00+02:30"), &at) && at == 1798135200);
	assert_true(wishes_hold_until(SV("2026-12-24T17:00:00-01:00"), &at) && at == 1798135200);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(wishes_hold_until(sv_z(bad[i]), &at));
}

static void a_time_to_be_there_by_says_what_then(void **state)
{
	static const char *const bad[] = { "", "10", "10;", "10;X", "10;RX", "10;RTT", "0;R", "-5;R", ";N", "1234567890;N", "--1;N" };
	bool is_return, is_trace;
	int64_t s;

	(void)state;
	assert_true(wishes_by(SV("120;R"), &s, &is_return, &is_trace) && s == 120 && is_return && !is_trace);
	assert_true(wishes_by(SV("-120;nt"), &s, &is_return, &is_trace) && s == -120 && !is_return && is_trace);
	assert_true(wishes_by(SV("+0;N"), &s, &is_return, &is_trace) && !s);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(wishes_by(sv_z(bad[i]), &s, &is_return, &is_trace));
}

static void priorities_are_rounded_up_to_six_levels(void **state)
{
	static const struct {
		const char *text;
		unsigned level;
	} cases[] = { { "-9", 0 }, { "-4", 0 }, { "-3", 1 }, { "-2", 1 }, { "-1", 2 }, { "0", 2 }, { "1", 3 }, { "2", 3 },
		      { "4", 4 }, { "5", 5 }, { "9", 5 } };
	int p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(wishes_priority(sv_z(cases[i].text), &p));
		assert_int_equal(wishes_level(p), cases[i].level);
	}
	assert_false(wishes_priority(SV("10"), &p) || wishes_priority(SV(""), &p) || wishes_priority(SV("+1"), &p) ||
		     wishes_priority(SV("-"), &p));
}

static void an_envelope_counts_from_when_it_came(void **state)
{
	struct envelope e;
	struct wishes w;

	(void)state;
	envelope_init(&e);
	e.received_s = 1000;
	w = wishes_of(&e);
	assert_true(!w.not_before_s && !w.has_by && !w.priority && !w.hold_kind[0]);
	assert_true(envelope_add_param(&e, SV("HOLDFOR=60")) && envelope_add_param(&e, SV("BY=120;R")) &&
		    envelope_add_param(&e, SV("MT-PRIORITY=-3")));
	w = wishes_of(&e);
	assert_true(w.not_before_s == 1060 && w.has_by && w.is_by_return && w.by_s == 1120 && w.priority == -3);
	assert_string_equal(w.hold_kind, "for");
	envelope_done(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_to_wait_for_are_numbers_above_zero),
		cmocka_unit_test(times_to_wait_until_are_dates_of_the_internet),
		cmocka_unit_test(a_time_to_be_there_by_says_what_then),
		cmocka_unit_test(priorities_are_rounded_up_to_six_levels),
		cmocka_unit_test(an_envelope_counts_from_when_it_came),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
