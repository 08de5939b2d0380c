#include "common/crypt_jwk.h"

#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "common/memory.h"

#include "common/banned.h"

#define EXPONENT_MAX 8                  /* octets; everybody's is 65537 */

struct jwk {
	EVP_PKEY *key;
	enum jwk_algorithm algorithm;
};

static const uint8_t *octets(struct sv s)
{
	return (const uint8_t *)s.p;
}

static struct fault take(EVP_PKEY *key, enum jwk_algorithm algorithm, struct jwk **out)
{
	ERR_clear_error();
	if (!key)
		return fault(FAULT_INVALID, "not a public key");
	*out = xmalloc(sizeof(**out));
	**out = (struct jwk){ key, algorithm };
	return FAULT_OK;
}

/* make - a public key from its parts. NULL: it is none. */
static EVP_PKEY *make(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (!ctx)
		BUG("no context for a key");
	if (!params || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

struct fault jwk_rsa(struct sv modulus, struct sv exponent, struct jwk **out)
{
	BIGNUM *n = NULL, *e = NULL;
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	if (!build)
		BUG("no memory for a key");
	if (modulus.len >= JWK_RSA_BITS_MIN / 8 && modulus.len <= JWK_RSA_BITS_MAX / 8 + 1 && exponent.len &&
	    exponent.len <= EXPONENT_MAX) {
		n = BN_bin2bn(octets(modulus), (int)modulus.len, NULL);
		e = BN_bin2bn(octets(exponent), (int)exponent.len, NULL);
	}
	/* An exponent of 1 would make every text its own signature. */
	if (n && e && BN_num_bits(n) >= JWK_RSA_BITS_MIN && BN_num_bits(n) <= JWK_RSA_BITS_MAX && BN_is_odd(n) && BN_is_odd(e) &&
	    !BN_is_one(e) && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
		params = OSSL_PARAM_BLD_to_param(build);
		key = make("RSA", params);
	}
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	BN_free(n);
	BN_free(e);
	return take(key, JWK_RS256, out);
}

struct fault jwk_p256(struct sv x, struct sv y, struct jwk **out)
{
	char group[] = "P-256";
	uint8_t point[1 + 2 * JWK_OCTETS] = { 4 };      /* uncompressed (SEC 1 §2.3.3) */
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
		OSSL_PARAM_construct_end(),
	};

	if (x.len != JWK_OCTETS || y.len != JWK_OCTETS)
		return fault(FAULT_INVALID, "not a public key");
	memcpy(point + 1, x.p, JWK_OCTETS);
	memcpy(point + 1 + JWK_OCTETS, y.p, JWK_OCTETS);
	return take(make("EC", params), JWK_ES256, out);        /* which looks whether the point lies on the curve */
}

struct fault jwk_ed25519(struct sv x, struct jwk **out)
{
	if (x.len != JWK_OCTETS)
		return fault(FAULT_INVALID, "not a public key");
	return take(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, octets(x), x.len), JWK_EDDSA, out);
}

void jwk_free(struct jwk **key)
{
	if (!*key)
		return;
	EVP_PKEY_free((*key)->key);
	free(*key);
	*key = NULL;
}

enum jwk_algorithm jwk_algorithm(const struct jwk *key)
{
	return key->algorithm;
}

static bool verify(EVP_PKEY *key, const char *hash, struct sv text, struct sv signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good;

	if (!ctx)
		BUG("no context for a signature");
	good = EVP_DigestVerifyInit_ex(ctx, NULL, hash, NULL, NULL, key, NULL) == 1 &&
	       EVP_DigestVerify(ctx, octets(signature), signature.len, octets(text), text.len) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

/* OpenSSL wants R and S in DER. */
static bool verify_ecdsa(EVP_PKEY *key, struct sv text, struct sv signature)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	uint8_t *der = NULL;
	int len = 0;

	if (!sig)
		BUG("no memory for a signature");
	if (signature.len == (size_t)2 * JWK_OCTETS) {
		BIGNUM *r = BN_bin2bn(octets(signature), JWK_OCTETS, NULL);
		BIGNUM *s = BN_bin2bn(octets(signature) + JWK_OCTETS, JWK_OCTETS, NULL);

		if (!r || !s || ECDSA_SIG_set0(sig, r, s) != 1)
			BUG("no memory for a signature");
		len = i2d_ECDSA_SIG(sig, &der);
	}
	bool good = len > 0 && verify(key, "SHA256", text, sv_from((const char *)der, (size_t)len));

	OPENSSL_free(der);
	ECDSA_SIG_free(sig);
	return good;
}

bool jwk_verify(const struct jwk *key, struct sv text, struct sv signature)
{
	bool good = false;

	switch (key->algorithm) {
	case JWK_RS256: good = verify(key->key, "SHA256", text, signature); break;      /* PKCS #1 v1.5 is the default */
	case JWK_ES256: good = verify_ecdsa(key->key, text, signature); break;
	case JWK_EDDSA: good = verify(key->key, NULL, text, signature); break;
	case JWK_NONE:  break;
	}
	ERR_clear_error();
	return good;
}
