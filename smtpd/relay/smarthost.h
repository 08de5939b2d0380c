/* smtpd/relay/smarthost.h - servers through which mail goes out, and the passwords for them. */
#ifndef SMTPD_RELAY_SMARTHOST_H
#define SMTPD_RELAY_SMARTHOST_H

#include "common/conf.h"

struct smarthosts;

/** smarthosts_load - the passwords: lines HOST USER PASSWORD. A missing file is fine. Errors:
 * FAULT_DENIED (others may read it), FAULT_INVALID, FAULT_INTERNAL. Blocks. */
MUST_CHECK struct fault smarthosts_load(const char *path, struct smarthosts **out);
void smarthosts_free(struct smarthosts **s);
/** smarthosts_login - for HOST; false: there is none. */
bool smarthosts_login(const struct smarthosts *s, struct sv host, const char **user,
		      const char **password);
/** smarthost_for - which one takes a message: domains in A-labels, lower case. False: none does.
 * Appends ">host:port", or ">lmtp:host:port" for a program that speaks LMTP (RFC 2033). */
bool smarthost_for(const struct conf *conf, struct sv from, struct sv to, struct buf *out);
/** smarthost_address - "host:port" of that. */
struct sv smarthost_address(struct sv destination, bool *is_lmtp);
/** smarthost_check - are all words of the option SELECTOR=HOST:PORT? Names the first that is not. */
const char *smarthost_check(const struct conf *conf);

#endif
