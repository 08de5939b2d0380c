/* common/dnscache.h - answers of the DNS, kept for a short while in front of the resolver.
 *
 * libunbound has a cache of its own, but in another thread: each question costs twenty system calls there and back, and a message
 * from a stranger asks a dozen, mostly the same as the message before it. Loop thread only.
 *
 * What is kept: data and absence, with what DNSSEC said of them; never a failure. For as long as the zone allows, and DNSCACHE_MAX_S at
 * most, so a changed record is seen that much later than without it. Bounded: DNSCACHE_SETS x DNSCACHE_WAYS answers, each of
 * DNSCACHE_OCTETS_MAX at most; a new one takes the place of that which ends first in its set. */
#ifndef COMMON_DNSCACHE_H
#define COMMON_DNSCACHE_H

#include "common/dns.h"

#define DNSCACHE_SETS 256
#define DNSCACHE_WAYS 4
#define DNSCACHE_MAX_S 60
#define DNSCACHE_OCTETS_MAX 2048        /* of all records of an answer; a longer one is not kept */

struct dnscache;

struct dnscache *dnscache_new(void);
/** dnscache_free - NULL is fine. */
void dnscache_free(struct dnscache *cache);
/** dnscache_keep - a copy of the answer, if it may be kept. @name: as asked for, its case does not matter. */
void dnscache_keep(struct dnscache *cache, struct sv name, enum dns_type type, const struct dns_answer *answer, uint64_t now_ms);
/** dnscache_has - whether dnscache_find() would find it. */
bool dnscache_has(const struct dnscache *cache, struct sv name, enum dns_type type, uint64_t now_ms);
/** dnscache_find - false: not there, or too old. Views in *out live until the next dnscache_keep(); out->ttl_s is what is left. */
bool dnscache_find(const struct dnscache *cache, struct sv name, enum dns_type type, uint64_t now_ms, struct dns_answer *out);

#endif
