/* smtpd/relay/relay.h - the helper of smtpd that alone empties the queue: it sends mail to other
 * servers, and brings notices to our own people through smtpd's LMTP socket. It sees no mailbox. */
#ifndef SMTPD_RELAY_RELAY_H
#define SMTPD_RELAY_RELAY_H

#include "common/master.h"

extern const struct daemon_spec relay_spec;

#endif
