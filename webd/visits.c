#include "webd/visits.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

struct place {
	bool is_taken, has_secret;
	uint8_t digest[CRYPT_HASH_MAX];         /* of the token */
	struct visit who;
	uint64_t began_ms, seen_ms;
	struct visit_secret secret;
};

struct visits {
	pthread_mutex_t lock;
	struct place places[VISITS_MAX];
};

struct visits *visits_new(void)
{
	struct visits *v = xcalloc(1, sizeof(*v));

	pthread_mutex_init(&v->lock, NULL);
	return v;
}

void visits_free(struct visits **at)
{
	struct visits *v = *at;

	*at = NULL;
	if (!v)
		return;
	pthread_mutex_destroy(&v->lock);
	secret_wipe(v, sizeof(*v));
	free(v);
}

static bool is_over(const struct place *p, uint64_t now_ms)
{
	/* Another thread may have looked at the clock later, and been here first. */
	return now_ms >= p->seen_ms + VISIT_IDLE_MS || now_ms >= p->began_ms + VISIT_LIFE_MS;
}

static void leave(struct place *p)
{
	secret_wipe(p, sizeof(*p));
}

/* With the lock. */
static struct place *find(struct visits *v, struct sv token)
{
	uint8_t digest[CRYPT_HASH_MAX] = { 0 };

	if (token.len != VISIT_TOKEN_LEN)
		return NULL;
	crypt_digest(CRYPT_SHA256, token, digest);
	for (size_t i = 0; i < VISITS_MAX; i++)
		if (v->places[i].is_taken && memcmp(v->places[i].digest, digest, CRYPT_SHA256_LEN) == 0)
			return &v->places[i];
	return NULL;
}

/* A place for one more of this account: its own that was left alone for longest when it has as many as it may, else a free one, else
 * anybody's. */
static struct place *make_room(struct visits *v, struct sv account, uint64_t now_ms)
{
	struct place *own = NULL, *free_one = NULL, *any = NULL;
	size_t own_count = 0;

	for (size_t i = 0; i < VISITS_MAX; i++) {
		struct place *p = &v->places[i];

		if (p->is_taken && is_over(p, now_ms))
			leave(p);
		if (!p->is_taken) {
			free_one = free_one ? free_one : p;
			continue;
		}
		if (!any || p->seen_ms < any->seen_ms)
			any = p;
		if (!sv_eq(sv_z(p->who.account), account))
			continue;
		own_count++;
		if (!own || p->seen_ms < own->seen_ms)
			own = p;
	}
	return own_count >= VISITS_PER_ACCOUNT ? own : free_one ? free_one : any;
}

void visits_begin(struct visits *v, const struct visit *who, uint64_t now_ms, char token[VISIT_TOKEN_LEN + 1])
{
	struct place *p;

	crypt_random_text(token, VISIT_TOKEN_LEN);
	pthread_mutex_lock(&v->lock);
	p = make_room(v, sv_z(who->account), now_ms);
	leave(p);
	p->is_taken = true;
	p->who = *who;
	p->began_ms = p->seen_ms = now_ms;
	crypt_digest(CRYPT_SHA256, sv_from(token, VISIT_TOKEN_LEN), p->digest);
	pthread_mutex_unlock(&v->lock);
}

bool visits_find(struct visits *v, struct sv token, uint64_t now_ms, struct visit *out)
{
	struct place *p;
	bool is_there;

	pthread_mutex_lock(&v->lock);
	p = find(v, token);
	if (p && is_over(p, now_ms)) {
		leave(p);
		p = NULL;
	}
	is_there = p != NULL;
	if (p) {
		p->seen_ms = now_ms;
		*out = p->who;
	}
	pthread_mutex_unlock(&v->lock);
	return is_there;
}

void visits_end(struct visits *v, struct sv token)
{
	struct place *p;

	pthread_mutex_lock(&v->lock);
	p = find(v, token);
	if (p)
		leave(p);
	pthread_mutex_unlock(&v->lock);
}

/* With the lock. */
static size_t end_all_but(struct visits *v, struct sv account, const struct place *stays)
{
	size_t ended = 0;

	for (size_t i = 0; i < VISITS_MAX; i++)
		if (v->places[i].is_taken && &v->places[i] != stays && sv_eq(sv_z(v->places[i].who.account), account)) {
			leave(&v->places[i]);
			ended++;
		}
	return ended;
}

size_t visits_end_account(struct visits *v, struct sv account)
{
	size_t ended;

	pthread_mutex_lock(&v->lock);
	ended = end_all_but(v, account, NULL);
	pthread_mutex_unlock(&v->lock);
	return ended;
}

void visits_end_others(struct visits *v, struct sv account, struct sv token)
{
	pthread_mutex_lock(&v->lock);
	(void)end_all_but(v, account, find(v, token));
	pthread_mutex_unlock(&v->lock);
}

void visits_leave(struct visits *v, struct sv token, const struct visit_secret *secret)
{
	struct place *p;

	pthread_mutex_lock(&v->lock);
	p = find(v, token);
	if (p) {
		p->secret = *secret;
		p->has_secret = true;
	}
	pthread_mutex_unlock(&v->lock);
}

bool visits_take(struct visits *v, struct sv token, struct visit_secret *out)
{
	struct place *p;
	bool has;

	pthread_mutex_lock(&v->lock);
	p = find(v, token);
	has = p && p->has_secret;
	if (has) {
		*out = p->secret;
		secret_wipe(&p->secret, sizeof(p->secret));
		p->has_secret = false;
	}
	pthread_mutex_unlock(&v->lock);
	return has;
}

size_t visits_count(struct visits *v, uint64_t now_ms)
{
	size_t count = 0;

	pthread_mutex_lock(&v->lock);
	for (size_t i = 0; i < VISITS_MAX; i++)
		count += v->places[i].is_taken && !is_over(&v->places[i], now_ms);
	pthread_mutex_unlock(&v->lock);
	return count;
}
