/* smtpd/spool.h - one queued message as one file: what it is, what it says, what became of it.
 *
 *   "postroom spool" 1 "\n"      16 octets: what this is, and its version
 *   record*                     u32 length | u8 type | length octets | u32 CRC-32C of all that
 *                               stands before it in the record
 *
 * Numbers are little-endian. The records are: ENVELOPE (smtpd/envelope.h), BODY any number of
 * times, TOP (fields that go before the body; may be missing), END (u64 octets of the body, u32 CRC
 * of the body), then the message's life as it comes: OUTCOME (flushed), ATTEMPT (not flushed: what a
 * crash takes is tried again), NOTICE (a DSN, before it is queued and when it is), HOLD, BORN (not flushed: when it came by the queue's
 * time, where the envelope's is of another clock: smtpd/relay/clock.h). A file
 * without END is not a message: it was never acknowledged. A torn record at the end never happened,
 * and is overwritten by the next one. Unknown types are skipped.
 *
 * While a file is written, and by whoever works on it later, its descriptor is locked (flock): a
 * locked file is left alone by everybody else, and a crash unlocks it. Blocks; one handle, one
 * thread at a time. */
#ifndef SMTPD_SPOOL_H
#define SMTPD_SPOOL_H

#include "common/bytes.h"
#include "common/fault.h"
#include "smtpd/envelope.h"

#define SPOOL_BODY_MAX (64u << 10)      /* octets in one BODY record */

enum spool_outcome {
	SPOOL_DELIVERED = 1,
	SPOOL_BOUNCED = 2,
	SPOOL_EXPIRED = 3,
	SPOOL_PASSED_ON = 4,            /* delivered to a server that tells the sender itself */
};

struct spool;

/** spool_create - a new, locked file below the folder dir. Errors: FAULT_EXISTS, FAULT_NO_SPACE,
 * FAULT_INTERNAL. */
MUST_CHECK struct fault spool_create(int dir, const char *name, struct spool **out);
/** spool_put_envelope - first, once. */
MUST_CHECK struct fault spool_put_envelope(struct spool *s, const struct envelope *e);
/** spool_put_body - more of the message, in any cut; buffered into records. A fault sticks:
 * spool_finish() gives it again. */
MUST_CHECK struct fault spool_put_body(struct spool *s, struct sv octets);
/** spool_put_top - behind the whole body, once: fields that go on top of it, at most SPOOL_BODY_MAX octets. Who
 * signs knows them only then; readers see one message. */
MUST_CHECK struct fault spool_put_top(struct spool *s, struct sv fields);
/** spool_finish - END is written and the file flushed. Its name is the caller's to make durable. */
MUST_CHECK struct fault spool_finish(struct spool *s);

enum spool_wait { SPOOL_UNLOCKED, SPOOL_LOCKED };
/**
 * spool_open - an existing file: envelope and outcomes are read, the body's records are looked at
 * but not read.
 * @lock: SPOOL_LOCKED takes the lock or fails with FAULT_BUSY at once; SPOOL_UNLOCKED only reads
 * Errors: FAULT_NOT_FOUND, FAULT_BUSY, FAULT_CORRUPT (no END, damaged, or of a newer version),
 * FAULT_INTERNAL.
 */
MUST_CHECK struct fault spool_open(int dir, const char *name, enum spool_wait lock,
				   struct spool **out);
const struct envelope *spool_envelope(const struct spool *s);
/** spool_size - octets of the message: TOP and body. */
uint64_t spool_size(const struct spool *s);
/** spool_top_size - octets of TOP alone; 0: there is none. */
uint64_t spool_top_size(const struct spool *s);
/** spool_outcome - what became of recipient i, 0 while nothing did. */
enum spool_outcome spool_outcome(const struct spool *s, uint32_t i);
/** spool_read_body - the next octets of the body into out (at most SPOOL_BODY_MAX more), each
 * record checked; nothing is added at the end. FAULT_CORRUPT when a record is damaged. */
MUST_CHECK struct fault spool_read_body(struct spool *s, struct buf *out);
/** spool_close - unlock and close; removes nothing. NULL is fine. */
void spool_close(struct spool **s);


/* What is known of one recipient. */
struct spool_rcpt {
	enum spool_outcome outcome;     /* 0: still to be sent */
	int64_t at_s;                   /* of the outcome, or the last attempt; 0: none was */
	uint32_t attempts;              /* that did not succeed */
	unsigned told;                  /* bits 1u << enum spool_notice: its sender knows */
	struct sv text;                 /* the reply; borrowed until the next record */
};
struct spool_rcpt spool_rcpt(const struct spool *s, uint32_t i);
/** spool_put_attempt - the recipients that could not be served, and why; not flushed. */
MUST_CHECK struct fault spool_put_attempt(struct spool *s, const uint32_t *rcpts, uint32_t count,
					  int64_t now_s, struct sv text);

struct spool_change {
	uint32_t rcpt;
	enum spool_outcome outcome;
	struct sv text;
};
/** spool_put_outcomes - append what became of these recipients, durably, with one flush. Text is for
 * people (a reply, who removed it). */
MUST_CHECK struct fault spool_put_outcomes(struct spool *s, const struct spool_change *changes,
					   size_t count, int64_t now_s);

/* What a sender is told by a DSN. */
enum spool_notice { SPOOL_NOTICE_FAILURE = 1, SPOOL_NOTICE_DELAY, SPOOL_NOTICE_SUCCESS };
#define SPOOL_ID_LEN 16
/**
 * spool_put_notice - is_done false: a DSN with this id will be made for the recipients; true: it is
 * durably in the queue. Between the two a crash is mended by making it again, with the same id:
 * nobody is told twice.
 */
MUST_CHECK struct fault spool_put_notice(struct spool *s, enum spool_notice notice, const char *id,
					 const uint32_t *rcpts, uint32_t count, int64_t now_s,
					 bool is_done);
/** spool_open_notice - the one that was begun and is not done; false: there is none. @id: 17
 * octets. Its recipients have their `told` bit. */
bool spool_open_notice(const struct spool *s, enum spool_notice *notice, char *id);
/** spool_put_hold - an administrator's word. */
MUST_CHECK struct fault spool_put_hold(struct spool *s, bool is_held, int64_t now_s, struct sv by);
bool spool_is_held(const struct spool *s);
/** spool_put_born - when it came by the queue's time. */
MUST_CHECK struct fault spool_put_born(struct spool *s, int64_t born_s);
/** spool_born - 0: nobody wrote that down. */
int64_t spool_born(const struct spool *s);

/** spool_outcome_name - "delivered", ... */
const char *spool_outcome_name(enum spool_outcome outcome);

#endif
