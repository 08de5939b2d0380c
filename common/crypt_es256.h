/* common/crypt_es256.h - ES256 (RFC 7518 §3.4: ECDSA on P-256 with SHA-256), as JSON Web Signatures use it. With the other crypt*.c
 * and tls*.c the only files that see OpenSSL. Any thread. */
#ifndef COMMON_CRYPT_ES256_H
#define COMMON_CRYPT_ES256_H

#include "common/bytes.h"
#include "common/fault.h"

#define ES256_COORDINATE 32
#define ES256_SIGNATURE 64

struct es256_key;

/** es256_key_new - make one and append its PKCS#8 PEM, which is secret: end it with buf_wipe(). FAULT_LIMIT: pem's max. */
MUST_CHECK struct fault es256_key_new(struct buf *pem);
/** es256_key_read - from PEM, not encrypted. FAULT_INVALID: no key on P-256. */
MUST_CHECK struct fault es256_key_read(struct sv pem, struct es256_key **out);
void es256_key_free(struct es256_key **key);
/** es256_key_public - the coordinates of its public half, big-endian. */
void es256_key_public(const struct es256_key *key, uint8_t x[ES256_COORDINATE], uint8_t y[ES256_COORDINATE]);
/** es256_sign - R and S of fixed length behind each other (RFC 7518 §3.4). */
MUST_CHECK struct fault es256_sign(const struct es256_key *key, struct sv text, uint8_t out[ES256_SIGNATURE]);

#endif
