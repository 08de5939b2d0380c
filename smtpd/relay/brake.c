#include "smtpd/relay/brake.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

struct user {
	uint64_t hash;                  /* 0: free */
	char *name;                     /* lives as long as the place is his */
	uint64_t used;                  /* when, in notes */
	uint64_t failed;                /* a bit per recipient, the newest is the lowest */
	unsigned count;
};

struct brake {
	pthread_mutex_t lock;
	uint64_t notes, written;        /* so many when they were written down */
	struct user users[BRAKE_USERS];
};

struct brake *brake_new(void)
{
	struct brake *b = xcalloc(1, sizeof(*b));

	pthread_mutex_init(&b->lock, NULL);
	return b;
}

void brake_free(struct brake **b)
{
	if (!*b)
		return;
	pthread_mutex_destroy(&(*b)->lock);
	for (size_t i = 0; i < BRAKE_USERS; i++)
		free((*b)->users[i].name);
	free(*b);
	*b = NULL;
}

/* user_of - his place, or that of who was silent for longest. */
static struct user *user_of(struct brake *b, struct sv name)
{
	uint64_t hash = sv_hash(name) | 1;
	struct user *oldest = &b->users[0];

	for (size_t i = 0; i < BRAKE_USERS; i++) {
		if (b->users[i].hash == hash)
			return &b->users[i];
		if (b->users[i].used < oldest->used)
			oldest = &b->users[i];
	}
	free(oldest->name);
	*oldest = (struct user){ .hash = hash, .name = sv_copy_z(name) };
	return oldest;
}

unsigned brake_note(struct brake *b, struct sv user, bool has_failed, unsigned percent)
{
	const uint64_t window = ((uint64_t)1 << BRAKE_RCPTS) - 1;
	unsigned failed;
	struct user *u;

	pthread_mutex_lock(&b->lock);
	u = user_of(b, user);
	u->used = ++b->notes;
	u->failed = (u->failed << 1 | has_failed) & window;
	if (u->count < BRAKE_RCPTS)
		u->count++;
	failed = (unsigned)__builtin_popcountll(u->failed);
	if (u->count < BRAKE_RCPTS || failed * 100 < percent * BRAKE_RCPTS)
		failed = 0;
	else
		*u = (struct user){ .hash = u->hash, .name = u->name, .used = u->used };
	pthread_mutex_unlock(&b->lock);
	return failed;
}

bool brake_write(struct brake *b, struct buf *out)
{
	bool fits = true;

	pthread_mutex_lock(&b->lock);
	if (b->written == b->notes)
		fits = false;
	for (size_t i = 0; i < BRAKE_USERS && fits; i++) {
		const struct user *u = &b->users[i];

		if (u->hash && u->count)
			fits = buf_appendf(out, "%llu %u %llx %s\n", (unsigned long long)u->used, u->count, (unsigned long long)u->failed, u->name);
	}
	if (fits)
		b->written = b->notes;
	pthread_mutex_unlock(&b->lock);
	return fits;
}

void brake_read(struct brake *b, struct sv text)
{
	struct sv line, used, count, failed;
	uint64_t when, bits;
	uint32_t n;

	pthread_mutex_lock(&b->lock);
	while (sv_split(&text, '\n', &line)) {
		struct user *u;

		if (!sv_split(&line, ' ', &used) || !sv_split(&line, ' ', &count) || !sv_split(&line, ' ', &failed) || !line.len ||
		    !sv_to_u64(used, &when) || when >= UINT64_MAX / 2 || !sv_to_u32(count, &n) || !n || n > BRAKE_RCPTS ||
		    !sv_hex_to_u64(failed, &bits))
			continue;
		u = user_of(b, line);
		if (u->count)
			continue;
		u->count = n;
		u->failed = bits & (((uint64_t)1 << n) - 1);
		u->used = when;
		if (when > b->notes)
			b->notes = b->written = when;
	}
	pthread_mutex_unlock(&b->lock);
}
