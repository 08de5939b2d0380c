/* imapd/catenate.h - what an IMAP URL names, copied into a message that is being made (CATENATE, RFC
 * 4469). Blocks. */
#ifndef IMAPD_CATENATE_H
#define IMAPD_CATENATE_H

#include "imapd/room.h"
#include "imapd/url.h"
#include "maildir/incoming.h"

/**
 * catenate_url - write the octets that FETCH BODY[...] would send to `to`; \Seen stays as it is. The mailbox is
 * opened like any other: what the user may not read is not there.
 * @max:  octets that may be written; more is FAULT_LIMIT, before anything is
 * @size: out: octets written
 * FAULT_NOT_FOUND: no such mailbox, message or part, or UIDVALIDITY is another one.
 */
MUST_CHECK struct fault catenate_url(struct room *room, const struct url *url, struct incoming *to,
				     uint64_t max, uint64_t *size);

#endif
