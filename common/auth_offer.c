#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/auth_private.h"

#include "common/banned.h"

/* More keys than this are not remembered: then every key may be one. */
#define KEYS_MAX 4096

/* A look reads all accounts. One that cost more than this is not done again for so many times as long, however often the directory is
 * changed meanwhile: on the day after an upgrade each login may change it. */
#define REST_COST_US 5000
#define REST_TIMES 20
#define REST_MAX_MS 60000

struct offer {
	struct directory *directory;
	pthread_mutex_t lock;           /* of looking; one at a time */
	char lacking[DIRECTORY_HASHES][DIRECTORY_ID_LEN + 1];   /* the account that is in the way of a hash */
	atomic_bool has_scram[DIRECTORY_HASHES];
	atomic_uint_fast64_t revision;  /* of the directory, when looked at; 0: never */
	atomic_uint_fast64_t rest_until_ms;
	uint64_t cost_us;               /* of the last look, with the lock */
	pthread_mutex_t keys_lock;      /* held for no longer than a search */
	struct buf keys;                /* sorted, CRYPT_SHA256_LEN octets each */
	bool has_all_keys;
};

struct offer *offer_new(struct directory *directory)
{
	struct offer *o = xcalloc(1, sizeof(*o));

	o->directory = directory;
	pthread_mutex_init(&o->lock, NULL);
	pthread_mutex_init(&o->keys_lock, NULL);
	buf_init(&o->keys, (size_t)KEYS_MAX * CRYPT_SHA256_LEN);
	offer_look(o);
	return o;
}

void offer_free(struct offer **at)
{
	struct offer *o = *at;

	if (!o)
		return;
	*at = NULL;
	pthread_mutex_destroy(&o->lock);
	pthread_mutex_destroy(&o->keys_lock);
	buf_done(&o->keys);
	free(o);
}

static void log_failed(struct fault f)
{
	if (f.kind)
		log_error(NULL, "auth.directory.failed", KV_FAULT("fault", f));
}

static void look_for_verifiers(struct offer *o)
{
	for (size_t hash = 0; hash < DIRECTORY_HASHES; hash++) {
		bool lacks = true;

		log_failed(directory_lacks_verifier(o->directory, (enum crypt_hash)hash, o->lacking[hash], &lacks));
		atomic_store_explicit(&o->has_scram[hash], !lacks, memory_order_relaxed);
	}
}

static void look_for_keys(struct offer *o)
{
	struct buf keys, was;

	buf_init(&keys, (size_t)KEYS_MAX * CRYPT_SHA256_LEN);
	struct fault f = directory_certificate_keys(o->directory, &keys);

	if (f.kind != FAULT_LIMIT)
		log_failed(f);
	pthread_mutex_lock(&o->keys_lock);
	was = o->keys;
	o->keys = keys;
	o->has_all_keys = !f.kind;
	pthread_mutex_unlock(&o->keys_lock);
	buf_done(&was);
}

static uint64_t clock_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void offer_rest(struct offer *o, uint64_t cost_us)
{
	uint64_t rest_ms = cost_us < REST_COST_US ? 0 : cost_us * REST_TIMES / 1000;

	rest_ms = rest_ms > REST_MAX_MS ? REST_MAX_MS : rest_ms;
	atomic_store(&o->rest_until_ms, rest_ms ? clock_us(CLOCK_MONOTONIC) / 1000 + rest_ms : 0);
}

void offer_look(struct offer *o)
{
	if (!offer_is_old(o) || clock_us(CLOCK_MONOTONIC) / 1000 < atomic_load(&o->rest_until_ms))
		return;
	pthread_mutex_lock(&o->lock);
	uint64_t revision = directory_revision_wait(o->directory);

	if (atomic_load(&o->revision) != revision) {
		uint64_t began_us = clock_us(CLOCK_THREAD_CPUTIME_ID);

		offer_rest(o, o->cost_us);      /* nobody need wait for us if it takes long again */
		look_for_verifiers(o);
		look_for_keys(o);
		atomic_store(&o->revision, revision);
		o->cost_us = clock_us(CLOCK_THREAD_CPUTIME_ID) - began_us;
		offer_rest(o, o->cost_us);
	}
	pthread_mutex_unlock(&o->lock);
}

bool offer_is_old(const struct offer *o)
{
	uint64_t revision = directory_revision(o->directory);

	return !revision || atomic_load(&o->revision) != revision;      /* not known just now: perhaps */
}

bool offer_has_scram(const struct offer *o, enum crypt_hash hash)
{
	return atomic_load_explicit(&o->has_scram[hash], memory_order_relaxed);
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, CRYPT_SHA256_LEN);
}

bool offer_has_key(const struct offer *offer, const uint8_t key[CRYPT_SHA256_LEN])
{
	struct offer *o = (struct offer *)offer;        /* its lock is no part of what it says */

	if (offer_is_old(o))
		return true;
	pthread_mutex_lock(&o->keys_lock);
	bool has = !o->has_all_keys || (o->keys.len && bsearch(key, o->keys.p, o->keys.len / CRYPT_SHA256_LEN, CRYPT_SHA256_LEN, compare_keys));
	pthread_mutex_unlock(&o->keys_lock);
	return has;
}
