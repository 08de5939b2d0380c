/* pop3d/maildrop.h - the INBOX as it was at login (RFC 1939 §5): message numbers, deletion marks, the maildrop lock.
 * What is deleted stays until maildrop_update(), which runs at QUIT only. Everything that touches the store blocks
 * and runs in a job; the rest is memory. One maildrop, one thread at a time. */
#ifndef POP3D_MAILDROP_H
#define POP3D_MAILDROP_H

#include "common/lines.h"
#include "maildir/message.h"
#include "maildir/store.h"

struct maildrop;

/* One message of the maildrop; numbers run from 1. */
struct maildrop_entry {
	uint32_t uid;
	bool is_deleted;
	uint64_t size;          /* octets as RETR sends them, before dot-stuffing */
};

/**
 * maildrop_open - lock the INBOX and list it. Blocks.
 * @user: consumed on success (closed by maildrop_close)
 * Errors: FAULT_IN_USE (another POP3 session holds the lock), those of mailbox_open().
 */
MUST_CHECK struct fault maildrop_open(struct maildir_user *user, struct maildrop **out);
/** maildrop_close - give the lock back; deletes nothing. NULL is fine. Reads and writes no file, so the loop may do it. */
void maildrop_close(struct maildrop **drop);
/** maildrop_is_marked - is any message marked as deleted? */
bool maildrop_is_marked(const struct maildrop *drop);
/** maildrop_update - remove what is marked, durably (the UPDATE state). *removed: how many. Blocks if anything is marked. */
MUST_CHECK struct fault maildrop_update(struct maildrop *drop, uint32_t *removed);

uint32_t maildrop_count(const struct maildrop *drop);
/** maildrop_entry - message n (1..count), deleted or not; NULL beyond. */
const struct maildrop_entry *maildrop_entry(const struct maildrop *drop, uint32_t n);
/** maildrop_totals - messages and octets that are not marked as deleted. */
void maildrop_totals(const struct maildrop *drop, uint32_t *messages, uint64_t *octets);
/** maildrop_is_read_only - nothing can be removed: the store can only be read. */
bool maildrop_is_read_only(const struct maildrop *drop);
/** maildrop_mark - mark message n as deleted. */
void maildrop_mark(struct maildrop *drop, uint32_t n);
/** maildrop_reset - unmark all (RSET). */
void maildrop_reset(struct maildrop *drop);

/** maildrop_uidls - "n uidl" lines for the messages from *n on, not deleted ones, until out holds about `chunk` octets;
 *  *n becomes the next number, 0 when done. Blocks. */
MUST_CHECK struct fault maildrop_uidls(struct maildrop *drop, uint32_t *n, size_t chunk, struct buf *out);
/** maildrop_uidl - the unique id of message n. Blocks. */
MUST_CHECK struct fault maildrop_uidl(struct maildrop *drop, uint32_t n, char out[72]);

/* A RETR or TOP under way: a resumable reader that fills one chunk at a time. */
struct retrieval;
/** retrieval_open - body_lines UINT32_MAX: everything (RETR), else as many lines of the body (TOP). Blocks.
 *  FAULT_GONE: an IMAP session has expunged the message meanwhile. */
MUST_CHECK struct fault retrieval_open(struct maildrop *drop, uint32_t n, uint32_t body_lines, struct retrieval **out);
/** retrieval_next - append about `chunk` octets, dot-stuffed; *done with the final ".\r\n". Blocks. */
MUST_CHECK struct fault retrieval_next(struct retrieval *r, size_t chunk, struct buf *out, bool *done);
void retrieval_close(struct retrieval **r);

#endif
