/* handshakes - full TLS handshakes between two sides in one thread's memory, with the library that the servers use: what
 * this machine can do at most. `load ... handshakes` starts it and has read the command line:
 *   handshakes CERT KEY THREADS COUNT SECONDS NAME
 * One JSON line as of any scenario; "part" is the processor time of the server's half of a handshake, "rest" the client's.
 * A server whose clients are other machines is bound by its half only. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <time.h>

#include "tests/bench/load/run.h"

#include "common/banned.h"

static SSL_CTX *server_context, *client_context;

static uint64_t thread_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* What the two sides spent, in turn. */
struct halves {
	uint64_t client_ns, server_ns, at_ns;
};

static void spent(struct halves *h, uint64_t *by)
{
	uint64_t now = thread_cpu_ns();

	*by += now - h->at_ns;
	h->at_ns = now;
}

static bool shake_hands(struct halves *h)
{
	BIO *at_server, *at_client;
	bool ok = false;

	*h = (struct halves){ .at_ns = thread_cpu_ns() };
	SSL *s = SSL_new(server_context);

	spent(h, &h->server_ns);
	SSL *c = SSL_new(client_context);

	if (s && c && BIO_new_bio_pair(&at_server, 0, &at_client, 0) == 1) {
		SSL_set_bio(s, at_server, at_server);
		SSL_set_bio(c, at_client, at_client);
		SSL_set_accept_state(s);
		SSL_set_connect_state(c);
		for (int turn = 0; turn < 8 && !ok; turn++) {
			int a = SSL_do_handshake(c);
			spent(h, &h->client_ns);
			int b = SSL_do_handshake(s);
			spent(h, &h->server_ns);
			ok = a == 1 && b == 1;
		}
	}
	SSL_free(c);
	ERR_clear_error();
	spent(h, &h->client_ns);
	SSL_free(s);
	spent(h, &h->server_ns);
	return ok;
}

static void handshake_body(struct worker *w)
{
	struct client c;        /* carries the error */
	uint64_t ticket;

	c = (struct client){ .fd = -1 };
	while (worker_next(w, &ticket)) {
		uint64_t started = now_us();
		struct halves h;
		if (shake_hands(&h)) {
			samples_add(&w->part, h.server_ns / 1000);
			samples_add(&w->rest, h.client_ns / 1000);
			worker_done(w, started);
		} else {
			snprintf(c.error, sizeof(c.error), "handshake in memory");
			worker_failed(w, &c);
		}
	}
}

int main(int argc, char **argv)
{
	uint64_t threads, count, seconds;

	if (argc != 7 || !sv_to_u64(sv_z(argv[3]), &threads) || !sv_to_u64(sv_z(argv[4]), &count) ||
	    !sv_to_u64(sv_z(argv[5]), &seconds) || !threads || threads > RUN_THREADS_MAX || seconds > RUN_SECONDS_MAX) {
		fprintf(stderr, "Usage: handshakes CERT KEY THREADS COUNT SECONDS NAME (started by `load handshakes`)\n");
		return 2;
	}
	struct options opt = { .cert = argv[1], .key = argv[2], .connections = (uint32_t)threads, .count = count,
			       .seconds = (uint32_t)seconds, .name = argv[6], .is_limit = true };

	server_context = SSL_CTX_new(TLS_server_method());
	client_context = SSL_CTX_new(TLS_client_method());
	if (!server_context || !client_context || SSL_CTX_use_certificate_chain_file(server_context, opt.cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(server_context, opt.key, SSL_FILETYPE_PEM) != 1) {
		fprintf(stderr, "handshakes: %s, %s: not a certificate and its key, PEM\n", opt.cert, opt.key);
		return 2;
	}
	SSL_CTX_set_session_cache_mode(server_context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(server_context, 0);
	int status = run_threads(&opt, opt.connections, handshake_body, NULL);

	SSL_CTX_free(server_context);
	SSL_CTX_free(client_context);
	return status;
}
