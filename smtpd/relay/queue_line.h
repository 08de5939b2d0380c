/* smtpd/relay/queue_line.h - how a message that waits is told of: what the loop knows of it, and what stands in its file. */
#ifndef SMTPD_RELAY_QUEUE_LINE_H
#define SMTPD_RELAY_QUEUE_LINE_H

#include "common/json.h"
#include "smtpd/queue.h"
#include "smtpd/relay/schedule.h"

struct relay;

/* As the loop knows it: a copy, for a job. */
struct queue_line {
	char id[QUEUE_ID_LEN + 1];
	const char *state;              /* a literal: waiting, sending, deferred, paused or held */
	int64_t received_s;             /* by the queue's time */
	int64_t next_s;                 /* next attempt, likewise; 0: none is planned */
	uint32_t failures;
	char destinations[120], reason[300];
	bool is_wanted;                 /* by who asks: his to set */
};
/** queue_line_of - loop thread. */
void queue_line_of(const struct relay *r, const struct message *m, struct queue_line *out);
/** queue_line_reason - the last words about the recipients that are left: the remote's, or our own. Borrowed from both. */
struct sv queue_line_reason(const struct queue_line *k, const struct spool *sp);
/** queue_line_write - a JSON object and a newline; false: out's max. */
MUST_CHECK bool queue_line_write(const struct relay *r, const struct queue_line *k, const struct spool *sp, struct sv reason, struct buf *out);
/** queue_put_said - "mx.example.net [192.0.2.1]\n550 no" as one line, a member. */
void queue_put_said(struct json_out *j, const char *name, struct sv text);

#endif
