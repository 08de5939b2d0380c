/* imapd/list.h - LIST responses that other commands send (RFC 9051 §6.3.2, §6.3.9.7). Blocks. */
#ifndef IMAPD_LIST_H
#define IMAPD_LIST_H

#include "imapd/command.h"

/** list_write_one - the LIST response of one mailbox. @old_name: as the client wrote it or knew it, told as OLDNAME;
 *  the empty view: none. */
MUST_CHECK struct fault list_write_one(struct command *c, struct sv name, struct sv old_name);

/** list_write_info - likewise, of a mailbox whose facts are at hand. @attribute: one more of these, or "". */
void list_write_info(struct command *c, const struct mailbox_info *info, struct sv old_name, const char *attribute);

#endif
