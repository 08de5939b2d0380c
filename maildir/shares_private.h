/* maildir/shares_private.h - who grants something to whom, in one small file of the instance.
 *
 *   postroom-shares 1
 *   share 7f3kq2x0a9b1c8d4 alice@example.test
 *   share - team@example.test
 *   crc 6d2f10aa
 *
 * The truth is in the access control lists (maildir/acl.h); this file only says in which accounts looking is worth it, so that a
 * listing opens few indexes and a guessed name opens none. It is made from the sidecars when it is missing or damaged. It
 * may say too much, never too little: an account is noted before its list grants anything. All of it blocks. */
#ifndef MAILDIR_SHARES_PRIVATE_H
#define MAILDIR_SHARES_PRIVATE_H

#include "maildir/store.h"

#define SHARES_FILE ".postroom-shares"  /* in the mail folder; no domain begins with a dot */

/** shares_lock - changes of access control lists go one at a time; close() the descriptor to unlock. */
MUST_CHECK struct fault shares_lock(struct store *store, int *out);
/** shares_add - note, durably, that `owner` grants something to the account `id` ("": to anyone). Lock held. */
MUST_CHECK struct fault shares_add(struct store *store, struct sv owner, struct sv id);
/** shares_refresh - note exactly what owner's sidecars say. Lock held. */
MUST_CHECK struct fault shares_refresh(struct store *store, struct sv owner);
/** shares_renew - likewise, taking the lock: after the account's files were replaced (restore, rebuild). */
MUST_CHECK struct fault shares_renew(struct store *store, struct sv owner);

/** shares_has - may there be something of owner's for this id? A fault is "no", and logged. */
bool shares_has(struct store *store, struct sv owner, struct sv id);
/** shares_call - what anyone may do has changed: whoever watches an account is told to look again. Opening the file for writing is the
 * call; its changes go by rename, and are none. */
void shares_call(struct store *store);
/** shares_owners - everybody who may have something for this id, one address per line. */
MUST_CHECK struct fault shares_owners(struct store *store, struct sv id, struct buf *out);

#endif
