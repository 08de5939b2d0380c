/* maildir/filter_private.h - what a run of Sieve asks about an account (filter_host.c), for filter.c. */
#ifndef MAILDIR_FILTER_PRIVATE_H
#define MAILDIR_FILTER_PRIVATE_H

#include "maildir/filter.h"
#include "maildir/filter_cache.h"
#include "maildir/layout.h"

#define FILTER_KEY_MAX ((size_t)16 << 10)

struct account;

/* One mailbox of the account. */
struct filter_box {
	struct sv name;
	uint32_t special_use;
	char dir[LAYOUT_DIR_MAX + 1];
	char id[24];
};

struct filter_host {
	struct sieve_host sieve;
	struct account *account;
	struct scripts *scripts;
	struct sv addresses[1];
	struct arena arena;
	struct filter_box *boxes;       /* read when first asked for */
	size_t box_count;
	bool has_boxes;
	const struct filters *filters;  /* for the address books of everybody */
	struct addressbooks *books;
	struct fault fault;             /* the account could not be looked at: the answers were worth nothing */
};

/** filter_host_init - @address: the account's; borrowed. Facts that only some callers know are set in h->sieve afterwards. */
void filter_host_init(struct filter_host *h, const struct filters *filters, struct account *account, struct sv address,
		      struct scripts *scripts);
void filter_host_done(struct filter_host *h);
const struct sieve_host *filter_host_get(const struct filter_host *h);
/** filter_host_mailbox - the mailbox with this id or, id empty, this special use; empty: none. Copied to the arena. */
struct sv filter_host_mailbox(struct filter_host *h, struct sv id, struct sv use, struct arena *arena);

/** filter_compile - an account's script, from the cache; filter_cache_put() ends it. */
MUST_CHECK struct fault filter_compile(struct filters *filters, struct scripts *scripts, struct sv owner, struct sv text,
				       struct filter_script **out, struct sieve_errors *errors);
struct filter_cache *filters_cache(struct filters *filters);
/** filters_read - append a file of the folder for everybody: NAME and suffix. */
MUST_CHECK struct fault filters_read(const struct filters *filters, struct sv name, const char *suffix, struct buf *out);

/** filter_scripts, filter_request_of - for filter_notice.c. */
struct scripts *filter_scripts(struct filter_result *result);
const struct filter_request *filter_request_of(const struct filter_result *result);

#endif
