/* common/netaddr.h - addresses of peers: text, networks, and the keys by which peers are counted.
 * Plain values; any thread. An IPv4 address mapped into IPv6 (::ffff:192.0.2.1) is the IPv4 address. */
#ifndef COMMON_NETADDR_H
#define COMMON_NETADDR_H

#include "common/bytes.h"
#include "common/fault.h"

struct sockaddr;

enum net_family { NET_NONE, NET_UNIX, NET_IPV4, NET_IPV6 };

struct netaddr {
	enum net_family family;
	uint16_t port;
	uint8_t ip[16];         /* 4 octets for NET_IPV4, 0 for NET_UNIX */
};

#define NETADDR_TEXT_MAX 64     /* "[ipv6]:port" and its NUL fit */

/** netaddr_from - from the kernel's form; an unknown family gives NET_NONE. */
struct netaddr netaddr_from(const struct sockaddr *sa, size_t len);
/** netaddr_parse - an IPv4 or IPv6 address without port ("192.0.2.1", "2001:db8::1", also in brackets). */
bool netaddr_parse(struct sv text, struct netaddr *out);
/** netaddr_text - "192.0.2.1", "2001:db8::1", "unix" or "unknown" with a NUL; returns the view without it. */
struct sv netaddr_text(const struct netaddr *a, char out[NETADDR_TEXT_MAX]);
/** netaddr_text_port - "192.0.2.1:25", "[2001:db8::1]:25". */
struct sv netaddr_text_port(const struct netaddr *a, char out[NETADDR_TEXT_MAX]);
/** netaddr_is_loopback - 127.0.0.0/8, ::1 and unix sockets. */
bool netaddr_is_loopback(const struct netaddr *a);
bool netaddr_eq_ip(const struct netaddr *a, const struct netaddr *b);
/** netaddr_key - the address cut to v4_bits or v6_bits, hashed: equal for all peers in one network of that size. */
uint64_t netaddr_key(const struct netaddr *a, unsigned v4_bits, unsigned v6_bits);

/* A network: "192.0.2.0/24", "2001:db8::/32"; an address alone is a network of one. */
struct network {
	struct netaddr base;
	unsigned bits;
};

/** network_parse - bits below the prefix must be zero, else it is probably a typing error: false. */
bool network_parse(struct sv text, struct network *out);
bool network_contains(const struct network *n, const struct netaddr *a);
/** networks_contain - is a in any of the count networks? Unix sockets count as loopback (127.0.0.1 or ::1). */
bool networks_contain(const struct network *n, size_t count, const struct netaddr *a);

#endif
