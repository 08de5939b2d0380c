/* maildir/incoming.h - a message on its way in: streamed to a temporary file and parsed in the same pass, then
 * committed to one or more mailboxes. APPEND, SMTP, LMTP and `postroom deliver` all come through here.
 *
 * Order of every commit (doc/architecture.md, "Delivery"): the file is flushed; in one index transaction per account
 * the UID is taken, the file gets the name that carries it, the row is added; the directories are flushed;
 * only then does the call return. A failed or abandoned one leaves nothing visible.
 * Blocks; one handle, one thread at a time. */
#ifndef MAILDIR_INCOMING_H
#define MAILDIR_INCOMING_H

#include "common/bytes.h"
#include "common/fault.h"
#include "maildir/mailbox.h"
#include "maildir/store.h"

struct incoming;
struct mime_message;

/** incoming_new - for a message whose first destination is known (the temporary file lies on its file system).
 *  Exactly one of user and drop is given; borrowed until incoming_free().
 *  max_size: octets that incoming_write() accepts in all.
 *  Errors: FAULT_NO_SPACE (below the reserve of free space or inodes), FAULT_INTERNAL. */
MUST_CHECK struct fault incoming_new(struct maildir_user *user, struct maildir_drop *drop, uint64_t max_size,
				     struct incoming **out);
/** incoming_write - more octets, in any cut. FAULT_LIMIT beyond max_size: further octets are ignored and
 *  incoming_finish() fails with the same fault. Disk errors stick likewise. */
MUST_CHECK struct fault incoming_write(struct incoming *in, struct sv octets);
/** incoming_finish - no more octets: the parse is completed, the file's data are flushed. */
MUST_CHECK struct fault incoming_finish(struct incoming *in);
/** incoming_finish_later - likewise, but it is incoming_append() that flushes: the messages of one command one behind the other, when
 *  all are written. Of use to nobody else. */
MUST_CHECK struct fault incoming_finish_later(struct incoming *in);
/** incoming_hurry - others follow: have the disk begin with this one. A hint. */
void incoming_hurry(const struct incoming *in);
/** incoming_message - the parsed message; valid after incoming_finish(), borrowed from the incoming. */
const struct mime_message *incoming_message(const struct incoming *in);
uint64_t incoming_size(const struct incoming *in);
/** incoming_email - what it will have as struct message_row's `email`: it follows from its octets. Valid after incoming_finish(). */
void incoming_email(const struct incoming *in, uint8_t out[16]);
/** incoming_file - a descriptor from which the octets can be read back (for a queue copy); borrowed. */
int incoming_file(const struct incoming *in);
void incoming_free(struct incoming **in);

/* One message of an APPEND. */
struct append_item {
	struct incoming *message;       /* finished; consumed by success */
	uint32_t flags;
	const struct sv *keywords;
	size_t keyword_count;
	bool has_internaldate;
	int64_t internaldate;
	uint64_t replaces;              /* octets of a message that the caller expunges right behind: quota does not count
					   both (RFC 8508 §3.4); 0: none */
	uint32_t uid;                   /* out */
	uint32_t uidvalidity;           /* out */
};
/** incoming_append - all items into one mailbox, or none (RFC 3502). */
MUST_CHECK struct fault incoming_append(struct mailbox *box, struct append_item *items, size_t count);

/* One place where a delivery plan puts a message. */
struct delivery {
	struct maildir_drop *drop;
	struct incoming *message;       /* finished: another one than the call's, for this place; NULL: the call's */
	bool is_reject;                 /* it was refused, and is kept in the mailbox for that, whatever `mailbox` says: seen, and without
					 * counting against the quota. It holds a bounded number; the oldest make room */
	struct sv mailbox;              /* UTF-8 name; missing ones are made when `create`, else INBOX is taken */
	bool create;
	uint32_t flags;
	const struct sv *keywords;
	size_t keyword_count;
	struct sv dedup_id;             /* (queue id, recipient) of mail from the queue: an earlier copy is found by it
	                                 * and not delivered again; empty otherwise */
	uint32_t uid;                   /* out; 0 when not delivered */
	uint32_t uidvalidity;           /* out */
	struct fault result;            /* out */
};
/**
 * incoming_deliver - put one finished message into every place, as hard links of one file where the file system allows.
 * Either every place has it durably, or none has: then the first failing place's fault is returned (each result
 * says its own), and what had been done is undone.
 */
MUST_CHECK struct fault incoming_deliver(struct incoming *in, struct delivery *places, size_t count);

#endif
