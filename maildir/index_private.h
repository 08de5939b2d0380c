/* maildir/index_private.h - what lies in an account's index, and changing it inside one write transaction.
 *
 * Tables (common/kv.h), all keys big-endian:
 *   meta      "a" -> struct index_meta; 'k' mailbox -> keyword names; 'x' mailbox -> deleted, rows still to be removed;
 *             'u' mailbox -> MODSEQ, ranges of UIDs as they were then (big mailboxes: the changes since bring them up to date)
 *             'm' mailbox, 's' 0 -> generation of the metadata and subscriptions sidecars, for who watches
 *   boxes     mailbox id u64 -> struct index_box, name, directory
 *   names     canonical name -> mailbox id
 *   rows      flag owner u32 (0: the account), mailbox u64, UID u32 -> struct index_row, file name
 *   parsed    mailbox u64, UID u32 -> mime_encode()d message
 *   changes   first MODSEQ u64 -> struct index_run, its UIDs: one run is what one transaction did in one way to one mailbox
 *   dedup     email digest -> mailbox u64, UID u32, of messages that came by a queue (rule: look for it first)
 *
 * The structs are stored as they are in memory: an index never leaves its host, and INDEX_FORMAT says when they change.
 * A mailbox is known by its MAILBOXID everywhere, so handles stay valid when the index is made anew. */
#ifndef MAILDIR_INDEX_PRIVATE_H
#define MAILDIR_INDEX_PRIVATE_H

#include "common/kv.h"
#include "maildir/filename.h"
#include "maildir/intent_private.h"
#include "maildir/layout.h"
#include "maildir/mailbox.h"
#include "maildir/sidecar.h"

#define INDEX_FORMAT 2
#define CHUNK_MAX 256                   /* messages whose files are touched in one transaction */
#define CHANGES_MAX (256u << 10)        /* messages told of in `changes` before the oldest are forgotten */
#define MODSEQ_BLOCK ((uint64_t)1 << 20)
#define MODSEQ_MARGIN 8192              /* more than one transaction ever takes */
#define UID_BLOCK 1000
#define UIDVALIDITY_BLOCK 64

enum index_table { T_META, T_BOXES, T_NAMES, T_ROWS, T_PARSED, T_CHANGES, T_DEDUP, T_COUNT };
extern const char *const index_tables[T_COUNT];

struct account;

struct index_meta {
	uint32_t format, uidvalidity_next;
	uint32_t uidvalidity_floor, box_count;
	uint64_t data_ino;              /* of data.mdb when it was made: differs in a copy or a restored tree */
	int64_t data_btime;
	uint64_t seq;                   /* commits that had an intent */
	uint64_t generation;            /* of the account sidecar */
	uint64_t modseq, modseq_ceiling;        /* the last one given; none at or above the ceiling may be */
	uint64_t bytes, messages;       /* quota */
	uint64_t changes_floor, change_count;   /* `changes` tells all above the floor */
	uint32_t quota_told;            /* percent: the highest threshold that was told (quota.c) */
	uint32_t unparsed;              /* grows when messages come whose parsed form is not made at once; 0: all have it */
};

struct index_box {
	uint64_t id;
	uint32_t uidvalidity, uidnext, uid_ceiling, special_use;
	uint32_t messages, recent, unseen, deleted;
	uint32_t recent_mark;           /* UIDs up to it are claimed (RFC 3501 §2.3.2) */
	uint32_t unseen_hint;           /* every message below it is seen */
	uint64_t size, highestmodseq, generation;
	int64_t cur_mtime, new_mtime;   /* directory times after our last change: differ, then somebody else was here */
	uint32_t needs_scan;
	uint16_t name_len, dir_len;
	/* stored behind each other without their NULs */
	char name[MAILBOX_NAME_MAX + 1];
	char dir[LAYOUT_DIR_MAX + 1];
};

struct index_row_head {
	uint64_t modseq;
	uint64_t size;                  /* RFC822.SIZE */
	uint64_t stored;                /* octets of the message as it is in the file */
	int64_t internaldate, savedate;
	struct keyword_bits keywords;
	uint8_t email[16];
	uint32_t flags;
	uint16_t name_len;
	uint8_t in_new, spare;
};

struct index_row {
	uint32_t uid;
	struct index_row_head h;
	char name[FILENAME_MAX_LEN + 1];        /* in cur/, flags as they were when last seen; what the row says is newer */
};

enum { RUN_NEW = CHANGE_NEW, RUN_FLAGS = CHANGE_FLAGS, RUN_EXPUNGED = CHANGE_EXPUNGED };
struct index_run {
	uint64_t box;
	uint32_t kind, count;           /* the i-th UID behind it has the run's MODSEQ + i */
};

/* A rename, link or made name that is taken back when the transaction does not commit. */
struct index_undo {
	char *from, *to;                /* relative to the Maildir; from NULL: `to` is only unlinked */
};

/* One transaction. Write transactions are made by index_update() (account_private.h) alone. */
struct index_txn {
	struct account *account;
	struct kv_txn *kv;
	struct index_meta meta;
	bool has_intent, meta_changed;
	struct intent intent;
	uint64_t renew_box;             /* set with a fault: reserve UIDs for this mailbox, then run again */
	uint32_t renew_count;           /* at least so many */
	uint64_t low_box;               /* set with success: reserve more UIDs soon */
	struct index_undo *undo;
	size_t undo_count, undo_cap;
	struct index_run run;
	uint64_t run_modseq;
	uint32_t run_uids[CHUNK_MAX];
};

MUST_CHECK struct fault index_meta_get(struct kv_txn *kv, struct index_meta *out);
MUST_CHECK struct fault index_meta_put(struct kv_txn *kv, const struct index_meta *meta);

/** index_is_counted - against the account's quota. */
static inline bool index_is_counted(const struct index_box *box)
{
	return !(box->special_use & USE_REJECTS);
}

MUST_CHECK struct fault index_box_get(struct kv_txn *kv, uint64_t id, struct index_box *out);
MUST_CHECK struct fault index_box_find(struct kv_txn *kv, struct sv name, struct index_box *out);
MUST_CHECK struct fault index_box_put(struct kv_txn *kv, const struct index_box *box);
/** index_box_add - a new record with its name; FAULT_EXISTS when the name is taken. */
MUST_CHECK struct fault index_box_add(struct index_txn *t, struct index_box *box);
/** index_box_rename - under another name and directory; FAULT_EXISTS when the name is taken. */
MUST_CHECK struct fault index_box_rename(struct index_txn *t, struct index_box *box, struct sv name, struct sv dir);
/** index_count, index_uncount - so much more or less in this mailbox, for the quota; never below zero. The caller sees to meta_changed. */
void index_count(struct index_txn *t, const struct index_box *box, uint64_t bytes, uint64_t messages);
void index_uncount(struct index_txn *t, const struct index_box *box, uint64_t bytes, uint64_t messages);
/** index_box_drop - the mailbox is gone. Its rows are removed later, by index_purge(). */
MUST_CHECK struct fault index_box_drop(struct index_txn *t, const struct index_box *box);
/** index_purge - remove up to `most` rows of dropped mailboxes; *left says whether there are more. */
MUST_CHECK struct fault index_purge(struct index_txn *t, uint64_t most, bool *left);
/** index_box_decode - a value of T_BOXES. */
bool index_box_decode(struct sv value, struct index_box *out);

MUST_CHECK struct fault index_keywords_get(struct kv_txn *kv, uint64_t box, struct keyword_names *out);
MUST_CHECK struct fault index_keywords_put(struct kv_txn *kv, uint64_t box, const struct keyword_names *k);

/** index_uids_get, index_uids_put - the UIDs of a big mailbox as they were at a MODSEQ. FAULT_NOT_FOUND: nobody noted them yet. */
MUST_CHECK struct fault index_uids_get(struct kv_txn *kv, uint64_t box, uint64_t *modseq, struct uidset *out);
MUST_CHECK struct fault index_uids_put(struct kv_txn *kv, uint64_t box, uint64_t modseq, const struct uidset *uids);
/* Sidecars that are no part of the index, of which it only says that they changed. */
enum { NOTE_METADATA = 'm', NOTE_SUBSCRIPTIONS = 's' };
/** index_note_put, index_note_get - 0 when it never changed since the index was made. */
MUST_CHECK struct fault index_note_put(struct index_txn *t, char kind, uint64_t box, uint64_t generation);
uint64_t index_note_get(struct kv_txn *kv, char kind, uint64_t box);

/** index_row_decode - a value of T_ROWS, all but the UID; false when it makes no sense. */
bool index_row_decode(struct sv value, struct index_row *out);
void index_row_key(struct kv_key *key, uint64_t box, uint32_t uid);
MUST_CHECK struct fault index_row_get(struct kv_txn *kv, uint64_t box, uint32_t uid, struct index_row *out);
/** index_row_put - the row as it is; counters and changes are the caller's business. */
MUST_CHECK struct fault index_row_put(struct kv_txn *kv, uint64_t box, const struct index_row *row);
/** index_row_append - likewise, for rows that come in the order of their keys: their pages get full, not half full.
 *  @row: a struct index_row_head with the name behind it, as index_row_decode() takes it apart; it need not be aligned. */
MUST_CHECK struct fault index_row_append(struct kv_txn *kv, uint64_t box, uint32_t uid, const char *row);
/** index_row_add - a new message with the UID it has: counters, quota, change, MODSEQ. box is changed, not put. */
MUST_CHECK struct fault index_row_add(struct index_txn *t, struct index_box *box, struct index_row *row);
/** index_row_flags - other flags for a message, likewise; row is changed and put. */
MUST_CHECK struct fault index_row_flags(struct index_txn *t, struct index_box *box, struct index_row *row,
					uint32_t flags, const struct keyword_bits *keywords);
/** index_row_del - a message is gone, likewise. */
MUST_CHECK struct fault index_row_del(struct index_txn *t, struct index_box *box, const struct index_row *row);
/** index_head_public - what a scan shows of each message, so it stands here. */
static inline void index_head_public(const struct index_row_head *h, uint32_t uid, struct message_row *out)
{
	out->uid = uid;
	out->flags = h->flags;
	out->keywords = h->keywords;
	out->modseq = h->modseq;
	out->size = h->size;
	out->internaldate = h->internaldate;
	out->savedate = h->savedate;
	memcpy(out->email, h->email, sizeof(out->email));
}
/** index_row_public - the row as callers of the store see it. */
void index_row_public(const struct index_row *row, struct message_row *out);

void index_parsed_key(struct kv_key *key, uint64_t box, uint32_t uid);
MUST_CHECK struct fault index_parsed_put(struct kv_txn *kv, uint64_t box, uint32_t uid, struct sv encoded);

/** index_box_touch - a change of the mailbox that is none of a message: its MODSEQ rises (RFC 7162 §3.2). Puts the record. */
MUST_CHECK struct fault index_box_touch(struct index_txn *t, struct index_box *box);
/** index_take_uids - the next n UIDs of a mailbox, first one returned in *uid. When they are not reserved yet: a fault, and
 *  t->renew_box makes index_update() reserve and run again. */
MUST_CHECK struct fault index_take_uids(struct index_txn *t, struct index_box *box, uint32_t n, uint32_t *uid);
/** index_change_flush - write the run in the making; index_update() calls it before it commits. */
MUST_CHECK struct fault index_change_flush(struct index_txn *t);
/** index_undo_note - remember how to take a name back. */
void index_undo_note(struct index_txn *t, const char *from, const char *to);
/** index_intend - before the first name of a mailbox changes in this transaction: say so to whoever may find us dead.
 *  box 0: mailbox folders are changed. May be called again for another mailbox. */
void index_intend(struct index_txn *t, uint64_t box);
/** index_intend_log - likewise before lines are appended to the flag log, which has so many octets. */
void index_intend_log(struct index_txn *t, uint64_t octets);
/** index_intend_file - the same for one file that is about to appear as cur/NAME: to find it no scan is needed. */
void index_intend_file(struct index_txn *t, uint64_t box, const char *name);

#endif
