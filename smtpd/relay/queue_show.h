/* smtpd/relay/queue_show.h - all that is known of one message in the queue: an object for programs, then lines for people, with the last
 * conversation about it and its header. */
#ifndef SMTPD_RELAY_QUEUE_SHOW_H
#define SMTPD_RELAY_QUEUE_SHOW_H

#include "smtpd/relay/queue_line.h"

/** queue_show - JSON objects, each followed by a newline: one with the envelope, then {"line":TEXT}. Blocks: in a job. FAULT_NOT_FOUND. */
MUST_CHECK struct fault queue_show(struct relay *r, const char *id, const struct queue_line *line, struct buf *out);

#endif
