/* smtpd/relay/narrow.h - a queued message for a server that takes 7 bits only: does it need smtpd/downgrade.h, can it be done, what
 * comes out? The file in the queue stays as it is. Blocks: jobs only. */
#ifndef SMTPD_RELAY_NARROW_H
#define SMTPD_RELAY_NARROW_H

#include "common/dkimkey.h"
#include "smtpd/downgrade.h"
#include "smtpd/queue.h"

struct narrow {
	struct downgrade *downgrade;    /* begun; NULL: the message has 7 bits only */
	struct buf top;                 /* fields that go before it: new signatures in place of ours */
	uint64_t size;                  /* octets of what will be sent, with them */
	const char *obstacle;           /* a sentence why it cannot be written anew; NULL: it can */
};

/** narrow_prepare - read the message, three times at most. *out is zero before. @keys: NULL: nothing is signed. */
MUST_CHECK struct fault narrow_prepare(struct queue *queue, struct sv id, struct dkimkeys *keys, int64_t now_s, struct narrow *out);
void narrow_done(struct narrow *n);

/** narrow_read - the next octets of a queued message in wire form into a sink; *is_last when there are no more. */
MUST_CHECK struct fault narrow_read(struct spool *reader, struct data_scanner *scanner, bool *is_last);

#endif
