/* smtpd/verbs.h - what the command line may ask a running smtpd (common/control.h).
 *
 *   sessions                                  every worker: a line per connection
 *   queue-list   {"after":ID, "limit":N}      a line per message, then {"total":N}
 *   queue-show   {"id":ID}                    one line with everything but the body
 *   queue-remove {"id":ID}                    {"removed":ID}
 *
 * The queue belongs to all workers: worker 0 answers for it, the others say nothing. */
#ifndef SMTPD_VERBS_H
#define SMTPD_VERBS_H

#include "common/control.h"

extern const struct control_verb smtpd_verbs[];

#endif
