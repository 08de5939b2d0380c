/* admin/imap_folders.h - the mailboxes of somebody else's IMAP account, and what they are called here: levels by the server's own
 * separator (RFC 3501 §6.3.8), modified UTF-7 or plain UTF-8, the personal namespace's prefix taken off (RFC 2342), special uses
 * (RFC 6154). Mailboxes of other people are left out. One thread. */
#ifndef ADMIN_IMAP_FOLDERS_H
#define ADMIN_IMAP_FOLDERS_H

#include "admin/imap_client.h"

struct imap_folder {
	char *raw;              /* as the server writes it */
	char *name;             /* here: canonical (maildir/layout.h); NULL: it cannot be one, see note */
	const char *note;       /* why it is left out; NULL: it is not */
	uint32_t use;           /* USE_... of maildir/mailbox.h, or 0 */
	bool is_subscribed;
};

struct imap_folders {
	struct imap_folder *items;      /* INBOX first, then by name */
	size_t count;
};

/** imap_folders_read - ask for them. imap_folders_done() ends it, also after a fault. */
MUST_CHECK struct fault imap_folders_read(struct imap_client *client, struct imap_folders *out);
void imap_folders_done(struct imap_folders *folders);

/** imap_folder_name - what a mailbox is called here. out: emptied first; its max should be MAILBOX_NAME_MAX + 1.
 *  @delimiter: 0: the server has no levels
 *  @prefix:    of the personal namespace: "INBOX.", or empty
 *  Errors: as mailbox_name_check(). */
MUST_CHECK struct fault imap_folder_name(struct sv raw, char delimiter, struct sv prefix, struct buf *out);

#endif
