/* maildir/rejects_private.h - the mailbox for mail that was refused and is kept for a few days all the same (struct delivery, is_reject).
 *
 * It is known by its use, USE_REJECTS, whatever its name, and made when it is first needed. It does not count against the quota: so nobody
 * but incoming_deliver() puts anything there, it never holds more than REJECTS_MESSAGES_MAX messages and REJECTS_SIZE_MAX octets
 * (the oldest make room), and retention empties it. Mail that is moved out of it counts again. */
#ifndef MAILDIR_REJECTS_PRIVATE_H
#define MAILDIR_REJECTS_PRIVATE_H

#include "maildir/account_private.h"

#define REJECTS_MESSAGES_MAX 500
#define REJECTS_SIZE_MAX ((uint64_t)100 << 20)

/** rejects_box - the account's; made if there is none. Inside the account. FAULT_EXISTS: mailboxes of its names are somebody's own. */
MUST_CHECK struct fault rejects_box(struct account *a, uint64_t *id);
/** rejects_make_room - for one more message of so many octets: the oldest go. Inside the account. */
MUST_CHECK struct fault rejects_make_room(struct account *a, uint64_t box, uint64_t size);

#endif
