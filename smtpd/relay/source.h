/* smtpd/relay/source.h - the address of ours that a connection to somebody would come from. Loop thread. */
#ifndef SMTPD_RELAY_SOURCE_H
#define SMTPD_RELAY_SOURCE_H

#include "common/netaddr.h"

/** source_of - without sending anything. False: there is no way to it. Replaced by tests. */
extern bool (*source_of)(const struct netaddr *to, struct netaddr *out);

/** source_needs_name - is it one that the world sees, so that servers look for its reverse name? Not loopback, link-local or unique local ones
 *  (RFC 4291 §2.5, RFC 4193 §3). */
bool source_needs_name(const struct netaddr *at);

#endif
