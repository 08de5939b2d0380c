#include "smtpd/policy/policy.h"

#include "common/banned.h"

#define ON_SUBMISSION (LISTENER_SUBMISSION | LISTENER_SUBMISSIONS)

struct check {
	const char *name;
	unsigned stages, listeners;
	bool blocks;
	policy_fn *run;
	const char *source;
};

/* clang-format off */
/* In the order in which they are asked: what says most about the fault first. */
static const struct check checks[] = {
	/* name        stages                        listeners        blocks run                 RFC */
	{ "octets",      POLICY_MESSAGE,               LISTENERS_SMTPD, false, policy_octets,      "5321 §2.3.8" },
	{ "size",        POLICY_MAIL | POLICY_MESSAGE, LISTENERS_SMTPD, false, policy_size,        "1870 §6" },
	{ "sender",      POLICY_MAIL,                  ON_SUBMISSION,   true,  policy_sender,      "6409 §6.1" },
	{ "relay",       POLICY_RCPT,                  LISTENERS_SMTPD, false, policy_relay,       "5321 §3.6.2" },
	{ "recipients",  POLICY_RCPT,                  LISTENERS_SMTPD, false, policy_recipients,  "5321 §4.5.3" },
	{ "null-sender", POLICY_RCPT,                  LISTENER_MX,     false, policy_null_sender, "5321 §6.1" },
	{ "header",      POLICY_MESSAGE,               ON_SUBMISSION,   false, policy_header,      "6409 §6.3" },
	{ "loop",        POLICY_MESSAGE,               LISTENERS_SMTPD, false, policy_loop,        "5321 §6.3" },
	{ "author",      POLICY_MESSAGE,               ON_SUBMISSION,   true,  policy_author,      "6409 §6.1" },
};
/* clang-format on */

static bool applies(const struct check *c, enum policy_stage stage,
		    enum conf_listener_kind listener)
{
	return (c->stages & stage) && (c->listeners & listener);
}

bool policy_blocks(enum policy_stage stage, enum conf_listener_kind listener)
{
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		if (checks[i].blocks && applies(&checks[i], stage, listener))
			return true;
	return false;
}

struct policy_verdict policy_run(enum policy_stage stage, const struct policy_facts *facts)
{
	struct policy_verdict verdict = { .action = POLICY_ACCEPT };

	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		struct policy_verdict v = { .action = POLICY_ACCEPT };

		if (!applies(&checks[i], stage, facts->listener))
			continue;
		checks[i].run(facts, &v);
		if (v.action == POLICY_ACCEPT)
			continue;
		v.check = checks[i].name;
		if (v.action > verdict.action)
			verdict = v;
		if (v.action >= POLICY_DEFER)
			break;
	}
	return verdict;
}

void policy_refuse(struct policy_verdict *verdict, enum reply_id reply)
{
	verdict->action = reply_get(reply)->code >= 500 ? POLICY_REJECT : POLICY_DEFER;
	verdict->reply = reply;
}
