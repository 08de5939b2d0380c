/* webd/acme/jws.h - what ACME signs: JSON Web Signatures in flattened form with ES256 (RFC 7515, RFC 8555 §6.2). Pure; any thread. */
#ifndef WEBD_ACME_JWS_H
#define WEBD_ACME_JWS_H

#include "common/bytes.h"
#include "common/crypt_es256.h"

/** jws_base64url - append without padding (RFC 4648 §5). False: out's max. */
bool jws_base64url(struct sv in, struct buf *out);
/** jws_is_base64url - one or more characters of that alphabet and nothing else: such a name leads out of no folder. */
bool jws_is_base64url(struct sv text);
/** jws_thumbprint - append the thumbprint of the public key (RFC 7638 §3). */
bool jws_thumbprint(const struct es256_key *key, struct buf *out);
/** jws_write - append a signed request. @kid: URL of the account; empty: the public key stands in its place (newAccount).
 *  @payload: JSON; empty: POST-as-GET (RFC 8555 §6.3). Errors: FAULT_LIMIT. */
MUST_CHECK struct fault jws_write(const struct es256_key *key, struct sv kid, struct sv url, struct sv nonce, struct sv payload,
				  struct buf *out);

#endif
