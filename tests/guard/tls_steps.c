/* tests/guard/tls_steps.c - the server's half of a connection with TLS: handshake, a greeting, goodbye, as of who never logs in. The client is in
 * this process, and what it does is not counted. Names of steps stand in tests/guard/recorded.json.
 *   tls_steps FOLDER */
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/stream.h"
#include "common/tls.h"
#include "tests/guard/cost.h"

#include "common/banned.h"

#define OPS 20

static const struct tls_role role = { .name = "guard", .has_late_tickets = true };
static struct loop *loop;
static struct tls_server *server;
static SSL_CTX *client_context;
static bool is_over;
static struct stream *stream;

static void on_input(struct stream *s, void *user)
{
	(void)user;
	stream_take(s, stream_input(s).len);
}

static void on_tls(struct stream *s, void *user)
{
	(void)user;
	(void)stream_write(s, SV("* OK [CAPABILITY IMAP4rev1 IMAP4rev2 SASL-IR LITERAL+ ID ENABLE AUTH=PLAIN] Postroom is ready\r\n"));
}

static void on_end(struct stream *s, enum stream_end why, void *user)
{
	(void)s;
	(void)why;
	(void)user;
	stream_close(&stream, true);
	is_over = true;
}

static const struct stream_events events = { .on_input = on_input, .on_tls = on_tls, .on_end = on_end };

static void must(bool ok, const char *what)
{
	if (!ok)
		BUG("%s", what);
}

/* The client goes as far as it can. */
static void client_turn(SSL *c, bool *has_greeting)
{
	char line[512];

	cost_pause();
	if (!*has_greeting && SSL_read(c, line, sizeof(line)) > 0) {
		*has_greeting = true;
		(void)SSL_shutdown(c);
	}
	cost_resume();
}

static void connect_once(void)
{
	bool has_greeting = false;
	int fds[2];
	SSL *c;

	cost_pause();
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0, "socketpair");
	c = SSL_new(client_context);
	must(c && SSL_set_fd(c, fds[1]), "client");
	SSL_set_connect_state(c);
	cost_resume();
	is_over = false;
	must(!stream_new(loop, fds[0], NULL, &events, NULL, &stream).kind && !stream_start_tls(stream, server, &role).kind, "stream");
	for (int turns = 0; !is_over && turns < 100; turns++) {
		client_turn(c, &has_greeting);
		loop_run_once(loop, 10);
	}
	must(has_greeting && is_over, "no end");
	cost_pause();
	SSL_free(c);
	close(fds[1]);
	cost_resume();
	loop_run_once(loop, 0);
}

int main(int argc, char **argv)
{
	char cert[4096], key[4096];
	struct sv name = SV("localhost");

	must(argc == 2, "usage: tls_steps FOLDER");
	log_set_level(LOG_LEVEL_ERROR);
	snprintf(cert, sizeof(cert), "%s/steps-cert.pem", argv[1]);
	snprintf(key, sizeof(key), "%s/steps-key.pem", argv[1]);
	must(!tls_make_self_signed(&name, 1, cert, key).kind, "certificate");

	struct tls_pair pair = { .cert_path = cert, .key_path = key };
	struct tls_settings settings = { .pairs = &pair, .count = 1 };

	must(!loop_new(&loop).kind && !tls_server_new(&settings, &server).kind, "server");
	client_context = SSL_CTX_new(TLS_client_method());
	must(client_context, "client");
	connect_once();
	cost_begin();
	for (int i = 0; i < OPS; i++)
		connect_once();
	cost_end("TLS connection", OPS);
	tls_server_free(&server);
	loop_free(&loop);
	SSL_CTX_free(client_context);
	return 0;
}
