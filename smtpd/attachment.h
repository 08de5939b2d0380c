/* smtpd/attachment.h - what files a message says that it brings: their names, fed in any pieces.
 *
 * A name is what Content-Disposition (filename) or Content-Type (name) of any part says, also of parts of a message/rfc822, in every
 * spelling that mail programs read: RFC 2231 with its charsets and continuations, RFC 2047, raw octets. Dots and spaces behind it, and
 * characters that nobody sees, do not count: Windows drops them. Its ending is what stands behind the last dot. Nothing is unpacked.
 *
 * What cannot be looked at in full (too many parts or parameters, a field too long) counts as found. Memory: that of common/mime.h.
 * Pure; one object, one thread at a time. */
#ifndef SMTPD_ATTACHMENT_H
#define SMTPD_ATTACHMENT_H

#include "common/conf.h"

struct attachments;

/** attachments_new - @endings: without dots, in any case; must outlive it. */
struct attachments *attachments_new(const struct conf_list *endings);
void attachments_feed(struct attachments *a, struct sv octets);
/** attachments_end - the message has ended. The first name with such an ending, printable, cut; NULL: there is none. As long as a. */
const char *attachments_end(struct attachments *a);
/** attachments_free - NULL is fine. */
void attachments_free(struct attachments **a);

/** attachment_ending - a UTF-8 name's ending: lower case, without what nobody sees. Appends nothing when it has none. False: out's max. */
bool attachment_ending(struct sv name, struct buf *out);

#endif
