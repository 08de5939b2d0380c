/* smtpd/queue.h - the durable queue of an instance: messages that are ours to bring elsewhere.
 *
 *   ROOT/queue/tmp/ID      being written; nobody knows of it
 *   ROOT/queue/msg/ID      a message: one spool file (smtpd/spool.h), the truth
 *   ROOT/queue/talk/ID     what was last said between us and the other server; may be missing
 *   ROOT/queue/corrupt/    what was found and could not be read; never deleted by us
 *   ROOT/queue/index/      LMDB, synced: a row per message for listing and counting; made again
 *                          from the files
 *
 * Adding goes begin, write, finish (octets durable), commit (name durable), release. Until release
 * the file is locked, so that whoever sends the queue leaves it alone and the caller can still take
 * it back (abort). After a crash in between it is a message like others: nobody was told 250, and a
 * second copy is all that can happen.
 *
 * Everything blocks: jobs only. A queue may be used from any thread, an entry from one at a time.
 * Several processes may have it open. */
#ifndef SMTPD_QUEUE_H
#define SMTPD_QUEUE_H

#include "common/bytes.h"
#include "common/fault.h"
#include "smtpd/envelope.h"
#include "smtpd/spool.h"

#define QUEUE_ID_LEN 16

struct dkimkeys;
struct signer_seal;
struct queue;
struct queue_entry;

/** queue_open - make what is missing below dir. */
MUST_CHECK struct fault queue_open(const char *dir, struct queue **out);
void queue_close(struct queue **queue);
/** queue_use_keys - what queue_sign() signs with; before other threads use the queue. @keys: borrowed. */
void queue_use_keys(struct queue *queue, struct dkimkeys *keys);
/** queue_new_id - letters and digits, in the order of time, unique. Any thread. */
void queue_new_id(char out[QUEUE_ID_LEN + 1]);

/** queue_begin - a new message under the id that the envelope has. @e: borrowed until
 * queue_release() or queue_abort(). Errors: FAULT_EXISTS, FAULT_LIMIT, FAULT_NO_SPACE,
 *  FAULT_INTERNAL. */
MUST_CHECK struct fault queue_begin(struct queue *queue, const struct envelope *e,
				    struct queue_entry **out);
MUST_CHECK struct fault queue_write(struct queue_entry *entry, struct sv octets);
/** queue_sign - right behind queue_begin(), for a message that is ours (of somebody who logged in, an answer, a DSN, a
 * report): its author's domain signs it when it is finished (smtpd/sign.h). Does nothing without queue_use_keys(). */
void queue_sign(struct queue_entry *entry);
/** queue_seal - likewise for a message of somebody else's that is sent on: it gets an ARC set. @seal: copied; what it points to
 * is borrowed until queue_finish(). */
void queue_seal(struct queue_entry *entry, const struct signer_seal *seal);
MUST_CHECK struct fault queue_finish(struct queue_entry *entry);
MUST_CHECK struct fault queue_commit(struct queue_entry *entry);
/** queue_entry_size - octets written so far. */
uint64_t queue_entry_size(const struct queue_entry *entry);
/** queue_release - it is a message now; *entry is NULL. */
void queue_release(struct queue_entry **entry);
/** queue_abort - nothing of it is left, wherever it was; *entry is NULL. NULL is fine. */
void queue_abort(struct queue_entry **entry);

/** queue_count - messages in it. */
MUST_CHECK struct fault queue_count(struct queue *queue, uint64_t *out);

#define QUEUE_RCPTS_LISTED 10

/* A row of the listing. Views are borrowed for the call. */
struct queue_info {
	struct sv id;
	int64_t received_s;
	uint64_t size;
	struct sv sender;       /* empty: the null sender */
	struct sv user;         /* who was logged in; may be empty */
	struct sv rcpts[QUEUE_RCPTS_LISTED];
	size_t listed;          /* of them */
	uint64_t rcpt_count;    /* in all */
};
typedef bool queue_list_fn(void *arg, const struct queue_info *info);
/** queue_list - in the order of time, from the first id behind `after` (empty: all). False from fn
 * stops. */
MUST_CHECK struct fault queue_list(struct queue *queue, struct sv after, queue_list_fn *fn,
				   void *arg);
/** queue_read - one message; spool_close() ends it. FAULT_NOT_FOUND, also for what is no id. */
MUST_CHECK struct fault queue_read(struct queue *queue, struct sv id, struct spool **out);

/* ---- for the relay, which empties it ---- */

/** queue_take - a message for working on it: locked, and nobody else has it until spool_close().
 * FAULT_BUSY, FAULT_NOT_FOUND, FAULT_CORRUPT. */
MUST_CHECK struct fault queue_take(struct queue *queue, const char *id, struct spool **out);
/** queue_sweep - a half-written file that a crash left under this id: gone. */
void queue_sweep(struct queue *queue, struct sv id);
/** queue_has - is there a message of this id? */
bool queue_has(struct queue *queue, const char *id);
/** queue_drop - every recipient has its outcome: the file goes, durably. The row stays until
 * queue_forget(). The caller has it taken. */
MUST_CHECK struct fault queue_drop(struct queue *queue, const char *id);
/** queue_unlink - the same without the flush: until queue_flush() the file may be there again after a power cut. */
MUST_CHECK struct fault queue_unlink(struct queue *queue, const char *id);
/** queue_flush - every name that came or went before this call did so for good. All threads that wait share flushes, also with
 * queue_commit() and queue_drop(). */
MUST_CHECK struct fault queue_flush(struct queue *queue);
/** queue_forget - rows of messages that were dropped, many in one transaction. */
void queue_forget(struct queue *queue, const char (*ids)[QUEUE_ID_LEN + 1], size_t count);
/** queue_each - the id of every message, in the order of time, by the files. False stops. */
typedef bool queue_id_fn(void *arg, const char *id);
MUST_CHECK struct fault queue_each(struct queue *queue, queue_id_fn *fn, void *arg);
/** queue_set_apart - to corrupt/: it cannot be read. */
void queue_set_apart(struct queue *queue, const char *id, struct fault why);
/** queue_put_talk - the last conversation about a message, for people; queue_drop() removes it.
 *  queue_talk reads it. */
void queue_put_talk(struct queue *queue, const char *id, struct sv text);
bool queue_talk(struct queue *queue, const char *id, struct buf *out);

/** queue_put_note, queue_note - a small text that lies beside the messages, by a name of ours: replaced as a whole. Whoever writes one
 * twice waits for the first one to end. As much of it is read as there is room for; false: nothing. */
MUST_CHECK struct fault queue_put_note(struct queue *queue, const char *name, struct sv text);
bool queue_note(struct queue *queue, const char *name, struct buf *out);

/** queue_sync - compare rows with files and mend the rows; unreadable files go to corrupt/,
 * abandoned ones in tmp/ away. At start. */
MUST_CHECK struct fault queue_sync(struct queue *queue);

#endif
