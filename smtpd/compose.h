/* smtpd/compose.h - messages that a receiver's filter sends: answers (RFC 5230), notifications (RFC 5436), refusals (RFC 5429 §2.1.2,
 * §2.2.1). Whatever of the peer's or the script's words goes into them cannot break out of its place. Pure, any thread.
 * False: out's max would be passed. */
#ifndef SMTPD_COMPOSE_H
#define SMTPD_COMPOSE_H

#include "common/mime.h"
#include "common/sieve/sieve.h"

#define COMPOSE_MAX ((size_t)1 << 20)

/* What they are about. */
struct compose {
	struct sv hostname, id;         /* ours; of the new message */
	struct sv account;              /* the filter's owner */
	struct sv rcpt;                 /* whom the message was for, as the client said it */
	struct sv sender;               /* its envelope sender */
	const struct mime_message *message;
	struct sv header;               /* of the message, raw */
	struct date now;
};

/** compose_vacation - RFC 5230 §5. */
MUST_CHECK bool compose_vacation(struct buf *out, const struct compose *c, const struct sieve_action *a);
/** compose_notify - RFC 5436 §2.7. */
MUST_CHECK bool compose_notify(struct buf *out, const struct compose *c, const struct sieve_action *a);
/** compose_notify_next - the next receiver of a mailto URI, decoded; begin with *at 0. False: there is none. */
MUST_CHECK bool compose_notify_next(struct sv uri, size_t *at, struct buf *address);
/** compose_refusal - a DSN (RFC 3464) for ereject, an MDN (RFC 8098) for reject. */
MUST_CHECK bool compose_refusal(struct buf *out, const struct compose *c, const struct sieve_action *a);

#endif
