/* DMARC: records, the tree walk and alignment, from a DNS that is a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "smtpd/dmarc.h"
#include "tests/unit/support/dns_table.h"

#include "common/banned.h"

static const struct dns_row zone[] = {
	{ "_dmarc.example.com", DNS_TXT, "v=DMARC1; p=reject; sp=quarantine; np=reject; rua=mailto:r@example.com" },
	{ "example.com", DNS_A, "192.0.2.1" },
	{ "sub.example.com", DNS_A, "192.0.2.1" },
	{ "_dmarc.strict.example", DNS_TXT, "v=DMARC1; p=quarantine; adkim=s; aspf=s" },
	{ "_dmarc.plain.example", DNS_TXT, "v=DMARC1; p=none" },
	{ "_dmarc.testing.example", DNS_TXT, "v=DMARC1; p=reject; t=y" },
	{ "_dmarc.half.example", DNS_TXT, "v=DMARC1; p=reject; pct=50" },
	{ "_dmarc.zero.example", DNS_TXT, "v=DMARC1; p=quarantine; pct=0" },
	{ "_dmarc.twice.example", DNS_TXT, "v=DMARC1; p=reject" },
	{ "_dmarc.twice.example", DNS_TXT, "v=DMARC1; p=none" },
	{ "_dmarc.nop.example", DNS_TXT, "v=DMARC1; rua=mailto:a@nop.example" },
	{ "_dmarc.bad.example", DNS_TXT, "v=DMARC1; p=nonsense" },
	{ "_dmarc.fails.example", DNS_TXT, "!" },
	/* a registry that publishes for those who do not */
	{ "_dmarc.bank", DNS_TXT, "v=DMARC1; p=reject; psd=y; np=reject" },
	{ "_dmarc.own.bank", DNS_TXT, "v=DMARC1; p=quarantine" },
	{ "quiet.bank", DNS_A, "192.0.2.1" },
	/* an organisation inside another one */
	{ "_dmarc.uni.example", DNS_TXT, "v=DMARC1; p=reject" },
	{ "_dmarc.dept.uni.example", DNS_TXT, "v=DMARC1; p=none; psd=n" },
	{ "_dmarc.mail.example.net", DNS_TXT, "v=DMARC1; p=none" },
	{ "_dmarc.example.net", DNS_TXT, "v=DMARC1; p=reject" },
	{ "_dmarc.deep.example", DNS_TXT, "v=DMARC1; p=reject" },
};

static const struct {
	const char *author, *spf, *dkim;
	enum dmarc_result result;
	enum dmarc_policy policy;
	const char *at;
} cases[] = {
	{ "example.com", "example.com", "", DMARC_PASS, DMARC_POLICY_REJECT, "example.com" },
	{ "example.com", "bounce.example.com", "", DMARC_PASS, DMARC_POLICY_REJECT, "example.com" },
	{ "example.com", "", "mail.example.com", DMARC_PASS, DMARC_POLICY_REJECT, "example.com" },
	{ "example.com", "other.com", "evil.com", DMARC_FAIL, DMARC_POLICY_REJECT, "example.com" },
	{ "example.com", "notexample.com", "", DMARC_FAIL, DMARC_POLICY_REJECT, "example.com" },
	{ "example.com", "", "", DMARC_FAIL, DMARC_POLICY_REJECT, "example.com" },
	{ "example.com", "com", "", DMARC_FAIL, DMARC_POLICY_REJECT, "example.com" },
	{ "sub.example.com", "example.com", "", DMARC_PASS, DMARC_POLICY_QUARANTINE, "example.com" },
	{ "sub.example.com", "evil.org", "", DMARC_FAIL, DMARC_POLICY_QUARANTINE, "example.com" },
	{ "absent.example.com", "", "", DMARC_FAIL, DMARC_POLICY_REJECT, "example.com" },
	{ "strict.example", "strict.example", "", DMARC_PASS, DMARC_POLICY_QUARANTINE, "strict.example" },
	{ "strict.example", "a.strict.example", "b.strict.example", DMARC_FAIL, DMARC_POLICY_QUARANTINE, "strict.example" },
	{ "plain.example", "", "", DMARC_FAIL, DMARC_POLICY_NONE, "plain.example" },
	{ "testing.example", "", "", DMARC_FAIL, DMARC_POLICY_QUARANTINE, "testing.example" },
	{ "half.example", "", "", DMARC_FAIL, DMARC_POLICY_REJECT, "half.example" },
	{ "zero.example", "", "", DMARC_FAIL, DMARC_POLICY_NONE, "zero.example" },
	{ "twice.example", "", "", DMARC_NONE, DMARC_POLICY_NONE, "" },
	{ "nothing.example", "nothing.example", "", DMARC_NONE, DMARC_POLICY_NONE, "" },
	{ "nop.example", "", "", DMARC_FAIL, DMARC_POLICY_NONE, "nop.example" },
	{ "bad.example", "", "", DMARC_NONE, DMARC_POLICY_NONE, "" },
	{ "fails.example", "", "", DMARC_TEMPERROR, DMARC_POLICY_NONE, "" },
	{ "example.com", "fails.example", "", DMARC_FAIL, DMARC_POLICY_REJECT, "example.com" },
	/* psd=y: the policy is used, but two of its children are not one organisation */
	{ "quiet.bank", "", "", DMARC_FAIL, DMARC_POLICY_REJECT, "bank" },
	{ "quiet.bank", "own.bank", "", DMARC_FAIL, DMARC_POLICY_REJECT, "bank" },
	{ "quiet.bank", "m.quiet.bank", "", DMARC_PASS, DMARC_POLICY_REJECT, "bank" },
	{ "ghost.bank", "", "", DMARC_FAIL, DMARC_POLICY_REJECT, "bank" },
	{ "own.bank", "x.own.bank", "", DMARC_PASS, DMARC_POLICY_QUARANTINE, "own.bank" },
	/* psd=n: an organisation of its own */
	{ "dept.uni.example", "uni.example", "", DMARC_FAIL, DMARC_POLICY_NONE, "dept.uni.example" },
	{ "dept.uni.example", "a.dept.uni.example", "", DMARC_PASS, DMARC_POLICY_NONE, "dept.uni.example" },
	{ "uni.example", "dept.uni.example", "", DMARC_FAIL, DMARC_POLICY_REJECT, "uni.example" },
	/* RFC 9989 §4.10.2's first example: the shortest name with a record is the organisation */
	{ "a.mail.example.net", "other.example.net", "", DMARC_PASS, DMARC_POLICY_REJECT, "example.net" },
	{ "a.b.c.d.e.f.g.h.i.j.mail.deep.example", "deep.example", "", DMARC_PASS, DMARC_POLICY_REJECT, "deep.example" },
};

struct seen {
	const struct dmarc_answers *answers;
};

static void note(void *arg, const struct dmarc_answers *answers)
{
	struct seen *s = arg;

	assert_null(s->answers);
	s->answers = answers;
}

static void policies_are_found_and_domains_aligned(void **state)
{
	struct dns_table *t = *state;
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sv spf = sv_z(cases[i].spf), dkim = sv_z(cases[i].dkim), ids[] = { spf, dkim };
		struct seen seen = { NULL };
		struct dmarc_ask *ask = dmarc_ask(t->dns, t->loop, sv_z(cases[i].author), ids, 2, note, &seen);
		struct dmarc_verdict v;

		for (int k = 0; k < 50 && !seen.answers; k++)
			loop_run_once(t->loop, 0);
		assert_non_null(seen.answers);
		v = dmarc_judge(seen.answers, spf, &dkim, dkim.len > 0);
		if (v.result != cases[i].result || v.policy != cases[i].policy || strcmp(v.record_at, cases[i].at)) {
			print_error("%s spf=%s dkim=%s: %s p=%s at %s\n", cases[i].author, cases[i].spf, cases[i].dkim,
				    dmarc_result_name(v.result), dmarc_policy_name(v.policy), v.record_at);
			wrong++;
		}
		dmarc_ask_free(&ask);
	}
	assert_int_equal(wrong, 0);
}

static void a_long_name_costs_eight_questions_and_one(void **state)
{
	struct dns_table *t = *state;
	struct seen seen = { NULL };
	struct sv none = SV_NONE;
	struct dmarc_ask *ask =
		dmarc_ask(t->dns, t->loop, SV("a.b.c.d.e.f.g.h.i.j.mail.example.com"), &none, 0, note, &seen);

	for (int k = 0; k < 50 && !seen.answers; k++)
		loop_run_once(t->loop, 0);
	assert_int_equal(seen.answers->count, DMARC_WALK_MAX);
	assert_string_equal(seen.answers->names[1].name, "g.h.i.j.mail.example.com");
	assert_string_equal(seen.answers->names[7].name, "com");
	assert_int_equal(t->asked, DMARC_WALK_MAX + 1);
	dmarc_ask_free(&ask);
}

static void what_was_freed_is_not_answered(void **state)
{
	struct dns_table *t = *state;
	struct seen seen = { NULL };
	struct sv id = SV("example.com");

	for (int turns = 0; turns < 5; turns++) {
		struct dmarc_ask *ask = dmarc_ask(t->dns, t->loop, SV("example.com"), &id, 1, note, &seen);

		for (int i = 0; i < turns && !seen.answers; i++)
			loop_run_once(t->loop, 0);
		seen.answers = NULL;
		dmarc_ask_free(&ask);
		loop_run_once(t->loop, 0);
		assert_null(seen.answers);
	}
}

static void records_are_read_as_strangers_wrote_them(void **state)
{
	static const struct { const char *text; bool ok; enum dmarc_policy p, sp, np; } table[] = {
		{ "v=DMARC1;p=reject", true, DMARC_POLICY_REJECT, DMARC_POLICY_REJECT, DMARC_POLICY_REJECT },
		{ "v = DMARC1 ; P = Reject ; SP=none ;", true, DMARC_POLICY_REJECT, DMARC_POLICY_NONE, DMARC_POLICY_NONE },
		{ "v=DMARC1; sp=none; p=quarantine; np=reject; ruf=mailto:x@y; fo=1; ri=86400; rf=afrf; x=y", true,
		  DMARC_POLICY_QUARANTINE, DMARC_POLICY_NONE, DMARC_POLICY_REJECT },
		{ "v=DMARC1; p=reject; sp=wrong; rua=mailto:a@b.example", true, 0, 0, 0 },
		{ "v=DMARC1; p=reject; sp=wrong", false, 0, 0, 0 },
		{ "v=DMARC1; rua=nonsense", false, 0, 0, 0 },
		{ "v=DMARC2; p=reject", false, 0, 0, 0 },
		{ "v=dmarc1; p=reject", false, 0, 0, 0 },
		{ "p=reject; v=DMARC1", false, 0, 0, 0 },
		{ "v=DMARC1", false, 0, 0, 0 },
		{ "", false, 0, 0, 0 },
		{ ";;;;", false, 0, 0, 0 },
	};
	struct dmarc_record r;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (dmarc_parse(sv_z(table[i].text), &r) != table[i].ok)
			fail_msg("%s", table[i].text);
		if (table[i].ok && (r.p != table[i].p || r.sp != table[i].sp || r.np != table[i].np))
			fail_msg("%s: %d %d %d", table[i].text, r.p, r.sp, r.np);
	}
}

static int setup(void **state)
{
	return dns_table_setup(state, zone, ARRAY_LEN(zone));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(policies_are_found_and_domains_aligned, setup, dns_table_teardown),
		cmocka_unit_test_setup_teardown(a_long_name_costs_eight_questions_and_one, setup, dns_table_teardown),
		cmocka_unit_test_setup_teardown(what_was_freed_is_not_answered, setup, dns_table_teardown),
		cmocka_unit_test(records_are_read_as_strangers_wrote_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
