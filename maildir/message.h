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
/** message_size - octets in wire form; equals RFC822.SIZE. */
uint64_t message_size(const struct message_reader *reader);
/**
 * message_read - up to n octets of the wire form from offset into p; *got 0 at the end. Any order of offsets;
 * ascending ones are cheap for converted files too.
 * FAULT_CORRUPT when the file is shorter than the index says (damage: the caller answers temporary).
 */
MUST_CHECK struct fault message_read(struct message_reader *reader, uint64_t offset, char *p, size_t n, size_t *got);

#endif
