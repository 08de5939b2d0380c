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
#include "smtpd/trace.h"

struct outlet_entry {
	struct envelope envelope;
	struct queue_entry *entry;
	struct sv via;                  /* of the plan */
};

struct outlets {
	struct incoming *incoming;      /* NULL: nobody of ours gets it */
	struct outlet_entry *entries;
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
	uint64_t size_max;              /* octets of the message, without what we add */
};

/** outlets_open - make the files and write what we add on top. Errors: FAULT_NO_SPACE, FAULT_LIMIT,
 *  FAULT_INTERNAL; outlets_close() is still due. */
MUST_CHECK struct fault outlets_open(struct outlets *o, const struct outlet_source *source);
MUST_CHECK struct fault outlets_write(struct outlets *o, struct sv octets);

/* What is told per recipient, in the plan's order. */
struct outlet_result {
	struct fault fault;
};
/**
 * outlets_commit - flush everything, give it its names, and only then return without a fault.
 * @per_rcpt: LMTP: what fails for one recipient does not fail for the others; results[] says each
 * one's. Otherwise all results are the same as the returned fault.
 * @log, message_id: for the events
 */
MUST_CHECK struct fault outlets_commit(struct outlets *o, const struct outlet_source *source,
				       bool per_rcpt, struct outlet_result *results,
				       const struct log_ctx *log, struct sv message_id);
/** outlets_close - whatever was not committed is gone. */
void outlets_close(struct outlets *o);

#endif
