/* smtpd/relay/dsn.h - what a sender is told about a message: delivery status notifications (RFC
 * 3464) in a multipart/report (RFC 6522), in the international form where an address needs it (RFC
 * 6533). Pure, any thread. */
#ifndef SMTPD_RELAY_DSN_H
#define SMTPD_RELAY_DSN_H

#include "common/bytes.h"
#include "common/date.h"
#include "smtpd/spool.h"
#include "smtpd/wishes.h"

#define DSN_MAX (2u << 20)              /* octets of a notification */
#define DSN_RETURN_MAX (512u << 10)     /* of the message it returns; more: only its header */

enum dsn_action { DSN_FAILED = 1, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED };

struct dsn_rcpt {
	struct sv address;
	struct sv original;             /* ORCPT's value "rfc822;a@b", or empty */
	enum dsn_action action;
	struct sv status;               /* "5.1.1"; empty: made from action */
	struct sv remote;               /* "mx.example.net [192.0.2.1]"; empty: it was us */
	struct sv reply;                /* the remote's own words, or ours; one line */
	int64_t at_s;                   /* last attempt; 0: none */
};

struct dsn {
	enum spool_notice notice;
	const char *hostname;
	struct sv id;                   /* of this message */
	struct sv from;                 /* postmaster@example.org */
	struct sv to;                   /* the original sender */
	struct sv envelope_id;          /* ENVID as it came, or empty */
	struct wishes hold;             /* Future-Release-Request (RFC 4865 §5.1.2), when it has one */
	struct sv original_id;          /* queue id of the message */
	struct date now;
	int64_t received_s;
	int64_t until_s;                /* DELAY: when it will be given up */
	const struct dsn_rcpt *rcpts;
	size_t count;
	struct sv returned;             /* header or message, in wire form; empty: none (RFC 6522 §3) */
	bool is_whole;                  /* returned is the whole message */
};

/** dsn_write - append the whole message. False: out's max. */
MUST_CHECK bool dsn_write(const struct dsn *d, struct buf *out);

#endif
