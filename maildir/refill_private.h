/* maildir/refill_private.h - parsed messages that the index lacks: after a rebuild, and of other programs' mail. They are made when
 * somebody asks for them, a chunk ahead, and else by store_refill(), slowly. Inside the account. */
#ifndef MAILDIR_REFILL_PRIVATE_H
#define MAILDIR_REFILL_PRIVATE_H

#include <stdatomic.h>

#include "maildir/mailbox_private.h"
#include "maildir/message.h"

#define REFILL_CHUNK 256                /* messages */
#define REFILL_OCTETS ((size_t)16 << 20)        /* of parsed forms in one chunk; what is under way when that is reached comes on top */
#define REFILL_READ ((uint64_t)16 << 20)        /* of files, likewise: others wait for the thread, and a client for what is found */

/* Messages of one mailbox, ascending, parsed now. Zero-initialised there are none. */
struct refill {
	uint64_t box;
	struct refill_item {
		uint32_t uid;
		struct message_place place;     /* of UID 0: not known */
		struct buf encoded;             /* mime_encode()d; empty: file damaged or gone */
		enum { REFILL_DUE = 0, REFILL_AGAIN, REFILL_TRIED } state;
	} *fresh;
	size_t count;
	bool has_places;
	const struct account *account;
	_Atomic size_t octets;
	size_t octets_max;                      /* REFILL_OCTETS */
	_Atomic uint64_t read;
	uint64_t read_max;                      /* REFILL_READ */
};

void refill_init(struct refill *r, uint64_t box);
/** refill_add - one more, of at most REFILL_CHUNK. */
void refill_add(struct refill *r, uint32_t uid);
/** refill_add_row - likewise, of the mailbox in this folder: its file is opened by the name in the row, without a look at the index, and
 *  by another thread where one is idle (common/crew.h). */
void refill_add_row(struct refill *r, const char *dir, const struct index_row *row);
/** refill_run - parse their files, and put what came of it into the index. The last ones are left out, and r->count is less, when
 *  the parsed forms, or their files, get too large. Holds no transaction while files are read. */
void refill_run(struct mailbox *box, struct refill *r);
/** refill_find - what came of this message; NULL: it is none of them. */
const struct refill_item *refill_find(const struct refill *r, uint32_t uid);
void refill_done(struct refill *r);
bool refill_is_parsed(struct kv_txn *kv, uint64_t box, uint32_t uid);

#endif
