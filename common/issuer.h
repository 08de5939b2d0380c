/* common/issuer.h - the OpenID issuer whose tokens prove logins, as a worker knows it: its keys, from a file.
 *
 * Workers speak no HTTP. The fetch helper beside smtpd brings the issuer's key set (smtpd/fetch/issuer.h) and writes it to
 * ROOT/issuer/keys, whole or not at all; who checks a token reads it again when it was replaced. A token that is good but for a
 * key that is not known makes the checker write an octet into ROOT/issuer/wanted, which the helper watches. Until the keys are
 * newer than issuer_rules.floor_s, such a token is neither good nor bad: the answer is a temporary failure.
 *
 * Reading blocks (a stat per check): jobs only. Any thread. */
#ifndef COMMON_ISSUER_H
#define COMMON_ISSUER_H

#include "common/bytes.h"
#include "common/fault.h"
#include "common/token.h"

struct instance;
struct issuer;

#define ISSUER_URL_MAX 512
#define ISSUER_KEYS_AGE_S (7 * 86400)   /* keys that could not be fetched again for so long are not believed any more */

struct issuer_rules {
	struct token_rules token;       /* borrowed */
	uint64_t floor_s;               /* an unknown key makes keys be fetched again at most so often */
};

/** issuer_open - before the sandbox closes. FAULT_...: from errno. */
MUST_CHECK struct fault issuer_open(const struct instance *instance, struct issuer **out);
/** issuer_close - NULL is fine. */
void issuer_close(struct issuer **issuer);
/** issuer_check - as token_check(), with the keys that are known at the moment. TOKEN_UNAVAILABLE: it may be good; try again soon.
 *  TOKEN_UNKNOWN_KEY: the issuer was asked lately, and has no such key. */
enum token_verdict issuer_check(struct issuer *issuer, const struct issuer_rules *rules, struct sv token, int64_t now_s,
				struct buf *account);

/* ---- the file, for the helper ---- */

/** issuer_keys_path, issuer_wanted_path - appended to, with a NUL behind. */
void issuer_keys_path(const struct instance *instance, struct buf *out);
void issuer_wanted_path(const struct instance *instance, struct buf *out);
/** issuer_keys_write - durably. @set: a JWK set as it came. */
MUST_CHECK struct fault issuer_keys_write(const char *path, struct sv issuer, int64_t fetched_s, struct sv set);
/** issuer_keys_read - @set: appended to. FAULT_NOT_FOUND: none are known, or of another issuer; FAULT_CORRUPT. */
MUST_CHECK struct fault issuer_keys_read(const char *path, struct sv issuer, int64_t *fetched_s, struct buf *set);

#endif
