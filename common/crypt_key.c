#include "common/crypt.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "common/memory.h"

#include "common/banned.h"

struct crypt_public {
	EVP_PKEY *key;
	enum crypt_key_type type;
};

struct crypt_private {
	EVP_PKEY *key;
	enum crypt_key_type type;
};

static bool append_public(EVP_PKEY *key, struct buf *out)
{
	if (EVP_PKEY_is_a(key, "ED25519")) {
		uint8_t raw[32];
		size_t len = sizeof(raw);

		if (EVP_PKEY_get_raw_public_key(key, raw, &len) != 1 || len != sizeof(raw))
			BUG("no public key");
		return buf_append(out, sv_from((const char *)raw, len));
	}
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(key, &der);

	if (len <= 0)
		BUG("no public key");
	bool fits = buf_append(out, sv_from((const char *)der, (size_t)len));

	OPENSSL_free(der);
	return fits;
}

static bool append_private_pem(EVP_PKEY *key, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *p;

	if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		BUG("no private key");
	long len = BIO_get_mem_data(bio, &p);
	bool fits = buf_append(out, sv_from(p, (size_t)len));

	BIO_free(bio);
	return fits;
}

struct fault crypt_key_new(enum crypt_key kind, struct buf *pem, struct buf *public_der)
{
	size_t pem_len = pem->len, der_len = public_der->len;
	EVP_PKEY *key = kind == CRYPT_KEY_ED25519
				? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
				: EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);

	if (!key)
		return fault(FAULT_INTERNAL, "cannot generate a key");
	bool fits = append_private_pem(key, pem) && append_public(key, public_der);

	EVP_PKEY_free(key);
	if (fits)
		return FAULT_OK;
	if (pem->p)
		secret_wipe(pem->p + pem_len, pem->len - pem_len);
	pem->len = pem_len;
	public_der->len = der_len;
	return fault(FAULT_LIMIT, "no room for a key");
}

/* ---- public keys ---- */

/* read_rsa - SubjectPublicKeyInfo, which everybody publishes, or the bare RSAPublicKey that RFC 6376 §3.6.1 names. */
static EVP_PKEY *read_rsa(struct sv der)
{
	const uint8_t *p = (const uint8_t *)der.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)der.len);

	if (!key) {
		p = (const uint8_t *)der.p;
		key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)der.len);
	}
	if (key && EVP_PKEY_is_a(key, "RSA") && (size_t)((const char *)p - der.p) == der.len)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

struct fault crypt_public_new(enum crypt_key_type type, struct sv octets, struct crypt_public **out)
{
	EVP_PKEY *key = NULL;

	if (octets.len > CRYPT_PUBLIC_MAX)
		return fault(FAULT_INVALID, "public key too long");
	ERR_clear_error();
	if (type == CRYPT_ED25519 && octets.len == 32)
		key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const uint8_t *)octets.p,
						  octets.len);
	else if (type == CRYPT_RSA && octets.len)
		key = read_rsa(octets);
	ERR_clear_error();
	if (!key)
		return fault(FAULT_INVALID, "not a public key");
	*out = xmalloc(sizeof(**out));
	**out = (struct crypt_public){ key, type };
	return FAULT_OK;
}

void crypt_public_free(struct crypt_public **key)
{
	if (!*key)
		return;
	EVP_PKEY_free((*key)->key);
	free(*key);
	*key = NULL;
}

uint32_t crypt_public_bits(const struct crypt_public *key)
{
	int bits = EVP_PKEY_get_bits(key->key);

	return bits > 0 ? (uint32_t)bits : 0;
}

static bool verify_rsa(EVP_PKEY *key, const uint8_t *digest, struct sv signature)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool good;

	if (!ctx)
		BUG("no context for a signature");
	good = EVP_PKEY_verify_init(ctx) == 1 &&
	       EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
	       EVP_PKEY_verify(ctx, (const uint8_t *)signature.p, signature.len, digest,
			       CRYPT_SHA256_LEN) == 1;
	EVP_PKEY_CTX_free(ctx);
	return good;
}

static bool verify_ed25519(EVP_PKEY *key, const uint8_t *digest, struct sv signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good;

	if (!ctx)
		BUG("no context for a signature");
	good = EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	       EVP_DigestVerify(ctx, (const uint8_t *)signature.p, signature.len, digest,
				CRYPT_SHA256_LEN) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

bool crypt_public_verify(const struct crypt_public *key, const uint8_t digest[CRYPT_SHA256_LEN],
			 struct sv signature)
{
	bool good = key->type == CRYPT_RSA ? verify_rsa(key->key, digest, signature)
					   : verify_ed25519(key->key, digest, signature);

	ERR_clear_error();
	return good;
}

/* ---- private keys ---- */

struct fault crypt_private_new(struct sv pem, struct crypt_private **out)
{
	BIO *bio = pem.len <= CRYPT_PEM_MAX ? BIO_new_mem_buf(pem.len ? pem.p : "", (int)pem.len)
					    : NULL;
	EVP_PKEY *key = NULL;
	bool is_ed25519;

	ERR_clear_error();
	/* The empty password: a key that wants one is refused instead of asked for on a terminal. */
	if (bio)
		key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t)"");
	BIO_free(bio);
	ERR_clear_error();
	if (!key)
		return fault(FAULT_INVALID, "not a private key in PEM");
	is_ed25519 = EVP_PKEY_is_a(key, "ED25519");
	if (!is_ed25519 && !EVP_PKEY_is_a(key, "RSA")) {
		EVP_PKEY_free(key);
		return fault(FAULT_INVALID, "neither an RSA nor an Ed25519 key");
	}
	*out = xmalloc(sizeof(**out));
	**out = (struct crypt_private){ key, is_ed25519 ? CRYPT_ED25519 : CRYPT_RSA };
	return FAULT_OK;
}

void crypt_private_free(struct crypt_private **key)
{
	if (!*key)
		return;
	EVP_PKEY_free((*key)->key);
	free(*key);
	*key = NULL;
}

enum crypt_key_type crypt_private_type(const struct crypt_private *key)
{
	return key->type;
}

bool crypt_private_public(const struct crypt_private *key, struct buf *public_der)
{
	return append_public(key->key, public_der);
}

static bool sign_rsa(EVP_PKEY *key, const uint8_t *digest, uint8_t *out, size_t *len)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool good;

	if (!ctx)
		BUG("no context for a signature");
	good = EVP_PKEY_sign_init(ctx) == 1 &&
	       EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
	       EVP_PKEY_sign(ctx, out, len, digest, CRYPT_SHA256_LEN) == 1;
	EVP_PKEY_CTX_free(ctx);
	return good;
}

static bool sign_ed25519(EVP_PKEY *key, const uint8_t *digest, uint8_t *out, size_t *len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good;

	if (!ctx)
		BUG("no context for a signature");
	good = EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	       EVP_DigestSign(ctx, out, len, digest, CRYPT_SHA256_LEN) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

struct fault crypt_private_sign(const struct crypt_private *key,
				const uint8_t digest[CRYPT_SHA256_LEN], struct buf *out)
{
	uint8_t signature[CRYPT_SIGNATURE_MAX];
	size_t len = sizeof(signature);
	bool good;

	if ((size_t)EVP_PKEY_get_size(key->key) > sizeof(signature))
		return fault(FAULT_INVALID, "the key is too long");
	good = key->type == CRYPT_RSA ? sign_rsa(key->key, digest, signature, &len)
				      : sign_ed25519(key->key, digest, signature, &len);
	ERR_clear_error();
	if (!good)
		return fault(FAULT_INTERNAL, "cannot sign");
	return buf_append(out, sv_from((const char *)signature, len))
		       ? FAULT_OK
		       : fault(FAULT_LIMIT, "no room for a signature");
}
