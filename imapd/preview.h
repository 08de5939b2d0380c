/* imapd/preview.h - the first words of a message, as a list of messages shows them (RFC 8970): which part
 * they come from, and what is left of its text when markup, quotations and invisible characters are
 * gone. Pure. */
#ifndef IMAPD_PREVIEW_H
#define IMAPD_PREVIEW_H

#include "common/mime.h"

#define PREVIEW_CHARS 200       /* RFC 8970 §3.3 */
#define PREVIEW_MAX   (PREVIEW_CHARS * 4)
#define PREVIEW_READ  ((size_t)32 << 10) /* octets of the part that are looked at */

/** preview_part - the part to take: the first plain text, else the first HTML. False: nothing to show (encrypted
 *  mail, a lone image). */
bool preview_part(const struct mime_message *m, struct mime_part *out);
/** preview_make - append the preview of a text. @utf8: its beginning, may end within a character.
 *  @out: has room for PREVIEW_MAX octets */
void preview_make(struct sv utf8, bool is_html, struct buf *out);

#endif
