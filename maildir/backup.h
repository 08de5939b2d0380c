/* maildir/backup.h - an account's mail and filters as files, at one moment, without the index.
 *
 * What is copied is a Maildir as store.h's rules have it, with the flags of the moment in the names: opened as an
 * account it gives the same UIDs, flags and keywords. Messages are immutable files, so each is a hard link where source
 * and target share a file system; else a link to the same message in an earlier copy; else a copy of the octets (shared
 * blocks where the file system can). No time stamp of the source changes.
 *
 * The list of messages comes from one snapshot of the index; a message that another session moves while its file is being
 * looked for is found where it went, one that is expunged meanwhile is left out. Blocks; any thread. */
#ifndef MAILDIR_BACKUP_H
#define MAILDIR_BACKUP_H

#include "maildir/store.h"

struct backup_counts {
	uint64_t mailboxes, messages, octets;
	uint64_t linked, known, copied;         /* how: link to the source, link to the earlier copy, new octets */
	uint64_t gone;                          /* expunged while we worked */
};

/**
 * store_backup_account - copy the mail of one account.
 * @to:       folder that will hold Maildir/; descriptor, borrowed; Maildir must not be there
 * @previous: folder with an earlier copy's Maildir/, or -1
 * @counts:   added to
 * @fn:       progress in messages; may be NULL
 * What was written is not flushed: the caller does that once for all accounts.
 * FAULT_NOT_FOUND: the account has no mail yet.
 */
MUST_CHECK struct fault store_backup_account(struct store *store, struct sv address, int to, int previous,
					     struct backup_counts *counts, store_progress_fn *fn, void *arg);

/**
 * store_restored_account - make a restored Maildir safe to serve: identity files get a higher generation, and UIDs, UIDVALIDITYs and MODSEQs
 * that may have been given out after the copy was made are skipped, so that no client ever sees a number twice.
 * @account: folder that holds Maildir/; descriptor, borrowed. No index may be there, no process may serve it.
 */
MUST_CHECK struct fault store_restored_account(int account);

#endif
