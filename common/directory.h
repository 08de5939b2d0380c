/* common/directory.h - the account directory of an instance: domains, accounts, aliases, credentials, send-as.
 *
 * It lies in ROOT/directory and is live: every call reads by transaction, so what the command line changes holds for
 * the next login and the next recipient. A change is durable when the call returns. Everything blocks (workers
 * only); a directory may be used from any thread.
 *
 * An address has one canonical form: domain in A-labels and lower case, local part with ASCII letters in lower case
 * and in NFC. A name is an account or an alias, never both. Behind the domain's separator ('+') a local part may carry
 * a tag, which is not part of the name (RFC 5233). Texts in the structs below are NUL-terminated.
 *
 * Faults: FAULT_NOT_FOUND, FAULT_EXISTS, FAULT_INVALID (an address or value that cannot be), FAULT_LIMIT,
 * FAULT_DENIED (something else has to go first), FAULT_BUSY (changed by another meanwhile), FAULT_UNSUPPORTED (made by a
 * newer program), FAULT_CORRUPT, FAULT_NO_SPACE, FAULT_INTERNAL. Details of the first five are sentences for the
 * administrator. */
#ifndef COMMON_DIRECTORY_H
#define COMMON_DIRECTORY_H

#include "common/address.h"
#include "common/bytes.h"
#include "common/crypt.h"
#include "common/fault.h"
#include "common/ipnet.h"
#include "common/memory.h"
#include "common/passhash.h"

struct directory;

#define DIRECTORY_ID_LEN 16
#define DIRECTORY_ADDRESS_MAX 400               /* octets; quoting of the local part included */
#define DIRECTORY_LABEL_MAX 64
#define DIRECTORY_PASSWORD_MAX 1024             /* octets */
#define DIRECTORY_CREDENTIALS_MAX 33            /* of an account: its password and 32 app passwords and certificates */
#define DIRECTORY_ALIAS_TARGETS_MAX 1000
#define DIRECTORY_ALIAS_DEPTH_MAX 10
#define DIRECTORY_RECIPIENTS_MAX 1000           /* one address expands to at most so many */
#define DIRECTORY_SALT_LEN 16
#define DIRECTORY_HASHES (CRYPT_SHA256 + 1)     /* CRYPT_SHA1 and CRYPT_SHA256 have verifiers */
#define DIRECTORY_ITERATIONS_MIN 4096           /* RFC 7677 §4 */
#define DIRECTORY_ITERATIONS_MAX 10000000

/**
 * directory_open - open the directory in folder `path`.
 * @create: make it when missing, with a new server secret; else FAULT_NOT_FOUND
 * @out:    set on success only; directory_close() ends it
 */
MUST_CHECK struct fault directory_open(const char *path, bool create, struct directory **out);
void directory_close(struct directory **dir);
/** directory_keyed - HMAC-SHA-256 of data under the instance's secret; the same for ever in one instance. `purpose`
 *  keeps uses apart. */
void directory_keyed(const struct directory *dir, const char *purpose, struct sv data, uint8_t out[32]);
/** directory_revision - grows with every change of anything, by any process; for caches. Never waits: 0 when it is not known just
 *  now, which is no revision and equals none. */
uint64_t directory_revision(struct directory *dir);
/** directory_revision_wait - likewise, for a job that must know: waits for who changes the size of the directory. */
uint64_t directory_revision_wait(struct directory *dir);
/** directory_copy - a snapshot of the whole, into a new file (backup). */
MUST_CHECK struct fault directory_copy(struct directory *dir, const char *file);
/** directory_tidy - housekeeping, once a minute. */
void directory_tidy(struct directory *dir);

/* ---- domains ---- */

struct directory_domain {
	char name[ADDRESS_DOMAIN_MAX + 1];              /* A-labels, lower case */
	char catch_all[DIRECTORY_ADDRESS_MAX + 1];      /* who gets mail for unknown names; "": nobody */
	char separator;                                 /* before a tag; '\0': tags are not known */
	/* another domain of ours whose names are names here, too; "": none. Names of its own come first. */
	char alias_of[ADDRESS_DOMAIN_MAX + 1];
	int relay;                                      /* enum directory_relay; not NO: not one of ours */
	int64_t created_s;                              /* Unix time */
};
/* Mail for a domain that is somebody else's is taken in for him, and sent on as it is. */
enum directory_relay {
	DIRECTORY_RELAY_NO = 0,
	DIRECTORY_RELAY_LISTED,         /* for names that directory_relay_add() knows */
	DIRECTORY_RELAY_ANY,            /* for any name: what its host refuses goes back to the sender */
	DIRECTORY_RELAY_ASKED,          /* for listed names, and for others when its host says that it knows them */
};
/** directory_domain_add - the first domain becomes the default one (bare logins, <postmaster>). */
MUST_CHECK struct fault directory_domain_add(struct directory *dir, struct sv name);
MUST_CHECK struct fault directory_domain_get(struct directory *dir, struct sv name, struct directory_domain *out);
/** directory_domain_set - catch_all, separator, alias_of and relay of an existing domain. FAULT_INVALID: alias_of is not ours, or is an alias
 *  itself. */
MUST_CHECK struct fault directory_domain_set(struct directory *dir, const struct directory_domain *domain);
/** directory_domain_remove - FAULT_DENIED while it has accounts or aliases. */
MUST_CHECK struct fault directory_domain_remove(struct directory *dir, struct sv name);
/** directory_domain_default - FAULT_NOT_FOUND when there is no domain. */
MUST_CHECK struct fault directory_domain_default(struct directory *dir, struct directory_domain *out);
/* Called for each in the order of names, inside a read transaction: no other call on the directory. False stops. */
typedef bool directory_domain_fn(void *arg, const struct directory_domain *domain);
MUST_CHECK struct fault directory_domain_list(struct directory *dir, directory_domain_fn *fn, void *arg);

/* ---- accounts ---- */

#define DIRECTORY_MESSAGE_MAX 160

/* What an account is for. Changing it ends no session: see `postroom kick`. */
enum directory_use {
	DIRECTORY_USE_ALL = 0,
	DIRECTORY_USE_NOLOGIN,          /* takes mail; nobody logs in */
	DIRECTORY_USE_SEND_ONLY,        /* submission only; mail to it is refused, or goes to `forward` */
	DIRECTORY_USE_RECEIVE_ONLY,     /* everything but submission */
};
#define DIRECTORY_USES 4

struct directory_account {
	char id[DIRECTORY_ID_LEN + 1];                  /* random, never reused */
	char address[DIRECTORY_ADDRESS_MAX + 1];        /* canonical */
	bool is_enabled;                                /* may log in; mail is taken in either way */
	unsigned scope;                                 /* SCOPE_ bits of identity.h that logins may have, as far as `use` lets them */
	unsigned password_denied;                       /* SCOPE_ bits for which the account's own password is no good; 0: none */
	enum directory_use use;
	char message[DIRECTORY_MESSAGE_MAX + 1];        /* said to whom is_enabled or `use` refuses, after a right password; "": the usual one */
	char forward[DIRECTORY_ADDRESS_MAX + 1];        /* of a send-only account: who gets its mail; "": it is refused */
	uint64_t quota_bytes, quota_messages;           /* 0: no limit */
	int64_t created_s;
	bool is_hashed;                                 /* has another server's hash still; set by nobody but this module */
	uint64_t revision;                              /* grows with each change of the account or its credentials */
};
/**
 * directory_account_add - a new account, enabled for everything.
 * @password: NULL for none yet; at most DIRECTORY_PASSWORD_MAX octets
 * @iterations: PBKDF2 rounds for this account's credentials
 * @out:      may be NULL
 * FAULT_NOT_FOUND: the domain is not ours. FAULT_EXISTS: an account or alias has the name.
 */
MUST_CHECK struct fault directory_account_add(struct directory *dir, struct sv address, const struct sv *password,
					      uint32_t iterations, struct directory_account *out);
/** directory_account_add_hashed - the same with a hash that another server made (common/passhash.h) in place of a password. Until
 *  the first right login, which makes the account's own verifier of it, nobody is offered SCRAM (directory_lacks_verifier()).
 *  Besides FAULT_UNSUPPORTED: no hash that could be verified here. */
MUST_CHECK struct fault directory_account_add_hashed(struct directory *dir, struct sv address, struct sv hash,
						     uint32_t iterations, struct directory_account *out);
MUST_CHECK struct fault directory_account_get(struct directory *dir, struct sv address, struct directory_account *out);
/** directory_account_by_id - the account that an identity names. */
MUST_CHECK struct fault directory_account_by_id(struct directory *dir, struct sv id, struct directory_account *out);
/** directory_account_set - is_enabled, scope, password_denied, use, message, forward and quota as in *account, which was got before; FAULT_BUSY when
 *  somebody changed it meanwhile (by its revision). */
MUST_CHECK struct fault directory_account_set(struct directory *dir, const struct directory_account *account);
/** directory_state_name - is_enabled and use in a word: "active", "nologin", "send-only", "receive-only", "disabled". */
const char *directory_state_name(const struct directory_account *account);
/** directory_use_name - likewise of `use` alone. */
const char *directory_use_name(enum directory_use use);
/** directory_state_parse - set them by that word. "disabled" leaves `use`, for the day when it is enabled again. False: there is no such word. */
bool directory_state_parse(struct sv name, struct directory_account *account);
/** directory_account_copy_settings - what directory_account_set() writes, from another account. */
void directory_account_copy_settings(struct directory_account *to, const struct directory_account *from);
/** directory_message_set, directory_forward_set - the field from text; "none" empties it. False: it cannot be. */
bool directory_message_set(struct sv text, struct directory_account *account);
bool directory_forward_set(struct sv text, struct directory_account *account);
/** directory_account_scope - what logins may be for. */
unsigned directory_account_scope(const struct directory_account *account);
/** directory_account_refusal - what a right password is told that may not be used for a service (a SCOPE_ bit); "": nothing of its own. Borrowed
 *  from the account. */
const char *directory_account_refusal(const struct directory_account *account, unsigned service);
/** directory_account_remove - with credentials and grants. Its mail is not touched. Aliases that name it keep the
 *  name, which then is unknown. */
MUST_CHECK struct fault directory_account_remove(struct directory *dir, struct sv address);
typedef bool directory_account_fn(void *arg, const struct directory_account *account);
/** directory_account_list - by domain, then name. @domain: only this one; empty: all. */
MUST_CHECK struct fault directory_account_list(struct directory *dir, struct sv domain, directory_account_fn *fn,
					       void *arg);
/** directory_account_addresses - the addresses alone, in the same order. directory_addresses_free() ends the list, also after a
 *  fault. */
MUST_CHECK struct fault directory_account_addresses(struct directory *dir, struct sv domain, char ***out, size_t *count);
void directory_addresses_free(char ***addresses, size_t *count);

/* ---- aliases ---- */

/** directory_alias_add - a name for one or several addresses, local or remote. FAULT_EXISTS: the name is taken. */
MUST_CHECK struct fault directory_alias_add(struct directory *dir, struct sv address, const struct sv *targets,
					    size_t count);
/** directory_alias_set - the same, replacing the targets of an alias that is there: what else is said of it stays. */
MUST_CHECK struct fault directory_alias_set(struct directory *dir, struct sv address, const struct sv *targets,
					    size_t count);
MUST_CHECK struct fault directory_alias_remove(struct directory *dir, struct sv address);
/* Who may send to a list. */
enum directory_posters {
	DIRECTORY_POST_ANYONE = 0,
	DIRECTORY_POST_MEMBERS,         /* whose address is one of the targets */
	DIRECTORY_POST_ACCOUNTS,        /* who is logged in with an account of the list's domain */
	DIRECTORY_POST_NAMED,           /* who is named */
};
#define DIRECTORY_NAMED_MAX 100

/* An alias with all that may be said of it. Texts and targets are borrowed. */
struct directory_alias {
	struct sv address;
	const struct sv *targets;
	size_t count;
	int64_t expires_s;              /* Unix time from which on the name is unknown; 0: never */
	bool is_list;                   /* each target gets a copy of its own, from the list; bounces go to its owner */
	struct sv owner;                /* of a list: an address */
	enum directory_posters posters;
	const struct sv *named;         /* addresses that may send, besides */
	size_t named_count;
};
/** directory_alias_put - as it is given, new or, with `may_replace`, in the place of one that is there. */
MUST_CHECK struct fault directory_alias_put(struct directory *dir, const struct directory_alias *alias, bool may_replace);
/** directory_alias_get - @arena: where *out lives. FAULT_NOT_FOUND also for an account. */
MUST_CHECK struct fault directory_alias_get(struct directory *dir, struct arena *arena, struct sv address,
					    struct directory_alias *out);
/**
 * directory_may_post - may this sender send to the list?
 * @list:    its address, as a route has it
 * @sender:  an address that is known to be the sender's; empty: none is
 * @account: of who is logged in; empty: nobody
 */
MUST_CHECK struct fault directory_may_post(struct directory *dir, struct sv list, struct sv sender, struct sv account, bool *may);
/* The alias is borrowed for the call. */
typedef bool directory_alias_fn(void *arg, const struct directory_alias *alias);
MUST_CHECK struct fault directory_alias_list(struct directory *dir, struct sv domain, directory_alias_fn *fn, void *arg);

/* ---- recipients of relay domains ---- */

/** directory_relay_add - a name is known at a domain that mail is relayed to. FAULT_INVALID: its domain is none; FAULT_EXISTS. */
MUST_CHECK struct fault directory_relay_add(struct directory *dir, struct sv address);
MUST_CHECK struct fault directory_relay_remove(struct directory *dir, struct sv address);
typedef bool directory_relay_fn(void *arg, struct sv address);
MUST_CHECK struct fault directory_relay_list(struct directory *dir, struct sv domain, directory_relay_fn *fn, void *arg);

/* ---- credentials ---- */

/* What SCRAM with one hash compares with (RFC 5802 §3): of each, crypt_hash_len() octets. */
struct directory_verifier {
	bool is_there;                                  /* SHA-1's is not where only an older version saw the password */
	uint8_t stored[CRYPT_SHA256_LEN], server[CRYPT_SHA256_LEN];     /* StoredKey, ServerKey */
};
#define DIRECTORY_SOURCES_MAX 8
/* When and from where an app password is good. */
struct directory_bounds {
	int64_t expires_s;                              /* Unix time from which on it is not; 0: never */
	size_t source_count;                            /* 0: from anywhere */
	struct ipnet sources[DIRECTORY_SOURCES_MAX];
};
struct directory_credential {
	uint32_t number;                                /* 0: the account's password */
	char label[DIRECTORY_LABEL_MAX + 1];            /* "password", or an app password's label */
	unsigned scope;                                 /* SCOPE_ bits */
	int64_t created_s;
	struct directory_bounds bounds;
	bool is_certificate;                            /* a client's: by its key, else by a password */
	union {
		struct directory_verifier verifiers[DIRECTORY_HASHES];  /* by enum crypt_hash; SHA-256's is always there */
		uint8_t key[CRYPT_SHA256_LEN];          /* SHA-256 of a SubjectPublicKeyInfo */
	};
};
/** directory_password_set - the account's password. Slow (PBKDF2). The salt stays the account's for life; `iterations`
 *  is taken over only while the account has no app password, since all its credentials share one count. */
MUST_CHECK struct fault directory_password_set(struct directory *dir, struct sv address, struct sv password,
					       uint32_t iterations);
/** directory_credential_add - an app password. FAULT_LIMIT: too many; FAULT_EXISTS: the label is used. Slow. */
MUST_CHECK struct fault directory_credential_add(struct directory *dir, struct sv address, struct sv label,
						 unsigned scope, struct sv password, uint32_t *number);
/** directory_credential_add_bounded - the same of one that is not good for ever, or not from everywhere. */
MUST_CHECK struct fault directory_credential_add_bounded(struct directory *dir, struct sv address, struct sv label, unsigned scope,
							 const struct directory_bounds *bounds, struct sv password, uint32_t *number);
MUST_CHECK struct fault directory_credential_remove(struct directory *dir, struct sv address, uint32_t number);

/** directory_certificate_add - the key of a client's certificate, which logs in without any password. FAULT_LIMIT: too many;
 *  FAULT_EXISTS: the label is used, or the account has this key. directory_credential_remove() takes it back. */
MUST_CHECK struct fault directory_certificate_add(struct directory *dir, struct sv address, struct sv label, unsigned scope,
						  const uint8_t key[CRYPT_SHA256_LEN], uint32_t *number);
/** directory_certificate_owner - whose key is it? @out: an address. FAULT_NOT_FOUND: nobody's, or that of several. */
MUST_CHECK struct fault directory_certificate_owner(struct directory *dir, const uint8_t key[CRYPT_SHA256_LEN],
						    char out[DIRECTORY_ADDRESS_MAX + 1]);
/** directory_certificate_keys - the keys of all accounts, in order, CRYPT_SHA256_LEN octets each; appended to out. FAULT_LIMIT: more
 *  than it may hold. */
MUST_CHECK struct fault directory_certificate_keys(struct directory *dir, struct buf *out);
/** directory_certificates_list - every certificate's key is found, whichever program wrote the credential. Changes nothing that is there. */
MUST_CHECK struct fault directory_certificates_list(struct directory *dir);

/* All that checking a login needs, copied. Wipe it with directory_login_done(). */
struct directory_login {
	struct directory_account account;
	uint8_t salt[DIRECTORY_SALT_LEN];
	uint32_t iterations;
	char hash[PASSHASH_MAX + 1];                    /* another server's, good for all that the password is; "": none */
	size_t count;
	struct directory_credential credentials[DIRECTORY_CREDENTIALS_MAX];     /* the password first, if it has one */
};
/**
 * directory_login - the account that a login name stands for, with its verifiers.
 * @user: user@domain in any case, spaces behind it ignored; without @ the default domain is meant when it is the only
 *        one. Aliases and tags are no login names.
 * FAULT_NOT_FOUND also for text that is no address. A disabled account is found: see account.is_enabled.
 */
MUST_CHECK struct fault directory_login(struct directory *dir, struct sv user, struct directory_login *out);
void directory_login_done(struct directory_login *login);
/** directory_password_upgrade - after the hash of *login was found to be that of this password: make the verifier of it and
 *  forget the hash. FAULT_BUSY: the account was changed since. Slow. */
MUST_CHECK struct fault directory_password_upgrade(struct directory *dir, const struct directory_login *login,
						   struct sv password);
/** directory_verifiers_complete - after this password was found to be that of credential `number` of *login: make the verifiers that
 *  are not there. FAULT_BUSY: the account was changed since. Slow. */
MUST_CHECK struct fault directory_verifiers_complete(struct directory *dir, const struct directory_login *login, uint32_t number,
						     struct sv password);
/**
 * directory_lacks_verifier - is there an account that may log in with a password that has no verifier for SCRAM with this hash? Its
 * client, which picked that, would fail with the right password.
 * @id: "", or as the call before left it: the account to begin with, so that asking again and again while one after the other is
 *      helped costs no more than asking once; where there is none, ""
 */
MUST_CHECK struct fault directory_lacks_verifier(struct directory *dir, enum crypt_hash hash, char id[DIRECTORY_ID_LEN + 1],
						 bool *lacks);
/** directory_account_lacks_verifier - is it this one? */
MUST_CHECK struct fault directory_account_lacks_verifier(struct directory *dir, struct sv address, enum crypt_hash hash, bool *lacks);
/** directory_login_fake - an unknown user's verifier: made from the name and the server secret, so that it is the same
 *  each time and nobody can tell it from a real one. No password matches it. */
void directory_login_fake(struct directory *dir, struct sv user, uint32_t iterations, struct directory_login *out);
/** directory_login_canonical - the name under which a login is counted: canonical when it is an address, else lower-case
 *  text; at most DIRECTORY_ADDRESS_MAX octets. Where the name has its domain, this is computed and does not block. */
void directory_login_canonical(struct directory *dir, struct sv user, char out[DIRECTORY_ADDRESS_MAX + 1]);

/* ---- send-as ---- */

/** directory_grant_add - let an account send as an address, or as any of a domain ("@example.org"). */
MUST_CHECK struct fault directory_grant_add(struct directory *dir, struct sv account, struct sv address);
MUST_CHECK struct fault directory_grant_remove(struct directory *dir, struct sv account, struct sv address);
typedef bool directory_grant_fn(void *arg, struct sv account, struct sv address);
/** directory_grant_list - @account: an address; empty: of all. */
MUST_CHECK struct fault directory_grant_list(struct directory *dir, struct sv account, directory_grant_fn *fn, void *arg);

/**
 * directory_owns - may the account send as this address? Its own, an alias that leads to it (other aliases between,
 * other recipients beside), either with a tag, or by a grant. What only the catch-all leads to it is not its own.
 * @id: the account's id (identity_account())
 * Source: RFC 6409 §6.1.
 */
MUST_CHECK struct fault directory_owns(struct directory *dir, struct sv id, const struct address *from, bool *owns);

/* ---- recipients ---- */

enum directory_answer {
	DIRECTORY_NOT_OURS,     /* the domain is elsewhere (an address literal is, too) */
	DIRECTORY_UNKNOWN,      /* our domain, no such name */
	DIRECTORY_CLOSED,       /* an account that takes no mail */
	DIRECTORY_TARGETS,      /* here is where it goes */
};
/* A list through which a recipient's mail goes. */
struct directory_list {
	struct sv address, owner;
};
struct directory_target {
	bool is_remote;
	struct sv address;      /* local: the account's canonical address; remote: as text */
	struct address remote;  /* remote only */
	struct sv id;           /* local: the account's id */
	struct sv tag;          /* local: behind the separator, as the sender wrote it; may be empty */
	uint64_t quota_bytes, quota_messages;
	bool is_via_alias;      /* not the address that was asked for */
	const struct directory_list *list;      /* the first list on the way; NULL: none */
};
struct directory_route {
	enum directory_answer answer;
	struct directory_target *targets;       /* each once, in the arena */
	size_t count;
	size_t lost;                            /* local names in aliases that do not exist; for the log */
	bool is_asked;                          /* good only if the host of its domain knows the name (DIRECTORY_RELAY_ASKED) */
	const struct directory_list *const *lists;      /* that the sender must be allowed to send to */
	size_t list_count;
};
/**
 * directory_resolve - where mail for a recipient goes: the name itself, the name without tag, the domain's catch-all;
 * aliases are followed through. No domain means the default one: <postmaster>.
 * A postmaster whom none of these finds is the default domain's postmaster, else the oldest account, since it must be
 * accepted (RFC 5321 §4.5.1).
 * @arena: where *out lives
 * Errors: FAULT_LIMIT: alias depth or recipients beyond the limit, or the arena is full. FAULT_INVALID: aliases that
 * lead nowhere but to each other. Both are for the administrator to mend: a temporary answer.
 */
MUST_CHECK struct fault directory_resolve(struct directory *dir, struct arena *arena, const struct address *recipient,
					  struct directory_route *out);
/** directory_is_local_domain - is it one of ours, and not only relayed to? @domain as in struct address. */
MUST_CHECK struct fault directory_is_local_domain(struct directory *dir, struct sv domain, bool *is_local);

#endif
