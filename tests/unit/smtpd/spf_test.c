/* SPF: the examples of RFC 7208's appendix A, and what its text asks for, from a DNS that is a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "smtpd/spf.h"
#include "tests/unit/support/dns_table.h"

#include "common/banned.h"

/* RFC 7208 appendix A's zone; each record of the text is a domain of its own here, "e1" to "e12". */
static const struct dns_row zone[] = {
	{ "example.com", DNS_MX, "10 mail-a.example.com" },
	{ "example.com", DNS_MX, "20 mail-b.example.com" },
	{ "example.com", DNS_A, "192.0.2.10" },
	{ "example.com", DNS_A, "192.0.2.11" },
	{ "amy.example.com", DNS_A, "192.0.2.65" },
	{ "bob.example.com", DNS_A, "192.0.2.66" },
	{ "mail-a.example.com", DNS_A, "192.0.2.129" },
	{ "mail-b.example.com", DNS_A, "192.0.2.130" },
	{ "mail-c.example.org", DNS_A, "192.0.2.140" },
	{ "example.org", DNS_MX, "10 mail-c.example.org" },
	{ "10.2.0.192.in-addr.arpa", DNS_PTR, "example.com" },
	{ "11.2.0.192.in-addr.arpa", DNS_PTR, "example.com" },
	{ "65.2.0.192.in-addr.arpa", DNS_PTR, "amy.example.com" },
	{ "66.2.0.192.in-addr.arpa", DNS_PTR, "bob.example.com" },
	{ "129.2.0.192.in-addr.arpa", DNS_PTR, "mail-a.example.com" },
	{ "140.2.0.192.in-addr.arpa", DNS_PTR, "mail-c.example.org" },
	{ "4.0.0.10.in-addr.arpa", DNS_PTR, "bob.example.com" },
	/* A.1 */
	{ "e1.example.com", DNS_TXT, "v=spf1 +all" },
	{ "e2.example.com", DNS_TXT, "v=spf1 a:example.com -all" },
	{ "e3.example.com", DNS_TXT, "v=spf1 a:example.org -all" },
	{ "e4.example.com", DNS_TXT, "v=spf1 mx:example.com -all" },
	{ "e5.example.com", DNS_TXT, "v=spf1 mx:example.org -all" },
	{ "e6.example.com", DNS_TXT, "v=spf1 mx:example.com mx:example.org -all" },
	{ "e7.example.com", DNS_TXT, "v=spf1 mx:example.com/30 mx:example.org/30 -all" },
	{ "example.com", DNS_TXT, "v=spf1 ptr -all" },
	{ "e9.example.com", DNS_TXT, "v=spf1 ip4:192.0.2.128/28 -all" },
	/* A.2 */
	{ "la.example.org", DNS_TXT, "v=spf1 redirect=example.com" },
	{ "a2.example.org", DNS_TXT, "v=spf1 include:example.com include:example.net -all" },
	{ "example.net", DNS_TXT, "v=spf1 ip4:203.0.113.7 -all" },
	/* A.3 and A.4 */
	{ "dnsbl.example.com", DNS_TXT, "v=spf1 exists:%{l1r+}.%{d} -all" },
	{ "mary.dnsbl.example.com", DNS_A, "127.0.0.1" },
	{ "a4.example.com", DNS_TXT, "v=spf1 -include:ip4._spf.%{d} -include:ptr._spf.%{d} +all" },
	{ "ip4._spf.a4.example.com", DNS_TXT, "v=spf1 -ip4:192.0.2.0/24 +all" },
	{ "ptr._spf.a4.example.com", DNS_TXT, "v=spf1 -ptr:example.com +all" },
	/* others */
	{ "none.example", DNS_TXT, "some text" },
	{ "none.example", DNS_TXT, "v=spf10 +all" },
	{ "twice.example", DNS_TXT, "v=spf1 +all" },
	{ "twice.example", DNS_TXT, "v=spf1 -all" },
	{ "soft.example", DNS_TXT, "v=spf1 ~all" },
	{ "neutral.example", DNS_TXT, "v=spf1 ?all" },
	{ "empty.example", DNS_TXT, "v=spf1" },
	{ "case.example", DNS_TXT, "V=SPF1  IP4:192.0.2.0/24   -ALL" },
	{ "late-error.example", DNS_TXT, "v=spf1 +all nonsense" },
	{ "utf8.example", DNS_TXT, "v=spf1 a:m\xc3\xbcller.example -all" },
	{ "v6.example", DNS_TXT, "v=spf1 ip6:2001:db8::/32 -all" },
	{ "v6a.example", DNS_TXT, "v=spf1 a//64 -all" },
	{ "v6a.example", DNS_AAAA, "2001:db8:1::1" },
	{ "v6a.example", DNS_A, "192.0.2.1" },
	{ "broken.example", DNS_TXT, "v=spf1 a:fails.example -all" },
	{ "fails.example", DNS_A, "!" },
	{ "tempinc.example", DNS_TXT, "v=spf1 include:tempfail.example +all" },
	{ "tempfail.example", DNS_TXT, "!" },
	{ "noinc.example", DNS_TXT, "v=spf1 include:none.example +all" },
	{ "noredir.example", DNS_TXT, "v=spf1 redirect=none.example" },
	{ "loop.example", DNS_TXT, "v=spf1 include:loop.example -all" },
	{ "reloop.example", DNS_TXT, "v=spf1 redirect=reloop.example" },
	{ "ten.example", DNS_TXT, "v=spf1 a:example.com a:example.com a:example.com a:example.com a:example.com a:example.com"
				  " a:example.com a:example.com a:example.com a:amy.example.com -all" },
	{ "eleven.example", DNS_TXT, "v=spf1 a:example.com a:example.com a:example.com a:example.com a:example.com"
				     " a:example.com a:example.com a:example.com a:example.com a:example.com"
				     " a:amy.example.com -all" },
	{ "voids.example", DNS_TXT, "v=spf1 a:v1.example a:v2.example ip4:192.0.2.1 a:v3.example +all" },
	{ "manymx.example", DNS_TXT, "v=spf1 mx -all" },
	{ "manymx.example", DNS_MX, "1 h1.example" }, { "manymx.example", DNS_MX, "1 h2.example" },
	{ "manymx.example", DNS_MX, "1 h3.example" }, { "manymx.example", DNS_MX, "1 h4.example" },
	{ "manymx.example", DNS_MX, "1 h5.example" }, { "manymx.example", DNS_MX, "1 h6.example" },
	{ "manymx.example", DNS_MX, "1 h7.example" }, { "manymx.example", DNS_MX, "1 h8.example" },
	{ "manymx.example", DNS_MX, "1 h9.example" }, { "manymx.example", DNS_MX, "1 h10.example" },
	{ "manymx.example", DNS_MX, "1 h11.example" },
	{ "silent.example", DNS_TXT, "..." },
	{ "explained.example", DNS_TXT, "v=spf1 -all exp=why.%{d}" },
	{ "why.explained.example", DNS_TXT, "%{i} may not send as %{s}%_(see %{r})" },
	{ "badexp.example", DNS_TXT, "v=spf1 -all exp=bad.%{d}" },
	{ "bad.badexp.example", DNS_TXT, "line\r\nbreak" },
	{ "pmacro.example", DNS_TXT, "v=spf1 exists:%{p}.seen.example -all" },
	{ "amy.example.com.seen.example", DNS_A, "127.0.0.1" },
	{ "helo.example", DNS_TXT, "v=spf1 exists:%{h}.%{o}.helo.example -all" },
	{ "client.example.net.helo.example.helo.example", DNS_A, "127.0.0.2" },
};

static const struct {
	const char *ip, *sender;
	enum spf_result result;
	const char *why;        /* NULL: not looked at */
} cases[] = {
	/* RFC 7208 A.1 */
	{ "203.0.113.9", "x@e1.example.com", SPF_PASS, NULL },
	{ "192.0.2.10", "x@e2.example.com", SPF_PASS, NULL },
	{ "192.0.2.11", "x@e2.example.com", SPF_PASS, NULL },
	{ "192.0.2.65", "x@e2.example.com", SPF_FAIL, NULL },
	{ "192.0.2.10", "x@e3.example.com", SPF_FAIL, NULL },
	{ "192.0.2.129", "x@e4.example.com", SPF_PASS, NULL },
	{ "192.0.2.130", "x@e4.example.com", SPF_PASS, NULL },
	{ "192.0.2.140", "x@e4.example.com", SPF_FAIL, NULL },
	{ "192.0.2.140", "x@e5.example.com", SPF_PASS, NULL },
	{ "192.0.2.129", "x@e6.example.com", SPF_PASS, NULL },
	{ "192.0.2.140", "x@e6.example.com", SPF_PASS, NULL },
	{ "192.0.2.131", "x@e7.example.com", SPF_PASS, NULL },
	{ "192.0.2.143", "x@e7.example.com", SPF_PASS, NULL },
	{ "192.0.2.144", "x@e7.example.com", SPF_FAIL, NULL },
	{ "192.0.2.65", "x@example.com", SPF_PASS, NULL },
	{ "192.0.2.140", "x@example.com", SPF_FAIL, NULL },
	{ "10.0.0.4", "x@example.com", SPF_FAIL, NULL },
	{ "192.0.2.65", "x@e9.example.com", SPF_FAIL, NULL },
	{ "192.0.2.129", "x@e9.example.com", SPF_PASS, NULL },
	/* A.2 to A.4 */
	{ "192.0.2.65", "x@la.example.org", SPF_PASS, NULL },
	{ "192.0.2.140", "x@la.example.org", SPF_FAIL, NULL },
	{ "192.0.2.66", "x@a2.example.org", SPF_PASS, NULL },
	{ "203.0.113.7", "x@a2.example.org", SPF_PASS, NULL },
	{ "203.0.113.8", "x@a2.example.org", SPF_FAIL, NULL },
	{ "203.0.113.8", "mary@dnsbl.example.com", SPF_PASS, NULL },
	{ "203.0.113.8", "fred@dnsbl.example.com", SPF_FAIL, NULL },
	{ "192.0.2.65", "x@a4.example.com", SPF_PASS, NULL },
	{ "203.0.113.9", "x@a4.example.com", SPF_FAIL, NULL },
	/* the record */
	{ "192.0.2.1", "x@nowhere.example", SPF_NONE, "no record" },
	{ "192.0.2.1", "x@none.example", SPF_NONE, "no record" },
	{ "192.0.2.1", "x@localhost", SPF_NONE, NULL },
	{ "192.0.2.1", "x@[192.0.2.1]", SPF_NONE, NULL },
	{ "192.0.2.1", "x@a..example", SPF_NONE, NULL },
	{ "192.0.2.1", "x@twice.example", SPF_PERMERROR, NULL },
	{ "192.0.2.1", "x@soft.example", SPF_SOFTFAIL, NULL },
	{ "192.0.2.1", "x@neutral.example", SPF_NEUTRAL, NULL },
	{ "192.0.2.1", "x@empty.example", SPF_NEUTRAL, "no term matches" },
	{ "192.0.2.1", "x@CASE.example", SPF_PASS, NULL },
	{ "192.0.2.1", "x@late-error.example", SPF_PERMERROR, "the record is malformed" },
	{ "192.0.2.1", "x@utf8.example", SPF_PERMERROR, NULL },
	{ "2001:db8:77::1", "x@v6.example", SPF_PASS, NULL },
	{ "2001:db9::1", "x@v6.example", SPF_FAIL, NULL },
	{ "2001:db8:1::99", "x@v6a.example", SPF_PASS, NULL },
	{ "2001:db8:2::99", "x@v6a.example", SPF_FAIL, NULL },
	{ "192.0.2.1", "x@v6a.example", SPF_PASS, NULL },
	{ "192.0.2.2", "x@v6a.example", SPF_FAIL, NULL },
	/* a DNS that fails */
	{ "192.0.2.1", "x@broken.example", SPF_TEMPERROR, "the DNS does not answer" },
	{ "192.0.2.1", "x@tempfail.example", SPF_TEMPERROR, NULL },
	{ "192.0.2.1", "x@tempinc.example", SPF_TEMPERROR, NULL },
	{ "192.0.2.1", "x@silent.example", SPF_TEMPERROR, NULL },
	{ "192.0.2.1", "x@noinc.example", SPF_PERMERROR, "included domain has no record" },
	{ "192.0.2.1", "x@noredir.example", SPF_PERMERROR, "redirect leads to no record" },
	/* limits */
	{ "192.0.2.1", "x@loop.example", SPF_PERMERROR, "more than 10 look-ups" },
	{ "192.0.2.1", "x@reloop.example", SPF_PERMERROR, "more than 10 look-ups" },
	{ "192.0.2.65", "x@ten.example", SPF_PASS, NULL },
	{ "192.0.2.65", "x@eleven.example", SPF_PERMERROR, "more than 10 look-ups" },
	{ "192.0.2.1", "x@voids.example", SPF_PASS, NULL },
	{ "192.0.2.2", "x@voids.example", SPF_PERMERROR, "more than 2 empty answers" },
	{ "192.0.2.1", "x@manymx.example", SPF_PERMERROR, "more than 10 hosts in an MX" },
	/* macros that look at the host */
	{ "192.0.2.65", "x@pmacro.example", SPF_PASS, NULL },
	{ "192.0.2.99", "x@pmacro.example", SPF_FAIL, NULL },
	{ "192.0.2.99", "x@helo.example", SPF_PASS, NULL },
};

struct seen {
	bool done;
	enum spf_result result;
	char why[100], explanation[SPF_TEXT_MAX + 1];
	unsigned lookups;
};

static void note(void *arg, const struct spf_answer *a)
{
	struct seen *s = arg;

	assert_false(s->done);
	s->done = true;
	s->result = a->result;
	s->lookups = a->lookups;
	snprintf(s->why, sizeof(s->why), "%s", a->why);
	snprintf(s->explanation, sizeof(s->explanation), "%.*s", SV_FMT(a->explanation));
}

static struct spf_question question(const char *ip, const char *sender)
{
	struct spf_question q = { .helo = SV("client.example.net"), .our_name = SV("mx.example.test") };
	const char *at = strrchr(sender, '@');

	assert_true(netaddr_parse(sv_z(ip), &q.ip));
	q.local = sv_from(sender, (size_t)(at - sender));
	q.domain = sv_z(at + 1);
	return q;
}

static struct seen check(struct loop *loop, struct dns *dns, const char *ip, const char *sender)
{
	struct spf_question q = question(ip, sender);
	struct seen seen = { .done = false };
	struct spf *spf = NULL;

	spf_check(dns, loop, &q, note, &seen, &spf);
	assert_false(seen.done);
	for (int i = 0; i < 500 && !seen.done; i++) {
		loop_run_once(loop, 0);
		if (i > 200)
			loop_skip_ms(loop, 1000);
	}
	assert_true(seen.done);
	return seen;
}

static void the_rfcs_examples_and_its_limits(void **state)
{
	struct dns_table *t = *state;
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct seen seen = check(t->loop, t->dns, cases[i].ip, cases[i].sender);

		if (seen.result == cases[i].result && (!cases[i].why || !strcmp(seen.why, cases[i].why)))
			continue;
		print_error("%s from %s: %s (%s), not %s\n", cases[i].sender, cases[i].ip, spf_result_name(seen.result),
			    seen.why, spf_result_name(cases[i].result));
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void a_domain_may_say_why_in_printable_words(void **state)
{
	struct dns_table *t = *state;
	struct seen seen = check(t->loop, t->dns, "192.0.2.1", "x@explained.example");

	assert_int_equal(seen.result, SPF_FAIL);
	assert_string_equal(seen.explanation,
			    "192.0.2.1 may not send as x@explained.example (see mx.example.test)");
	seen = check(t->loop, t->dns, "192.0.2.1", "x@badexp.example");
	assert_int_equal(seen.result, SPF_FAIL);
	assert_string_equal(seen.explanation, "");
}

static void a_cancelled_check_is_not_answered(void **state)
{
	struct dns_table *t = *state;
	struct spf_question q = question("192.0.2.65", "x@ten.example");
	struct seen seen = { .done = false };

	for (int turns = 0; turns < 12; turns++) {
		struct spf *spf = NULL;

		spf_check(t->dns, t->loop, &q, note, &seen, &spf);
		for (int i = 0; i < turns; i++)
			loop_run_once(t->loop, 0);
		if (!seen.done)
			spf_cancel(&spf);
		else
			seen.done = false;
		loop_run_once(t->loop, 0);
		assert_false(seen.done);
	}
}

/* RFC 7208 §7.4 */
static void macros_are_expanded_as_in_the_rfc(void **state)
{
	static const struct { const char *macro, *text; } table[] = {
		{ "%{s}", "strong-bad@email.example.com" }, { "%{o}", "email.example.com" },
		{ "%{d}", "email.example.com" }, { "%{d4}", "email.example.com" }, { "%{d3}", "email.example.com" },
		{ "%{d2}", "example.com" }, { "%{d1}", "com" }, { "%{dr}", "com.example.email" },
		{ "%{d2r}", "example.email" }, { "%{l}", "strong-bad" }, { "%{l-}", "strong.bad" },
		{ "%{lr}", "strong-bad" }, { "%{lr-}", "bad.strong" }, { "%{l1r-}", "strong" },
		{ "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com" },
		{ "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com" },
		{ "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com" },
		{ "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com" },
		{ "%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net" },
		{ "%{S}", "strong-bad%40email.example.com" }, { "a%%b%_%-", "a%b %20" }, { "%{p}", "unknown" },
		{ "%{c}", NULL }, { "%{x}", NULL }, { "%{d", NULL }, { "%", NULL }, { "%a", NULL }, { "%{d0}", NULL },
		{ "%{d2x}", NULL },
	};
	struct spf_macros m = { .local = SV("strong-bad"), .sender_domain = SV("email.example.com"),
				.domain = SV("email.example.com") };
	struct buf out;
	(void)state;

	assert_true(netaddr_parse(SV("192.0.2.3"), &m.ip));
	buf_init(&out, 1000);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		buf_clear(&out);
		assert_int_equal(spf_expand_name(sv_z(table[i].macro), &m, &out), table[i].text != NULL);
		if (table[i].text)
			assert_string_equal(buf_z(&out), table[i].text);
	}
	buf_clear(&out);
	assert_true(netaddr_parse(SV("2001:db8::cb01"), &m.ip));
	assert_true(spf_expand_name(SV("%{ir}.%{v}._spf.%{d2}"), &m, &out));
	assert_string_equal(buf_z(&out), "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com");
	buf_done(&out);
}

static void malformed_records_are_seen_before_anything_is_asked(void **state)
{
	static const char *const bad[] = {
		"v=spf1 all:x", "v=spf1 all/24", "v=spf1 include", "v=spf1 include:", "v=spf1 a:", "v=spf1 a/33", "v=spf1 a/-1",
		"v=spf1 a/024", "v=spf1 a//129", "v=spf1 a/24/64", "v=spf1 mx:x.example/", "v=spf1 ip4:1.2.3", "v=spf1 ip4:1.2.3.4/33",
		"v=spf1 ip4:::1", "v=spf1 ip6:1.2.3.4", "v=spf1 ip6:[::1]", "v=spf1 ip4", "v=spf1 foo", "v=spf1 -foo:bar.example",
		"v=spf1 exists", "v=spf1 redirect=a.example redirect=b.example", "v=spf1 exp=a.example exp=a.example",
		"v=spf1 redirect=", "v=spf1 a:x.123", "v=spf1 a:x.-y", "v=spf1 a:com", "v=spf1 a:%{d", "v=spf1 x=%q", "v=spf1 \tall",
		"v=spf1 ++all", "v=spf1 a:x.example\x7f", "v=spf2 all", "v=spf1x", "",
	};
	static const char *const good[] = {
		"v=spf1", "v=spf1 ", "v=spf1 a/0", "v=spf1 a/24//64", "v=spf1 a//0", "v=spf1 mx:x.example/24//64", "v=spf1 ip6:::/0",
		"v=spf1 unknown=thing", "v=spf1 un-kn.ow_n1=%{d}", "v=spf1 a:%{d}", "v=spf1 a:%{d1/}.x.example/24",
		"v=spf1 -all ~a ?mx +ptr", "v=spf1 exists:%{ir}.x.example.", "v=spf1 a:xn--mller-kva.example",
	};
	struct sv terms;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (spf_check_record(sv_z(bad[i]), &terms))
			fail_msg("accepted: %s", bad[i]);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!spf_check_record(sv_z(good[i]), &terms))
			fail_msg("refused: %s", good[i]);
}

static int setup(void **state)
{
	return dns_table_setup(state, zone, ARRAY_LEN(zone));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_rfcs_examples_and_its_limits, setup, dns_table_teardown),
		cmocka_unit_test_setup_teardown(a_domain_may_say_why_in_printable_words, setup, dns_table_teardown),
		cmocka_unit_test_setup_teardown(a_cancelled_check_is_not_answered, setup, dns_table_teardown),
		cmocka_unit_test(macros_are_expanded_as_in_the_rfc),
		cmocka_unit_test(malformed_records_are_seen_before_anything_is_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
