/* MTA-STS: what a policy says, and which one is in force whatever DNS and HTTPS do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory.h"
#include "smtpd/fetch.h"
#include "smtpd/sts.h"
#include "tests/unit/support/dns_table.h"

#define HEAD "version: STSv1\r\nmode: enforce\r\nmax_age: 604800\r\n"

static void policies_are_read(void **state)
{
	struct sts_policy *p = xcalloc(1, sizeof(*p));
	(void)state;

	assert_true(sts_policy_parse(SV(HEAD "mx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\n"), p));
	assert_int_equal(p->mode, STS_ENFORCE);
	assert_int_equal(p->max_age_s, 604800);
	assert_int_equal(p->mx_count, 3);
	/* LF, blank lines, white space, keys of tomorrow, no line end, an age beyond the limit */
	assert_true(sts_policy_parse(SV("version:STSv1\n\nmode :  testing \nnew-key: x: y\nmax_age:\t99999999\nmx:a.b"), p));
	assert_int_equal(p->mode, STS_TESTING);
	assert_int_equal(p->max_age_s, STS_AGE_MAX_S);
	assert_true(sts_policy_parse(SV("version: STSv1\nmode: none\nmax_age: 0\n"), p));
	/* of what may stand once, the first counts */
	assert_true(sts_policy_parse(SV(HEAD "mx: a.b\nmode: none\n"), p));
	assert_int_equal(p->mode, STS_ENFORCE);
	free(p);
}

static void what_is_no_policy_is_refused(void **state)
{
	static const struct sv bad[] = {
		SV_INIT(""), SV_INIT(HEAD), SV_INIT("mode: enforce\nmax_age: 1\nmx: a.b\n"),
		SV_INIT("version: STSv2\nmode: enforce\nmax_age: 1\nmx: a.b\n"), SV_INIT("version: STSv1\nmax_age: 1\nmx: a.b\n"),
		SV_INIT("version: STSv1\nmode: enforce\nmx: a.b\n"), SV_INIT("version: STSv1\nmode: Enforce\nmax_age: 1\nmx: a.b\n"),
		SV_INIT("version: STSv1\nmode: enforce\nmax_age: -1\nmx: a.b\n"),
		SV_INIT("version: STSv1\nmode: enforce\nmax_age: 99999999999\nmx: a.b\n"), SV_INIT(HEAD "mx: a..b\n"), SV_INIT(HEAD "mx: a.b..\n"),
		SV_INIT(HEAD "mx: *.*.b\n"), SV_INIT(HEAD "mx: a*.b\n"), SV_INIT(HEAD "mx: \n"), SV_INIT(HEAD "mx: a.b\nno colon\n"),
		SV_INIT(HEAD "mx: a\0b\n"), SV_INIT("<html>"),
	};
	struct sts_policy *p = xcalloc(1, sizeof(*p));
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(sts_policy_parse(bad[i], p));
		assert_int_equal(p->mx_count, 0);
	}
	free(p);
}

static void a_star_is_one_label(void **state)
{
	struct sts_policy *p = xcalloc(1, sizeof(*p));
	(void)state;

	assert_true(sts_policy_parse(SV(HEAD "mx: mail.example.com\nmx: *.example.net\n"), p));
	assert_true(sts_policy_allows(p, SV("MAIL.example.com.")));
	assert_true(sts_policy_allows(p, SV("a.Example.Net")));
	assert_false(sts_policy_allows(p, SV("a.b.example.net")));
	assert_false(sts_policy_allows(p, SV("example.net")));
	assert_false(sts_policy_allows(p, SV(".example.net")));
	assert_false(sts_policy_allows(p, SV("x.mail.example.com")));
	assert_false(sts_policy_allows(p, SV("")));
	free(p);
}

static void records_are_read(void **state)
{
	static const struct sv bad[] = {
		SV_INIT(""), SV_INIT("v=STSv1"), SV_INIT("v=STSv1; id=;"), SV_INIT("v=STSv1; id=a-b;"), SV_INIT("id=1; v=STSv1"),
		SV_INIT("v=STSv1; id=123456789012345678901234567890123"), SV_INIT("v=STSv12; id=1"), SV_INIT("v=spf1 -all"),
	};
	char id[STS_ID_MAX + 1];
	(void)state;

	assert_true(sts_record_parse(SV("v=STSv1; id=20160831085700Z;"), id));
	assert_string_equal(id, "20160831085700Z");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(sts_record_parse(bad[i], id));
}

/* ---- looked up ---- */

static struct dns_row rows[] = {
	{ "_mta-sts.a.test", DNS_TXT, "v=STSv1; id=1" },
	{ "_mta-sts.two.test", DNS_TXT, "v=STSv1; id=1" }, { "_mta-sts.two.test", DNS_TXT, "v=STSv1; id=2" },
	{ "_mta-sts.down.test", DNS_TXT, "!" },
};

/* HTTPS of this test. */
static struct {
	struct fetch_result result;
	size_t count;
	void (*done)(void *ctx, const struct fetch_result *result);
	void *ctx;
	char url[400];
} web;
static char folder[64];

static void fetch(void *arg, const char *url, void (*done)(void *, const struct fetch_result *), void *ctx, struct fetch **out)
{
	(void)arg;
	(void)out;
	web.count++;
	web.done = done;
	web.ctx = ctx;
	snprintf(web.url, sizeof(web.url), "%s", url);
}

static struct {
	size_t count;
	bool has_policy;
	enum sts_mode mode;
	const char *problem;
} told;

static void on_policy(void *arg, const struct sts_policy *policy, const char *problem)
{
	(void)arg;
	told.count++;
	told.has_policy = policy != NULL;
	told.mode = policy ? policy->mode : STS_NONE;
	told.problem = problem;
}

/* ask - and wait for the answer, giving HTTPS its own on the way. */
static void ask(struct dns_table *t, struct sts *sts, struct sv domain)
{
	size_t before = told.count;

	sts_find(sts, domain, on_policy, NULL, NULL);
	assert_int_equal(told.count, before);
	for (int i = 0; i < 2000 && told.count == before; i++) {
		loop_run_once(t->loop, 5);
		if (web.done) {
			void (*done)(void *, const struct fetch_result *) = web.done;

			web.done = NULL;
			done(web.ctx, &web.result);
		}
	}
	assert_int_equal(told.count, before + 1);
}

static void serve(struct sv body, uint32_t status)
{
	web.result = (struct fetch_result){ .status = status, .type = SV("text/plain; charset=utf-8"), .body = body };
	web.count = 0;
}

static int setup(void **state)
{
	memcpy(folder, "/tmp/sts_test.XXXXXX", 21);
	memset(&web, 0, sizeof(web));
	rows[0].data = "v=STSv1; id=1";
	return mkdtemp(folder) ? dns_table_setup(state, rows, ARRAY_LEN(rows)) : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	dns_table_teardown(state);
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void a_policy_is_fetched_once_and_survives_a_restart(void **state)
{
	struct dns_table *t = *state;
	struct sts *sts = sts_new(t->loop, t->dns, folder, 443, fetch, NULL);

	serve(SV(HEAD "mx: mx.a.test\r\n"), 200);
	ask(t, sts, SV("a.test"));
	assert_true(told.has_policy && told.mode == STS_ENFORCE && !told.problem);
	assert_string_equal(web.url, "https://mta-sts.a.test/.well-known/mta-sts.txt");
	ask(t, sts, SV("a.test"));
	assert_int_equal(web.count, 1);
	sts_free(&sts);
	sts = sts_new(t->loop, t->dns, folder, 443, fetch, NULL);
	rows[0].data = "!";             /* now somebody keeps the record away */
	ask(t, sts, SV("a.test"));
	assert_true(told.has_policy && told.mode == STS_ENFORCE);
	assert_int_equal(web.count, 1);
	rows[0].data = "v=none";        /* or says that there is none */
	loop_skip_ms(t->loop, 3600000);
	ask(t, sts, SV("a.test"));
	assert_true(told.has_policy);
	sts_free(&sts);
}

static void a_new_id_brings_the_new_policy_or_leaves_the_old(void **state)
{
	struct dns_table *t = *state;
	struct sts *sts = sts_new(t->loop, t->dns, folder, 443, fetch, NULL);

	serve(SV(HEAD "mx: mx.a.test\r\n"), 200);
	ask(t, sts, SV("a.test"));
	rows[0].data = "v=STSv1; id=2";
	serve(SV("gone"), 404);
	loop_skip_ms(t->loop, 3600000);
	ask(t, sts, SV("a.test"));
	assert_true(told.has_policy && told.mode == STS_ENFORCE);
	assert_string_equal(told.problem, "sts-policy-fetch-error");
	serve(SV("<html>"), 200);
	ask(t, sts, SV("a.test"));      /* not again so soon */
	assert_int_equal(web.count, 0);
	loop_skip_ms(t->loop, 600000);
	ask(t, sts, SV("a.test"));
	assert_string_equal(told.problem, "sts-policy-invalid");
	assert_true(told.mode == STS_ENFORCE);
	serve(SV("version: STSv1\nmode: none\nmax_age: 60\n"), 200);
	loop_skip_ms(t->loop, 600000);
	ask(t, sts, SV("a.test"));
	assert_true(told.has_policy && told.mode == STS_NONE && !told.problem);
	sts_free(&sts);
}

static void without_a_policy_there_is_none(void **state)
{
	struct dns_table *t = *state;
	struct sts *sts = sts_new(t->loop, t->dns, folder, 443, fetch, NULL);
	static const struct sv names[] = { SV_INIT("b.test"), SV_INIT("two.test"), SV_INIT("down.test"), SV_INIT("[192.0.2.1]"),
					   SV_INIT("../x"), SV_INIT("") };

	serve(SV("x"), 404);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		ask(t, sts, names[i]);
		assert_false(told.has_policy);
	}
	assert_int_equal(web.count, 0);
	ask(t, sts, SV("a.test"));
	assert_false(told.has_policy);
	assert_string_equal(told.problem, "sts-policy-fetch-error");
	web.result.type = SV("text/html");      /* RFC 8461 §3.2: text/plain */
	web.result.status = 200;
	web.result.body = SV(HEAD "mx: mx.a.test\r\n");
	loop_skip_ms(t->loop, 600000);
	ask(t, sts, SV("a.test"));
	assert_false(told.has_policy);
	sts_free(&sts);
}

static void an_expired_policy_is_none(void **state)
{
	struct dns_table *t = *state;
	struct sts *sts = sts_new(t->loop, t->dns, folder, 443, fetch, NULL);

	serve(SV("version: STSv1\nmode: enforce\nmax_age: 0\nmx: mx.a.test\n"), 200);
	ask(t, sts, SV("a.test"));
	assert_false(told.has_policy);
	sts_free(&sts);
}

static void what_is_forgotten_stays_silent(void **state)
{
	struct dns_table *t = *state;
	struct sts *sts = sts_new(t->loop, t->dns, folder, 443, fetch, NULL);
	struct sts_query *q = NULL, *r = NULL;
	size_t before = told.count;

	sts_find(sts, SV("b.test"), on_policy, NULL, &q);
	sts_find(sts, SV("b.test"), on_policy, NULL, &r);
	sts_forget(&q);
	assert_null(q);
	sts_forget(&q);
	sts_free(&sts);                 /* with a job under way */
	assert_null(r);
	for (int i = 0; i < 20; i++)
		loop_run_once(t->loop, 1);
	assert_int_equal(told.count, before);
}

#define LOOKED_UP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policies_are_read),
		cmocka_unit_test(what_is_no_policy_is_refused),
		cmocka_unit_test(a_star_is_one_label),
		cmocka_unit_test(records_are_read),
		LOOKED_UP(a_policy_is_fetched_once_and_survives_a_restart),
		LOOKED_UP(a_new_id_brings_the_new_policy_or_leaves_the_old),
		LOOKED_UP(without_a_policy_there_is_none),
		LOOKED_UP(an_expired_policy_is_none),
		LOOKED_UP(what_is_forgotten_stays_silent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
