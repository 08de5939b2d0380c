#include <pthread.h>
#include <stdlib.h>

#include "common/auth_private.h"

#include "common/banned.h"

#define ENTRIES 8192            /* addresses remembered; beyond, the one that failed longest ago is forgotten */
#define BUCKETS 4096
#define MARKS 10
#define FORGET_MS (15 * 60 * 1000)

struct entry {
	struct entry *next;             /* in its bucket */
	struct entry *newer, *older;    /* by time of the last failure */
	uint64_t key;
	uint64_t last_ms;
	uint64_t marks[MARKS];          /* the last wrong passwords */
	unsigned mark_at;
	unsigned failures;
};

struct throttle {
	pthread_mutex_t lock;
	struct entry *buckets[BUCKETS];
	struct entry *newest, *oldest;
	size_t count;
};

struct throttle *throttle_new(void)
{
	struct throttle *t = xcalloc(1, sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void throttle_free(struct throttle **at)
{
	struct throttle *t = *at;

	if (!t)
		return;
	for (struct entry *e = t->newest, *older; e; e = older) {
		older = e->older;
		free(e);
	}
	pthread_mutex_destroy(&t->lock);
	free(t);
	*at = NULL;
}

static void unlink_entry(struct throttle *t, struct entry *e)
{
	*(e->newer ? &e->newer->older : &t->newest) = e->older;
	*(e->older ? &e->older->newer : &t->oldest) = e->newer;
	e->newer = e->older = NULL;
}

static void push_newest(struct throttle *t, struct entry *e)
{
	e->older = t->newest;
	*(t->newest ? &t->newest->newer : &t->oldest) = e;
	t->newest = e;
}

static void forget(struct throttle *t, struct entry *e)
{
	struct entry **at = &t->buckets[e->key % BUCKETS];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	unlink_entry(t, e);
	free(e);
	t->count--;
}

static struct entry *find(struct throttle *t, uint64_t key)
{
	struct entry *e = t->buckets[key % BUCKETS];

	while (e && e->key != key)
		e = e->next;
	return e;
}

static bool has_mark(const struct entry *e, uint64_t mark)
{
	for (unsigned i = 0; mark && i < MARKS; i++)
		if (e->marks[i] == mark)
			return true;
	return false;
}

uint32_t throttle_failure(struct throttle *t, const struct netaddr *address, uint64_t mark, uint64_t now_ms,
			  uint64_t first_ms, uint64_t most_ms)
{
	struct netaddr network = netaddr_cut(address, 32, 64);
	uint64_t key = sv_hash(sv_from((char *)network.ip, sizeof(network.ip))), delay = first_ms;

	pthread_mutex_lock(&t->lock);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see that forget() moves t->oldest on */
	while (t->oldest && (t->oldest->last_ms + FORGET_MS <= now_ms || t->count >= ENTRIES))
		forget(t, t->oldest);
	struct entry *e = find(t, key);

	if (e) {
		unlink_entry(t, e);
	} else {
		e = xcalloc(1, sizeof(*e));
		e->key = key;
		e->next = t->buckets[key % BUCKETS];
		t->buckets[key % BUCKETS] = e;
		t->count++;
	}
	push_newest(t, e);
	e->last_ms = now_ms;
	if (!has_mark(e, mark)) {
		e->failures++;
		if (mark)
			e->marks[e->mark_at++ % MARKS] = mark;
	}
	for (unsigned i = 1; i < e->failures && delay < most_ms; i++)
		delay *= 2;
	pthread_mutex_unlock(&t->lock);
	if (delay > most_ms)
		delay = most_ms;
	return delay > UINT32_MAX ? UINT32_MAX : (uint32_t)delay;
}

size_t throttle_count(struct throttle *t)
{
	pthread_mutex_lock(&t->lock);
	size_t count = t->count;
	pthread_mutex_unlock(&t->lock);
	return count;
}
