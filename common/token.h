/* common/token.h - JSON Web Tokens (RFC 7519) of an OpenID issuer: what one says, and whether it is true.
 *
 * Compact serialization (RFC 7515 §7.1) with one signature by RS256, ES256 or EdDSA; "none", HMAC, encryption and critical
 * extensions are refused (RFC 8725 §3.1, §3.2). A token proves a login only when issuer, audience, times, signature and the claim
 * that names the account all hold. Pure: no I/O, any thread, total and bounded on any octets. */
#ifndef COMMON_TOKEN_H
#define COMMON_TOKEN_H

#include "common/bytes.h"
#include "common/fault.h"

#define TOKEN_MAX 8192                  /* octets of one */
#define TOKEN_KEYS_MAX 32               /* of an issuer */
#define TOKEN_KEYS_OCTETS (64u << 10)   /* of its key set */
#define TOKEN_LEEWAY_S 60               /* clocks differ (RFC 7519 §4.1.4) */

struct token_keys;
/** token_keys_parse - a JWK set (RFC 7517 §5). Keys of other kinds, for encryption, or too weak are left out, and what comes
 *  after TOKEN_KEYS_MAX. FAULT_INVALID: it is no key set, or none of its keys can be used. */
MUST_CHECK struct fault token_keys_parse(struct sv text, struct token_keys **out);
size_t token_keys_count(const struct token_keys *keys);
/** token_keys_free - NULL is fine. */
void token_keys_free(struct token_keys **keys);

/* What must hold. Borrowed. */
struct token_rules {
	const char *issuer;             /* "iss", exactly (OpenID Connect Core §3.1.3.7) */
	const char *audience;           /* "aud" is it, or has it among others */
	const char *account_claim;      /* which claim names the account: "email" */
};

enum token_verdict {
	TOKEN_GOOD = 1,
	TOKEN_MALFORMED,                /* no JWT at all */
	TOKEN_UNSUPPORTED,              /* an algorithm, a type, an extension that is not accepted */
	TOKEN_FOREIGN_ISSUER,
	TOKEN_WRONG_AUDIENCE,
	TOKEN_EXPIRED,
	TOKEN_NOT_YET,                  /* "nbf" */
	TOKEN_NO_ACCOUNT,               /* the claim is missing, empty, or says that the address was not verified */
	TOKEN_UNKNOWN_KEY,              /* otherwise good: the issuer may have a new key */
	TOKEN_FORGED,                   /* the signature is wrong */
	TOKEN_UNAVAILABLE,              /* common/issuer.h: cannot be checked now */
};
/** token_verdict_name - "good", "expired", ...: for logs. */
const char *token_verdict_name(enum token_verdict verdict);

/** token_check - @keys: NULL: none is known. @account: TOKEN_GOOD: the claim is appended; its max bounds it. */
enum token_verdict token_check(const struct token_keys *keys, const struct token_rules *rules, struct sv token, int64_t now_s,
			       struct buf *account);

#endif
