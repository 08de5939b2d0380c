/* common/auth_private.h - what the sources of auth share.
 *
 *   auth.c            opening, sessions, and the calls of auth.h
 *   auth_mechanism.c  the table of mechanisms, and which of them may be offered
 *   auth_sasl.c       libsasl2, which runs PLAIN
 *   auth_login.c      LOGIN
 *   auth_scram.c      SCRAM
 *   auth_token.c      OAUTHBEARER and XOAUTH2
 *   auth_external.c   EXTERNAL, by a client's certificate
 *   auth_offer.c      what the directory says of mechanisms
 *   auth_end.c        how every exchange ends: throttle, audit, events, identity
 *   auth_verify.c     passwords: is it right, and whose; the cache of good ones
 *   auth_again.c      logins that were good a moment ago, from the same address
 *
 * A new mechanism is a row of the table and a module with its functions. They run inside a job (auth_job.h), so they may block:
 * on the directory, or on whoever verifies a response somewhere else. What they have to keep to is in the next two parts. */
#ifndef COMMON_AUTH_PRIVATE_H
#define COMMON_AUTH_PRIVATE_H

#include <stdatomic.h>

#include "common/auth.h"
#include "common/chore.h"
#include "common/logins.h"
#include "common/throttle.h"

/* ---- auth_mechanism.c: the table ---- */

/* What a mechanism needs to be offered, and what its failures mean. */
enum mechanism_flag {
	MECHANISM_SENDS_SECRET = 1,     /* a password or a token that is good again: only where auth_may_send_password() */
	MECHANISM_BINDS = 2,            /* to the TLS connection: only where a channel binding is to be had */
	MECHANISM_PROVES = 4,           /* knowledge of a password that it does not show: only while all accounts have verifiers for its hash */
	MECHANISM_TOKEN = 8,            /* only with an issuer, and only under TLS (RFC 7628 §3) */
	MECHANISM_HAS_KEY = 16,         /* of a certificate that the client showed: only where that is registered */
};

struct mechanism {
	const char *name;
	unsigned flags;                 /* of enum mechanism_flag */
	enum crypt_hash hash;           /* of MECHANISM_PROVES */
	/* Each of these sets *out, and ends with auth_ask(), or auth_end(), auth_succeed() or auth_fail().
	 * start: @initial is NULL when the client sent none. At most AUTH_INPUT_MAX octets come to either. */
	void (*start)(struct auth_session *s, const struct sv *initial, struct auth_result *out);
	void (*step)(struct auth_session *s, struct sv response, struct auth_result *out);
	void (*drop)(void *state);      /* frees s->state, which is not NULL; wipes what is secret. NULL: it keeps none */
};

/** mechanism_clear - a name and a password in commands of the protocol. */
extern const struct mechanism mechanism_clear;
/** mechanism_find - any case. NULL: there is none of this name. */
const struct mechanism *mechanism_find(struct sv name);

/* What a connection has that a mechanism may need. */
struct auth_link {
	bool has_tls;
	bool may_send_secret;
	bool has_binding;               /* an exchange can be tied to its TLS connection */
	struct bindings {               /* by these, which auth_link_of() leaves empty: not every connection logs in */
		uint8_t exporter[32], end_point[64];
		size_t exporter_len, end_point_len;
	} bindings;
	bool has_key;                   /* the client showed a certificate with this key (tls_peer_key()) */
	uint8_t key[CRYPT_SHA256_LEN];
};
void auth_link_of(const struct conf_auth *conf, const struct auth_peer *peer, struct auth_link *out);
/** mechanism_is_offered - on this connection. */
bool mechanism_is_offered(const struct auth *auth, const struct auth_link *link, const struct mechanism *m);

/* ---- auth_offer.c: what the directory says of mechanisms, remembered until it changes ---- */

struct offer;
/** offer_new - looks at once. @directory: borrowed. */
struct offer *offer_new(struct directory *directory);
void offer_free(struct offer **o);
/** offer_look - again, when the directory was changed. Blocks: in every job that reads an account. With thousands of accounts a look
 *  costs tens of milliseconds, and is put off for a second or so after the last one. */
void offer_look(struct offer *o);
/** offer_rest - after a look that took so much processor time. */
void offer_rest(struct offer *o, uint64_t cost_us);
/** offer_is_old - was the directory changed since the last look? */
bool offer_is_old(const struct offer *o);
/** offer_has_scram - have all passwords that may log in a verifier for this hash? Else a client that picks it would fail with the
 *  right password. As of the last look. */
bool offer_has_scram(const struct offer *o, enum crypt_hash hash);
/** offer_has_key - is this key that of a registered certificate? Also said when nobody knows, since the directory was changed and
 *  no job has looked yet: the login itself will find out. */
bool offer_has_key(const struct offer *o, const uint8_t key[CRYPT_SHA256_LEN]);

/* ---- auth_verify.c: passwords ---- */

struct verifier;
struct verifier *verifier_new(struct directory *directory);
void verifier_free(struct verifier **v);

struct elsewhere;
/** verifier_use - the passwords of some accounts are there. Borrowed. */
void verifier_use(struct verifier *v, struct elsewhere *elsewhere);

/* Who a check found. */
struct verified {
	enum auth_reason reason;        /* AUTH_REASON_NONE: right */
	uint64_t mark;                  /* for throttle_failure(): of name and password */
	char account[DIRECTORY_ID_LEN + 1];
	char address[DIRECTORY_ADDRESS_MAX + 1];
	char label[DIRECTORY_LABEL_MAX + 1];
	unsigned scope;                 /* of account and credential together */
	/* What is said after a right password for these SCOPE_ bits, because of the account's state. */
	char refusal[DIRECTORY_MESSAGE_MAX + 1];
	unsigned refused;
	uint32_t credential;
	struct directory_bounds bounds; /* of it */
	bool is_random;                 /* the credential cannot be guessed: good also while a name or an address is blocked */
	bool was_cached;                /* no PBKDF2 was needed */
	uint64_t until_ms;              /* how long that may be believed without asking again; by auth_now_ms() */
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
/** verifier_password_found - the same of a password: the account's own is no good where account.password_denied says so. */
void verifier_password_found(const struct directory_login *l, const struct directory_credential *c, struct verified *out);
/** verifier_vouched - who it is, after something else than a password proved that it is this account: a token, a certificate.
 *  @scope: what that is good for. A name that is unknown gives AUTH_BAD_CREDENTIALS. */
void verifier_vouched(struct verifier *v, struct sv user, struct sv label, unsigned scope, struct verified *out);

/* ---- auth_end.c: how an exchange ends ----
 *
 * For a mechanism whose response somebody else verifies (a token's issuer, a certificate, another server's directory):
 *
 *   directory_login_canonical(..., s->user)            the name that the client claims, as soon as it is known
 *   auth_look(s, name)                                 s->rule is set: blocked. Look before anything costly is asked
 *   ... ask; the call may block ...
 *   verifier_vouched(...)                              or s->verified.reason = AUTH_TEMPORARY, or AUTH_BAD_CREDENTIALS
 *   auth_decide(s); auth_end(s, out);
 *
 * Nothing else makes an identity or refuses one, so throttle, audit and wording are the same for all. */

/** auth_ask - send this challenge, then comes step(). */
void auth_ask(struct auth_result *out, struct sv challenge);
/** auth_look - may this name be tried from here? The same for a name that there is and one that there is not. */
void auth_look(struct auth_session *s, struct sv user);
/** auth_check_password - look, verify and decide: s->verified says how it came out. */
void auth_check_password(struct auth_session *s, struct sv user, struct sv password);
/** auth_decide - s->verified says who it is: may they, here and now? Its reason may become one to refuse. */
void auth_decide(struct auth_session *s);
/** auth_end - succeed or fail, as auth_decide() left it. */
void auth_end(struct auth_session *s, struct auth_result *out);
void auth_succeed(struct auth_session *s, struct auth_result *out);
void auth_fail(struct auth_session *s, enum auth_reason reason, struct auth_result *out);
/** auth_is_for_itself - is the authorization identity nobody else than s->user? Nobody acts for another: s->is_foreign. */
bool auth_is_for_itself(struct auth_session *s, struct sv as);
/** auth_now_ms - by the clock that nobody sets. */
uint64_t auth_now_ms(void);

/* ---- auth_again.c ---- */

struct again;
/** again_new - @directory: borrowed. */
struct again *again_new(struct directory *directory);
void again_free(struct again **a);
/** again_remember - s->verified says who it was, if anybody; @revision: of the directory before that was found out. */
void again_remember(struct again *a, const struct auth_session *s, struct sv password, uint64_t revision);

/* ---- auth.c ---- */

struct auth {
	struct directory *directory;
	struct verifier *verifier;
	struct throttle *throttle;
	struct logins *logins;          /* NULL: nobody is known, nothing is written down */
	struct elsewhere *elsewhere;    /* NULL: all passwords are here */
	struct auth_tokens *tokens;     /* NULL: no issuer is configured */
	struct offer *offer;
	struct again *again;
	struct chore look;              /* for the offer of a worker where nobody logs in */
	atomic_ullong succeeded, failed;        /* logins since start; failed for whatever reason */
};
/** auth_service_name - as libsasl2 and the log call it. */
const char *auth_service_name(enum auth_service service);
/** auth_service_scope - the SCOPE_ bit of identity.h that a login there needs. */
unsigned auth_service_scope(enum auth_service service);

struct auth_session {
	atomic_uint refs;
	struct auth *auth;
	enum auth_service service;
	struct netaddr address;
	struct log_ctx log;
	char tls[16];
	struct auth_link link;
	uint32_t iterations;            /* of verifiers for unknown users */
	struct throttle_limits limits;
	char program[LOGINS_CLIENT_MAX + 1], client[4 * LOGINS_CLIENT_MAX + 1];
	/* A program that tries SCRAM first tries PLAIN next, with the same wrong password: one failure. */
	uint64_t scram_mark;
	char scram_user[DIRECTORY_ADDRESS_MAX + 1];

	/* The exchange under way. */
	const struct mechanism *mechanism;      /* NULL: none is */
	int stage;                      /* of the mechanism; 0 at its start */
	void *state;                    /* of the mechanism; mechanism->drop() frees it */
	char user[DIRECTORY_ADDRESS_MAX + 1];   /* as it is counted and logged */
	struct verified verified;
	bool is_foreign;                /* it was asked to be somebody else than who logs in */
	bool is_verified;               /* verified says who; its reason may still refuse */
	struct throttle_who who;
	bool has_looked;                /* who and rule are set */
	enum throttle_rule rule;        /* by which it is throttled */
};
/** auth_end_exchange - forget it. */
void auth_end_exchange(struct auth_session *s);

/* ---- the mechanisms ---- */

/** sasl_open - once per process: libsasl2, with the one plugin that is used. */
MUST_CHECK struct fault sasl_open(void);
void sasl_start(struct auth_session *s, const struct sv *initial, struct auth_result *out);
void sasl_step(struct auth_session *s, struct sv response, struct auth_result *out);
void sasl_drop(void *state);

void login_start(struct auth_session *s, const struct sv *initial, struct auth_result *out);
void login_step(struct auth_session *s, struct sv response, struct auth_result *out);
/** login_has_name - the next response is the password. */
bool login_has_name(const struct auth_session *s);

void auth_scram_start(struct auth_session *s, const struct sv *initial, struct auth_result *out);
void auth_scram_step(struct auth_session *s, struct sv message, struct auth_result *out);
void auth_scram_drop(void *state);

struct auth_tokens;
void auth_open_tokens(struct auth *auth, const struct instance *instance, const struct conf_auth *conf);
void auth_tokens_free(struct auth_tokens **tokens);
void auth_token_start(struct auth_session *s, const struct sv *initial, struct auth_result *out);
void auth_token_step(struct auth_session *s, struct sv message, struct auth_result *out);
void auth_token_drop(void *state);

void external_start(struct auth_session *s, const struct sv *initial, struct auth_result *out);
void external_step(struct auth_session *s, struct sv response, struct auth_result *out);

#endif
