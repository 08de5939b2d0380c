/* maildir/seen_private.h - what a reader of somebody else's mailbox has seen (RFC 4314, the right s).
 *
 * One file per mailbox and reader, "postroom-seen.<account id>" beside the mailbox sidecar, which is the truth and to which is
 * only ever appended:
 *
 *   postroom-seen 1 1795288000
 *   + 1:5,9 6d2f10aa
 *   - 3 00c1d2e3
 *
 * that is, the UIDVALIDITY it holds for, then UIDs that were seen or not any more, each line with the CRC-32C of what stands
 * before it. A line that is cut off or wrong is skipped. A file that has grown far beyond its content is written anew. Lines
 * are appended inside the transaction that tells others of the change, and flushed before the answer is given. */
#ifndef MAILDIR_SEEN_PRIVATE_H
#define MAILDIR_SEEN_PRIVATE_H

#include "maildir/account_private.h"

#define SEEN_PREFIX "postroom-seen."

struct seen {
	struct uidset uids;
	uint32_t uidvalidity;
	/* Of the file as it was read; 0: there was none. */
	uint64_t ino, size;
};
void seen_done(struct seen *seen);

/** seen_parse - all of a file; a wrong UIDVALIDITY means nothing was seen. Pure. */
void seen_parse(struct sv text, uint32_t uidvalidity, struct uidset *out);
/** seen_line - "+ 1:5,9 crc" or "- ..."; false when it does not fit. Pure. */
bool seen_line(const struct uidset *uids, bool is_seen, struct buf *out);

/** seen_load - bring *seen up to date with the file. One stat when nothing changed. Inside the account. */
MUST_CHECK struct fault seen_load(struct account *a, const char *dir, const char *reader, uint32_t uidvalidity,
				  struct seen *seen);
/** seen_append - UIDs that are seen now, and such that are not any more; inside a write transaction. *seen follows.
 *  *fd is what seen_flush() flushes and closes. */
MUST_CHECK struct fault seen_append(struct account *a, const char *dir, const char *reader, struct seen *seen,
				    const struct uidset *added, const struct uidset *removed, int *fd);
/** seen_flush - behind the transaction: the file is on disk. */
MUST_CHECK struct fault seen_flush(struct account *a, const char *dir, int *fd);
/** seen_compact - write the file anew if it is worth it; inside the account, outside of a transaction. */
void seen_compact(struct account *a, uint64_t box, const char *dir, const char *reader, struct seen *seen);

#endif
