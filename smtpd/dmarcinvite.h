/* smtpd/dmarcinvite.h - may a domain's reports go to an address of somebody else's? Only when that one says so: without, a
 * record in the DNS could have a victim flooded with reports (RFC 9990 §4). Loop thread. */
#ifndef SMTPD_DMARCINVITE_H
#define SMTPD_DMARCINVITE_H

#include "smtpd/reporter.h"

/**
 * dmarc_invite - @domain: where the record with rua= lies; @uri: "mailto:..." of it; both copied
 * fn is called once, in a later turn: with the place to send to, which may be another address of the same host (§4 step 9), or
 * with nothing: not invited, or the DNS did not answer.
 */
struct report_invitation *dmarc_invite(struct loop *loop, struct dns *dns, struct sv domain, struct sv uri,
				       report_invited_fn *fn, void *arg);
/** dmarc_invite_forget - at any time; fn is not called any more. Sets *invitation to NULL. NULL is fine. */
void dmarc_invite_forget(struct report_invitation **invitation);

#endif
