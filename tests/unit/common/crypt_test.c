/* Digests, keyed digests, verifiers, base64: against the test vectors of their standards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/crypt.h"
#include "common/memory.h"
#include "common/transfer.h"

static void assert_hex(const uint8_t *got, size_t len, const char *expected)
{
	char hex[2 * CRYPT_HASH_MAX + 1];

	crypt_hex(got, len, hex);
	assert_string_equal(hex, expected);
}

static void digests_match_fips_180(void **state)
{
	static const struct { enum crypt_hash hash; const char *hex;
	} cases[] = {
		{ CRYPT_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d" },
		{ CRYPT_SHA256,
		  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ CRYPT_SHA512,
		  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		  "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
	};
	uint8_t out[CRYPT_HASH_MAX];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(crypt_digest(cases[i].hash, SV("abc"), out),
		                 crypt_hash_len(cases[i].hash));
		assert_hex(out, crypt_hash_len(cases[i].hash), cases[i].hex);
		struct crypt_digest *d = crypt_digest_new(cases[i].hash);
		crypt_digest_add(d, SV("a"));
		crypt_digest_get(d, out);       /* a look in between changes nothing */
		crypt_digest_add(d, SV(""));
		crypt_digest_add(d, SV_NONE);
		crypt_digest_add(d, SV("bc"));
		assert_hex(out, crypt_digest_get(d, out), cases[i].hex);
		crypt_digest_free(&d);
		assert_null(d);
		crypt_digest_free(&d);
	}
}

static void hmac_matches_rfc_4231(void **state)
{
	uint8_t out[CRYPT_HASH_MAX];
	(void)state;
	assert_int_equal(
		crypt_hmac(CRYPT_SHA256, SV("Jefe"), SV("what do ya want for nothing?"), out), 32);
	assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	/* RFC 4231 has no empty key; Python's hmac module gave this one. */
	crypt_hmac(CRYPT_SHA256, SV_NONE, SV_NONE, out);
	assert_hex(out, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void pbkdf2_matches_rfc_6070(void **state)
{
	uint8_t out[CRYPT_HASH_MAX];
	(void)state;
	crypt_pbkdf2(CRYPT_SHA1, SV("password"), SV("salt"), 4096, out, 20);
	assert_hex(out, 20, "4b007901b765489abead49d926f721d065a429c1");
	crypt_pbkdf2(CRYPT_SHA1, SV("pass\0word"), SV("sa\0lt"), 4096, out, 16);
	assert_hex(out, 16, "56fa6aa75548099dcc37d7f03425e0c3");
}

/* RFC 7677 §3 gives a whole exchange for user "user", password "pencil": the proof and the server's
 * signature must follow from what we would have stored. */
static void scram_keys_match_rfc_7677(void **state)
{
	struct buf salt, proof, want;
	struct sv auth = SV("n=user,r=rOprNGfwEbeRWgbNEkqO,"
	                    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	                    "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
	                    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
	uint8_t out[CRYPT_HASH_MAX], key[CRYPT_HASH_MAX];
	(void)state;
	buf_init(&salt, 100);
	buf_init(&proof, 100);
	buf_init(&want, 100);
	assert_true(base64_decode(SV("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt));
	assert_true(base64_decode(SV("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), &proof));
	assert_true(base64_decode(SV("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), &want));
	struct scram_keys keys = crypt_scram_keys(CRYPT_SHA256, SV("pencil"), buf_sv(&salt), 4096);
	assert_int_equal(keys.len, 32);
	crypt_hmac(CRYPT_SHA256, sv_from((char *)keys.server, 32), auth, out);
	assert_memory_equal(out, want.p, 32);
	crypt_hmac(CRYPT_SHA256, sv_from((char *)keys.stored, 32), auth, out);
	for (size_t i = 0; i < 32; i++)
		key[i] = out[i] ^ (uint8_t)proof.p[i];
	crypt_digest(CRYPT_SHA256, sv_from((char *)key, 32), out);
	assert_memory_equal(out, keys.stored, 32);
	buf_done(&salt);
	buf_done(&proof);
	buf_done(&want);
}

static void random_texts_differ_and_use_their_alphabet_only(void **state)
{
	char a[33], b[33];
	(void)state;
	crypt_random_text(a, 32);
	crypt_random_text(b, 32);
	assert_int_equal(strlen(a), 32);
	assert_string_not_equal(a, b);
	assert_int_equal(strspn(a, "abcdefghijklmnopqrstuvwxyz234567"), 32);
}

static void equality_needs_length_and_octets(void **state)
{
	(void)state;
	assert_true(crypt_eq(SV("abc"), SV("abc")));
	assert_false(crypt_eq(SV("abc"), SV("abd")));
	assert_false(crypt_eq(SV("abc"), SV("abcd")));
	assert_true(crypt_eq(SV_NONE, SV("")));
}

static void new_keys_are_pem_and_a_public_part(void **state)
{
	struct buf pem, public, small;
	(void)state;
	buf_init(&pem, 4096);
	buf_init(&public, 4096);
	buf_init(&small, 40);
	assert_int_equal(crypt_key_new(CRYPT_KEY_ED25519, &pem, &public).kind, FAULT_NONE);
	assert_true(sv_starts(buf_sv(&pem), SV("-----BEGIN PRIVATE KEY-----\n")));
	assert_true(sv_ends(buf_sv(&pem), SV("-----END PRIVATE KEY-----\n")));
	assert_int_equal(public.len, 32);       /* RFC 8463 §3 */
	buf_wipe(&pem);
	buf_clear(&public);
	assert_int_equal(crypt_key_new(CRYPT_KEY_RSA2048, &pem, &public).kind, FAULT_NONE);
	assert_true(sv_starts(buf_sv(&pem), SV("-----BEGIN PRIVATE KEY-----\n")));
	assert_int_equal(public.len,
			 294); /* SubjectPublicKeyInfo of 2048 bits and exponent 65537 */
	assert_int_equal(crypt_key_new(CRYPT_KEY_ED25519, &small, &public).kind, FAULT_LIMIT);
	assert_int_equal(small.len, 0);
	assert_int_equal(public.len, 294);
	buf_wipe(&pem);
	buf_done(&public);
	buf_done(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_match_fips_180),
		cmocka_unit_test(hmac_matches_rfc_4231),
		cmocka_unit_test(pbkdf2_matches_rfc_6070),
		cmocka_unit_test(scram_keys_match_rfc_7677),
		cmocka_unit_test(random_texts_differ_and_use_their_alphabet_only),
		cmocka_unit_test(equality_needs_length_and_octets),
		cmocka_unit_test(new_keys_are_pem_and_a_public_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
