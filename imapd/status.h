/* imapd/status.h - the items of a STATUS response, for the command (RFC 3501 §6.3.10), for LIST
 * (RFC 5819) and for NOTIFY (RFC 5465). One table; an item whose capability is off is unknown.
 * Blocks: the store is asked. */
#ifndef IMAPD_STATUS_H
#define IMAPD_STATUS_H

#include "imapd/command.h"

/** status_read_items - a list of items, not empty, as bits; false when one is unknown. Asking for
 * HIGHESTMODSEQ enables CONDSTORE (RFC 7162 §3.1). */
bool status_read_items(struct command *c, struct args *from, unsigned *items);
/** status_write - `* STATUS name (...)` of a mailbox as it is now; nothing is written on a fault. */
MUST_CHECK struct fault status_write(struct command *c, struct sv name, unsigned items);

#endif
