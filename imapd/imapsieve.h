/* imapd/imapsieve.h - scripts that run when a client stores, copies or marks messages (RFC 6785): off unless the annotation
 * /shared/imapsieve/script of the mailbox names one. A handler notes what it did; the scripts run behind it, a few messages per
 * step, before the client is told of changes and answered. Jobs only, as commands. */
#ifndef IMAPD_IMAPSIEVE_H
#define IMAPD_IMAPSIEVE_H

#include "imapd/command.h"
#include "maildir/filter.h"

/** imapsieve_note - these messages of a mailbox were stored, copied there, or marked. @changed: of FILTER_FLAG: what flags; else NULL. */
void imapsieve_note(struct command *c, struct sv mailbox, enum filter_cause cause, const struct uidset *uids,
		    const struct flag_change *changed);
/** imapsieve_step - STEP_DONE when all of them were seen to. */
enum step imapsieve_step(struct command *c);
void imapsieve_done(struct command *c);

#endif
