/* tests/bench/load/client.h - one connection of a mail program: blocking, plain or TLS, lines and literals.
 * Each client belongs to one thread at a time. Everything that goes wrong is remembered once, in words, and ends the
 * client: later calls do nothing and answer false, so a dialogue reads as a list of steps.
 * Only client.c knows the TLS library, which may be another one than the servers' (configure says which). */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "common/bytes.h"

#define CLIENT_TIMEOUT_S 60             /* of one read or write */
#define CLIENT_LINE_MAX (16u << 20)     /* a SEARCH answer about a million messages is one line */

enum wire { WIRE_PLAIN, WIRE_TLS, WIRE_STARTTLS };

struct client {
	int fd;                 /* -1: not connected */
	struct ssl_st *ssl;     /* the library's SSL, NULL while nothing is encrypted */
	struct buf in;          /* received; what is before at was read by the caller */
	size_t at;
	struct buf out;         /* written by client_send */
	uint64_t received;      /* octets, TLS taken off */
	uint32_t tag;           /* IMAP's */
	bool failed;
	char error[160];        /* "" unless failed */
};

/** client_tls_library - the name and version of what the generator speaks TLS with. */
const char *client_tls_library(void);

/** client_address_is_loopback - only 127.0.0.0/8 is ever connected to. */
bool client_address_is_loopback(const char *host);

void client_init(struct client *c);
/** client_connect - connect; with WIRE_TLS also shake hands. */
bool client_connect(struct client *c, const char *host, uint16_t port, enum wire wire);
/** client_handshake - TLS from here on: after the answer to STARTTLS or STLS. */
bool client_handshake(struct client *c);
/** client_close - hang up; the client may connect again. error stays. */
void client_close(struct client *c);
/** client_done - close, and give the memory back. */
void client_done(struct client *c);

/** client_send - all of it. */
bool client_send(struct client *c, struct sv s);
bool client_sendf(struct client *c, const char *format, ...) PRINTF_LIKE(2, 3);
/** client_line - the next line without its end; a view that lives until the next call. */
bool client_line(struct client *c, struct sv *line);
/** client_skip - drop n octets. */
bool client_skip(struct client *c, uint64_t n);
/** client_fail - remember why and end; the first reason stays. Always false. */
bool client_fail(struct client *c, const char *format, ...) PRINTF_LIKE(2, 3);

/** client_reply - a reply of SMTP or LMTP, all its lines; false when it does not begin with code (such as "250", "2").
 *  extensions (may be NULL): set when a line behind the first names PIPELINING. */
bool client_reply(struct client *c, const char *code, bool *pipelining);
/** client_ok - a "+OK" of POP3; with multi also the lines up to the dot are read, count of them in *lines (may be NULL). */
bool client_ok(struct client *c, bool multi, uint64_t *lines);

struct imap_result {
	uint64_t untagged;      /* lines that begin with "* " */
	uint64_t literals;      /* octets in them */
	uint64_t exists;        /* of the last "* n EXISTS" */
	uint64_t uidvalidity, modseq;   /* of [UIDVALIDITY n] and [HIGHESTMODSEQ n] */
};
/** client_imap - send "TAG command", read up to its "TAG OK". out may be NULL. */
bool client_imap(struct client *c, struct imap_result *out, const char *command, ...) PRINTF_LIKE(3, 4);
/** client_imap_untagged - read one untagged response, literals included; *line its first line. */
bool client_imap_untagged(struct client *c, struct sv *line, uint64_t *literals);

#endif
