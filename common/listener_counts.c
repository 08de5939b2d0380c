#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/listener.h"
#include "common/listener_private.h"
#include "common/memory.h"

#include "common/banned.h"

/* The memory is a head and one part per worker. A worker writes its own part only, so there are no
 * locks to be held by the dead; a count is the sum over all parts. A part has two tables of buckets
 * of eight: a key is looked for in one bucket, and a slot whose count is used up may be taken by
 * another key. Pages that nobody touched take no memory. */

#define MAGIC 0x706f7374726f6f6dull     /* "postroom" */
#define BUCKET 8
#define STRANGER_SLOTS (32u << 10) /* for 8192 strangers under two keys each, half full at most */
#define RATE_SLOTS (16u << 10)

struct slot {
	_Atomic uint64_t key;
	_Atomic uint32_t count;
	_Atomic uint32_t minute;        /* COUNT_RATE: the count is of this minute */
};

struct part {
	_Atomic uint32_t strangers;
	struct slot slots[STRANGER_SLOTS + RATE_SLOTS];
};

struct head {
	uint64_t magic;
	uint8_t hash_key[32];
	_Atomic uint32_t parts;         /* workers that there have been: numbers below it */
};

struct listener_counts {
	int fd;
	struct head *head;
	struct part *parts;
	struct part *mine;
	uint32_t minute;
};

#define HEAD_SIZE 4096
#define MEMORY_SIZE (HEAD_SIZE + LISTENER_WORKERS_MAX * sizeof(struct part))

static struct fault map(int fd, struct listener_counts **out)
{
	char *memory =
		mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (memory == MAP_FAILED) {
		struct fault f = fault_errno("map", "connection counters");
		close(fd);
		return f;
	}
	struct listener_counts *counts = xcalloc(1, sizeof(*counts));

	counts->fd = fd;
	counts->head = (struct head *)(void *)memory;
	counts->parts = (struct part *)(void *)(memory + HEAD_SIZE);
	*out = counts;
	return FAULT_OK;
}

struct fault counts_new(struct listener_counts **out)
{
	int fd = memfd_create("postroom-connections", MFD_CLOEXEC);

	if (fd < 0)
		return fault_errno("create", "connection counters");
	if (ftruncate(fd, (off_t)MEMORY_SIZE)) {
		struct fault f = fault_errno("size", "connection counters");
		close(fd);
		return f;
	}
	struct fault f = map(fd, out);

	if (f.kind)
		return f;
	(*out)->head->magic = MAGIC;
	crypt_random((*out)->head->hash_key, sizeof((*out)->head->hash_key));
	return FAULT_OK;
}

static void be_worker(struct listener_counts *counts, unsigned worker)
{
	counts->mine = &counts->parts[worker];
	/* Given back to the kernel, which has zeroes instead. */
	if (fallocate(counts->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)(HEAD_SIZE + worker * sizeof(struct part)),
		      (off_t)sizeof(struct part)))
		memset((void *)counts->mine, 0, sizeof(*counts->mine));
	uint32_t parts = atomic_load(&counts->head->parts);

	while (parts < worker + 1 &&
	       !atomic_compare_exchange_weak(&counts->head->parts, &parts, worker + 1))
		continue;
}

struct fault counts_open(int fd, unsigned worker, struct listener_counts **out)
{
	struct stat st;

	if (worker >= LISTENER_WORKERS_MAX || fstat(fd, &st) || st.st_size != (off_t)MEMORY_SIZE) {
		close(fd);
		return fault(FAULT_INVALID, "not the connection counters");
	}
	struct fault f = map(fd, out);

	if (f.kind)
		return f;
	struct listener_counts *counts = *out;

	if (counts->head->magic != MAGIC) {
		counts_free(out);
		return fault(FAULT_INVALID, "not the connection counters");
	}
	be_worker(counts, worker);
	return FAULT_OK;
}

void counts_begin(struct listener_counts *counts)
{
	if (!counts->mine)
		be_worker(counts, 0);
}

void counts_free(struct listener_counts **pc)
{
	struct listener_counts *counts = *pc;

	if (!counts)
		return;
	munmap(counts->head, MEMORY_SIZE);
	close(counts->fd);
	free(counts);
	*pc = NULL;
}

int counts_fd(const struct listener_counts *counts)
{
	return counts->fd;
}

uint64_t counts_key(const struct listener_counts *counts, const struct netaddr *a)
{
	uint8_t hash[CRYPT_HASH_MAX];
	uint64_t key;
	struct sv secret =
		sv_from((const char *)counts->head->hash_key, sizeof(counts->head->hash_key));

	/* Keyed, so that nobody can choose addresses that meet in one bucket. */
	crypt_hmac(CRYPT_SHA256, secret, sv_from((const char *)a->ip, sizeof(a->ip)), hash);
	memcpy(&key, hash, sizeof(key));
	return key ? key : 1;
}

static const struct slot *bucket_of(const struct part *part, enum count_table table, uint64_t key)
{
	size_t slots = table == COUNT_RATE ? RATE_SLOTS : STRANGER_SLOTS;
	size_t first = table == COUNT_RATE ? STRANGER_SLOTS : 0;

	return &part->slots[first + (key % (slots / BUCKET)) * BUCKET];
}

/* What a slot counts for key at present. */
static uint32_t value_of(const struct listener_counts *counts, const struct slot *slot,
			 enum count_table table)
{
	if (table == COUNT_RATE &&
	    atomic_load_explicit(&slot->minute, memory_order_relaxed) != counts->minute)
		return 0;
	return atomic_load_explicit(&slot->count, memory_order_relaxed);
}

uint32_t counts_get(const struct listener_counts *counts, enum count_table table, uint64_t key)
{
	uint32_t parts = atomic_load(&counts->head->parts), sum = 0;

	for (uint32_t w = 0; w < parts; w++) {
		const struct slot *bucket = bucket_of(&counts->parts[w], table, key);

		for (size_t i = 0; i < BUCKET; i++) {
			if (atomic_load_explicit(&bucket[i].key, memory_order_relaxed) == key) {
				sum += value_of(counts, &bucket[i], table);
				break;
			}
		}
	}
	return sum;
}

static struct slot *my_slot(struct listener_counts *counts, enum count_table table, uint64_t key)
{
	struct slot *bucket = (struct slot *)bucket_of(counts->mine, table, key);

	for (size_t i = 0; i < BUCKET; i++) {
		if (bucket[i].key == key)
			return &bucket[i];
	}
	return NULL;
}

bool counts_add(struct listener_counts *counts, enum count_table table, uint64_t key)
{
	struct slot *slot = my_slot(counts, table, key);

	if (!slot) {
		struct slot *bucket = (struct slot *)bucket_of(counts->mine, table, key);

		for (size_t i = 0; i < BUCKET && !slot; i++) {
			if (!value_of(counts, &bucket[i], table))
				slot = &bucket[i];
		}
		if (!slot)
			return false;
		slot->count = 0;
		slot->key = key;
	}
	if (table == COUNT_RATE && slot->minute != counts->minute) {
		slot->count = 0;
		slot->minute = counts->minute;
	}
	slot->count++;
	return true;
}

void counts_drop(struct listener_counts *counts, uint64_t key)
{
	struct slot *slot = my_slot(counts, COUNT_STRANGERS, key);

	if (!slot || !slot->count)
		BUG("a stranger left who never came");
	slot->count--;
}

uint32_t counts_total(const struct listener_counts *counts)
{
	uint32_t parts = atomic_load(&counts->head->parts), sum = 0;

	for (uint32_t w = 0; w < parts; w++)
		sum += atomic_load_explicit(&counts->parts[w].strangers, memory_order_relaxed);
	return sum;
}

void counts_total_add(struct listener_counts *counts, int n)
{
	counts->mine->strangers += (uint32_t)n;
}

void counts_set_minute(struct listener_counts *counts, uint32_t minute)
{
	counts->minute = minute;
}
