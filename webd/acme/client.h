/* webd/acme/client.h - one certificate from an authority (RFC 8555): account, order, proof by http-01, tls-alpn-01 or dns-01 for each name, certificate.
 * It speaks through common/http and writes the proofs as files, which the web front answers with; both may be refused at
 * any step, and the whole has ORDER_MS. Small files are read and written on the loop: this process serves nobody else. */
#ifndef WEBD_ACME_CLIENT_H
#define WEBD_ACME_CLIENT_H

#include "common/bytes.h"
#include "common/conf.h"
#include "common/crypt_es256.h"
#include "common/fault.h"
#include "common/loop.h"

#define ACME_NAMES_MAX 50

struct acme_order;
struct dnsproof_zone;
struct http;

struct acme_settings {
	const char *directory;          /* URL */
	const char *contact;            /* address, or "" */
	const struct sv *names;         /* host names in A-labels; the array is copied, what it views is borrowed until the end */
	size_t name_count;
	const struct es256_key *account;        /* borrowed until the end */
	const char *key_path;           /* the server's key */
	const char *proofs;             /* folder for the proofs; must be there */
	enum conf_acme_challenge challenge;     /* by HTTP, in a TLS handshake (RFC 8737), or in the DNS */
	const struct dnsproof_zone *zone;       /* for proofs in the DNS; borrowed, also by jobs after the end */
};

struct acme_result {
	struct fault fault;             /* detail: a sentence, the authority's own where it gave one */
	bool is_account_gone;           /* the authority does not know the account's key any more */
	struct sv name;                 /* that it is about: no proof was seen, or it may have none; empty: about none of them */
	struct sv chain;                /* PEM; not looked at yet */
};
/** Called once, in a later turn; borrowed for the call. The order is gone when it returns. */
typedef void acme_fn(void *arg, const struct acme_result *result);

/** acme_order - ask for a certificate. Strings are borrowed until the end. @out: for acme_forget(). */
void acme_order(struct loop *loop, struct http *http, const struct acme_settings *settings, acme_fn *fn, void *arg,
		struct acme_order **out);
/** acme_forget - give up; fn is not called. Proofs are removed. NULL is fine. */
void acme_forget(struct acme_order **order);

#endif
