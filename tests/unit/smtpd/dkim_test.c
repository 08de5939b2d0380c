/* Signatures: the message of RFC 8463 Appendix A, and what can be wrong with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtpd/dkim.h"

#define NOW 1528637999

#define ED_HEAD \
	"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n" \
	" d=football.example.com; i=@football.example.com;\r\n" \
	" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n" \
	" subject : date : message-id : from : subject : date;\r\n" \
	" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
#define ED_SIG ED_HEAD \
	" b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n" \
	" Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
#define RSA_SIG \
	"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n" \
	" d=football.example.com; i=@football.example.com;\r\n" \
	" q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n" \
	" date : message-id : from : subject : date;\r\n" \
	" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n" \
	" b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n" \
	" DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n" \
	" dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
#define FIELDS \
	"From: Joe SixPack <joe@football.example.com>\r\n" \
	"To: Suzie Q <suzie@shopping.example.net>\r\n" \
	"Subject: Is dinner ready?\r\n" \
	"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n" \
	"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
#define BODY "\r\nHi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"

#define ED_NAME SV("brisbane._domainkey.football.example.com")
#define RSA_NAME SV("test._domainkey.football.example.com")
#define ED_P "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define RSA_P \
	"p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR" \
	"iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC" \
	"DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3" \
	"Ip3G+2kryOTIKT+l/K4w3QIDAQAB"

static struct dkim_keys *rfc_keys(void)
{
	struct dkim_keys *keys = dkim_keys_new();

	dkim_keys_put(keys, ED_NAME, SV("v=DKIM1; k=ed25519; " ED_P));
	dkim_keys_put(keys, RSA_NAME, SV("v=DKIM1; k=rsa; " RSA_P));
	return keys;
}

/* verify - cut in two; takes the keys. */
static struct dkim_verifier *verify(struct sv text, size_t cut, struct dkim_keys *keys)
{
	struct dkim_verifier *v = dkim_verifier_new(NOW);

	dkim_verifier_feed(v, sv_sub(text, 0, cut));
	dkim_verifier_feed(v, sv_sub(text, cut, text.len));
	dkim_verifier_end(v);
	dkim_verifier_judge(v, keys);
	dkim_keys_free(&keys);
	return v;
}

static void expect(struct sv text, struct dkim_keys *keys, enum dkim_result result, const char *reason)
{
	struct dkim_verifier *v = verify(text, text.len / 2, keys);

	assert_int_equal(dkim_verifier_count(v, NULL), 1);
	assert_string_equal(dkim_verifier_get(v, 0)->reason, reason);
	assert_int_equal(dkim_verifier_get(v, 0)->result, result);
	dkim_verifier_free(&v);
}

static void the_message_of_rfc_8463_verifies_however_it_is_cut(void **state)
{
	struct sv text = SV(ED_SIG RSA_SIG FIELDS BODY);
	(void)state;

	for (size_t cut = 0; cut <= text.len; cut++) {
		struct dkim_verifier *v = verify(text, cut, rfc_keys());
		const struct dkim_signature *s;

		assert_int_equal(dkim_verifier_count(v, NULL), 2);
		s = dkim_verifier_get(v, 0);
		assert_int_equal(s->result, DKIM_PASS);
		assert_true(sv_eq(s->domain, SV("football.example.com")));
		assert_true(sv_eq(s->selector, SV("brisbane")));
		assert_true(sv_eq(s->identity, SV("@football.example.com")));
		assert_true(sv_eq(s->algorithm, SV("ed25519-sha256")));
		assert_true(sv_eq(s->b, SV("/gCrinpc")));
		assert_int_equal(s->key_bits, 256);
		s = dkim_verifier_get(v, 1);
		assert_int_equal(s->result, DKIM_PASS);
		assert_int_equal(s->key_bits, 1024);
		assert_null(dkim_verifier_get(v, 2));
		assert_int_equal(dkim_verifier_arc(v)->result, DKIM_NONE);
		dkim_verifier_free(&v);
	}
}

static void what_relaxed_form_forgives_is_forgiven(void **state)
{
	(void)state;
	expect(SV(ED_SIG "X-New: 1\r\nFROM:\tJoe  SixPack\r\n <joe@football.example.com> \r\n"
		  "To: Suzie Q <suzie@shopping.example.net>\r\n"
		  "Subject: Is dinner ready?\r\n"
		  "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
		  "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
		  "\r\nHi. \r\n\r\nWe lost the game. \t Are you hungry yet?\r\n\r\nJoe.\r\n\r\n\r\n"),
	       rfc_keys(), DKIM_PASS, "");
}

static void a_changed_message_fails(void **state)
{
	(void)state;
	expect(SV(ED_SIG FIELDS BODY "P.S.\r\n"), rfc_keys(), DKIM_FAIL, "the body was changed");
	expect(SV(ED_SIG FIELDS "Subject: another\r\n" BODY), rfc_keys(), DKIM_FAIL,
	       "the header was changed, or the key is another one");
	/* a second From is not signed away: the name is signed twice */
	expect(SV(ED_SIG "From: eve@evil.test\r\n" FIELDS BODY), rfc_keys(), DKIM_FAIL,
	       "the header was changed, or the key is another one");
	expect(SV(ED_HEAD " b=AAAA" FIELDS BODY), rfc_keys(), DKIM_NEUTRAL, "b= is no signature");
}

static void keys_that_cannot_be_used_say_why(void **state)
{
	static const struct {
		struct sv record;
		enum dkim_result result;
		const char *reason;
	} cases[] = {
		{ SV_INIT("v=DKIM1; k=ed25519; p="), DKIM_PERMERROR, "its key was revoked" },
		{ SV_INIT("v=DKIM2; k=ed25519; " ED_P), DKIM_PERMERROR, "its key record cannot be read" },
		{ SV_INIT("v=spf1 -all"), DKIM_PERMERROR, "its key record cannot be read" },
		{ SV_INIT(ED_P), DKIM_PERMERROR, "its key is of another kind" },
		{ SV_INIT("k=ed25519; p=AAAA"), DKIM_PERMERROR, "its key cannot be read" },
		{ SV_INIT("k=ed25519; p=?"), DKIM_PERMERROR, "its key cannot be read" },
		{ SV_INIT("k=ed25519; h=sha1; " ED_P), DKIM_PERMERROR, "its key is not for sha256" },
		{ SV_INIT("k=ed25519; s=tlsrpt; " ED_P), DKIM_PERMERROR, "its key is not for mail" },
		{ SV_INIT("k=ed25519; h=sha1:sha256; s=*; t=s; n=note; " ED_P), DKIM_PASS, "" },
	};
	struct dkim_keys *keys;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		keys = dkim_keys_new();
		dkim_keys_put(keys, ED_NAME, cases[i].record);
		expect(SV(ED_SIG FIELDS BODY), keys, cases[i].result, cases[i].reason);
	}
	expect(SV(ED_SIG FIELDS BODY), dkim_keys_new(), DKIM_PERMERROR, "there is no key for it in the DNS");
	keys = dkim_keys_new(); /* of several records the one that fits */
	dkim_keys_put(keys, ED_NAME, SV("v=spf1 -all"));
	dkim_keys_put(keys, ED_NAME, SV("v=DKIM1; k=ed25519; t=y; " ED_P));
	expect(SV(ED_SIG FIELDS BODY), keys, DKIM_PASS, "");
}

#define BAD(tags) SV("DKIM-Signature: " tags "; bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=AAAA\r\n" FIELDS BODY)

static void signatures_that_prove_nothing_say_why(void **state)
{
	(void)state;
	expect(BAD("v=1; a=rsa-sha1; d=a.test; s=x; h=from"), rfc_keys(), DKIM_POLICY,
	       "rsa-sha1 proves nothing any more (RFC 8301)");
	expect(BAD("v=1; a=rsa-md5; d=a.test; s=x; h=from"), rfc_keys(), DKIM_NEUTRAL, "its algorithm is not known");
	expect(BAD("v=1; a=rsa-sha256; d=a.test; s=x; h=from; l=10"), rfc_keys(), DKIM_POLICY,
	       "it covers only part of the body (l=)");
	expect(BAD("v=1; a=rsa-sha256; d=a.test; s=x; h=to:subject"), rfc_keys(), DKIM_PERMERROR, "it does not sign From");
	expect(BAD("v=1; a=rsa-sha256; d=a.test; s=x"), rfc_keys(), DKIM_PERMERROR, "h= is missing");
	expect(BAD("v=2; a=rsa-sha256; d=a.test; s=x; h=from"), rfc_keys(), DKIM_PERMERROR, "its version is not 1");
	expect(BAD("v=1; a=rsa-sha256; d=a.test; h=from"), rfc_keys(), DKIM_PERMERROR, "d= or s= is missing");
	expect(BAD("v=1; a=rsa-sha256; d=a test; s=x; h=from"), rfc_keys(), DKIM_NEUTRAL, "d= or s= is no domain name");
	expect(BAD("v=1; a=rsa-sha256; d=a.test; s=x; h=from; x=1528637990"), rfc_keys(), DKIM_FAIL, "it has expired");
	expect(BAD("v=1; a=rsa-sha256; d=a.test; s=x; h=from; t=1529637990"), rfc_keys(), DKIM_FAIL, "it is from the future");
	expect(BAD("v=1; a=rsa-sha256; d=a.test; s=x; h=from; x=5; t=9"), rfc_keys(), DKIM_NEUTRAL, "x= is no time behind t=");
	expect(BAD("v=1; a=rsa-sha256; d=a.test; s=x; h=from; i=joe@b.test"), rfc_keys(), DKIM_PERMERROR, "i= is outside of d=");
	expect(BAD("v=1; a=rsa-sha256; d=a.test; s=x; h=from; c=loose"), rfc_keys(), DKIM_NEUTRAL, "c= is not known");
	expect(BAD("v=1; a=rsa-sha256; d=a.test; s=20230601; h=from; i=joe@x.a.test; c=simple/relaxed"), rfc_keys(), DKIM_PERMERROR,
	       "there is no key for it in the DNS");
	expect(BAD("v"), rfc_keys(), DKIM_NEUTRAL, "it is no list of tags");
}

static void short_keys_are_not_trusted(void **state)
{
	struct dkim_keys *keys = dkim_keys_new();
	(void)state;

	/* 512 bits: the key of RFC 6376 would be long enough, many old ones are not */
	dkim_keys_put(keys, RSA_NAME,
		      SV("k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMlrWnnynHlv2OAw0++EovIW6YSirF3+"
			 "rJvyGhmr8gt9LDtr2Lx/J8PhxRZyKC/UT2VErxOebrnTt+rETwU3xmcCAwEAAQ=="));
	expect(SV(RSA_SIG FIELDS BODY), keys, DKIM_POLICY, "its key is shorter than 1024 bits (RFC 8301)");
}

static void floods_are_bounded(void **state)
{
	struct dkim_verifier *v = dkim_verifier_new(NOW);
	struct dkim_keys *keys = rfc_keys();
	size_t total;
	(void)state;

	for (int i = 0; i < 100; i++)
		dkim_verifier_feed(v, SV(ED_SIG));
	dkim_verifier_feed(v, SV(FIELDS BODY));
	dkim_verifier_end(v);
	dkim_verifier_judge(v, keys);
	assert_int_equal(dkim_verifier_count(v, &total), DKIM_SIGNATURES_MAX);
	assert_int_equal(total, 100);
	for (size_t i = 0; i < DKIM_SIGNATURES_MAX; i++)
		assert_int_equal(dkim_verifier_get(v, i)->result, DKIM_PASS);
	dkim_verifier_free(&v);

	v = dkim_verifier_new(NOW);     /* a header without end */
	for (int i = 0; i < 3000; i++)
		dkim_verifier_feed(v, SV(ED_SIG));
	dkim_verifier_feed(v, SV(FIELDS BODY));
	dkim_verifier_end(v);
	dkim_verifier_judge(v, keys);
	assert_int_equal(dkim_verifier_count(v, NULL), 0);
	dkim_verifier_free(&v);
	dkim_keys_free(&keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_message_of_rfc_8463_verifies_however_it_is_cut),
		cmocka_unit_test(what_relaxed_form_forgives_is_forgiven),
		cmocka_unit_test(a_changed_message_fails),
		cmocka_unit_test(keys_that_cannot_be_used_say_why),
		cmocka_unit_test(signatures_that_prove_nothing_say_why),
		cmocka_unit_test(short_keys_are_not_trusted),
		cmocka_unit_test(floods_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
