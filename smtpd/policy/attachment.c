/* Programs that come as attachments: by the endings of their names, since that is what Windows goes by. */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_attachment(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	if (facts->attachment)
		policy_suspect(verdict, REPLY_ATTACHMENT, "Files of this kind are not accepted: %.120s", facts->attachment);
}
