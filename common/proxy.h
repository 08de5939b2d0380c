/* common/proxy.h - the PROXY protocol, versions 1 and 2: a load balancer in front says, before the
 * first octet of a connection, whose connection it is. Only from hosts that the administrator
 * names: anybody else could claim any address.
 * (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt) */
#ifndef COMMON_PROXY_H
#define COMMON_PROXY_H

#include "common/lines.h"
#include "common/loop.h"
#include "common/netaddr.h"

#define PROXY_MAX 2048 /* octets of a header, with what it says beside the addresses */

/**
 * proxy_parse - the header at the beginning of in. Pure, total on any octets.
 * @len:  octets of the header, when FEED_DONE
 * @peer: whose connection it is; NET_NONE: the proxy's own (LOCAL, UNKNOWN)
 * FEED_BAD: this is no header, or one that is too long or of addresses that we do not speak.
 */
enum feed proxy_parse(struct sv in, size_t *len, struct netaddr *peer);

/** Called once, in a later turn. peer: as above, what comes next on fd is the client's; or NULL,
 * and why not. fd is the callee's. */
typedef void proxy_fn(void *arg, int fd, const struct netaddr *peer, const char *why);
/** proxy_expect - read the header of a connection, and not one octet more. Loop thread. When the
 * loop ends first, fd is closed. */
void proxy_expect(struct loop *loop, int fd, uint32_t timeout_ms, proxy_fn *fn, void *arg);

#endif
