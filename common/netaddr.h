/* common/netaddr.h - the address of a peer or of a listener, as a small plain value. IPv4 is kept
 * in its IPv4-mapped IPv6 form (RFC 4291 §2.5.5.2), as common/ipnet.h has it, so a peer is the same
 * however its socket names it. Any thread. */
#ifndef COMMON_NETADDR_H
#define COMMON_NETADDR_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/bytes.h"
#include "common/ipnet.h"

enum net_family { NET_NONE = 0, NET_UNIX, NET_IPV4, NET_IPV6 };

struct netaddr {
	enum net_family family;
	uint16_t port;          /* host order */
	uint8_t ip[16];         /* zero for NET_NONE and NET_UNIX */
};

#define NETADDR_TEXT_MAX 64     /* the longest text and its NUL */

/** netaddr_from - from the kernel's form; a family we do not speak gives NET_NONE. */
struct netaddr netaddr_from(const struct sockaddr *sa, size_t len);
/* The kernel's form. */
union netaddr_name {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
};
/** netaddr_to - into the kernel's form, for connect(2) and bind(2). Returns its length; 0 for NET_NONE and NET_UNIX. */
socklen_t netaddr_to(const struct netaddr *a, union netaddr_name *out);
/** netaddr_parse - an address without port: "192.0.2.1", "2001:db8::1", "[2001:db8::1]". */
bool netaddr_parse(struct sv text, struct netaddr *out);
/** netaddr_parse_port - an address and a port from 1: "192.0.2.1:25", "[2001:db8::1]:25". */
bool netaddr_parse_port(struct sv text, struct netaddr *out);
/** netaddr_text - "192.0.2.1", "2001:db8::1", "unix" or "unknown", with a NUL behind the view. */
struct sv netaddr_text(const struct netaddr *a, char out[NETADDR_TEXT_MAX]);
/** netaddr_text_port - "192.0.2.1:25", "[2001:db8::1]:25". */
struct sv netaddr_text_port(const struct netaddr *a, char out[NETADDR_TEXT_MAX]);
/** netaddr_is_loopback - 127.0.0.0/8, ::1 and unix sockets. */
bool netaddr_is_loopback(const struct netaddr *a);
/** netaddr_eq_ip - the same address, whatever port. */
bool netaddr_eq_ip(const struct netaddr *a, const struct netaddr *b);
/** netaddr_in - does a network of the list hold a? A unix socket counts as ::1; NET_NONE is in
 *  none. */
bool netaddr_in(const struct netaddr *a, const struct ipnets *list);
/** netaddr_cut - a without port and with only its first v4_bits (IPv4) or v6_bits: equal for all
 *  peers of a network of that size, so it serves as the key under which they are counted. */
struct netaddr netaddr_cut(const struct netaddr *a, unsigned v4_bits, unsigned v6_bits);

#endif
