/* tests/fuzz/fuzz_date.c - any octets as each kind of date; what is read is written and read back as the same moment. */
#include <stdlib.h>

#include "common/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void back(struct date d)
{
	struct date again;
	struct date_civil c;
	struct buf b;

	date_to_civil(d, &c);
	if (c.year < 1 || c.year > 9999)
		abort();
	buf_init(&b, 64);
	if (!date_append_5322(&b, d) || !date_parse_5322(buf_sv(&b), &again) || again.seconds != d.seconds ||
	    again.zone_min != d.zone_min)
		abort();
	buf_clear(&b);
	if (!date_append_imap(&b, d) || b.len != 28 || !date_parse_imap(sv_sub(buf_sv(&b), 1, 26), &again) ||
	    again.seconds != d.seconds || again.zone_min != d.zone_min)
		abort();
	buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv text = { (const char *)data, size };
	struct date d;
	int64_t day;

	if (date_parse_5322(text, &d))
		back(d);
	if (date_parse_imap(text, &d))
		back(d);
	if (date_parse_imap_day(text, &day) && (day < -719162 || day > 2932896))
		abort();
	return 0;
}
