/* maildir/copy_private.h - taking messages away again. */
#ifndef MAILDIR_COPY_PRIVATE_H
#define MAILDIR_COPY_PRIVATE_H

#include "maildir/account_private.h"

struct incoming;
struct placing;

/** copy_remove - remove these messages, whatever their flags; inside the account. For taking back what was not finished:
 *  a fault is only logged. */
void copy_remove(struct account *a, uint64_t box, const struct uidset *uids);

/* Which messages: those with all of `flags`, and, when it is not 0, only what came into the mailbox before `saved_before`. With
 * `as_read`, rows by ascending UID: only those that nobody changed since (struct message_row's modseq). */
struct copy_filter {
	uint32_t flags;
	int64_t saved_before;
	const struct message_row *as_read;
	size_t as_read_count;
};
/** copy_expunge - mailbox_expunge() of what passes the filter, inside the account. */
MUST_CHECK struct fault copy_expunge(struct mailbox *box, const struct uidset *set, const struct copy_filter *filter,
				     uint32_t *resume, struct uidset *gone);

/** copy_inside - mailbox_copy(), inside the account. */
MUST_CHECK struct fault copy_inside(struct mailbox *from, const struct uidset *set, struct mailbox *to, bool move,
				    uint32_t *resume, copied_fn *fn, void *arg);

/** carry - mailbox_copy() where one of the two is somebody else's; from outside. */
MUST_CHECK struct fault carry(struct mailbox *from, const struct uidset *set, struct mailbox *to, bool move,
			      uint32_t *resume, copied_fn *fn, void *arg);

/** incoming_bring - the message's file as a temporary one in this account: a link, or a copy. Inside `a`. */
MUST_CHECK struct fault incoming_bring(struct incoming *in, struct account *a, char temp[BOX_PATH_MAX]);
/** incoming_describe - sizes, id and parsed form. */
void incoming_describe(const struct incoming *in, struct placing *p);

/** folders_create - make a mailbox, parents too; inside the account. FAULT_EXISTS when it is there. */
MUST_CHECK struct fault folders_create(struct account *a, struct sv canonical, uint32_t special_use, uint64_t *id);

#endif
