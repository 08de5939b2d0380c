/* common/date.h - dates of mail: RFC 5322 §3.3 and §4.3, IMAP date and date-time (RFC 3501 §9).
 * Years 1 to 9999, proleptic Gregorian. No libc locale or time zone function is used.
 * Pure: no I/O, any thread, total on any octets. */
#ifndef COMMON_DATE_H
#define COMMON_DATE_H

#include "common/bytes.h"

/* A moment and the zone it was written in. */
struct date {
	int64_t seconds;        /* since 1970-01-01 00:00:00 UTC, may be negative */
	int32_t zone_min;       /* minutes east of UTC, -1439 to 1439 */
};

struct date_civil {
	int year;               /* 1 to 9999 */
	int month, day;         /* from 1 */
	int hour, minute, second;
	int weekday;            /* 0 Sunday to 6; ignored by date_from_civil */
};

/** date_now - the host's clock, zone UTC. (The one impure function here.) */
struct date date_now(void);
/** date_from_civil - false when a field is out of its range. A second of 60 counts as 59. zone_min as in struct date. */
bool date_from_civil(const struct date_civil *c, int32_t zone_min, struct date *out);
/** date_to_civil - the wall clock of the date's own zone, cut to years 1-9999. */
void date_to_civil(struct date d, struct date_civil *out);

/** date_parse_5322 - "Fri, 21 Nov 1997 09:55:06 -0600 (comment)". Taken too: no day of week or a wrong one, comments
 *  and folding anywhere, no seconds, 2- and 3-digit years, named and military zones, a missing zone (UTC), asctime order
 *  (Fri Nov 21 09:55:06 1997), text behind a complete date. False for anything without a whole date and time. */
bool date_parse_5322(struct sv text, struct date *out);
/** date_append_5322 - "Fri, 21 Nov 1997 09:55:06 -0600". False when the buffer's max would be passed. */
bool date_append_5322(struct buf *b, struct date d);

/** date_append_imap - IMAP date-time with its quotes: "17-Jul-1996 02:44:25 -0700"; the day has two places. */
bool date_append_imap(struct buf *b, struct date d);
/** date_parse_imap - an IMAP date-time without its quotes; the day may be " 7", "07" or "7". */
bool date_parse_imap(struct sv text, struct date *out);
/** date_parse_imap_day - an IMAP date, "1-Feb-1994" or "01-Feb-1994", to days since 1970-01-01. */
bool date_parse_imap_day(struct sv text, int64_t *day);
/** date_day - the day of the date's own wall clock, in days since 1970-01-01: SINCE, ON and BEFORE disregard time and
 *  zone (RFC 3501 §6.4.4). */
int64_t date_day(struct date d);

#endif
