/* The other end of a connection in tests: a socket, in clear or as a TLS client, that never blocks.
 * */
#ifndef TESTS_UNIT_SUPPORT_TLS_PEER_H
#define TESTS_UNIT_SUPPORT_TLS_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/ssl.h>

struct peer {
	int fd;
	SSL *ssl;               /* NULL: in clear */
	char got[1 << 16];      /* the first of what came, with a NUL */
	size_t got_len;         /* all that came */
	bool is_eof, is_reset;  /* is_eof over TLS: after close_notify */
	bool is_shaken;
};

/** peer_init - take over a descriptor. */
void peer_init(struct peer *p, int fd);
/** peer_done - close, without close_notify. */
void peer_done(struct peer *p);
/** peer_start_tls - be a TLS client from here on. @name: SNI, NULL for none. @alpn: wire form, NULL
 *  for none. The context may be NULL. */
void peer_start_tls(struct peer *p, SSL_CTX *ctx, const char *name, const char *alpn);
/** peer_send - as much as fits; returns how much. */
size_t peer_send(struct peer *p, const char *data, size_t len);
/** peer_poll - go on with the handshake, read what is there. False when nothing happened. */
bool peer_poll(struct peer *p);
/** peer_read_some - read at most n octets only. */
void peer_read_some(struct peer *p, size_t n);

/* A certificate for "localhost" in a new folder below /tmp: the folder's name, "/cert.pem" and
 * "/key.pem" in it. */
struct test_cert {
	char folder[64], cert[96], key[96];
};
void test_cert_make(struct test_cert *c, const char *const *names, size_t count);
void test_cert_remove(struct test_cert *c);

#endif
