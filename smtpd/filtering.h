/* smtpd/filtering.h - the receivers' Sieve scripts in a transaction: they change the delivery plan before anything is delivered, and
 * send their answers once everything is.
 *
 *   filtering_run -> outlets_commit -> filtering_settle -> filtering_done
 *
 * Everything blocks: jobs only; the job's thread. */
#ifndef SMTPD_FILTERING_H
#define SMTPD_FILTERING_H

#include "common/conf.h"
#include "maildir/filter.h"
#include "smtpd/facts.h"
#include "smtpd/outlet.h"

/* Borrowed until filtering_done(). */
struct filtering_source {
	struct filters *filters;
	struct store *store;
	struct directory *directory;
	const struct conf *conf;
	struct accept_plan *plan;
	struct outlets *outlets;        /* written; parsed */
	const struct outlet_source *outlet;
	const struct message_facts *facts;
	bool is_lmtp;                   /* each recipient has an answer of its own */
	bool is_junk;                   /* policy says so */
	const struct log_ctx *log;
};

struct filtering_one;
struct filtering {
	const struct filtering_source *source;
	struct filtering_one *list, **end;
};

/**
 * filtering_run - run the scripts of every mailbox in the plan, and put what they want into the plan and the outlets.
 * @results: gets the refusals; a recipient that refuses has no place any more
 * @is_refused: all recipients refuse and the message is not to be accepted; the first refusal is the answer
 * Errors: temporary ones; nothing may be delivered then.
 */
MUST_CHECK struct fault filtering_run(struct filtering *f, const struct filtering_source *source,
				      struct outlet_result *results, bool *is_refused);
/** filtering_settle - for the recipients without a fault: answers and notifications are sent, and what is to be remembered is. */
void filtering_settle(struct filtering *f, const struct outlet_result *results);
void filtering_done(struct filtering *f);

#endif
