/* date and currentdate (RFC 5260). */
#include "common/sieve/sieve_private.h"

#include "common/banned.h"

enum date_part { DATE_NONE = 0, DATE_YEAR, DATE_MONTH, DATE_DAY, DATE_DATE, DATE_JULIAN, DATE_HOUR, DATE_MINUTE, DATE_SECOND,
	DATE_TIME, DATE_ISO8601, DATE_STD11, DATE_ZONE, DATE_WEEKDAY };

static enum date_part find_part(struct sv name)
{
	static const char *const names[] = { "", "year", "month", "day", "date", "julian", "hour", "minute", "second", "time",
					     "iso8601", "std11", "zone", "weekday" };

	for (size_t i = 1; i < ARRAY_LEN(names); i++)
		if (sv_eq_nocase(sv_z(names[i]), name))
			return (enum date_part)i;
	return DATE_NONE;
}

/* "+0130": minutes east of UTC. */
static bool parse_zone(struct sv text, int32_t *zone_min)
{
	uint32_t n;

	if (text.len != 5 || (*text.p != '+' && *text.p != '-') || !sv_to_u32(sv_sub(text, 1, 4), &n) || n % 100 > 59 || n > 2359)
		return false;
	*zone_min = (int32_t)(n / 100 * 60 + n % 100) * (*text.p == '-' ? -1 : 1);
	return true;
}

static void check(struct sieve_compiler *c, struct sieve_call *call, const struct sieve_arg *part)
{
	const struct sieve_arg *zone = sieve_arg_of(call, SLOT_ZONE);
	int32_t minutes;

	if (!part->is_dynamic && !find_part(part->strings[0]))
		sieve_complain(c, part->at, "a date has no part \"%.*s\"", SV_FMT(sv_sub(part->strings[0], 0, 40)));
	if (zone && zone->kind == ARG_STRING && !zone->is_dynamic && !parse_zone(zone->strings[0], &minutes))
		sieve_complain(c, zone->at, "a time zone is written like \"+0130\"");
}

void sieve_check_date(struct sieve_compiler *c, struct sieve_call *call)
{
	const struct sieve_arg *name = sieve_arg_of(call, SLOT_FIRST), *index = sieve_arg_of(call, SLOT_INDEX);

	if (!name->is_dynamic && !sieve_is_field_name(name->strings[0]))
		sieve_complain(c, name->at, "\"%.*s\" is no name of a header field", SV_FMT(sv_sub(name->strings[0], 0, 60)));
	if (index && !index->number)
		sieve_complain(c, index->at, "\":index\" counts from 1");
	if (sieve_arg_of(call, SLOT_LAST) && !index)
		sieve_complain(c, call->at, "\":last\" needs \":index\"");
	check(c, call, sieve_arg_of(call, SLOT_SECOND));
	sieve_check_match(c, call, SLOT_THIRD);
}

void sieve_check_currentdate(struct sieve_compiler *c, struct sieve_call *call)
{
	check(c, call, sieve_arg_of(call, SLOT_FIRST));
	sieve_check_match(c, call, SLOT_SECOND);
}

static void append_zone(struct buf *out, int32_t minutes, const char *between)
{
	char sign = minutes < 0 ? '-' : '+';

	minutes = minutes < 0 ? -minutes : minutes;
	(void)buf_appendf(out, "%c%02d%s%02d", sign, minutes / 60, between, minutes % 60);
}

static void append_part(struct buf *out, struct date d, enum date_part part)
{
	struct date_civil t;

	date_to_civil(d, &t);
	switch (part) {
	case DATE_NONE: break;
	case DATE_YEAR: (void)buf_appendf(out, "%04d", t.year); break;
	case DATE_MONTH: (void)buf_appendf(out, "%02d", t.month); break;
	case DATE_DAY: (void)buf_appendf(out, "%02d", t.day); break;
	case DATE_DATE: (void)buf_appendf(out, "%04d-%02d-%02d", t.year, t.month, t.day); break;
	case DATE_JULIAN:               /* the Modified Julian Day: 40587 is 1970-01-01 */
		(void)buf_appendf(out, "%lld", (long long)date_day(d) + 40587);
		break;
	case DATE_HOUR: (void)buf_appendf(out, "%02d", t.hour); break;
	case DATE_MINUTE: (void)buf_appendf(out, "%02d", t.minute); break;
	case DATE_SECOND: (void)buf_appendf(out, "%02d", t.second); break;
	case DATE_TIME: (void)buf_appendf(out, "%02d:%02d:%02d", t.hour, t.minute, t.second); break;
	case DATE_ISO8601:
		(void)buf_appendf(out, "%04d-%02d-%02dT%02d:%02d:%02d", t.year, t.month, t.day, t.hour, t.minute, t.second);
		if (d.zone_min)
			append_zone(out, d.zone_min, ":");
		else            /* RFC 5260 §4.2: an offset of zero is "Z" */
			(void)buf_append_c(out, 'Z');
		break;
	case DATE_STD11: (void)date_append_5322(out, d); break;
	case DATE_ZONE: append_zone(out, d.zone_min, ""); break;
	case DATE_WEEKDAY: (void)buf_appendf(out, "%d", t.weekday); break;
	}
}

static bool try_date(struct sieve_matcher *m, const struct sieve_call *c, struct date d, enum sieve_slot part_slot)
{
	const struct sieve_arg *zone = sieve_arg_of(c, SLOT_ZONE);
	enum date_part part = find_part(sieve_text(m->r, sieve_arg_of(c, part_slot), 0));

	if (!zone)                      /* RFC 5260 §4: the local one */
		d.zone_min = m->r->host->now.zone_min;
	else if (zone->kind == ARG_STRING && !parse_zone(sieve_text(m->r, zone, 0), &d.zone_min))
		return false;
	if (!part)
		return false;
	buf_clear(&m->r->value);
	append_part(&m->r->value, d, part);
	return sieve_matcher_try(m, buf_sv(&m->r->value));
}

bool sieve_test_date(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_fields *fields = sieve_message_fields(r);
	struct sieve_matcher m;
	struct sieve_walk walk;

	sieve_matcher_init(&m, r, c, SLOT_THIRD);
	sieve_walk_init(&walk, fields, sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0), c);
	for (uint32_t at; !r->has_failed && (at = sieve_walk_next(&walk)) != UINT32_MAX; ) {
		struct sv value = sieve_field_raw_value(&fields->list[at]);
		size_t behind = sv_rfind(value, ';');   /* Received: by x for y; date */
		struct date d;

		sieve_charge(r, value.len);
		if (behind != SIZE_MAX)
			sv_skip(&value, behind + 1);
		if (date_parse_5322(value, &d) && try_date(&m, c, d, SLOT_SECOND))
			break;
	}
	sieve_charge(r, fields->count);
	return sieve_matcher_end(&m);
}

bool sieve_test_currentdate(struct sieve_run *r, const struct sieve_call *c)
{
	struct sieve_matcher m;

	sieve_matcher_init(&m, r, c, SLOT_SECOND);
	(void)try_date(&m, c, r->host->now, SLOT_FIRST);
	return sieve_matcher_end(&m);
}
