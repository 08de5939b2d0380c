/* smtpd/relay/route.h - where mail for a destination goes, looked up anew at each attempt (RFC 5321
 * §5): MX hosts in the order of their preference, equal ones in a random order, or the domain's own
 * address; an address literal; a smarthost. Of each host IPv6 comes first, where our own IPv6 address has a reverse name or
 * the destination has nothing else. Loop thread only.
 *
 * A destination is the key under which the queue sends together:
 *   "example.net"           recipients of that domain
 *   "[192.0.2.1]"           an address literal
 *   ">smtp.example:587"     a smarthost (smtpd/relay/smarthost.h); ">lmtp:[127.0.0.1]:8024": one that speaks LMTP
 *   "="                     our own people: local delivery */
#ifndef SMTPD_RELAY_ROUTE_H
#define SMTPD_RELAY_ROUTE_H

#include "common/conf.h"
#include "common/dns.h"
#include "common/netaddr.h"

#define ROUTE_MX_MAX 5          /* hosts that are tried */
#define ROUTE_HOPS_MAX 10       /* addresses in all */

enum route_kind {
	ROUTE_HOPS = 1,         /* here is where to go */
	ROUTE_DEFER,            /* nothing is known now */
	ROUTE_FAIL,             /* no mail can go there */
};

struct route_hop {
	struct netaddr at;
	char host[256];
	bool is_secure;         /* DNSSEC proved the way to this name and address */
};

struct route {
	enum route_kind kind;
	struct route_hop hops[ROUTE_HOPS_MAX];
	size_t count;
	const char *status;     /* not ROUTE_HOPS: "4.4.3" */
	char text[300];         /* likewise, a sentence */
};

struct route_query;
/** Called once, in a later turn; the route is borrowed for the call. */
typedef void route_fn(void *arg, const struct route *route);

/**
 * route_find - look a destination up.
 * @port: of the hops (25); a smarthost has its own
 * @out:  for route_forget(); may be NULL
 */
void route_find(struct loop *loop, struct dns *dns, const struct conf *conf, struct sv destination,
		route_fn *fn, void *arg, struct route_query **out);
/** route_forget - do not call. Sets *query to NULL. NULL is fine. */
void route_forget(struct route_query **query);

/** route_is_ourselves - a loopback address at the port of an mx listener of ours: a DNS that leads
 * mail back to us. (Through other addresses the greeting shows it: smtpd/relay/client.h.) */
bool route_is_ourselves(const struct conf *conf, const struct netaddr *at);

#endif
