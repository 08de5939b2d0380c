/* admin/lookup.h - what the DNS says, for verbs of the command line: they wait for it. Answers are kept, so what several
 * checks want to know is asked once, and what is wanted soon can be asked all at once. One thread. */
#ifndef ADMIN_LOOKUP_H
#define ADMIN_LOOKUP_H

#include "common/dns.h"
#include "common/netaddr.h"

#define LOOKUP_RECORDS_MAX 64
#define LOOKUP_SERVERS_MAX 8

struct lookup_answer {
	enum dns_status status;
	bool is_secure, is_bogus;       /* from a name server that was named (lookup_at) nothing is proven */
	char why[200];                  /* of a TEMPFAIL */
	char name[DNS_NAME_MAX + 1];    /* where CNAMEs ended */
	struct sv records[LOOKUP_RECORDS_MAX];
	size_t count;
};

struct lookup;

/** lookup_new - by the resolver that the configuration describes. */
MUST_CHECK struct fault lookup_new(const struct conf_dns *conf, struct lookup **out);
void lookup_free(struct lookup **lookup);
/** lookup_at - ask these name servers from now on, and not the resolver; count 0: the resolver again. What was answered before
 *  is forgotten. An answer in which they differ says so in why, with the status of the worse one. */
void lookup_at(struct lookup *lookup, const struct netaddr *servers, size_t count);
/** lookup_want - begin to ask; lookup_ask() will have the answer sooner. */
void lookup_want(struct lookup *lookup, const char *name, enum dns_type type);
/** lookup_ask - wait for the answer; it lives as long as the lookup, or until lookup_at(). */
const struct lookup_answer *lookup_ask(struct lookup *lookup, const char *name, enum dns_type type);
/** lookup_authorities - the addresses of the name servers of the zone that holds a name, from the resolver. zone: its name.
 *  Returns how many; 0: they cannot be found. */
size_t lookup_authorities(struct lookup *lookup, const char *name, struct netaddr servers[LOOKUP_SERVERS_MAX],
			  char zone[DNS_NAME_MAX + 1]);

/** lookup_addresses - IPv6 and IPv4 addresses of a name. Returns how many. *failed: one of the answers was a TEMPFAIL; may be
 *  NULL. */
size_t lookup_addresses(struct lookup *lookup, const char *name, struct netaddr *out, size_t max, bool *failed);

#endif
