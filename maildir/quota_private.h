/* maildir/quota_private.h - quota inside the transactions that store something. */
#ifndef MAILDIR_QUOTA_PRIVATE_H
#define MAILDIR_QUOTA_PRIVATE_H

#include "maildir/store_private.h"

#define QUOTA_TOLD_UNKNOWN UINT32_MAX   /* index_meta.quota_told of a new index */

/** quota_allows - FAULT_QUOTA when so much more would pass a limit. */
MUST_CHECK struct fault quota_allows(const struct quota *quota, const struct index_meta *meta, uint64_t bytes,
				     uint64_t messages);
/** quota_before - before anything is added in a transaction: thresholds that are not passed now may be told again. */
void quota_before(struct index_txn *t, const struct quota *quota);
/** quota_is_due - behind what was added: has a threshold been passed that was not told? */
bool quota_is_due(const struct index_txn *t, const struct quota *quota);
/** quota_warn - tell it by a message into the INBOX; outside the account, after the commit. Failing is only logged: the next who
 *  stores something tries again, unless the threshold was claimed already. */
void quota_warn(struct account *a, const struct quota *quota);

#endif
