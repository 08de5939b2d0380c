/* smtpd/explain.h - the control verb `explain`: the whole way of a message through the checks, dry.
 * Nothing is delivered, counted or remembered; the DNS and the directory are asked for real. Loop
 * thread; the directory is read in a job. */
#ifndef SMTPD_EXPLAIN_H
#define SMTPD_EXPLAIN_H

#include "common/control.h"

#define EXPLAIN_MESSAGE_MAX (40u << 10) /* octets of a message that a request can carry */

/** explain_run - a control_verb's run; arg is the struct worker. Members of the request: from, to,
 * ip, helo, and message in base64. Lines of the answer: {"fact":NAME,"text":T}, then
 * {"stage":S,"check":C,"option":O,"action":A,"finding":T} for each row in order (finding null:
 * nothing found; "skipped": why it was not asked), at the end {"reply":T,"place":T}. */
void explain_run(void *arg, const struct json *request, struct control_reply *reply);

#endif
