/* How many recipients one message may have (RFC 5321 §4.5.3.1.8, §6.1). */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_recipients(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	const struct conf_smtp *limits = &facts->conf->smtp;

	if (facts->rcpt_count >=
	    (facts->identity ? limits->recipients_submission : limits->recipients_mx))
		policy_refuse(verdict, REPLY_TOO_MANY_RCPTS);
}

/* A bounce goes to whoever sent one message: more recipients are a sign of abuse, and the others
 * are asked for again. */
void policy_null_sender(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	if (facts->sender.is_null && facts->rcpt_count)
		policy_refuse(verdict, REPLY_ONE_RCPT);
}
