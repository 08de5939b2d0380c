/* maildir/import_book.h - what earlier runs of an import over the network have brought into an account, so that the next one brings
 * only what is new: which message of the source (mailbox, UIDVALIDITY, UID: RFC 3501 §2.3.1.1) is which of ours, and how its flags
 * were when they were last looked at.
 *
 * It is a text file in the account's folder, one for each source, that only grows:
 *   postroom-import 1 <source>
 *   B <box> <their UIDVALIDITY> <our UIDVALIDITY> <mailbox, its octets beyond letters, digits and -_./ as %XX>
 *   M <box> <their UID> <our UID> <digest of the flags, hexadecimal>
 * A later line about the same message replaces an earlier one. A last line without its end is cut off. It is a memory, no truth: when it
 * is lost, messages are fetched again and found by their octets.
 *
 * One import at a time has it open. Blocks; one thread. */
#ifndef MAILDIR_IMPORT_BOOK_H
#define MAILDIR_IMPORT_BOOK_H

#include "common/bytes.h"
#include "common/fault.h"
#include "maildir/store.h"

#define IMPORT_BOOK_NAME_MAX 2048       /* octets of a mailbox's name */
#define IMPORT_BOOK_MESSAGES_MAX ((size_t)16 << 20)     /* of one source */

struct import_book;

struct import_book_entry {
	uint32_t theirs, ours;          /* UIDs */
	uint32_t flags;                 /* digest */
};

/* A mailbox of the source, as long as neither side has given it another UIDVALIDITY. Entries ascend by `theirs`. */
struct import_book_box {
	char *name;                     /* the source's octets */
	uint32_t their_validity, our_validity;
	struct import_book_entry *entries;
	size_t count;
	bool is_known;                  /* an earlier run saw it */

	/* private */
	size_t cap;
	unsigned number;
};

/**
 * import_book_open - find or make the book of a source.
 * @source: what tells it from others, of printable characters
 * @is_dry: write nothing, also no new book
 * Errors: FAULT_IN_USE (another import from there runs), FAULT_LIMIT, from errno.
 */
MUST_CHECK struct fault import_book_open(struct maildir_user *user, struct sv source, bool is_dry, struct import_book **out);
/** import_book_close - what was noted and not flushed is lost. NULL is fine. */
void import_book_close(struct import_book **book);
/** import_book_box - of these three; made when there is none. @name: at most IMPORT_BOOK_NAME_MAX octets, no NUL. Borrowed, as
 *  long as the book is open. */
struct import_book_box *import_book_box(struct import_book *book, struct sv name, uint32_t their_validity, uint32_t our_validity);
/** import_book_find - NULL: not known. Valid until the next import_book_note(). */
const struct import_book_entry *import_book_find(const struct import_book_box *box, uint32_t theirs);
/** import_book_note - remember it, in place of what was known. FAULT_LIMIT: the book is full. */
MUST_CHECK struct fault import_book_note(struct import_book *book, struct import_book_box *box, struct import_book_entry entry);
/** import_book_flush - what was noted is on disk. */
MUST_CHECK struct fault import_book_flush(struct import_book *book);

#endif
