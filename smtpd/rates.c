#include "smtpd/rates.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

#define MINUTE_MS 60000u
#define PROBES 8

struct row {
	uint8_t ip[16];
	uint64_t minute;
	uint32_t now, before; /* in this minute, in the one before */
};

struct rates {
	struct row rows[RATES_ROWS];
};

struct rates *rates_new(void)
{
	return xcalloc(1, sizeof(struct rates));
}

void rates_free(struct rates **rates)
{
	free(*rates);
	*rates = NULL;
}

/* find - the row of an address; else the one of its places that was silent longest, emptied. */
static struct row *find(struct rates *r, const uint8_t ip[16], uint64_t minute)
{
	uint64_t hash = sv_hash(sv_from((const char *)ip, 16));
	struct row *oldest = &r->rows[hash % RATES_ROWS];

	for (size_t i = 0; i < PROBES; i++) {
		struct row *row = &r->rows[(hash + i) % RATES_ROWS];

		if (row->minute && !memcmp(row->ip, ip, 16))
			return row;
		if (row->minute < oldest->minute)
			oldest = row;
	}
	*oldest = (struct row){ .minute = minute };
	memcpy(oldest->ip, ip, 16);
	return oldest;
}

uint32_t rates_add(struct rates *rates, const struct netaddr *from, uint64_t now_ms, uint32_t n)
{
	uint64_t minute = now_ms / MINUTE_MS + 1;
	struct row *row = find(rates, from->ip, minute);
	uint64_t left = MINUTE_MS - now_ms % MINUTE_MS;

	if (row->minute != minute) {
		row->before = row->minute + 1 == minute ? row->now : 0;
		row->now = 0;
		row->minute = minute;
	}
	row->now = row->now > UINT32_MAX / 2 ? row->now : row->now + n;
	return row->now + (uint32_t)(row->before * left / MINUTE_MS);
}
