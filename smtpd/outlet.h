/* smtpd/outlet.h - where the octets of an accepted message go: one file for all local mailboxes,
 * one queue entry for all direct remote recipients, and one for each address of ours that sends it
 * on (those copies say Delivered-To). Either all of them have it durably, or none has.
 *
 * Everything blocks: jobs only. One set of outlets, one thread at a time. */
#ifndef SMTPD_OUTLET_H
#define SMTPD_OUTLET_H

#include "common/log.h"
#include "maildir/incoming.h"
#include "smtpd/accept.h"
#include "smtpd/envelope.h"
#include "smtpd/queue.h"
#include "smtpd/sign.h"
#include "smtpd/trace.h"

#define OUTLET_EXTRA_MAX (16u << 10)     /* octets of outlet_source.extra */

struct outlet_entry {
	struct envelope envelope;
	struct queue_entry *entry;
	struct sv via;                  /* of the plan */
	struct sv list_owner;           /* via is a list (RFC 2919); empty: it is none */
	struct incoming *message;       /* of the plan's places: not the one that came; NULL: that */
	const struct accept_rcpt *owner; /* of a message of our own: for whose sake; else NULL */
};

struct outlets {
	struct incoming *incoming;      /* NULL: nobody of ours gets it */
	struct outlet_entry **entries;
	size_t entry_count;
	bool is_open;
};

/* What opening needs; borrowed until outlets_close(). */
struct outlet_source {
	const struct accept_plan *plan;
	struct queue *queue;
	const struct envelope
		*mail; /* facts, sender and parameters; its recipients are not looked at */
	const struct trace *trace;
	struct directory *directory;    /* for SRS; NULL: senders stay as they are */
	struct sv extra;                /* whole header lines to add above Received; may be empty */
	uint64_t size_max;              /* octets of the message, without what we add */
	bool is_tls_optional;           /* what leaves is to arrive whatever TLS policies say (RFC 8689 §3) */
	bool is_ours;                   /* its author logged in: we sign what leaves */
	bool is_disbelieved;            /* SPF or DMARC say that the sender is forged: he is told nothing of what becomes of it */
	bool is_believed;               /* the sender's address is proven: he may ask for notices of success (RFC 3461), which would else go to
					   somebody who never wrote */
	const struct signer_seal *seal; /* somebody else's: what an address of ours that sends it on seals; NULL:
					   nothing was found out. The domain is that address's */
};

/** outlets_open - make the files and write what we add on top. Errors: FAULT_NO_SPACE, FAULT_LIMIT,
 *  FAULT_INTERNAL; outlets_close() is still due. */
MUST_CHECK struct fault outlets_open(struct outlets *o, const struct outlet_source *source);
MUST_CHECK struct fault outlets_write(struct outlets *o, struct sv octets);

/* Once everything was written, a filter may add to what the queue gets, before it is committed: */

/** outlets_parse - the message for our own people is whole: o->incoming can be looked at. Flushes it. */
MUST_CHECK struct fault outlets_parse(struct outlets *o);
/** outlets_forward - an entry for the plan's redirects by `via` with this message (NULL: the one that came, which is
 * o->incoming), unless there is one. */
MUST_CHECK struct fault outlets_forward(struct outlets *o, const struct outlet_source *source,
					struct sv via, struct incoming *message);
/** outlets_answer - a message of our own, from nobody (RFC 5321 §4.5.5), for the sake of a recipient. */
MUST_CHECK struct fault outlets_answer(struct outlets *o, const struct outlet_source *source,
				       const struct accept_rcpt *owner, struct sv to,
				       struct sv text);

/* What is told per recipient, in the plan's order. */
struct outlet_result {
	struct fault fault;
	struct sv refusal;      /* it is refused by the recipient's filter, in these words; p NULL: not */
};
/**
 * outlets_commit - flush everything, give it its names, and only then return without a fault.
 * @per_rcpt: LMTP: what fails for one recipient does not fail for the others; results[] says each
 * one's. Otherwise all results have the returned fault.
 * @log, message_id: for the events
 */
MUST_CHECK struct fault outlets_commit(struct outlets *o, const struct outlet_source *source,
				       bool per_rcpt, struct outlet_result *results,
				       const struct log_ctx *log, struct sv message_id);
/** outlets_close - whatever was not committed is gone. */
void outlets_close(struct outlets *o);

/** outlet_send - a message of our own into the queue at once, from nobody. @id: as queue_new_id() made it. */
MUST_CHECK struct fault outlet_send(struct queue *queue, const char *id, const struct sv *to,
				    size_t to_count, struct sv user, struct sv text,
				    const struct log_ctx *log);

#endif
