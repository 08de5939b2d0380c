/* maildir/metadata.h - annotations of mailboxes and of accounts (RFC 5464): small named values that programs leave there.
 *
 * One sidecar per mailbox, beside the mailbox sidecar, and one per account; so they follow a mailbox that is renamed, go with
 * one that is deleted, and come back from the Maildir alone:
 *
 *   postroom-metadata 1
 *   generation 3
 *   entry ~<TAB>/private/comment<TAB>TXkgb3duIGNvbW1lbnQ=
 *   entry -<TAB>/shared/comment<TAB>...
 *   crc 6d2f10aa
 *
 * that is, whose it is (- everybody's, ~ the owner's, else an account id), the entry's name, and the value in base64. A line
 * that this program does not know is kept. The upper half is pure; what asks the store blocks. */
#ifndef MAILDIR_METADATA_H
#define MAILDIR_METADATA_H

#include "common/bytes.h"
#include "common/fault.h"

struct maildir_user;

/* Whose an entry is. */
#define METADATA_EVERYBODY "-"
#define METADATA_OWNER "~"

#define METADATA_NAME_MAX 256
#define METADATA_VALUE_MAX ((size_t)64 << 10)   /* RFC 5464 §4.1: at least 1024 */
#define METADATA_ENTRIES_MAX 100                /* of each person, and of everybody, in one mailbox; at least 10 (§4.1) */

struct metadata_row {
	char *whose, *name;
	struct sv value;                /* owned */
};
/* Zero-initialised there are none. */
struct metadata {
	uint64_t generation;
	struct metadata_row *rows;
	size_t count, cap;
	struct buf unknown;
};
/** metadata_parse - FAULT_CORRUPT, FAULT_UNSUPPORTED: *out is empty then. On success metadata_done() ends it. */
MUST_CHECK struct fault metadata_parse(struct sv text, struct metadata *out);
/** metadata_write - append the whole file; FAULT_LIMIT when it does not fit. */
MUST_CHECK struct fault metadata_write(const struct metadata *m, struct buf *out);
/** metadata_get - the value, or SV_NONE. Names match in any case (§3.2). */
struct sv metadata_get(const struct metadata *m, const char *whose, struct sv name);
/** metadata_put - value.p NULL takes the entry out. FAULT_LIMIT: too many of this person's. */
MUST_CHECK struct fault metadata_put(struct metadata *m, const char *whose, struct sv name, struct sv value);
void metadata_done(struct metadata *m);
/** metadata_name_is_valid - §3.2: "/private/..." or "/shared/...", no empty level, no wildcard, no control octet, ASCII. */
bool metadata_name_is_valid(struct sv name);

/* --- these block -------------------------------------------------------------------------------------------------------- */

/* Mailbox names as in maildir/mailbox.h; the empty name means the account itself. The right: l and one of r, s, w, i, p
 * (§3.3); else as mailbox_open() says. */

struct metadata_entry {
	struct sv name, value;          /* value.p NULL: none */
};
/** mailbox_metadata - what the user may see: everybody's entries and their own. Views are borrowed for the call; false stops. */
typedef bool metadata_fn(void *arg, const struct metadata_entry *entry);
MUST_CHECK struct fault mailbox_metadata(struct maildir_user *user, struct sv name, metadata_fn *fn, void *arg);
/** mailbox_set_metadata - all of them or none; durable on return. FAULT_LIMIT: too many entries, or more than a file holds.
 *  FAULT_DENIED: everybody's entries of the account itself, which the server alone could set. */
MUST_CHECK struct fault mailbox_set_metadata(struct maildir_user *user, struct sv name,
					     const struct metadata_entry *entries, size_t count);

#endif
