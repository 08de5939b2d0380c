/* maildir/access_private.h - what a mailbox name means to an identity, and what it may do there: decided here and nowhere else.
 *
 * A name is one of the account's own, or "Shared/OWNER/NAME" (RFC 2342, Other Users' Namespace): the mailbox NAME of the
 * account OWNER, if its access control list (maildir/acl.h) has something for the identity. What is absent and what may not
 * be seen get the same answer, FAULT_NOT_FOUND, on the same way: an account that grants nothing to the identity is not
 * even opened, whether it exists or not. */
#ifndef MAILDIR_ACCESS_PRIVATE_H
#define MAILDIR_ACCESS_PRIVATE_H

#include "maildir/acl.h"
#include "maildir/mailbox_private.h"

/* Where a name leads. */
struct place {
	struct account *account;        /* referenced by the place */
	struct quota quota;             /* of that account */
	bool is_own;
	char name[MAILBOX_NAME_MAX + 1];        /* there, canonical */
	/* Set when the mailbox was looked for. */
	struct index_box box;
	uint32_t rights;
};

/** access_place - the account that a name leads to; the mailbox need not exist. FAULT_NOT_FOUND also for what is no name. */
MUST_CHECK struct fault access_place(struct maildir_user *user, struct sv name, struct place *out);
/** access_find - a mailbox, and that the user has `need` there: FAULT_DENIED when not, if it may be seen. Outside of any account;
 *  other programs' mailboxes are noticed. */
MUST_CHECK struct fault access_find(struct maildir_user *user, struct sv name, uint32_t need, struct place *out);
/** access_parent - likewise for the nearest mailbox above a place that exists; inside its account. One's own account needs none. */
MUST_CHECK struct fault access_parent(struct maildir_user *user, const struct place *place, uint32_t need);
/** access_may - FAULT_OK when `need` is in `rights`, else what the user is told. */
struct fault access_may(uint32_t rights, uint32_t need);
void access_done(struct place *place);

/** access_record - the index's record of a mailbox by its canonical name; inside the account. */
MUST_CHECK struct fault access_record(struct account *a, struct sv name, struct index_box *out);
/** access_acl - the list of a mailbox, from its sidecar; inside its account. The caller ends *out. */
MUST_CHECK struct fault access_acl(struct account *a, const char *dir, struct acl *out);

/** access_list - mailboxes of others that the user may see (RIGHT_LOOKUP), by their full names. What cannot be asked now
 *  is left out: nobody's listing fails for the sake of others. */
typedef void access_list_fn(void *arg, struct sv name, const struct index_box *box, uint32_t rights,
			    uint64_t metadata);
void access_list(struct maildir_user *user, access_list_fn *fn, void *arg);

/** access_refresh - an open mailbox of somebody else: have the rights changed? Inside the account. FAULT_GONE when it may not be read any more. Nothing to do for one's own. */
MUST_CHECK struct fault access_refresh(struct mailbox *box);

#endif
