/* maildir/adopt_private.h - what adopt.c, adopt_folders.c, load.c and rebuild.c share. */
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

/* --- load.c ------------------------------------------------------------------------------------------------------ */

#define UNKNOWN_SKIP 100000     /* UIDs left out when the sidecars may be older than the lost index */

/** load_is_mailbox - is this folder (of the Maildir) a mailbox? It has cur/, and is no link. */
bool load_is_mailbox(struct account *a, const char *dir);
/** load_sidecar - read a mailbox's sidecar, or make one for a folder that has none (durable). */
MUST_CHECK struct fault load_sidecar(struct account *a, const char *dir, uint32_t *uidvalidity_next,
				     struct sidecar_mailbox *out);
/** load_write_sidecar - in the place of the one that is there; durable on return. */
MUST_CHECK struct fault load_write_sidecar(struct account *a, const char *dir, const struct sidecar_mailbox *s);

/* Folders that are mailboxes, but for INBOX; at most MAILBOX_COUNT_MAX. */
struct folder_list {
	struct account *account;
	char **dirs;
	size_t count, cap;
};
MUST_CHECK struct fault folder_list_read(struct folder_list *l);
void folder_list_add(struct folder_list *l, const char *dir);
void folder_list_done(struct folder_list *l);

/* A folder on its way into an index. */
struct load_folder {
	struct account *account;
	const char *dir;
	struct sidecar_mailbox side;    /* its own; the ceiling may be raised */
	struct index_meta meta;         /* of the index, as it was before */
	uint32_t skip;                  /* UIDs left out beyond the ceiling, when it may be too old */
	uint64_t messages;              /* out: in it */
	uint64_t before;                /* in those before it */
	store_progress_fn *progress;    /* NULL: nobody asks */
	void *arg;
};
/** load_folder - a kv_update_fn: its rows, its keywords, its record and the counters; a folder whose name or id cannot be is left out. */
MUST_CHECK struct fault load_folder(struct kv_txn *kv, void *folder);
/** load_flag_log - flags that names have not followed yet, onto the rows; a kv_update_fn, too. */
MUST_CHECK struct fault load_flag_log(struct kv_txn *kv, void *account);

#endif
