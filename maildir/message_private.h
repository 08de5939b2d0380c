/* maildir/message_private.h - reading a message from inside the account. */
#ifndef MAILDIR_MESSAGE_PRIVATE_H
#define MAILDIR_MESSAGE_PRIVATE_H

#include "maildir/mailbox_private.h"
#include "maildir/message.h"

/** message_open_inside - as message_open(), between account_enter() and account_leave(). */
MUST_CHECK struct fault message_open_inside(struct mailbox *box, uint32_t uid, struct message_reader **out);
/** message_open_named - the file at that place, and no other: FAULT_NOT_FOUND when it has another name by now. The index is not
 *  looked at, so this may be called beside others who are inside. */
MUST_CHECK struct fault message_open_named(const struct account *a, const struct message_place *place, struct message_reader **out);
void message_place_of(const char *dir, const struct index_row *row, struct message_place *out);
/** message_read_raw - octets as they were stored: unpacked, but with the line ends that they have. */
MUST_CHECK struct fault message_read_raw(struct message_reader *reader, uint64_t offset, char *p, size_t n,
					 size_t *got);

#endif
