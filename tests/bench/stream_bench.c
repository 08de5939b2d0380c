/* How fast streams are, and what an idle one costs: octets per second in clear and over TLS, both
 * ways, and the resident memory of 1,000 idle TLS connections that have spoken once. The client is
 * another process, so that its memory is not counted.
 *
 *   stream_bench [MiB per transfer] [idle connections] */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <malloc.h>

#include "common/loop.h"
#include "common/memory.h"
#include "common/stream.h"
#include "common/tls.h"
#include "tests/unit/support/tls_peer.h"

#define CHUNK ((size_t)64 << 10)

enum task { TASK_SEND, TASK_RECEIVE, TASK_ECHO };

struct bench {
	struct loop *loop;
	struct tls_server *tls;
	uint16_t port;
	int door;
	enum task task;
	size_t left;            /* octets of the transfer */
	size_t echoed;
};

struct session {
	struct bench *b;
	struct stream *stream;
};

static char chunk[CHUNK];
static const struct tls_role role = { .name = "bench" };

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static long resident(void)
{
	long total, pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%ld %ld", &total, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static void send_more(struct session *c)
{
	struct bench *b = c->b;

	while (b->task == TASK_SEND && b->left && stream_has_room(c->stream)) {
		size_t n = b->left < CHUNK ? b->left : CHUNK;

		if (!stream_write(c->stream, sv_from(chunk, n)))
			abort();
		b->left -= n;
	}
}

static void on_input(struct stream *s, void *user)
{
	struct session *c = user;
	struct sv in = stream_input(s);

	if (c->b->task == TASK_RECEIVE)
		c->b->left -= in.len;
	if (c->b->task == TASK_ECHO) {
		(void)stream_write(s, in);
		c->b->echoed++;
	}
	stream_take(s, in.len);
	if (c->b->task == TASK_SEND)
		send_more(c);
	if (c->b->task == TASK_RECEIVE && !c->b->left)
		(void)stream_write(s, SV("!"));
}

static void on_writable(struct stream *s, void *user)
{
	(void)s;
	send_more(user);
}

static void on_end(struct stream *s, enum stream_end why, void *user)
{
	struct session *c = user;

	(void)s;
	(void)why;
	stream_close(&c->stream, false);
	loop_stop(c->b->loop);
	free(c);
}

static const struct stream_events events = { on_input, on_writable, NULL, on_end };

static void let_in(struct bench *b, bool has_tls)
{
	struct stream_limits limits = stream_limits_default;
	struct session *c = calloc(1, sizeof(*c));
	int fd = accept4(b->door, NULL, NULL, SOCK_CLOEXEC);

	limits.input_max = CHUNK;
	c->b = b;
	if (fd < 0 || stream_new(b->loop, fd, &limits, &events, c, &c->stream).kind)
		abort();
	if (has_tls && stream_start_tls(c->stream, b->tls, &role).kind)
		abort();
}

/* --- the client's process --- */

static SSL *connect_to(uint16_t port, SSL_CTX *ctx, int *fd)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port),
	                          .sin_addr = { htonl(INADDR_LOOPBACK) } };
	SSL *ssl = NULL;
	int on = 1;

	*fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(*fd, (struct sockaddr *)&at, sizeof(at)))
		abort();
	setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (ctx) {
		ssl = SSL_new(ctx);
		SSL_set_fd(ssl, *fd);
		if (SSL_connect(ssl) != 1)
			abort();
	}
	return ssl;
}

static size_t get(SSL *ssl, int fd, size_t n)
{
	ssize_t got = ssl ? SSL_read(ssl, chunk, (int)n) : recv(fd, chunk, n, 0);

	return got > 0 ? (size_t)got : 0;
}

static void put(SSL *ssl, int fd, size_t n)
{
	while (n) {
		ssize_t done = ssl ? SSL_write(ssl, chunk, (int)n) : send(fd, chunk, n, 0);
		if (done <= 0)
			abort();
		n -= (size_t)done;
	}
}

static pid_t client(struct bench *b, bool has_tls, enum task task, size_t octets)
{
	pid_t pid = fork();
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;

	if (pid)
		return pid;
	ctx = has_tls ? SSL_CTX_new(TLS_client_method()) : NULL;
	ssl = connect_to(b->port, ctx, &fd);
	if (task == TASK_SEND) {
		put(ssl, fd, 1);
		while (octets) {
			size_t n = get(ssl, fd, octets < CHUNK ? octets : CHUNK);
			if (!n)
				abort();
			octets -= n;
		}
	} else {
		for (size_t n; octets; octets -= n) {
			n = octets < CHUNK ? octets : CHUNK;
			put(ssl, fd, n);
		}
		get(ssl, fd, 1);
	}
	_exit(0);
}

static void transfer(struct bench *b, bool has_tls, enum task task, size_t octets)
{
	double began, cpu;
	pid_t pid;

	b->task = task;
	b->left = octets;
	began = now_s();
	cpu = cpu_s();
	pid = client(b, has_tls, task, octets);
	let_in(b, has_tls);
	loop_run(b->loop);
	waitpid(pid, NULL, 0);
	double took = now_s() - began, mib = (double)octets / (1 << 20);

	printf("stream_bench %-8s %-7s %6.0f MiB/s, server CPU %5.2f ms per MiB\n",
	       has_tls ? "TLS" : "clear", task == TASK_SEND ? "send" : "receive", mib / took,
	       (cpu_s() - cpu) * 1000 / mib);
}

static void idle(struct bench *b, size_t count)
{
	int ready[2];
	char c;

	b->task = TASK_ECHO;
	if (pipe(ready))
		abort();
	/* Everything that is allocated once has been by now; what is free goes back, so that it
	 * does not hide growth. */
	malloc_trim(0);
	long before = resident();
	pid_t pid = fork();

	if (!pid) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		for (size_t i = 0; i < count; i++) {
			int fd;
			SSL *ssl = connect_to(b->port, ctx, &fd);
			put(ssl, fd, 20);
			get(ssl, fd, 20);
		}
		if (write(ready[1], "x", 1) != 1)
			abort();
		pause();
		_exit(0);
	}
	double began = now_s();

	for (size_t i = 0; i < count; i++) {
		let_in(b, true);
		while (b->echoed <= i)
			loop_run_once(b->loop, 100);
	}
	double took = now_s() - began;

	if (read(ready[0], &c, 1) != 1)
		abort();
	loop_run_once(b->loop, 10);
	printf("stream_bench TLS      idle    %6.1f KiB resident per connection (%zu "
	       "connections)\n",
	       (double)(resident() - before) / 1024 / (double)count, count);
	printf("stream_bench TLS      connect %6.0f handshakes per second, one after the other\n",
	       (double)count / took);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "localhost" };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at);
	uint32_t mib = 512, count = 1000;
	struct rlimit files;
	struct test_cert cert;
	struct bench b = { 0 };

	if ((argc > 1 && !sv_to_u32(sv_z(argv[1]), &mib)) ||
	    (argc > 2 && !sv_to_u32(sv_z(argv[2]), &count))) {
		fprintf(stderr, "usage: stream_bench [MiB per transfer] [idle connections]\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	test_cert_make(&cert, names, 1);
	struct tls_pair pair = { cert.cert, cert.key };
	struct tls_settings settings = { .pairs = &pair, .count = 1 };

	if (tls_server_new(&settings, &b.tls).kind || loop_new(&b.loop).kind)
		return 1;
	test_cert_remove(&cert);
	b.door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(b.door, (struct sockaddr *)&at, sizeof(at)) || listen(b.door, 100) ||
	    getsockname(b.door, (struct sockaddr *)&at, &len))
		return 1;
	b.port = ntohs(at.sin_port);
	for (int has_tls = 0; has_tls < 2; has_tls++) {
		transfer(&b, has_tls, TASK_SEND, (size_t)mib << 20);
		transfer(&b, has_tls, TASK_RECEIVE, (size_t)mib << 20);
	}
	idle(&b, count);
	loop_free(&b.loop);
	tls_server_free(&b.tls);
	return 0;
}
