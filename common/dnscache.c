#include "common/dnscache.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

/* One block: the name as asked for, the canonical name, then each record behind two octets of its length. */
struct entry {
	uint64_t until_ms;
	enum dns_type type;
	enum dns_status status;
	bool secure;
	uint16_t name_len, canonical_len;
	size_t count;
	size_t len;
	char octets[];
};

struct dnscache {
	struct entry *sets[DNSCACHE_SETS][DNSCACHE_WAYS];
};

struct dnscache *dnscache_new(void)
{
	return xcalloc(1, sizeof(struct dnscache));
}

void dnscache_free(struct dnscache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < DNSCACHE_SETS; i++)
		for (size_t k = 0; k < DNSCACHE_WAYS; k++)
			free(cache->sets[i][k]);
	free(cache);
}

static struct sv asked_name(const struct entry *e)
{
	return sv_from(e->octets, e->name_len);
}

static size_t set_of(struct sv name, enum dns_type type)
{
	char key[DNS_NAME_MAX + 2];
	size_t len = name.len < DNS_NAME_MAX ? name.len : DNS_NAME_MAX;

	for (size_t i = 0; i < len; i++)
		key[i] = ascii_lower(name.p[i]);
	key[len] = (char)((unsigned)type >> 8);
	key[len + 1] = (char)type;
	return sv_hash(sv_from(key, len + 2)) % DNSCACHE_SETS;
}

static bool is_for(const struct entry *e, struct sv name, enum dns_type type)
{
	return e && e->type == type && sv_eq_nocase(asked_name(e), name);
}

static struct entry *entry_new(struct sv name, enum dns_type type, const struct dns_answer *answer, size_t records_len)
{
	size_t len = name.len + answer->name.len + records_len;
	struct entry *e = xmalloc(sizeof(*e) + len);
	char *p = e->octets;

	*e = (struct entry){ .type = type, .status = answer->status, .secure = answer->secure, .name_len = (uint16_t)name.len,
			     .canonical_len = (uint16_t)answer->name.len, .count = answer->count, .len = len };
	memcpy(p, name.p, name.len);
	p += name.len;
	memcpy(p, answer->name.p, answer->name.len);
	p += answer->name.len;
	for (size_t i = 0; i < answer->count; i++) {
		size_t n = answer->records[i].len;

		*p++ = (char)(n >> 8);
		*p++ = (char)n;
		memcpy(p, answer->records[i].p, n);
		p += n;
	}
	return e;
}

void dnscache_keep(struct dnscache *cache, struct sv name, enum dns_type type, const struct dns_answer *answer, uint64_t now_ms)
{
	struct entry **set = cache->sets[set_of(name, type)], **place = &set[0];
	size_t records_len = 0;

	for (size_t i = 0; i < answer->count; i++)
		records_len += 2 + answer->records[i].len;
	if (answer->status == DNS_TEMPFAIL || answer->ttl_s < 2 || records_len > DNSCACHE_OCTETS_MAX || name.len > DNS_NAME_MAX ||
	    answer->name.len > DNS_NAME_MAX)
		return;
	for (size_t i = 0; i < DNSCACHE_WAYS; i++) {
		if (is_for(set[i], name, type) || !set[i]) {
			place = &set[i];
			break;
		}
		if (set[i]->until_ms < (*place)->until_ms)
			place = &set[i];
	}
	free(*place);
	*place = entry_new(name, type, answer, records_len);
	/* The resolver counts whole seconds: of the last one it is not known how much is left. */
	(*place)->until_ms = now_ms + (answer->ttl_s <= DNSCACHE_MAX_S ? answer->ttl_s - 1 : DNSCACHE_MAX_S) * UINT64_C(1000);
}

static const struct entry *find(const struct dnscache *cache, struct sv name, enum dns_type type, uint64_t now_ms)
{
	struct entry *const *set = cache->sets[set_of(name, type)];

	for (size_t i = 0; i < DNSCACHE_WAYS; i++)
		if (is_for(set[i], name, type))
			return set[i]->until_ms > now_ms ? set[i] : NULL;
	return NULL;
}

bool dnscache_has(const struct dnscache *cache, struct sv name, enum dns_type type, uint64_t now_ms)
{
	return find(cache, name, type, now_ms) != NULL;
}

bool dnscache_find(const struct dnscache *cache, struct sv name, enum dns_type type, uint64_t now_ms, struct dns_answer *out)
{
	const struct entry *e = find(cache, name, type, now_ms);
	struct sv rest;

	if (!e)
		return false;
	rest = sv_sub(sv_from(e->octets, e->len), e->name_len, SIZE_MAX);
	*out = (struct dns_answer){ .status = e->status, .secure = e->secure, .name = sv_sub(rest, 0, e->canonical_len), .count = e->count,
				    .ttl_s = (uint32_t)((e->until_ms - now_ms + 999) / 1000) };
	rest = sv_sub(rest, e->canonical_len, SIZE_MAX);
	for (size_t i = 0; i < e->count; i++) {
		size_t n = (size_t)(unsigned char)rest.p[0] << 8 | (unsigned char)rest.p[1];

		out->records[i] = sv_sub(rest, 2, n);
		rest = sv_sub(rest, 2 + n, SIZE_MAX);
	}
	return true;
}
