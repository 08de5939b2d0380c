/* maildir/verify.h - read stored messages again, and compare them with what their names say: size, and for messages that
 * came in through us the digest taken at delivery. Changes nothing; other sessions notice nothing but a busier disk.
 * Blocks; any thread. */
#ifndef MAILDIR_VERIFY_H
#define MAILDIR_VERIFY_H

#include "maildir/store.h"

struct verify_counts {
	uint64_t messages, octets;
	uint64_t digests;       /* of the messages: compared by digest, too; the others by size alone */
	uint64_t damaged;
};

/** store_verify_account - every message of an account; fn gets each that is damaged. counts are added to. */
MUST_CHECK struct fault store_verify_account(struct store *store, struct sv address, store_difference_fn *fn, void *arg,
					     struct verify_counts *counts, store_progress_fn *progress, void *progress_arg);

#endif
