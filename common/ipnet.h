/* common/ipnet.h - lists of IP networks: "127.0.0.0/8", "2001:db8::/32", "192.0.2.7", "loopback".
 * IPv4 is kept as its IPv4-mapped IPv6 form (RFC 4291 §2.5.5.2), so a peer matches however its
 * socket names it. Plain values, any thread. */
#ifndef COMMON_IPNET_H
#define COMMON_IPNET_H

#include <sys/socket.h>

#include "common/bytes.h"

struct ipnet {
	uint8_t addr[16];       /* bits behind the prefix are 0 */
	uint8_t bits;           /* 0 to 128; an IPv4 prefix counts 96 more */
};

struct ipnets {
	struct ipnet *items;
	size_t count;
};

/** ipnet_parse - address with or without /prefix; false when it is neither, or has bits set behind
 * the prefix. */
bool ipnet_parse(struct sv text, struct ipnet *out);
#define IPNET_TEXT_MAX 64       /* the text form and its NUL fit */

/** ipnet_format - the text form: without /prefix for a single address. */
void ipnet_format(const struct ipnet *net, char out[static IPNET_TEXT_MAX]);
/** ipnet_has - does the network hold this address? */
bool ipnet_has(const struct ipnet *net, const uint8_t addr[static 16]);
/** ipnet_mask - keep the first bits of addr, zero the rest: the key for per-network counts. bits
 * counts within the address's own family: v4_bits for an IPv4-mapped address, v6_bits for the
 * others. */
void ipnet_mask(uint8_t addr[static 16], unsigned v4_bits, unsigned v6_bits);

#endif
