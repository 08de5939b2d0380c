#include "tests/unit/support/tls_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "common/fault.h"
#include "common/tls.h"

void peer_init(struct peer *p, int fd)
{
	memset(p, 0, sizeof(*p));
	p->fd = fd;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void peer_done(struct peer *p)
{
	SSL_free(p->ssl);
	p->ssl = NULL;
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

void peer_start_tls(struct peer *p, SSL_CTX *ctx, const char *name, const char *alpn)
{
	SSL_CTX *own = ctx ? NULL : SSL_CTX_new(TLS_client_method());

	p->ssl = SSL_new(ctx ? ctx : own);
	SSL_CTX_free(own);
	SSL_set_fd(p->ssl, p->fd);
	SSL_set_connect_state(p->ssl);
	if (name)
		SSL_set_tlsext_host_name(p->ssl, name);
	if (alpn)
		SSL_set_alpn_protos(p->ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
}

static void note(struct peer *p, const char *data, size_t len)
{
	if (p->got_len < sizeof(p->got) - 1) {
		size_t room = sizeof(p->got) - 1 - p->got_len, n = len < room ? len : room;
		memcpy(p->got + p->got_len, data, n);
		p->got[p->got_len + n] = '\0';
	}
	p->got_len += len;
}

static void note_ssl_error(struct peer *p, int result)
{
	int e = errno;

	switch (SSL_get_error(p->ssl, result)) {
	case SSL_ERROR_ZERO_RETURN:
		p->is_eof = true;
		break;
	case SSL_ERROR_SYSCALL:
	case SSL_ERROR_SSL:
		(void)e;
		p->is_reset = true;
		break;
	default:
		break;
	}
}

size_t peer_send(struct peer *p, const char *data, size_t len)
{
	if (p->ssl) {
		ERR_clear_error();
		int n = len ? SSL_write(p->ssl, data, (int)len) : 0;
		return n > 0 ? (size_t)n : 0;
	}
	ssize_t n = send(p->fd, data, len, MSG_NOSIGNAL);

	return n > 0 ? (size_t)n : 0;
}

static bool read_once(struct peer *p, size_t n)
{
	char data[1 << 16];

	if (n > sizeof(data))
		n = sizeof(data);
	if (p->is_eof || p->is_reset)
		return false;
	if (p->ssl) {
		ERR_clear_error();
		errno = 0;
		if (!p->is_shaken) {
			int done = SSL_do_handshake(p->ssl);
			if (done != 1) {
				note_ssl_error(p, done);
				return false;
			}
			p->is_shaken = true;
			return true;
		}
		int got = SSL_read(p->ssl, data, (int)n);
		if (got <= 0) {
			note_ssl_error(p, got);
			return false;
		}
		note(p, data, (size_t)got);
		return true;
	}
	ssize_t got = recv(p->fd, data, n, 0);

	if (got > 0)
		note(p, data, (size_t)got);
	else if (got == 0)
		p->is_eof = true;
	else if (errno != EAGAIN)
		p->is_reset = true;
	return got > 0;
}

bool peer_poll(struct peer *p)
{
	bool is_moving = false;

	while (read_once(p, SIZE_MAX))
		is_moving = true;
	return is_moving;
}

void peer_read_some(struct peer *p, size_t n)
{
	read_once(p, n);
}

void test_cert_make(struct test_cert *c, const char *const *names, size_t count)
{
	struct sv views[8];

	snprintf(c->folder, sizeof(c->folder), "/tmp/postroom-cert-XXXXXX");
	if (!mkdtemp(c->folder))
		abort();
	snprintf(c->cert, sizeof(c->cert), "%s/cert.pem", c->folder);
	snprintf(c->key, sizeof(c->key), "%s/key.pem", c->folder);
	for (size_t i = 0; i < count; i++)
		views[i] = sv_z(names[i]);
	struct fault f = tls_make_self_signed(views, count, c->cert, c->key);

	if (f.kind) {
		fprintf(stderr, "certificate: %s\n", f.detail);
		abort();
	}
}

void test_cert_remove(struct test_cert *c)
{
	unlink(c->cert);
	unlink(c->key);
	rmdir(c->folder);
}
