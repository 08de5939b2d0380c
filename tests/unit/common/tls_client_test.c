/* Going out: connections are made or fail once, and TLS as a client believes whom it should. Both
 * ends live on one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/connect.h"
#include "common/crypt.h"
#include "common/stream.h"
#include "common/tls.h"
#include "tests/unit/support/tls_peer.h"

static struct test_cert cert;
static struct tls_server *server;
static const struct tls_role role = { .name = "test", .alpn = "smtp" };

struct side {
	struct stream *stream;
	bool is_server;
	struct tls_client *client;
	const struct tls_expect *expect;
	enum fault_kind start;
	bool is_shaken;
	enum stream_end why;
	char got[64];
	size_t got_len;
};

/* "S" from the client and "G" from the server are STARTTLS and its go-ahead. */
static void on_input(struct stream *s, void *user)
{
	struct side *side = user;
	struct sv in = stream_input(s);
	bool starts = !stream_is_tls(s) && in.len && *in.p == (side->is_server ? 'S' : 'G');

	if (starts)
		in.len = 1;
	for (size_t i = 0; i < in.len && side->got_len < sizeof(side->got) - 1; i++)
		side->got[side->got_len++] = in.p[i];
	stream_take(s, in.len);
	if (!starts)
		return;
	if (side->is_server) {
		assert_true(stream_write(s, SV("G")));
		side->start = stream_start_tls(s, server, &role).kind;
	} else {
		side->start = stream_start_tls_client(s, side->client, side->expect).kind;
	}
}

static void on_tls(struct stream *s, void *user)
{
	struct side *side = user;

	(void)s;
	side->is_shaken = true;
}

static void on_end(struct stream *s, enum stream_end why, void *user)
{
	struct side *side = user;

	(void)s;
	side->why = why;
}

static const struct stream_events events = { on_input, NULL, on_tls, on_end };

struct world {
	struct loop *loop;
	struct side here, there;
};

static void turns(struct world *w, int count)
{
	for (int i = 0; i < count; i++)
		loop_run_once(w->loop, 2);
}

static void begin(struct world *w, const char *ca, const struct tls_expect *expect)
{
	int fds[2];

	*w = (struct world){ .there.is_server = true, .here.expect = expect };
	assert_int_equal(loop_new(&w->loop).kind, FAULT_NONE);
	assert_int_equal(tls_client_new(ca, &w->here.client).kind, FAULT_NONE);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(stream_new(w->loop, fds[0], NULL, &events, &w->here, &w->here.stream).kind,
			 FAULT_NONE);
	assert_int_equal(stream_new(w->loop, fds[1], NULL, &events, &w->there, &w->there.stream).kind,
			 FAULT_NONE);
}

static void end(struct world *w)
{
	stream_close(&w->here.stream, false);
	stream_close(&w->there.stream, false);
	tls_client_free(&w->here.client);
	loop_free(&w->loop);
}

static void starttls_goes_up_from_both_ends(void **state)
{
	static const struct tls_expect expect = { .sni = "mail.example.test" };
	struct world w;

	(void)state;
	begin(&w, NULL, &expect);
	assert_true(stream_write(w.here.stream, SV("S")));
	turns(&w, 20);
	assert_true(w.here.is_shaken && w.there.is_shaken);
	assert_string_equal(tls_facts(stream_tls(w.here.stream)).version, "TLSv1.3");
	assert_string_equal(tls_facts(stream_tls(w.there.stream)).sni, "mail.example.test");
	assert_true(stream_write(w.here.stream, SV("hello")));
	assert_true(stream_write(w.there.stream, SV("world")));
	turns(&w, 10);
	assert_string_equal(w.there.got, "Shello");
	assert_string_equal(w.here.got, "Gworld");
	end(&w);
}

static void names_are_proven_by_an_authority(void **state)
{
	static const char *const right[] = { "other.example", "localhost" };
	static const char *const wrong[] = { "mail.example.test" };
	static const struct {
		const char *const *names;
		size_t count;
		bool has_authority, is_good;
	} cases[] = {
		{ right, 2, true, true },
		{ wrong, 1, true, false },
		{ right, 2, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls_expect expect = { .trust = TLS_TRUST_NAMES,
					     .names = cases[i].names,
					     .name_count = cases[i].count };
		struct world w;

		begin(&w, cases[i].has_authority ? cert.cert : NULL, &expect);
		assert_true(stream_write(w.here.stream, SV("S")));
		turns(&w, 20);
		assert_int_equal(w.here.is_shaken, cases[i].is_good);
		assert_int_equal(w.here.why, cases[i].is_good ? STREAM_OPEN : STREAM_TLS_FAILED);
		assert_int_equal(tls_doubt_from(sv_z(stream_end_detail(w.here.stream))),
				 cases[i].is_good ? TLS_DOUBT_NONE : cases[i].has_authority ? TLS_DOUBT_NAME : TLS_DOUBT_TRUST);
		end(&w);
	}
}

/* tlsa - of the test's certificate: 3 1 1 as everybody publishes it, 3 0 1, 2 1 1 and their wrong sisters. */
static void tlsa(struct tls_dane *d, uint8_t usage, uint8_t selector, uint8_t hash[CRYPT_HASH_MAX])
{
	FILE *file = fopen(cert.cert, "r");
	X509 *x509 = PEM_read_X509(file, NULL, NULL, NULL);
	uint8_t *der = NULL;
	int len = selector ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der) : i2d_X509(x509, &der);

	fclose(file);
	crypt_digest(CRYPT_SHA256, sv_from((char *)der, (size_t)len), hash);
	*d = (struct tls_dane){ usage, selector, 1, sv_from((char *)hash, CRYPT_SHA256_LEN) };
	OPENSSL_free(der);
	X509_free(x509);
}

static void the_dns_may_name_the_certificate(void **state)
{
	static const char *const right[] = { "localhost" };
	static const char *const wrong[] = { "mx.example.test" };
	static const struct {
		uint8_t usage, selector;
		const char *const *names;
		bool is_other, is_good;
	} cases[] = {
		{ 3, 1, right, false, true }, { 3, 0, right, false, true },
		{ 3, 1, wrong, false, true },           /* RFC 7672 §3.1.1: names do not matter */
		{ 2, 1, right, false, false },          /* an authority, which this one is not */
		{ 3, 1, right, true, false }, { 2, 0, right, true, false },
		{ 1, 1, right, false, false },          /* usages 0 and 1 are not for SMTP */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t hash[CRYPT_HASH_MAX];
		struct tls_dane dane[2];
		struct tls_expect expect = { .trust = TLS_TRUST_DANE, .names = cases[i].names, .name_count = 1,
					     .dane = dane, .dane_count = 2 };
		struct world w;

		tlsa(&dane[0], cases[i].usage, cases[i].selector, hash);
		hash[0] ^= cases[i].is_other;
		dane[1] = (struct tls_dane){ 3, 1, 9, SV("?") };        /* of a kind that nobody knows */
		begin(&w, NULL, &expect);
		assert_true(stream_write(w.here.stream, SV("S")));
		turns(&w, 20);
		assert_int_equal(w.here.is_shaken, cases[i].is_good);
		if (!cases[i].is_good && cases[i].usage == 3)
			assert_int_equal(tls_doubt_from(sv_z(stream_end_detail(w.here.stream))), TLS_DOUBT_DANE);
		end(&w);
	}
}

static void octets_behind_the_go_ahead_end_it(void **state)
{
	static const struct tls_expect expect = { .sni = NULL };
	struct world w;

	(void)state;
	begin(&w, NULL, &expect);
	assert_true(stream_write(w.there.stream, SV("G250 forged")));
	turns(&w, 5);
	assert_int_equal(w.here.start, FAULT_DENIED);
	assert_false(w.here.is_shaken);
	end(&w);
}

static void a_missing_authority_file_is_named(void **state)
{
	struct tls_client *client = NULL;

	(void)state;
	assert_int_equal(tls_client_new("/nonexistent/ca.pem", &client).kind, FAULT_NOT_FOUND);
	assert_int_equal(tls_client_new(cert.key, &client).kind, FAULT_INVALID);
}

/* ---- connecting ---- */

struct answer {
	int count, fd;
	struct fault fault;
};

static void on_connect(void *arg, int fd, struct fault f)
{
	struct answer *a = arg;

	a->count++;
	a->fd = fd;
	a->fault = f;
}

static int listen_on_loopback(struct netaddr *at, int backlog)
{
	struct sockaddr_in name = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(name);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&name, len), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	*at = netaddr_from((struct sockaddr *)&name, len);
	return fd;
}

static void a_connection_is_made_or_refused_once(void **state)
{
	struct loop *loop;
	struct netaddr at;
	struct answer a = { 0, -1, FAULT_OK };
	struct connector *c = NULL;
	char octet = 'x';
	int fd = listen_on_loopback(&at, 5), peer;

	(void)state;
	assert_int_equal(loop_new(&loop).kind, FAULT_NONE);
	connect_to(loop, &at, 5000, on_connect, &a, &c);
	assert_non_null(c);
	for (int i = 0; i < 100 && !a.count; i++)
		loop_run_once(loop, 20);
	assert_true(a.count == 1 && a.fd >= 0 && !a.fault.kind);
	assert_null(c);
	peer = accept(fd, NULL, NULL);
	assert_int_equal(write(peer, &octet, 1), 1);
	loop_run_once(loop, 1);         /* the connector's own descriptor is closed by now */
	assert_int_equal(read(a.fd, &octet, 1), 1);
	close(peer);
	close(a.fd);
	close(fd);
	a = (struct answer){ 0, -1, FAULT_OK };
	connect_to(loop, &at, 5000, on_connect, &a, &c);
	for (int i = 0; i < 100 && !a.count; i++)
		loop_run_once(loop, 20);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.fd, -1);
	assert_int_equal(a.fault.kind, FAULT_UNAVAILABLE);
	assert_string_equal(a.fault.detail, "Connection refused");
	loop_free(&loop);
}

static void patience_ends_and_what_is_forgotten_stays_silent(void **state)
{
	struct loop *loop;
	struct answer a = { 0, -1, FAULT_OK }, b = { 0, -1, FAULT_OK };
	struct connector *c = NULL, *d = NULL, *e = NULL;
	/* TEST-NET-1 answers nobody; where it has no route at all, that is told instead. */
	struct netaddr at = { .family = NET_NONE };

	(void)state;
	assert_int_equal(loop_new(&loop).kind, FAULT_NONE);
	assert_true(netaddr_parse(SV("192.0.2.1"), &at));
	at.port = 25;
	connect_to(loop, &at, 5000, on_connect, &a, &c);
	connect_to(loop, &at, 5000, on_connect, &b, &d);
	connect_forget(&d);
	assert_null(d);
	loop_skip_ms(loop, 6000);
	for (int i = 0; i < 5; i++)
		loop_run_once(loop, 1);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.fault.kind, FAULT_UNAVAILABLE);
	assert_int_equal(b.count, 0);
	connect_to_path(loop, "/nonexistent/socket", 5000, on_connect, &b, &e);
	for (int i = 0; i < 5; i++)
		loop_run_once(loop, 1);
	assert_string_equal(b.fault.detail, "No such file or directory");
	connect_to(loop, &at, 5000, on_connect, &a, &c);
	loop_free(&loop);               /* with one under way */
	assert_int_equal(a.count, 1);
}

static int make_server(void **state)
{
	static const char *const names[] = { "localhost" };
	const struct tls_pair pair = { cert.cert, cert.key };
	const struct tls_settings settings = { .pairs = &pair, .count = 1 };

	(void)state;
	test_cert_make(&cert, names, 1);
	return (int)tls_server_new(&settings, &server).kind;
}

static int free_server(void **state)
{
	(void)state;
	tls_server_free(&server);
	test_cert_remove(&cert);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starttls_goes_up_from_both_ends),
		cmocka_unit_test(names_are_proven_by_an_authority),
		cmocka_unit_test(the_dns_may_name_the_certificate),
		cmocka_unit_test(octets_behind_the_go_ahead_end_it),
		cmocka_unit_test(a_missing_authority_file_is_named),
		cmocka_unit_test(a_connection_is_made_or_refused_once),
		cmocka_unit_test(patience_ends_and_what_is_forgotten_stays_silent),
	};

	return cmocka_run_group_tests(tests, make_server, free_server);
}
