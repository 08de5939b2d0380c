/* common/dnsclient.h - one question or update to one certain name server, and its answer. Blocks, any thread: for the command line and for
 * jobs. Who only wants to know what the DNS says asks common/dns.h. */
#ifndef COMMON_DNSCLIENT_H
#define COMMON_DNSCLIENT_H

#include "common/dnsmessage.h"
#include "common/fault.h"
#include "common/netaddr.h"

#define DNSCLIENT_PORT 53
#define DNSCLIENT_TIMEOUT_MS 3000       /* for the answer to a question; a datagram is sent twice in that time */
#define DNSCLIENT_UPDATE_MS 12000       /* to an update, which is written to a disk first, or passed on to the primary (RFC 2136 §6) */

/** dnsclient_parse_server - "192.0.2.1", "2001:db8::1", "127.0.0.1@5353". */
bool dnsclient_parse_server(const char *text, struct netaddr *out);
/**
 * dnsclient_exchange - send a message, read the answer to it: by UDP, over TCP what is large or comes back truncated.
 * @reply: emptied, then the whole answer; its max should be DNSMESSAGE_MAX
 * Errors: FAULT_UNAVAILABLE (nobody answers, or nonsense), FAULT_INTERNAL. */
MUST_CHECK struct fault dnsclient_exchange(const struct netaddr *server, struct sv message, struct buf *reply);

#endif
