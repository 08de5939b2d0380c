/* common/expiry.h - one word of the option `expire`: after which time messages of which mailboxes are removed.
 *
 *   trash=30d  junk=2w  Lists/News=90d  "Build logs*=12h"
 *
 * `trash` and `junk` mean the mailbox with that special use (RFC 6154 §2), whatever its name; anything else is a mailbox name, and
 * a `*` at its end covers what begins so. Pure; any thread. */
#ifndef COMMON_EXPIRY_H
#define COMMON_EXPIRY_H

#include "common/bytes.h"

#define EXPIRY_RULES_MAX 64
#define EXPIRY_AGE_MIN_S 3600
#define EXPIRY_AGE_MAX_S ((int64_t)100 * 366 * 86400)

enum expiry_what { EXPIRY_NAME = 0, EXPIRY_PREFIX, EXPIRY_TRASH, EXPIRY_JUNK };

struct expiry_rule {
	enum expiry_what what;
	struct sv name;                 /* of EXPIRY_NAME and EXPIRY_PREFIX; borrowed from the word */
	int64_t age_s;                  /* since the message came into the mailbox */
};

/** expiry_parse - false: no rule. */
bool expiry_parse(struct sv word, struct expiry_rule *out);

#endif
