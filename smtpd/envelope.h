/* smtpd/envelope.h - who sends what to whom: the facts of one transaction, exactly as they came.
 *
 * The queue stores facts, not routes. So every ESMTP parameter is kept as its text, per message and
 * per recipient, also those that nothing here reads today, and an envelope has a serial form which
 * is the first record of a spool file (smtpd/spool.h). Everything lies in one arena: an envelope
 * costs at most ENVELOPE_MAX octets whatever a peer sends. A plain value of one thread at a time.
 */
#ifndef SMTPD_ENVELOPE_H
#define SMTPD_ENVELOPE_H

#include "common/bytes.h"
#include "common/fault.h"
#include "common/memory.h"

#define ENVELOPE_MAX (1u << 20)         /* octets of memory */
#define ENVELOPE_SERIAL_MAX (2u << 20)

/* A parameter of MAIL or RCPT as it came: "SIZE=1234", "SMTPUTF8", "NOTIFY=NEVER" (RFC 5321 §4.1.2,
 * esmtp-param). */
struct envelope_param {
	struct sv text;
	struct envelope_param *next;
};

struct envelope_rcpt {
	struct sv address;              /* local@domain as it will be sent on; never empty */
	struct sv original; /* what the client named when an alias led here; empty: the same */
	struct envelope_param *params;  /* in their order */
	struct envelope_rcpt *next;
};

/* One fact about where a message came from, by name: the reader may rely on these. */
enum envelope_fact {
	ENVELOPE_ID = 0,        /* the queue id */
	ENVELOPE_LISTENER,      /* "mx", "submission", ... */
	ENVELOPE_PROTOCOL,      /* "ESMTPSA" (RFC 3848) */
	ENVELOPE_PEER,          /* numeric address */
	ENVELOPE_HELO,          /* what the client called itself; untrusted */
	ENVELOPE_USER,          /* who was logged in; empty for strangers */
	ENVELOPE_TLS,           /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty */
	ENVELOPE_SESSION,       /* the session id that the log uses */
	ENVELOPE_FACTS
};

struct envelope {
	struct arena arena;
	struct sv facts[ENVELOPE_FACTS];
	int64_t received_s;             /* Unix time of MAIL */
	bool has_sender;                /* MAIL was given */
	struct sv sender;               /* local@domain; empty is the null reverse-path */
	struct envelope_param *params;
	struct envelope_rcpt *rcpts;
	struct envelope_rcpt **rcpts_end;
	uint32_t rcpt_count;
};

/** envelope_init - empty; allocates nothing. */
void envelope_init(struct envelope *e);
/** envelope_clear - forget everything, keep one block of memory for the next message. */
void envelope_clear(struct envelope *e);
void envelope_done(struct envelope *e);

/** envelope_set... - copies. False: ENVELOPE_MAX would be passed; e is unchanged. */
MUST_CHECK bool envelope_set_fact(struct envelope *e, enum envelope_fact which, struct sv value);
MUST_CHECK bool envelope_set_sender(struct envelope *e, struct sv sender);
MUST_CHECK bool envelope_add_param(struct envelope *e, struct sv text);
/** envelope_add_rcpt - the new recipient, to which envelope_add_rcpt_param() adds; NULL when too
 * much. */
MUST_CHECK struct envelope_rcpt *envelope_add_rcpt(struct envelope *e, struct sv address,
						   struct sv original);
MUST_CHECK bool envelope_add_rcpt_param(struct envelope *e, struct envelope_rcpt *rcpt,
					struct sv text);

/** envelope_param - the value of a parameter by its keyword, in any case: true also for one without
 * "=" (value empty). */
bool envelope_param(const struct envelope_param *list, struct sv keyword, struct sv *value);

/** envelope_write - append the serial form: (tag, length, octets) triples, so any octet is harmless
 * and a reader can skip tags it does not know. False: out's max. */
MUST_CHECK bool envelope_write(const struct envelope *e, struct buf *out);
/** envelope_read - the opposite; e must be empty. FAULT_CORRUPT for what envelope_write() cannot
 * have written, FAULT_LIMIT beyond ENVELOPE_MAX; e is empty then. */
MUST_CHECK struct fault envelope_read(struct envelope *e, struct sv serial);

#endif
