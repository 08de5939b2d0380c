/* common/mime_write.h - writing messages of our own: header fields and texts that any mail program reads.
 * Input is UTF-8 (other octets become U+FFFD or '?'); output has CRLF lines of at most 998 octets, ASCII only. Nothing that is written can
 * begin another header field. Pure, any thread. False: out's max would be passed. */
#ifndef COMMON_MIME_WRITE_H
#define COMMON_MIME_WRITE_H

#include "common/bytes.h"

/** mime_write_text_field - "Subject: text", as encoded-words (RFC 2047) where it must be, folded. */
bool mime_write_text_field(struct buf *out, struct sv name, struct sv text);
/** mime_write_plain - the three fields of a text/plain part, an empty line, and the text with line ends made CRLF: as it is when it is
 *  ASCII in short lines, else quoted-printable (RFC 2045 §6.7). Ends with a line end. */
bool mime_write_plain(struct buf *out, struct sv text);
/** mime_write_crlf - lines made to end in CRLF, also the last one; NUL is left out. */
bool mime_write_crlf(struct buf *out, struct sv text);

#endif
