/* TLS as a client: the connections that go out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/memory.h"
#include "common/tls_private.h"

#include "common/banned.h"

struct tls_client {
	SSL_CTX *ctx;
};

static struct fault load_authorities(SSL_CTX *ctx, const char *ca_file)
{
	if (!ca_file) {
		/* A system without any still does opportunistic TLS. */
		(void)SSL_CTX_set_default_verify_paths(ctx);
		return FAULT_OK;
	}
	if (access(ca_file, R_OK))
		return fault_errno("certificates", ca_file);
	if (SSL_CTX_load_verify_file(ctx, ca_file) != 1)
		return fault_detail(FAULT_INVALID, "%s: %s", ca_file, tls_reason());
	return FAULT_OK;
}

struct fault tls_client_new(const char *ca_file, struct tls_client **out)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct tls_client *client;
	struct fault f;

	if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION))
		BUG("TLS context: %s", tls_reason());
	/* Mail that meets no TLS it can speak goes in clear: a weak key is better than none. */
	SSL_CTX_set_security_level(ctx, 1);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_dane_enable(ctx) != 1)
		BUG("TLS context: %s", tls_reason());
	/* RFC 7672 §3.1.1: what usage 3 names is right whatever names and dates stand in it. */
	SSL_CTX_dane_set_flags(ctx, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	f = load_authorities(ctx, ca_file);
	ERR_clear_error();
	if (f.kind) {
		SSL_CTX_free(ctx);
		return f;
	}
	client = xcalloc(1, sizeof(*client));
	client->ctx = ctx;
	*out = client;
	return FAULT_OK;
}

void tls_client_free(struct tls_client **client)
{
	if (!*client)
		return;
	SSL_CTX_free((*client)->ctx);
	free(*client);
	*client = NULL;
}

/* note_names - certificates are looked at, and nothing follows from it (SSL_VERIFY_NONE). */
static bool note_names(SSL *ssl, const struct tls_expect *expect)
{
	for (size_t i = 0; i < expect->name_count; i++)
		if (X509_VERIFY_PARAM_add1_host(SSL_get0_param(ssl), expect->names[i], 0) != 1)
			return false;
	return true;
}

static bool expect_names(SSL *ssl, const struct tls_expect *expect)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (!expect->name_count)
		return false;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 0; i < expect->name_count; i++)
		if (X509_VERIFY_PARAM_add1_host(param, expect->names[i], 0) != 1)
			return false;
	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	return true;
}

/* expect_dane - a record that OpenSSL cannot use (a key that is none) counts as missing; when none is left, no certificate
 * is good enough. */
static bool expect_dane(SSL *ssl, const struct tls_expect *expect)
{
	size_t used = 0;

	if (!expect->name_count || SSL_dane_enable(ssl, expect->names[0]) != 1)
		return false;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 1; i < expect->name_count; i++)
		if (SSL_add1_host(ssl, expect->names[i]) != 1)
			return false;
	for (size_t i = 0; i < expect->dane_count; i++) {
		const struct tls_dane *d = &expect->dane[i];

		if (tls_dane_is_usable(d) && SSL_dane_tlsa_add(ssl, d->usage, d->selector, d->matching,
							       (const uint8_t *)d->data.p, d->data.len) > 0)
			used++;
	}
	ERR_clear_error();
	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	return used > 0;
}

static bool set_expectation(SSL *ssl, const struct tls_expect *expect)
{
	switch (expect->trust) {
	case TLS_TRUST_ANY:   return note_names(ssl, expect);
	case TLS_TRUST_NAMES: return expect_names(ssl, expect);
	case TLS_TRUST_DANE:  return expect_dane(ssl, expect);
	}
	BUG("TLS trust %d", expect->trust);
}

struct fault tls_client_conn_new(struct tls_client *client, const struct tls_expect *expect, int fd,
				 struct tls_conn **out)
{
	ERR_clear_error();
	SSL *ssl = SSL_new(client->ctx);

	if (!ssl || !SSL_set_fd(ssl, fd) ||
	    (expect->sni && !SSL_set_tlsext_host_name(ssl, expect->sni)) ||
	    !set_expectation(ssl, expect)) {
		struct fault f = fault_detail(FAULT_INTERNAL, "TLS: %s", tls_reason());
		SSL_free(ssl);
		return f;
	}
	struct tls_conn *c = xcalloc(1, sizeof(*c));

	c->ssl = ssl;
	SSL_set_app_data(ssl, c);
	SSL_set_connect_state(ssl);
	*out = c;
	return FAULT_OK;
}

bool tls_dane_is_usable(const struct tls_dane *dane)
{
	if ((dane->usage != 2 && dane->usage != 3) || dane->selector > 1)
		return false;
	switch (dane->matching) {
	case 0:  return dane->data.len > 0;
	case 1:  return dane->data.len == 32;
	case 2:  return dane->data.len == 64;
	default: return false;
	}
}

/* What is said of each doubt; the same texts lead back to it. */
static const struct {
	enum tls_doubt doubt;
	struct sv text;
} doubts[] = {
	{ TLS_DOUBT_TRUST, SV_INIT("its certificate is not trusted") },
	{ TLS_DOUBT_EXPIRED, SV_INIT("its certificate has expired, or is not valid yet") },
	{ TLS_DOUBT_NAME, SV_INIT("its certificate is for another name") },
	{ TLS_DOUBT_DANE, SV_INIT("its certificate is not the one that the DNS names (TLSA)") },
};

const char *tls_verify_text(const SSL *ssl)
{
	enum tls_doubt doubt = TLS_DOUBT_TRUST;

	switch (SSL_get_verify_result(ssl)) {
	case X509_V_OK:
		return NULL;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		doubt = TLS_DOUBT_EXPIRED;
		break;
	case X509_V_ERR_HOSTNAME_MISMATCH:
		doubt = TLS_DOUBT_NAME;
		break;
	case X509_V_ERR_DANE_NO_MATCH:
		doubt = TLS_DOUBT_DANE;
		break;
	default:
		break;
	}
	return doubts[doubt - 1].text.p;
}

const char *tls_peer_doubt(const struct tls_conn *c)
{
	return tls_verify_text(c->ssl);
}

bool tls_peer_cert(const struct tls_conn *c, struct tls_cert_facts *out)
{
	X509 *cert = SSL_get0_peer_certificate(c->ssl);

	if (cert)
		tls_cert_describe(cert, out);
	return cert != NULL;
}

bool tls_peer_key(const struct tls_conn *c, uint8_t out[32])
{
	X509 *cert = SSL_get0_peer_certificate(c->ssl);

	return cert && tls_cert_key_digest(cert, out);
}

enum tls_doubt tls_doubt_from(struct sv error)
{
	for (size_t i = 0; i < ARRAY_LEN(doubts); i++)
		if (sv_search(error, doubts[i].text) != SIZE_MAX)
			return doubts[i].doubt;
	return TLS_DOUBT_NONE;
}
