/* imapd/training_send.h - one message to rspamd's controller: POST /learnspam or /learnham (HTTP/1.0, RFC 9112). Blocks, with a deadline:
 * jobs only. */
#ifndef IMAPD_TRAINING_SEND_H
#define IMAPD_TRAINING_SEND_H

#include "common/fault.h"
#include "common/http_answer.h"
#include "common/netaddr.h"

#define TRAINING_ANSWER_MAX 2048        /* octets of an answer that are looked at */

struct training_answer {
	uint32_t status;                /* 200 */
	char text[160];                 /* what it says, printable; for the log */
};

/**
 * training_post - @fd: the message begins at `from` and ends with the file.
 * @account: whose it is; what is not printable ASCII is left out
 * Errors: FAULT_UNAVAILABLE (no connection, no answer in time, or none that is HTTP), FAULT_INTERNAL (the file).
 */
MUST_CHECK struct fault training_post(const struct netaddr *place, bool is_spam, struct sv account, int fd, uint64_t from,
				      struct training_answer *out);
/** training_take - what an answer says, as far as it came. The status alone decides what becomes of a lesson, so once its line is whole
 *  nothing behind it can undo it: a body that is cut off, too long or framed as none may be is a remark less in the log, while
 *  to send the lesson again would teach it twice. False: not even that. Pure. */
bool training_take(const struct http_answer *a, struct training_answer *out);

#endif
