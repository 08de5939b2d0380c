/* smtpd/trace.h - the header lines a server adds on top: Return-Path, Received, Delivered-To (RFC
 * 5321 §4.4), and the ones submission adds when they are missing. Untrusted words in them cannot
 * break out of their place. Pure, any thread. */
#ifndef SMTPD_TRACE_H
#define SMTPD_TRACE_H

#include "common/bytes.h"
#include "common/conf.h"
#include "common/date.h"
#include "common/netaddr.h"

#define TRACE_MAX 4096          /* octets that all lines together may take */

struct trace {
	const char *hostname;           /* ours */
	struct sv helo;                 /* what the client called itself; untrusted, may be empty */
	struct netaddr peer;
	const char *protocol;           /* trace_protocol() */
	struct sv tls;                  /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty */
	struct sv id;
	struct sv for_rcpt; /* the one recipient; empty when there are several (RFC 5321 §7.6) */
	struct date now;
};

/** trace_protocol - the "with" word: SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA, LMTP..., UTF8SMTP...
 * (RFC 3848, RFC 6531 §4.3). */
const char *trace_protocol(enum conf_listener_kind listener, bool is_extended, bool is_tls,
			   bool is_auth, bool is_utf8);

/* Each appends whole lines; false: out's max, nothing is appended. */
MUST_CHECK bool trace_return_path(struct buf *out, struct sv sender);
MUST_CHECK bool trace_delivered_to(struct buf *out, struct sv address);
MUST_CHECK bool trace_received(struct buf *out, const struct trace *t);
/** trace_list - the fields of a mailing list (RFC 2919, RFC 2369): List-Id, List-Post, List-Owner, and Precedence for programs that
 *  know no others. */
MUST_CHECK bool trace_list(struct buf *out, struct sv list, struct sv owner);
/** trace_junk - X-Postroom-Junk: why policy takes it for junk; octets that are not printable ASCII become '?'. */
MUST_CHECK bool trace_junk(struct buf *out, struct sv why);
/** trace_rejected - X-Postroom-Rejected: why it was refused; likewise. */
MUST_CHECK bool trace_rejected(struct buf *out, struct sv why);
MUST_CHECK bool trace_date(struct buf *out, struct date now);
/** trace_message_id - a new one: the message's id at our name. */
MUST_CHECK bool trace_message_id(struct buf *out, struct sv id, const char *hostname);

#endif
