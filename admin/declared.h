/* admin/declared.h - domains, accounts, aliases and grants as lines of text: read from a file, read from the directory, compared.
 *
 *   domain example.org separator + catch-all bob@example.org
 *   domain example.net alias-of example.org
 *   domain branch.example.org relay listed
 *   account alice@example.org quota 10G messages 100000 protocols imap,submission disabled
 *   account robot@example.org state send-only forward alice@example.org message "Ask Alice"
 *   account carol@example.org hash {SHA512-CRYPT}$6$...       (looked at only when the account is made)
 *   alias info@example.org alice@example.org someone@example.net
 *   send-as alice@example.org press@example.net
 *
 * Mailing lists, aliases that end by themselves and recipients at relay domains are left out of all this.
 * What a line does not say has the value that a new domain or account has. "#" begins a comment. One thread. */
#ifndef ADMIN_DECLARED_H
#define ADMIN_DECLARED_H

#include <stdio.h>

#include "common/directory.h"

enum declared_kind { DECLARED_DOMAIN, DECLARED_ACCOUNT, DECLARED_ALIAS, DECLARED_GRANT };

struct declared_thing {
	enum declared_kind kind;
	char *key;                      /* domain, canonical address; of a grant both addresses */
	char *text;                     /* the rest of the line, in one spelling: equal when the things are */
	size_t line;                    /* of the file; 0: of the directory */
	struct directory_domain domain;
	struct directory_account account;
	char *hash;                     /* of a new account, or NULL */
	char **targets;                 /* of an alias; of a grant: account and address */
	size_t target_count;
};

/* "no", "listed", "any", "asked": enum directory_relay. */
#define RELAY_WORDS 4
extern const char *const relay_words[RELAY_WORDS];

struct declared {
	struct declared_thing *things;  /* by kind, then key */
	size_t count, room;
};

/** declared_read - from a file. Every mistake is told; false: there was one. */
bool declared_read(struct directory *dir, FILE *file, const char *path, struct declared *out);
/** declared_load - what is there now. */
MUST_CHECK struct fault declared_load(struct directory *dir, struct declared *out);
void declared_done(struct declared *d);
/** declared_find - NULL: not in it. */
const struct declared_thing *declared_find(const struct declared *d, enum declared_kind kind, const char *key);
/** declared_kind_name - "domain", "account", ... */
const char *declared_kind_name(enum declared_kind kind);

#endif
