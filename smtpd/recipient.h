/* smtpd/recipient.h - one recipient: where it leads, whether policy takes it, and whether its
 * mailboxes have room. Blocks: jobs only. */
#ifndef SMTPD_RECIPIENT_H
#define SMTPD_RECIPIENT_H

#include "smtpd/accept.h"
#include "smtpd/policy/policy.h"
#include "smtpd/queue.h"

/**
 * recipient_add - add a recipient to the plan, or say why not.
 * @facts: of the RCPT stage; recipient is taken from path, route is filled here
 * @arena: for the route; may be cleared afterwards
 * The verdict is POLICY_ACCEPT when the plan has it.
 */
struct policy_verdict recipient_add(struct policy_facts *facts, const struct smtp_path *path,
				    struct accept_plan *plan, struct store *store,
				    struct queue *queue, struct arena *arena);

#endif
