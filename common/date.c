#include "common/date.h"

#include <time.h>

#include "common/header.h"

#include "common/banned.h"

static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char weekday_names[] = "SunMonTueWedThuFriSat";

#define DAY_MIN (-719162)       /* 0001-01-01 */
#define DAY_MAX 2932896         /* 9999-12-31 */

struct date date_now(void)
{
	return (struct date){ .seconds = (int64_t)time(NULL) };
}

/* Days since 1970-01-01 of a proleptic Gregorian date, and back (after H. Hinnant's public domain algorithms):
 * years begin in March, so that the leap day is the last of a year; 400 years have 146,097 days. */
static int64_t days_from(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void days_to(int64_t days, struct date_civil *c)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t of_era = days - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153;

	c->day = (int)(of_year - (153 * month + 2) / 5 + 1);
	c->month = (int)(month < 10 ? month + 3 : month - 9);
	c->year = (int)(year + era * 400 + (c->month <= 2));
}

static int month_days(int year, int month)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && is_leap);
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

bool date_from_civil(const struct date_civil *c, int32_t zone_min, struct date *out)
{
	if (c->year < 1 || c->year > 9999 || c->month < 1 || c->month > 12 || c->day < 1 ||
	    c->day > month_days(c->year, c->month) || c->hour < 0 || c->hour > 23 || c->minute < 0 ||
	    c->minute > 59 || c->second < 0 || c->second > 60 || zone_min < -1439 || zone_min > 1439)
		return false;
	out->zone_min = zone_min;
	out->seconds = days_from(c->year, c->month, c->day) * 86400 + c->hour * 3600 + (c->minute - zone_min) * 60 +
		       (c->second == 60 ? 59 : c->second);
	return true;
}

static int64_t local_seconds(struct date d)
{
	const int64_t least = (int64_t)DAY_MIN * 86400, most = (int64_t)DAY_MAX * 86400 + 86399;

	if (d.seconds < least - 86400 || d.seconds > most + 86400)
		return d.seconds < 0 ? least : most;
	int64_t s = d.seconds + (int64_t)d.zone_min * 60;

	return s < least ? least : s > most ? most : s;
}

int64_t date_day(struct date d)
{
	return floor_div(local_seconds(d), 86400);
}

void date_to_civil(struct date d, struct date_civil *out)
{
	int64_t local = local_seconds(d), day = floor_div(local, 86400);
	int of_day = (int)(local - day * 86400);

	days_to(day, out);
	out->hour = of_day / 3600;
	out->minute = of_day / 60 % 60;
	out->second = of_day % 60;
	out->weekday = (int)(((day + 4) % 7 + 7) % 7);  /* 1970-01-01 was a Thursday */
}

/* ---- reading ---- */

/* A decimal number of min to max digits; -1 when there is none. */
static int take_number(struct sv *s, size_t min, size_t max, size_t *digits)
{
	size_t n = 0;
	int value = 0;

	while (n < s->len && n < max && ascii_is_digit(s->p[n]))
		value = value * 10 + (s->p[n++] - '0');
	if (n < min || (n < s->len && ascii_is_digit(s->p[n])))
		return -1;
	sv_skip(s, n);
	if (digits)
		*digits = n;
	return value;
}

static bool take_c(struct sv *s, char c)
{
	if (!s->len || *s->p != c)
		return false;
	sv_skip(s, 1);
	return true;
}

static struct sv take_word(struct sv *s)
{
	size_t n = 0;

	while (n < s->len && ascii_is_alpha(s->p[n]))
		n++;
	struct sv word = sv_sub(*s, 0, n);

	sv_skip(s, n);
	return word;
}

/* Index of a name that the word begins with ("July", "Sept" are taken), from 1; 0 when there is none. */
static int name_index(struct sv word, const char *names)
{
	for (int i = 0; names[3 * i]; i++)
		if (sv_starts_nocase(word, sv_from(names + 3 * i, 3)))
			return i + 1;
	return 0;
}

/* RFC 5322 §4.3: two digits from 50 on are 19xx, below 20xx; three digits are counted from 1900. */
static int whole_year(int year, size_t digits)
{
	return digits == 4 ? year : digits == 3 || year >= 50 ? year + 1900 : year + 2000;
}

static bool take_time(struct sv *s, struct date_civil *c)
{
	c->hour = take_number(s, 1, 2, NULL);
	header_skip_cfws(s);
	if (c->hour < 0 || (!take_c(s, ':') && !take_c(s, '.')))
		return false;
	header_skip_cfws(s);
	c->minute = take_number(s, 1, 2, NULL);
	if (c->minute < 0)
		return false;
	struct sv ahead = *s;

	header_skip_cfws(&ahead);
	c->second = 0;
	if (take_c(&ahead, ':') || take_c(&ahead, '.')) {
		header_skip_cfws(&ahead);
		c->second = take_number(&ahead, 1, 2, NULL);
		if (c->second < 0)
			return false;
		*s = ahead;
		if (take_c(&ahead, '.') && take_number(&ahead, 1, 9, NULL) >= 0)
			*s = ahead;     /* parts of a second, as some programs write */
	}
	return true;
}

/* RFC 5322 §4.3: names as in North America; military letters and unknown names say nothing, hence UTC. */
static int32_t named_zone(struct sv word)
{
	static const struct {
		struct sv name;
		int32_t zone_min;
	} zones[] = {
		{ SV_INIT("EST"), -300 }, { SV_INIT("EDT"), -240 }, { SV_INIT("CST"), -360 }, { SV_INIT("CDT"), -300 },
		{ SV_INIT("MST"), -420 }, { SV_INIT("MDT"), -360 }, { SV_INIT("PST"), -480 }, { SV_INIT("PDT"), -420 },
		{ SV_INIT("CET"), 60 },   { SV_INIT("CEST"), 120 }, { SV_INIT("MET"), 60 },   { SV_INIT("MEST"), 120 },
		{ SV_INIT("EET"), 120 },  { SV_INIT("EEST"), 180 }, { SV_INIT("BST"), 60 },   { SV_INIT("JST"), 540 },
	};

	for (size_t i = 0; i < ARRAY_LEN(zones); i++)
		if (sv_eq_nocase(word, zones[i].name))
			return zones[i].zone_min;
	return 0;
}

static int32_t take_zone(struct sv *s)
{
	bool is_west;

	if (take_c(s, '+'))
		is_west = false;
	else if (take_c(s, '-'))
		is_west = true;
	else
		return named_zone(take_word(s));
	size_t digits;
	int hours, minutes, n = take_number(s, 1, 4, &digits);

	if (n < 0)
		return 0;
	if (digits <= 2) {              /* +1, +01, +01:00 */
		hours = n;
		minutes = take_c(s, ':') ? take_number(s, 2, 2, NULL) : 0;
		if (minutes < 0)
			minutes = 0;
	} else {
		hours = n / 100;
		minutes = n % 100;
	}
	if (hours > 23 || minutes > 59)
		return 0;               /* no such zone: the moment is more use than a refusal */
	return is_west ? -(hours * 60 + minutes) : hours * 60 + minutes;
}

bool date_parse_5322(struct sv text, struct date *out)
{
	struct date_civil c = { 0 };
	struct sv word;
	size_t digits;

	header_skip_cfws(&text);
	word = take_word(&text);
	header_skip_cfws(&text);
	if (word.len && take_c(&text, ','))
		header_skip_cfws(&text);
	/* asctime: Fri Nov 21 09:55:06 1997; a month may also stand first where the day's name is left out. */
	bool is_asctime = text.len && ascii_is_alpha(*text.p);
	if (is_asctime) {
		word = take_word(&text);
		c.month = name_index(word, month_names);
	} else if (word.len && name_index(word, month_names) && !name_index(word, weekday_names)) {
		is_asctime = true;
		c.month = name_index(word, month_names);
	}
	header_skip_cfws(&text);
	c.day = take_number(&text, 1, 2, NULL);
	if (c.day < 0)
		return false;
	header_skip_cfws(&text);
	if (is_asctime) {
		struct sv ahead;
		if (!c.month)
			return false;
		take_c(&text, ',');
		header_skip_cfws(&text);
		ahead = text;
		c.year = take_number(&ahead, 4, 4, &digits);    /* Nov 21, 1997 09:55:06 */
		if (c.year >= 0) {
			text = ahead;
			header_skip_cfws(&text);
		}
		if (!take_time(&text, &c))
			return false;
		header_skip_cfws(&text);
		int32_t zone_min = 0;
		if (c.year < 0) {
			if (text.len && !ascii_is_digit(*text.p)) {
				zone_min = take_zone(&text);    /* date(1) puts the zone before the year */
				header_skip_cfws(&text);
			}
			c.year = take_number(&text, 4, 4, &digits);
			header_skip_cfws(&text);
		}
		if (text.len && !zone_min)
			zone_min = take_zone(&text);
		return c.year >= 0 && date_from_civil(&c, zone_min, out);
	}
	take_c(&text, '-');
	header_skip_cfws(&text);
	c.month = name_index(take_word(&text), month_names);
	header_skip_cfws(&text);
	take_c(&text, '-');
	header_skip_cfws(&text);
	c.year = take_number(&text, 2, 4, &digits);
	if (c.year < 0 || !c.month)
		return false;
	c.year = whole_year(c.year, digits);
	header_skip_cfws(&text);
	take_c(&text, ',');
	header_skip_cfws(&text);
	if (!take_time(&text, &c))
		return false;
	header_skip_cfws(&text);
	return date_from_civil(&c, take_zone(&text), out);
}

static bool take_imap_day(struct sv *s, struct date_civil *c)
{
	bool is_padded = take_c(s, ' ');

	c->day = take_number(s, 1, is_padded ? 1 : 2, NULL);
	if (c->day < 0 || !take_c(s, '-'))
		return false;
	struct sv month = take_word(s);

	c->month = month.len == 3 ? name_index(month, month_names) : 0;
	if (!c->month || !take_c(s, '-'))
		return false;
	c->year = take_number(s, 4, 4, NULL);
	return c->year >= 0;
}

bool date_parse_imap(struct sv text, struct date *out)
{
	struct date_civil c = { 0 };
	int zone;

	if (!take_imap_day(&text, &c) || !take_c(&text, ' '))
		return false;
	c.hour = take_number(&text, 2, 2, NULL);
	if (c.hour < 0 || !take_c(&text, ':'))
		return false;
	c.minute = take_number(&text, 2, 2, NULL);
	if (c.minute < 0 || !take_c(&text, ':'))
		return false;
	c.second = take_number(&text, 2, 2, NULL);
	if (c.second < 0 || !take_c(&text, ' '))
		return false;
	bool is_west = take_c(&text, '-');

	if (!is_west && !take_c(&text, '+'))
		return false;
	zone = take_number(&text, 4, 4, NULL);
	if (zone < 0 || zone / 100 > 23 || zone % 100 > 59 || text.len)
		return false;
	zone = zone / 100 * 60 + zone % 100;
	return date_from_civil(&c, is_west ? -zone : zone, out);
}

bool date_parse_imap_day(struct sv text, int64_t *day)
{
	struct date_civil c = { 0 };
	struct date d;

	if (!take_imap_day(&text, &c) || text.len || !date_from_civil(&c, 0, &d))
		return false;
	*day = floor_div(d.seconds, 86400);
	return true;
}

/* ---- writing ---- */

static bool append_zone(struct buf *b, int32_t zone_min)
{
	int abs = zone_min < 0 ? -zone_min : zone_min;

	abs = abs > 1439 ? 1439 : abs;
	return buf_appendf(b, " %c%02d%02d", zone_min < 0 ? '-' : '+', abs / 60, abs % 60);
}

bool date_append_5322(struct buf *b, struct date d)
{
	struct date_civil c;
	size_t before = b->len;

	date_to_civil(d, &c);
	if (buf_appendf(b, "%.3s, %02d %.3s %04d %02d:%02d:%02d", weekday_names + 3 * (size_t)c.weekday, c.day,
			month_names + 3 * (size_t)(c.month - 1), c.year, c.hour, c.minute, c.second) &&
	    append_zone(b, d.zone_min))
		return true;
	b->len = before;
	return false;
}

/* Two decimal places at p. */
static void put_2(char *p, unsigned n)
{
	p[0] = (char)('0' + n / 10 % 10);
	p[1] = (char)('0' + n % 10);
}

bool date_append_imap(struct buf *b, struct date d)
{
	/* Made by hand: a FETCH of a mailbox writes a hundred thousand of them. */
	char text[] = "\" 1-Jan-1970 00:00:00 +0000\"";
	unsigned zone = (unsigned)(d.zone_min < 0 ? -d.zone_min : d.zone_min);
	struct date_civil c;

	date_to_civil(d, &c);
	put_2(text + 1, (unsigned)c.day);
	if (c.day < 10)
		text[1] = ' ';
	memcpy(text + 4, month_names + 3 * (size_t)(c.month - 1), 3);
	put_2(text + 8, (unsigned)c.year / 100);
	put_2(text + 10, (unsigned)c.year % 100);
	put_2(text + 13, (unsigned)c.hour);
	put_2(text + 16, (unsigned)c.minute);
	put_2(text + 19, (unsigned)c.second);
	text[22] = d.zone_min < 0 ? '-' : '+';
	put_2(text + 23, zone / 60);
	put_2(text + 25, zone % 60);
	return buf_append(b, sv_from(text, sizeof(text) - 1));
}
