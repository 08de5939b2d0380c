/* common/listener.h - where connections come from: listening sockets, and the rules of the front
 * steps.
 *
 * Rows come from the configuration. The daemon's master binds them before it gives up root and
 * hands the descriptors on to its workers (listener_export, listener_import), which all accept from
 * the same ones. Before a byte of TLS or protocol costs anything a peer is counted: connections
 * that have not logged in are limited in all, per IPv4 address or IPv6 /64, and per /24 or /48, and
 * so are new connections per minute. A session that has logged in stops counting
 * (listener_logged_in); from then on limits per user hold. Peers in exempt-networks are not counted
 * by address.
 *
 * The counters of all workers of a daemon lie in one piece of shared memory; each worker writes its
 * own part only and reads all, so that nothing is locked, and a worker that dies takes its counts
 * along. */
#ifndef COMMON_LISTENER_H
#define COMMON_LISTENER_H

#include "common/bytes.h"
#include "common/conf.h"
#include "common/fault.h"
#include "common/loop.h"
#include "common/netaddr.h"
#include "common/stream.h"
#include "common/tls.h"

/* What a daemon knows about a kind of listener: a row of its own table. Literals, or outlives the
 * set. */
struct listener_kind {
	enum conf_listener_kind kind;
	struct tls_role role;           /* name, ALPN and tickets of its TLS */
	/* "421 4.7.0 Too many connections\r\n": said before closing, in clear only. */
	const char *refusal;
};

/* A listener as it runs. */
struct listener {
	const struct listener_kind *kind;
	struct tls_role role;           /* the kind's, with or without tickets as the row says; for stream_start_tls() */
	const char *name;               /* of the row, for logs, status, socket activation */
	enum conf_tls_mode tls;
	struct netaddr at;              /* where it listens, with the real port once bound */
	const char *path;               /* of a unix socket, else NULL */
	int fd;                         /* -1 until bound */
};

struct listener_set;

/** listener_set_new - the rows of conf whose kind stands in kinds. @conf: a reference is kept. */
struct listener_set *listener_set_new(struct conf *conf, const struct listener_kind *kinds,
                                      size_t count);
/** listener_set_free - close the descriptors. @is_owner: the master, which also removes the unix
 *  sockets' names. Where it accepted: after loop_free(). NULL is fine. */
void listener_set_free(struct listener_set **set, bool is_owner);
size_t listener_count(const struct listener_set *set);
const struct listener *listener_at(const struct listener_set *set, size_t i);

/* --- in the master --- */

#define LISTENERS_PASSED_FIRST 3        /* sd_listen_fds(3) */
#define LISTENERS_PASSED_MAX 1000

/**
 * listener_bind - open every row's socket. A row whose name stands in LISTEN_FDNAMES, or whose
 * address and port are those of a descriptor passed by the service manager (LISTEN_PID, LISTEN_FDS:
 * sd_listen_fds(3)) to us or to our parent, or of one that our parent kept (common/handover.h), takes that one; what no row takes is closed. Unix sockets get mode 0660 (kind local: 0666, and its folder is made); a name where nobody
 * answers any more is replaced. Errors: detail names the row and the address ("imaps [::]:993: Address already
 * in use"); nothing stays bound. Those of LISTENERS_OPTIONAL, and a socket whose folder can only be read,
 * are left out with a line in the log.
 */
MUST_CHECK struct fault listener_bind(struct listener_set *set);
/** listener_bind_nothing - in its place, for a rehearsal: nobody can come in. */
MUST_CHECK struct fault listener_bind_nothing(struct listener_set *set);
/** listener_sockets - the open ones, borrowed; at most @max. */
size_t listener_sockets(const struct listener_set *set, int *out, size_t max);
/** listener_let_go - close the descriptors; names and whoever else has the sockets stay. After listener_stop(). */
void listener_let_go(struct listener_set *set);
/** listener_export - for the workers to be executed: makes the descriptors inheritable and appends
 *  a few printable lines for listener_import(). False: text's max. */
bool listener_export(const struct listener_set *set, struct buf *text);

/* --- in a worker --- */

#define LISTENER_WORKERS_MAX 64

/**
 * listener_import - take over the descriptors named in text.
 * @worker: number of this worker, below LISTENER_WORKERS_MAX; no two at a time have the same
 * Rows without a descriptor (the file was changed since the master read it) are left out.
 * Errors: FAULT_INVALID (text is not ours), FAULT_INTERNAL.
 */
MUST_CHECK struct fault listener_import(struct listener_set *set, struct sv text, unsigned worker);

/* A new connection, called on the loop. The stream has no events yet: own it (stream_set_events) or
 * close it. With CONF_TLS_IMPLICIT its handshake has been started. */
typedef void listener_fn(struct stream *s, const struct listener *l, void *user);

/** listener_accept - start accepting on this worker's loop. @tls: NULL when there is no
 *  certificate; rows with implicit TLS then turn everybody away. */
MUST_CHECK struct fault listener_accept(struct listener_set *set, struct loop *loop,
                                        struct tls_server *tls, listener_fn *on_stream,
                                        void *user);
/** listener_stop - accept no more; open streams stay, so that an orderly end lets them finish. */
void listener_stop(struct listener_set *set);
/** listener_logged_in - the peer has proven who it is and counts as a stranger no more, and gets the ticket of a role that
 *  has_late_tickets. Twice is fine, and so is a stream that did not come from a listener. */
void listener_logged_in(struct stream *s);
/** listener_set_conf - limits and exempt networks of a new configuration; rows stay as they are. */
void listener_set_conf(struct listener_set *set, struct conf *conf);
/** listener_set_tls - there is a certificate now, or none any more (NULL). */
void listener_set_tls(struct listener_set *set, struct tls_server *tls);
/** listener_load_percent - strangers of all workers in percent of prelogin-total: "busy" above 80.
 *  */
unsigned listener_load_percent(const struct listener_set *set);

struct listener_stats {
	uint64_t accepted;                      /* this worker, since start; so are the refused */
	uint64_t refused_total, refused_address, refused_network, refused_rate;
	uint64_t refused_descriptors, refused_no_tls;
	uint32_t strangers;                     /* not logged in, now, all workers */
	uint32_t streams;                       /* open, now, this worker */
};
struct listener_stats listener_stats(const struct listener_set *set);

#endif
