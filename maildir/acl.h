/* maildir/acl.h - access control lists of mailboxes (RFC 4314): who besides the owner may do what with one.
 *
 * A list belongs to a mailbox and stands in its sidecar (maildir/sidecar.h), one line per entry:
 *
 *   acl lrs 7f3kq2x0a9b1c8d4 bob@example.test
 *   acl lr - anyone
 *   acl -w 7f3kq2x0a9b1c8d4 bob@example.test
 *
 * that is, rights (with a dash before them: taken away), the account's id (never reused, so a new account with an old name
 * inherits nothing), and the name as people know it. The owner has every right, always, and stands in no list.
 * Plain values and pure functions here, any thread; what asks the store stands at the end and blocks. */
#ifndef MAILDIR_ACL_H
#define MAILDIR_ACL_H

#include "common/bytes.h"
#include "common/directory.h"
#include "common/fault.h"

struct maildir_user;

/* RFC 4314 §2.1, in the order in which they are written. */
enum {
	RIGHT_LOOKUP = 1 << 0,          /* l: see it in listings */
	RIGHT_READ = 1 << 1,            /* r: select it */
	RIGHT_SEEN = 1 << 2,            /* s: keep what was seen; each reader has \Seen of their own */
	RIGHT_WRITE = 1 << 3,           /* w: other flags and keywords */
	RIGHT_INSERT = 1 << 4,          /* i: put messages in */
	RIGHT_POST = 1 << 5,            /* p: not enforced (§2.1) */
	RIGHT_CREATE = 1 << 6,          /* k: make mailboxes below it */
	RIGHT_REMOVE = 1 << 7,          /* x: delete or rename it */
	RIGHT_DELETE = 1 << 8,          /* t: the flag \Deleted */
	RIGHT_EXPUNGE = 1 << 9,         /* e */
	RIGHT_ADMIN = 1 << 10,          /* a: change the list */
};
#define RIGHTS_ALL ((1u << 11) - 1)
/* §5.2: one of them makes a mailbox more than read-only (\Seen is each reader's own). */
#define RIGHTS_CHANGE (RIGHT_WRITE | RIGHT_INSERT | RIGHT_DELETE | RIGHT_EXPUNGE)
#define RIGHTS_TEXT_MAX 24

#define ACL_ENTRIES_MAX 256             /* of one mailbox */
#define ACL_ANYONE "anyone"             /* everybody who can log in (§2) */

struct acl_entry {
	uint32_t rights;
	bool is_negative;                       /* taken away from what other entries grant (§2) */
	char id[DIRECTORY_ID_LEN + 1];          /* account; "" for anyone */
	char name[DIRECTORY_ADDRESS_MAX + 1];   /* without the dash of a negative one */
};
/* Zero-initialised it is empty; acl_done() ends it. */
struct acl {
	struct acl_entry *entries;
	size_t count;
};

/** rights_read - letters to rights; the old `c` and `d` stand for kx and te (§2.1.1). False: a letter is none. */
bool rights_read(struct sv letters, uint32_t *rights);
/** rights_write - letters and a NUL. with_old: c and d as well, where any right that they stood for is there (§2.1.1). */
void rights_write(uint32_t rights, bool with_old, char out[RIGHTS_TEXT_MAX]);

/** acl_find - the entry of a name (in any case) and sign, or NULL. */
struct acl_entry *acl_find(const struct acl *acl, struct sv name, bool is_negative);
/** acl_put - in the place of the entry with this name and sign; one without rights is taken out. False: the list is full. */
bool acl_put(struct acl *acl, const struct acl_entry *entry);
/** acl_rights - what the account with this id may do: all that is granted to it and to anyone, less what is taken away. */
uint32_t acl_rights(const struct acl *acl, struct sv id);
void acl_done(struct acl *acl);
/** acl_read_line, acl_write_line - an entry as it stands behind "acl " in the sidecar. */
bool acl_read_line(struct sv line, struct acl *acl);
bool acl_write_line(const struct acl_entry *entry, struct buf *out);

/* --- of a mailbox; these block ------------------------------------------------------------------------------------ */

/* Names are what maildir/mailbox.h takes, shared ones included. Each decides as mailbox_open() does: FAULT_NOT_FOUND for
 * what is absent and for what may not be seen, FAULT_DENIED for what may be seen and not be done. */

/** mailbox_rights - what the user may do with a mailbox. */
MUST_CHECK struct fault mailbox_rights(struct maildir_user *user, struct sv name, uint32_t *rights);
/** mailbox_acl - the list, with the owner's name in *owner; needs RIGHT_ADMIN. The caller ends *out. */
MUST_CHECK struct fault mailbox_acl(struct maildir_user *user, struct sv name, struct acl *out,
				    char owner[DIRECTORY_ADDRESS_MAX + 1]);

enum acl_change { ACL_REPLACE, ACL_ADD, ACL_REMOVE };
/**
 * mailbox_acl_change - change one entry; needs RIGHT_ADMIN. Durable on return.
 * @identifier: an account, "anyone", or one of them behind a dash: negative rights
 * FAULT_INVALID: no such account, or the owner, whose rights do not change. FAULT_LIMIT: the list is full.
 */
MUST_CHECK struct fault mailbox_acl_change(struct maildir_user *user, struct sv name, struct sv identifier,
					   enum acl_change change, uint32_t rights);

#endif
