/* common/transfer.h - base64 and quoted-printable (RFC 2045 §6, RFC 4648 §4).
 * The strict forms are for protocols (SASL); the incremental decoders are for mail and total on any octets.
 * Pure: no I/O, any thread. */
#ifndef COMMON_TRANSFER_H
#define COMMON_TRANSFER_H

#include "common/bytes.h"

enum transfer {
	TRANSFER_7BIT = 0,      /* also: no Content-Transfer-Encoding at all */
	TRANSFER_8BIT, TRANSFER_BINARY,
	TRANSFER_BASE64, TRANSFER_QUOTED_PRINTABLE,
	TRANSFER_OTHER,         /* an unknown encoding: RFC 2045 §6.4 says to treat the part as octets */
};
/** transfer_from - the encoding a Content-Transfer-Encoding value names, case and comments ignored. */
enum transfer transfer_from(struct sv value);

/** base64_encode - append with padding and without line ends. False when the buffer's max would be passed. */
bool base64_encode(struct sv in, struct buf *out);
/** base64_decode - strict: whole quanta, padding where it belongs, no other octet, unused bits zero. False (and *out
 *  unchanged) for anything else or when the buffer's max would be passed. Source: RFC 4648 §3.5, RFC 4954 §4. */
bool base64_decode(struct sv in, struct buf *out);
/** base64url_decode - strict: the URL-safe alphabet without padding (RFC 4648 §5, RFC 7515 §2). Likewise. */
bool base64url_decode(struct sv in, struct buf *out);

/* Decodes a body as it streams by. */
struct transfer_decoder {
	enum transfer kind;
	uint32_t bits;          /* private from here */
	unsigned char count, state, held_len;
	char held[64];          /* blanks held back: those before a line end go (RFC 2045 §6.7 rule 3) */
};
void transfer_decoder_init(struct transfer_decoder *d, enum transfer kind);
/** transfer_decoder_feed - append the decoded octets. Octets that are no base64 are skipped, a bad =XX stays as it is;
 *  7BIT, 8BIT, BINARY and OTHER are copied. Output is never longer than all input so far. False when the buffer's max
 *  was reached: the rest is lost, so give it room for the input plus 64. */
bool transfer_decoder_feed(struct transfer_decoder *d, struct sv in, struct buf *out);
/** transfer_decoder_finish - what was held back at the end. */
bool transfer_decoder_finish(struct transfer_decoder *d, struct buf *out);

#endif
