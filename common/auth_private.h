/* common/auth_private.h - what the sources of auth share: checking a password, remembering a good one. */
#ifndef COMMON_AUTH_PRIVATE_H
#define COMMON_AUTH_PRIVATE_H

#include "common/auth.h"

/* ---- auth_verify.c: passwords ---- */

struct verifier;
struct verifier *verifier_new(struct directory *directory);
void verifier_free(struct verifier **v);

/* Who a check found. */
struct verified {
	enum auth_reason reason;        /* AUTH_REASON_NONE: right */
	uint64_t mark;                  /* for throttle_failure(): of name and password */
	char account[DIRECTORY_ID_LEN + 1];
	char address[DIRECTORY_ADDRESS_MAX + 1];
	char label[DIRECTORY_LABEL_MAX + 1];
	unsigned scope;                 /* of account and credential together */
	uint32_t credential;
	bool was_cached;                /* no PBKDF2 was needed */
	char target[DIRECTORY_ID_LEN + 1];      /* the account that was meant, when there is one, also when the password is wrong */
};
/** verifier_check - is this the user's password (or an app password)? Costs one PBKDF2 whether or not there is such a
 *  user; two for a password that SASLprep changes. A right one is remembered for a minute. */
void verifier_check(struct verifier *v, struct sv user, struct sv password, uint32_t fake_iterations, uint64_t now_ms,
		    struct verified *out);
/** verifier_looks_random - may this be an app password, as `postroom app-password add` makes them? Only such ones are worth a
 *  check while a name or an address is blocked. */
bool verifier_looks_random(struct sv password);
/** verifier_login - the account that a name stands for; for an unknown name one that looks alike and that no password fits.
 *  Any fault is temporary. Wipe *out with directory_login_done(). */
MUST_CHECK struct fault verifier_login(struct verifier *v, struct sv user, uint32_t fake_iterations,
				       struct directory_login *out, bool *is_real);
/** verifier_found - who it is, after one of the login's credentials was proven. */
void verifier_found(const struct directory_login *l, const struct directory_credential *c, struct verified *out);

#endif
