/* maildir/retention.h - messages that have been in a mailbox for too long are removed (option `expire`, common/expiry.h; and what was
 * refused and kept, `rejects-age`).
 *
 * "Too long" counts from when a message came into this mailbox (SAVEDATE, RFC 8514): moving it to Trash starts the clock. Of mail
 * that another program's Maildir brought it is what the file's name says, mostly when it was delivered there. Removing is
 * an EXPUNGE as anybody's: sessions are told, quota is freed, nothing is half done after a crash. Everything blocks; any thread. */
#ifndef MAILDIR_RETENTION_H
#define MAILDIR_RETENTION_H

#include "common/expiry.h"
#include "maildir/store.h"

struct directory;

struct retention_counts {
	uint64_t accounts, messages, octets;
	uint64_t rejects_left;          /* messages that were refused and kept, and are not old enough yet */
};
/* What was removed from one mailbox, or would be. */
typedef void retention_fn(void *arg, const char *account, const char *mailbox, uint64_t messages, uint64_t octets);

/**
 * retention_account - one account by the store's rules.
 * @is_trial: change nothing, only tell
 * @until_ms: stop when the monotonic clock (loop_now_ms()'s) passes it; 0: never. *is_cut says whether there is more to do.
 * @fn:       may be NULL
 */
MUST_CHECK struct fault retention_account(struct store *store, struct sv address, bool is_trial, int64_t until_ms,
					  struct retention_counts *counts, retention_fn *fn, void *arg, bool *is_cut);
/** retention_has_rules - is anything to be removed at all? Mail that was refused and kept (`rejects keep`) is, until it is gone: a pass while it
 * is kept leaves a note in the folder of all mail, a later one that finds none takes it away. */
bool retention_has_rules(struct store *store);

/* All accounts, an hour after the last time: a step now and then, of all of an instance's processes one at a time. */
struct retention;
struct retention *retention_new(struct store *store, struct directory *directory);
void retention_free(struct retention **r);
/** retention_is_due - is a step due? Not while one runs. */
bool retention_is_due(const struct retention *r);
/** retention_step - a second or two of work, when there is any. For a chore (common/chore.h). */
void retention_step(struct retention *r);

#endif
