/* Octets that a message may not have. A bare CR or LF is where another server may see the end of
 * DATA and then a second message (RFC 5321 §2.3.8); submission normalises them before, so there is
 * none left to refuse. A binary message (RFC 3030 §3) is never normalised, and may have them in its binary parts alone. */
#include <stdio.h>

#include "common/lines.h"
#include "smtpd/policy/policy.h"

#include "common/banned.h"

void policy_octets(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	bool is_normalised =
		!facts->is_binary && facts->listener != LISTENER_MX && facts->listener != LISTENER_LMTP &&
		facts->conf->smtp.submission_bare_newline == CONF_BARE_NEWLINE_NORMALISE;

	if (facts->no_lines) {
		policy_refuse(verdict, REPLY_NO_LINES);
		snprintf(verdict->text, sizeof(verdict->text), "%s: %s", reply_get(REPLY_NO_LINES)->text, facts->no_lines);
	} else if ((facts->data_faults & (DATA_BARE_CR | DATA_BARE_LF)) && !is_normalised) {
		policy_refuse(verdict, REPLY_BARE_NEWLINE);
	} else if (facts->data_faults & DATA_NUL) {
		policy_refuse(verdict, REPLY_NUL);
	} else if (facts->longest_line > facts->conf->smtp.data_line) {
		policy_refuse(verdict, REPLY_LONG_LINE);
	}
}
