/* Tokens: what proves a login, and that nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include "common/crypt_jwk.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/token.h"
#include "common/transfer.h"

#include "common/banned.h"

#define NOW 1800000000

static const struct token_rules rules = { .issuer = "https://login.example", .audience = "mail", .account_claim = "email" };
static EVP_PKEY *rsa, *p256, *ed25519, *other;

/* ---- an issuer ---- */

static void base64url(struct sv in, struct buf *out)
{
	size_t from = out->len;

	assert_true(base64_encode(in, out));
	while (out->len > from && out->p[out->len - 1] == '=')
		out->len--;
	for (size_t i = from; i < out->len; i++)
		out->p[i] = out->p[i] == '+' ? '-' : out->p[i] == '/' ? '_' : out->p[i];
}

static void add_number(EVP_PKEY *key, const char *name, struct buf *out)
{
	uint8_t octets[2048];
	BIGNUM *n = NULL;

	assert_int_equal(EVP_PKEY_get_bn_param(key, name, &n), 1);
	int len = EVP_PKEY_is_a(key, "EC") ? BN_bn2binpad(n, octets, 32) : BN_bn2bin(n, octets);

	base64url(sv_from((char *)octets, (size_t)len), out);
	BN_free(n);
}

static void add_jwk(EVP_PKEY *key, const char *kid, const char *more, struct buf *out)
{
	uint8_t raw[32];
	size_t len = sizeof(raw);

	buf_appendf(out, "%s{\"kid\":\"%s\"%s,", out->len && out->p[out->len - 1] == '}' ? "," : "", kid, more);
	if (EVP_PKEY_is_a(key, "RSA")) {
		buf_append(out, SV("\"kty\":\"RSA\",\"n\":\""));
		add_number(key, OSSL_PKEY_PARAM_RSA_N, out);
		buf_append(out, SV("\",\"e\":\""));
		add_number(key, OSSL_PKEY_PARAM_RSA_E, out);
	} else if (EVP_PKEY_is_a(key, "EC")) {
		buf_append(out, SV("\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\""));
		add_number(key, OSSL_PKEY_PARAM_EC_PUB_X, out);
		buf_append(out, SV("\",\"y\":\""));
		add_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, out);
	} else {
		assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &len), 1);
		buf_append(out, SV("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\""));
		base64url(sv_from((char *)raw, len), out);
	}
	buf_append(out, SV("\"}"));
}

static struct token_keys *keys_of(struct sv members)
{
	struct token_keys *keys = NULL;
	struct buf text;

	buf_init(&text, TOKEN_KEYS_OCTETS);
	buf_appendf(&text, "{\"keys\":[%.*s]}", SV_FMT(members));
	assert_int_equal(token_keys_parse(buf_sv(&text), &keys).kind, FAULT_NONE);
	buf_done(&text);
	return keys;
}

static struct token_keys *our_keys(void)
{
	struct buf text;

	buf_init(&text, TOKEN_KEYS_OCTETS);
	add_jwk(rsa, "r", ",\"use\":\"sig\",\"alg\":\"RS256\"", &text);
	add_jwk(p256, "e", "", &text);
	add_jwk(ed25519, "d", "", &text);
	struct token_keys *keys = keys_of(buf_sv(&text));

	buf_done(&text);
	assert_int_equal(token_keys_count(keys), 3);
	return keys;
}

static void sign(EVP_PKEY *key, struct sv text, struct buf *out)
{
	uint8_t signature[2048], fixed[64];
	size_t len = sizeof(signature);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, EVP_PKEY_is_a(key, "ED25519") ? NULL : "SHA256", NULL, NULL, key, NULL), 1);
	assert_int_equal(EVP_DigestSign(ctx, signature, &len, (const uint8_t *)text.p, text.len), 1);
	EVP_MD_CTX_free(ctx);
	if (!EVP_PKEY_is_a(key, "EC")) {
		base64url(sv_from((char *)signature, len), out);
		return;
	}
	const uint8_t *p = signature;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);

	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), fixed, 32), 32);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), fixed + 32, 32), 32);
	ECDSA_SIG_free(sig);
	base64url(sv_from((char *)fixed, sizeof(fixed)), out);
}

static void make(EVP_PKEY *key, const char *header, const char *claims, struct buf *out)
{
	buf_clear(out);
	base64url(sv_z(header), out);
	buf_append_c(out, '.');
	base64url(sv_z(claims), out);
	struct sv text = buf_sv(out);

	char *copy = sv_copy_z(text);
	buf_append_c(out, '.');
	if (key)
		sign(key, sv_z(copy), out);
	free(copy);
}

/* check - from a copy of the exact size, so that an octet too far is seen. */
static enum token_verdict check(const struct token_keys *keys, struct sv token, const char *expected)
{
	struct buf account;
	char *copy = xmalloc(token.len ? token.len : 1);

	if (token.len)
		memcpy(copy, token.p, token.len);
	buf_init(&account, 400);
	enum token_verdict verdict = token_check(keys, &rules, sv_from(copy, token.len), NOW, &account);

	assert_true(sv_eq(buf_sv(&account), sv_z(verdict == TOKEN_GOOD ? expected : "")));
	buf_done(&account);
	free(copy);
	return verdict;
}

#define GOOD_CLAIMS "{\"iss\":\"https://login.example\",\"aud\":\"mail\",\"exp\":1800000300,\"email\":\"ann@example.org\"}"

static int set_up(void **state)
{
	(void)state;
	rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	p256 = EVP_EC_gen("P-256");
	other = EVP_EC_gen("P-256");
	ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return rsa && p256 && other && ed25519 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(other);
	EVP_PKEY_free(ed25519);
	return 0;
}

/* ---- behaviours ---- */

static void a_token_by_each_algorithm_names_its_account(void **state)
{
	struct token_keys *keys = our_keys();
	struct buf t;
	(void)state;

	buf_init(&t, TOKEN_MAX);
	make(rsa, "{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"JWT\"}", GOOD_CLAIMS, &t);
	assert_int_equal(check(keys, buf_sv(&t), "ann@example.org"), TOKEN_GOOD);
	make(p256, "{\"alg\":\"ES256\",\"kid\":\"e\",\"typ\":\"at+jwt\"}", GOOD_CLAIMS, &t);
	assert_int_equal(check(keys, buf_sv(&t), "ann@example.org"), TOKEN_GOOD);
	make(ed25519, "{\"alg\":\"EdDSA\",\"kid\":\"d\"}", GOOD_CLAIMS, &t);
	assert_int_equal(check(keys, buf_sv(&t), "ann@example.org"), TOKEN_GOOD);
	make(p256, "{\"alg\":\"ES256\"}", GOOD_CLAIMS, &t);     /* no key id: whichever fits */
	assert_int_equal(check(keys, buf_sv(&t), "ann@example.org"), TOKEN_GOOD);
	buf_done(&t);
	token_keys_free(&keys);
}

static void a_token_cut_anywhere_or_with_another_octet_proves_nothing(void **state)
{
	struct token_keys *keys = our_keys();
	struct buf t;
	(void)state;

	buf_init(&t, TOKEN_MAX);
	make(p256, "{\"alg\":\"ES256\",\"kid\":\"e\"}", GOOD_CLAIMS, &t);
	for (size_t i = 0; i < t.len; i++)
		assert_int_not_equal(check(keys, sv_sub(buf_sv(&t), 0, i), ""), TOKEN_GOOD);
	for (size_t i = 0; i < t.len; i++) {
		char was = t.p[i];

		t.p[i] = was == 'A' ? 'B' : 'A';
		assert_int_not_equal(check(keys, buf_sv(&t), ""), TOKEN_GOOD);
		t.p[i] = was;
	}
	assert_int_equal(check(keys, buf_sv(&t), "ann@example.org"), TOKEN_GOOD);
	buf_append_c(&t, '=');
	assert_int_equal(check(keys, buf_sv(&t), ""), TOKEN_MALFORMED);
	buf_done(&t);
	token_keys_free(&keys);
}

static void headers_that_change_the_rules_are_refused(void **state)
{
	static const struct {
		const char *header;
		enum token_verdict verdict;
	} cases[] = {
		{ "{\"alg\":\"none\"}", TOKEN_UNSUPPORTED },
		{ "{\"alg\":\"None\",\"kid\":\"e\"}", TOKEN_UNSUPPORTED },
		{ "{\"alg\":\"HS256\",\"kid\":\"r\"}", TOKEN_UNSUPPORTED },
		{ "{\"alg\":\"es256\",\"kid\":\"e\"}", TOKEN_UNSUPPORTED },
		{ "{\"alg\":\"PS256\",\"kid\":\"r\"}", TOKEN_UNSUPPORTED },
		{ "{\"alg\":\"RS256\",\"kid\":\"e\"}", TOKEN_UNKNOWN_KEY },     /* a key is good for one algorithm */
		{ "{\"alg\":\"ES256\",\"kid\":\"e\",\"crit\":[\"exp\"]}", TOKEN_UNSUPPORTED },
		{ "{\"alg\":\"ES256\",\"kid\":\"e\",\"typ\":\"logout+jwt\"}", TOKEN_UNSUPPORTED },
		{ "{\"alg\":\"ES256\",\"kid\":\"e\",\"typ\":1}", TOKEN_UNSUPPORTED },
		{ "{\"alg\":\"ES256\",\"kid\":7}", TOKEN_MALFORMED },
		{ "{\"alg\":\"ES256\",\"kid\":\"nobody\"}", TOKEN_UNKNOWN_KEY },
		{ "{\"alg\":\"ES256\",\"alg\":\"none\"}", TOKEN_MALFORMED },
		{ "{\"alg\":7}", TOKEN_UNSUPPORTED },
		{ "{}", TOKEN_UNSUPPORTED },
		{ "[]", TOKEN_MALFORMED },
		{ "", TOKEN_MALFORMED },
	};
	struct token_keys *keys = our_keys();
	struct buf t;
	(void)state;

	buf_init(&t, TOKEN_MAX);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		make(p256, cases[i].header, GOOD_CLAIMS, &t);
		assert_int_equal(check(keys, buf_sv(&t), ""), cases[i].verdict);
	}
	make(NULL, "{\"alg\":\"none\"}", GOOD_CLAIMS, &t);
	assert_int_equal(check(keys, buf_sv(&t), ""), TOKEN_MALFORMED); /* nothing behind the second dot */
	make(other, "{\"alg\":\"ES256\",\"kid\":\"e\"}", GOOD_CLAIMS, &t);
	assert_int_equal(check(keys, buf_sv(&t), ""), TOKEN_FORGED);
	assert_int_equal(check(NULL, buf_sv(&t), ""), TOKEN_UNKNOWN_KEY);
	buf_done(&t);
	token_keys_free(&keys);
}

static void claims_that_do_not_hold_are_told_apart(void **state)
{
#define ISS "{\"iss\":\"https://login.example\","
#define AUD "\"aud\":\"mail\","
#define EXP "\"exp\":1800000300,"
	static const struct {
		const char *claims;
		enum token_verdict verdict;
	} cases[] = {
		{ "{" AUD EXP "\"email\":\"a@b\"}", TOKEN_FOREIGN_ISSUER },
		{ "{\"iss\":\"https://login.example/\"," AUD EXP "\"email\":\"a@b\"}", TOKEN_FOREIGN_ISSUER },
		{ "{\"iss\":[\"https://login.example\"]," AUD EXP "\"email\":\"a@b\"}", TOKEN_FOREIGN_ISSUER },
		{ ISS EXP "\"email\":\"a@b\"}", TOKEN_WRONG_AUDIENCE },
		{ ISS "\"aud\":\"mailman\"," EXP "\"email\":\"a@b\"}", TOKEN_WRONG_AUDIENCE },
		{ ISS "\"aud\":[]," EXP "\"email\":\"a@b\"}", TOKEN_WRONG_AUDIENCE },
		{ ISS "\"aud\":[\"x\",1,\"mail\"]," EXP "\"email\":\"a@b\"}", TOKEN_GOOD },
		{ ISS AUD "\"email\":\"a@b\"}", TOKEN_MALFORMED },
		{ ISS AUD "\"exp\":\"1800000300\",\"email\":\"a@b\"}", TOKEN_MALFORMED },
		{ ISS AUD "\"exp\":1799999940,\"email\":\"a@b\"}", TOKEN_EXPIRED },
		{ ISS AUD "\"exp\":1799999941,\"email\":\"a@b\"}", TOKEN_GOOD },        /* clocks differ */
		{ ISS AUD "\"exp\":-9223372036854775808,\"email\":\"a@b\"}", TOKEN_EXPIRED },
		{ ISS AUD EXP "\"nbf\":1800000060,\"email\":\"a@b\"}", TOKEN_GOOD },
		{ ISS AUD EXP "\"nbf\":1800000061,\"email\":\"a@b\"}", TOKEN_NOT_YET },
		{ ISS AUD EXP "\"nbf\":9223372036854775807,\"email\":\"a@b\"}", TOKEN_NOT_YET },
		{ ISS AUD EXP "\"nbf\":null,\"email\":\"a@b\"}", TOKEN_MALFORMED },
		{ ISS AUD EXP "\"sub\":\"a@b\"}", TOKEN_NO_ACCOUNT },
		{ ISS AUD EXP "\"email\":\"\"}", TOKEN_NO_ACCOUNT },
		{ ISS AUD EXP "\"email\":[\"a@b\"]}", TOKEN_NO_ACCOUNT },
		{ ISS AUD EXP "\"email\":\"a@b\\r\"}", TOKEN_NO_ACCOUNT },
		{ ISS AUD EXP "\"email\":\"a@b\",\"email_verified\":false}", TOKEN_NO_ACCOUNT },
		{ ISS AUD EXP "\"email\":\"a@b\",\"email_verified\":\"false\"}", TOKEN_NO_ACCOUNT },
		{ ISS AUD EXP "\"email\":\"a@b\",\"email_verified\":0}", TOKEN_NO_ACCOUNT },
		{ ISS AUD EXP "\"email\":\"a@b\",\"email_verified\":true}", TOKEN_GOOD },
		{ ISS AUD EXP "\"email\":\"a@b\"", TOKEN_MALFORMED },
	};
	struct token_keys *keys = our_keys();
	struct buf t;
	(void)state;

	buf_init(&t, TOKEN_MAX);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		make(ed25519, "{\"alg\":\"EdDSA\",\"kid\":\"d\"}", cases[i].claims, &t);
		enum token_verdict verdict = check(keys, buf_sv(&t), "a@b");

		if (verdict != cases[i].verdict)
			fail_msg("%s: %s", cases[i].claims, token_verdict_name(verdict));
	}
	buf_done(&t);
	token_keys_free(&keys);
}

static void keys_that_are_weak_or_for_something_else_are_left_out(void **state)
{
	EVP_PKEY *weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	static const char *const useless[] = {
		"{\"kty\":\"oct\",\"k\":\"AAAA\"}", "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "{\"kty\":\"RSA\"}", "{}", "7",
		"{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"}", "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}",
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}",
		("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
		 "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"),
	};
	struct token_keys *keys = NULL;
	struct buf text;
	(void)state;

	buf_init(&text, TOKEN_KEYS_OCTETS);
	add_jwk(weak, "w", "", &text);
	add_jwk(rsa, "x", ",\"use\":\"enc\"", &text);
	add_jwk(rsa, "y", ",\"alg\":\"RS512\"", &text);
	for (size_t i = 0; i < ARRAY_LEN(useless); i++)
		buf_appendf(&text, ",%s", useless[i]);
	char *list = sv_copy_z(buf_sv(&text));

	buf_clear(&text);
	buf_appendf(&text, "{\"keys\":[%s]}", list);
	assert_int_equal(token_keys_parse(buf_sv(&text), &keys).kind, FAULT_INVALID);
	buf_clear(&text);
	add_jwk(p256, "e", "", &text);
	buf_appendf(&text, ",%s", list);
	keys = keys_of(buf_sv(&text));
	assert_int_equal(token_keys_count(keys), 1);
	token_keys_free(&keys);
	assert_int_equal(token_keys_parse(SV("{\"keys\":{}}"), &keys).kind, FAULT_INVALID);
	assert_int_equal(token_keys_parse(SV("[]"), &keys).kind, FAULT_INVALID);
	assert_int_equal(token_keys_parse(SV(""), &keys).kind, FAULT_INVALID);
	free(list);
	buf_done(&text);
	EVP_PKEY_free(weak);
}

static void an_exponent_of_one_is_no_key(void **state)
{
	char modulus[256];
	struct jwk *key = NULL;
	(void)state;

	memset(modulus, 0xff, sizeof(modulus));
	assert_int_equal(jwk_rsa(sv_from(modulus, sizeof(modulus)), SV("\x01"), &key).kind, FAULT_INVALID);
	assert_int_equal(jwk_rsa(sv_from(modulus, sizeof(modulus)), SV("\x02"), &key).kind, FAULT_INVALID);
	assert_int_equal(jwk_rsa(sv_from(modulus, sizeof(modulus)), SV(""), &key).kind, FAULT_INVALID);
	assert_int_equal(jwk_rsa(sv_from(modulus, sizeof(modulus)), SV("\x01\x00\x01"), &key).kind, FAULT_NONE);
	assert_false(jwk_verify(key, SV("text"), sv_from(modulus, sizeof(modulus))));
	assert_false(jwk_verify(key, SV("text"), SV("")));
	jwk_free(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_by_each_algorithm_names_its_account),
		cmocka_unit_test(a_token_cut_anywhere_or_with_another_octet_proves_nothing),
		cmocka_unit_test(headers_that_change_the_rules_are_refused),
		cmocka_unit_test(claims_that_do_not_hold_are_told_apart),
		cmocka_unit_test(keys_that_are_weak_or_for_something_else_are_left_out),
		cmocka_unit_test(an_exponent_of_one_is_no_key),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
