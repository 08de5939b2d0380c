/* Dates of mail: what people write, what the standards say, and the calendar itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "common/date.h"
#include "common/memory.h"

static void dates_as_people_write_them_are_read(void **state)
{
	static const struct { const char *text; int64_t seconds; int32_t zone_min; } cases[] = {
		{ "Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360 },
		{ "21 Nov 97 09:55:06 GMT", 880106106, 0 },             /* RFC 5322 A.6.2 */
		{ "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706, -360 },       /* A.6.3 */
		{ "Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n               -0330 (Newfoundland Time)",
		  -27723480, -210 },                                     /* A.5 */
		{ " Mon, 1 Jan 2024 00:00 +0000", 1704067200, 0 },
		{ "Fri, 21 Nov 1997 10:55:06 EST", 880127706, -300 },
		{ "Fri, 21 Nov 1997 15:55:06 Z", 880127706, 0 },
		{ "Fri, 21 Nov 1997 15:55:06 A", 880127706, 0 },
		{ "Fri, 21 Nov 1997 15:55:06", 880127706, 0 },
		{ "Fri, 21 Nov 1997 15:55:06 UT (x) junk", 880127706, 0 },
		{ "Monday, 21-Nov-97 15:55:06 GMT", 880127706, 0 },
		{ "Fri Nov 21 15:55:06 1997", 880127706, 0 },
		{ "Fri Nov 21 10:55:06 EST 1997", 880127706, -300 },
		{ "Nov 21, 1997 15:55:06", 880127706, 0 },
		{ "Fri, 21 November 1997 15:55:06 +0000", 880127706, 0 },
		{ "Fri, 21 Nov 97 15:55:06 +0000", 880127706, 0 },
		{ "Fri, 21 Nov 097 15:55:06 +0000", 880127706, 0 },
		{ "21 Nov 49 00:00:00 +0000", 2521065600, 0 },
		{ "Fri, 21 Nov 1997 16:55:06 +01:00", 880127706, 60 },
		{ "Fri, 21 Nov 1997 16:55:06 +1", 880127706, 60 },
		{ "Fri, 21 Nov 1997 15.55.06 +0000", 880127706, 0 },
		{ "Fri, 21 Nov 1997 15:55:06.123 +0000", 880127706, 0 },
		{ "Sat, 31 Dec 2016 23:59:60 +0000", 1483228799, 0 },
		{ "Fri, 21 Nov 1997 15:55:06 +9999", 880127706, 0 },
		{ "Fri, 21 Nov 1997 15:55:06 -0000", 880127706, 0 },
		{ "(a) Fri (b), (c) 21 (d) Nov (e) 1997 (f) 15:55:06 (g) +0000 (h", 880127706, 0 },
		{ "1 Jan 0001 00:00:00 +0000", -62135596800, 0 },
		{ "31 Dec 9999 23:59:59 +0000", 253402300799, 0 },
		{ "29 Feb 2000 12:00:00 +0000", 951825600, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct date d = { 0 };
		char *copy = sv_copy_z(sv_z(cases[i].text));
		if (!date_parse_5322(sv_z(copy), &d))
			fail_msg("'%s' was not read", cases[i].text);
		if (d.seconds != cases[i].seconds || d.zone_min != cases[i].zone_min)
			fail_msg("'%s' is %lld %d", cases[i].text, (long long)d.seconds, d.zone_min);
		free(copy);
	}
}

static void what_is_no_date_is_refused_and_every_prefix_is_safe(void **state)
{
	static const char *const bad[] = {
		"", " ", "yesterday", "Fri", "Fri,", "21", "21 Nov", "21 Nov 1997", "Fri, 21 Nov 1997 09",
		"32 Nov 1997 09:55:06 +0000", "31 Nov 1997 09:55:06 +0000", "29 Feb 1900 00:00:00 +0000",
		"0 Nov 1997 09:55:06 +0000", "21 Nox 1997 09:55:06 +0000", "21 Nov 1997 24:00:00 +0000",
		"21 Nov 1997 09:60:06 +0000", "21 Nov 1997 09:55:61 +0000", "21 Nov 0 09:55:06", "21 Nov 0000 09:55:06 +0000",
		"21 Nov 19970 09:55:06 +0000", "211 Nov 1997 09:55:06", "-1 Nov 1997 09:55:06", "(((((", "2023-01-01 00:00:00",
		"21 Nov 99999999999999999999 09:55:06", "\xff\xfe", "Fri, 21 Nov 1997 9999999999999:55:06 +0000",
	};
	struct date d;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (date_parse_5322(sv_z(bad[i]), &d))
			fail_msg("'%s' was read", bad[i]);
	static const char whole[] = "Fri (a(b)\\)), 21 Nov 1997 09:55:06.5 -0600 (CST)";
	for (size_t n = 0; n < sizeof(whole); n++) {
		char *copy = malloc(n ? n : 1);
		memcpy(copy, whole, n);
		if (date_parse_5322(sv_from(copy, n), &d))
			assert_true(n > 25);
		(void)date_parse_imap(sv_from(copy, n), &d);
		free(copy);
	}
}

static void the_calendar_agrees_with_libc(void **state)
{
	(void)state;
	for (int64_t day = -719162; day <= 2932896; day += 13) {
		time_t t = (time_t)(day * 86400 + 12345);
		struct tm tm;
		struct date_civil c;
		struct date back;
		assert_non_null(gmtime_r(&t, &tm));
		date_to_civil((struct date){ .seconds = t }, &c);
		assert_int_equal(c.year, tm.tm_year + 1900);
		assert_int_equal(c.month, tm.tm_mon + 1);
		assert_int_equal(c.day, tm.tm_mday);
		assert_int_equal(c.weekday, tm.tm_wday);
		assert_int_equal(c.hour, tm.tm_hour);
		assert_int_equal(c.minute, tm.tm_min);
		assert_int_equal(c.second, tm.tm_sec);
		assert_true(date_from_civil(&c, 0, &back));
		assert_true(back.seconds == t);
	}
}

static void written_dates_are_read_back(void **state)
{
	static const struct date dates[] = {
		{ 880127706, -360 }, { 0, 0 }, { -1, 330 }, { 253402300799, 0 }, { -62135596800, 0 }, { 951825600, 1439 },
		{ 951825600, -1439 }, { 1704067200, -1 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
		struct buf b;
		struct date d;
		buf_init(&b, 100);
		assert_true(date_append_5322(&b, dates[i]));
		assert_true(date_parse_5322(buf_sv(&b), &d));
		assert_true(d.seconds == dates[i].seconds && d.zone_min == dates[i].zone_min);
		buf_clear(&b);
		assert_true(date_append_imap(&b, dates[i]));
		assert_int_equal(b.len, 28);
		assert_true(date_parse_imap(sv_sub(buf_sv(&b), 1, 26), &d));
		assert_true(d.seconds == dates[i].seconds && d.zone_min == dates[i].zone_min);
		buf_done(&b);
	}
	struct buf b;
	buf_init(&b, 100);
	assert_true(date_append_5322(&b, (struct date){ 880127706, -360 }));
	assert_string_equal(buf_z(&b), "Fri, 21 Nov 1997 09:55:06 -0600");
	buf_done(&b);
	buf_init(&b, 20);
	assert_false(date_append_5322(&b, (struct date){ 0, 0 }));
	assert_false(date_append_imap(&b, (struct date){ 0, 0 }));
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

static void a_date_beyond_the_calendar_is_cut_to_it(void **state)
{
	static const int64_t seconds[] = { INT64_MIN, INT64_MAX, -62135596801, 253402300800 };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
		struct date_civil c;
		struct buf b;
		date_to_civil((struct date){ seconds[i], i % 2 ? 600 : -600 }, &c);
		assert_int_equal(c.year, seconds[i] < 0 ? 1 : 9999);
		buf_init(&b, 100);
		assert_true(date_append_imap(&b, (struct date){ seconds[i], INT32_MIN + 1 }));
		assert_int_equal(b.len, 28);
		buf_done(&b);
	}
}

static void imap_dates_follow_the_grammar(void **state)
{
	struct date d;
	int64_t day;
	struct buf b;
	(void)state;
	buf_init(&b, 100);
	assert_true(date_parse_imap(SV(" 7-Feb-1994 21:52:25 -0800"), &d));
	assert_int_equal(d.seconds, 760686745);
	assert_true(date_append_imap(&b, d));
	assert_string_equal(buf_z(&b), "\" 7-Feb-1994 21:52:25 -0800\"");
	assert_true(date_parse_imap(SV("07-feb-1994 21:52:25 -0800"), &d));
	assert_true(date_parse_imap(SV("7-Feb-1994 21:52:25 -0800"), &d));
	buf_done(&b);
	static const char *const bad[] = {
		"", "17-Jul-1996", "17-Jul-1996 02:44:25", "17-Jul-1996 02:44:25 0700", "17-Jul-1996 2:44:25 -0700",
		"17-July-1996 02:44:25 -0700", "17-Jul-96 02:44:25 -0700", "17-Jul-1996 02:44:25 -0700 ",
		" 17-Jul-1996 02:44:25 -0700", "17-Jul-1996 02:44:25 -2400", "17-Jul-1996 24:44:25 -0700",
		"31-Jun-1996 02:44:25 -0700", "17-Jul-1996 02:44:25 UTC", "117-Jul-1996 02:44:25 -0700",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (date_parse_imap(sv_z(bad[i]), &d))
			fail_msg("'%s' was read", bad[i]);
	assert_true(date_parse_imap_day(SV("1-Jan-1970"), &day));
	assert_int_equal(day, 0);
	assert_true(date_parse_imap_day(SV("02-Jan-1970"), &day));
	assert_int_equal(day, 1);
	assert_true(date_parse_imap_day(SV("31-DEC-1969"), &day));
	assert_int_equal(day, -1);
	assert_false(date_parse_imap_day(SV("30-Feb-1970"), &day));
	assert_false(date_parse_imap_day(SV("1-Jan-1970 "), &day));
	assert_false(date_parse_imap_day(SV("1-Jan-70"), &day));
	/* RFC 3501 §6.4.4: SINCE looks at the written day, whatever the zone. */
	assert_true(date_parse_imap(SV(" 1-Jan-1970 00:30:00 +0900"), &d));
	assert_true(d.seconds < 0);
	assert_int_equal(date_day(d), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_as_people_write_them_are_read),
		cmocka_unit_test(what_is_no_date_is_refused_and_every_prefix_is_safe),
		cmocka_unit_test(the_calendar_agrees_with_libc),
		cmocka_unit_test(written_dates_are_read_back),
		cmocka_unit_test(a_date_beyond_the_calendar_is_cut_to_it),
		cmocka_unit_test(imap_dates_follow_the_grammar),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
