/* imapd/listing.h - the mailboxes of an account as LIST and LSUB see them: in tree order, every parent present, and
 * which names a pattern means (RFC 3501 §6.3.8). Pure but for listing_load(). */
#ifndef IMAPD_LISTING_H
#define IMAPD_LISTING_H

#include "common/memory.h"
#include "maildir/mailbox.h"

struct listed {
	struct sv name;
	uint32_t special_use;
	size_t parent;          /* index, or SIZE_MAX */
	bool exists, has_children, subscribed;
	bool is_chosen;         /* for the command: it fulfils the selection */
	bool has_chosen_child;  /* something below it does */
};

struct listing {
	struct listed *rows;    /* INBOX first, each parent before its children */
	size_t count;
	struct arena *arena;
};

/** listing_load - blocks. FAULT_LIMIT when the arena is full. */
MUST_CHECK struct fault listing_load(struct maildir_user *user, struct arena *arena, struct listing *out);
/** listing_arrange - sort rows that were put in, add missing parents, find each one's parent. Part of listing_load(). */
MUST_CHECK struct fault listing_arrange(struct listing *l);
/** listing_choose - set is_chosen for the rows that `chosen` accepts and has_chosen_child above them. */
void listing_choose(struct listing *l, bool (*chosen)(const struct listed *row, unsigned options), unsigned options);

/** pattern_matches - `*` stands for anything, `%` for anything without the delimiter. INBOX is known in any case. */
bool pattern_matches(struct sv pattern, struct sv name);

#endif
