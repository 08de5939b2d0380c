/* smtpd/transaction_private.h - what transaction.c (commands, jobs) and data.c (octets) share. */
#ifndef SMTPD_TRANSACTION_PRIVATE_H
#define SMTPD_TRANSACTION_PRIVATE_H

#include "smtpd/accept.h"
#include "smtpd/attachment.h"
#include "smtpd/author.h"
#include "smtpd/authres.h"
#include "smtpd/binary.h"
#include "smtpd/envelope.h"
#include "smtpd/facts.h"
#include "smtpd/fixup.h"
#include "smtpd/origin.h"
#include "smtpd/outlet.h"
#include "smtpd/policy/policy.h"
#include "smtpd/screen.h"
#include "smtpd/spill.h"
#include "smtpd/strip.h"
#include "smtpd/transaction.h"

#define FEED_AT_ONCE (8u << 10)
/* A feed may double (LF to CRLF), and a fix-up adds its lines. */
#define WINDOW_MAX (TRANSACTION_CHUNK + 2 * FEED_AT_ONCE + TRACE_MAX + STRIP_HOLD)
#define JUNK_MAX 2048           /* octets of the reasons for which a message goes to Junk */
#define FOUND_MAX 1500          /* octets of what checks found, for those who ask afterwards */

/* What a job does; one runs at a time. */
enum task {
	TASK_NONE = 0,
	TASK_SENDER,
	TASK_RECIPIENT,
	TASK_WRITE,
	TASK_LINES,
	TASK_FINISH,
	TASK_CLEAN,
};

struct transaction {
	struct work work;
	enum task task;                         /* running or waiting to run */
	const struct transaction_events *events;
	void *user;
	bool is_orphan;                         /* the session has let go */

	/* facts, not changed after transaction_new() */
	struct smtpd *server;
	struct conf *conf;
	struct log_ctx log;
	enum conf_listener_kind listener;
	struct netaddr peer;
	struct auth_identity *identity;
	bool is_extended, is_tls;
	bool is_stranger;                       /* the rows of policy for strangers are asked */
	bool is_relay_client;
	bool is_local_admin;
	bool is_device;                         /* has not logged in: the sender is legacy-sender */
	struct policy_rates messages, recipients;
	uint64_t began_ms;

	/* what the DNS says about strangers: the loop's, read by jobs once it is there */
	struct origin *origin;                  /* under way */
	struct origin_facts origin_facts;
	bool has_origin;
	struct author *author;
	bool is_author_open;                    /* asked, and not answered yet */
	const struct author_facts *author_facts;        /* of a job */
	const struct conf_list *filters;        /* that are asked; NULL: none */
	struct screen *screen;                  /* they are asked now */
	struct screen_verdict filter;           /* of all that were asked */
	bool has_filter, has_lines;
	bool is_spilled;                        /* all octets are in the file */

	/* envelope and plan: the loop's while no job runs, else the job's */
	struct asking *asking;                  /* the host of a relay domain, about rcpt: under way */
	enum asking_answer asked;               /* what it said */
	bool is_to_be_asked;                    /* of a job ... */
	char asked_for[DIRECTORY_ADDRESS_MAX + 1];      /* ... about this address */
	struct envelope mail;
	struct smtp_path sender, rcpt;
	struct arena sender_arena, rcpt_arena;
	struct accept_plan plan;
	struct transaction_answer answer;       /* of a job */
	const char *check;                      /* which policy check refused; NULL */
	enum conf_action dmarc_action;          /* what the check "dmarc" led to; CONF_OFF: nothing */
	struct buf junk;                        /* why it goes to Junk; empty: it does not */
	struct buf found;                       /* what checks found, and what it led to */
	struct buf extra;                       /* header lines that we add */

	/* octets: the loop's, and the job's in TASK_FINISH */
	struct data_scanner scanner;
	struct fixup fixup;
	struct strip strip;
	struct message_facts facts;
	struct buf window;                      /* gathers */
	struct buf date_line, id_line, unsubscribe_lines, from_line;    /* for the fix-up */
	bool is_tls_optional;                   /* as far as the job's octets say */
	bool has_begun, is_bdat, is_fixing, is_stripping, is_finishing;
	bool is_spilling;                       /* what stands on top is known last: the octets wait in a file */
	bool is_failed;                         /* the loop's copy of failed */

	/* octets: the job's */
	struct signer_seal seal;                /* for what is sent on; no authserv_id: nothing to say */
	struct arena seal_arena;
	struct buf chunk;
	struct attachments *attachments;        /* NULL: not looked for */
	const char *attachment;                 /* the one that is not wanted */
	struct trace trace;
	struct spill spill;                     /* all but the last chunk; with filters, and of a binary message, all */
	struct binary_lines lines;              /* what became of a binary message */
	struct outlets outlets;
	struct fault failed;                    /* the first one of writing; sticks */
	struct outlet_result *results;          /* of committing, per recipient */
	struct fault outcome;
	struct transaction_answer *answers;     /* what the peer is told in the end */
	size_t answer_count;
	struct deferred refused;                /* no job for the end: told in the next turn */
};

/** transaction_submit - run a task. False: it cannot run now. */
bool transaction_submit(struct transaction *t, enum task task);
/** transaction_clean - in a job: remove what was not committed, close what is open. */
void transaction_clean(struct transaction *t);
/** transaction_facts - what policy reads; borrowed from t. */
struct policy_facts transaction_facts(const struct transaction *t);
/** transaction_judge - keep a verdict as t's answer; false when it is a refusal. */
bool transaction_judge(struct transaction *t, const struct policy_verdict *v);
/** transaction_report - a refusal, as an event. Loop thread. */
void transaction_report(const struct transaction *t, const char *stage, struct sv to,
			enum reply_id reply);
/** transaction_results - what was found out about a stranger, as far as it is known. */
struct authres transaction_results(const struct transaction *t);
/** transaction_results_text - the same as one line; empty for all others. @out: empty. */
void transaction_results_text(const struct transaction *t, struct buf *out);

/* data.c, in a job: */
void data_write(struct transaction *t);
void data_to_lines(struct transaction *t);
void data_finish(struct transaction *t);
/* data.c, on the loop: */
void data_init(struct transaction *t);
void data_done(struct transaction *t);
/** data_wrote - TASK_WRITE or TASK_LINES is done. */
void data_wrote(struct transaction *t);
/** data_settle - TASK_FINISH is done, or cannot run: make the answers and report them. */
void data_settle(struct transaction *t);

#endif
