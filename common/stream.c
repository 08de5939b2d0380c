#include "common/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "common/loop_private.h"
#include "common/memory.h"
#include "common/stream_private.h"
#include "common/tls.h"

#include "common/banned.h"

#define CLOSE_MAX_MS 60000      /* for everything that a graceful end has to do */
#define LINGER_MS 2000          /* of it, for input that is still on its way */
#define LINGER_MAX ((size_t)256 << 10)

const struct stream_limits stream_limits_default = {
	.input_max = 8 << 10,
	.output_low = 32 << 10,
	.output_high = 128 << 10,
	.output_max = 1 << 20,
	.handshake_ms = 30000,
	.stall_ms = 300000,
	.keepalive_ms = 120000,
};

/* --- the end --- */

static void free_when_unused(struct stream *s)
{
	if (s->is_owned || !s->is_gone)
		return;
	buf_done(&s->in);
	free(s);
}

static void on_poll_closed(uv_handle_t *h)
{
	struct stream *s = CONTAINER_OF(h, struct stream, poll);

	/* Not before libuv has let go of it: the number could already be another connection's. */
	close(s->fd);
	s->fd = -1;
	s->is_gone = true;
	if (s->gone)
		s->gone(s->gone_arg);
	free_when_unused(s);
}

/* Give everything back but the struct, which the owner may still look at. */
static void destroy(struct stream *s)
{
	if (s->farewell == FAREWELL_DONE)
		return;
	s->farewell = FAREWELL_DONE;
	timer_stop(&s->timer);
	deferred_cancel(&s->soon);
	deferred_cancel(&s->queued);
	loop_leave(&s->member);
	stream_drop_output(s);
	uv_poll_stop(&s->poll);
	stream_packing_free(s);
	tls_conn_free(&s->tls);
	uv_close((uv_handle_t *)&s->poll, on_poll_closed);
}

bool stream_input_is_ready(const struct stream *s)
{
	return s->input.len && s->events && !s->is_paused && !s->is_end_told &&
	       !stream_is_choked(s) && s->phase != PHASE_GO_AHEAD && s->phase != PHASE_HANDSHAKE &&
	       (!stream_is_cut(s) || s->end == STREAM_TRUNCATED);
}

/* Tell the session what there is to tell. It may close the stream in each of these calls. */
static void tell(struct stream *s)
{
	if (s->is_offer_due && stream_input_is_ready(s)) {
		s->is_offer_due = false;
		s->events->on_input(s, s->user);
	}
	if (!s->events || s->is_end_told || s->end == STREAM_OPEN)
		return;
	/* A job may still be answering what came before the end, or the rest of the input has not
	 * been offered because the output is full. */
	if (!stream_is_cut(s) &&
	    (s->is_paused || stream_is_choked(s) || s->phase == PHASE_GO_AHEAD))
		return;
	s->is_end_told = true;
	s->events->on_end(s, s->end, s->user);
}

/* --- deadlines --- */

static void sooner(uint64_t *first_ms, uint64_t since_ms, uint64_t after_ms)
{
	if (since_ms + after_ms < *first_ms)
		*first_ms = since_ms + after_ms;
}

static bool is_shaking_hands(const struct stream *s)
{
	return s->phase == PHASE_GO_AHEAD || s->phase == PHASE_HANDSHAKE;
}

static bool may_be_idle(const struct stream *s)
{
	return s->idle_ms && s->events && !s->is_paused && s->end == STREAM_OPEN &&
	       !stream_pending(s) && !is_shaking_hands(s);
}

/* When the first deadline is over; UINT64_MAX for never. */
static uint64_t next_deadline(const struct stream *s)
{
	uint64_t first_ms = UINT64_MAX;

	if (s->farewell != FAREWELL_NOT_YET) {
		sooner(&first_ms, s->closing_ms,
		       s->farewell == FAREWELL_LINGER ? LINGER_MS : CLOSE_MAX_MS);
		if (stream_pending(s))
			sooner(&first_ms, s->progress_ms, s->limits.stall_ms);
		return first_ms;
	}
	if (stream_is_cut(s))
		return first_ms;
	if (is_shaking_hands(s))
		sooner(&first_ms, s->progress_ms, s->limits.handshake_ms);
	else if (stream_pending(s))
		sooner(&first_ms, s->progress_ms, s->limits.stall_ms);
	else if (may_be_idle(s))
		sooner(&first_ms, s->quiet_ms, s->idle_ms);
	return first_ms;
}

static void arm_timer(struct stream *s)
{
	uint64_t first_ms = next_deadline(s), now = loop_now_ms(s->loop);

	if (first_ms == UINT64_MAX)
		return; /* an old deadline is looked at when it comes, and found to be none */
	if (timer_is_running(&s->timer) && s->timer.looked_at_ms <= first_ms)
		return;
	timer_start_ms(&s->timer, first_ms > now ? first_ms - now : 0);
}

/* --- a turn --- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct stream *s, uint8_t wanted)
{
	/* Reading is given up only when input did come that nobody wants: pausing for each command
	 * must not cost two system calls. */
	if (s->polled & UV_READABLE && !s->is_unwanted)
		wanted |= UV_READABLE;
	s->is_unwanted = false;
	if (wanted == s->polled)
		return;
	s->polled = wanted;
	int e = wanted ? uv_poll_start(&s->poll, wanted, on_poll) : uv_poll_stop(&s->poll);

	if (e)
		BUG("uv_poll_start: %s", uv_strerror(e));
}

/* What the socket should wake us for, when the turn is over. */
static void watch_and_wait(struct stream *s)
{
	uint8_t wanted = 0;

	if (stream_is_cut(s) && s->farewell == FAREWELL_NOT_YET) {
		if (s->polled)
			uv_poll_stop(&s->poll);
		s->polled = 0;
		return;
	}
	if (s->phase == PHASE_HANDSHAKE)
		wanted = s->read_wants;
	else if (stream_wants_input(s))
		wanted = s->read_wants ? s->read_wants : UV_READABLE;
	if (s->farewell == FAREWELL_NOTIFY)
		wanted |= s->write_wants;
	if (s->farewell == FAREWELL_LINGER)
		wanted |= UV_READABLE;
	if (s->phase != PHASE_HANDSHAKE && stream_pending(s))
		wanted |= s->write_wants ? s->write_wants : UV_WRITABLE;
	watch(s, wanted);
	arm_timer(s);
	if (s->has_more && stream_wants_input(s)) {
		if (s->is_stranger)
			deferred_queue(&s->queued);
		else
			deferred_call(&s->soon);
	}
}

static void shake_hands(struct stream *s)
{
	enum io result = stream_handshake(s);

	if (result == IO_WAIT)
		return;
	if (result != IO_DONE) {
		/* Whatever cut it short: nothing was agreed on. */
		stream_end_with(s, result == IO_RESET ? STREAM_RESET : STREAM_TLS_FAILED,
		    result == IO_EOF || result == IO_CUT ? "closed during the handshake" : NULL);
		return;
	}
	s->phase = PHASE_TLS;
	s->has_more = tls_has_more(s->tls);     /* it may have come along with the handshake */
	s->read_wants = 0;
	s->quiet_ms = s->progress_ms = loop_now_ms(s->loop);
	if (s->events && s->events->on_tls)
		s->events->on_tls(s, s->user);
}

/* Throw input away until the peer has seen our last words: closing a socket with unread input makes
 * the kernel send a reset, and a reset destroys what the peer has not read yet (RFC 1122
 * §4.2.2.13). */
static void linger(struct stream *s)
{
	enum io result = IO_DONE;
	size_t done;

	for (int i = 0; i < 4 && result == IO_DONE; i++) {
		/* The raw socket: TLS is over, and what still comes is not looked at. */
		ssize_t got = recv(s->fd, stream_scratch(s->loop), LOOP_SCRATCH, 0);
		done = got > 0 ? (size_t)got : 0;
		s->lingered += done;
		if (!got || (got < 0 && errno != EAGAIN && errno != EINTR) ||
		    s->lingered > LINGER_MAX) {
			destroy(s);
			return;
		}
		if (got < 0)
			result = IO_WAIT;
	}
}

static void say_farewell(struct stream *s)
{
	if (stream_is_cut(s)) {
		destroy(s);
		return;
	}
	if (s->farewell == FAREWELL_FLUSH) {
		if (stream_pending(s))
			return;
		s->farewell = FAREWELL_NOTIFY;
	}
	if (s->farewell == FAREWELL_NOTIFY) {
		if (stream_say_goodbye(s) == IO_WAIT)
			return;
		/* Who has ended his side as well needs no half. */
		if (s->end == STREAM_EOF || shutdown(s->fd, SHUT_WR)) {
			destroy(s);
			return;
		}
		s->farewell = FAREWELL_LINGER;
		s->closing_ms = loop_now_ms(s->loop);
	}
	linger(s);
}

/* Everything a stream does happens here: when the socket is ready, or when somebody asked for it
 * (events 0). */
static void turn(struct stream *s, int events)
{
	if (s->farewell == FAREWELL_DONE)
		return;
	s->is_turning = true;
	if (s->phase == PHASE_GO_AHEAD) {
		stream_send(s);
		if (!s->clear_left && !stream_is_cut(s)) {
			s->phase = PHASE_HANDSHAKE;
			s->write_wants = 0;
			events |= UV_READABLE;
		}
	}
	if (s->phase == PHASE_HANDSHAKE && !stream_is_cut(s)) {
		shake_hands(s);
		s->is_unwanted = s->phase == PHASE_HANDSHAKE && s->read_wants == UV_WRITABLE;
		events &= ~UV_READABLE; /* that was the handshake's; what comes behind it is told anew */
	} else if (s->phase != PHASE_GO_AHEAD && s->write_wants & events)
		stream_send(s);
	if (stream_wants_input(s)) {
		uint8_t wants = s->read_wants ? s->read_wants : UV_READABLE;

		if (wants & events || s->has_more)
			stream_fill(s);
		else if (events & UV_READABLE)  /* TLS has to write something of its own first */
			s->is_unwanted = true;
	} else if (events & UV_READABLE) {
		s->is_unwanted = true;
	}
	tell(s);
	stream_settle(s);
	if (!s->write_wants && (s->phase == PHASE_CLEAR || s->phase == PHASE_TLS))
		stream_send(s);
	if (s->events && s->end != STREAM_OPEN)
		tell(s);        /* sending failed just now */
	if (s->events && s->is_full && stream_has_room(s) && !s->is_end_told) {
		s->is_full = false;
		if (s->events->on_writable)
			s->events->on_writable(s, s->user);
		if (stream_pending(s))
			deferred_call(&s->soon);
	}
	if (s->farewell != FAREWELL_NOT_YET && s->farewell != FAREWELL_DONE)
		say_farewell(s);
	s->is_turning = false;
	if (s->farewell != FAREWELL_DONE)
		watch_and_wait(s);
}

/* An error is pending on the socket, and libuv has stopped watching. There may be input before it: read on as long as something
 * comes. */
static void turn_after_error(struct stream *s)
{
	uint64_t was = s->octets_in;
	int e = 0;
	socklen_t len = sizeof(e);

	if (stream_wants_input(s))
		turn(s, UV_READABLE | UV_WRITABLE);
	if (s->octets_in != was || s->farewell == FAREWELL_DONE || stream_is_cut(s))
		return;
	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &e, &len);
	stream_end_with(s, STREAM_RESET, e ? strerrordesc_np(e) : "socket error");
	turn(s, 0);
}

/* take_turn - for what came from the socket. */
static void take_turn(struct stream *s)
{
	int events = s->due;
	bool has_failed = s->has_failed;

	s->due = 0;
	s->has_failed = false;
	if (has_failed)
		turn_after_error(s);
	else
		turn(s, events);
}

static void on_queued(struct deferred *d)
{
	take_turn(CONTAINER_OF(d, struct stream, queued));
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct stream *s = CONTAINER_OF(poll, struct stream, poll);

	if (status < 0) {
		s->polled = 0;
		s->has_failed = true;
	} else {
		s->due |= (uint8_t)events;
	}
	if (s->is_stranger)
		deferred_queue(&s->queued);
	else
		take_turn(s);
}

static void on_soon(struct deferred *d)
{
	turn(CONTAINER_OF(d, struct stream, soon), 0);
}

static void on_timer(struct timer *t)
{
	struct stream *s = CONTAINER_OF(t, struct stream, timer);

	if (next_deadline(s) > loop_now_ms(s->loop)) {
		arm_timer(s);
		return;
	}
	if (s->farewell != FAREWELL_NOT_YET) {
		destroy(s);
		return;
	}
	if (is_shaking_hands(s))
		stream_end_with(s, STREAM_TLS_SLOW, "no handshake in time");
	else if (stream_pending(s))
		stream_end_with(s, STREAM_STALLED, "output not read in time");
	else
		stream_end_with(s, STREAM_IDLE, "silent for too long");
	turn(s, 0);
}

/* Something changed outside of a turn. */
static void ask_for_turn(struct stream *s)
{
	if (!s->is_turning && s->farewell != FAREWELL_DONE)
		deferred_call(&s->soon);
}

/* --- for the owner --- */

static void on_loop_end(struct loop_member *m)
{
	struct stream *s = CONTAINER_OF(m, struct stream, member);

	/* Last words, as far as the kernel takes them at once. */
	if ((s->phase == PHASE_CLEAR || s->phase == PHASE_TLS) && !stream_is_cut(s)) {
		stream_send(s);
		if (!stream_pending(s))
			(void)stream_say_goodbye(s);
	}
	stream_end_with(s, STREAM_RESET, "the process is ending");
	s->is_turning = true;
	tell(s);
	s->is_turning = false;
	s->events = NULL;
	destroy(s);
}

void stream_set_up(int fd, const struct stream_limits *limits)
{
	int on = 1, idle = (int)(limits->keepalive_ms / 1000), interval = 30, count = 4, probes = idle > 0;

	/* Turns are sent as a whole: nothing is gained by waiting for more. Failures cost speed
	 * only. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &probes, sizeof(probes));
	if (!probes)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

static struct netaddr peer_of(int fd)
{
	union {
		struct sockaddr sa;
		struct sockaddr_storage storage;
	} name;
	socklen_t len = sizeof(name);

	return getpeername(fd, &name.sa, &len) ? (struct netaddr){ NET_NONE, 0, { 0 } } : netaddr_from(&name.sa, len);
}

struct fault stream_new_from(struct loop *loop, int fd, const struct stream_limits *limits, const struct netaddr *peer,
			     struct stream **out)
{
	struct stream *s = xcalloc(1, sizeof(*s));
	int e = uv_poll_init(loop_uv(loop), &s->poll, fd);      /* makes it non-blocking, too */

	if (e) {
		close(fd);
		free(s);
		return fault_detail(FAULT_INTERNAL, "socket: %s", uv_strerror(e));
	}
	s->loop = loop;
	s->fd = fd;
	s->limits = limits ? *limits : stream_limits_default;
	s->is_owned = true;
	buf_init(&s->in, SIZE_MAX / 2);
	buf_init(&s->out, SIZE_MAX / 2);
	deferred_init(&s->soon, loop, on_soon);
	deferred_init(&s->queued, loop, on_queued);
	timer_init(&s->timer, loop, on_timer);
	s->quiet_ms = s->progress_ms = loop_now_ms(loop);
	s->peer = peer ? *peer : peer_of(fd);
	if (!s->limits.is_set_up && (s->peer.family == NET_IPV4 || s->peer.family == NET_IPV6))
		stream_set_up(fd, &s->limits);
	s->member.close = on_loop_end;
	loop_join(loop, &s->member);
	ask_for_turn(s);
	*out = s;
	return FAULT_OK;
}

struct fault stream_new(struct loop *loop, int fd, const struct stream_limits *limits,
                        const struct stream_events *events, void *user, struct stream **out)
{
	struct fault f = stream_new_from(loop, fd, limits, NULL, out);

	if (f.kind)
		return f;
	(*out)->events = events;
	(*out)->user = user;
	return f;
}

void stream_set_stranger(struct stream *s, bool is_stranger)
{
	s->is_stranger = is_stranger;
}

void stream_set_events(struct stream *s, const struct stream_events *events, void *user)
{
	s->events = events;
	s->user = user;
	s->is_offer_due = true;
	ask_for_turn(s);
}

void stream_close(struct stream **ps, bool is_graceful)
{
	struct stream *s = *ps;

	if (!s)
		return;
	*ps = NULL;
	s->is_owned = false;
	s->events = NULL;
	if (s->farewell == FAREWELL_DONE) {
		free_when_unused(s);
		return;
	}
	s->input = SV_NONE;
	if (!is_graceful || stream_is_cut(s) || s->phase == PHASE_HANDSHAKE) {
		destroy(s);
		return;
	}
	if (s->phase == PHASE_GO_AHEAD)
		s->phase = PHASE_CLEAR;
	s->farewell = FAREWELL_FLUSH;
	s->closing_ms = loop_now_ms(s->loop);
	ask_for_turn(s);
}

struct sv stream_input(const struct stream *s)
{
	return s->input;
}

void stream_take(struct stream *s, size_t n)
{
	if (n > s->input.len)
		BUG("took %zu of %zu octets", n, s->input.len);
	sv_skip(&s->input, n);
	ask_for_turn(s);
}

bool stream_input_is_full(const struct stream *s)
{
	return s->input.len >= s->limits.input_max;
}

void stream_set_input_max(struct stream *s, uint32_t octets)
{
	s->limits.input_max = octets;
	ask_for_turn(s);
}

void stream_pause(struct stream *s)
{
	s->is_paused = true;
}

void stream_resume(struct stream *s)
{
	if (!s->is_paused)
		return;
	s->is_paused = false;
	s->is_offer_due = true;
	s->quiet_ms = loop_now_ms(s->loop);
	/* From inside a turn, too: what on_input leaves is to be offered again. */
	if (s->farewell != FAREWELL_DONE)
		deferred_call(&s->soon);
}

/* Room for n more, or false. */
static bool may_queue(struct stream *s, size_t n)
{
	return n <= s->limits.output_max && stream_pending(s) <= s->limits.output_max - n;
}

static bool is_writable(const struct stream *s)
{
	return s->farewell == FAREWELL_NOT_YET && !stream_is_cut(s);
}

static void queued(struct stream *s, size_t before)
{
	if (!before)
		s->progress_ms = loop_now_ms(s->loop);
	if (!stream_has_room(s))
		s->is_full = true;
	if (stream_is_choked(s))
		s->is_choked = true;
	ask_for_turn(s);
}

bool stream_write(struct stream *s, struct sv octets)
{
	size_t before = stream_pending(s);

	if (!octets.len || !is_writable(s))
		return true;
	if (!may_queue(s, octets.len))
		return false;
	/* What was sent makes room when it is at least as much as what is moved: linear on the
	 * whole. */
	if (s->out_at && s->out_at >= before) {
		buf_consume(&s->out, s->out_at);
		s->out_at = 0;
	}
	if (!buf_append(&s->out, octets))
		return false;
	queued(s, before);
	return true;
}

bool stream_writef(struct stream *s, const char *format, ...)
{
	struct buf text;
	va_list ap;

	buf_init(&text, s->limits.output_max);
	va_start(ap, format);
	bool fits = buf_vappendf(&text, format, ap);
	va_end(ap);
	fits = fits && stream_write(s, buf_sv(&text));
	buf_done(&text);
	return fits;
}

bool stream_write_buf(struct stream *s, struct buf *b)
{
	if (stream_pending(s) || !is_writable(s)) {
		if (!stream_write(s, buf_sv(b)))
			return false;
		buf_done(b);
		return true;
	}
	if (!may_queue(s, b->len))
		return false;
	if (!b->len) {
		buf_done(b);
		return true;
	}
	stream_drop_output(s);
	s->out.p = b->p;
	s->out.len = b->len;
	s->out.cap = b->cap;
	*b = (struct buf){ .max = b->max };
	queued(s, 0);
	return true;
}

void stream_set_idle_ms(struct stream *s, uint32_t idle_ms)
{
	s->idle_ms = idle_ms;
	if (s->farewell != FAREWELL_DONE)
		arm_timer(s);
}

void stream_note_heard(struct stream *s, _Atomic uint64_t *place)
{
	s->heard_at = place;
}

uint64_t stream_idle_ms(const struct stream *s)
{
	return s->is_paused ? 0 : loop_now_ms(s->loop) - s->quiet_ms;
}

static struct fault may_start_tls(const struct stream *s)
{
	if (s->phase != PHASE_CLEAR)
		return fault(FAULT_INVALID, "TLS is on already");
	if (!is_writable(s) || s->end != STREAM_OPEN)
		return fault(FAULT_UNAVAILABLE, "the connection is ending");
	if (s->input.len)
		return fault(FAULT_DENIED, "octets in clear behind STARTTLS");
	return FAULT_OK;
}

static void await_go_ahead(struct stream *s)
{
	s->phase = PHASE_GO_AHEAD;
	s->clear_left = stream_pending(s);
	s->progress_ms = loop_now_ms(s->loop);
	/* Also from inside a turn, whose handshake part is over. */
	deferred_call(&s->soon);
}

struct fault stream_start_tls(struct stream *s, struct tls_server *server,
			      const struct tls_role *role)
{
	struct fault f = may_start_tls(s);

	if (!f.kind)
		f = tls_conn_new(server, role, s->fd, &s->tls);
	if (!f.kind)
		await_go_ahead(s);
	return f;
}

struct fault stream_start_tls_client(struct stream *s, struct tls_client *client,
				     const struct tls_expect *expect)
{
	struct fault f = may_start_tls(s);

	if (!f.kind)
		f = tls_client_conn_new(client, expect, s->fd, &s->tls);
	if (!f.kind)
		await_go_ahead(s);
	return f;
}

bool stream_is_tls(const struct stream *s)
{
	return s->phase == PHASE_TLS;
}

struct tls_conn *stream_tls(const struct stream *s)
{
	return s->phase == PHASE_TLS ? s->tls : NULL;
}

bool stream_peer_user(const struct stream *s, uid_t *out)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (s->peer.family != NET_UNIX || getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || len != sizeof(peer))
		return false;
	*out = peer.uid;
	return true;
}

const struct netaddr *stream_peer(const struct stream *s)
{
	return &s->peer;
}


const char *stream_end_detail(const struct stream *s)
{
	return s->detail;
}

const char *stream_end_name(enum stream_end why)
{
	switch (why) {
	case STREAM_OPEN:       return "open";
	case STREAM_EOF:        return "eof";
	case STREAM_IDLE:       return "idle";
	case STREAM_RESET:      return "reset";
	case STREAM_STALLED:    return "stalled";
	case STREAM_TLS_FAILED: return "tls-failed";
	case STREAM_TLS_SLOW:   return "tls-slow";
	case STREAM_TRUNCATED:  return "truncated";
	}
	BUG("end %d", why);
}

void stream_octets(const struct stream *s, uint64_t *in, uint64_t *out)
{
	*in = s->octets_in;
	*out = s->octets_out;
}

struct loop *stream_loop(const struct stream *s)
{
	return s->loop;
}

void stream_on_gone(struct stream *s, void (*gone)(void *arg), void *arg)
{
	s->gone = gone;
	s->gone_arg = arg;
}

void *stream_gone_arg(const struct stream *s, void (*gone)(void *arg))
{
	return s->gone == gone ? s->gone_arg : NULL;
}
