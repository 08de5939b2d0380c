/* smtpd/verbs.h - what the command line may ask a running smtpd (common/control.h).
 *
 *   sessions                     every worker: a line per connection
 *
 * The queue's verbs are the relay's (smtpd/relay/relay_verbs.c).
 */
#ifndef SMTPD_VERBS_H
#define SMTPD_VERBS_H

#include "common/control.h"

extern const struct control_verb smtpd_verbs[];

#endif
