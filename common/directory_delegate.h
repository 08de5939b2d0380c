/* common/directory_delegate.h - who may administer some domains only: holders of a token, and a directory that shows no more than
 * those domains.
 *
 * A token is 260 random bits, told once. The directory keeps its HMAC-SHA-256 under the instance's secret, by which the row is
 * found: what lies on disk makes no token, and looking one up tells nothing about others by its time. Threads and faults as in
 * common/directory.h. */
#ifndef COMMON_DIRECTORY_DELEGATE_H
#define COMMON_DIRECTORY_DELEGATE_H

#include "common/directory.h"

#define DELEGATE_DOMAINS_MAX 16
#define DELEGATE_TOKEN_LEN 56           /* "prd_" and 52 characters of 5 bits each */
#define DELEGATE_USE_STEP_S 60          /* the last use is noted so often at most */

struct directory_delegate {
	char name[DIRECTORY_LABEL_MAX + 1];     /* who holds it; each once */
	char domains[DELEGATE_DOMAINS_MAX][ADDRESS_DOMAIN_MAX + 1];
	size_t domain_count;
	bool may_change;                        /* else it may look only */
	bool is_newer;                          /* a newer program narrowed it in a way that is not known here: it is good for nothing */
	int64_t created_s, expires_s, used_s;   /* Unix time; 0: never */
};

/**
 * directory_delegate_add - a new token.
 * @delegate: name, domains (in any form), may_change and expires_s are looked at
 * @token:    set on success only; the caller wipes it
 * FAULT_EXISTS: the name is used. FAULT_NOT_FOUND: a domain is not ours. FAULT_INVALID, FAULT_LIMIT.
 */
MUST_CHECK struct fault directory_delegate_add(struct directory *dir, const struct directory_delegate *delegate,
					       char token[DELEGATE_TOKEN_LEN + 1]);
/** directory_delegate_remove - by its name; it is good for nothing from now on. */
MUST_CHECK struct fault directory_delegate_remove(struct directory *dir, struct sv name);
/** directory_delegate_find - whose is this token? Notes the use. FAULT_AUTH: nobody's, or it has expired.
 *  FAULT_UNSUPPORTED: is_newer. */
MUST_CHECK struct fault directory_delegate_find(struct directory *dir, struct sv token, int64_t now_s, struct directory_delegate *out);
typedef bool directory_delegate_fn(void *arg, const struct directory_delegate *delegate);
/** directory_delegate_list - in no order. */
MUST_CHECK struct fault directory_delegate_list(struct directory *dir, directory_delegate_fn *fn, void *arg);

/** directory_delegate_check_domain, directory_delegate_check_address - FAULT_NOT_FOUND: not a domain of theirs, in words that do not depend
 *  on whether it is one of ours. FAULT_INVALID: neither a domain name nor an address. Looks nothing up. */
MUST_CHECK struct fault directory_delegate_check_domain(const struct directory_delegate *delegate, struct sv domain);
MUST_CHECK struct fault directory_delegate_check_address(const struct directory_delegate *delegate, struct sv address);

/** directory_narrow - from now on listings through this handle are made of their domains only, and other domains, accounts and
 *  aliases are not there. @delegate: borrowed until directory_close(). Nothing widens it again. */
void directory_narrow(struct directory *dir, const struct directory_delegate *delegate);

#endif
