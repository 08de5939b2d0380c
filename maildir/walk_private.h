/* maildir/walk_private.h - along what the index has of one mailbox, by UID: its rows (T_ROWS) or parsed messages (T_PARSED).
 *
 * A walk belongs to one read transaction and ends before it. FAULT_NOT_FOUND: the mailbox has no more. */
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
/** walk_find - to just this UID, FAULT_NOT_FOUND otherwise; cheap for one UID after the other in ascending order. */
MUST_CHECK struct fault walk_find(struct walk *w, uint32_t uid);
/** walk_head - the head of the row at hand; false when it is damaged. */
bool walk_head(const struct walk *w, struct index_row_head *out);

#endif
