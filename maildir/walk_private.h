/* maildir/walk_private.h - along what the index has of one mailbox, by UID: its rows (T_ROWS) or parsed messages (T_PARSED).
 *
 * A walk belongs to one transaction, and ends before it or before the next change of its table. FAULT_NOT_FOUND: the mailbox has
 * no more. FAULT_CORRUPT: a key or a row makes no sense; what stands behind it may not be taken for the end of the mailbox, so
 * account_judge() puts such an index aside and it is made anew from the files. */
#ifndef MAILDIR_WALK_PRIVATE_H
#define MAILDIR_WALK_PRIVATE_H

#include "maildir/index_private.h"

struct walk {
	struct kv_cursor *c;
	uint64_t box;
	struct kv_key from;     /* where it began last; all of it but the UID is the mailbox's */
	struct sv key, value;   /* views until the walk moves */
	uint32_t uid;           /* where it stands; 0: nowhere yet */
};

/** walk_open - @table: T_ROWS or T_PARSED. Needs walk_close() also after a fault. */
MUST_CHECK struct fault walk_open(struct walk *w, struct kv_txn *kv, enum index_table table, uint64_t box);
void walk_close(struct walk *w);
/** walk_seek - to the first one whose UID is at least this. */
MUST_CHECK struct fault walk_seek(struct walk *w, uint32_t uid);
MUST_CHECK struct fault walk_next(struct walk *w);
/** walk_into - stay where the walk is if that UID is in the set, else on to the first one that is; FAULT_NOT_FOUND also when the
 *  set has no more. NULL is a set of all. */
MUST_CHECK struct fault walk_into(struct walk *w, const struct uidset *set);
/** walk_find - to just this UID, FAULT_NOT_FOUND otherwise; cheap for one UID after the other in ascending order. */
MUST_CHECK struct fault walk_find(struct walk *w, uint32_t uid);
/** walk_head - the head of the row at hand, which is cheaper than all of it. */
MUST_CHECK struct fault walk_head(const struct walk *w, struct index_row_head *out);
/** walk_row - the row at hand. */
MUST_CHECK struct fault walk_row(const struct walk *w, struct index_row *out);

/** walk_rows - the next messages of a mailbox, from UID `from` on; fewer than `most` means that these are the last. */
MUST_CHECK struct fault walk_rows(struct kv_txn *kv, uint64_t box, uint32_t from, struct index_row *rows, size_t most,
				  size_t *count);

#endif
