/* common/directory_private.h - what the sources of the directory share: tables, keys, rows.
 *
 *   meta         "format" | "secret" | "default-domain"
 *   domains      domain                          row
 *   names        domain NUL local part           an account's id, or an alias's targets
 *   accounts     id                              row
 *   credentials  id, number u32                  row
 *   certificates key digest, id                  number u32, of the credential
 *   grants       id, address or @domain          empty
 *   delegates    token digest                    row
 */
#ifndef COMMON_DIRECTORY_PRIVATE_H
#define COMMON_DIRECTORY_PRIVATE_H

#include "common/directory.h"
#include "common/directory_delegate.h"
#include "common/kv.h"
#include "common/record.h"

#define DIRECTORY_FORMAT 1

enum { DT_META, DT_DOMAINS, DT_NAMES, DT_ACCOUNTS, DT_CREDENTIALS, DT_GRANTS, DT_CERTIFICATES, DT_DELEGATES, DT_COUNT };

struct directory {
	struct kv_env *env;
	uint8_t secret[32];
	const struct directory_delegate *only;  /* NULL: every domain is seen */
};

/* A canonical address. */
struct name {
	char local[ADDRESS_LOCAL_MAX + 1];
	char domain[ADDRESS_DOMAIN_MAX + 1];
};

/* What a name stands for. */
struct name_row {
	char id[DIRECTORY_ID_LEN + 1];          /* an account; "" for an alias */
	struct record_in targets;               /* an alias: fields for alias_next(); views into the map */
	int64_t expires_s;                      /* 0: never */
	bool is_relayed;                        /* known at a relay domain; neither account nor alias */
	bool is_list;
	struct sv owner;                        /* "domain NUL local" */
	enum directory_posters posters;
};

struct account_row {
	struct directory_account pub;
	uint8_t salt[DIRECTORY_SALT_LEN];
	uint32_t iterations;
	uint32_t next_number;                   /* of an app password */
	char hash[PASSHASH_MAX + 1];            /* another server's; "": none */
};

/** name_set - canonical form of a parsed address whose domain is canonical already. FAULT_INVALID. */
MUST_CHECK struct fault name_set(struct name *n, struct sv local, struct sv domain);
/** name_from_text - "user@domain". FAULT_INVALID with a sentence. */
MUST_CHECK struct fault name_from_text(struct sv text, struct name *n);
/** name_key_prefix - what the keys of all names of a domain, in canonical form, begin with. */
void name_key_prefix(struct sv domain, struct kv_key *key);
void name_key(const struct name *n, struct kv_key *key);
/** name_of_key - and back. FAULT_CORRUPT. */
MUST_CHECK struct fault name_of_key(struct sv key, struct name *n);
/** name_taken - FAULT_EXISTS with a sentence. */
MUST_CHECK struct fault name_taken(const struct name *n);
/** name_text - local@domain, quoted where needed, with a NUL. */
void name_text(const struct name *n, char out[DIRECTORY_ADDRESS_MAX + 1]);
/** domain_from_text - canonical domain name with a NUL. FAULT_INVALID with a sentence. */
MUST_CHECK struct fault domain_from_text(struct sv text, char out[ADDRESS_DOMAIN_MAX + 1]);

/** directory_sees - is this domain, in canonical form, one that the handle shows? */
bool directory_sees(const struct directory *dir, struct sv domain);
/** name_seen, domain_seen - name_from_text(), domain_from_text() of what a call is about: FAULT_NOT_FOUND for what the handle does not
 *  show, without a look at whether it is there. */
MUST_CHECK struct fault name_seen(const struct directory *dir, struct sv text, struct name *n);
MUST_CHECK struct fault domain_seen(const struct directory *dir, struct sv text, char out[ADDRESS_DOMAIN_MAX + 1]);
/** delegates_forget_domain - nobody administers it any more; tokens that were for nothing else go. */
MUST_CHECK struct fault delegates_forget_domain(struct kv_txn *txn, const char *domain);

/* Rows. Reading: FAULT_NOT_FOUND, or FAULT_CORRUPT with what was corrupt. */
MUST_CHECK struct fault domain_read(struct kv_txn *txn, struct sv name, struct directory_domain *out);
MUST_CHECK struct fault domain_decode(struct sv name, struct sv value, struct directory_domain *out);
/** domain_find - the same; FAULT_NOT_FOUND with a sentence. */
MUST_CHECK struct fault domain_find(struct kv_txn *txn, const char *name, struct directory_domain *out);
MUST_CHECK struct fault domain_write(struct kv_txn *txn, const struct directory_domain *d);
MUST_CHECK struct fault domain_default(struct kv_txn *txn, struct directory_domain *out);

MUST_CHECK struct fault name_read(struct kv_txn *txn, const struct name *n, struct name_row *out);
MUST_CHECK struct fault name_decode(struct sv value, struct name_row *out);
MUST_CHECK struct fault name_write_account(struct kv_txn *txn, const struct name *n, const char *id);
/** name_write_alias - targets, owner and named as given by target_from_text(). */
MUST_CHECK struct fault name_write_alias(struct kv_txn *txn, const struct name *n, const struct directory_alias *alias);
/** name_write_relayed - of a relay domain's host. */
MUST_CHECK struct fault name_write_relayed(struct kv_txn *txn, const struct name *n);
/** target_from_text - "domain NUL local" of an address, the form that aliases keep. FAULT_INVALID. */
MUST_CHECK struct fault target_from_text(struct arena *a, struct sv text, struct sv *out);
/** alias_next - the next target of an alias; false at the end (then *f says whether the row was whole). */
bool alias_next(struct record_in *targets, struct sv *local, struct sv *domain, struct fault *f);
/** alias_next_named - likewise the next one who may send to a list; read a copy of the row's fields. */
bool alias_next_named(struct record_in *targets, struct sv *local, struct sv *domain, struct fault *f);
/** target_text - local@domain in the arena. FAULT_LIMIT. */
MUST_CHECK struct fault target_text(struct arena *a, struct sv local, struct sv domain, struct sv *out);
/** alias_read - a row as directory_alias. @targets: room for DIRECTORY_ALIAS_TARGETS_MAX; @named: for DIRECTORY_NAMED_MAX. */
MUST_CHECK struct fault alias_read(struct arena *a, const struct name *n, const struct name_row *row, struct sv *targets,
				   struct sv *named, struct directory_alias *out);

MUST_CHECK struct fault account_row_read(struct kv_txn *txn, struct sv id, struct account_row *out);
MUST_CHECK struct fault account_decode(struct sv id, struct sv value, struct account_row *out);
/** account_write - raises the revision. */
MUST_CHECK struct fault account_write(struct kv_txn *txn, struct account_row *row);
/** account_find - by name; FAULT_NOT_FOUND with a sentence, also when the name is an alias. */
MUST_CHECK struct fault account_find(struct kv_txn *txn, const struct name *n, struct account_row *out);

void credential_key(const char *id, uint32_t number, struct kv_key *key);
MUST_CHECK struct fault credential_decode(struct sv key, struct sv value, struct directory_credential *out);
MUST_CHECK struct fault credential_write(struct kv_txn *txn, const char *id, const struct directory_credential *c);
/** credentials_new, credentials_free - room for all credentials of an account; it is wiped before it goes. */
struct directory_credential *credentials_new(void);
void credentials_free(struct directory_credential **all);
/** credentials_read - all of an account, by number; at most DIRECTORY_CREDENTIALS_MAX. */
MUST_CHECK struct fault credentials_read(struct kv_txn *txn, const char *id, struct directory_credential *out, size_t *count);

#define CREDENTIAL_MAIN_LABEL "password"
/** credential_insert - a new one of the account: it gets the account's next number, in *c. FAULT_LIMIT: too many; FAULT_EXISTS: the
 *  label is used. The account's row is written. */
MUST_CHECK struct fault credential_insert(struct kv_txn *txn, struct account_row *row, struct directory_credential *c);
/** label_check - of a credential. FAULT_INVALID with a sentence. */
MUST_CHECK struct fault label_check(struct sv label, char out[DIRECTORY_LABEL_MAX + 1]);
/** certificate_forget - take one out of the table of certificates; with those that are none, nothing happens. */
MUST_CHECK struct fault certificate_forget(struct kv_txn *txn, const char *id, const struct directory_credential *c);
/** credential_make_keys - the verifiers of a password. Slow. */
void credential_make_keys(struct directory_credential *c, struct sv password, const uint8_t *salt, uint32_t iterations);
/** directory_use_check - use, message and forward of an account: FAULT_INVALID with a sentence. */
MUST_CHECK struct fault directory_use_check(struct directory_account *account);
/** password_check, iterations_check - FAULT_INVALID with a sentence. */
MUST_CHECK struct fault password_check(struct sv password);
MUST_CHECK struct fault iterations_check(uint32_t iterations);

/** copy_text - with a NUL; false (out is "") when it does not fit or holds one. */
bool copy_text(char *out, size_t size, struct sv text);

/* A walk over the rows of a table in a snapshot, in the order of their keys. */
struct listing {
	const struct directory *dir;
	struct kv_txn *txn;             /* for further questions to the same snapshot */
	struct kv_cursor *cursor;
	struct kv_key prefix;           /* only rows whose keys begin so */
	struct sv key, value;           /* the row; borrowed until the next one */
	bool is_begun;
	bool is_each_domain;            /* of a narrowed directory: the names of its domains, one domain after the other */
	size_t at;                      /* which of those */
};

/** listing_begin - all rows; more may be asked of `prefix` before the first one. Nothing is to be ended after a fault. */
MUST_CHECK struct fault listing_begin(struct listing *l, const struct directory *dir, unsigned table);
/** listing_begin_names - the names of one domain; @domain empty: of all that the handle shows. */
MUST_CHECK struct fault listing_begin_names(struct listing *l, const struct directory *dir, struct sv domain);
/** listing_next - FAULT_NOT_FOUND at the end. */
MUST_CHECK struct fault listing_next(struct listing *l);
/** listing_end - close it, and say what the walk came to: the end is none of the faults. */
MUST_CHECK struct fault listing_end(struct listing *l, struct fault f);
void listing_close(struct listing *l);

#define ROW_VERSION 1
/** row_corrupt - what is said of a row that cannot be read; one of a newer program stays FAULT_UNSUPPORTED. */
struct fault row_corrupt(const char *what, struct sv key, struct fault f);
/** row_finish - all fields were read: was the row whole, and had it what it must have? */
MUST_CHECK struct fault row_finish(const char *what, struct sv key, const struct record_in *in, bool is_good);
/** row_write - also after this the record is done. Fields of the row that is there whose tags are above `last`, the last one that
 *  this program knows, are a newer program's, and stay. */
MUST_CHECK struct fault row_write(struct kv_txn *txn, unsigned table, struct sv key, struct record_out *r, uint8_t last);
/** row_newer - of a value that a newer program gave a meaning. */
struct fault row_newer(const char *what, struct sv key);

#endif
