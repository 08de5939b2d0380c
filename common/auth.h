/* common/auth.h - proving who somebody is.
 *
 * An auth session belongs to one connection before login. A protocol decodes what came (base64 is its business, and so are
 * "*" and "=", see auth_decode_response()), hands octets in, and gets back a challenge, an identity, or a failure with a reason.
 *
 *   auth_start(mechanism, initial response)  ->  CONTINUE challenge  ->  auth_step(response)  -> ...
 *   auth_login(user, password)               IMAP LOGIN, POP3 USER and PASS: the same path as PLAIN
 *
 * These three block (PBKDF2, LMDB): call them through auth_job.h, one at a time per session. Everything else is quick.
 * Any thread. After STARTTLS make a new session: nothing learned in clear may stay.
 *
 * Mechanisms: PLAIN and LOGIN, which send the password and are there only under TLS or from plaintext-auth's networks,
 * SCRAM-SHA-256 and SCRAM-SHA-1 (RFC 5802, RFC 7677), and under TLS both with -PLUS. App passwords are good for each. SCRAM with
 * a hash is not offered while a password of an account that may log in has no verifier for it (a hash from another server, a
 * password that an older version took), which only PLAIN and LOGIN can verify. The table is auth_mechanism.c's;
 * how another one is added, auth_private.h says. Every wrong login looks the same from outside: unknown user, wrong password,
 * no password set differ neither in text nor in the work done. */
#ifndef COMMON_AUTH_H
#define COMMON_AUTH_H

#include "common/bytes.h"
#include "common/conf.h"
#include "common/directory.h"
#include "common/fault.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/netaddr.h"

struct auth;
struct auth_session;
struct tls_conn;

#define AUTH_INPUT_MAX 8192             /* octets of one response, decoded */
#define AUTH_MECHANISMS_MAX 128         /* octets of the list */

/**
 * auth_open - once per process, before the sandbox closes: it loads libsasl2's plugins.
 * @directory: borrowed until auth_close()
 * FAULT_UNAVAILABLE: a plugin is missing; the detail names the package.
 */
MUST_CHECK struct fault auth_open(struct directory *directory, struct auth **out);
/** auth_close - all sessions must be gone. NULL is fine. */
void auth_close(struct auth **auth);

struct instance;
struct logins;
struct logins_device;
struct loop;
/**
 * auth_open_instance - the same for a worker of a daemon: failed logins are counted with all other processes' (common/throttle.h), and
 * who logged in is written down (common/logins.h). What of that cannot be had is logged, and done without.
 */
MUST_CHECK struct fault auth_open_instance(const struct instance *instance, struct directory *directory, struct auth **out);
/** auth_start_logins - write them down, on this worker's loop, and learn within a second of changes of the directory that change what
 *  may be offered. @on_new: a logins_new_fn, called when the configuration wants new devices to be told of. */
void auth_start_logins(struct auth *auth, struct loop *loop, const struct conf_auth *conf,
		       void (*on_new)(void *arg, const struct logins_device *device), void *arg);
/** auth_open_authorities - after auth_open_instance(), before the sandbox closes: who else may say who somebody is, an issuer of
 *  tokens and a directory of passwords. With none, nothing happens; what goes wrong is logged. */
void auth_open_authorities(struct auth *auth, const struct instance *instance, const struct conf_auth *conf);
/** auth_logins - where logins are written down; NULL: nowhere. Borrowed. */
struct logins *auth_logins(struct auth *auth);
struct json_out;
/** auth_status - members for a worker's line of `status`: logins and login_failures since its start. */
void auth_status(const struct auth *auth, struct json_out *j);
/** auth_name_key - under which a login name is counted by throttle and logins: 16 octets, the same in each process. */
void auth_name_key(struct directory *directory, struct sv user, uint8_t out[16]);

enum auth_service {
	AUTH_IMAP,
	AUTH_POP3,
	AUTH_SMTP,
	AUTH_MANAGESIEVE,
	AUTH_WEB,                       /* the account page */
};

/* What is known of the connection. Borrowed for the call. */
struct auth_peer {
	enum auth_service service;
	struct netaddr address;
	struct sv tls;                  /* the TLS version, "TLSv1.3"; empty: no TLS */
	bool may_send_password;         /* without TLS, too: the listener is for such as this one */
	const struct tls_conn *conn;    /* for channel bindings; NULL: there are none */
	const struct log_ctx *log;      /* may be NULL */
};

/** auth_may_send_password - TLS, an address that plaintext-auth names, or a listener that says so: else USER, LOGIN and PLAIN are refused before
 *  the password is asked for. */
bool auth_may_send_password(const struct conf_auth *conf, const struct auth_peer *peer);
/** auth_mechanisms - append what may be offered, separated by a space: "PLAIN LOGIN SCRAM-SHA-256". */
void auth_mechanisms(const struct auth *auth, const struct conf_auth *conf, const struct auth_peer *peer, struct buf *out);

/** auth_session_new - for one connection. @conf is copied from. */
struct auth_session *auth_session_new(struct auth *auth, const struct conf_auth *conf, const struct auth_peer *peer);
struct auth_session *auth_session_ref(struct auth_session *s);
/** auth_session_unref - the last one ends it. NULL is fine. Blocks for nothing. */
void auth_session_unref(struct auth_session **s);

/** auth_session_client - what the program calls itself: its name alone, and all that it said (ID, EHLO). Copied. Not while a
 *  call runs. */
void auth_session_client(struct auth_session *s, struct sv program, struct sv client);

enum auth_outcome {
	AUTH_CONTINUE = 1,              /* send the challenge, then auth_step() */
	AUTH_OK,                        /* here is the identity */
	AUTH_FAIL,
};

enum auth_reason {
	AUTH_REASON_NONE = 0,
	AUTH_BAD_CREDENTIALS,           /* 535 5.7.8, [AUTHENTICATIONFAILED], -ERR [AUTH] */
	AUTH_TEMPORARY,                 /* 454 4.7.0, [UNAVAILABLE], -ERR [SYS/TEMP] */
	AUTH_DISABLED,                  /* right password, account switched off: 535, [AUTHORIZATIONFAILED] */
	AUTH_NOT_HERE,                  /* right password, not good for this protocol: likewise */
	AUTH_EXPIRED,                   /* right app password, and its time is over: 535, [EXPIRED], -ERR [AUTH] */
	AUTH_FOREIGN,                   /* right password, but to be somebody else, which nobody may: 535, [AUTHORIZATIONFAILED], -ERR [AUTH] */
	AUTH_UNKNOWN_MECHANISM,         /* 504 5.5.4 */
	AUTH_MALFORMED,                 /* 501 5.5.2, BAD */
	AUTH_PLAINTEXT_REFUSED,         /* 538 5.7.11 or 530 5.7.0, [PRIVACYREQUIRED] */
	AUTH_CANCELLED,                 /* the client sent "*": 501 5.0.0, BAD */
	AUTH_THROTTLED,                 /* too many failures before, no matter what came: 454 4.7.0, [UNAVAILABLE], [SYS/TEMP] */
};
/** auth_reason_is_wrong - does it count as a failure of the session? */
bool auth_reason_is_wrong(enum auth_reason reason);
/** auth_reason_name - "bad-credentials", ...: for logs. */
const char *auth_reason_name(enum auth_reason reason);

struct auth_result {
	enum auth_outcome outcome;
	enum auth_reason reason;        /* AUTH_FAIL */
	/* AUTH_FAIL: hold the answer back so long, by a timer; 0: at once. Only wrong credentials, and who is throttled, are
	 * delayed; both count as failures of the session. */
	uint32_t delay_ms;
	/* AUTH_EXPIRED and AUTH_FOREIGN have one, AUTH_DISABLED and AUTH_NOT_HERE may: what the client is to read, a line of ASCII; "": the
	 * usual. */
	char text[DIRECTORY_MESSAGE_MAX + 1];
	struct buf challenge;           /* AUTH_CONTINUE: octets, may be empty; wiped by auth_result_done() */
	struct auth_identity *identity; /* AUTH_OK: the caller's reference; take it and leave NULL here */
};
void auth_result_done(struct auth_result *r);

/**
 * auth_start - begin an exchange. An unfinished one of this session is given up.
 * @mechanism: any case
 * @initial:   the client's initial response, decoded; NULL when it sent none (an empty one, "=", is not none)
 * @out:       overwritten; end it with auth_result_done()
 */
void auth_start(struct auth_session *s, struct sv mechanism, const struct sv *initial, struct auth_result *out);
/** auth_step - the client's answer to the last challenge, decoded. */
void auth_step(struct auth_session *s, struct sv response, struct auth_result *out);
/** auth_login - a name and a password that came in clear words. */
void auth_login(struct auth_session *s, struct sv user, struct sv password, struct auth_result *out);
/**
 * auth_start_again, auth_step_again, auth_login_again - the same call where nothing has to be looked up: name and password that were
 * right less than a minute ago, in this process and from this address, while the directory was not changed. They do not block, so the
 * loop may ask. False: nothing happened, and *out was not touched.
 */
bool auth_start_again(struct auth_session *s, struct sv mechanism, struct sv initial, struct auth_result *out);
bool auth_step_again(struct auth_session *s, struct sv response, struct auth_result *out);
bool auth_login_again(struct auth_session *s, struct sv user, struct sv password, struct auth_result *out);
/** auth_cancel - give an exchange up (the client sent "*"). Not while another call runs. */
void auth_cancel(struct auth_session *s);

enum auth_response {
	AUTH_RESPONSE_DATA = 1,
	AUTH_RESPONSE_CANCEL,           /* "*" */
	AUTH_RESPONSE_BAD,              /* not base64, or too long */
};
/** auth_decode_response - one line of a client, without its CRLF, as IMAP, POP3 and SMTP write it (RFC 4954 §4,
 *  RFC 9051 §6.2.2, RFC 5034 §4). @is_initial: "=" stands for an empty response. Appended to out, whose max should be
 *  AUTH_INPUT_MAX; wipe it. */
enum auth_response auth_decode_response(struct sv line, bool is_initial, struct buf *out);

#endif
