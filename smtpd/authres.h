/* smtpd/authres.h - Authentication-Results (RFC 8601): what was found out, for mail programs and
 * filters. Words of strangers in it cannot break out of their place. Pure. */
#ifndef SMTPD_AUTHRES_H
#define SMTPD_AUTHRES_H

#include "smtpd/author.h"
#include "smtpd/origin.h"

#define AUTHRES_MAX 8192 /* octets of the field */

struct authres {
	const char *hostname; /* ours: the authserv-id */
	struct netaddr peer;
	struct sv sender, helo; /* MAIL as text, and HELO; untrusted */
	const struct origin_facts *origin;
	const struct author_facts *author;
};
/** authres_write - append the field with its line end; false: out's max, nothing is appended. */
MUST_CHECK bool authres_write(struct buf *out, const struct authres *a);

/** authres_has - do results (what stands behind the authserv-id) say method=result? What stands in
 * quotes, in comments or in a property says nothing, whoever chose its words. */
bool authres_has(struct sv results, struct sv method, struct sv result);

#endif
