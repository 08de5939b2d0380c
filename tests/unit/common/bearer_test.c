/* What OAUTHBEARER and XOAUTH2 send: taken whole, and nothing that only looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/bearer.h"
#include "common/json.h"
#include "common/memory.h"

#include "common/banned.h"

static bool parse(enum bearer_kind kind, struct sv message, const char *user, const char *token)
{
	char *copy = xmalloc(message.len ? message.len : 1);
	struct buf name;
	struct sv found;

	if (message.len)
		memcpy(copy, message.p, message.len);
	buf_init(&name, 100);
	bool good = !bearer_parse(kind, sv_from(copy, message.len), &name, &found).kind;

	if (good) {
		assert_true(sv_eq(buf_sv(&name), sv_z(user)));
		assert_true(sv_eq(found, sv_z(token)));
	}
	buf_done(&name);
	free(copy);
	return good;
}

/* Two literals, since \x01 would go on with hexadecimal digits behind it. */
#define A "\x01"

static void the_examples_of_the_standard_are_taken(void **state)
{
	(void)state;
	assert_true(parse(BEARER_OAUTHBEARER, SV("n,a=user@example.com," A "host=server.example.com" A "port=143" A "auth=Bearer "
						 "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==" A A),
			  "user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="));
	assert_true(parse(BEARER_OAUTHBEARER, SV("n,," A "auth=bearer t" A A), "", "t"));
	assert_true(parse(BEARER_OAUTHBEARER, SV("y,a=a=2Cb=3Dc," A "auth=Bearer t" A "x=" A A), "a,b=c", "t"));
	assert_true(parse(BEARER_XOAUTH2, SV("user=someuser@example.com" A "auth=Bearer ya29.vF9" A A), "someuser@example.com", "ya29.vF9"));
	assert_true(parse(BEARER_XOAUTH2, SV("auth=Bearer t" A "user=u" A A), "u", "t"));
}

static void a_message_cut_anywhere_is_none(void **state)
{
	static const struct sv whole[] = {
		SV_INIT("n,a=user," A "host=h" A "auth=Bearer token" A A), SV_INIT("user=user" A "auth=Bearer token" A A),
	};
	(void)state;

	for (size_t k = 0; k < ARRAY_LEN(whole); k++) {
		enum bearer_kind kind = k ? BEARER_XOAUTH2 : BEARER_OAUTHBEARER;

		assert_true(parse(kind, whole[k], "user", "token"));
		for (size_t i = 0; i < whole[k].len; i++)
			assert_false(parse(kind, sv_sub(whole[k], 0, i), "", ""));
	}
}

static void what_only_looks_like_it_is_refused(void **state)
{
	static const struct sv bearer[] = {
		SV_INIT(""), SV_INIT(A), SV_INIT(A A), SV_INIT("n,," A A), SV_INIT("n,a=," A "auth=Bearer t" A A),
		SV_INIT("p=tls-exporter,," A "auth=Bearer t" A A), SV_INIT("n," A "auth=Bearer t" A A), SV_INIT("n" A "auth=Bearer t" A A),
		SV_INIT("n,,x" A "auth=Bearer t" A A), SV_INIT("n,a=u" A "auth=Bearer t" A A), SV_INIT("n,a=u,v," A "auth=Bearer t" A A),
		SV_INIT("n,a=u=2," A "auth=Bearer t" A A), SV_INIT("n,," A "auth=Basic dDp0" A A), SV_INIT("n,," A "auth=Bearer " A A),
		SV_INIT("n,," A "auth=Bearer a b" A A), SV_INIT("n,," A "auth=Bearer t" A "auth=Bearer u" A A),
		SV_INIT("n,," A "auth=Bearer t" A A "x"), SV_INIT("n,," A "auth=Bearer t" A A A), SV_INIT("n,," A "=x" A "auth=Bearer t" A A),
		SV_INIT("n,," A "a1=x" A "auth=Bearer t" A A), SV_INIT("n,," A "auth=Bearer t\0" A A), SV_INIT("n,," A "word" A "auth=Bearer t" A A),
		SV_INIT("user=u" A "auth=Bearer t" A A),
	};
	static const struct sv xoauth2[] = {
		SV_INIT("auth=Bearer t" A A), SV_INIT("user=" A "auth=Bearer t" A A), SV_INIT("user=u" A "user=v" A "auth=Bearer t" A A),
		SV_INIT("n,a=u," A "auth=Bearer t" A A), SV_INIT("user=u" A A),
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(bearer); i++)
		if (parse(BEARER_OAUTHBEARER, bearer[i], "", ""))
			fail_msg("OAUTHBEARER, case %zu", i);
	for (size_t i = 0; i < ARRAY_LEN(xoauth2); i++)
		if (parse(BEARER_XOAUTH2, xoauth2[i], "", ""))
			fail_msg("XOAUTH2, case %zu", i);
}

static void a_refusal_says_where_a_token_is_to_be_had(void **state)
{
	struct json *j = NULL;
	struct buf text;
	struct sv value;
	(void)state;

	buf_init(&text, 1000);
	bearer_refusal(BEARER_OAUTHBEARER, "https://login.example/realm/", &text);
	assert_int_equal(json_parse(buf_sv(&text), &j).kind, FAULT_NONE);
	assert_true(json_get_sv(j, "status", &value) && sv_eq(value, SV("invalid_token")));
	assert_true(json_get_sv(j, "openid-configuration", &value));
	assert_true(sv_eq(value, SV("https://login.example/realm/.well-known/openid-configuration")));
	json_free(&j);
	buf_clear(&text);
	bearer_refusal(BEARER_XOAUTH2, "https://login.example", &text);
	assert_int_equal(json_parse(buf_sv(&text), &j).kind, FAULT_NONE);
	assert_true(json_get_sv(j, "status", &value) && sv_eq(value, SV("401")));
	json_free(&j);
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_standard_are_taken),
		cmocka_unit_test(a_message_cut_anywhere_is_none),
		cmocka_unit_test(what_only_looks_like_it_is_refused),
		cmocka_unit_test(a_refusal_says_where_a_token_is_to_be_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
