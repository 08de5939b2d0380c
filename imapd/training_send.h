/* imapd/training_send.h - one message to rspamd's controller: POST /learnspam or /learnham (HTTP/1.1, RFC 9112). Blocks, with a deadline:
 * jobs only. */
#ifndef IMAPD_TRAINING_SEND_H
#define IMAPD_TRAINING_SEND_H

#include "common/fault.h"
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
/** training_parse_answer - an answer as far as it came. False: it is no HTTP answer. Pure. */
bool training_parse_answer(struct sv octets, struct training_answer *out);

#endif
