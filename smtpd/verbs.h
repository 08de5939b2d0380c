/* smtpd/verbs.h - what the command line may ask a running smtpd (common/control.h).
 *
 *   sessions                     every worker: a line per connection
 *   queue.list   {"after":ID}    a line per message: id, since, size, from, to (the first ones),
 * recipients, user, state queue.show   {"id":ID}       a line with all of the envelope, then lines
 * {"line":TEXT} for people, the header last queue.remove {"id":ID}
 *
 * The queue belongs to all workers, so the master asks one of them. */
#ifndef SMTPD_VERBS_H
#define SMTPD_VERBS_H

#include "common/control.h"

extern const struct control_verb smtpd_verbs[];

#endif
