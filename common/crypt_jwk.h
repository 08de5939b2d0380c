/* common/crypt_jwk.h - public keys of others as JSON Web Keys carry them, and what they signed: RS256 and ES256 (RFC 7518 §3.3,
 * §3.4), EdDSA with Ed25519 (RFC 8037 §3.1). A key is good for one algorithm, so no token can choose another one for it
 * (RFC 8725 §3.1). With the other crypt*.c and tls*.c the only files that see OpenSSL. Keys do not change: any thread. */
#ifndef COMMON_CRYPT_JWK_H
#define COMMON_CRYPT_JWK_H

#include "common/bytes.h"
#include "common/fault.h"

#define JWK_RSA_BITS_MIN 2048           /* RFC 7518 §3.3 */
#define JWK_RSA_BITS_MAX 8192
#define JWK_OCTETS 32                   /* of a coordinate on P-256, and of an Ed25519 key */

enum jwk_algorithm { JWK_NONE = 0, JWK_RS256, JWK_ES256, JWK_EDDSA };

struct jwk;

/** jwk_rsa - from modulus and exponent, big-endian. FAULT_INVALID: no such key, too short or too long. */
MUST_CHECK struct fault jwk_rsa(struct sv modulus, struct sv exponent, struct jwk **out);
/** jwk_p256 - from coordinates of JWK_OCTETS. FAULT_INVALID: not a point of the curve. */
MUST_CHECK struct fault jwk_p256(struct sv x, struct sv y, struct jwk **out);
/** jwk_ed25519 - from JWK_OCTETS. FAULT_INVALID. */
MUST_CHECK struct fault jwk_ed25519(struct sv x, struct jwk **out);
/** jwk_free - NULL is fine. */
void jwk_free(struct jwk **key);
enum jwk_algorithm jwk_algorithm(const struct jwk *key);
/** jwk_verify - did the key sign this text? ES256: R and S of fixed length behind each other. 50 to 150 us. */
bool jwk_verify(const struct jwk *key, struct sv text, struct sv signature);

#endif
