/* common/charset.h - characters: charsets of mail to UTF-8, encoded-words, mailbox names, folding.
 * Every function is total: any octets in, well-formed UTF-8 out, U+FFFD for junk, output bounded by the buffer's max.
 * Pure: no I/O, any thread; one converter, one thread at a time. */
#ifndef COMMON_CHARSET_H
#define COMMON_CHARSET_H

#include "common/transfer.h"

/** charset_preload - load iconv's tables for all known charsets, for good. Call it once, before a sandbox takes the file
 *  system away and before threads start; without it they are loaded when first used. */
void charset_preload(void);
/** charset_is_known - can a text with this label (any case) be converted? */
bool charset_is_known(struct sv label);

/* Converts a text as it streams by. */
struct charset_converter;
/** charset_converter_new - label: a MIME charset; empty means us-ascii. An unknown one is read as UTF-8 with U+FFFD for
 *  what is none. us-ascii and iso-8859-1 are read as windows-1252, as everybody does. Never NULL. */
struct charset_converter *charset_converter_new(struct sv label);
/** charset_converter_feed - append UTF-8. At most 4 octets come out for each one that went in. False when the buffer's
 *  max cut the text (at a character). */
bool charset_converter_feed(struct charset_converter *c, struct sv in, struct buf *out);
/** charset_converter_finish - a character cut off at the end becomes U+FFFD. */
bool charset_converter_finish(struct charset_converter *c, struct buf *out);
void charset_converter_free(struct charset_converter **c);

/** charset_to_utf8 - a whole text at once: new, feed, finish, free. */
bool charset_to_utf8(struct sv label, struct sv in, struct buf *out);
/** charset_decode_words - an unfolded field value with RFC 2047 encoded-words to UTF-8. White space between two
 *  encoded-words goes (§6.2); a character split over two of the same charset is joined; a word that is malformed or of
 *  an unknown charset stays as it is. Raw 8-bit octets are kept when they are UTF-8, else read as windows-1252. Decoded
 *  CR, LF and NUL become spaces. */
bool charset_decode_words(struct sv value, struct buf *out);

/** utf8_clean - append well-formed UTF-8, U+FFFD for each maximal bad sequence. */
bool utf8_clean(struct sv in, struct buf *out);
/** utf8_casemap - i;unicode-casemap (RFC 5051): titlecase, then compatibility decomposition; bad octets stay as they
 *  are, so that the result of two equal texts is equal. Only for comparing and searching. */
bool utf8_casemap(struct sv in, struct buf *out);
/** utf8_nfc - normalisation form C; false (nothing appended) when in is no UTF-8 or the max would be passed. */
bool utf8_nfc(struct sv in, struct buf *out);

/** mutf7_to_utf8 - an IMAP mailbox name (RFC 3501 §5.1.3). False (nothing appended) when it is not canonical: 8-bit or
 *  control octets, an & that never ends, base64 of printable ASCII, two shifts in a row, unused bits set, lone
 *  surrogates, NUL. One name, one spelling. */
bool mutf7_to_utf8(struct sv name, struct buf *out);
/** utf8_to_mutf7 - the other way; false when name is no UTF-8 or the max would be passed. */
bool utf8_to_mutf7(struct sv name, struct buf *out);

#endif
