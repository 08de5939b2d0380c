/* imapd/contexts.h - searches whose results a client wants to be kept informed of (RFC 5267 §4.3): RETURN (UPDATE) of
 * SEARCH and SORT in the selected mailbox. Blocks; belongs to the thread that has the room. */
#ifndef IMAPD_CONTEXTS_H
#define IMAPD_CONTEXTS_H

#include "imapd/finder.h"
#include "imapd/sort.h"

#define CONTEXTS_MAX 16                 /* of one session */
#define SORTED_CONTEXT_MAX 20000        /* results of a SORT that is kept in order */

struct context;                         /* a list: struct room has its head */

/** contexts_has - is the tag in use? Then it may not ask for updates again. */
bool contexts_has(const struct room *room, struct sv tag);
/**
 * contexts_begin - keep what was found. Tells NOUPDATE when it cannot be kept.
 * @keys: of a SORT, else NULL; @sorted: its UIDs in order, `count` of them
 */
void contexts_begin(struct command *c, const struct finder *found, const struct sorter *keys, const uint32_t *sorted,
		    size_t count);
/** contexts_cancel - no further updates for this tag. */
void contexts_cancel(struct room *room, struct sv tag);
void contexts_done(struct room *room);

/** contexts_tell_gone - REMOVEFROM for messages that are about to be told as expunged. */
void contexts_tell_gone(struct command *c, const struct uidset *gone);
/** contexts_tell_changed - ADDTO and REMOVEFROM for messages that came or were changed. */
MUST_CHECK struct fault contexts_tell_changed(struct command *c, const struct uidset *changed);

#endif
