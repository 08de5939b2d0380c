/* common/crypt.h - digests, keyed digests, password verifiers, random octets, keys. With tls.c the
 * only file that sees OpenSSL. All functions may be called on any thread; those marked slow belong
 * into a job (common/work.h). A failure of the library itself (no memory, no entropy) is a BUG:
 * there is no safe way to go on. */
#ifndef COMMON_CRYPT_H
#define COMMON_CRYPT_H

#include "common/bytes.h"
#include "common/fault.h"

enum crypt_hash {
	CRYPT_SHA1,             /* RFC 5802 only; nothing new is protected by it */
	CRYPT_SHA256,
	CRYPT_SHA512,
};

#define CRYPT_HASH_MAX 64
#define CRYPT_SHA1_LEN 20
#define CRYPT_SHA256_LEN 32
#define CRYPT_SHA512_LEN 64

/** crypt_hash_len - octets of a digest: 20, 32, 64. */
size_t crypt_hash_len(enum crypt_hash hash);
/** crypt_digest - the digest of data; returns its length. */
size_t crypt_digest(enum crypt_hash hash, struct sv data, uint8_t out[CRYPT_HASH_MAX]);
/** crypt_hmac - HMAC (RFC 2104); returns its length. */
size_t crypt_hmac(enum crypt_hash hash, struct sv key, struct sv data, uint8_t out[CRYPT_HASH_MAX]);

/* A digest over data that arrives in pieces. */
struct crypt_digest;
struct crypt_digest *crypt_digest_new(enum crypt_hash hash);
void crypt_digest_add(struct crypt_digest *d, struct sv data);
/** crypt_digest_get - the digest of all that was added so far; more may be added afterwards.
 *  Returns its length. */
size_t crypt_digest_get(const struct crypt_digest *d, uint8_t out[CRYPT_HASH_MAX]);
void crypt_digest_free(struct crypt_digest **d);

/** crypt_pbkdf2 - RFC 8018 §5.2, with HMAC of hash. Slow. */
void crypt_pbkdf2(enum crypt_hash hash, struct sv password, struct sv salt, uint32_t iterations,
                  uint8_t *out, size_t out_len);

/* What a server keeps to check a password by SCRAM (RFC 5802 §3, RFC 7677) or PLAIN, without
 * keeping the password. */
struct scram_keys {
	size_t len;                             /* of each key */
	uint8_t stored[CRYPT_HASH_MAX];         /* H(HMAC(salted, "Client Key")) */
	uint8_t server[CRYPT_HASH_MAX];         /* HMAC(salted, "Server Key") */
};

/** crypt_scram_keys - from a password that is normalised already (SASLprep is the caller's). Slow.
 *  */
struct scram_keys crypt_scram_keys(enum crypt_hash hash, struct sv password, struct sv salt,
                                   uint32_t iterations);

/** crypt_random - octets nobody can guess. */
void crypt_random(void *out, size_t n);
/** crypt_random_text - n characters out of 32 ("a-z2-7", 5 bits each) and a NUL: ids, tokens, app
 *  passwords. */
void crypt_random_text(char *out, size_t n);
#define CRYPT_SECRET_LEN 23
/** crypt_secret_text - a password that can be read out and typed: 4 groups of 5 letters and digits, 99 bits. */
void crypt_secret_text(char out[CRYPT_SECRET_LEN + 1]);
/** crypt_eq - equal length and octets, in a time that depends on the length only. */
bool crypt_eq(struct sv a, struct sv b);

/** crypt_hex - lower-case hex of n octets and a NUL; out has 2n+1 octets. */
void crypt_hex(const void *data, size_t n, char *out);

enum crypt_key {
	CRYPT_KEY_ED25519,      /* RFC 8463 */
	CRYPT_KEY_RSA2048,      /* RFC 6376 §3.3.3; slow */
};

/** crypt_key_new - a new private key. pem: PKCS#8 PEM of it, secret: end it with buf_wipe().
 *  public_der: what the DNS record's p= holds in base64: SubjectPublicKeyInfo for RSA (RFC 6376
 *  §3.6.1), the bare 32 octets for Ed25519 (RFC 8463 §3). Both are appended to; FAULT_LIMIT when
 *  max is too small (4096 is enough). */
MUST_CHECK struct fault crypt_key_new(enum crypt_key kind, struct buf *pem, struct buf *public_der);

/* Signatures over a SHA-256 digest, as DKIM makes them: rsa-sha256 is RSASSA-PKCS1-v1_5 with that
 * digest (RFC 6376 §3.3.1), ed25519-sha256 is PureEdDSA with the digest for its message (RFC 8463
 * §3). Keys are not changed by use: any number of threads. */
enum crypt_key_type { CRYPT_RSA, CRYPT_ED25519 };

#define CRYPT_PUBLIC_MAX 8192           /* octets of a public key */
#define CRYPT_PEM_MAX (64 << 10)        /* octets of a private key in PEM */
#define CRYPT_SIGNATURE_MAX 2048        /* octets */

struct crypt_public;
/** crypt_public_new - from what p= holds (see crypt_key_new; a bare RSAPublicKey is taken, too).
 * FAULT_INVALID. */
MUST_CHECK struct fault crypt_public_new(enum crypt_key_type type, struct sv octets,
					 struct crypt_public **out);
void crypt_public_free(struct crypt_public **key);
uint32_t crypt_public_bits(const struct crypt_public *key);
/** crypt_public_verify - did the key sign this digest? 50 us with RSA 2048, 100 us with Ed25519. */
bool crypt_public_verify(const struct crypt_public *key, const uint8_t digest[CRYPT_SHA256_LEN],
			 struct sv signature);

struct crypt_private;
/** crypt_private_new - RSA or Ed25519 from PEM, not encrypted. FAULT_INVALID. */
MUST_CHECK struct fault crypt_private_new(struct sv pem, struct crypt_private **out);
void crypt_private_free(struct crypt_private **key);
enum crypt_key_type crypt_private_type(const struct crypt_private *key);
/** crypt_private_public - append its public half, as crypt_key_new() gives it. False: out's max. */
MUST_CHECK bool crypt_private_public(const struct crypt_private *key, struct buf *public_der);
/** crypt_private_sign - append the signature. Slow with RSA (1 ms with 2048 bits). FAULT_LIMIT: out's
 * max. FAULT_INVALID: a key beyond CRYPT_SIGNATURE_MAX. FAULT_INTERNAL. */
MUST_CHECK struct fault crypt_private_sign(const struct crypt_private *key,
					   const uint8_t digest[CRYPT_SHA256_LEN], struct buf *out);

#endif
