/* maildir/account_private.h - one account as this process has it open: its folders, its index, its locks.
 *
 * Four locks, taken in this order:
 *  1. gate: a thread that works with the index holds it shared; opening, closing and replacing the index takes it alone.
 *  2. flock on the account's folder: held shared by a process while any of its threads is in the account, taken alone
 *     to make or sweep an index. So no index is replaced under a transaction, and a mark is only cleared when nobody works.
 *     Whoever enters looks whether data.mdb is still the file it has open, and whether its mark is there.
 *  3. flock on the Maildir: renaming mailboxes, of which one may take several steps.
 *  4. the index's write transaction, which is also the name lock: message files and mailboxes are renamed, linked and
 *     removed only inside one.
 *
 * Functions here expect to be called between account_enter() and account_leave(), if not said otherwise. */
#ifndef MAILDIR_ACCOUNT_PRIVATE_H
#define MAILDIR_ACCOUNT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "common/groupflush.h"
#include "maildir/flaglog.h"
#include "maildir/index_private.h"
#include "maildir/intent_private.h"
#include "maildir/sidecar.h"
#include "maildir/store.h"

struct watch;

struct account {
	struct store *store;
	char *address;
	struct account *next;           /* in the store's table; under the store's mutex, as refs and last_use */
	unsigned refs;
	int64_t last_use_ms;            /* when it was last referred to */
	_Atomic int64_t left_ms;        /* when somebody was last inside */
	_Atomic bool is_open;           /* its index is */
	/* Its file system can only be read: the index was opened for that alone; a change has just failed for that. */
	_Atomic bool is_read_only, has_met_read_only;
	/* Of store_refill(): nothing is left to parse, as far as this process knows; somebody is at it; where it stands. */
	_Atomic bool is_filled, is_refilling;
	uint64_t refill_box, refill_uid;
	uint32_t refill_wave;
	char *path;                     /* MAIL/DOMAIN/USER */

	pthread_rwlock_t gate;
	/* Set up by opening, under the gate. */
	int dir;                        /* the account's folder; -1: not open */
	int maildir;                    /* Maildir in it */
	int index_dir;
	struct kv_env *env;
	dev_t data_dev;
	ino_t data_ino;
	struct intent_map *intent;
	int flag_log;                   /* O_APPEND */

	/* UIDs of big mailboxes as they were at a MODSEQ: the next SELECT applies the changes since. */
	pthread_mutex_t cache_mutex;
	struct uid_cache {
		uint64_t box, modseq;
		struct uidset uids;
	} uid_cache[2];
	unsigned cache_turn;

	pthread_mutex_t mutex;          /* for what follows */
	unsigned active;                /* threads inside; the flock is held while it is not 0 */
	unsigned syncing;               /* threads that flush the names in sync_dir, or wait for that */
	char sync_dir[LAYOUT_DIR_MAX + 1];
	struct groupflush cur_flush;    /* has a mutex of its own */
	_Atomic int64_t doubted_ms;     /* when this process last put an index aside; 0: never */
	_Atomic int64_t log_dirty_ms;   /* since when the flag log is not flushed; 0: it is */
	_Atomic int64_t folders_mtime;  /* of the Maildir, when its folders were last compared with the index */
	struct watch *watch;            /* under the watcher's mutex, with what follows */
	struct mailbox *open_boxes;
};

/** account_enter - be inside: opens, makes or rebuilds the index as needed. Not inside already. */
MUST_CHECK struct fault account_enter(struct account *a);
void account_leave(struct account *a);
/** account_leave_quietly - leave at once, and as if nobody had been here since left_ms. */
void account_leave_quietly(struct account *a, int64_t left_ms);
/** account_is_refreshed, account_note_refreshed - were the folders of a mailbox looked at in this job already? Once is enough, for
 *  as long as the account was not left in between (store_job_begin()). */
bool account_is_refreshed(uint64_t box);
void account_note_refreshed(uint64_t box);
/** account_close_index - close what is open, from outside. */
void account_close_index(struct account *a);
/** account_close_unused - the same, if nobody is inside now; never waits. True: it is closed. */
bool account_close_unused(struct account *a);
/** account_lock_structure - only one renames mailboxes at a time; whoever gets the lock while a change is pending knows that its
 *  maker died. FAULT_BUSY. close() the descriptor to unlock. */
MUST_CHECK struct fault account_lock_structure(struct account *a, bool wait, int *out);
/** account_doubt - put the index aside: it is made anew by whoever comes in next. */
void account_doubt(struct account *a, const char *why);
/** account_judge - hand a fault of the index through; FAULT_CORRUPT puts the index aside. */
MUST_CHECK struct fault account_judge(struct account *a, struct fault f);
/** account_hold_folders - make MAIL/DOMAIN/USER/Maildir if missing, open it, and keep it open; from outside. Cheap when done before.
 *  Success is ended by account_release_folders(). */
MUST_CHECK struct fault account_hold_folders(struct account *a);
void account_release_folders(struct account *a);
/** account_rebuild - throw the index away and make it anew; from outside. */
MUST_CHECK struct fault account_rebuild(struct account *a, store_progress_fn *fn, void *arg);
/** account_replace - run fn while nobody else is in the account, then make the index anew from what lies there; from outside.
 *  fn may put another folder in the place of the Maildir (a->dir is open). */
typedef struct fault account_replace_fn(struct account *a, void *arg);
MUST_CHECK struct fault account_replace(struct account *a, account_replace_fn *fn, void *arg);
/** account_sweep_begin, account_sweep_end - clear the mark if nobody was in the account between the two calls (with a
 *  syncfs in between); from outside. *seen is handed from one to the other. */
bool account_sweep_begin(struct account *a, uint64_t *seen);
void account_sweep_end(struct account *a, uint64_t seen);

/** account_read - a snapshot. End it by kv_read_end(). */
MUST_CHECK struct fault account_read(struct account *a, struct kv_txn **out);
/** index_update - run fn in a write transaction, which is the name lock, and commit. fn may run more than once, from the
 *  unchanged state: it must set what it leaves in arg anew each time. Names that fn noted by index_undo_note() are taken
 *  back when nothing is committed. */
typedef struct fault index_fn(struct index_txn *t, void *arg);
MUST_CHECK struct fault index_update(struct account *a, index_fn *fn, void *arg);

/** index_before_commit - tests die here: names are changed, nothing is committed. NULL otherwise. */
extern void (*index_before_commit)(bool has_intent);

/** account_edit_mailbox - replace a mailbox's sidecar (durable), then publish it in the index. edit changes what it is given
 *  and returns false when nothing is to be written; it may run more than once. */
typedef bool sidecar_edit_fn(struct sidecar_mailbox *s, void *arg);
MUST_CHECK struct fault account_edit_mailbox(struct account *a, uint64_t box, sidecar_edit_fn *edit, void *arg);
/** account_edit_account - the same for the account's sidecar. */
typedef bool account_edit_fn(struct sidecar_account *s, void *arg);
MUST_CHECK struct fault account_edit_account(struct account *a, account_edit_fn *edit, void *arg);
/** account_edit_subscriptions - likewise; not in the index. */
typedef bool subscriptions_edit_fn(struct sidecar_subscriptions *s, void *arg);
MUST_CHECK struct fault account_edit_subscriptions(struct account *a, subscriptions_edit_fn *edit, void *arg);
MUST_CHECK struct fault account_subscriptions(struct account *a, struct sidecar_subscriptions *out);

/** account_read_sidecar - of the mailbox in folder `dir` of a Maildir, as it lies there. On success sidecar_mailbox_done() ends it. */
MUST_CHECK struct fault account_read_sidecar(int maildir, const char *dir, struct sidecar_mailbox *out);
/** account_put_sidecar - a whole text in the place of a sidecar, durably, if it is still the generation that was read; else
 *  *changed is set and nothing was done. The index notes it, so that watchers hear of it. */
struct sidecar_place {
	uint64_t box;                   /* 0: the account's own, in the Maildir itself */
	const char *dir, *file;         /* of the mailbox; the sidecar's name */
	uint64_t generation;            /* that was read; 0: it was missing or broken */
	uint64_t (*look)(struct account *a, const char *path);  /* what it is now */
	char noted;                     /* NOTE_..., see index_private.h */
};
MUST_CHECK struct fault account_put_sidecar(struct account *a, const struct sidecar_place *at, struct sv text, bool *changed);

/** account_keywords - numbers of keyword names in a mailbox, unknown ones added durably when `add`, else left out. */
MUST_CHECK struct fault account_keywords(struct account *a, uint64_t box, const struct sv *names, size_t count,
					 bool add, struct keyword_bits *out);
/** account_new_uidvalidity - one that this account never used, durably reserved. */
MUST_CHECK struct fault account_new_uidvalidity(struct account *a, uint32_t *out);

/** account_log_flags - append to the flag log, inside the transaction that makes the change. Lines of one that does not commit
 *  are cut off again, at the latest by whoever finds the intent: a rebuild would believe them. */
MUST_CHECK struct fault account_log_flags(struct index_txn *t, struct sv lines);
/** account_sync_cur - flush the names in a mailbox's cur/. */
MUST_CHECK struct fault account_sync_cur(struct account *a, const char *dir);

/** account_reserve_log - keep disk space allocated behind the flag log's end. */
void account_reserve_log(struct account *a);
/** account_flush_log - flush the flag log if anything in it is older than age_ms; from outside or inside. */
void account_flush_log(struct account *a, int64_t age_ms);
/** account_settle_names - let file names follow the flag log, then cut it; does nothing while somebody else is at it. */
MUST_CHECK struct fault account_settle_names(struct account *a);

/** account_store_conf, account_modes - what the store was opened with. */
const struct store_conf *account_conf(const struct account *a);

/* --- adopt.c: what is on disk becomes what is in the index ------------------------------------------------------- */

/** adopt_refresh - look whether other programs changed a mailbox's folders, and adopt it. box is read anew.
 *  FAULT_NOT_FOUND when the mailbox is gone. */
MUST_CHECK struct fault adopt_refresh(struct account *a, uint64_t box);
/** adopt_find - it is only to be added to: is its folder `dir` still there? If not, what adopt_refresh() says. */
MUST_CHECK struct fault adopt_find(struct account *a, uint64_t box, const char *dir);
/** adopt_scan - adopt without looking first. */
MUST_CHECK struct fault adopt_scan(struct account *a, uint64_t box);
/** adopt_folders - mailboxes that other programs made or removed. */
MUST_CHECK struct fault adopt_folders(struct account *a);
/** adopt_recover - finish or undo what a dead writer's intent says, inside the transaction that found it. */
MUST_CHECK struct fault adopt_recover(struct index_txn *t, const struct intent *intent);
/** adopt_note_times - after changing names of a mailbox: these directory times are ours. */
void adopt_note_times(struct account *a, struct index_box *box);
/** adopt_check_times - did nobody else change the folders since? Called before changing names; false sets needs_scan. */
void adopt_check_times(struct account *a, struct index_box *box);

/* --- rebuild.c --------------------------------------------------------------------------------------------------- */

/** rebuild_index - make a new index from names and sidecars beside the old one and put it in its place. The caller holds
 *  the account alone. had_mark: the sidecars are no older than the index was, as when there was a dirty mark; else UIDs are skipped. */
MUST_CHECK struct fault rebuild_index(struct account *a, bool had_mark, store_progress_fn *fn, void *arg);

/* --- paths, relative to the Maildir ------------------------------------------------------------------------------ */

#define BOX_PATH_MAX (LAYOUT_DIR_MAX + FILENAME_MAX_LEN + 16)
void box_path(char out[BOX_PATH_MAX], const char *dir, const char *sub, const char *name);

#endif
