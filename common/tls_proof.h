/* common/tls_proof.h - proof to a certificate authority by TLS (RFC 8737, tls-alpn-01): for a name that is to be proven lies a file with
 * a certificate made for this alone, which is shown to whoever asks for that name by the protocol "acme-tls/1" and nothing else
 * (tls_server_set_proofs()). Blocking; any thread. */
#ifndef COMMON_TLS_PROOF_H
#define COMMON_TLS_PROOF_H

#include "common/bytes.h"
#include "common/fault.h"

#define TLS_PROOF_ALPN "acme-tls/1"
#define TLS_PROOF_DIGEST 32

/** tls_proof_path - where the proof for a name lies in this folder. False: it is no host name, or too long. */
bool tls_proof_path(const char *folder, struct sv name, char *out, size_t size);
/** tls_proof_make - append key and certificate (PEM) for one name, with the digest of the key authorization in it (RFC 8737 §3).
 *  FAULT_INVALID: no host name. */
MUST_CHECK struct fault tls_proof_make(struct sv name, const uint8_t digest[TLS_PROOF_DIGEST], struct buf *out);

#endif
