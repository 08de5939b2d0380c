/* common/ldapauth.h - is this the password? Asked of an organisation's directory by LDAP (RFC 4511; simple bind, RFC 4513 §5.1): the
 * keeper of libldap, which is loaded only where a directory is configured.
 *
 * Always confidential: ldaps, ldap with StartTLS (RFC 4513 §3; no answer is believed before it), or ldapi, a socket of this host.
 * Each question is a connection of its own, bounded in time, and says right, wrong, or that nobody knows: a directory that is away,
 * slow, or answers oddly never makes a password wrong. After it was away or slow nobody is asked for LDAPAUTH_PAUSE_MS, so that logins
 * do not queue up behind a directory that is dead. */
#ifndef COMMON_LDAPAUTH_H
#define COMMON_LDAPAUTH_H

#include "common/bytes.h"
#include "common/conf.h"
#include "common/fault.h"

#define LDAPAUTH_PAUSE_MS 1000
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
/** ldapauth_ports - add the TCP port to which workers connect, when a directory is configured. A unix socket needs none, but the
 *  right to make sockets, so it adds that port, too. Returns the new count. */
size_t ldapauth_ports(const struct conf_auth *conf, uint16_t ports[], size_t count);

/** ldapauth_expand - append a template with %u (the address), %n (what stands before its last @), %d (what follows) and %%, quoted
 *  so that they are good in DNs and filters (RFC 4514 §2.4, RFC 4515 §3), and no name changes what is asked. False: no such template, or out's max. */
MUST_CHECK bool ldapauth_expand(const char *template, struct sv address, struct buf *out);

/* ---- asking: blocks; any thread ---- */

struct ldapauth;

/** ldapauth_open - before the sandbox closes: loads libldap and the authorities of its TLS, and looks up the host's addresses once.
 *  FAULT_NOT_FOUND: no directory is configured, or for no domain. Else *out is made whatever happens: what failed is logged, and nothing is known. */
MUST_CHECK struct fault ldapauth_open(const struct conf_auth *conf, struct ldapauth **out);
/** ldapauth_close - NULL is fine. */
void ldapauth_close(struct ldapauth **ldap);
/** ldapauth_covers - does the directory have the password of this address, by `ldap-domains`? */
bool ldapauth_covers(const struct ldapauth *ldap, struct sv address);

enum ldapauth_answer { LDAPAUTH_RIGHT = 1, LDAPAUTH_WRONG, LDAPAUTH_UNKNOWN };
/** ldapauth_check - @address: canonical. An empty password is wrong, since for LDAP it is none (RFC 4513 §5.1.2). */
enum ldapauth_answer ldapauth_check(struct ldapauth *ldap, struct sv address, struct sv password);

#endif
