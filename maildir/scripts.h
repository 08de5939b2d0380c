/* maildir/scripts.h - the Sieve scripts of an account, in Dovecot's layout, so that existing ones move in by copying them:
 *
 *   mail/DOMAIN/USER/sieve/NAME.sieve
 *   mail/DOMAIN/USER/.dovecot.sieve -> sieve/NAME.sieve        the active one; without the link none is
 *
 * A plain file .dovecot.sieve, which Dovecot takes too, becomes the script "dovecot.orig" when its owner comes. The link's target is
 * never followed: it only names a script of the folder. Whether a text is good Sieve is the caller's business (common/sieve).
 *
 * Beside them lies sieve/contacts, the account's address book (maildir/addressbook.h).
 *
 * What is put is durable on return and replaced as a whole: a delivery reads the old script or the new one. Blocks; one handle,
 * one thread at a time; several processes may work on the same folder. */
#ifndef MAILDIR_SCRIPTS_H
#define MAILDIR_SCRIPTS_H

#include "common/bytes.h"
#include "common/fault.h"
#include "maildir/store.h"

#define SCRIPT_NAME_MAX 240     /* octets; RFC 5804 §1.6 asks for 128 characters */

struct scripts;

/* What one account may have; 0 is "no limit". */
struct scripts_quota {
	uint64_t count;
	uint64_t size;                  /* octets of one script */
};

/** scripts_open_user - for their owner. */
MUST_CHECK struct fault scripts_open_user(struct maildir_user *user, struct scripts **out);
/** scripts_open_drop - for a delivery, which may read what its receiver wants of it. */
MUST_CHECK struct fault scripts_open_drop(struct maildir_drop *drop, struct scripts **out);
void scripts_close(struct scripts **s);

/** script_name_is_good - RFC 5804 §1.6: UTF-8 without control characters and slashes; not empty, not too long, no dot in front. */
bool script_name_is_good(struct sv name);

struct script_info {
	struct sv name;
	uint64_t size;
	bool is_active;
};
typedef bool script_fn(void *arg, const struct script_info *info);
/** scripts_list - in no order; false from fn stops. */
MUST_CHECK struct fault scripts_list(struct scripts *s, script_fn *fn, void *arg);
/** scripts_get - append the text. FAULT_NOT_FOUND; FAULT_LIMIT when out's max is too small. */
MUST_CHECK struct fault scripts_get(struct scripts *s, struct sv name, struct buf *out);
/** scripts_fits - would a script of that size be taken? FAULT_LIMIT: it is too large; FAULT_QUOTA: there are too many; FAULT_INVALID:
 *  the name. */
MUST_CHECK struct fault scripts_fits(struct scripts *s, struct sv name, uint64_t size, const struct scripts_quota *quota);
/** scripts_put - a new one, or a new text for an old one. Errors: as scripts_fits(), and FAULT_NO_SPACE. */
MUST_CHECK struct fault scripts_put(struct scripts *s, struct sv name, struct sv text, const struct scripts_quota *quota);
/** scripts_remove - FAULT_NOT_FOUND; FAULT_IN_USE: it is the active one. */
MUST_CHECK struct fault scripts_remove(struct scripts *s, struct sv name);
/** scripts_rename - an active one stays active. FAULT_NOT_FOUND, FAULT_EXISTS, FAULT_INVALID (the new name). */
MUST_CHECK struct fault scripts_rename(struct scripts *s, struct sv from, struct sv to);
/** scripts_activate - this one and no other; an empty name: none. FAULT_NOT_FOUND. */
MUST_CHECK struct fault scripts_activate(struct scripts *s, struct sv name);
/** scripts_active_name - append the name of the active script; nothing when there is none. */
MUST_CHECK struct fault scripts_active_name(struct scripts *s, struct buf *out);
/** scripts_active - append name and text of the active script. FAULT_NOT_FOUND: none is, or its file is missing. */
MUST_CHECK struct fault scripts_active(struct scripts *s, struct buf *name, struct buf *text);

/* ---- the account's address book (RFC 6134) ---- */

/** scripts_contacts - append its text; nothing when there is none yet. */
MUST_CHECK struct fault scripts_contacts(struct scripts *s, struct buf *out);
/** scripts_put_contacts - in place of what was there. FAULT_LIMIT: longer than ADDRESSBOOK_SIZE; FAULT_NO_SPACE. */
MUST_CHECK struct fault scripts_put_contacts(struct scripts *s, struct sv text);

/* ---- what went wrong when the active script ran last ---- */

#define SCRIPT_ERROR_MAX 512
/** scripts_note_error - keep one line for scripts_error(); an empty one forgets it. Not flushed. */
void scripts_note_error(struct scripts *s, struct sv line);
/** scripts_error - append it; nothing when there is none. */
void scripts_error(struct scripts *s, struct buf *out);

/* ---- what is remembered between messages (RFC 5230 §4.2, RFC 7352) ---- */

/** scripts_was_seen - is this key still remembered? */
bool scripts_was_seen(struct scripts *s, struct sv key);
/** scripts_note_seen - remember it for so many seconds, durably. FAULT_EXISTS: it is remembered already (another delivery was faster),
 *  and nothing was changed unless in_any_case: whoever gets FAULT_OK is the only one. FAULT_NO_SPACE, FAULT_INTERNAL: it is not
 *  remembered. */
MUST_CHECK struct fault scripts_note_seen(struct scripts *s, struct sv key, uint32_t seconds, bool in_any_case);

#endif
