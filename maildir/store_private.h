/* maildir/store_private.h - what the handles of store.h are inside, and what the store's modules share. */
#ifndef MAILDIR_STORE_PRIVATE_H
#define MAILDIR_STORE_PRIVATE_H

#include "common/directory.h"
#include "maildir/account_private.h"

struct maildir_user {
	struct account *account;
	struct quota quota;
	char id[DIRECTORY_ID_LEN + 1];  /* the identity's account id; "" for an administrator without one */
	/* Under the watcher's mutex: accounts of others of which a mailbox is open, each a user without an identity. */
	struct maildir_user *guests, *next_guest, *host;
	void *watch_tag;                /* under the watcher's mutex */
	struct maildir_user *next_watching;
};

struct maildir_drop {
	struct account *account;
	struct quota quota;
};

/** store_account - the account of an address, referenced; nothing is opened. */
MUST_CHECK struct fault store_account(struct store *store, struct sv address, struct account **out);
void store_account_unref(struct account **a);
struct account *store_account_ref(struct account *a);
/** store_now_ms - the monotonic clock. */
int64_t store_now_ms(void);
/** store_note_unflushed - a flag log has changes that are not on disk yet. */
void store_note_unflushed(struct account *a);
/** store_note_open - an account's index was opened or closed. store_limit_open - one was opened: close what was used longest
 *  ago when there are too many, also of accounts that sessions refer to; they are opened again on demand. */
void store_note_open(struct account *a, bool is_open);
void store_limit_open(struct account *opened);
/** store_mail_dir, store_directory - where all mail lies; who there is (NULL: not known here, nothing is shared). */
const char *store_mail_dir(const struct store *store);
struct directory *store_directory(const struct store *store);
/** store_host - the host part of file names. */
const char *store_host(const struct store *store);

/** store_internal - a file or folder of ours that is missing, or there when it should not be, is nobody's mistake outside: such a
 *  fault becomes FAULT_INTERNAL, so that no protocol calls it permanent. Others pass. */
static inline struct fault store_internal(struct fault f)
{
	if (f.kind == FAULT_NOT_FOUND || f.kind == FAULT_EXISTS || f.kind == FAULT_GONE)
		f.kind = FAULT_INTERNAL;
	return f;
}

/** store_settings - what the store was opened with. */
const struct store_conf *store_settings(const struct store *store);

/** store_compresses - is new mail of this account to be packed? */
bool store_compresses(const struct store *store, const char *address);

/** folders_refresh - notice mailboxes that other programs made or removed, when the Maildir has changed; inside. */
MUST_CHECK struct fault folders_refresh(struct account *a);
/** folders_replay - finish a structural change whose maker died; inside the account. Nothing to do while he lives. */
MUST_CHECK struct fault folders_replay(struct account *a);

/** adopt_new_mailbox_at - a mailbox's folder with all in it, not flushed as a whole. */
MUST_CHECK struct fault adopt_new_mailbox_at(const struct store_conf *conf, int maildir, const char *path,
					     const struct sidecar_mailbox *s, bool is_inbox);
/** adopt_sync_new_mailbox - flush it. */
MUST_CHECK struct fault adopt_sync_new_mailbox(int maildir, const char *path);

/** refill_account - some of store_refill()'s work on an account, from outside. False: there was none to do. */
bool refill_account(struct account *a, int64_t until_ms);

/* --- shares.c --- */
struct shares_memory;
struct shares_memory *shares_memory_new(void);
void shares_memory_free(struct shares_memory **m);
struct shares_memory *store_shares_memory(struct store *store);

/* --- watch.c --- */
struct watcher;
struct watcher *watcher_new(void);
void watcher_free(struct watcher **w);
struct watcher *store_watcher(struct store *store);
/** watch_renew - the account's index was opened or replaced: watch the file it is now. */
void watch_renew(struct account *a);
/** watch_forget - the account is about to be freed. */
void watch_forget(struct account *a);
/** watch_drop_user - as maildir_user_watch(user, NULL). */
void watch_drop_user(struct maildir_user *user);
/** watch_join - a mailbox of another account is opened by the user: its notices are the user's as well, until watch_part(). */
void watch_join(struct maildir_user *user, struct maildir_user *guest);
void watch_part(struct maildir_user *guest);
/** watch_mailbox - a mailbox was selected: other programs' deliveries into it are noticed while the account is watched. */
void watch_mailbox(struct mailbox *box, const char *dir);
/** watch_close_mailbox - it is about to be closed. */
void watch_close_mailbox(struct mailbox *box);

#endif
