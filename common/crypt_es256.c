#include "common/crypt_es256.h"

#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "common/memory.h"

#include "common/banned.h"

struct es256_key {
	EVP_PKEY *key;
};

struct fault es256_key_new(struct buf *pem)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	BIO *bio = BIO_new(BIO_s_secmem());
	char *p;

	if (!key || !bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		BUG("cannot make a key");
	long len = BIO_get_mem_data(bio, &p);
	bool fits = buf_append(pem, sv_from(p, (size_t)len));

	BIO_free(bio);
	EVP_PKEY_free(key);
	return fits ? FAULT_OK : fault(FAULT_LIMIT, "no room for a key");
}

static bool is_p256(EVP_PKEY *key)
{
	char group[32];
	size_t len;

	return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1 &&
	       sv_eq(sv_from(group, len), SV("prime256v1"));
}

struct fault es256_key_read(struct sv pem, struct es256_key **out)
{
	BIO *bio = pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.p, (int)pem.len) : NULL;
	char no_passphrase[] = "";      /* else the library would ask at a terminal */
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, no_passphrase) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	if (!key || !is_p256(key)) {
		EVP_PKEY_free(key);
		return fault(FAULT_INVALID, "not a private key on P-256 in PEM");
	}
	*out = xcalloc(1, sizeof(**out));
	(*out)->key = key;
	return FAULT_OK;
}

void es256_key_free(struct es256_key **key)
{
	if (*key)
		EVP_PKEY_free((*key)->key);
	free(*key);
	*key = NULL;
}

static void coordinate(EVP_PKEY *key, const char *name, uint8_t out[ES256_COORDINATE])
{
	BIGNUM *n = NULL;

	if (EVP_PKEY_get_bn_param(key, name, &n) != 1 || BN_bn2binpad(n, out, ES256_COORDINATE) != ES256_COORDINATE)
		BUG("no public key");
	BN_free(n);
}

void es256_key_public(const struct es256_key *key, uint8_t x[ES256_COORDINATE], uint8_t y[ES256_COORDINATE])
{
	coordinate(key->key, OSSL_PKEY_PARAM_EC_PUB_X, x);
	coordinate(key->key, OSSL_PKEY_PARAM_EC_PUB_Y, y);
}

struct fault es256_sign(const struct es256_key *key, struct sv text, uint8_t out[ES256_SIGNATURE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[128];
	const uint8_t *p = der;
	size_t len = sizeof(der);
	ECDSA_SIG *sig = NULL;
	bool good = ctx && EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key->key, NULL) == 1 &&
		    EVP_DigestSign(ctx, der, &len, (const uint8_t *)text.p, text.len) == 1 &&
		    (sig = d2i_ECDSA_SIG(NULL, &p, (long)len)) != NULL &&
		    BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, ES256_COORDINATE) == ES256_COORDINATE &&
		    BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + ES256_COORDINATE, ES256_COORDINATE) == ES256_COORDINATE;

	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good ? FAULT_OK : fault(FAULT_INTERNAL, "cannot sign");
}
