/* imapd/binary.h - the octets of a part without its transfer encoding (RFC 3516 §4.2), as the part
 * streams by: all of them, or the ones a partial asks for. The size has to be told before the first
 * octet, so a part is decoded twice: once to count, once to send. Holds at most one piece. Pure: any
 * thread, one at a time. */
#ifndef IMAPD_BINARY_H
#define IMAPD_BINARY_H

#include "common/transfer.h"

struct binary {
	uint64_t size;          /* decoded octets so far */
	uint64_t given;         /* of them asked for */
	bool has_nul;           /* among those: they need a literal8 */

	/* private */
	struct transfer_decoder decoder;
	struct buf piece;
	uint64_t from, end;
};

/** binary_begin - decode a part from its start; wanted are the decoded octets from `from` on, at
 * most `count`. Ends what *b held, which has to be zeroed before its first use. */
void binary_begin(struct binary *b, enum transfer encoding, uint64_t from, uint64_t count);
void binary_done(struct binary *b);
/** binary_feed - the part's next octets as they are in the message. @out: gets the wanted ones, or
 *  NULL to count only. False: out is full. */
bool binary_feed(struct binary *b, struct sv raw, struct buf *out);
/** binary_finish - the part has ended. */
bool binary_finish(struct binary *b, struct buf *out);
/** binary_is_enough - nothing behind what was fed is wanted. */
static inline bool binary_is_enough(const struct binary *b)
{
	return b->size >= b->end;
}

#endif
