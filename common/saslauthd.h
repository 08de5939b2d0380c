/* common/saslauthd.h - is this the password? Asked of Cyrus SASL's saslauthd over its unix socket: PAM (`saslauthd -a pam`), shadow, Kerberos,
 * an IMAP server and what else it knows, without any of their code in our processes.
 *
 * The protocol has no document but saslauthd's manual and its use since Cyrus SASL 2: four texts go there, user, password, service and realm, each
 * behind its length in two octets, highest first; one comes back in the same form, "OK" or "NO", perhaps with words behind a space. A
 * connection is one question. The user is what stands before the address's @, the realm its domain; `saslauthd -r` joins them again. */
#ifndef COMMON_SASLAUTHD_H
#define COMMON_SASLAUTHD_H

#include "common/bytes.h"
#include "common/conf.h"
#include "common/elsewhere.h"

#define SASLAUTHD_REQUEST_MAX 4096      /* octets of the four texts and their lengths */
#define SASLAUTHD_REPLY_MAX 1024        /* octets of a reply that are looked at; a longer one is none */

/* ---- the protocol: pure ---- */

/** saslauthd_write_request - append it. False: a text holds a NUL, at which whoever is behind the socket would cut it, or it is too long. */
MUST_CHECK bool saslauthd_write_request(struct sv address, struct sv password, struct sv service, struct buf *out);
/** saslauthd_read_reply - what a whole connection's octets say. "NO" with words for a failure of saslauthd's own is not known: it says
 *  nothing about the password. */
enum elsewhere_answer saslauthd_read_reply(struct sv octets);

/* ---- asking: blocks; any thread ---- */

struct saslauthd;

/** saslauthd_open - nothing is connected yet. */
struct saslauthd *saslauthd_open(const struct conf_auth *conf);
/** saslauthd_close - NULL is fine. */
void saslauthd_close(struct saslauthd **s);
/** saslauthd_check - within `saslauthd-timeout`. @address: canonical. */
enum elsewhere_answer saslauthd_check(struct saslauthd *s, struct sv address, struct sv password);

#endif
