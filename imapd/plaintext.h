/* imapd/plaintext.h - the usual case of SEARCH in header fields: lines of ASCII, which need no decoding, folding into a
 * buffer or comparator. A search of a big mailbox comes here for each message, so these look at eight octets at a time.
 * Pure: any thread. */
#ifndef IMAPD_PLAINTEXT_H
#define IMAPD_PLAINTEXT_H

#include "common/bytes.h"

/** plaintext_holds - does the text hold the needle, which has no small ASCII letters, when its own are taken as capitals? For
 *  ASCII that is what utf8_casemap() makes of it (RFC 5051 §2); octets above 127 are compared as they are. */
bool plaintext_holds(struct sv text, struct sv needle);
/** plaintext_is - one line of ASCII without control characters or an encoded-word (RFC 2047 §2): it is what it says. */
bool plaintext_is(struct sv value);
/** plaintext_field - the next field of this name, not empty, in a header block: it and all before it is taken off *block. False: there
 *  is none. @value: behind the colon, with its folding, trimmed. */
bool plaintext_field(struct sv *block, struct sv name, struct sv *value);
/** plaintext_take - the next field, folded lines included, off *block. */
struct sv plaintext_take(struct sv *block);

#endif
