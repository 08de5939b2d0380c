/* maildir/import.h - other people's mail: the Maildirs of Dovecot, Courier and plain ones, and mbox files, taken over so that
 * clients notice nothing: UIDVALIDITY, UIDs, flags, keywords, dates and POP3's unique ids stay.
 *
 * Everything is first laid ready beside the account's Maildir (MAIL/DOMAIN/USER/import, a Maildir itself, whose names carry
 * what they will say), and then put in place: as a whole, by one exchange of folders, when the account holds no mail yet;
 * else mailbox by mailbox, where one of the same name is there already message by message. So an import that was
 * interrupted is run again and goes on, a message that is there already is left out, and daemons may run meanwhile. Without
 * `adopt` the source is only read (files are linked where the file system allows and they are ours, else copied); with it its
 * files are renamed. Blocks; one thread. */
#ifndef MAILDIR_IMPORT_H
#define MAILDIR_IMPORT_H

#include <limits.h>

#include "common/bytes.h"
#include "common/fault.h"
#include "maildir/store.h"

struct import_options {
	const char *path;               /* a Maildir; or an mbox file, or a folder of such */
	bool is_mbox;
	bool adopt;                     /* rename the source's files instead of copying them */
	bool dry_run;                   /* only say what would be done */
	bool skip_compressed;           /* leave compressed messages out instead of refusing all */
	const char *lists;              /* the folder that has the lists of UIDs (Dovecot's CONTROL); NULL: path */
	const char *uidl_format;        /* Dovecot's pop3_uidl_format; NULL: its default */
	const char *mailbox;            /* where one mbox file goes; NULL: INBOX */
};

/* What became of one mailbox. Views are borrowed for the call. */
struct import_result {
	struct sv mailbox;              /* its name here */
	const char *kind;               /* "dovecot", "courier", "maildir", "mbox" */
	uint64_t found;                 /* messages in the source */
	uint64_t imported;
	uint64_t present;               /* were here already */
	uint64_t uids_kept;             /* of those imported: have the UID that clients know */
	uint64_t uidls;                 /* unique ids of POP3 that were noted */
	uint64_t keywords;              /* names */
	uint64_t left_out;
	struct sv notes;                /* sentences: what was left out, and why; "" for nothing */
};

struct import_events {
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void (*mailbox)(void *arg, const struct import_result *result);
	void *arg;
};

/**
 * maildir_import_prepare - before the account is opened: is path this account's own Maildir, where another server's
 * lies? Then it is set aside under another name. out gets the path to give to maildir_import().
 * Errors: FAULT_EXISTS (Postroom has used it already), FAULT_INVALID (in place, but not to be adopted), from errno.
 */
MUST_CHECK struct fault maildir_import_prepare(struct store *store, struct sv address, const char *path, bool adopt,
					       char out[PATH_MAX]);

/**
 * maildir_import - mailbox() is called once for each mailbox, at the end, also when nothing of it was done.
 * Errors: FAULT_NOT_FOUND (no Maildir, no mbox), FAULT_UNSUPPORTED (compressed messages; adopting from another file
 * system), FAULT_BUSY (another import was not finished), FAULT_IN_USE (one is running), from errno. The detail is a
 * sentence for the person at the keyboard. What was done until then is kept, and goes on when it is run again.
 */
MUST_CHECK struct fault maildir_import(struct maildir_user *user, const struct import_options *options,
				       const struct import_events *events);

#endif
