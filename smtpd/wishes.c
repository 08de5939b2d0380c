#include "smtpd/wishes.h"

#include <stdio.h>

#include "common/date.h"

#include "common/banned.h"

bool wishes_hold_for(struct sv value, uint64_t *seconds)
{
	/* RFC 4865 §3: 1 to 9 digits, not all of them 0. */
	return value.len <= 9 && sv_to_u64(value, seconds) && *seconds;
}

static bool number(struct sv text, size_t from, size_t len, int *out)
{
	uint32_t n;

	if (!sv_to_u32(sv_sub(text, from, len), &n) || n > 9999)
		return false;
	*out = (int)n;
	return true;
}

/* zone_of - "Z", "+01:00". */
static bool zone_of(struct sv text, int32_t *minutes)
{
	int h, m;

	*minutes = 0;
	if (sv_eq_nocase(text, SV("Z")))
		return true;
	if (text.len != 6 || (*text.p != '+' && *text.p != '-') || text.p[3] != ':' || !number(text, 1, 2, &h) ||
	    !number(text, 4, 2, &m) || h > 23 || m > 59)
		return false;
	*minutes = (*text.p == '-' ? -1 : 1) * (h * 60 + m);
	return true;
}

/* "2026-12-24T18:00:00Z" (RFC 3339 §5.6, without fractions: RFC 4865 §3). */
bool wishes_hold_until(struct sv value, int64_t *at_s)
{
	struct date_civil c = { .weekday = 0 };
	struct date d;
	int32_t zone;

	if (value.len < 20 || value.p[4] != '-' || value.p[7] != '-' || (value.p[10] != 'T' && value.p[10] != 't') ||
	    value.p[13] != ':' || value.p[16] != ':' || !number(value, 0, 4, &c.year) || !number(value, 5, 2, &c.month) ||
	    !number(value, 8, 2, &c.day) || !number(value, 11, 2, &c.hour) || !number(value, 14, 2, &c.minute) ||
	    !number(value, 17, 2, &c.second) || !zone_of(sv_sub(value, 19, SIZE_MAX), &zone) || !date_from_civil(&c, zone, &d))
		return false;
	*at_s = d.seconds;
	return true;
}

bool wishes_by(struct sv value, int64_t *seconds, bool *is_return, bool *is_trace)
{
	struct sv number_text;
	bool is_negative = value.len && *value.p == '-';
	uint64_t n;

	if (value.len && (*value.p == '-' || *value.p == '+'))
		sv_skip(&value, 1);
	if (!sv_split(&value, ';', &number_text) || number_text.len > 9 || !sv_to_u64(number_text, &n) || !value.len ||
	    value.len > 2)
		return false;
	*seconds = is_negative ? -(int64_t)n : (int64_t)n;
	*is_return = sv_eq_nocase(sv_sub(value, 0, 1), SV("R"));
	*is_trace = value.len == 2;
	return (*is_return || sv_eq_nocase(sv_sub(value, 0, 1), SV("N"))) &&
	       (!*is_trace || sv_eq_nocase(sv_sub(value, 1, 1), SV("T"))) && (!*is_return || *seconds > 0);
}

bool wishes_priority(struct sv value, int *priority)
{
	bool is_negative = value.len && *value.p == '-';

	if (is_negative)
		sv_skip(&value, 1);
	if (value.len != 1 || !ascii_is_digit(*value.p))
		return false;
	*priority = is_negative ? -(*value.p - '0') : *value.p - '0';
	return true;
}

struct wishes wishes_of(const struct envelope *e)
{
	struct wishes w = { .priority = 0 };
	struct sv value;
	uint64_t seconds;
	int64_t by;

	if (envelope_param(e->params, SV("HOLDFOR"), &value) && wishes_hold_for(value, &seconds)) {
		w.not_before_s = e->received_s + (int64_t)seconds;
		w.hold = value;
		snprintf(w.hold_kind, sizeof(w.hold_kind), "for");
	} else if (envelope_param(e->params, SV("HOLDUNTIL"), &value) && wishes_hold_until(value, &w.not_before_s)) {
		w.hold = value;
		snprintf(w.hold_kind, sizeof(w.hold_kind), "until");
	}
	if (envelope_param(e->params, SV("BY"), &value) && wishes_by(value, &by, &w.is_by_return, &w.is_by_trace)) {
		w.has_by = true;
		w.by_s = e->received_s + by;
	}
	if (envelope_param(e->params, SV("MT-PRIORITY"), &value) && !wishes_priority(value, &w.priority))
		w.priority = 0;
	return w;
}

unsigned wishes_level(int priority)
{
	return priority <= -4 ? 0 : priority <= -2 ? 1 : priority <= 0 ? 2 : priority <= 2 ? 3 : priority <= 4 ? 4 : 5;
}
