/* admin/lmtp.h - a message handed to the running smtpd by LMTP (RFC 2033) over run/lmtp.sock. Blocks. */
#ifndef ADMIN_LMTP_H
#define ADMIN_LMTP_H

#include "common/fault.h"
#include "common/instance.h"

/**
 * lmtp_hand_over - one message to one account.
 * @message: CRLF lines; read from its beginning
 * Errors: FAULT_UNAVAILABLE (nothing runs, or smtpd cannot take it now: try again), FAULT_DENIED (it is refused for good).
 */
MUST_CHECK struct fault lmtp_hand_over(const struct instance *instance, struct sv sender, struct sv account, int message);

#endif
