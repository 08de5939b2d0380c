/* imapd/use.h - special-use attributes (RFC 6154 §2) and their names. Pure. */
#ifndef IMAPD_USE_H
#define IMAPD_USE_H

#include "imapd/writer.h"

/** use_find - the USE_ bit of maildir/mailbox.h that "\Sent" names, in any case; 0 when there is
 * none. */
uint32_t use_find(struct sv name);
/** use_write - " \Sent \Junk": each with a space before it. */
void use_write(struct writer *w, uint32_t uses);

#endif
