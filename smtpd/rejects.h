/* smtpd/rejects.h - a message that was refused for its content, kept for a few days for those whom it was meant for (`rejects keep`).
 *
 * It lies in the mailbox that maildir/incoming.h keeps for that, without counting against the quota; on top stands why it was
 * refused. It is a courtesy: what is too large, or cannot be kept, is not, and the log says so. The sender is refused in any case.
 * Blocks: jobs only. */
#ifndef SMTPD_REJECTS_H
#define SMTPD_REJECTS_H

#include "common/log.h"
#include "smtpd/accept.h"
#include "smtpd/spill.h"
#include "smtpd/trace.h"

#define REJECTS_MESSAGE_MAX ((uint64_t)25 << 20)        /* octets of a message */
#define REJECTS_ACCOUNTS_MAX 20                         /* of one message */

struct rejects_message {
	const struct accept_plan *plan; /* accounts of ours with their drops open; who gets it elsewhere gets nothing */
	const struct trace *trace;
	struct sv sender, queue_id;
	struct sv extra;                /* whole header lines to add */
	struct sv why;                  /* "dmarc (...)" */
	const struct spill *octets;
	struct sv rest;                 /* behind them */
};
void rejects_keep(const struct rejects_message *m, const struct log_ctx *log);

#endif
