/* How much an account may send to others than our own people, and to whom not: a stolen password is of less use, and the names of
 * our servers stay out of block lists. Who is over a limit tries again later. */
#include <stdio.h>

#include "common/outbook.h"
#include "common/send_factor.h"
#include "smtpd/policy/policy.h"

#include "common/banned.h"

static void over(struct policy_verdict *v, const char *what, uint64_t most, const char *time)
{
	policy_refuse(v, REPLY_SENT_TOO_MUCH);
	snprintf(v->text, sizeof(v->text), "This account may send to %llu %s in %s: try again later", (unsigned long long)most, what,
		 time);
}

void policy_sent(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	const struct conf_smtp *limits = &facts->conf->smtp;
	struct sv account;
	struct outbook_sent sent;
	uint64_t factor;

	if (facts->route->answer != DIRECTORY_NOT_OURS || !facts->identity || !facts->outbook || facts->is_local_admin)
		return;
	account = identity_address(facts->identity);
	factor = send_factor(facts->conf, account);
	sent = outbook_sent(facts->outbook, account, facts->now_s);
	if (sent.minute >= factor * limits->sent_per_minute) {
		policy_refuse(verdict, REPLY_SENT_TOO_MUCH);
		snprintf(verdict->text, sizeof(verdict->text), "This account sends %llu messages a minute at most: try again later",
			 (unsigned long long)factor * limits->sent_per_minute);
	} else if (sent.hour >= factor * limits->sent_per_hour) {
		policy_refuse(verdict, REPLY_SENT_TOO_MUCH);
		snprintf(verdict->text, sizeof(verdict->text), "This account sends %llu messages an hour at most: try again later",
			 (unsigned long long)factor * limits->sent_per_hour);
	} else if (sent.day + facts->remote_count >= factor * limits->sent_rcpts_per_day) {
		over(verdict, "recipients", factor * limits->sent_rcpts_per_day, "a day");
	} else if (sent.fresh >= factor * limits->sent_new_per_day) {
		over(verdict, "new recipients", factor * limits->sent_new_per_day, "a day");
	}
}

/* refused_by - has the recipient said no to this sender? */
static bool refused_by(const struct policy_facts *facts, struct sv recipient, struct buf *sender, struct outbook_refusal *r)
{
	struct sv account = identity_address(facts->identity);

	buf_clear(sender);
	if (buf_append(sender, account) && outbook_is_refused(facts->outbook, account, recipient, r))
		return true;
	buf_clear(sender);
	return !facts->sender.is_null && address_append(sender, &facts->sender, ADDRESS_ASCII_DOMAIN) &&
	       outbook_is_refused(facts->outbook, buf_sv(sender), recipient, r);
}

static void no_more(struct policy_verdict *v, const struct outbook_refusal *r, struct sv sender, struct sv address)
{
	policy_refuse(v, REPLY_SUPPRESSED);
	snprintf(v->text, sizeof(v->text),
		 "The recipient wants no more mail from this sender (%s)\nAn administrator can change that: postroom suppression remove %.*s --sender %.*s",
		 outbook_no_name(r->no), SV_FMT(address), SV_FMT(sender));
}

void policy_suppressed(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	struct outbook_refusal refusal;
	struct buf address, why;

	if (facts->route->answer != DIRECTORY_NOT_OURS || !facts->identity || !facts->outbook)
		return;
	buf_init(&address, DIRECTORY_ADDRESS_MAX + 1);
	buf_init(&why, OUTBOOK_REASON_MAX + 1);
	if (address_append(&address, &facts->recipient, ADDRESS_ASCII_DOMAIN) &&
	    outbook_is_suppressed(facts->outbook, buf_sv(&address), (uint32_t)facts->conf->smtp.suppress_after, facts->now_s, &why)) {
		policy_refuse(verdict, REPLY_SUPPRESSED);
		snprintf(verdict->text, sizeof(verdict->text),
			 "No mail is sent to this address any more: %.*s\nAn administrator can change that: postroom suppression remove %.*s",
			 SV_FMT(buf_sv(&why)), SV_FMT(buf_sv(&address)));
	}
	buf_clear(&why);
	if (!verdict->action && address.len && refused_by(facts, buf_sv(&address), &why, &refusal))
		no_more(verdict, &refusal, buf_sv(&why), buf_sv(&address));
	buf_done(&address);
	buf_done(&why);
}
