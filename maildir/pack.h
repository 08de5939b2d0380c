/* maildir/pack.h - message files packed and unpacked where they lie (option compress-mail is for new mail; common/zstd.h).
 *
 * A packed file takes the place of the plain one, under the same name, by one rename: at every moment one of them is there, whole.
 * Its name goes on saying the size of the message (S=), which is how a reader sees that the file is packed. UIDs, flags, sizes, dates and
 * file times stay; sessions notice nothing. What backups link to stays as it was. Blocks; any thread. */
#ifndef MAILDIR_PACK_H
#define MAILDIR_PACK_H

#include "maildir/store.h"

struct pack_counts {
	uint64_t messages, changed;             /* looked at; packed or unpacked */
	uint64_t before, after;                 /* octets of the changed files */
	uint64_t failed;                        /* could not be read or unpacked: left as they are */
};

/* Files with several names (one message of many recipients) that were done already: they stay one file. */
struct pack_links;
struct pack_links *pack_links_new(void);
void pack_links_free(struct pack_links **links);

/** store_pack_account - pack the messages of an account, or unpack them.
 *  @links: of all accounts that are done in a row; NULL: none
 *  @fn: progress in messages; may be NULL */
MUST_CHECK struct fault store_pack_account(struct store *store, struct sv address, bool pack, struct pack_links *links,
					   struct pack_counts *counts, store_progress_fn *fn, void *arg);

#endif
