/* common/scram.h - SCRAM-SHA-256 and SCRAM-SHA-1, each with -PLUS, as the server speaks them (RFC 5802, RFC 7677, RFC 9266).
 *
 * Our own, since libsasl2's plugin looks at one verifier only: an account has a password and app passwords, and each is
 * good for every mechanism. They share salt and iteration count, so one proof is compared with each of them.
 *
 *   client-first -> scram_first()   (who?)   -> the caller finds salt and iterations -> scram_challenge() -> server-first
 *   client-final -> scram_final()            -> which credential, and server-final
 *
 * Pure computation: nothing blocks, no I/O. One thread at a time per exchange. */
#ifndef COMMON_SCRAM_H
#define COMMON_SCRAM_H

#include "common/bytes.h"
#include "common/directory.h"

#define SCRAM_MESSAGE_MAX 4096          /* octets of one message of the client */
#define SCRAM_NONCE_MAX 256             /* of the client */

/* What ties the exchange to its TLS connection; empty data: this type is not to be had. */
struct scram_bindings {
	struct sv exporter;             /* tls-exporter, RFC 9266 */
	struct sv end_point;            /* tls-server-end-point, RFC 5929 §4 */
};

struct scram;

/** scram_new - @hash: one that credentials have verifiers for. @is_plus: the client chose the name with -PLUS. @bindings: copied. */
struct scram *scram_new(enum crypt_hash hash, bool is_plus, const struct scram_bindings *bindings);
/** scram_free - secrets are wiped. NULL is fine. */
void scram_free(struct scram **s);

/**
 * scram_first - the client's first message.
 * @user:  the name as the client wrote it, unescaped; appended to
 * @as:    whom it wants to act as; empty: itself; appended to
 * Errors: FAULT_INVALID: not such a message; FAULT_UNSUPPORTED: a binding that we do not have, or one left out by somebody
 * between us (RFC 5802 §6): a failed login, not a broken message.
 */
MUST_CHECK struct fault scram_first(struct scram *s, struct sv message, struct buf *user, struct buf *as);
/** scram_challenge - server-first-message with a nonce of ours; appended to out. */
void scram_challenge(struct scram *s, struct sv salt, uint32_t iterations, struct buf *out);
/**
 * scram_final - the client's last message.
 * @login: salt and iterations as in the challenge, else no proof fits
 * @out:   server-final-message, when a credential fits; appended to
 * @found: the index of the credential; SIZE_MAX: none
 * FAULT_INVALID: not such a message.
 */
MUST_CHECK struct fault scram_final(struct scram *s, struct sv message, const struct directory_login *login,
				    size_t *found, struct buf *out);

/** scram_unescape - append what a saslname stands for (RFC 5802 §7): "=2C" is a comma, "=3D" an equals sign, and nothing else begins
 *  with "=". False: it is none. */
bool scram_unescape(struct sv name, struct buf *out);

#endif
