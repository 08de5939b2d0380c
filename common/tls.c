#include "common/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/crypt.h"
#include "common/memory.h"
#include "common/netaddr.h"
#include "common/tls_private.h"
#include "common/tls_proof.h"

#include "common/banned.h"

/* Mozilla's intermediate list for TLS 1.2, without finite-field DHE: every client of today has
 * ECDHE, and DHE lets a peer make us work for nothing (CVE-2002-20001). TLS 1.3 has its own, all
 * good. */
#define CIPHERS \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
/* For roles with old versions, behind those: what devices of 2010 speak. No RC4, no 3DES. */
#define OLD_CIPHERS \
	CIPHERS ":ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA:" \
	"AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES128-SHA:AES256-SHA"
#define GROUPS "X25519:P-256:P-384"
/* Octets of the certificates that a client may show, all together. */
#define CLIENT_CERTS_MAX (16 << 10)

/* A key makes tickets for so long, and reads them for twice as long. */
#define TICKET_KEY_S (12 * 3600)

/* One name or set of names: a context with up to one certificate of each key type. */
struct site {
	SSL_CTX *ctx;
	X509 *cert;             /* whose names decide; borrowed from ctx */
	char names[1024];
};

/* What one reading of the files gave. Connections hold on to it, a reload makes another. */
struct sites {
	unsigned refs;
	size_t count;
	struct site *at;
	struct tls_cert_facts *facts;   /* one per pair */
};

struct ticket_key {
	int64_t since_s;
	uint8_t name[16], aes[32], mac[32];
};

struct tls_server {
	unsigned refs;          /* the owner's and the connections' */
	struct tls_settings settings;
	struct sites *sites;
	struct ticket_key keys[2];      /* this one and the one before */
	char *proofs;                   /* folder; NULL: there are none */
};

const char *tls_reason(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *text = e ? ERR_reason_error_string(e) : NULL;

	if (text)
		return text;
	return e && ERR_SYSTEM_ERROR(e) ? strerrordesc_np(ERR_GET_REASON(e)) : "unknown reason";
}

/* --- tickets --- */

static int64_t monotonic_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void new_ticket_key(struct ticket_key *key)
{
	key->since_s = monotonic_s();
	crypt_random(key->name, sizeof(key->name));
	crypt_random(key->aes, sizeof(key->aes));
	crypt_random(key->mac, sizeof(key->mac));
}

static void rotate_ticket_keys(struct tls_server *server)
{
	int64_t now = monotonic_s();

	if (now - server->keys[0].since_s < TICKET_KEY_S)
		return;
	server->keys[1] = server->keys[0];
	new_ticket_key(&server->keys[0]);
	/* Nobody came for a long time: the one before is too old as well. */
	if (now - server->keys[1].since_s >= 2 * TICKET_KEY_S)
		new_ticket_key(&server->keys[1]);
}

/* Fetched once: an implicit fetch at each ticket costs more than the ticket (provider(7), "Fetching"). */
static EVP_CIPHER *ticket_cipher;
static pthread_once_t ticket_once = PTHREAD_ONCE_INIT;

static void fetch_ticket_cipher(void)
{
	ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (!ticket_cipher)
		BUG("OpenSSL has no AES-256-CBC");
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_new)
{
	struct tls_conn *c = SSL_get_app_data(ssl);
	struct ticket_key *key;
	char sha256[] = "SHA256";

	rotate_ticket_keys(c->server);
	key = &c->server->keys[0];
	if (is_new) {
		memcpy(name, key->name, sizeof(key->name));
		crypt_random(iv, EVP_MAX_IV_LENGTH);
	} else if (memcmp(name, key->name, sizeof(key->name)) != 0) {
		key = &c->server->keys[1];
		if (memcmp(name, key->name, sizeof(key->name)) != 0)
			return 0;
	}
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
		OSSL_PARAM_construct_end(),
	};

	pthread_once(&ticket_once, fetch_ticket_cipher);
	if (!EVP_CipherInit_ex(cipher, ticket_cipher, NULL, key->aes, iv, is_new) ||
	    !EVP_MAC_CTX_set_params(mac, params))
		return -1;
	/* 2: take it and send a new one. In TLS 1.3 a ticket is used once (RFC 8446 §C.4). */
	return is_new || (key == &c->server->keys[0] && SSL_version(ssl) < TLS1_3_VERSION) ? 1 : 2;
}

/* --- names --- */

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
	struct tls_conn *c = SSL_get_app_data(ssl);
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	size_t len = name ? strlen(name) : 0;

	(void)alert;
	(void)arg;
	if (c->is_proof)
		return SSL_TLSEXT_ERR_OK;
	if (len && name[len - 1] == '.')        /* RFC 6066 §3 has none; clients do */
		len--;
	if (!len)
		return SSL_TLSEXT_ERR_NOACK;
	for (size_t i = 0; i < c->sites->count; i++) {
		struct site *site = &c->sites->at[i];

		if (X509_check_host(site->cert, name, len, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
				    NULL) != 1)
			continue;
		if (i && !SSL_set_SSL_CTX(ssl, site->ctx))
			return SSL_TLSEXT_ERR_ALERT_FATAL;
		return SSL_TLSEXT_ERR_OK;
	}
	/* Unknown: the default certificate. The client decides whether it likes it. */
	return SSL_TLSEXT_ERR_NOACK;
}

/* The name of a server_name extension (RFC 6066 §3): one entry, of a host. */
static struct sv name_of(const unsigned char *ext, size_t len)
{
	if (len < 5 || (size_t)(ext[0] << 8 | ext[1]) != len - 2 || ext[2] != 0 || (size_t)(ext[3] << 8 | ext[4]) != len - 5)
		return SV_NONE;
	return sv_from((const char *)ext + 5, len - 5);
}

/* Before certificates are chosen: RFC 8737 §3, the one protocol that is offered, and the name. */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	static const char only[] = "\0\013\012" TLS_PROOF_ALPN;
	struct tls_conn *c = SSL_get_app_data(ssl);
	const unsigned char *alpn, *name;
	size_t alpn_len, name_len;

	(void)alert;
	(void)arg;
	if (c->server->proofs &&
	    SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &alpn, &alpn_len) &&
	    sv_eq(sv_from((const char *)alpn, alpn_len), sv_from(only, sizeof(only) - 1)) &&
	    SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &name, &name_len))
		c->is_proof = tls_proof_use(ssl, c->server->proofs, name_of(name, name_len));
	return SSL_CLIENT_HELLO_SUCCESS;        /* without a proof: on_alpn() refuses */
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		   const unsigned char *in, unsigned in_len, void *arg)
{
	struct tls_conn *c = SSL_get_app_data(ssl);
	struct sv wanted = c->is_proof ? SV(TLS_PROOF_ALPN) : sv_z(c->role->alpn);

	(void)arg;
	if (!wanted.len)
		return SSL_TLSEXT_ERR_NOACK;
	for (unsigned i = 0; i < in_len && in_len - i > in[i]; i += 1u + in[i]) {
		if (sv_eq(wanted, sv_from((const char *)in + i + 1, in[i]))) {
			*out = in + i + 1;
			*out_len = in[i];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	/* A browser led here to speak to the wrong server (ALPACA): RFC 7301 §3.2. */
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* --- contexts --- */

/* Any certificate will do. That the client has its key the handshake has shown (RFC 8446 §4.4.3); who that is, the directory says. */
static int on_client_cert(X509_STORE_CTX *store, void *arg)
{
	(void)arg;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

static bool is_asking(const struct tls_settings *settings, const struct tls_role *role)
{
	for (size_t i = 0; i < settings->asking_count; i++)
		if (strcmp(settings->asking[i], role->name) == 0)
			return true;
	return false;
}

static SSL_CTX *new_context(const struct tls_settings *settings)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx ||
	    !SSL_CTX_set_min_proto_version(ctx, settings->is_tls13_only ? TLS1_3_VERSION
									: TLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(ctx, CIPHERS) || !SSL_CTX_set1_groups_list(ctx, GROUPS))
		BUG("TLS context: %s", tls_reason());
	/* What Debian has as its default, everywhere: at least 112 bits, no SHA-1 signatures. */
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* A record's header and body in one system call, and all records that are there; what the kernel decrypts it
	 * must read itself. */
	if (settings->has_ktls)
		SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);
	else
		SSL_CTX_set_read_ahead(ctx, 1);
	/* One ticket serves as many connections as a client likes: they are no secret between those. */
	SSL_CTX_set_num_tickets(ctx, 1);
	/* Tickets only: a cache would be one per worker. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, TICKET_KEY_S);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, on_client_cert, NULL);
	SSL_CTX_set_max_cert_list(ctx, CLIENT_CERTS_MAX);
	return ctx;
}

static void sites_unref(struct sites **psites)
{
	struct sites *sites = *psites;

	*psites = NULL;
	if (!sites || --sites->refs)
		return;
	for (size_t i = 0; i < sites->count; i++)
		SSL_CTX_free(sites->at[i].ctx);
	free(sites->at);
	free(sites->facts);
	free(sites);
}

/* The site with the same names as facts, or a new one. */
static struct site *site_for(struct sites *sites, const struct tls_settings *settings,
                             const struct tls_cert_facts *facts)
{
	for (size_t i = 0; i < sites->count; i++) {
		if (strcmp(sites->at[i].names, facts->names) == 0)
			return &sites->at[i];
	}
	struct site *site = &sites->at[sites->count++];

	site->ctx = new_context(settings);
	snprintf(site->names, sizeof(site->names), "%s", facts->names);
	return site;
}

static struct fault add_pair(struct sites *sites, const struct tls_settings *settings, size_t i)
{
	const struct tls_pair *pair = &settings->pairs[i];
	struct tls_cert_facts *facts = &sites->facts[i];
	STACK_OF(X509) *chain = NULL;
	EVP_PKEY *key = NULL;
	struct site *site;
	struct fault f = tls_load_chain(pair->cert_path, &chain);

	if (!f.kind)
		f = tls_load_key(pair->key_path, &key);
	if (f.kind)
		goto out;
	X509 *cert = sk_X509_value(chain, 0);

	tls_cert_describe(cert, facts);
	if (X509_check_private_key(cert, key) != 1) {
		f = fault_detail(FAULT_INVALID, "%s is not the key of %s", pair->key_path,
				 pair->cert_path);
		goto out;
	}
	site = site_for(sites, settings, facts);
	if (SSL_CTX_use_certificate(site->ctx, cert) != 1 ||
	    SSL_CTX_use_PrivateKey(site->ctx, key) != 1) {
		f = fault_detail(FAULT_INVALID, "%s: %s", pair->cert_path, tls_reason());
		goto out;
	}
	/* One of the same kind of key has replaced, and freed, the one before. */
	site->cert = SSL_CTX_get0_certificate(site->ctx);
	SSL_CTX_clear_chain_certs(site->ctx);
	for (int k = 1; k < sk_X509_num(chain); k++) {
		if (SSL_CTX_add1_chain_cert(site->ctx, sk_X509_value(chain, k)) != 1) {
			f = fault_detail(FAULT_INVALID, "%s, certificate %d: %s", pair->cert_path,
					 k + 1, tls_reason());
			break;
		}
	}
out:
	sk_X509_pop_free(chain, X509_free);
	EVP_PKEY_free(key);
	return f;
}

static struct fault sites_load(const struct tls_settings *settings, struct sites **out)
{
	struct sites *sites = xcalloc(1, sizeof(*sites));
	struct fault f = settings->count ? FAULT_OK : fault(FAULT_INVALID, "no certificate is set");

	sites->refs = 1;
	sites->at = xcalloc(settings->count, sizeof(*sites->at));
	sites->facts = xcalloc(settings->count, sizeof(*sites->facts));
	for (size_t i = 0; i < settings->count && !f.kind; i++)
		f = add_pair(sites, settings, i);
	ERR_clear_error();
	if (f.kind)
		sites_unref(&sites);
	*out = sites;
	return f;
}

/* --- the server --- */

static void server_unref(struct tls_server *server)
{
	if (--server->refs)
		return;
	for (size_t i = 0; i < server->settings.count; i++) {
		free((char *)server->settings.pairs[i].cert_path);
		free((char *)server->settings.pairs[i].key_path);
	}
	free((struct tls_pair *)server->settings.pairs);
	for (size_t i = 0; i < server->settings.asking_count; i++)
		free((char *)server->settings.asking[i]);
	free((char **)server->settings.asking);
	sites_unref(&server->sites);
	secret_wipe(server->keys, sizeof(server->keys));
	free(server->proofs);
	free(server);
}

struct fault tls_server_new(const struct tls_settings *settings, struct tls_server **out)
{
	struct sites *sites;
	struct fault f = sites_load(settings, &sites);

	if (f.kind)
		return f;
	struct tls_server *server = xcalloc(1, sizeof(*server));
	struct tls_pair *pairs = xcalloc(settings->count, sizeof(*pairs));

	for (size_t i = 0; i < settings->count; i++) {
		pairs[i].cert_path = xstrdup(settings->pairs[i].cert_path);
		pairs[i].key_path = xstrdup(settings->pairs[i].key_path);
	}
	server->refs = 1;
	server->settings = *settings;
	server->settings.pairs = pairs;
	const char **asking = xcalloc(settings->asking_count + 1, sizeof(*asking));

	for (size_t i = 0; i < settings->asking_count; i++)
		asking[i] = xstrdup(settings->asking[i]);
	server->settings.asking = asking;
	server->sites = sites;
	new_ticket_key(&server->keys[0]);
	new_ticket_key(&server->keys[1]);
	*out = server;
	return FAULT_OK;
}

void tls_server_set_proofs(struct tls_server *server, const char *folder)
{
	free(server->proofs);
	server->proofs = folder ? xstrdup(folder) : NULL;
}

void tls_server_free(struct tls_server **server)
{
	if (*server)
		server_unref(*server);
	*server = NULL;
}

struct fault tls_server_reload(struct tls_server *server)
{
	struct sites *sites;
	struct fault f = sites_load(&server->settings, &sites);

	if (f.kind)
		return f;
	sites_unref(&server->sites);
	server->sites = sites;
	return FAULT_OK;
}

bool tls_server_cert(const struct tls_server *server, size_t i, struct tls_cert_facts *out)
{
	if (i >= server->settings.count)
		return false;
	*out = server->sites->facts[i];
	return true;
}

/* --- a connection --- */

/* allow_old_versions - level 0, since TLS 1.0 and 1.1 sign with SHA-1 and MD5. */
static void allow_old_versions(SSL *ssl)
{
	SSL_set_security_level(ssl, 0);
	if (!SSL_set_min_proto_version(ssl, TLS1_VERSION) || !SSL_set_cipher_list(ssl, OLD_CIPHERS))
		BUG("TLS connection: %s", tls_reason());
}

struct fault tls_conn_new(struct tls_server *server, const struct tls_role *role, int fd,
                          struct tls_conn **out)
{
	ERR_clear_error();
	SSL *ssl = SSL_new(server->sites->at[0].ctx);

	if (!ssl || !SSL_set_fd(ssl, fd) ||
	    !SSL_set_session_id_context(ssl, (const uint8_t *)role->name,
					(unsigned)strlen(role->name))) {
		struct fault f = fault_detail(FAULT_INTERNAL, "TLS: %s", tls_reason());
		SSL_free(ssl);
		return f;
	}
	struct tls_conn *c = xcalloc(1, sizeof(*c));

	c->ssl = ssl;
	c->server = server;
	c->sites = server->sites;
	c->role = role;
	server->refs++;
	c->sites->refs++;
	SSL_set_app_data(ssl, c);
	SSL_set_accept_state(ssl);
	if (role->has_no_tickets || server->settings.has_no_tickets) {
		SSL_set_options(ssl, SSL_OP_NO_TICKET);
		SSL_set_num_tickets(ssl, 0);
	} else if (role->has_late_tickets) {
		SSL_set_num_tickets(ssl, 0);
		c->is_ticket_due = true;
	}
	if (role->has_old_versions)
		allow_old_versions(ssl);
	if (is_asking(&server->settings, role))
		SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	*out = c;
	return FAULT_OK;
}

void tls_conn_free(struct tls_conn **pc)
{
	struct tls_conn *c = *pc;

	if (!c)
		return;
	*pc = NULL;
	SSL_free(c->ssl);
	sites_unref(&c->sites);
	if (c->server)
		server_unref(c->server);
	free(c->error);
	free(c);
}

static void set_error(struct tls_conn *c, const char *text)
{
	free(c->error);
	c->error = xstrdup(text);
}

static enum tls_io result_of(struct tls_conn *c, int returned)
{
	int e = errno;

	switch (SSL_get_error(c->ssl, returned)) {
	case SSL_ERROR_NONE:
		return TLS_DONE;
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_CLOSED;
	case SSL_ERROR_SYSCALL:
		set_error(c, e ? strerrordesc_np(e) : "end of input");
		return e ? TLS_RESET : TLS_CUT;
	default:
		set_error(c, ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED && tls_verify_text(c->ssl)
				     ? tls_verify_text(c->ssl)
				     : tls_reason());
		if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
			return TLS_CUT;
		return TLS_FAILED;
	}
}

enum tls_io tls_handshake(struct tls_conn *c)
{
	ERR_clear_error();
	errno = 0;
	return result_of(c, SSL_do_handshake(c->ssl));
}

enum tls_io tls_read(struct tls_conn *c, char *p, size_t n, size_t *done)
{
	ERR_clear_error();
	errno = 0;
	*done = 0;
	return result_of(c, SSL_read_ex(c->ssl, p, n, done));
}

bool tls_has_more(const struct tls_conn *c)
{
	return SSL_has_pending(c->ssl);
}

enum tls_io tls_write(struct tls_conn *c, const char *p, size_t n, size_t *done)
{
	ERR_clear_error();
	errno = 0;
	*done = 0;
	int written = SSL_write_ex(c->ssl, p, n, done), e = errno;
	enum tls_io result = result_of(c, written);

	/* Of a peer who said goodbye before, OpenSSL tells that in place of the error; but he is gone, and nothing goes to him any more. */
	if (result == TLS_CLOSED) {
		set_error(c, e ? strerrordesc_np(e) : "closed by the peer");
		result = TLS_RESET;
	}
	return result;
}

void tls_give_ticket(struct tls_conn *c)
{
	if (c->is_ticket_due && SSL_version(c->ssl) >= TLS1_3_VERSION)
		(void)SSL_new_session_ticket(c->ssl);   /* it does without, otherwise */
	c->is_ticket_due = false;
}

enum tls_io tls_say_goodbye(struct tls_conn *c)
{
	ERR_clear_error();
	errno = 0;
	/* A ticket that nothing was written behind is still to go. */
	int sent = SSL_in_init(c->ssl) ? SSL_do_handshake(c->ssl) : 1;

	if (sent == 1)
		sent = SSL_shutdown(c->ssl);
	return sent >= 0 ? TLS_DONE : result_of(c, sent);
}

const char *tls_error(const struct tls_conn *c)
{
	return c->error ? c->error : "";
}

/* --- facts of a connection --- */

struct tls_facts tls_facts(const struct tls_conn *c)
{
	const unsigned char *alpn = NULL;
	unsigned len = 0;

	SSL_get0_alpn_selected(c->ssl, &alpn, &len);
	return (struct tls_facts){
		.version = SSL_get_version(c->ssl),
		.cipher = SSL_get_cipher_name(c->ssl),
		.bits = SSL_get_cipher_bits(c->ssl, NULL),
		.sni = SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name),
		.alpn = c->is_proof ? TLS_PROOF_ALPN : len && c->role ? c->role->alpn : NULL,  /* we choose no other */
		.is_resumed = SSL_session_reused(c->ssl),
	};
}

/* Without the extended master secret the same keys can be made to belong to two connections (RFC 7627 §1, RFC 9266 §4.2). */
static bool has_exporter(const struct tls_conn *c)
{
	return SSL_version(c->ssl) >= TLS1_3_VERSION || SSL_get_extms_support(c->ssl) == 1;
}

bool tls_binding_exporter(const struct tls_conn *c, uint8_t out[32])
{
	static const char label[] = "EXPORTER-Channel-Binding";

	if (!has_exporter(c))
		return false;
	/* A context that is empty, not one that is missing: different values in TLS 1.2 (RFC 5705
	 * §4). */
	return SSL_export_keying_material(c->ssl, out, 32, label, sizeof(label) - 1,
					  (const uint8_t *)"", 0, 1) == 1;
}

/* The hash of tls-server-end-point; NULL: it is not defined. */
static const EVP_MD *end_point_hash(const X509 *cert)
{
	int hash_nid = NID_undef;

	if (!cert || !X509_get_signature_info((X509 *)cert, &hash_nid, NULL, NULL, NULL) || hash_nid == NID_undef)
		return NULL;    /* RFC 5929 §4.1: undefined without a single hash */
	if (hash_nid == NID_md5 || hash_nid == NID_sha1)
		hash_nid = NID_sha256;
	return EVP_get_digestbynid(hash_nid);
}

size_t tls_binding_end_point(const struct tls_conn *c, uint8_t out[64])
{
	X509 *cert = SSL_get_certificate(c->ssl);
	const EVP_MD *md = end_point_hash(cert);
	unsigned len = 0;

	return md && X509_digest(cert, md, out, &len) ? len : 0;
}

bool tls_has_binding(const struct tls_conn *c)
{
	return has_exporter(c) || end_point_hash(SSL_get_certificate(c->ssl));
}
