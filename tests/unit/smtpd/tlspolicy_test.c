/* What TLS has to prove: DANE, then MTA-STS, then nothing; and never less because an answer was missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtpd/fetch.h"
#include "smtpd/tlspolicy.h"
#include "tests/unit/support/dns_table.h"

#define HASH "8cb0fc6c527506a053f4f14c8464bebbd6dede2738d11468dd953d7d6a3021f1"

static const struct dns_row rows[] = {
	{ "_25._tcp.mx.dane.test", DNS_TLSA, "3 1 1 " HASH }, { "_25._tcp.mx.dane.test", DNS_TLSA, "2 0 1 " HASH },
	{ "_25._tcp.mx.dane.test", DNS_TLSA, "1 1 1 " HASH },
	{ "_25._tcp.odd.dane.test", DNS_TLSA, "1 1 1 " HASH }, { "_25._tcp.odd.dane.test", DNS_TLSA, "3 1 1 abcd" },
	{ "_25._tcp.broken.dane.test", DNS_TLSA, "!" },
	{ "_mta-sts.sts.test", DNS_TXT, "v=STSv1; id=1" }, { "_mta-sts.try.test", DNS_TXT, "v=STSv1; id=1" },
};

static void fetch(void *arg, const char *url, void (*done)(void *, const struct fetch_result *), void *ctx, struct fetch **out)
{
	struct fetch_result r = { .status = 200, .type = SV("text/plain") };

	(void)arg;
	(void)out;
	r.body = strstr(url, "try.test") ? SV("version: STSv1\nmode: testing\nmax_age: 86400\nmx: mx.sts.test\n")
					 : SV("version: STSv1\nmode: enforce\nmax_age: 86400\nmx: mx.sts.test\n");
	done(ctx, &r);
}

static struct tlspolicy_answer *got;

static void on_answer(void *arg, struct tlspolicy_answer *answer)
{
	(void)arg;
	assert_null(got);
	got = answer;
}

/* ask - the answer is in got until the next question. */
static void ask(struct dns_table *t, struct tlspolicy *tp, const struct tlspolicy_question *question)
{
	tlspolicy_answer_free(&got);
	tlspolicy_ask(tp, question, on_answer, NULL, NULL);
	assert_null(got);
	for (int i = 0; i < 2000 && !got; i++)
		loop_run_once(t->loop, 5);
	assert_non_null(got);
}

#define ASK(dom, hst, secure, ...) ask(t, tp, &(struct tlspolicy_question){ .domain = SV(dom), .host = SV(hst), .port = 25, \
						.is_secure = (secure), __VA_ARGS__ })

static struct tlspolicy *tp;
static struct sts *sts;
static char folder[64];

static int setup(void **state)
{
	struct dns_table *t;

	memcpy(folder, "/tmp/tlspolicy_test.XXXXXX", 27);
	if (!mkdtemp(folder) || dns_table_setup(state, rows, ARRAY_LEN(rows)))
		return -1;
	t = *state;
	t->is_secure = true;
	sts = sts_new(t->loop, t->dns, folder, 443, fetch, NULL);
	tp = tlspolicy_new(t->loop, t->dns, sts);
	return 0;
}

static int teardown(void **state)
{
	char path[200];

	tlspolicy_answer_free(&got);
	tlspolicy_free(&tp);
	sts_free(&sts);
	snprintf(path, sizeof(path), "%s/sts.test", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/try.test", folder);
	unlink(path);
	rmdir(folder);
	return dns_table_teardown(state);
}

static void secure_tlsa_records_bind(void **state)
{
	struct dns_table *t = *state;

	ASK("dane.test", "mx.dane.test.", true);
	assert_int_equal(got->kind, TLSPOLICY_VERIFY);
	assert_int_equal(got->source, TLSPOLICY_DANE);
	assert_int_equal(got->expect.trust, TLS_TRUST_DANE);
	assert_int_equal(got->expect.dane_count, 2);    /* usage 1 is not for SMTP */
	assert_int_equal(got->expect.name_count, 2);
	assert_string_equal(got->expect.names[0], "mx.dane.test");
	assert_string_equal(got->expect.names[1], "dane.test");
	assert_string_equal(got->expect.sni, "mx.dane.test");
	assert_int_equal(got->expect.dane[0].data.len, 32);
}

static void unusable_records_still_ask_for_tls(void **state)
{
	struct dns_table *t = *state;

	ASK("dane.test", "odd.dane.test", true);
	assert_int_equal(got->kind, TLSPOLICY_MUST);
	assert_int_equal(got->expect.trust, TLS_TRUST_ANY);
}

static void a_lookup_that_fails_is_no_absence(void **state)
{
	struct dns_table *t = *state;

	ASK("dane.test", "broken.dane.test", true);
	assert_int_equal(got->kind, TLSPOLICY_PASS_OVER);
	assert_string_equal(got->status, "4.7.5");
	assert_string_equal(got->text, "the TLSA record of broken.dane.test cannot be looked up: SERVFAIL");
}

static void records_that_nobody_proves_mean_nothing(void **state)
{
	struct dns_table *t = *state;

	ASK("dane.test", "mx.dane.test", false);        /* the way to the host is not secure */
	assert_int_equal(got->kind, TLSPOLICY_MAY);
	t->is_secure = false;                           /* the record is not */
	ASK("dane.test", "mx.dane.test", true);
	assert_int_equal(got->kind, TLSPOLICY_MAY);
}

static void a_policy_names_hosts_and_wants_them_verified(void **state)
{
	struct dns_table *t = *state;

	ASK("sts.test", "mx.sts.test", false);
	assert_int_equal(got->kind, TLSPOLICY_VERIFY);
	assert_int_equal(got->source, TLSPOLICY_STS);
	assert_int_equal(got->expect.trust, TLS_TRUST_NAMES);
	assert_int_equal(got->expect.name_count, 1);
	assert_string_equal(got->expect.names[0], "mx.sts.test");
	ASK("sts.test", "evil.test", false);
	assert_int_equal(got->kind, TLSPOLICY_PASS_OVER);
	assert_string_equal(got->text, "evil.test is not among the hosts of the policy of sts.test (MTA-STS)");
	ASK("try.test", "evil.test", false);
	assert_int_equal(got->kind, TLSPOLICY_MAY);
	assert_true(got->is_testing);
	ASK("sts.test", "mx.dane.test", true);          /* DANE comes first (RFC 8461 §2) */
	assert_int_equal(got->source, TLSPOLICY_DANE);
}

static void a_sender_may_want_more_or_nothing(void **state)
{
	struct dns_table *t = *state;

	ASK("plain.test", "mx.plain.test", true, .wants_verified = true);
	assert_int_equal(got->kind, TLSPOLICY_VERIFY);
	assert_int_equal(got->expect.trust, TLS_TRUST_NAMES);
	ASK("plain.test", "mx.plain.test", false, .wants_verified = true);
	assert_int_equal(got->kind, TLSPOLICY_PASS_OVER);
	assert_string_equal(got->status, "5.7.30");
	ASK("sts.test", "evil.test", false, .wants_none = true);
	assert_int_equal(got->kind, TLSPOLICY_MAY);
	ASK("[192.0.2.1]", "", false);
	assert_int_equal(got->kind, TLSPOLICY_MAY);
	assert_null(got->expect.sni);
}

static void what_is_forgotten_stays_silent(void **state)
{
	struct dns_table *t = *state;
	struct tlspolicy_query *q = NULL, *r = NULL;
	struct tlspolicy_question question = { .domain = SV("dane.test"), .host = SV("mx.dane.test"), .port = 25,
					       .is_secure = true };

	tlspolicy_answer_free(&got);
	tlspolicy_ask(tp, &question, on_answer, NULL, &q);
	tlspolicy_ask(tp, &question, on_answer, NULL, &r);
	tlspolicy_forget(&q);
	assert_null(q);
	tlspolicy_free(&tp);
	assert_null(r);
	for (int i = 0; i < 20; i++)
		loop_run_once(t->loop, 1);
	assert_null(got);
}

#define ASKED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ASKED(secure_tlsa_records_bind),
		ASKED(unusable_records_still_ask_for_tls),
		ASKED(a_lookup_that_fails_is_no_absence),
		ASKED(records_that_nobody_proves_mean_nothing),
		ASKED(a_policy_names_hosts_and_wants_them_verified),
		ASKED(a_sender_may_want_more_or_nothing),
		ASKED(what_is_forgotten_stays_silent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
