#include <stdio.h>

#include "smtpd/policy/policy.h"

#include "common/banned.h"

#define ON_SUBMISSION (LISTENER_SUBMISSION | LISTENER_SUBMISSIONS | LISTENER_LOCAL | LISTENER_LEGACY)
#define WITH_FILTERS (LISTENER_MX | ON_SUBMISSION)

enum check_flag {
	BLOCKS = 1 << 0,    /* reads the directory: the stage runs in a job */
	STRANGERS = 1 << 1, /* asked of strangers only */
	CONTENT = 1 << 2,   /* about what the message says */
};

struct check {
	const char *name;
	unsigned stages, listeners, flags;
	policy_fn *run;
	const char *option; /* of postroom.conf; NULL: it always holds */
	size_t action;      /* its offset in struct conf_policy */
	const char *source;
};

#define ALWAYS NULL, 0
#define SET_BY(name, member) name, offsetof(struct conf_policy, member)

/* clang-format off */
/* In the order in which they are asked: what says most about the fault first. */
static const struct check checks[] = {
	/* name        stages                        listeners        flags      run                   its action                                           RFC */
	{ "octets",        POLICY_MESSAGE,               LISTENERS_SMTPD, 0,         policy_octets,        ALWAYS,                                              "5321 §2.3.8" },
	{ "size",          POLICY_MAIL | POLICY_MESSAGE, LISTENERS_SMTPD, 0,         policy_size,          ALWAYS,                                              "1870 §6" },
	{ "rate",          POLICY_MAIL | POLICY_RCPT,    LISTENER_MX,     STRANGERS, policy_rate,          SET_BY("check-rate", rate),                          "" },
	{ "device-rate",   POLICY_MAIL,                  LISTENER_LEGACY, 0,         policy_device_rate,   ALWAYS,                                              "" },
	{ "helo",          POLICY_MAIL,                  LISTENER_MX,     STRANGERS, policy_helo,          SET_BY("check-helo", helo),                          "5321 §4.1.4" },
	{ "dns-list",      POLICY_MAIL,                  LISTENER_MX,     STRANGERS, policy_dns_list,      SET_BY("check-dns-list", dns_list),                  "5782" },
	{ "reverse-dns",   POLICY_MAIL,                  LISTENER_MX,     STRANGERS, policy_reverse_dns,   SET_BY("check-reverse-dns", reverse_dns),            "8601 §3" },
	{ "sender-domain", POLICY_MAIL,                  LISTENER_MX,     STRANGERS, policy_sender_domain, SET_BY("check-sender-domain", sender_domain),        "5321 §2.3.5" },
	{ "null-mx",       POLICY_MAIL,                  LISTENER_MX,     STRANGERS, policy_null_mx,       SET_BY("check-null-mx", null_mx),                    "7505 §4.2" },
	{ "sender",        POLICY_MAIL,                  ON_SUBMISSION,   BLOCKS,    policy_sender,        ALWAYS,                                              "6409 §6.1" },
	{ "relay",         POLICY_RCPT,                  LISTENERS_SMTPD, 0,         policy_relay,         ALWAYS,                                              "5321 §3.6.2" },
	{ "list",          POLICY_RCPT,                  LISTENERS_SMTPD, BLOCKS,    policy_list,          ALWAYS,                                              "3463 §3.8" },
	{ "suppressed",    POLICY_RCPT,                  ON_SUBMISSION,   BLOCKS,    policy_suppressed,    ALWAYS,                                              "" },
	{ "sent",          POLICY_RCPT,                  ON_SUBMISSION,   BLOCKS,    policy_sent,          ALWAYS,                                              "" },
	{ "recipients",    POLICY_RCPT,                  LISTENERS_SMTPD, 0,         policy_recipients,    ALWAYS,                                              "5321 §4.5.3" },
	{ "null-sender",   POLICY_RCPT,                  LISTENER_MX,     0,         policy_null_sender,   ALWAYS,                                              "5321 §6.1" },
	{ "greylist",      POLICY_RCPT,                  LISTENER_MX,     STRANGERS | BLOCKS, policy_greylist, SET_BY("check-greylist", greylist),               "6647" },
	{ "asked",         POLICY_RCPT,                  LISTENERS_SMTPD, BLOCKS,    policy_asked,         ALWAYS,                                              "5321 §3.3" },
	{ "header",        POLICY_MESSAGE,               ON_SUBMISSION,   0,         policy_header,        ALWAYS,                                              "6409 §6.3" },
	{ "loop",          POLICY_MESSAGE,               LISTENERS_SMTPD, 0,         policy_loop,          ALWAYS,                                              "5321 §6.3" },
	{ "author",        POLICY_MESSAGE,               ON_SUBMISSION,   BLOCKS,    policy_author,        ALWAYS,                                              "6409 §6.1" },
	{ "unsubscribe",   POLICY_MESSAGE,               ON_SUBMISSION,   0,         policy_unsubscribe,   ALWAYS,                                              "8058 §3.1" },
	{ "from",          POLICY_MESSAGE,               LISTENER_MX,     STRANGERS | CONTENT, policy_from,          SET_BY("check-from", from),                          "5322 §3.6.2" },
	{ "dmarc",         POLICY_MESSAGE,               LISTENER_MX,     STRANGERS | CONTENT, policy_dmarc,         SET_BY("check-dmarc", dmarc),                        "9989 §5.3" },
	{ "spf",           POLICY_MESSAGE,               LISTENER_MX,     STRANGERS | CONTENT, policy_spf,           SET_BY("check-spf", spf),                            "7208 §8.4" },
	{ "attachment",    POLICY_MESSAGE,               LISTENER_MX,     STRANGERS | CONTENT, policy_attachment,    SET_BY("check-attachment", attachment),              "2183 §2.3" },
	{ "milter",        POLICY_MESSAGE,               WITH_FILTERS,    CONTENT,       policy_milter,        ALWAYS,                                              "mfapi 6" },
};
/* clang-format on */

static enum conf_action action_of(const struct check *c, const struct conf *conf)
{
	enum conf_action action;

	if (!c->option)
		return CONF_REJECT;
	memcpy(&action, (const char *)&conf->policy + c->action, sizeof(action));
	return action;
}

static bool applies(const struct check *c, enum policy_stage stage,
		    enum conf_listener_kind listener)
{
	return (c->stages & stage) && (c->listeners & listener);
}

bool policy_blocks(enum policy_stage stage, enum conf_listener_kind listener)
{
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		if ((checks[i].flags & BLOCKS) && applies(&checks[i], stage, listener))
			return true;
	return false;
}

/* decide - what a finding leads to here. */
static void decide(const struct check *c, enum conf_action action, struct policy_verdict *v)
{
	if (v->is_at_most_junk && action > CONF_JUNK)
		action = CONF_JUNK;
	if (v->is_only_log && action > CONF_LOG)
		action = CONF_LOG;
	v->findings[0].check = c->name;
	v->findings[0].action = action;
	v->finding_count = 1;
	switch (action) {
	case CONF_OFF:
	case CONF_LOG:
		v->action = POLICY_ACCEPT;
		break;
	case CONF_JUNK:
		v->action = POLICY_JUNK;
		break;
	case CONF_DEFER:
		v->action = POLICY_DEFER;
		v->reply = REPLY_POLICY_LATER;
		break;
	case CONF_REJECT:
		v->action = POLICY_REJECT;
		break;
	}
	if (action >= CONF_DEFER)
		snprintf(v->text, sizeof(v->text), "%s", v->findings[0].text);
}

/* ask - one row; false: it is not asked of these facts. */
static bool ask(const struct check *c, const struct policy_facts *facts, struct policy_verdict *v)
{
	enum conf_action action = action_of(c, facts->conf);

	if (action == CONF_OFF || ((c->flags & STRANGERS) && !facts->is_stranger))
		return false;
	*v = (struct policy_verdict){ .action = POLICY_ACCEPT };
	c->run(facts, v);
	if (v->is_suspect)
		decide(c, action, v);
	if (v->action != POLICY_ACCEPT)
		v->check = c->name;
	return true;
}

static void keep_finding(struct policy_verdict *all, const struct policy_verdict *one)
{
	if (one->finding_count && all->finding_count < POLICY_FINDINGS_MAX)
		all->findings[all->finding_count++] = one->findings[0];
}

struct policy_verdict policy_run(enum policy_stage stage, const struct policy_facts *facts)
{
	struct policy_verdict verdict = { .action = POLICY_ACCEPT };
	struct policy_verdict v UNCLEARED;      /* several KB: ask() fills it where it says so */

	for (size_t i = 0; i < ARRAY_LEN(checks) && verdict.action < POLICY_DEFER; i++) {
		if (!applies(&checks[i], stage, facts->listener) || !ask(&checks[i], facts, &v))
			continue;
		keep_finding(&verdict, &v);
		if (v.action <= verdict.action)
			continue;
		verdict.action = v.action;
		verdict.reply = v.reply;
		verdict.check = v.check;
		verdict.is_to_be_asked = v.is_to_be_asked;
		memcpy(verdict.asked_for, v.asked_for, sizeof(verdict.asked_for));
		memcpy(verdict.text, v.text, sizeof(verdict.text));
	}
	return verdict;
}

void policy_refuse(struct policy_verdict *verdict, enum reply_id reply)
{
	verdict->action = reply_get(reply)->code >= 500 ? POLICY_REJECT : POLICY_DEFER;
	verdict->reply = reply;
}

void policy_suspect(struct policy_verdict *verdict, enum reply_id reply, const char *format, ...)
{
	va_list ap;

	verdict->is_suspect = true;
	verdict->reply = reply;
	va_start(ap, format);
	vsnprintf(verdict->findings[0].text, sizeof(verdict->findings[0].text), format, ap);
	va_end(ap);
}

/* ---- rows, for those who list them ---- */

static const struct check *mx_row(size_t i)
{
	for (size_t k = 0; k < ARRAY_LEN(checks); k++)
		if ((checks[k].listeners & LISTENER_MX) && !i--)
			return &checks[k];
	return NULL;
}

bool policy_row(size_t i, const struct conf *conf, struct policy_row *out)
{
	const struct check *c = mx_row(i);

	if (!c)
		return false;
	*out = (struct policy_row){
		.name = c->name,
		.stage = c->stages & POLICY_MAIL   ? "mail"
			 : c->stages & POLICY_RCPT ? "rcpt"
						   : "message",
		.option = c->option,
		.action = action_of(c, conf),
		.source = c->source,
	};
	return true;
}

bool policy_is_of_content(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		if (!strcmp(checks[i].name, name))
			return checks[i].flags & CONTENT;
	return false;
}

bool policy_run_row(size_t i, const struct policy_facts *facts, struct policy_verdict *out)
{
	const struct check *c = mx_row(i);

	return c && ask(c, facts, out);
}
