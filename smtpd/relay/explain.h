/* smtpd/relay/explain.h - what a refusal means, in a plain sentence with what to do, for those that
 * people meet most. Pure, any thread. */
#ifndef SMTPD_RELAY_EXPLAIN_H
#define SMTPD_RELAY_EXPLAIN_H

#include "common/bytes.h"

/** explain_refusal - a literal, or NULL when nothing is to be added to the remote's own words.
 * @status: "5.7.26", may be ""; @text: the answer, as one line */
const char *explain_refusal(struct sv status, struct sv text);

#endif
