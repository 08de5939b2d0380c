/* common/ldapauth.h - is this the password? Asked of an organisation's directory by LDAP (RFC 4511; simple bind, RFC 4513 §5.1): the
 * keeper of libldap, which is loaded only where a directory is configured.
 *
 * Always confidential: ldaps, ldap with StartTLS (RFC 4513 §3; no answer is believed before it), or ldapi, a socket of this host.
 * Each question is a connection of its own, bounded in time; what its answers mean stands in common/elsewhere.h. */
#ifndef COMMON_LDAPAUTH_H
#define COMMON_LDAPAUTH_H

#include "common/bytes.h"
#include "common/conf.h"
#include "common/elsewhere.h"

#define LDAPAUTH_TEXT_MAX 2048          /* octets of a DN or a filter */

/* ---- where it is: pure ---- */

enum ldapauth_scheme { LDAPAUTH_LDAPS = 1, LDAPAUTH_STARTTLS, LDAPAUTH_UNIX };

struct ldapauth_place {
	enum ldapauth_scheme scheme;
	char host[256];                 /* a name or an address; LDAPAUTH_UNIX: the socket's path */
	uint16_t port;
};
/** ldapauth_parse - "ldaps://host:port", "ldap://[::1]", "ldapi://%2Frun%2Fslapd%2Fldapi"; no path, no query. False: it is none. */
MUST_CHECK bool ldapauth_parse(struct sv url, struct ldapauth_place *out);

/** ldapauth_expand - append a template with %u (the address), %n (what stands before its last @), %d (what follows) and %%, quoted
 *  so that they are good in DNs and filters (RFC 4514 §2.4, RFC 4515 §3), and no name changes what is asked. False: no such template, or out's max. */
MUST_CHECK bool ldapauth_expand(const char *template, struct sv address, struct buf *out);

/* ---- asking: blocks; any thread ---- */

struct ldapauth;

/** ldapauth_open - before the sandbox closes: loads libldap and the authorities of its TLS, and looks up the host's addresses once.
 *  What fails is logged, and nothing is known then. */
struct ldapauth *ldapauth_open(const struct conf_auth *conf);
/** ldapauth_close - NULL is fine. */
void ldapauth_close(struct ldapauth **ldap);
/** ldapauth_check - @address: canonical. An empty password is wrong, since for LDAP it is none (RFC 4513 §5.1.2). */
enum elsewhere_answer ldapauth_check(struct ldapauth *ldap, struct sv address, struct sv password);

#endif
