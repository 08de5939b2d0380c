/* common/tls_private.h - certificate files: what tls_cert.c does for tls.c. */
#ifndef COMMON_TLS_PRIVATE_H
#define COMMON_TLS_PRIVATE_H

#include <openssl/ssl.h>

#include "common/tls.h"

/* A connection of either side. */
struct tls_conn {
	SSL *ssl;
	struct tls_server *server;      /* the rest is a server's: NULL for a client */
	struct sites *sites;
	const struct tls_role *role;
	char *error;
	bool is_ticket_due;             /* tls_give_ticket() gives it */
	bool is_proof;                  /* it asked for a certificate authority's proof, and gets it (tls_proof.h) */
};

/** tls_load_chain - all certificates of a PEM file, the server's own first; at least one. */
MUST_CHECK struct fault tls_load_chain(const char *path, STACK_OF(X509) **out);
/** tls_load_key - a private key that nobody else may read. */
MUST_CHECK struct fault tls_load_key(const char *path, EVP_PKEY **out);
/** tls_proof_use - show the proof for this name, if one lies in the folder. */
bool tls_proof_use(SSL *ssl, const char *folder, struct sv name);
/** tls_cert_key_digest - SHA-256 of its SubjectPublicKeyInfo. */
bool tls_cert_key_digest(X509 *cert, uint8_t out[32]);
void tls_cert_describe(X509 *cert, struct tls_cert_facts *out);
/** tls_verify_text - why the other side's certificate was not believed; NULL when it was. */
const char *tls_verify_text(const SSL *ssl);
/** tls_reason - OpenSSL's last error of this thread in words; never NULL. */
const char *tls_reason(void);

#endif
