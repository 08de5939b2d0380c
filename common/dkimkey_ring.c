/* DKIM keys in memory, for signing. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "common/date.h"
#include "common/dkimkey_private.h"
#include "common/log.h"
#include "common/memory.h"

#include "common/banned.h"

#define CACHED_MAX 256          /* domains */
#define SETTLE_S 2              /* a folder that changed just now may change again without its time moving */

/* One domain's keys as the folder had them at a time; also that it has none. */
struct cached {
	struct dkimkey_set set;
	struct cached *next;
	struct timespec changed;        /* of the folder */
	uint32_t users;
	bool is_settled;
	bool is_gone;                   /* out of the list: freed by its last user */
};

struct dkimkeys {
	pthread_mutex_t lock;
	char *dir;
	struct cached *cached;
	size_t count;
};

struct dkimkeys *dkimkeys_new(const char *dir)
{
	struct dkimkeys *keys = xcalloc(1, sizeof(*keys));

	pthread_mutex_init(&keys->lock, NULL);
	keys->dir = xstrdup(dir);
	return keys;
}

static void cached_free(struct cached *c)
{
	for (size_t i = 0; i < c->set.count; i++)
		crypt_private_free(&c->set.keys[i].key);
	free(c);
}

/* forget - out of the list; at once, or by its last user. */
static void forget(struct dkimkeys *keys, struct cached **at)
{
	struct cached *c = *at;

	*at = c->next;
	keys->count--;
	c->is_gone = true;
	if (!c->users)
		cached_free(c);
}

void dkimkeys_free(struct dkimkeys **pkeys)
{
	struct dkimkeys *keys = *pkeys;

	*pkeys = NULL;
	if (!keys)
		return;
	while (keys->cached)
		forget(keys, &keys->cached);
	pthread_mutex_destroy(&keys->lock);
	free(keys->dir);
	free(keys);
}

struct loading {
	const char *dir;
	struct cached *cached;
};

/* take - an active key; RSA goes first, since there are readers who look at one signature only. */
static bool take(void *arg, const struct dkimkey *key)
{
	struct loading *l = arg;
	struct dkimkey_set *set = &l->cached->set;
	struct dkimkey_signer *at = &set->keys[set->count];
	struct fault f;

	if (key->state != DKIMKEY_ACTIVE || set->count == DKIMKEY_SIGNERS_MAX)
		return true;
	f = dkimkey_load(l->dir, sv_z(key->domain), key->selector, &at->key);
	if (f.kind) {
		log_error(NULL, "dkim.key", KV_Z("domain", key->domain), KV_Z("selector", key->selector), KV_FAULT("fault", f));
		return true;
	}
	snprintf(at->selector, sizeof(at->selector), "%s", key->selector);
	set->count++;
	if (set->count > 1 && crypt_private_type(at->key) == CRYPT_RSA &&
	    crypt_private_type(set->keys[0].key) != CRYPT_RSA) {
		struct dkimkey_signer first = set->keys[0];

		set->keys[0] = *at;
		*at = first;
	}
	return true;
}

static struct cached *load(struct dkimkeys *keys, struct sv domain, struct timespec changed)
{
	struct cached *c = xcalloc(1, sizeof(*c));
	struct loading l = { keys->dir, c };
	struct fault f;

	c->changed = changed;
	c->is_settled = date_now().seconds > (int64_t)changed.tv_sec + SETTLE_S;
	for (size_t i = 0; i < domain.len; i++)
		c->set.domain[i] = ascii_lower(domain.p[i]);
	f = dkimkey_list(keys->dir, domain, take, &l);
	if (f.kind)
		log_error(NULL, "dkim.key", KV_SV("domain", domain), KV_FAULT("fault", f));
	return c;
}

/* find - what is cached and still true; what is not goes. */
static struct cached *find(struct dkimkeys *keys, struct sv domain, struct timespec changed)
{
	for (struct cached **at = &keys->cached; *at;) {
		struct cached *c = *at;

		if (c->changed.tv_sec != changed.tv_sec || c->changed.tv_nsec != changed.tv_nsec || !c->is_settled) {
			forget(keys, at);
			continue;
		}
		if (sv_eq_nocase(sv_z(c->set.domain), domain))
			return c;
		at = &c->next;
	}
	return NULL;
}

static void add(struct dkimkeys *keys, struct cached *c)
{
	struct cached **last = &keys->cached;

	while (keys->count >= CACHED_MAX && (*last)->next)
		last = &(*last)->next;
	if (keys->count >= CACHED_MAX)
		forget(keys, last);
	c->next = keys->cached;
	keys->cached = c;
	keys->count++;
}

/* get - of just this domain. The lock is held. */
static struct cached *get(struct dkimkeys *keys, struct sv domain)
{
	struct cached *c;
	struct stat st;

	if (domain.len > ADDRESS_DOMAIN_MAX || stat(keys->dir, &st) != 0)
		return NULL;
	c = find(keys, domain, st.st_mtim);
	if (!c) {
		c = load(keys, domain, st.st_mtim);
		add(keys, c);
	}
	return c->set.count ? c : NULL;
}

const struct dkimkey_set *dkimkeys_hold(struct dkimkeys *keys, struct sv domain)
{
	struct cached *c = NULL;

	pthread_mutex_lock(&keys->lock);
	while (!c && domain.len) {
		size_t dot = sv_find(domain, '.');

		c = get(keys, domain);
		sv_skip(&domain, dot == SIZE_MAX ? domain.len : dot + 1);
	}
	if (c)
		c->users++;
	pthread_mutex_unlock(&keys->lock);
	return c ? &c->set : NULL;
}

void dkimkeys_release(struct dkimkeys *keys, const struct dkimkey_set **set)
{
	struct cached *c;

	if (!*set)
		return;
	c = CONTAINER_OF(*set, struct cached, set);
	*set = NULL;
	pthread_mutex_lock(&keys->lock);
	if (!--c->users && c->is_gone)
		cached_free(c);
	pthread_mutex_unlock(&keys->lock);
}
