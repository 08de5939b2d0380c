/* admin/imap_move.h - an account of somebody else's IMAP server moved into one of ours: mailboxes, messages, flags, keywords, dates,
 * subscriptions. The source is only read (EXAMINE, BODY.PEEK[]).
 *
 * It works in two passes over the mailboxes: first UIDs and flags are compared with what earlier runs have brought
 * (maildir/import_book.h), and flags that changed at the source since are changed here; then what is new is fetched, and stored in
 * batches by the store's one way in (maildir/incoming.h). A message whose octets are in the mailbox already, and which no earlier run
 * has brought, is not stored again: so a run that was killed between store and book, a book that was lost, and a source with a new
 * UIDVALIDITY double nothing. What is removed at the source stays here. Blocks; one thread. */
#ifndef ADMIN_IMAP_MOVE_H
#define ADMIN_IMAP_MOVE_H

#include "admin/imap_client.h"
#include "maildir/store.h"

#define IMAP_MOVE_MESSAGE_MAX ((uint64_t)1 << 30)     /* octets */

struct imap_move_options {
	struct imap_client_target source;
	const char *exclude;            /* names of mailboxes, here or there, separated by commas; NULL: none */
	bool is_dry;                    /* only say what would be done */
};

/* What became of one mailbox. Views are borrowed for the call. */
struct imap_move_result {
	struct sv mailbox;              /* its name here; empty: it cannot be here */
	struct sv from;                 /* ... and there */
	uint64_t found;                 /* messages in the source */
	uint64_t imported;              /* in a dry run: would be */
	uint64_t present;               /* were here already */
	uint64_t changed;               /* of those: got other flags */
	uint64_t gone;                  /* were brought by earlier runs, and are not in the source any more */
	uint64_t left_out;
	struct sv notes;                /* sentences: what was left out, and why; "" for nothing */
};

struct imap_move_events {
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void (*mailbox)(void *arg, const struct imap_move_result *result);
	void *arg;
};

/**
 * imap_move - mailbox() is called once for each mailbox, at the end, also after a fault.
 * Errors: as imap_client_open(); FAULT_IN_USE (one is running); from the store. The detail is a sentence for the person at the
 * keyboard. What was done until then is kept, and goes on when it is run again.
 */
MUST_CHECK struct fault imap_move(struct maildir_user *user, const struct imap_move_options *options,
				    const struct imap_move_events *events);

#endif
