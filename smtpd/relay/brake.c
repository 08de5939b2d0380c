#include "smtpd/relay/brake.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

struct user {
	uint64_t hash;                  /* 0: free */
	uint64_t used;                  /* when, in notes */
	uint64_t failed;                /* a bit per recipient, the newest is the lowest */
	unsigned count;
};

struct brake {
	pthread_mutex_t lock;
	uint64_t notes;
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
	*oldest = (struct user){ .hash = hash };
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
		*u = (struct user){ .hash = u->hash, .used = u->used };
	pthread_mutex_unlock(&b->lock);
	return failed;
}
