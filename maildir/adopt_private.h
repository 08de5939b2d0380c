/* maildir/adopt_private.h - what adopt.c, folders on disk and rebuild.c share. */
#ifndef MAILDIR_ADOPT_PRIVATE_H
#define MAILDIR_ADOPT_PRIVATE_H

#include "maildir/account_private.h"

/* A file that no row has under this name. */
struct found {
	char *name;
	bool in_new;
	uint64_t size, wire_size;       /* set by adopt_measure() */
	int64_t mtime, saved;
};

/** adopt_measure - sizes and time of a file; reads it only when its name does not say. False: gone, or no file. */
bool adopt_measure(struct account *a, const char *dir, struct found *found);
/** adopt_describe - the row, and with it the name, which a found file gets. False: its name cannot be. */
bool adopt_describe(struct account *a, const struct found *found, const struct index_box *box, uint32_t uid,
		    uint32_t keyword_count, struct index_row *row);
/** adopt_keep_known_keywords - without the letters that mean nothing in this mailbox. */
void adopt_keep_known_keywords(struct keyword_bits *bits, uint32_t count);
/** adopt_box_ids - every mailbox; free() the array. */
MUST_CHECK struct fault adopt_box_ids(struct kv_txn *kv, uint64_t **ids, size_t *count);
/** adopt_sync_folders - make the mailboxes of the index those on disk, inside a transaction. Folders without a good
 *  sidecar are left out. */
MUST_CHECK struct fault adopt_sync_folders(struct index_txn *t);

/* How a mailbox is loaded from names. */
struct load {
	struct account *account;
	struct kv_txn *kv;
	struct index_box box;           /* identity, name, dir set; counters are filled in */
	uint32_t keyword_count;
	uint64_t modseq;                /* of every row */
	store_progress_fn *progress;    /* NULL: nobody asks */
	void *arg;
	uint64_t before;                /* messages of the mailboxes before this one */
	uint32_t skip;                  /* UIDs left out beyond the ceiling, when it may be too old */
};
/** load_box - rows of all files whose names carry a UID of this mailbox; the record itself is not put. */
MUST_CHECK struct fault load_box(struct load *l);
/** load_sidecar - read a mailbox's sidecar, or make one for a folder that has none (durable). */
MUST_CHECK struct fault load_sidecar(struct account *a, const char *dir, uint32_t *uidvalidity_next,
				     struct sidecar_mailbox *out);
/** load_is_mailbox - is this folder (of the Maildir) a mailbox? It has cur/, and is no link. */
bool load_is_mailbox(struct account *a, const char *dir);

#endif
