/* common/dnsupdate.h - updates of a zone (RFC 2136), signed by a key that its primary server knows (TSIG, RFC 8945): what `dns --publish`
 * and the proofs for certificate authorities have in common. Blocks; any thread. */
#ifndef COMMON_DNSUPDATE_H
#define COMMON_DNSUPDATE_H

#include "common/dnsclient.h"

#define DNSUPDATE_KEY "dns.key"         /* in ROOT/keys */
#define DNSUPDATE_KEY_HINT \
	"make one at the name server (Knot: keymgr -t postroom hmac-sha256; BIND: tsig-keygen postroom), allow it to update the zone, and " \
	"put what it printed into that file"

/** dnsupdate_read_key - dnsmessage_key_done() ends it. FAULT_NOT_FOUND: no such file; FAULT_INVALID: no hmac-sha256 key in it. */
MUST_CHECK struct fault dnsupdate_read_key(const char *path, struct dnsmessage_key *out);
/** dnsupdate_find_zone - the zone that holds a name and its primary server's name, as this server says: the SOA record in what it
 *  answers. False: it does not. */
bool dnsupdate_find_zone(const struct netaddr *server, const char *name, char zone[DNS_NAME_MAX + 1], char primary[DNS_NAME_MAX + 1]);
/** dnsupdate_begin - *message becomes an update of the zone without any change; dnsmessage_add() adds them. */
bool dnsupdate_begin(struct buf *message, const char *zone);

struct dnsupdate_answer {
	unsigned rcode;                 /* enum dnsmessage_rcode */
	const char *doubt;              /* it was not signed by the key: "BADKEY", "BADTIME"; NULL: it was */
};
/** dnsupdate_send - sign it, send it, and read what the server says. Errors: FAULT_LIMIT (too long), FAULT_UNAVAILABLE (no answer). */
MUST_CHECK struct fault dnsupdate_send(const struct netaddr *primary, const struct dnsmessage_key *key, struct buf *message,
				       struct dnsupdate_answer *out);

#endif
