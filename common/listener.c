#include "common/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/listener_private.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/proxy.h"
#include "common/stream_private.h"
#include "common/tls.h"

#include "common/banned.h"

#define ACCEPTS_PER_TURN 16 /* leaves some to the other workers, and a turn to those who are in */
#define PROXY_MS 5000           /* for a PROXY header */
#define BREATH_MS 100           /* pause after running out of descriptors or memory */

/* A peer who came in: what to take back when it is no stranger any more, or gone. */
struct visitor {
	struct listener_set *set;
	uint64_t address, network;      /* keys; 0: exempt */
	bool is_stranger;
};

/* --- rows --- */

static const struct listener_kind *find_kind(const struct listener_kind *kinds, size_t count,
                                             enum conf_listener_kind kind)
{
	for (size_t i = 0; i < count; i++) {
		if (kinds[i].kind == kind)
			return &kinds[i];
	}
	return NULL;
}

struct listener_set *listener_set_new(struct conf *conf, const struct listener_kind *kinds,
				      size_t count)
{
	struct listener_set *set = xcalloc(1, sizeof(*set));

	set->conf = conf_ref(conf);
	set->spare_fd = -1;
	set->rows = xcalloc(conf->listener_count, sizeof(*set->rows));
	for (size_t i = 0; i < conf->listener_count; i++) {
		const struct conf_listener *from = &conf->listeners[i];
		const struct listener_kind *kind = find_kind(kinds, count, from->kind);
		struct row *row = &set->rows[set->count];

		if (!kind)
			continue;
		set->count++;
		row->set = set;
		row->name = xstrdup(from->name);
		row->path = from->path ? xstrdup(from->path) : NULL;
		row->listener = (struct listener){ .kind = kind,
						   .role = kind->role,
						   .name = row->name,
						   .path = row->path,
						   .tls = from->tls,
						   .fd = -1 };
		if (from->tickets)
			row->listener.role.has_no_tickets = from->tickets == CONF_TICKETS_NO;
		if (from->path) {
			row->listener.at.family = NET_UNIX;
			continue;
		}
		row->is_any = strcmp(from->address, "*") == 0;
		if (row->is_any)
			row->listener.at.family = NET_IPV6;
		else if (!netaddr_parse(sv_z(from->address), &row->listener.at))
			BUG("listener %s: address %s", from->name, from->address);
		row->listener.at.port = (uint16_t)from->port;
	}
	return set;
}

void listener_set_free(struct listener_set **pset, bool is_owner)
{
	struct listener_set *set = *pset;

	if (!set)
		return;
	*pset = NULL;
	if (set->stats.streams)
		BUG("%u streams outlive their listeners", set->stats.streams);
	listener_close_rows(set, is_owner);
	for (size_t i = 0; i < set->count; i++) {
		free(set->rows[i].name);
		free(set->rows[i].path);
	}
	if (set->spare_fd >= 0)
		close(set->spare_fd);
	counts_free(&set->counts);
	conf_unref(&set->conf);
	free(set->rows);
	free(set);
}

size_t listener_count(const struct listener_set *set)
{
	return set->count;
}

const struct listener *listener_at(const struct listener_set *set, size_t i)
{
	return &set->rows[i].listener;
}

/* --- the front steps --- */

static void no_stranger_any_more(struct visitor *v)
{
	if (!v->is_stranger)
		return;
	v->is_stranger = false;
	counts_total_add(v->set->counts, -1);
	if (v->address)
		counts_drop(v->set->counts, v->address);
	if (v->network)
		counts_drop(v->set->counts, v->network);
}

static void on_visitor_gone(void *arg)
{
	struct visitor *v = arg;

	no_stranger_any_more(v);
	v->set->stats.streams--;
	free(v);
}

void listener_logged_in(struct stream *s)
{
	struct visitor *v = stream_gone_arg(s, on_visitor_gone);

	if (v)
		no_stranger_any_more(v);
	stream_set_stranger(s, false);
	if (stream_is_tls(s))
		tls_give_ticket(stream_tls(s));
}

/* Count the peer in, or say which counter is full. */
static uint64_t *count_in(struct visitor *v, const struct netaddr *peer, const struct row *row)
{
	struct listener_set *set = v->set;
	const struct conf_limits *limits = &set->conf->limits;
	uint64_t per_minute =
		row->listener.kind->kind == LISTENER_MX ? limits->rate_mx : limits->rate_other;

	if (counts_total(set->counts) >= limits->prelogin_total)
		return &set->stats.refused_total;
	if (!netaddr_in(peer, &set->conf->host.exempt_networks)) {
		struct netaddr one = netaddr_cut(peer, 32, 64), around = netaddr_cut(peer, 24, 48);

		v->address = counts_key(set->counts, &one);
		/* The two must differ even where the cut does not: this octet is 0 in both of either family. */
		around.ip[8] ^= 1;
		v->network = counts_key(set->counts, &around);
		/* Refused ones count, too: trying again at once is what the rate is against. */
		counts_set_minute(set->counts, (uint32_t)(loop_now_ms(set->loop) / 60000) + 1);
		bool is_new_known = counts_add(set->counts, COUNT_RATE, v->address);
		if (!is_new_known || counts_get(set->counts, COUNT_RATE, v->address) > per_minute)
			return &set->stats.refused_rate;
		if (counts_get(set->counts, COUNT_STRANGERS, v->address) >=
		    limits->prelogin_per_address)
			return &set->stats.refused_address;
		if (counts_get(set->counts, COUNT_STRANGERS, v->network) >=
		    limits->prelogin_per_network)
			return &set->stats.refused_network;
		if (!counts_add(set->counts, COUNT_STRANGERS, v->address))
			return &set->stats.refused_address;
		if (!counts_add(set->counts, COUNT_STRANGERS, v->network)) {
			counts_drop(set->counts, v->address);
			return &set->stats.refused_network;
		}
	}
	counts_total_add(set->counts, 1);
	v->is_stranger = true;
	return NULL;
}

static void turn_away(const struct row *row, int fd)
{
	const char *text = row->listener.kind->refusal;

	if (text && row->listener.tls != CONF_TLS_IMPLICIT)
		(void)!send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static const char *refusal_name(const struct listener_set *set, const uint64_t *counter)
{
	return counter == &set->stats.refused_total ? "total" :
	       counter == &set->stats.refused_address ? "address" :
	       counter == &set->stats.refused_network ? "network" :
	       counter == &set->stats.refused_rate ? "rate" :
	       counter == &set->stats.refused_no_tls ? "no-certificate" : "descriptors";
}

static void refuse(struct row *row, int fd, const struct netaddr *peer, uint64_t *counter)
{
	char text[NETADDR_TEXT_MAX];

	/* One line per power of two: a flood must not fill the disk with words about it. */
	if ((*counter & (*counter + 1)) == 0)
		log_warn(NULL, "listener.refused", KV_Z("listener", row->name),
			 KV_SV("peer", netaddr_text(peer, text)),
			 KV_Z("limit", refusal_name(row->set, counter)),
			 KV_U64("count", *counter + 1));
	++*counter;
	turn_away(row, fd);
}

static void let_in(struct row *row, int fd, const struct netaddr *peer)
{
	struct listener_set *set = row->set;
	struct visitor *v = xcalloc(1, sizeof(*v));
	struct stream *s;
	uint64_t *full;

	v->set = set;
	if (fd >= set->fd_max)
		full = &set->stats.refused_descriptors;
	else if (row->listener.tls == CONF_TLS_IMPLICIT && !set->tls)
		full = &set->stats.refused_no_tls;
	else
		full = count_in(v, peer, row);
	if (full) {
		free(v);
		refuse(row, fd, peer, full);
		return;
	}
	set->stats.accepted++;
	set->stats.streams++;
	/* A proxy's connection is its client's. */
	struct fault f = stream_new_from(set->loop, fd, &set->limits, peer, &s);

	if (f.kind) {
		log_error(NULL, "listener.stream_failed", KV_Z("listener", row->name),
			  KV_FAULT("fault", f));
		on_visitor_gone(v);
		return;
	}
	stream_on_gone(s, on_visitor_gone, v);
	stream_set_stranger(s, true);
	if (row->listener.tls == CONF_TLS_IMPLICIT) {
		f = stream_start_tls(s, set->tls, &row->listener.role);
		if (f.kind) {
			log_error(NULL, "listener.tls_failed", KV_Z("listener", row->name),
			          KV_FAULT("fault", f));
			stream_close(&s, false);
			return;
		}
	}
	set->on_stream(s, &row->listener, set->user);
}

/* A second number for something we have: a sandbox may let us open nothing. */
static int take_spare(const struct listener_set *set)
{
	return fcntl(counts_fd(set->counts), F_DUPFD_CLOEXEC, 0);
}

static void on_breath(struct timer *t);

/* Out of descriptors or memory: the connection stays in the queue, and the socket stays readable.
 * Turn one away with the spare descriptor, then look away for a moment instead of trying again and
 * again. */
static void take_a_breath(struct row *row)
{
	struct listener_set *set = row->set;

	if (set->spare_fd >= 0) {
		close(set->spare_fd);
		int fd = accept4(row->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct netaddr unknown = { NET_NONE, 0, { 0 } };
		if (fd >= 0)
			refuse(row, fd, &unknown, &set->stats.refused_descriptors);
		set->spare_fd = take_spare(set);
	}
	for (size_t i = 0; i < set->count; i++) {
		if (set->rows[i].is_polling)
			uv_poll_stop(&set->rows[i].poll);
	}
	timer_start_ms(&set->breath, BREATH_MS);
}

/* on_proxied - the proxy has said whose connection this is; its own (LOCAL) are health checks. */
static void on_proxied(void *arg, int fd, const struct netaddr *peer, const char *why)
{
	struct row *row = arg;
	union socket_name name;
	socklen_t len = sizeof(name);
	struct netaddr proxy = { NET_NONE, 0, { 0 } };
	char text[NETADDR_TEXT_MAX];

	if (!getpeername(fd, &name.sa, &len))
		proxy = netaddr_from(&name.sa, len);
	if (!peer)
		log_warn(NULL, "listener.proxy_header", KV_Z("listener", row->name),
			 KV_SV("peer", netaddr_text(&proxy, text)), KV_Z("why", why));
	if (!peer || !row->is_polling)
		close(fd);
	else
		let_in(row, fd, peer->family == NET_NONE ? &proxy : peer);
}

static void answer_knocks(struct deferred *d)
{
	struct row *row = CONTAINER_OF(d, struct row, knock);

	for (int i = 0; i < ACCEPTS_PER_TURN && row->is_polling; i++) {
		union socket_name name;
		socklen_t len = sizeof(name);
		int fd = accept4(row->listener.fd, &name.sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			struct netaddr peer = netaddr_from(&name.sa, len);
			if (netaddr_in(&peer, &row->set->conf->host.proxy_networks))
				proxy_expect(row->set->loop, fd, PROXY_MS, on_proxied, row);
			else
				let_in(row, fd, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			take_a_breath(row);
			return;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		/* Anything else is about that one connection, gone before we came (accept(2)). */
	}
}

static void on_knock(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	deferred_queue(&CONTAINER_OF(poll, struct row, poll)->knock);
}

static void listen_on(struct listener_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		struct row *row = &set->rows[i];
		int e = row->is_polling ? uv_poll_start(&row->poll, UV_READABLE, on_knock) : 0;

		if (e)
			BUG("uv_poll_start: %s", uv_strerror(e));
	}
}

static void on_breath(struct timer *t)
{
	listen_on(CONTAINER_OF(t, struct listener_set, breath));
}

static void on_loop_end(struct loop_member *m)
{
	listener_stop(CONTAINER_OF(m, struct listener_set, member));
}

static void read_limits(struct listener_set *set)
{
	set->limits = stream_limits_default;
	set->limits.handshake_ms = (uint32_t)set->conf->tls.handshake_ms;
	set->limits.stall_ms = (uint32_t)set->conf->limits.output_stall_ms;
	set->limits.keepalive_ms = (uint32_t)set->conf->limits.keepalive_ms;
	/* Once on each listening socket, instead of on each connection (tcp(7): options are inherited). */
	set->limits.is_set_up = true;
	for (size_t i = 0; i < set->count; i++)
		if (set->rows[i].listener.fd >= 0)
			stream_set_up(set->rows[i].listener.fd, &set->limits);
}

struct fault listener_accept(struct listener_set *set, struct loop *loop, struct tls_server *tls,
                             listener_fn *on_stream, void *user)
{
	struct rlimit files;
	struct fault f = FAULT_OK;

	if (set->loop)
		BUG("accepting already");
	if (!set->counts)
		BUG("neither bound nor imported");
	/* A process that never imported is its own first worker. */
	counts_begin(set->counts);
	set->loop = loop;
	set->tls = tls;
	set->on_stream = on_stream;
	set->user = user;
	read_limits(set);
	set->fd_max = INT32_MAX;
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < INT32_MAX)
		set->fd_max = (int)(files.rlim_cur / 10 * 9);
	if (set->spare_fd < 0)
		set->spare_fd = take_spare(set);
	timer_init(&set->breath, loop, on_breath);
	set->member.close = on_loop_end;
	loop_join(loop, &set->member);
	for (size_t i = 0; i < set->count && !f.kind; i++) {
		struct row *row = &set->rows[i];
		int e;

		if (row->listener.fd < 0)
			continue;
		deferred_init(&row->knock, loop, answer_knocks);
		e = uv_poll_init(loop_uv(loop), &row->poll, row->listener.fd);
		row->is_polling = !e;
		if (e)
			f = listener_row_fault(row, uv_strerror(e));
	}
	if (f.kind)
		listener_stop(set);
	else
		listen_on(set);
	return f;
}

void listener_stop(struct listener_set *set)
{
	if (!set->loop)
		return;
	timer_stop(&set->breath);
	loop_leave(&set->member);
	for (size_t i = 0; i < set->count; i++) {
		if (set->rows[i].is_polling) {
			deferred_cancel(&set->rows[i].knock);
			uv_close((uv_handle_t *)&set->rows[i].poll, NULL);
		}
		set->rows[i].is_polling = false;
	}
	set->loop = NULL;
}

void listener_set_tls(struct listener_set *set, struct tls_server *tls)
{
	set->tls = tls;
}

void listener_set_conf(struct listener_set *set, struct conf *conf)
{
	struct conf *old = set->conf;

	set->conf = conf_ref(conf);
	conf_unref(&old);
	read_limits(set);
}

unsigned listener_load_percent(const struct listener_set *set)
{
	uint64_t total = set->conf->limits.prelogin_total;

	if (!set->counts || !total)
		return 0;
	return (unsigned)(counts_total(set->counts) * (uint64_t)100 / total);
}

struct listener_stats listener_stats(const struct listener_set *set)
{
	struct listener_stats stats = set->stats;

	stats.strangers = set->counts ? counts_total(set->counts) : 0;
	return stats;
}
