/* common/listener.h - where connections come from: listening sockets as table rows, and the rules of the front steps.
 *
 * The daemon's master makes a struct listener_set from its rows and binds it (listener_bind) before it gives up root and forks; every
 * worker inherits the same descriptors and accepts from them (listener_accept). Before a byte of TLS or protocol costs
 * anything, a peer is counted: connections that have not logged in yet are limited in all, per IPv4 address or IPv6 /64, and per
 * /24 or /48, and so are new connections per minute. A session that has logged in stops counting (listener_logged_in): from then on
 * limits per user hold. Peers in exempt networks (default: loopback) are not counted by address.
 *
 * The counters are shared by all workers of a daemon: they lie in memory which the master maps before it forks. */
#ifndef COMMON_LISTENER_H
#define COMMON_LISTENER_H

#include "common/bytes.h"
#include "common/fault.h"
#include "common/loop.h"
#include "common/netaddr.h"
#include "common/stream.h"
#include "common/tls.h"

enum listener_tls {
	LISTENER_CLEAR,         /* never TLS (lmtp) */
	LISTENER_STARTTLS,      /* the session may ask for it */
	LISTENER_TLS,           /* from the first octet */
};

#define LISTENER_NAME_MAX 32
#define LISTENER_PATH_MAX 108   /* of a unix socket */

/* One row, as the configuration gave it. */
struct listener_row {
	char name[LISTENER_NAME_MAX];           /* "mx", "submission", "imaps": for logs, status, socket activation */
	int kind;                               /* the daemon's own enum */
	struct netaddr at;                      /* address and port; NET_UNIX: path instead; port 0 lets the kernel choose */
	char path[LISTENER_PATH_MAX];           /* unix socket, made with mode 0660; replaced when nobody answers there */
	enum listener_tls tls;
	struct tls_role role;
	const char *refusal;                    /* "421 4.7.0 Too many connections\r\n": sent to whom we turn away in clear */
	uint32_t per_minute;                    /* new connections of one address; 0: the set's default */
};

struct listener_limits {
	uint32_t total;                 /* not logged in, all workers together */
	uint32_t per_address;           /* of one IPv4 address or IPv6 /64 */
	uint32_t per_network;           /* of one /24 or /48 */
	uint32_t per_minute;            /* new connections of one IPv4 address or /64 */
	const struct network *exempt;   /* not counted by address; copied */
	size_t exempt_count;
};

/* 8192, 30, 90, 600, exempt: 127.0.0.0/8 and ::1 */
extern const struct listener_limits listener_limits_default;

struct listener_set;

/** listener_set_new - rows are copied (refusal, role names and alpn are literals or outlive the set). */
struct listener_set *listener_set_new(const struct listener_row *rows, size_t count, const struct listener_limits *limits);
/** listener_set_free - close the descriptors; removes unix sockets when is_last (the master's own end, not a worker's). */
void listener_set_free(struct listener_set **set, bool is_last);
/**
 * listener_bind - open every row's socket. Rows whose name stands in LISTEN_FDNAMES, or whose address is that of a
 * descriptor passed by the service manager (LISTEN_FDS, sd_listen_fds(3)), take that one instead.
 * Errors: detail names the row and the address ("imaps: [::]:993: Address already in use"); what was bound is closed.
 */
MUST_CHECK struct fault listener_bind(struct listener_set *set);
size_t listener_count(const struct listener_set *set);
/** listener_row - row i; its port is the real one after listener_bind(). */
const struct listener_row *listener_row(const struct listener_set *set, size_t i);

/* A new connection, called on the loop: the stream has no events yet; own it (stream_set_events) or close it. With LISTENER_TLS
 * the handshake has been started. */
typedef void listener_fn(struct stream *s, const struct listener_row *row, void *user);

/**
 * listener_accept - start accepting on this worker's loop.
 * @tls:    for the rows with LISTENER_TLS; NULL when there are none, those rows then turn everybody away
 * @limits: of the streams; NULL for the defaults
 * Stopped by listener_stop() or with the loop.
 */
MUST_CHECK struct fault listener_accept(struct listener_set *set, struct loop *loop, struct tls_server *tls,
                                        const struct stream_limits *limits, listener_fn *on_stream, void *user);
/** listener_stop - accept no more; open streams stay (an orderly end lets them finish). */
void listener_stop(struct listener_set *set);
/** listener_logged_in - the peer of s has proven who it is and no longer counts as a stranger. Twice is fine. */
void listener_logged_in(struct stream *s);
/** listener_set_limits - after a reload. */
void listener_set_limits(struct listener_set *set, const struct listener_limits *limits);

struct listener_stats {
	uint64_t accepted, refused_total, refused_address, refused_network, refused_rate, refused_descriptors;  /* since start */
	uint32_t strangers;     /* not logged in, now, all workers */
	uint32_t streams;       /* open, now, this worker */
};
struct listener_stats listener_stats(const struct listener_set *set);

#endif
