/* smtpd/transaction.h - one mail transaction: sender, recipients, the octets of DATA or BDAT, and
 * what becomes of them.
 *
 *   sender -> recipient* -> begin -> feed* -> finish
 *
 * A transaction lives on the loop; what blocks runs in its jobs, one at a time. It owns everything
 * it needs, so a session may let go of it at any moment: a running job ends, half-written files are
 * removed by another one, and nobody is told.
 *
 * Octets flow from the scanner through the header checks into a window; when TRANSACTION_CHUNK
 * octets are there, a job writes them while the next ones gather. When both halves are full the
 * session stops reading (transaction_is_full). Whatever the size of a message, it costs at most 256
 * KiB.
 *
 * Callbacks come from the loop, never from inside a call, and never after transaction_free(). */
#ifndef SMTPD_TRANSACTION_H
#define SMTPD_TRANSACTION_H

#include "common/identity.h"
#include "common/lines.h"
#include "common/log.h"
#include "smtpd/reply.h"
#include "smtpd/smtpd.h"

#define TRANSACTION_CHUNK (24u << 10)

struct transaction;

/* Facts of the session; copied. */
struct transaction_source {
	struct smtpd *server;
	struct conf *conf;
	struct log_ctx log;
	enum conf_listener_kind listener;
	struct sv listener_name;
	struct netaddr peer;
	struct sv helo;
	struct sv tls;                          /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty */
	bool is_extended;                       /* EHLO or LHLO, not HELO */
	const struct auth_identity *identity;   /* NULL: a stranger */
	bool is_local_admin;                    /* on a local listener: may write as anybody */
	bool is_device;                         /* on a legacy listener, without a login: identity is legacy-sender's */
};

/* What the peer is told: a row of the table, or a text of its own with the row's codes. */
struct transaction_answer {
	enum reply_id reply;
	char text[640];         /* "": the row's */
};

struct transaction_events {
	/* What transaction_recipient() or transaction_sender() found out. */
	void (*on_answer)(void *user, const struct transaction_answer *answer);
	/* transaction_is_full() is false again. */
	void (*on_room)(void *user);
	/* The end: one answer; of LMTP one per recipient. Only transaction_free() may follow. */
	void (*on_end)(void *user, const struct transaction_answer *answers, size_t count);
};

struct transaction *transaction_new(const struct transaction_source *source,
				    const struct transaction_events *events, void *user);
/** transaction_free - *t is NULL; files that were not committed go away by themselves. NULL is
 * fine. */
void transaction_free(struct transaction **t);

enum transaction_step {
	TRANSACTION_ANSWERED,   /* *answer is the answer */
	TRANSACTION_WAIT,       /* on_answer follows */
};
/** transaction_sender - MAIL. @args: behind the verb. @answer: set when TRANSACTION_ANSWERED. */
enum transaction_step transaction_sender(struct transaction *t, struct sv args,
					 struct transaction_answer *answer);
/** transaction_recipient - RCPT, likewise. */
enum transaction_step transaction_recipient(struct transaction *t, struct sv args,
					    struct transaction_answer *answer);

/** transaction_is_binary - its octets are no lines: it can only come in chunks (RFC 3030 §3). */
bool transaction_is_binary(const struct transaction *t);

/** transaction_begin - octets follow. is_bdat: in chunks without dots (RFC 3030). */
void transaction_begin(struct transaction *t, bool is_bdat);
bool transaction_has_begun(const struct transaction *t);
/** transaction_feed - octets of the message; FEED_DONE at the end of DATA, never for BDAT. At most
 * 8 KiB are taken at once. Not while transaction_is_full(). */
enum feed transaction_feed(struct transaction *t, struct sv *in);
bool transaction_is_full(const struct transaction *t);
/** transaction_is_too_big - more octets came than a message may have; what follows is dropped. */
bool transaction_is_too_big(const struct transaction *t);
/** transaction_finish - all octets are there: on_end follows, exactly once. */
void transaction_finish(struct transaction *t);

#endif
