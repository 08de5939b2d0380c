#include "smtpd/rates.h"

#include <stdlib.h>
#include <time.h>

#include "common/crypt.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/shared.h"

#include "common/banned.h"

#define MAGIC 0x7261746573303031ull     /* "rates001" */
#define MINUTE_MS 60000u
#define PROBES 8
#define IP_LEN 16
#define SECRET_LEN 16

/* Whatever is in a row is good: who dies while he writes one leaves a count that is wrong for a minute. */
struct row {
	uint8_t ip[IP_LEN];
	uint64_t minute;
	uint32_t now, before; /* in this minute, in the one before */
};

struct memory {
	struct shared_head head;
	uint8_t secret[SECRET_LEN];     /* so that nobody can choose addresses that meet in one place */
	struct row rows[RATES_KINDS][RATES_ROWS];
};

struct rates {
	struct memory *memory;
};

static void begin(void *memory)
{
	struct memory *m = memory;

	crypt_random(m->secret, sizeof(m->secret));
}

static const struct shared_kind kind_of_memory = { .magic = MAGIC, .size = sizeof(struct memory), .begin = begin };

struct fault rates_open(const char *path, struct rates **out)
{
	void *memory = NULL;
	struct fault f = FAULT_OK;

	if (path)
		f = shared_open(&kind_of_memory, path, true, &memory, NULL);
	else
		memory = shared_new(&kind_of_memory);
	if (f.kind)
		return f;
	*out = xcalloc(1, sizeof(**out));
	(*out)->memory = memory;
	return FAULT_OK;
}

struct rates *rates_open_instance(const struct instance *instance)
{
	char *path = instance_run_path(instance, "rates", "");
	struct rates *r = NULL;
	struct fault f = rates_open(path, &r);

	if (f.kind) {
		log_error(NULL, "rates.alone", KV_FAULT("fault", f));
		f = rates_open(NULL, &r);
		if (f.kind)
			BUG("rates: %s", f.detail);
	}
	free(path);
	return r;
}

void rates_free(struct rates **rates)
{
	void *memory;

	if (!*rates)
		return;
	memory = (*rates)->memory;
	shared_free(&kind_of_memory, &memory);
	free(*rates);
	*rates = NULL;
}

uint64_t rates_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* find - the row of an address; else the one of its places that was silent longest, emptied. */
static struct row *find(struct memory *m, enum rates_kind kind, const uint8_t ip[IP_LEN], uint64_t minute)
{
	struct row *rows = m->rows[kind], *oldest;
	uint8_t digest[CRYPT_HASH_MAX];
	uint64_t hash;

	/* sv_hash() has a key of each process; this one is of the memory. */
	crypt_hmac(CRYPT_SHA256, sv_from((const char *)m->secret, SECRET_LEN), sv_from((const char *)ip, IP_LEN), digest);
	memcpy(&hash, digest, sizeof(hash));
	oldest = &rows[hash % RATES_ROWS];
	for (size_t i = 0; i < PROBES; i++) {
		struct row *row = &rows[(hash + i) % RATES_ROWS];

		if (row->minute && !memcmp(row->ip, ip, IP_LEN))
			return row;
		if (row->minute < oldest->minute)
			oldest = row;
	}
	*oldest = (struct row){ .minute = minute };
	memcpy(oldest->ip, ip, IP_LEN);
	return oldest;
}

uint32_t rates_add(struct rates *rates, enum rates_kind kind, const struct netaddr *from, uint64_t now_ms, uint32_t n)
{
	struct memory *m = rates->memory;
	uint64_t minute = now_ms / MINUTE_MS + 1;
	uint64_t left = MINUTE_MS - now_ms % MINUTE_MS;
	uint32_t count;
	struct row *row;

	if (!shared_take(&m->head, RATES_WAIT_MS))
		return 0;
	row = find(m, kind, from->ip, minute);
	/* Somebody may have begun the next minute between our look at the clock and here. */
	if (row->minute < minute) {
		row->before = row->minute + 1 == minute ? row->now : 0;
		row->now = 0;
		row->minute = minute;
	}
	row->now = row->now > UINT32_MAX / 2 ? row->now : row->now + n;
	count = row->now + (uint32_t)((uint64_t)row->before * left / MINUTE_MS);
	shared_give(&m->head);
	return count;
}
