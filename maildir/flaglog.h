/* maildir/flaglog.h - the append-only log of flag changes, which file names follow lazily.
 *
 *   F <mailbox id> <UID set> <flags> <keywords, 32 hex digits> <crc>
 *
 * One line says which flags these messages have from now on. It is appended inside the index transaction that makes the
 * change, flushed within two seconds, and cut when all names have caught up. A rebuilt index is names, then log:
 * replaying a line twice changes nothing. A line without a right CRC (the end of a log after a power cut) is skipped.
 * Pure functions here, any thread; the file itself is the account's. */
#ifndef MAILDIR_FLAGLOG_H
#define MAILDIR_FLAGLOG_H

#include "common/bytes.h"
#include "maildir/mailbox.h"
#include "maildir/uidset.h"

#define FLAGLOG_LINE_MAX 8192   /* octets; a longer UID set is written as several lines */

struct flag_record {
	uint64_t box;
	struct uidset uids;
	uint32_t flags;
	struct keyword_bits keywords;
};

/** flaglog_write - append the lines for r. False when out's max would be passed. */
bool flaglog_write(const struct flag_record *r, struct buf *out);
/** flaglog_parse - call fn for each good line, in order, until it returns false. Returns how many octets at the front
 *  are whole lines; what is behind them is a line still to be finished. r is borrowed for the call. */
typedef bool flaglog_fn(void *arg, const struct flag_record *r);
size_t flaglog_parse(struct sv log, flaglog_fn *fn, void *arg);

#endif
