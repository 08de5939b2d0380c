#include "tests/bench/load/scenarios.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/banned.h"

/* ---- the disk: a new file made durable under its final name, nothing else ---- */

static bool make_durable(int dir, const char *name, struct sv content)
{
	char tmp[32];
	int fd;
	bool ok;

	snprintf(tmp, sizeof(tmp), "t%s", name);
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	ok = write(fd, content.p, content.len) == (ssize_t)content.len && fdatasync(fd) == 0 &&
	     renameat(dir, tmp, dir, name) == 0 && fsync(dir) == 0;
	return close(fd) == 0 && ok;
}

static void disk_body(struct worker *w)
{
	struct buf content;
	struct client c;        /* carries the error */
	char path[512], name[24];
	uint64_t ticket;
	int dir;

	client_init(&c);
	snprintf(path, sizeof(path), "%s/%u", w->opt->dir, w->number);
	buf_init(&content, 1 << 20);
	message_make(&content, w->number, w->opt->size, "a@b.example", "c@d.example");
	if ((mkdir(path, 0700) != 0 && errno != EEXIST) || (dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		client_fail(&c, "%s: %s", path, strerror(errno));
		worker_failed(w, &c);
		return;
	}
	while (worker_next(w, &ticket)) {
		uint64_t started = now_us();
		snprintf(name, sizeof(name), "%llu", (unsigned long long)ticket);
		if (make_durable(dir, name, buf_sv(&content)))
			worker_done(w, started);
		else {
			client_fail(&c, "%s/%s: %s", path, name, strerror(errno));
			worker_failed(w, &c);
		}
	}
	close(dir);
	buf_done(&content);
	client_done(&c);
}

int scenario_disk(const struct options *opt)
{
	return run_threads(opt, opt->connections, disk_body, NULL);
}

/* ---- TLS: both sides of a full handshake, in memory ---- */

static SSL_CTX *server_context, *client_context;

static bool shake_hands(void)
{
	SSL *s = SSL_new(server_context), *c = SSL_new(client_context);
	BIO *at_server, *at_client;
	bool ok = false;

	if (s && c && BIO_new_bio_pair(&at_server, 0, &at_client, 0) == 1) {
		SSL_set_bio(s, at_server, at_server);
		SSL_set_bio(c, at_client, at_client);
		SSL_set_accept_state(s);
		SSL_set_connect_state(c);
		for (int turn = 0; turn < 8 && !ok; turn++) {
			int a = SSL_do_handshake(c), b = SSL_do_handshake(s);
			ok = a == 1 && b == 1;
		}
	}
	SSL_free(s);
	SSL_free(c);
	ERR_clear_error();
	return ok;
}

static void handshake_body(struct worker *w)
{
	struct client c;
	uint64_t ticket;

	client_init(&c);
	while (worker_next(w, &ticket)) {
		uint64_t started = now_us();
		if (shake_hands())
			worker_done(w, started);
		else {
			client_fail(&c, "handshake in memory");
			worker_failed(w, &c);
		}
	}
	client_done(&c);
}

int scenario_handshakes(const struct options *opt)
{
	server_context = SSL_CTX_new(TLS_server_method());
	client_context = SSL_CTX_new(TLS_client_method());
	if (!server_context || !client_context || !opt->cert || !opt->key ||
	    SSL_CTX_use_certificate_chain_file(server_context, opt->cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(server_context, opt->key, SSL_FILETYPE_PEM) != 1) {
		fprintf(stderr, "load: handshakes needs --cert and --key, PEM\n");
		return 2;
	}
	SSL_CTX_set_session_cache_mode(server_context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(server_context, 0);
	int status = run_threads(opt, opt->connections, handshake_body, NULL);

	SSL_CTX_free(server_context);
	SSL_CTX_free(client_context);
	return status;
}

/* ---- a storm of connections: connect, greeting, hang up ---- */

static void connection_body(struct worker *w)
{
	struct client c;
	struct sv line;
	uint64_t ticket;

	client_init(&c);
	while (worker_next(w, &ticket)) {
		uint64_t started = now_us();
		if (client_connect(&c, w->opt->host, w->opt->port, w->opt->wire) && client_line(&c, &line))
			worker_done(w, started);
		else
			worker_failed(w, &c);
		client_close(&c);
	}
	client_done(&c);
}

int scenario_connections(const struct options *opt)
{
	return run_threads(opt, opt->connections, connection_body, NULL);
}
