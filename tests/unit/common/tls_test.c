/* TLS: which certificate for whom, what is refused, what survives a reload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "common/crypt.h"
#include "common/tls.h"
#include "tests/unit/support/tls_peer.h"

static const struct tls_role imap = { .name = "imap", .alpn = "imap" };
static const struct tls_role submission = { .name = "submission", .alpn = "smtp" };
static const struct tls_role careful = { .name = "mx", .alpn = "smtp", .has_no_tickets = true };
static const struct tls_role patient = { .name = "imaps", .alpn = "imap", .has_late_tickets = true };
static const struct tls_role devices = { .name = "legacy", .alpn = "smtp", .has_old_versions = true };

static struct test_cert first, second;
static struct tls_cert_facts first_facts, second_facts;

static int make_certs(void **state)
{
	static const char *const names[] = { "mail.example.test", "imap.example.test", "192.0.2.1",
					     "2001:db8::1" };
	static const char *const others[] = { "*.example.org", "example.org" };
	(void)state;
	test_cert_make(&first, names, 4);
	test_cert_make(&second, others, 2);
	return tls_cert_read(first.cert, &first_facts).kind ||
	       tls_cert_read(second.cert, &second_facts).kind;
}

static int drop_certs(void **state)
{
	(void)state;
	test_cert_remove(&first);
	test_cert_remove(&second);
	return 0;
}

static struct tls_server *server_of(const struct tls_pair *pairs, size_t count)
{
	struct tls_settings settings = { .pairs = pairs, .count = count };
	struct tls_server *server;
	struct fault f = tls_server_new(&settings, &server);

	if (f.kind)
		fprintf(stderr, "%s\n", f.detail);
	assert_int_equal(f.kind, FAULT_NONE);
	return server;
}

static struct tls_server *both(void)
{
	struct tls_pair pairs[] = { { first.cert, first.key }, { second.cert, second.key } };

	return server_of(pairs, 2);
}

/* A connection with both of its ends. */
struct pair {
	struct tls_conn *conn;
	struct peer peer;
	int fd;
	enum tls_io result;
};

static void pair_init(struct pair *p, struct tls_server *server, const struct tls_role *role,
		      SSL_CTX *ctx, const char *name, const char *alpn)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	p->fd = fds[0];
	assert_int_equal(tls_conn_new(server, role, p->fd, &p->conn).kind, FAULT_NONE);
	peer_init(&p->peer, fds[1]);
	peer_start_tls(&p->peer, ctx, name, alpn);
}

static void pair_done(struct pair *p)
{
	tls_conn_free(&p->conn);
	assert_null(p->conn);
	close(p->fd);
	peer_done(&p->peer);
}

static bool shake(struct pair *p)
{
	do {
		peer_poll(&p->peer);
		p->result = tls_handshake(p->conn);
	} while (p->result == TLS_WANT_READ && !p->peer.is_reset && !p->peer.is_eof);
	peer_poll(&p->peer);
	return p->result == TLS_DONE;
}

static void peer_fingerprint(struct pair *p, char out[65])
{
	X509 *cert = SSL_get1_peer_certificate(p->peer.ssl);
	uint8_t digest[32];
	unsigned len;

	assert_non_null(cert);
	X509_digest(cert, EVP_sha256(), digest, &len);
	crypt_hex(digest, 32, out);
	X509_free(cert);
}

static void assert_gets(struct tls_server *server, const char *name,
			const struct tls_cert_facts *expected)
{
	struct pair p;
	char got[65];

	pair_init(&p, server, &imap, NULL, name, NULL);
	assert_true(shake(&p));
	peer_fingerprint(&p, got);
	assert_string_equal(got, expected->fingerprint);
	pair_done(&p);
}

static void a_self_signed_certificate_says_what_it_was_made_for(void **state)
{
	struct stat st;
	(void)state;
	assert_string_equal(first_facts.subject, "CN=mail.example.test");
	assert_string_equal(first_facts.names,
			    "mail.example.test imap.example.test 192.0.2.1 2001:db8::1");
	assert_string_equal(first_facts.key_type, "EC P-256");
	assert_true(first_facts.is_self_signed);
	int64_t days = (first_facts.not_after_s - (int64_t)time(NULL)) / 86400;
	assert_in_range(days, 3649, 3650);
	assert_true(first_facts.not_before_s < (int64_t)time(NULL));
	assert_int_equal(strlen(first_facts.fingerprint), 64);
	assert_int_equal(stat(first.key, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(first.cert, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
}

static void nothing_is_overwritten_and_nothing_half_done_stays(void **state)
{
	struct sv good = SV("a.test"),
		  bad[] = { SV("a b"), SV(""), SV("a\n"), SV("-.x."), SV("a_b"), SV("\xff") };
	char cert[120], key[120];
	(void)state;
	snprintf(cert, sizeof(cert), "%s/new.pem", first.folder);
	snprintf(key, sizeof(key), "%s/new.key", first.folder);
	assert_int_equal(tls_make_self_signed(&good, 1, first.cert, key).kind, FAULT_EXISTS);
	assert_int_equal(access(key, F_OK), -1);
	assert_int_equal(tls_make_self_signed(&good, 1, cert, first.key).kind, FAULT_EXISTS);
	assert_int_equal(access(cert, F_OK), -1);
	assert_int_equal(access(first.key, F_OK), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(tls_make_self_signed(&bad[i], 1, cert, key).kind, FAULT_INVALID);
	assert_int_equal(tls_make_self_signed(NULL, 0, cert, key).kind, FAULT_INVALID);
	assert_int_equal(tls_make_self_signed(&good, 1, "/nowhere/c", "/nowhere/k").kind,
			 FAULT_NOT_FOUND);
	assert_int_equal(access(cert, F_OK), -1);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void what_is_wrong_with_files_is_said(void **state)
{
	char junk[120], broken[120], locked[120];
	(void)state;
	snprintf(junk, sizeof(junk), "%s/junk", first.folder);
	snprintf(broken, sizeof(broken), "%s/broken", first.folder);
	snprintf(locked, sizeof(locked), "%s/locked", first.folder);
	write_file(junk, "not PEM at all\n", 0600);
	write_file(broken, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", 0600);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	FILE *file = fopen(locked, "we");
	PEM_write_PKCS8PrivateKey(file, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
	fclose(file);
	chmod(locked, 0600);
	EVP_PKEY_free(key);
	const struct {
		const char *cert, *key;
		enum fault_kind kind;
		const char *says;
	} cases[] = {
		{ "/nowhere/cert", first.key, FAULT_NOT_FOUND, "/nowhere/cert" },
		{ first.cert, "/nowhere/key", FAULT_NOT_FOUND, "/nowhere/key" },
		{ first.folder, first.key, FAULT_INVALID, "is not a file" },
		{ junk, first.key, FAULT_INVALID, "no certificate in it" },
		{ broken, first.key, FAULT_INVALID, "certificate 1" },
		{ first.cert, junk, FAULT_INVALID, "not a private key" },
		{ first.cert, locked, FAULT_INVALID, "passphrase" },
		{ first.cert, second.key, FAULT_INVALID, "is not the key of" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls_pair pair = { cases[i].cert, cases[i].key };
		struct tls_settings settings = { .pairs = &pair, .count = 1 };
		struct tls_server *server;
		struct fault f = tls_server_new(&settings, &server);
		assert_int_equal(f.kind, cases[i].kind);
		assert_non_null(strstr(f.detail, cases[i].says));
	}
	for (mode_t mode = 0604; mode <= 0640; mode += 034) {
		struct tls_pair pair = { first.cert, first.key };
		struct tls_settings settings = { .pairs = &pair, .count = 1 };
		struct tls_server *server;
		chmod(first.key, mode);
		struct fault f = tls_server_new(&settings, &server);
		assert_int_equal(f.kind, FAULT_DENIED);
		assert_non_null(strstr(f.detail, first.key));
		chmod(first.key, 0600);
	}
	struct tls_settings none = { .count = 0 };
	struct tls_server *server;
	assert_int_equal(tls_server_new(&none, &server).kind, FAULT_INVALID);
	unlink(junk);
	unlink(broken);
	unlink(locked);
}

static void the_name_chooses_the_certificate_and_the_first_is_the_default(void **state)
{
	struct tls_server *server = both();
	struct tls_cert_facts facts;
	(void)state;
	assert_gets(server, NULL, &first_facts);
	assert_gets(server, "mail.example.test", &first_facts);
	assert_gets(server, "unknown.test", &first_facts);
	assert_gets(server, "mail.example.org", &second_facts);
	assert_gets(server, "MAIL.Example.ORG", &second_facts);
	assert_gets(server, "example.org.", &second_facts);
	assert_gets(server, "a.b.example.org", &first_facts);   /* a wildcard is one label */
	assert_true(tls_server_cert(server, 1, &facts));
	assert_string_equal(facts.fingerprint, second_facts.fingerprint);
	assert_false(tls_server_cert(server, 2, &facts));
	tls_server_free(&server);
	tls_server_free(&server);
}

static void of_two_certificates_for_the_same_names_and_kind_of_key_the_last_counts(void **state)
{
	static const char *const names[] = { "mail.example.test", "imap.example.test", "192.0.2.1", "2001:db8::1" };
	struct test_cert again;
	struct tls_cert_facts facts;
	(void)state;
	test_cert_make(&again, names, 4);
	struct tls_pair pairs[] = { { first.cert, first.key }, { again.cert, again.key }, { second.cert, second.key } };
	struct tls_server *server = server_of(pairs, 3);
	assert_true(tls_server_cert(server, 1, &facts));
	assert_gets(server, "mail.example.test", &facts);
	assert_gets(server, "mail.example.org", &second_facts);
	tls_server_free(&server);
	test_cert_remove(&again);
}

/* An RSA certificate for the same names as the first. */
static void make_rsa(struct test_cert *c)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	X509 *cert = X509_new(), *model;
	FILE *file = fopen(first.cert, "re");

	model = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	X509_set_subject_name(cert, X509_get_subject_name(model));
	X509_set_issuer_name(cert, X509_get_subject_name(model));
	X509_set1_notBefore(cert, X509_get0_notBefore(model));
	X509_set1_notAfter(cert, X509_get0_notAfter(model));
	X509_set_pubkey(cert, key);
	X509_add_ext(cert,
		     X509_get_ext(model, X509_get_ext_by_NID(model, NID_subject_alt_name, -1)), -1);
	X509_sign(cert, key, EVP_sha256());
	snprintf(c->cert, sizeof(c->cert), "%s/rsa.pem", first.folder);
	snprintf(c->key, sizeof(c->key), "%s/rsa.key", first.folder);
	file = fopen(c->cert, "we");
	PEM_write_X509(file, cert);
	PEM_write_X509(file, model);    /* a chain of two */
	fclose(file);
	file = fopen(c->key, "we");
	PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
	chmod(c->key, 0600);
	X509_free(cert);
	X509_free(model);
	EVP_PKEY_free(key);
}

static void two_kinds_of_key_stand_side_by_side(void **state)
{
	struct test_cert rsa;
	struct tls_cert_facts facts;
	(void)state;
	make_rsa(&rsa);
	struct tls_pair pairs[] = { { first.cert, first.key },
				    { rsa.cert, rsa.key },
				    { second.cert, second.key } };
	struct tls_server *server = server_of(pairs, 3);
	assert_true(tls_server_cert(server, 1, &facts));
	assert_string_equal(facts.key_type, "RSA 2048");
	for (int old = 0; old < 2; old++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		struct pair p;
		char got[65];
		if (old) {
			SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
			SSL_CTX_set_cipher_list(ctx, "ECDHE-RSA-AES128-GCM-SHA256");
		}
		pair_init(&p, server, &imap, ctx, "mail.example.test", NULL);
		assert_true(shake(&p));
		peer_fingerprint(&p, got);
		assert_string_equal(got, old ? facts.fingerprint : first_facts.fingerprint);
		assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(p.peer.ssl)), old ? 2 : 1);
		pair_done(&p);
		SSL_CTX_free(ctx);
	}
	tls_server_free(&server);
	unlink(rsa.cert);
	unlink(rsa.key);
}

static void a_client_that_names_protocols_must_name_ours(void **state)
{
	struct tls_server *server = both();
	static const struct { const char *alpn; bool ok;
	} cases[] = {
		{ NULL, true },
		{ "\004imap", true },
		{ "\010http/1.1\004imap", true },
		{ "\010http/1.1", false },
		{ "\004smtp", false },
		{ "\005imaps", false },
		{ "\003ima", false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pair p;
		pair_init(&p, server, &imap, NULL, NULL, cases[i].alpn);
		assert_int_equal(shake(&p), cases[i].ok);
		if (!cases[i].ok) {
			assert_int_equal(p.result, TLS_FAILED);
			assert_true(strlen(tls_error(p.conn)) > 0);
			assert_true(p.peer.is_reset);
		} else if (cases[i].alpn) {
			assert_string_equal(tls_facts(p.conn).alpn, "imap");
		} else {
			assert_null(tls_facts(p.conn).alpn);
		}
		pair_done(&p);
	}
	tls_server_free(&server);
}

static void old_versions_are_refused_but_where_old_devices_are_served(void **state)
{
	struct tls_pair pair = { first.cert, first.key };
	struct tls_settings modern = { .pairs = &pair, .count = 1, .is_tls13_only = true };
	static const struct { int version; bool is_modern, ok; const char *name; const struct tls_role *role; } cases[] = {
		{ TLS1_1_VERSION, false, false, NULL, &imap },     { TLS1_2_VERSION, false, true, "TLSv1.2", &imap },
		{ TLS1_3_VERSION, false, true, "TLSv1.3", &imap }, { TLS1_2_VERSION, true, false, NULL, &imap },
		{ TLS1_3_VERSION, true, true, "TLSv1.3", &imap },  { TLS1_VERSION, false, false, NULL, &imap },
		{ TLS1_VERSION, false, true, "TLSv1", &devices },      { TLS1_1_VERSION, true, true, "TLSv1.1", &devices },
		{ TLS1_3_VERSION, false, true, "TLSv1.3", &devices },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		struct tls_server *server;
		struct pair p;
		modern.is_tls13_only = cases[i].is_modern;
		assert_int_equal(tls_server_new(&modern, &server).kind, FAULT_NONE);
		SSL_CTX_set_security_level(ctx, 0);
		SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
		SSL_CTX_set_min_proto_version(ctx, cases[i].version);
		SSL_CTX_set_max_proto_version(ctx, cases[i].version);
		pair_init(&p, server, cases[i].role, ctx, "x.test", NULL);
		assert_int_equal(shake(&p), cases[i].ok);
		if (cases[i].ok) {
			struct tls_facts facts = tls_facts(p.conn);
			assert_string_equal(facts.version, cases[i].name);
			assert_string_equal(facts.sni, "x.test");
			assert_true(facts.bits >= 128);
			assert_non_null(facts.cipher);
		}
		pair_done(&p);
		tls_server_free(&server);
		SSL_CTX_free(ctx);
	}
}

static void renegotiation_and_early_data_are_off(void **state)
{
	struct tls_server *server = both();
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct pair p;
	char data[10];
	size_t done;
	(void)state;
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	pair_init(&p, server, &imap, ctx, NULL, NULL);
	assert_true(shake(&p));
	SSL_renegotiate(p.peer.ssl);
	SSL_do_handshake(p.peer.ssl);
	enum tls_io result = tls_read(p.conn, data, sizeof(data), &done);
	assert_true(result == TLS_WANT_READ || result == TLS_FAILED);
	assert_int_equal(done, 0);
	assert_int_not_equal(SSL_do_handshake(p.peer.ssl), 1);
	pair_done(&p);
	SSL_CTX_free(ctx);
	pair_init(&p, server, &imap, NULL, NULL, NULL);
	assert_true(shake(&p));
	assert_int_equal(SSL_SESSION_get_max_early_data(SSL_get0_session(p.peer.ssl)), 0);
	pair_done(&p);
	tls_server_free(&server);
}

static SSL_SESSION *ticket;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(ticket);
	ticket = session;
	return 1;
}

/* Connect with the ticket there is, if any; was it taken? */
static bool resumes(struct tls_server *server, const struct tls_role *role, SSL_CTX *ctx)
{
	struct pair p;

	pair_init(&p, server, role, ctx, "mail.example.test", NULL);
	if (ticket)
		SSL_set_session(p.peer.ssl, ticket);
	assert_true(shake(&p));
	bool is_resumed = tls_facts(p.conn).is_resumed;

	assert_int_equal(is_resumed, SSL_session_reused(p.peer.ssl));
	SSL_shutdown(p.peer.ssl);       /* or OpenSSL forgets the session */
	pair_done(&p);
	return is_resumed;
}

static SSL_CTX *collecting_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	return ctx;
}

static void late_tickets_come_after_the_login_and_are_as_good(void **state)
{
	struct tls_server *server = both();
	SSL_CTX *ctx = collecting_context();
	(void)state;
	for (int turn = 0; turn < 3; turn++) {
		struct pair p;
		size_t done;
		pair_init(&p, server, &patient, ctx, "mail.example.test", NULL);
		if (ticket)
			SSL_set_session(p.peer.ssl, ticket);
		assert_true(shake(&p));
		assert_int_equal(tls_facts(p.conn).is_resumed, turn > 0);
		SSL_SESSION_free(ticket);
		ticket = NULL;
		assert_int_equal(tls_write(p.conn, "hello", 5, &done), TLS_DONE);
		peer_poll(&p.peer);
		assert_null(ticket);
		tls_give_ticket(p.conn);
		assert_int_equal(tls_write(p.conn, " again", 6, &done), TLS_DONE);
		peer_poll(&p.peer);
		assert_string_equal(p.peer.got, "hello again");
		assert_non_null(ticket);
		SSL_SESSION *only = ticket;
		tls_give_ticket(p.conn);        /* there is one login */
		assert_int_equal(tls_write(p.conn, "!", 1, &done), TLS_DONE);
		peer_poll(&p.peer);
		assert_ptr_equal(ticket, only);
		SSL_shutdown(p.peer.ssl);
		pair_done(&p);
	}
	assert_false(resumes(server, &imap, ctx));
	SSL_SESSION_free(ticket);
	ticket = NULL;
	/* TLS 1.2 has no later. */
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	assert_false(resumes(server, &patient, ctx));
	assert_true(resumes(server, &patient, ctx));
	SSL_SESSION_free(ticket);
	ticket = NULL;
	SSL_CTX_free(ctx);
	tls_server_free(&server);
}

static void a_late_ticket_does_not_stand_in_the_way_of_goodbye(void **state)
{
	struct tls_server *server = both();
	SSL_CTX *ctx = collecting_context();
	struct pair p;
	(void)state;
	pair_init(&p, server, &patient, ctx, "mail.example.test", NULL);
	assert_true(shake(&p));
	tls_give_ticket(p.conn);
	assert_int_equal(tls_say_goodbye(p.conn), TLS_DONE);
	peer_poll(&p.peer);
	assert_true(p.peer.is_eof);
	assert_non_null(ticket);
	SSL_SESSION_free(ticket);
	ticket = NULL;
	pair_done(&p);
	SSL_CTX_free(ctx);
	tls_server_free(&server);
}

static void tickets_are_good_for_their_own_kind_of_listener_only(void **state)
{
	struct tls_server *server = both();
	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
		SSL_CTX_sess_set_new_cb(ctx, on_session);
		SSL_CTX_set_max_proto_version(ctx, version);
		assert_false(resumes(server, &imap, ctx));
		assert_non_null(ticket);
		assert_true(resumes(server, &imap, ctx));
		assert_int_equal(tls_server_reload(server).kind, FAULT_NONE);
		assert_true(resumes(server, &imap, ctx));       /* keys are not the certificate's */
		assert_false(resumes(server, &submission, ctx));
		SSL_SESSION_free(ticket);
		ticket = NULL;
		assert_false(resumes(server, &careful, ctx));
		assert_true(!ticket || !SSL_SESSION_has_ticket(ticket));
		assert_false(resumes(server, &careful, ctx));
		SSL_SESSION_free(ticket);
		ticket = NULL;
		SSL_CTX_free(ctx);
	}
	tls_server_free(&server);
}

static void copy_file(const char *from, const char *to)
{
	char text[8192];
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	assert_true(n > 0);
	text[n] = '\0';
	write_file(to, text, 0600);
}

static void a_reload_changes_new_connections_and_an_error_changes_nothing(void **state)
{
	char cert[120], key[120];
	struct tls_cert_facts facts;
	struct pair old;
	char got[65], data[10];
	size_t done;
	(void)state;
	snprintf(cert, sizeof(cert), "%s/live.pem", first.folder);
	snprintf(key, sizeof(key), "%s/live.key", first.folder);
	copy_file(first.cert, cert);
	copy_file(first.key, key);
	struct tls_pair pair = { cert, key };
	struct tls_server *server = server_of(&pair, 1);
	pair_init(&old, server, &imap, NULL, NULL, NULL);
	assert_true(shake(&old));
	struct pair half;
	pair_init(&half, server, &imap, NULL, "mail.example.test", NULL);
	/* The certificate comes first, its key a moment later: in between nothing must break. */
	copy_file(second.cert, cert);
	struct fault f = tls_server_reload(server);
	assert_int_equal(f.kind, FAULT_INVALID);
	assert_non_null(strstr(f.detail, "is not the key of"));
	assert_gets(server, NULL, &first_facts);
	copy_file(second.key, key);
	assert_int_equal(tls_server_reload(server).kind, FAULT_NONE);
	assert_gets(server, NULL, &second_facts);
	assert_true(tls_server_cert(server, 0, &facts));
	assert_string_equal(facts.fingerprint, second_facts.fingerprint);
	/* Who was in the middle of a handshake gets what he came for. */
	assert_true(shake(&half));
	peer_fingerprint(&half, got);
	assert_string_equal(got, first_facts.fingerprint);
	pair_done(&half);
	chmod(key, 0644);
	assert_int_equal(tls_server_reload(server).kind, FAULT_DENIED);
	unlink(cert);
	assert_int_equal(tls_server_reload(server).kind, FAULT_NOT_FOUND);
	assert_gets(server, NULL, &second_facts);
	/* The old connection lives on, even without its server. */
	tls_server_free(&server);
	assert_int_equal(peer_send(&old.peer, "hello", 5), 5);
	assert_int_equal(tls_read(old.conn, data, sizeof(data), &done), TLS_DONE);
	assert_int_equal(done, 5);
	pair_done(&old);
	unlink(key);
}

static void channel_bindings_are_the_same_on_both_sides(void **state)
{
	struct tls_server *server = both();
	static const struct { int version; bool has_ems, is_bound;
	} cases[] = {
		{ TLS1_3_VERSION, true, true },
		{ TLS1_2_VERSION, true, true },
		{ TLS1_2_VERSION, false, false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		uint8_t ours[64], theirs[64];
		char hex[65];
		struct pair p;
		SSL_CTX_set_max_proto_version(ctx, cases[i].version);
		if (!cases[i].has_ems)
			SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
		pair_init(&p, server, &imap, ctx, "example.org", NULL);
		assert_true(shake(&p));
		assert_int_equal(tls_binding_exporter(p.conn, ours), cases[i].is_bound);
		if (cases[i].is_bound) {
			assert_int_equal(SSL_export_keying_material(p.peer.ssl, theirs, 32,
			                                            "EXPORTER-Channel-Binding", 24,
			                                            (const uint8_t *)"", 0, 1), 1);
			assert_memory_equal(ours, theirs, 32);
		}
		assert_int_equal(tls_binding_end_point(p.conn, ours), 32);
		crypt_hex(ours, 32, hex);
		assert_string_equal(hex, second_facts.fingerprint);
		pair_done(&p);
		SSL_CTX_free(ctx);
	}
	tls_server_free(&server);
}

static void the_end_is_told_apart_from_a_cut_and_a_breach(void **state)
{
	struct tls_server *server = both();
	char data[10];
	size_t done;
	(void)state;
	for (int how = 0; how < 3; how++) {
		struct pair p;
		pair_init(&p, server, &imap, NULL, NULL, NULL);
		assert_true(shake(&p));
		assert_int_equal(tls_read(p.conn, data, sizeof(data), &done), TLS_WANT_READ);
		if (how == 0)
			SSL_shutdown(p.peer.ssl);
		else if (how == 1)
			shutdown(p.peer.fd, SHUT_WR);
		else
			assert_int_equal(send(p.peer.fd, "plain text?", 11, 0), 11);
		enum tls_io expected[] = { TLS_CLOSED, TLS_CUT, TLS_FAILED };
		assert_int_equal(tls_read(p.conn, data, sizeof(data), &done), expected[how]);
		if (how == 0) {
			/* Half closed: what was asked for can still be answered. */
			assert_int_equal(tls_write(p.conn, "bye", 3, &done), TLS_DONE);
			assert_int_equal(tls_say_goodbye(p.conn), TLS_DONE);
			peer_poll(&p.peer);
			assert_string_equal(p.peer.got, "bye");
			assert_true(p.peer.is_eof);
		}
		pair_done(&p);
	}
	tls_server_free(&server);
}

/* Its answer would be tried again at each turn of the loop, at full speed, until somebody gives it up. */
static void who_said_goodbye_and_is_gone_cannot_be_written_to(void **state)
{
	struct tls_server *server = both();
	char data[10];
	struct pair p;
	size_t done;
	(void)state;

	signal(SIGPIPE, SIG_IGN);
	pair_init(&p, server, &imap, NULL, NULL, NULL);
	assert_true(shake(&p));
	SSL_shutdown(p.peer.ssl);
	assert_int_equal(tls_read(p.conn, data, sizeof(data), &done), TLS_CLOSED);
	shutdown(p.peer.fd, SHUT_RDWR);
	assert_int_equal(tls_write(p.conn, "bye", 3, &done), TLS_RESET);
	assert_string_equal(tls_error(p.conn), "Broken pipe");
	pair_done(&p);
	tls_server_free(&server);
}

static SSL_CTX *client_with(const struct test_cert *cert)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	assert_int_equal(SSL_CTX_use_certificate_file(ctx, cert->cert, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, cert->key, SSL_FILETYPE_PEM), 1);
	return ctx;
}

static void a_client_is_known_by_the_key_of_its_certificate_where_it_is_asked(void **state)
{
	static const char *const asking[] = { "imap", "pop3" };
	const struct tls_pair pair = { first.cert, first.key };
	struct tls_settings settings = { .pairs = &pair, .count = 1, .asking = asking, .asking_count = 2 };
	SSL_CTX *ctx = client_with(&second);
	struct tls_server *server;
	uint8_t key[32];

	(void)state;
	assert_int_equal(tls_server_new(&settings, &server).kind, FAULT_NONE);
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct pair p;

		SSL_CTX_set_max_proto_version(ctx, version);
		pair_init(&p, server, &imap, ctx, NULL, NULL);
		assert_true(shake(&p));
		assert_true(tls_peer_key(p.conn, key));         /* nobody vouches for it, and none has to */
		assert_memory_equal(key, second_facts.key, sizeof(key));
		pair_done(&p);
		pair_init(&p, server, &submission, ctx, NULL, NULL);
		assert_true(shake(&p));
		assert_false(tls_peer_key(p.conn, key));        /* not asked */
		pair_done(&p);
		pair_init(&p, server, &imap, NULL, NULL, NULL);
		assert_true(shake(&p));
		assert_false(tls_peer_key(p.conn, key));        /* nobody has to show one */
		pair_done(&p);
	}
	SSL_CTX_free(ctx);
	tls_server_free(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_self_signed_certificate_says_what_it_was_made_for),
		cmocka_unit_test(a_client_is_known_by_the_key_of_its_certificate_where_it_is_asked),
		cmocka_unit_test(nothing_is_overwritten_and_nothing_half_done_stays),
		cmocka_unit_test(what_is_wrong_with_files_is_said),
		cmocka_unit_test(the_name_chooses_the_certificate_and_the_first_is_the_default),
		cmocka_unit_test(of_two_certificates_for_the_same_names_and_kind_of_key_the_last_counts),
		cmocka_unit_test(two_kinds_of_key_stand_side_by_side),
		cmocka_unit_test(a_client_that_names_protocols_must_name_ours),
		cmocka_unit_test(old_versions_are_refused_but_where_old_devices_are_served),
		cmocka_unit_test(renegotiation_and_early_data_are_off),
		cmocka_unit_test(tickets_are_good_for_their_own_kind_of_listener_only),
		cmocka_unit_test(late_tickets_come_after_the_login_and_are_as_good),
		cmocka_unit_test(a_late_ticket_does_not_stand_in_the_way_of_goodbye),
		cmocka_unit_test(a_reload_changes_new_connections_and_an_error_changes_nothing),
		cmocka_unit_test(channel_bindings_are_the_same_on_both_sides),
		cmocka_unit_test(the_end_is_told_apart_from_a_cut_and_a_breach),
		cmocka_unit_test(who_said_goodbye_and_is_gone_cannot_be_written_to),
	};

	alarm(100);
	return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
