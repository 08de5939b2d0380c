#include "webd/offers.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

struct place {
	bool is_taken, is_used;
	uint8_t digest[CRYPT_HASH_MAX];         /* of the token */
	struct offer offer;
	uint64_t made_ms;
};

struct offers {
	pthread_mutex_t lock;
	struct place places[OFFERS_MAX];
};

struct offers *offers_new(void)
{
	struct offers *o = xcalloc(1, sizeof(*o));

	pthread_mutex_init(&o->lock, NULL);
	return o;
}

void offers_free(struct offers **at)
{
	struct offers *o = *at;

	*at = NULL;
	if (!o)
		return;
	pthread_mutex_destroy(&o->lock);
	free(o);
}

static bool is_over(const struct place *p, uint64_t now_ms)
{
	return now_ms >= p->made_ms + OFFER_LIFE_MS;
}

/* With the lock. NULL: no room, or the account has had as many as it may. */
static struct place *make_room(struct offers *o, struct sv account, uint64_t now_ms)
{
	struct place *room = NULL;
	size_t own = 0;

	for (size_t i = 0; i < OFFERS_MAX; i++) {
		struct place *p = &o->places[i];

		if (!p->is_taken || is_over(p, now_ms))
			room = p;
		else
			own += sv_eq(sv_z(p->offer.who.account), account);
	}
	return own < OFFERS_PER_ACCOUNT ? room : NULL;
}

bool offers_make(struct offers *o, const struct offer *offer, uint64_t now_ms, char token[OFFER_TOKEN_LEN + 1])
{
	struct place *p;

	crypt_random_text(token, OFFER_TOKEN_LEN);
	pthread_mutex_lock(&o->lock);
	p = make_room(o, sv_z(offer->who.account), now_ms);
	if (p) {
		*p = (struct place){ .is_taken = true, .offer = *offer, .made_ms = now_ms };
		crypt_digest(CRYPT_SHA256, sv_from(token, OFFER_TOKEN_LEN), p->digest);
	}
	pthread_mutex_unlock(&o->lock);
	return p;
}

bool offers_take(struct offers *o, struct sv token, uint64_t now_ms, struct offer *out)
{
	uint8_t digest[CRYPT_HASH_MAX] = { 0 };
	bool is_there = false;

	if (token.len != OFFER_TOKEN_LEN)
		return false;
	crypt_digest(CRYPT_SHA256, token, digest);
	pthread_mutex_lock(&o->lock);
	for (size_t i = 0; i < OFFERS_MAX && !is_there; i++) {
		struct place *p = &o->places[i];

		if (!p->is_taken || p->is_used || is_over(p, now_ms) || memcmp(p->digest, digest, CRYPT_SHA256_LEN) != 0)
			continue;
		is_there = p->is_used = true;
		*out = p->offer;
	}
	pthread_mutex_unlock(&o->lock);
	return is_there;
}

void offers_end_account(struct offers *o, struct sv account)
{
	pthread_mutex_lock(&o->lock);
	for (size_t i = 0; i < OFFERS_MAX; i++)
		if (o->places[i].is_taken && sv_eq(sv_z(o->places[i].offer.who.account), account))
			o->places[i].is_used = true;
	pthread_mutex_unlock(&o->lock);
}
