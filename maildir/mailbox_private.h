/* maildir/mailbox_private.h - an open mailbox inside: an account and a MAILBOXID, nothing that a rebuild or rename by others
 * could make wrong. */
#ifndef MAILDIR_MAILBOX_PRIVATE_H
#define MAILDIR_MAILBOX_PRIVATE_H

#include "maildir/store_private.h"

struct box_facts;
struct seen;
struct walk;

/* The message that a scan was stopped at, as its row had it: its file is what is wanted next as a rule. */
struct stopped {
	struct index_row row;           /* uid 0: none */
	char dir[LAYOUT_DIR_MAX + 1];
};

struct mailbox {
	struct account *account;
	struct quota quota;
	uint64_t id;
	struct box_facts *facts;            /* NULL: not read yet */
	bool is_warning_due;            /* of the latest copy into it: its quota is nearly used up */
	struct stopped *stopped;        /* NULL: no scan was */
	const struct walk *at;          /* the message that a scan tells of; NULL: none is under way */
	const char *at_dir;
	struct uidset checked;          /* messages whose parsed form had a good checksum when this handle read it first */
	int lock;                       /* POP3's; -1: not held */
	/* Of somebody else's mailbox; NULL and nothing in one's own. */
	char *reader;                   /* account id of who reads */
	uint32_t rights, need;          /* what they may do; what the handle was opened for */
	uint64_t acl_generation;        /* of the sidecar that said so */
	struct seen *seen;
	struct maildir_user *guest;     /* notices of that account go to the reader, too */
	struct mailbox *next_open;      /* of the account; under the watcher's mutex, as the folder that is watched */
	char watch_dir[LAYOUT_DIR_MAX + 1];
};

/** mailbox_flags - the system flags that this handle shows of a message that has these. */
uint32_t mailbox_flags(const struct mailbox *box, uint32_t uid, uint32_t flags);
/** mailbox_needs - FAULT_DENIED unless the handle may do all of this. */
struct fault mailbox_needs(const struct mailbox *box, uint32_t rights);
/** mailbox_keep_flags - of flags to be set on a message, those that the handle may set (RFC 4314 §4). *keywords: may it set
 *  keywords? \Seen is left out of *shared when it is the reader's own. */
uint32_t mailbox_keep_flags(const struct mailbox *box, uint32_t flags, bool *keywords);

/** mailbox_show_counters - what a record says of its mailbox. */
void mailbox_show_counters(const struct index_box *box, struct mailbox_status *out);

/** mailbox_gone - FAULT_NOT_FOUND of the record means that somebody deleted the mailbox: FAULT_GONE. */
static inline struct fault mailbox_gone(struct fault f)
{
	return f.kind == FAULT_NOT_FOUND ? fault(FAULT_GONE, "mailbox was deleted") : f;
}

/** mailbox_enter - be inside the account, with other programs' changes to this mailbox noticed when `refresh`, and with the rights
 *  of who reads somebody else's as they are now. */
MUST_CHECK struct fault mailbox_enter(struct mailbox *box, bool refresh);
/** changes_apply - bring a set of the mailbox's UIDs as of MODSEQ `since` to this snapshot. FAULT_GONE when the history does
 *  not reach back so far; *uids is of no use after a fault. */
MUST_CHECK struct fault changes_apply(struct kv_txn *kv, uint64_t box, uint64_t since, struct uidset *uids);
/** mailbox_seen - what the reader of somebody else's mailbox has seen, as it is now. In each transaction before rows are looked at:
 *  lines are written in the one that gives the MODSEQ, so a row is never shown with its new MODSEQ and an old \Seen, and who adds
 *  lines knows those of the reader's other devices. */
MUST_CHECK struct fault mailbox_seen(struct mailbox *box, const struct index_box *record);
/** mailbox_snapshot - a read transaction and the mailbox's record in it. */
MUST_CHECK struct fault mailbox_snapshot(struct mailbox *box, struct kv_txn **kv, struct index_box *record);

#endif
