/* maildir/filter_cache.h - compiled Sieve scripts, kept by their text. A script without includes is shared by all accounts that have
 * the same text; one with includes belongs to the account, and is compiled anew when an included text has changed.
 * Any thread. Bounds: FILTER_CACHE_MAX scripts and FILTER_CACHE_OCTETS of their texts; the least used goes first. */
#ifndef MAILDIR_FILTER_CACHE_H
#define MAILDIR_FILTER_CACHE_H

#include "common/sieve/sieve.h"

#define FILTER_CACHE_MAX 512
#define FILTER_CACHE_OCTETS ((size_t)4 << 20)

struct filter_cache;
struct filter_script;           /* a reference to a compiled one */

struct filter_cache *filter_cache_new(void);
/** filter_cache_free - all references must have been given back. */
void filter_cache_free(struct filter_cache **cache);

/**
 * filter_cache_get - the compiled form of a text.
 * @owner:  whose personal scripts the loader reads
 * @errors: filled when it does not compile
 * Errors: as sieve_compile().
 */
MUST_CHECK struct fault filter_cache_get(struct filter_cache *cache, struct sv owner, struct sv text,
					 const struct sieve_loader *loader, struct filter_script **out,
					 struct sieve_errors *errors);
const struct sieve_script *filter_script_get(const struct filter_script *s);
void filter_cache_put(struct filter_cache *cache, struct filter_script **s);
/** filter_cache_compiled - how often a script was compiled so far: for tests. */
uint64_t filter_cache_compiled(struct filter_cache *cache);

#endif
