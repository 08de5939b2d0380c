/* imapd/arrivals.h - FETCH items of new messages in the selected mailbox, told without being asked for each time: NOTIFY (RFC 5465
 * §5.2) and searches that are kept up to date (§7) name them. They are queued while news is told and fetched behind it, in steps.
 *
 * §5.2 wants them behind the search's ADDTO, §7 before it; we do the former.
 *
 * Belongs to the room, and so to one thread at a time. */
#ifndef IMAPD_ARRIVALS_H
#define IMAPD_ARRIVALS_H

#include "imapd/command.h"

#define ARRIVALS_ITEMS_MAX (64u << 10)  /* octets of what a client asks for */

struct arrivals;

/** arrivals_read - FETCH items up to the end of *list, at least one, as the client wrote them. False: malformed, or a literal. */
bool arrivals_read(struct command *c, struct args *list, struct buf *out);
/** arrivals_expect - somebody wants items: take note of what the session makes itself. */
void arrivals_expect(struct room *room);
/** arrivals_add - these messages are to be told with these items; what the session put there itself is not. */
void arrivals_add(struct room *room, const struct uidset *uids, struct sv items);
/** arrivals_made - this session itself put these messages into a mailbox. */
void arrivals_made(struct room *room, struct sv mailbox, const struct uidset *uids);
/** arrivals_wait - is something queued, or being fetched? */
bool arrivals_wait(const struct room *room);
/** arrivals_are_fetched - between two steps of a FETCH no number may change. */
bool arrivals_are_fetched(const struct room *room);
/** arrivals_step - fetch. STEP_MORE: again when the client has read. STEP_DONE: all is told. */
enum step arrivals_step(struct command *c);
/** arrivals_done - the mailbox was left. */
void arrivals_done(struct room *room);

#endif
