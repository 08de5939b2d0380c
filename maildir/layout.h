/* maildir/layout.h - where things lie: mailbox names and Maildir++ directory names, account paths, our files.
 *
 * A mailbox name is UTF-8, levels separated by '/'. On disk it is ".Level.Level" below the Maildir, each level in
 * modified UTF-7 (RFC 3501 §5.1.3) as Dovecot and Courier write it. A '.' inside a level, which Maildir++
 * cannot carry, is written inside a base64 run as well ("v1.0" is "v1&AC4-0"), so names and directories map one to
 * one; nothing else ever makes a directory name. INBOX is the Maildir itself: its directory name is ".".
 * Pure functions, any thread. */
#ifndef MAILDIR_LAYOUT_H
#define MAILDIR_LAYOUT_H

#include "common/bytes.h"
#include "common/fault.h"
#include "maildir/mailbox.h"

#define LAYOUT_DIR_MAX 255

/* Our files beside cur, new and tmp. None starts with a dot, so no Maildir++ reader takes one for a mailbox. */
#define LAYOUT_MAILBOX_FILE "postroom-mailbox"
#define LAYOUT_ACCOUNT_FILE "postroom-account"
#define LAYOUT_SUBSCRIPTIONS_FILE "postroom-subscriptions"
#define LAYOUT_METADATA_FILE "postroom-metadata"
#define LAYOUT_SERVER_METADATA_FILE "postroom-metadata-account"      /* beside the account sidecar */
#define LAYOUT_FLAG_LOG "postroom-flags.log"
#define LAYOUT_LOCK_FILE "postroom-lock"
#define LAYOUT_INDEX "index"
#define LAYOUT_MAILDIR "Maildir"
#define LAYOUT_TRASH "deleted"          /* in the account's folder: deleted mailboxes on their way out */

/**
 * mailbox_name_check - the one validator of mailbox names from outside.
 * @name: as the client sent it, decoded to UTF-8
 * @out:  gets the canonical name: INBOX in capitals as first level, no '/' at the end. Its max should be
 *        MAILBOX_NAME_MAX + 1; it is cleared first
 * FAULT_INVALID: empty, an empty level, not UTF-8, a control character (RFC 5198 §2). FAULT_LIMIT: longer than
 * MAILBOX_NAME_MAX, deeper than MAILBOX_DEPTH_MAX, or its directory name longer than 255 octets.
 */
MUST_CHECK struct fault mailbox_name_check(struct sv name, struct buf *out);

/** layout_dir - directory name of a canonical mailbox name, NUL-terminated. False when it is too long. */
bool layout_dir(struct sv name, char out[LAYOUT_DIR_MAX + 1]);
/** layout_name - mailbox name of a directory found on disk: modified UTF-7, or what other programs made, taken as
 *  UTF-8. Appended to out. False when the directory is no mailbox, or its name one that we cannot show. */
bool layout_name(struct sv dir, struct buf *out);

/** layout_is_inside - is name equal to parent, or a descendant of it? */
bool layout_is_inside(struct sv name, struct sv parent);

/** layout_account_split - USER and DOMAIN of a canonical address. False when one of them cannot be a directory. */
bool layout_account_split(struct sv address, struct sv *user, struct sv *domain);

#endif
