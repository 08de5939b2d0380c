/* imapd/listing.h - the mailboxes of an account as LIST and LSUB see them: in tree order, every
 * parent present, and which names a pattern means (RFC 3501 §6.3.8). Pure. */
#ifndef IMAPD_LISTING_H
#define IMAPD_LISTING_H

#include "common/memory.h"
#include "maildir/mailbox.h"

struct listed {
	struct sv name;
	uint32_t special_use;
	size_t parent;          /* index, or SIZE_MAX */
	bool exists, has_children, subscribed;
	uint32_t rights;        /* maildir/acl.h; of one that exists */
	bool is_chosen;         /* for the command: it fulfils the selection */
	bool has_chosen_child;  /* something below it does */
};

struct listing {
	struct listed *rows;    /* INBOX first, each parent before its children */
	size_t count, cap;
	struct arena *arena;    /* where all of it lives */
};

/** listing_add - one more row, its name copied; NULL when the arena is full. Valid until the next
 * one. */
struct listed *listing_add(struct listing *l, struct sv name);
/** listing_arrange - after the last row: sort, add missing parents, find each one's parent.
 * FAULT_LIMIT: arena full. */
MUST_CHECK struct fault listing_arrange(struct listing *l);
/** listing_choose - set is_chosen for the rows that `chosen` accepts and has_chosen_child above
 * them. */
void listing_choose(struct listing *l, bool (*chosen)(const struct listed *row, unsigned options),
		    unsigned options);

/** pattern_matches - `*` stands for anything, `%` for anything without the delimiter. INBOX is
 * known in any case. */
bool pattern_matches(struct sv pattern, struct sv name);

#endif
