/* Checks read facts and say yes, later or no; each one alone, and the order in which they are
 * asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/lines.h"
#include "smtpd/policy/policy.h"

static struct conf *conf;
static struct message_facts message;
static struct directory_route route;
static struct auth_identity *alice;

static int setup(void **state)
{
	(void)state;
	conf = conf_default("/nowhere");
	message = (struct message_facts){ .from_count = 1, .from_address_count = 1 };
	route = (struct directory_route){ .answer = DIRECTORY_TARGETS };
	alice = identity_for_admin(SV("alice@example.test"), SV("id"));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	conf_unref(&conf);
	identity_unref(&alice);
	return 0;
}

static struct policy_facts facts_on(enum conf_listener_kind listener)
{
	return (struct policy_facts){
		.conf = conf, .listener = listener, .route = &route, .message = &message
	};
}

static void assert_refused(enum policy_stage stage, const struct policy_facts *facts,
			   enum reply_id reply, const char *check)
{
	struct policy_verdict v = policy_run(stage, facts);

	assert_true(v.action >= POLICY_DEFER);
	assert_int_equal(v.reply, reply);
	assert_string_equal(v.check, check);
	assert_int_equal(v.action, reply_get(reply)->code >= 500 ? POLICY_REJECT : POLICY_DEFER);
}

static void assert_accepted(enum policy_stage stage, const struct policy_facts *facts)
{
	assert_int_equal(policy_run(stage, facts).action, POLICY_ACCEPT);
}

/* A stranger about whom the DNS has nothing bad to say. */
static struct origin_facts origin;
static struct author_facts author;

static struct policy_facts stranger(void)
{
	struct policy_facts f = facts_on(LISTENER_MX);

	origin = (struct origin_facts){
		.name = ORIGIN_NAME_CONFIRMED, .spf = SPF_PASS, .sender = ORIGIN_SENDER_GOOD, .spf_domain = "s.example",
	};
	author = (struct author_facts){ .domain = "s.example" };
	f.is_stranger = true;
	f.origin = &origin;
	f.author = &author;
	f.helo = SV("mail.s.example");
	assert_true(netaddr_parse(SV("192.0.2.1"), &f.peer));
	return f;
}

static void a_finding_leads_to_what_the_option_says(void **state)
{
	static const struct { enum conf_action option; enum policy_action action; } table[] = {
		{ CONF_OFF, POLICY_ACCEPT }, { CONF_LOG, POLICY_ACCEPT }, { CONF_JUNK, POLICY_JUNK },
		{ CONF_DEFER, POLICY_DEFER }, { CONF_REJECT, POLICY_REJECT },
	};
	struct policy_facts f = stranger();
	(void)state;

	assert_accepted(POLICY_MAIL, &f);
	assert_accepted(POLICY_MESSAGE, &f);
	origin.sender = ORIGIN_SENDER_ABSENT;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct policy_verdict v;

		conf->policy.sender_domain = table[i].option;
		v = policy_run(POLICY_MAIL, &f);
		assert_int_equal(v.action, table[i].action);
		assert_int_equal(v.finding_count, table[i].option != CONF_OFF);
		if (v.finding_count)
			assert_string_equal(v.findings[0].check, "sender-domain");
		if (v.action >= POLICY_DEFER)
			assert_int_equal(v.reply, v.action == POLICY_DEFER ? REPLY_POLICY_LATER : REPLY_SENDER_DOMAIN);
	}
	conf->policy.sender_domain = CONF_REJECT;
	f.is_stranger = false;
	assert_accepted(POLICY_MAIL, &f);
}

static void a_dns_that_knows_nothing_is_held_against_nobody(void **state)
{
	struct policy_facts f = stranger();
	(void)state;

	origin = (struct origin_facts){ .spf = SPF_TEMPERROR, .spf_why = "" };
	author.dmarc.result = DMARC_TEMPERROR;
	author.dmarc.policy = DMARC_POLICY_REJECT;
	assert_int_equal(policy_run(POLICY_MAIL, &f).finding_count, 0);
	assert_int_equal(policy_run(POLICY_MESSAGE, &f).finding_count, 0);
}

static void greetings_that_lie_are_seen(void **state)
{
	static const struct { const char *helo; bool is_good; } table[] = {
		{ "mail.s.example", true }, { "[192.0.2.1]", true }, { "under_score.s.example", true },
		{ "localhost", false }, { "192.0.2.1", false }, { "[192.0.2.2]", false }, { "[IPv6:2001:db8::1]", false },
		{ "", false }, { "a b.example", false }, { ".", false }, { "x.", false }, { "?.example", false },
	};
	struct policy_facts f = stranger();
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		f.helo = sv_z(table[i].helo);
		assert_int_equal(policy_run(POLICY_MAIL, &f).finding_count, !table[i].is_good);
	}
	f.helo = sv_z(conf->host.hostname);
	assert_int_equal(policy_run(POLICY_MAIL, &f).finding_count, 1);
}

static void dmarc_decides_before_spf_and_quarantine_is_junk(void **state)
{
	struct policy_facts f = stranger();
	(void)state;

	origin.spf = SPF_FAIL;
	assert_int_equal(policy_run(POLICY_MESSAGE, &f).action, POLICY_JUNK);
	author.dmarc.result = DMARC_PASS;
	assert_int_equal(policy_run(POLICY_MESSAGE, &f).action, POLICY_ACCEPT);
	author.dmarc.result = DMARC_FAIL;
	assert_int_equal(policy_run(POLICY_MESSAGE, &f).action, POLICY_ACCEPT);         /* p=none changes nothing */
	author.dmarc.policy = DMARC_POLICY_QUARANTINE;
	assert_int_equal(policy_run(POLICY_MESSAGE, &f).action, POLICY_JUNK);
	author.dmarc.policy = DMARC_POLICY_REJECT;
	assert_refused(POLICY_MESSAGE, &f, REPLY_DMARC, "dmarc");
}

static void only_submission_asks_the_directory_about_senders(void **state)
{
	(void)state;
	assert_false(policy_blocks(POLICY_MAIL, LISTENER_MX));
	assert_false(policy_blocks(POLICY_MAIL, LISTENER_LMTP));
	assert_true(policy_blocks(POLICY_MAIL, LISTENER_SUBMISSION));
	assert_true(policy_blocks(POLICY_MESSAGE, LISTENER_SUBMISSIONS));
	assert_false(policy_blocks(POLICY_MESSAGE, LISTENER_MX));
}

static void strangers_reach_our_people_only(void **state)
{
	struct policy_facts f = facts_on(LISTENER_MX);
	(void)state;

	assert_accepted(POLICY_RCPT, &f);
	route.answer = DIRECTORY_UNKNOWN;
	assert_refused(POLICY_RCPT, &f, REPLY_USER_UNKNOWN, "relay");
	route.answer = DIRECTORY_NOT_OURS;
	assert_refused(POLICY_RCPT, &f, REPLY_RELAY_DENIED, "relay");
	f.listener = LISTENER_LMTP;
	assert_refused(POLICY_RCPT, &f, REPLY_RELAY_DENIED, "relay");
	f.listener = LISTENER_SUBMISSION;
	f.identity = alice;
	assert_accepted(POLICY_RCPT, &f);
}

static void a_name_that_its_host_knows_is_good_only_when_it_says_so(void **state)
{
	struct directory_target there = { .is_remote = true, .remote = { .local = SV_INIT("joe"), .domain = SV_INIT("asked.test") } };
	struct policy_facts f = facts_on(LISTENER_MX);
	struct policy_verdict v;
	(void)state;

	route = (struct directory_route){ .answer = DIRECTORY_TARGETS, .targets = &there, .count = 1, .is_asked = true };
	v = policy_run(POLICY_RCPT, &f);
	assert_true(v.is_to_be_asked);
	assert_string_equal(v.asked_for, "joe@asked.test");
	assert_refused(POLICY_RCPT, &f, REPLY_HOST_SILENT, "asked");
	f.asked = ASKING_LATER;
	assert_refused(POLICY_RCPT, &f, REPLY_HOST_SILENT, "asked");
	v = policy_run(POLICY_RCPT, &f);
	assert_false(v.is_to_be_asked);
	f.asked = ASKING_UNKNOWN;
	assert_refused(POLICY_RCPT, &f, REPLY_USER_UNKNOWN, "asked");
	f.asked = ASKING_KNOWN;
	assert_accepted(POLICY_RCPT, &f);
	f.rcpt_count = 200;             /* nobody is asked about what is refused anyway */
	f.asked = ASKING_NOT_ASKED;
	v = policy_run(POLICY_RCPT, &f);
	assert_int_equal(v.reply, REPLY_TOO_MANY_RCPTS);
	assert_false(v.is_to_be_asked);
}

static void recipients_are_counted_by_who_sends(void **state)
{
	struct policy_facts f = facts_on(LISTENER_MX);
	(void)state;

	f.rcpt_count = 199;
	assert_accepted(POLICY_RCPT, &f);
	f.rcpt_count = 200;
	assert_refused(POLICY_RCPT, &f, REPLY_TOO_MANY_RCPTS, "recipients");
	f.listener = LISTENER_SUBMISSION;
	f.identity = alice;
	assert_accepted(POLICY_RCPT, &f);
	f.rcpt_count = 500;
	assert_refused(POLICY_RCPT, &f, REPLY_TOO_MANY_RCPTS, "recipients");
}

static void a_bounce_has_one_recipient(void **state)
{
	struct policy_facts f = facts_on(LISTENER_MX);
	(void)state;

	f.sender.is_null = true;
	assert_accepted(POLICY_RCPT, &f);
	f.rcpt_count = 1;
	assert_refused(POLICY_RCPT, &f, REPLY_ONE_RCPT, "null-sender");
	f.listener = LISTENER_LMTP;
	assert_accepted(POLICY_RCPT, &f);
}

static void size_is_judged_when_declared_and_when_sent(void **state)
{
	struct policy_facts f = facts_on(LISTENER_MX);
	(void)state;

	f.declared_size = conf->smtp.message_size;
	assert_accepted(POLICY_MAIL, &f);
	f.declared_size++;
	assert_refused(POLICY_MAIL, &f, REPLY_TOO_BIG, "size");
	f.declared_size = 0;
	f.size = conf->smtp.message_size + 1;
	assert_refused(POLICY_MESSAGE, &f, REPLY_TOO_BIG, "size");
}

static void octets_that_smuggle_are_refused_where_they_are_not_mended(void **state)
{
	struct policy_facts f = facts_on(LISTENER_MX);
	(void)state;

	f.data_faults = DATA_BARE_LF;
	assert_refused(POLICY_MESSAGE, &f, REPLY_BARE_NEWLINE, "octets");
	f.data_faults = DATA_NUL;
	assert_refused(POLICY_MESSAGE, &f, REPLY_NUL, "octets");
	f.data_faults = 0;
	f.longest_line = conf->smtp.data_line + 1;
	assert_refused(POLICY_MESSAGE, &f, REPLY_LONG_LINE, "octets");
	f.longest_line--;
	assert_accepted(POLICY_MESSAGE, &f);
	/* octets are judged before size: what smuggles is said to smuggle */
	f.data_faults = DATA_BARE_CR;
	f.size = UINT64_MAX;
	assert_refused(POLICY_MESSAGE, &f, REPLY_BARE_NEWLINE, "octets");
}

static void nothing_of_a_binary_message_is_mended(void **state)
{
	struct policy_facts f = facts_on(LISTENER_SUBMISSION);
	struct policy_verdict v = { .action = POLICY_ACCEPT };
	(void)state;

	f.data_faults = DATA_BARE_LF;
	policy_octets(&f, &v);
	assert_int_equal(v.action, POLICY_ACCEPT);
	f.is_binary = true;
	assert_refused(POLICY_MESSAGE, &f, REPLY_BARE_NEWLINE, "octets");
	f.data_faults = 0;
	f.no_lines = "it is so";
	assert_refused(POLICY_MESSAGE, &f, REPLY_NO_LINES, "octets");
}

static void a_loop_is_too_many_hops_or_our_own_mark(void **state)
{
	struct policy_facts f = facts_on(LISTENER_MX);
	struct sv forwarders[] = { SV("list@example.test") };
	(void)state;

	message.received_count = 100;
	message.delivered_to[0] = SV("LIST@example.test");
	message.delivered_to_count = 1;
	assert_accepted(POLICY_MESSAGE, &f);    /* not by this address: it delivers */
	f.forwarders = forwarders;
	f.forwarder_count = 1;
	assert_refused(POLICY_MESSAGE, &f, REPLY_LOOP, "loop");
	f.forwarder_count = 0;
	message.received_count = 101;
	assert_refused(POLICY_MESSAGE, &f, REPLY_LOOP, "loop");
}

static void submission_wants_one_author_in_a_bounded_header(void **state)
{
	struct policy_facts f = facts_on(LISTENER_SUBMISSION);
	(void)state;

	f.identity = alice;
	message.from_count = 0;
	assert_refused(POLICY_MESSAGE, &f, REPLY_NO_FROM, "header");
	message.from_count = 2;
	assert_refused(POLICY_MESSAGE, &f, REPLY_NO_FROM, "header");
	message.from_count = 1;
	message.header_size = conf->mime.header_block + 1;
	assert_refused(POLICY_MESSAGE, &f, REPLY_HEADER_TOO_BIG, "header");
	message.header_size = 0;
	message.longest_field = conf->mime.header_field + 1;
	assert_refused(POLICY_MESSAGE, &f, REPLY_HEADER_TOO_BIG, "header");
	message.longest_field = 0;
	message.is_from_capped = true;
	assert_refused(POLICY_MESSAGE, &f, REPLY_NO_FROM, "author");
	message.is_from_capped = false;
	message.from_address_count = 0;
	assert_refused(POLICY_MESSAGE, &f, REPLY_NO_FROM, "author");
	/* Mail from elsewhere is taken however its header looks. */
	message.from_count = 0;
	f.listener = LISTENER_MX;
	assert_accepted(POLICY_MESSAGE, &f);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_finding_leads_to_what_the_option_says),
		TEST(a_dns_that_knows_nothing_is_held_against_nobody),
		TEST(greetings_that_lie_are_seen),
		TEST(dmarc_decides_before_spf_and_quarantine_is_junk),
		TEST(only_submission_asks_the_directory_about_senders),
		TEST(strangers_reach_our_people_only),
		TEST(a_name_that_its_host_knows_is_good_only_when_it_says_so),
		TEST(recipients_are_counted_by_who_sends),
		TEST(a_bounce_has_one_recipient),
		TEST(size_is_judged_when_declared_and_when_sent),
		TEST(octets_that_smuggle_are_refused_where_they_are_not_mended),
		TEST(nothing_of_a_binary_message_is_mended),
		TEST(a_loop_is_too_many_hops_or_our_own_mark),
		TEST(submission_wants_one_author_in_a_bounded_header),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
