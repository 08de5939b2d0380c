/* maildir/message.h - the octets of one stored message, in wire form (every line ends in CRLF).
 * Message files are stored as they were on the wire, so reading is pread; files that other programs stored with
 * bare LF are recognised (S= and W= differ) and converted on the way. Blocks; one reader, one thread at a time;
 * a reader outlives expunge and rename of its message (it holds the descriptor). */
#ifndef MAILDIR_MESSAGE_H
#define MAILDIR_MESSAGE_H

#include "maildir/mailbox.h"

struct message_reader;

/** message_open - FAULT_GONE when the message is not there (expunged meanwhile). */
MUST_CHECK struct fault message_open(struct mailbox *box, uint32_t uid, struct message_reader **out);
void message_close(struct message_reader **reader);

#define MESSAGE_PATH_MAX 544
/* Where the file of a message lay when a scan told of it. No name is given twice: a file of that name is that message. */
struct message_place {
	uint32_t uid;
	uint64_t size, stored;          /* octets in wire form, and as they are in the file */
	char path[MESSAGE_PATH_MAX];    /* relative to the Maildir */
};
/** message_place - of the message that a mailbox_scan() tells of just now: only inside of its fn. FAULT_CORRUPT. */
MUST_CHECK struct fault message_place(struct mailbox *box, struct message_place *out);
/** message_visit - call fn once for each of these messages, with its file opened. Where threads are idle they help (common/crew.h): then
 *  fn runs for several messages at once, on other threads, and may touch nothing but what belongs to its own message.
 *  @fn: reader is NULL where f says why: FAULT_GONE when the message was expunged meanwhile. It is closed behind the call.
 *  A fault: fn was called for none. */
typedef void message_visit_fn(void *arg, size_t i, struct message_reader *reader, struct fault f);
MUST_CHECK struct fault message_visit(struct mailbox *box, const struct message_place *places, size_t count, message_visit_fn *fn,
				      void *arg);
/** message_size - octets in wire form; equals RFC822.SIZE. */
uint64_t message_size(const struct message_reader *reader);
/**
 * message_read - up to n octets of the wire form from offset into p; *got 0 at the end. Any order of offsets;
 * ascending ones are cheap for converted files too.
 * FAULT_CORRUPT when the file is shorter than the index says (damage: the caller answers temporary).
 */
MUST_CHECK struct fault message_read(struct message_reader *reader, uint64_t offset, char *p, size_t n, size_t *got);

#endif
