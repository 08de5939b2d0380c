#include "tests/bench/load/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/memory.h"

#include "common/banned.h"

/* BoringSSL takes the end of a connection without close_notify as an end, as this lets OpenSSL do. */
#ifndef SSL_OP_IGNORE_UNEXPECTED_EOF
#define SSL_OP_IGNORE_UNEXPECTED_EOF 0
#endif

static SSL_CTX *tls_context;
static pthread_once_t tls_once = PTHREAD_ONCE_INIT;

static void make_tls_context(void)
{
	tls_context = SSL_CTX_new(TLS_client_method());
	if (!tls_context)
		abort();
	/* Whose certificate it is does not matter here, its signature is checked all the same. Sessions are never
	 * resumed: each connection pays what a stranger's does. */
	SSL_CTX_set_verify(tls_context, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_options(tls_context, SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(tls_context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(tls_context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
}

const char *client_tls_library(void)
{
#ifdef OPENSSL_IS_BORINGSSL
	return "BoringSSL";    /* it has no versions */
#else
	return OpenSSL_version(OPENSSL_VERSION);
#endif
}

bool client_address_is_loopback(const char *host)
{
	struct in_addr a;

	return inet_pton(AF_INET, host, &a) == 1 && ntohl(a.s_addr) >> 24 == 127;
}

void client_init(struct client *c)
{
	*c = (struct client){ .fd = -1 };
	buf_init(&c->in, CLIENT_LINE_MAX);
	buf_init(&c->out, CLIENT_LINE_MAX);
}

bool client_fail(struct client *c, const char *format, ...)
{
	va_list ap;

	if (!c->failed) {
		va_start(ap, format);
		vsnprintf(c->error, sizeof(c->error), format, ap);
		va_end(ap);
	}
	c->failed = true;
	return false;
}

bool client_connect(struct client *c, const char *host, uint16_t port, enum wire wire)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval timeout = { .tv_sec = CLIENT_TIMEOUT_S };
	int one = 1;

	if (!client_address_is_loopback(host))
		return client_fail(c, "%s is not a loopback address", host);
	client_close(c);
	c->failed = false;
	c->error[0] = '\0';
	inet_pton(AF_INET, host, &to.sin_addr);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return client_fail(c, "socket: %s", strerror(errno));
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		return client_fail(c, "connect to port %u: %s", port, strerror(errno));
	return wire != WIRE_TLS || client_handshake(c);
}

bool client_handshake(struct client *c)
{
	if (c->failed)
		return false;
	if (c->at < c->in.len)
		return client_fail(c, "octets in clear behind the answer to STARTTLS");
	pthread_once(&tls_once, make_tls_context);
	c->ssl = SSL_new(tls_context);
	ERR_clear_error();
	if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1)
		return client_fail(c, "TLS handshake: %s", ERR_reason_error_string(ERR_peek_error()));
	return true;
}

void client_close(struct client *c)
{
	if (c->ssl) {
		if (!c->failed)
			(void)SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
		c->ssl = NULL;
	}
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	buf_clear(&c->in);
	c->at = 0;
}

void client_done(struct client *c)
{
	client_close(c);
	buf_done(&c->in);
	buf_done(&c->out);
}

bool client_send(struct client *c, struct sv s)
{
	while (!c->failed && s.len) {
		int most = s.len > 1 << 20 ? 1 << 20 : (int)s.len;
		ssize_t n;
		ERR_clear_error();
		n = c->ssl ? SSL_write(c->ssl, s.p, most) : send(c->fd, s.p, (size_t)most, MSG_NOSIGNAL);
		if (n <= 0)
			return client_fail(c, "write: %s", errno ? strerror(errno) : "closed");
		sv_skip(&s, (size_t)n);
	}
	return !c->failed;
}

bool client_sendf(struct client *c, const char *format, ...)
{
	va_list ap;

	buf_clear(&c->out);
	va_start(ap, format);
	bool ok = buf_vappendf(&c->out, format, ap);
	va_end(ap);
	return ok ? client_send(c, buf_sv(&c->out)) : client_fail(c, "command too long");
}

/* More octets behind what is there. */
static bool fill(struct client *c)
{
	if (c->failed)
		return false;
	if (c->at) {
		buf_consume(&c->in, c->at);
		c->at = 0;
	}
	size_t room = c->in.len < 2048 ? 4096 : c->in.len;
	if (c->ssl && room < 16384 && c->received > 4096)
		room = 16384;           /* a record at once; an idle session never needs that much */
	else if (!c->ssl && room < 65536 && c->received > 4096)
		room = 65536;
	if (!buf_reserve(&c->in, room))
		return client_fail(c, "a line longer than %u octets", CLIENT_LINE_MAX);
	int most = (int)(c->in.cap - c->in.len);
	errno = 0;
	ERR_clear_error();
	ssize_t n = c->ssl ? SSL_read(c->ssl, c->in.p + c->in.len, most) :
			     recv(c->fd, c->in.p + c->in.len, (size_t)most, 0);
	if (n <= 0)
		return client_fail(c, "read: %s", errno == EAGAIN ? "nothing for 60 s" :
				   errno ? strerror(errno) : "connection closed");
	c->in.len += (size_t)n;
	c->received += (uint64_t)n;
	return true;
}

bool client_line(struct client *c, struct sv *line)
{
	size_t seen = 0;

	for (;;) {
		struct sv have = sv_from(c->in.p + c->at, c->in.len - c->at);
		const char *end = have.len > seen ? memchr(have.p + seen, '\n', have.len - seen) : NULL;
		if (end) {
			size_t n = (size_t)(end - have.p);
			c->at += n + 1;
			*line = sv_from(have.p, n && have.p[n - 1] == '\r' ? n - 1 : n);
			return true;
		}
		seen = have.len;
		if (!fill(c))
			return false;
	}
}

bool client_skip(struct client *c, uint64_t n)
{
	for (;;) {
		size_t have = c->in.len - c->at;
		if (have >= n) {
			c->at += (size_t)n;
			return !c->failed;
		}
		n -= have;
		c->at = c->in.len;
		if (!fill(c))
			return false;
	}
}

bool client_reply(struct client *c, const char *code, bool *pipelining)
{
	struct sv line;

	do {
		if (!client_line(c, &line))
			return false;
		if (!sv_starts(line, sv_z(code)))
			return client_fail(c, "wanted %s: %.*s", code, SV_FMT(line));
		if (pipelining && sv_eq_nocase(sv_sub(line, 4, SIZE_MAX), SV("PIPELINING")))
			*pipelining = true;
	} while (line.len > 3 && line.p[3] == '-');
	return true;
}

bool client_ok(struct client *c, bool multi, uint64_t *lines)
{
	struct sv line;

	if (!client_line(c, &line))
		return false;
	if (!sv_starts(line, SV("+OK")))
		return client_fail(c, "wanted +OK: %.*s", SV_FMT(line));
	while (multi) {
		if (!client_line(c, &line))
			return false;
		if (line.len == 1 && line.p[0] == '.')
			break;
		if (lines)
			++*lines;
	}
	return true;
}

/* The n of a line that ends with {n}, so that n octets and another line follow. */
static bool literal_at_end(struct sv line, uint64_t *n)
{
	if (line.len < 3 || line.p[line.len - 1] != '}')
		return false;
	size_t open = sv_rfind(line, '{');

	return open != SIZE_MAX && sv_to_u64(sv_sub(line, open + 1, line.len - open - 2), n);
}

bool client_imap_untagged(struct client *c, struct sv *line, uint64_t *literals)
{
	struct sv rest;
	uint64_t n;

	if (!client_line(c, line))
		return false;
	if (!literal_at_end(*line, &n))
		return true;
	do {
		if (literals)
			*literals += n;
		if (!client_skip(c, n) || !client_line(c, &rest))
			return false;
	} while (literal_at_end(rest, &n));
	*line = SV("* with a literal");         /* the first line is gone by now */
	return true;
}

/* The n of "* OK [NAME n] ...", for the names that are looked for. */
static void take_code(struct sv line, struct sv start, uint64_t *n)
{
	struct sv value;

	if (!sv_starts(line, start))
		return;
	sv_skip(&line, start.len);
	if (sv_split(&line, ']', &value))
		(void)sv_to_u64(value, n);
}

bool client_imap(struct client *c, struct imap_result *out, const char *command, ...)
{
	struct imap_result r = { 0 };
	struct sv line;
	char tag[16];
	va_list ap;

	snprintf(tag, sizeof(tag), "b%u ", ++c->tag);
	buf_clear(&c->out);
	va_start(ap, command);
	bool ok = buf_append(&c->out, sv_z(tag)) && buf_vappendf(&c->out, command, ap) &&
		  buf_append(&c->out, SV("\r\n"));
	va_end(ap);
	if (!ok)
		return client_fail(c, "command too long");
	if (!client_send(c, buf_sv(&c->out)))
		return false;
	for (;;) {
		if (!client_imap_untagged(c, &line, &r.literals))
			return false;
		if (sv_starts(line, SV("* "))) {
			r.untagged++;
			if (line.len > 9 && line.len < 24 && sv_ends(line, SV(" EXISTS")))
				(void)sv_to_u64(sv_sub(line, 2, line.len - 9), &r.exists);
			take_code(line, SV("* OK [UIDVALIDITY "), &r.uidvalidity);
			take_code(line, SV("* OK [HIGHESTMODSEQ "), &r.modseq);
			continue;
		}
		if (!sv_starts(line, sv_z(tag)))
			return client_fail(c, "wanted %s: %.*s", tag, SV_FMT(sv_sub(line, 0, 80)));
		sv_skip(&line, strlen(tag));
		if (!sv_starts(line, SV("OK")))
			return client_fail(c, "%.*s", SV_FMT(sv_sub(line, 0, 120)));
		if (out)
			*out = r;
		return true;
	}
}
