/* maildir/refill_private.h - parsed messages that the index lacks: after a rebuild, and of other programs' mail. They are made when
 * somebody asks for them, a chunk ahead, and else by store_refill(), slowly. Inside the account. */
#ifndef MAILDIR_REFILL_PRIVATE_H
#define MAILDIR_REFILL_PRIVATE_H

#include "maildir/mailbox_private.h"

#define REFILL_CHUNK 64                 /* messages */

/* Messages of one mailbox, parsed now. Zero-initialised there are none. */
struct refill {
	uint64_t box;
	struct refill_item {
		uint32_t uid;
		struct buf encoded;             /* mime_encode()d; empty: file damaged or gone */
	} *fresh;
	size_t count;
};

void refill_init(struct refill *r, uint64_t box);
/** refill_add - one more, of at most REFILL_CHUNK. */
void refill_add(struct refill *r, uint32_t uid);
/** refill_run - parse their files, and put what came of it into the index. */
void refill_run(struct mailbox *box, struct refill *r);
void refill_done(struct refill *r);
bool refill_is_parsed(struct kv_txn *kv, uint64_t box, uint32_t uid);

#endif
