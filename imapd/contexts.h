/* imapd/contexts.h - searches whose results a client wants to be kept informed of (RFC 5267 §4.3): RETURN (UPDATE) of
 * SEARCH, SORT and ESEARCH in the selected mailbox. Blocks; belongs to the thread that has the room. */
#ifndef IMAPD_CONTEXTS_H
#define IMAPD_CONTEXTS_H

#include "imapd/results.h"
#include "imapd/sort.h"

#define CONTEXTS_MAX 16                 /* of one session */
#define SORTED_CONTEXT_MAX 20000        /* results of a SORT that is kept in order */

struct context;                         /* a list: struct room has its head */

/** contexts_check - STEP_MORE when the search asks for no updates, or may; else the answer: its tag is in use, or the items that new
 *  messages are to be told with (RFC 5465 §7) are wrong. */
enum step contexts_check(struct command *c, const struct search *s);
/**
 * contexts_begin - keep what was found. Tells NOUPDATE when it cannot be kept.
 * @keys: of a SORT, else NULL
 * @r: what is told of it besides: its UIDs in order when it is sorted, mailbox and UIDVALIDITY of an ESEARCH
 */
void contexts_begin(struct command *c, const struct finder *found, const struct sorter *keys, const struct results *r);
/** contexts_refuse - tell NOUPDATE. */
void contexts_refuse(struct command *c, struct sv tag, const char *why);
/** contexts_cancel - no further updates for this tag. */
void contexts_cancel(struct room *room, struct sv tag);
void contexts_done(struct room *room);

/** contexts_tell_gone - REMOVEFROM for messages that are about to be told as expunged. */
void contexts_tell_gone(struct command *c, const struct uidset *gone);
/** contexts_tell_changed - ADDTO and REMOVEFROM for messages that came or were changed. @arrived: those of them that came. */
MUST_CHECK struct fault contexts_tell_changed(struct command *c, const struct uidset *changed, const struct uidset *arrived);

#endif
