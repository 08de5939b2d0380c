#include "maildir/filter_cache.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/crypt.h"
#include "common/memory.h"

#include "common/banned.h"

/* A text that was included, as it was when the script was compiled. */
struct part {
	enum sieve_location where;
	char *name;
	bool is_there;
	uint8_t digest[CRYPT_SHA256_LEN];
};

struct filter_script {
	struct sieve_script *script;
	uint8_t digest[CRYPT_SHA256_LEN];
	char *owner;                    /* NULL: it includes nothing and is everybody's */
	struct part parts[SIEVE_INCLUDES_MAX];
	size_t part_count;
	size_t size;
	unsigned refs;                  /* one is the cache's; under the mutex */
	uint64_t used;                  /* the cache's clock */
	struct filter_script *next;
};

struct filter_cache {
	pthread_mutex_t mutex;
	struct filter_script *all;
	size_t count, octets;
	uint64_t clock, compiled;
};

struct filter_cache *filter_cache_new(void)
{
	struct filter_cache *c = xcalloc(1, sizeof(*c));

	pthread_mutex_init(&c->mutex, NULL);
	return c;
}

static void script_free(struct filter_script *s)
{
	sieve_script_free(&s->script);
	for (size_t i = 0; i < s->part_count; i++)
		free(s->parts[i].name);
	free(s->owner);
	free(s);
}

void filter_cache_free(struct filter_cache **cache)
{
	struct filter_cache *c = *cache;

	if (!c)
		return;
	while (c->all) {
		struct filter_script *s = c->all;

		c->all = s->next;
		script_free(s);
	}
	pthread_mutex_destroy(&c->mutex);
	free(c);
	*cache = NULL;
}

static void digest_of(struct sv text, uint8_t out[CRYPT_SHA256_LEN])
{
	uint8_t digest[CRYPT_HASH_MAX];

	(void)crypt_digest(CRYPT_SHA256, text, digest);
	memcpy(out, digest, CRYPT_SHA256_LEN);
}

/* ---- what is included ---- */

struct noting {
	const struct sieve_loader *loader;
	struct filter_script *script;
};

static bool load_part(const struct sieve_loader *loader, enum sieve_location where, struct sv name, struct buf *out)
{
	return loader && loader->load && loader->load(loader->arg, where, name, out);
}

static bool load_and_note(void *arg, enum sieve_location where, struct sv name, struct buf *out)
{
	struct noting *n = arg;
	struct filter_script *s = n->script;
	size_t start = out->len;
	bool is_there = load_part(n->loader, where, name, out);

	if (s->part_count < ARRAY_LEN(s->parts)) {
		struct part *p = &s->parts[s->part_count++];

		*p = (struct part){ .where = where, .name = sv_copy_z(name), .is_there = is_there };
		if (is_there)
			digest_of(sv_sub(buf_sv(out), start, SIZE_MAX), p->digest);
	}
	return is_there;
}

/* Are all included texts what they were? */
static bool is_fresh(const struct filter_script *s, const struct sieve_loader *loader)
{
	bool is_same = true;
	struct buf text;

	buf_init(&text, SIEVE_SCRIPT_MAX + 1);
	for (size_t i = 0; i < s->part_count && is_same; i++) {
		const struct part *p = &s->parts[i];
		uint8_t digest[CRYPT_SHA256_LEN];
		bool is_there;

		buf_clear(&text);
		is_there = load_part(loader, p->where, sv_z(p->name), &text);
		is_same = is_there == p->is_there;
		if (is_there && is_same) {
			digest_of(buf_sv(&text), digest);
			is_same = !memcmp(digest, p->digest, sizeof(digest));
		}
	}
	buf_done(&text);
	return is_same;
}

/* ---- the list: under the mutex ---- */

static void unref(struct filter_script *s)
{
	if (!--s->refs)
		script_free(s);
}

/* unlist - take it off the list, if it is there; the list's reference is the caller's then. Another thread may have been faster. */
static bool unlist(struct filter_cache *c, struct filter_script *s)
{
	struct filter_script **at = &c->all;

	while (*at && *at != s)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = s->next;
	c->count--;
	c->octets -= s->size;
	return true;
}

static struct filter_script *find(struct filter_cache *c, struct sv owner, const uint8_t digest[CRYPT_SHA256_LEN])
{
	struct filter_script *s = c->all;

	while (s && (memcmp(s->digest, digest, sizeof(s->digest)) || (s->owner && !sv_eq(sv_z(s->owner), owner))))
		s = s->next;
	if (s) {
		s->used = ++c->clock;
		s->refs++;
	}
	return s;
}

static void add(struct filter_cache *c, struct filter_script *s)
{
	s->next = c->all;
	s->used = ++c->clock;
	s->refs++;
	c->all = s;
	c->count++;
	c->octets += s->size;
	while (c->count > FILTER_CACHE_MAX || c->octets > FILTER_CACHE_OCTETS) {
		struct filter_script *oldest = c->all;

		for (struct filter_script *i = c->all; i; i = i->next)
			if (i->used < oldest->used)
				oldest = i;
		if (unlist(c, oldest))
			unref(oldest);
	}
}

/* ---- getting ---- */

static struct fault compile(struct sv owner, struct sv text, const struct sieve_loader *loader, struct filter_script **out,
			    struct sieve_errors *errors)
{
	struct filter_script *s = xcalloc(1, sizeof(*s));
	struct noting noting = { loader, s };
	struct sieve_loader noted = { load_and_note, &noting };
	struct fault f = sieve_compile(text, &noted, &s->script, errors);

	s->refs = 1;
	s->size = text.len;
	digest_of(text, s->digest);
	if (s->part_count)
		s->owner = sv_copy_z(owner);
	if (f.kind)
		script_free(s);
	else
		*out = s;
	return f;
}

struct fault filter_cache_get(struct filter_cache *c, struct sv owner, struct sv text, const struct sieve_loader *loader,
			      struct filter_script **out, struct sieve_errors *errors)
{
	uint8_t digest[CRYPT_SHA256_LEN];
	struct filter_script *s;
	struct fault f;

	digest_of(text, digest);
	pthread_mutex_lock(&c->mutex);
	s = find(c, owner, digest);
	pthread_mutex_unlock(&c->mutex);
	if (s && is_fresh(s, loader)) {
		*out = s;
		return FAULT_OK;
	}
	f = compile(owner, text, loader, out, errors);
	pthread_mutex_lock(&c->mutex);
	c->compiled++;
	if (s) {
		s->refs -= unlist(c, s);        /* ours is left */
		unref(s);
	}
	if (!f.kind)
		add(c, *out);
	pthread_mutex_unlock(&c->mutex);
	return f;
}

const struct sieve_script *filter_script_get(const struct filter_script *s)
{
	return s->script;
}

void filter_cache_put(struct filter_cache *c, struct filter_script **s)
{
	if (!*s)
		return;
	pthread_mutex_lock(&c->mutex);
	unref(*s);
	pthread_mutex_unlock(&c->mutex);
	*s = NULL;
}

uint64_t filter_cache_compiled(struct filter_cache *c)
{
	uint64_t n;

	pthread_mutex_lock(&c->mutex);
	n = c->compiled;
	pthread_mutex_unlock(&c->mutex);
	return n;
}
