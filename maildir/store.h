/* maildir/store.h - all accounts of an instance, as one process sees them; who may open which.
 *
 * A store owns what is per process and account: the open index (an LMDB environment, one per account and
 * process), the account's sidecar, its change watch. Handles below (users, drops, mailboxes) borrow from it.
 * Accounts share nothing with each other. Idle accounts are closed by store_tidy() and reopened on demand.
 *
 * Everything in maildir/ blocks: daemons call it from workers (common/work.h), except store_watch_fd() and
 * store_watch_read(), which are for the loop. A store may be used from any thread; one user, drop or mailbox
 * handle from one thread at a time. */
#ifndef MAILDIR_STORE_H
#define MAILDIR_STORE_H

#include "common/bytes.h"
#include "common/fault.h"

struct auth_identity;   /* common/identity.h: made by authentication alone */
struct conf;
struct conf_list;
struct expiry_rule;
struct directory;
struct instance;
struct store;
struct maildir_user;    /* full access of an identity: made from a struct auth_identity only */
struct maildir_drop;    /* write-only access for incoming mail: can deliver, can read nothing */

#define QUOTA_WARNINGS_MAX 8

struct store_conf {
	const char *mail_dir;           /* ROOT/mail: holds DOMAIN/USER/{Maildir,index}; borrowed for the store's life */
	const char *host;               /* goes into file names; '/' and ':' and ',' are replaced */
	uint32_t open_accounts_max;     /* indexes kept open, least recently used closed first; default 512 */
	uint32_t umask_dir, umask_file; /* 0 means 0700 and 0600 */
	const struct expiry_rule *expire;       /* retention.h; borrowed for the store's life, with what it points to */
	size_t expire_count;
	bool keeps_rejects;             /* mail that was refused may be there (incoming.h): retention looks for it */
	int64_t rejects_age_s;          /* it goes after so long; 0: a week */
	const struct conf_list *compress;       /* domains whose new mail is packed, or the word "all"; NULL: none; borrowed likewise */
	uint32_t quota_warnings[QUOTA_WARNINGS_MAX];    /* percent, ascending; a message tells when one is passed */
	size_t quota_warning_count;
	bool create_special_use;        /* a new account gets Drafts Sent Junk Trash Archive, subscribed */
};

/* Limits of one account, from the directory; 0 is "no limit". */
struct quota {
	uint64_t bytes, messages;
};

MUST_CHECK struct fault store_open(const struct store_conf *conf, struct store **out);
/** store_open_instance - the mail of an instance, as its configuration says. */
MUST_CHECK struct fault store_open_instance(const struct instance *instance, const struct conf *conf, struct store **out);
/** store_close - close every index; all handles must have been closed. NULL is fine. Does the sweep of
 *  dirty marks (one syncfs) so that a clean stop leaves clean indexes. */
void store_close(struct store **store);

/** store_job_begin, store_job_end - around a job, on its thread: the account that the job works with is entered once (locked,
 *  compared with what lies on disk) and not again at each call, until the job enters another one or ends. Made for
 *  work_set_brackets(); a job that waits for something else for long has no business holding them. Without them each call
 *  stands for itself. */
void store_job_begin(void);
void store_job_end(void);
/** store_share - from now on mailboxes of other accounts can be reached, as "Shared/OWNER/NAME", where their access control
 *  lists (maildir/acl.h) allow it. @directory says who there is; borrowed for the store's life. Before any user is opened. */
void store_share(struct store *store, struct directory *directory);

/** store_tidy - housekeeping, called from a job about once a minute: close idle accounts, check LMDB readers,
 *  rename files whose flags lag behind the log, flush flag logs that are due, every ten minutes sweep marks. */
void store_tidy(struct store *store);
/** store_refill - parse, in accounts that are open here, messages that the index has unparsed (after a rebuild; mail of other
 *  programs), so that no client has to wait for it. At most so many milliseconds; called from a job every few seconds. */
void store_refill(struct store *store, uint32_t ms);
/** store_flush_flags - flush flag logs with changes older than a second; called from a job each second while
 *  anything is unflushed (store_needs_flush). An acknowledged flag change is on disk within 2 s. */
void store_flush_flags(struct store *store);
bool store_needs_flush(struct store *store);

/**
 * maildir_user_open - the account of an authenticated identity; made on first use with its INBOX and special-use
 * mailboxes. Replays what a crash left half done, rebuilds a dirty or missing index first.
 * @id: borrowed for the call
 * Errors: FAULT_BUSY (an index rebuild is under way elsewhere), FAULT_NO_SPACE, FAULT_INTERNAL.
 */
MUST_CHECK struct fault maildir_user_open(struct store *store, const struct auth_identity *id,
					  const struct quota *quota, struct maildir_user **out);
/** maildir_user_known - the same when this process has the account's index open: false if not. Without a look at files, so it may be called
 *  on a loop; what maildir_user_open() would have found wrong is found by what is done first, and there is no quota yet. */
bool maildir_user_known(struct store *store, const struct auth_identity *id, struct maildir_user **out);
/** maildir_user_set_quota - by its owner, while no call with this user is under way. */
void maildir_user_set_quota(struct maildir_user *user, const struct quota *quota);
void maildir_user_close(struct maildir_user **user);

/** maildir_drop_open - where mail for an account may be put. @address is the canonical account address that the
 *  directory resolved a recipient to. Cheap: does not open the index yet. */
MUST_CHECK struct fault maildir_drop_open(struct store *store, struct sv address,
					  const struct quota *quota, struct maildir_drop **out);
void maildir_drop_close(struct maildir_drop **drop);

struct quota_usage {
	uint64_t bytes, messages;               /* stored now, all mailboxes */
	uint64_t bytes_max, messages_max;       /* 0: no limit */
};
MUST_CHECK struct fault maildir_user_quota(struct maildir_user *user, struct quota_usage *out);
/** maildir_drop_quota - for the check at RCPT; says only whether `bytes` more would fit. FAULT_QUOTA if not. */
MUST_CHECK struct fault maildir_drop_fits(struct maildir_drop *drop, uint64_t bytes);
/** maildir_user_recount - count quota anew from the rows; returns the old and new figures' difference in log. */
MUST_CHECK struct fault maildir_user_recount(struct maildir_user *user);

/* Change notices between sessions, processes and foreign programs. A notice says "look again", no more: the
 * reader compares MODSEQs by mailbox_changes(). Level-triggered: a second change before the first was read is
 * not lost. Users opt in while a session idles or has a mailbox selected. */

/** store_watch_fd - readable when anything watched may have changed; for a poll handle on the loop. -1: this system gives none. */
int store_watch_fd(struct store *store);
/** store_watch_read - read what is there without blocking and call fn once per changed account, on this thread.
 *  @user_tag is what maildir_user_watch() was given. */
void store_watch_read(struct store *store, void (*fn)(void *arg, void *user_tag), void *arg);
/** store_watch_is_blind - could something not be watched, because the system has no more watches? Then store_watch_look() is called
 *  from a job every few seconds, and store_watch_read() after it: it tells what the look found. */
bool store_watch_is_blind(struct store *store);
void store_watch_look(struct store *store);
/** maildir_user_watch - ask for notices with this tag (unique per session); NULL tag ends it. Called on the loop
 *  thread; does not block. */
MUST_CHECK struct fault maildir_user_watch(struct maildir_user *user, void *user_tag);

/* For `postroom index check|rebuild` and for starting after doubt. */
typedef void store_difference_fn(void *arg, const char *mailbox, uint32_t uid, const char *what);
typedef void store_progress_fn(void *arg, uint64_t done, uint64_t total);
/** store_index_check - compare index and files of one account, read only; fn gets each difference. */
MUST_CHECK struct fault store_index_check(struct store *store, struct sv address, store_difference_fn *fn,
					  void *arg, uint64_t *messages);
/** store_index_rebuild - throw the index away and make it anew from names and sidecars, also under live sessions
 *  of other processes, which notice and reopen. */
MUST_CHECK struct fault store_index_rebuild(struct store *store, struct sv address,
					    store_progress_fn *fn, void *arg);

#endif
