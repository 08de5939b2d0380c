/* common/session_facts.h - what a daemon tells of one of its sessions over the control socket (verb `sessions`): the same
 * members for every protocol, so that one listing shows them all. Loop thread only. */
#ifndef COMMON_SESSION_FACTS_H
#define COMMON_SESSION_FACTS_H

#include "common/identity.h"
#include "common/json.h"
#include "common/log.h"
#include "common/stream.h"

struct session_facts {
	const char *protocol;                   /* "imap", "managesieve", "pop3", or the listener of smtpd */
	const struct log_ctx *log;              /* its id, by which it can be named, and the peer */
	const struct auth_identity *identity;   /* NULL: nobody has logged in */
	const struct stream *stream;
	uint64_t began_ms;                      /* by the loop's clock */
	struct sv client;                       /* what the program says of itself: ID, EHLO; or empty */
	struct sv mailbox;                      /* selected, or empty */
};

/** session_facts_put - the members of one line; more may follow. Without an identity `account` and `device` are empty. */
void session_facts_put(struct json_out *j, const struct session_facts *facts);

#endif
