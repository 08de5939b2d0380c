/* maildir/facts.h - what is known of single messages and fits into no file name: unique ids of POP3 that another server gave
 * them before they came here.
 *
 *   postroom-facts 1
 *   uidl 12 UID12-1700000000
 *   crc 6d2f10aa
 *
 * One file per mailbox, beside the mailbox sidecar. It is written when mail is imported, before the messages can be seen, and
 * never changed for a message that is there. The last line is CRC-32C of all lines before it. A line that this program
 * does not know is kept. Plain values and pure functions, but for box_facts_read() and box_facts_replace(); any thread. */
#ifndef MAILDIR_FACTS_H
#define MAILDIR_FACTS_H

#include "common/bytes.h"
#include "common/fault.h"

#define FACTS_FILE "postroom-facts"
#define FACTS_MAX ((size_t)512 << 20)   /* octets of the file */
#define FACTS_UIDL_MAX 70               /* RFC 1939 §7 */

struct box_fact {
	uint32_t uid;
	uint32_t len;
	size_t at;                      /* of its unique id in `text` */
};

/* Zero-initialised there are none. */
struct box_facts {
	struct box_fact *rows;              /* ascending UIDs once box_facts_settle() was called */
	size_t count, cap;
	struct buf text, unknown;
};

/** box_facts_parse - FAULT_CORRUPT: the checksum or a line is wrong, *out is empty then; FAULT_UNSUPPORTED: a newer version. */
MUST_CHECK struct fault box_facts_parse(struct sv text, struct box_facts *out);
/** box_facts_write - append the whole file; FAULT_LIMIT when it does not fit. Settled facts only. */
MUST_CHECK struct fault box_facts_write(const struct box_facts *f, struct buf *out);
/** box_facts_is_uidl - 1 to 70 printable characters without a space (RFC 1939 §7). */
bool box_facts_is_uidl(struct sv uidl);
/** box_facts_add - note a message's unique id; false when it is none. The UID is not looked for. */
bool box_facts_add(struct box_facts *f, uint32_t uid, struct sv uidl);
/** box_facts_settle - sort; of several ids for one UID the first stays, of several UIDs with one id the highest (an
 *  import that was interrupted may have noted it under a UID that no message got). Returns how many went. */
size_t box_facts_settle(struct box_facts *f);
/** box_facts_uidl - of settled facts: the id of a message, borrowed; empty when none is noted. */
struct sv box_facts_uidl(const struct box_facts *f, uint32_t uid);
void box_facts_done(struct box_facts *f);

/** box_facts_read - of the mailbox in folder `path` below dir; without a file there are none. Blocks. */
MUST_CHECK struct fault box_facts_read(int dir, const char *path, struct box_facts *out);
/** box_facts_replace - write them in the place of what is there, durably. Blocks. */
MUST_CHECK struct fault box_facts_replace(int dir, const char *path, const struct box_facts *f);

#endif
