/* smtpd/milter.h - a filter program asked about a message, by Sendmail's milter protocol, version 6
 * (rspamd, ClamAV, ...).
 *
 * The whole conversation takes place when the message has come in and lies in a file, so a filter
 * sees exactly the octets that will be delivered, never the wire. It may accept, refuse, add header
 * fields and quarantine; it is offered nothing else, and what else it sends is ignored. Nothing it
 * says is trusted: packets and the fields it adds are bounded, and it has a deadline for each
 * answer. Loop thread; the file is read in jobs. */
#ifndef SMTPD_MILTER_H
#define SMTPD_MILTER_H

#include "common/lines.h"
#include "common/loop.h"
#include "common/netaddr.h"
#include "smtpd/spill.h"

#define MILTER_HEADERS_MAX (8u << 10) /* octets of added fields */
#define MILTER_PACKET_MAX (64u << 10) /* of an answer */
#define MILTER_TEXT_MAX 512

/* Where a filter listens: "127.0.0.1:11332", "[::1]:11332", "/run/clamav/milter.sock". */
struct milter_place {
	struct netaddr address; /* family NET_UNIX: path */
	const char *path;       /* borrowed from the text */
};
bool milter_place_parse(const char *text, struct milter_place *out);

/* Views must live until the end. */
struct milter_message {
	struct netaddr peer;
	struct sv host; /* the address's name; empty: unknown */
	struct sv helo, sender, queue_id, hostname;
	const struct sv *rcpts;
	size_t rcpt_count;
	const struct spill *octets;
};

enum milter_action {
	MILTER_ACCEPT = 0,
	MILTER_DISCARD,
	MILTER_DEFER,
	MILTER_REJECT,
	MILTER_FAILED
};

struct milter_verdict {
	enum milter_action action;
	char text[MILTER_TEXT_MAX]; /* of a refusal: printable, for the peer; of MILTER_FAILED: for
				       the log; may be "" */
	char quarantine[200];       /* its reason; "": not asked for */
	bool is_spam;               /* it added X-Spam: Yes, or X-Spam-Flag: YES */
	struct buf headers;         /* whole lines, ending in CRLF */
};

struct milter;
typedef void milter_fn(void *arg, const struct milter_verdict *verdict);
/** milter_ask - fn is called once, in a later turn; the verdict is borrowed for the call.
 * @timeout_ms: for each answer. */
struct milter *milter_ask(struct loop *loop, const struct milter_place *place, uint32_t timeout_ms,
			  const struct milter_message *message, milter_fn *fn, void *arg);
/** milter_free - at any time; fn is not called any more. NULL is fine. */
void milter_free(struct milter **milter);

/* ---- the answers, taken apart (pure) ---- */

/** milter_take_packet - the next whole packet off *in: its letter and data. FEED_BAD: too long, or
 * empty. */
enum feed milter_take_packet(struct sv *in, char *letter, struct sv *data);
/** milter_take_answer - what a packet means for the verdict; true: it ends the command that it
 * answers. */
bool milter_take_answer(char letter, struct sv data, struct milter_verdict *v, bool *is_final);

#endif
