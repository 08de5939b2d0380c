/* A stream's way down: octets from and to the socket or TLS, and the buffers they lie in. */
#include "common/stream.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>

#include <uv.h>

#include "common/loop_private.h"
#include "common/memory.h"
#include "common/stream_private.h"
#include "common/tls.h"

#include "common/banned.h"

#define SHORT_RECORD 4096
#define SMALL_INPUT 4096        /* so much leftover is copied rather than kept apart */

/* --- the way down --- */

/* What changes octets on it (COMPRESS, stream_deflate.c) stands between stream_read_raw() and write_some()
 * on one side and the buffers on the other: nothing else touches the socket. */

static enum io from_tls(struct stream *s, enum tls_io result, uint8_t *wants)
{
	switch (result) {
	case TLS_DONE:       return IO_DONE;
	case TLS_WANT_READ:  *wants = UV_READABLE; return IO_WAIT;
	case TLS_WANT_WRITE: *wants = UV_WRITABLE; return IO_WAIT;
	case TLS_CLOSED:     return IO_EOF;
	case TLS_CUT:
		snprintf(s->detail, sizeof(s->detail), "no close_notify");
		return IO_CUT;
	case TLS_RESET:
	case TLS_FAILED:
		snprintf(s->detail, sizeof(s->detail), "%s", tls_error(s->tls));
		return result == TLS_RESET ? IO_RESET : IO_BROKEN;
	}
	BUG("TLS result %d", result);
}

static enum io from_errno(struct stream *s, int e, uint8_t event, uint8_t *wants)
{
	if (e == EAGAIN || e == EWOULDBLOCK) {
		*wants = event;
		return IO_WAIT;
	}
	snprintf(s->detail, sizeof(s->detail), "%s", strerrordesc_np(e));
	return IO_RESET;
}

enum io stream_read_raw(struct stream *s, char *p, size_t n, size_t *done)
{
	ssize_t got;

	s->read_wants = UV_READABLE;
	*done = 0;
	if (s->phase == PHASE_TLS)
		return from_tls(s, tls_read(s->tls, p, n, done), &s->read_wants);
	do
		got = recv(s->fd, p, n, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return from_errno(s, errno, UV_READABLE, &s->read_wants);
	*done = (size_t)got;
	return got ? IO_DONE : IO_EOF;
}

static enum io read_some(struct stream *s, char *p, size_t n, size_t *done)
{
	return s->packing ? stream_unpack(s, p, n, done) : stream_read_raw(s, p, n, done);
}

static enum io write_some(struct stream *s, const char *p, size_t n, size_t *done)
{
	ssize_t put;

	s->write_wants = UV_WRITABLE;
	*done = 0;
	if (s->phase == PHASE_TLS)
		return from_tls(s, tls_write(s->tls, p, n, done), &s->write_wants);
	do
		put = send(s->fd, p, n, MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	if (put < 0)
		return from_errno(s, errno, UV_WRITABLE, &s->write_wants);
	*done = (size_t)put;
	return IO_DONE;
}

enum io stream_handshake(struct stream *s)
{
	return from_tls(s, tls_handshake(s->tls), &s->read_wants);
}

enum io stream_say_goodbye(struct stream *s)
{
	return s->phase == PHASE_TLS ? from_tls(s, tls_say_goodbye(s->tls), &s->write_wants)
				     : IO_DONE;
}

void stream_drop_output(struct stream *s)
{
	buf_done(&s->out);
	s->out_at = s->clear_left = 0;
	stream_packed_drop(s);
}

bool stream_is_cut(const struct stream *s)
{
	return s->end != STREAM_OPEN && s->end != STREAM_EOF && s->end != STREAM_IDLE;
}

void stream_end_with(struct stream *s, enum stream_end why, const char *detail)
{
	if (s->end != STREAM_OPEN && !(s->end == STREAM_EOF || s->end == STREAM_IDLE))
		return;
	s->end = why;
	if (detail)
		snprintf(s->detail, sizeof(s->detail), "%s", detail);
	if (stream_is_cut(s))
		stream_drop_output(s);
}

static void end_by_io(struct stream *s, enum io result)
{
	switch (result) {
	case IO_EOF:    stream_end_with(s, STREAM_EOF, "end of input"); break;
	case IO_CUT:    stream_end_with(s, STREAM_TRUNCATED, NULL); break;
	case IO_RESET:  stream_end_with(s, STREAM_RESET, NULL); break;
	case IO_BROKEN: stream_end_with(s, STREAM_TLS_FAILED, NULL); break;
	case IO_DONE:
	case IO_WAIT:   break;
	}
}

/* --- output --- */

bool stream_is_choked(const struct stream *s)
{
	return stream_pending(s) > s->limits.output_high;
}

size_t stream_pending(const struct stream *s)
{
	return s->out.len - s->out_at + stream_packed_pending(s);
}

bool stream_has_room(const struct stream *s)
{
	return stream_pending(s) <= s->limits.output_low;
}

/* next_output - what is to be sent now. */
static struct sv next_output(struct stream *s)
{
	if (s->packing)
		return stream_packed_output(s);
	return sv_sub(buf_sv(&s->out), s->out_at, s->phase == PHASE_GO_AHEAD ? s->clear_left : SIZE_MAX);
}

/* sent - so much of it went. */
static void sent(struct stream *s, size_t n)
{
	if (s->packing) {
		stream_packed_sent(s, n);
		return;
	}
	s->out_at += n;
	s->octets_out += n;
	if (s->clear_left)
		s->clear_left -= n;
}

/* Send what the kernel takes. */
static void flush(struct stream *s)
{
	struct sv todo;

	while ((todo = next_output(s)).len) {
		size_t done;
		enum io result = write_some(s, todo.p, todo.len, &done);

		if (result != IO_DONE) {
			end_by_io(s, result);
			return;
		}
		sent(s, done);
		s->progress_ms = s->quiet_ms = loop_now_ms(s->loop);
	}
	s->write_wants = 0;
	if (!stream_pending(s))
		stream_drop_output(s);
}

void stream_send(struct stream *s)
{
	flush(s);
	if (s->is_choked && !stream_is_choked(s)) {
		s->is_choked = false;
		s->is_offer_due = true;
		if (s->farewell != FAREWELL_DONE)
			deferred_call(&s->soon);
	}
}

/* --- input --- */

bool stream_wants_input(const struct stream *s)
{
	return s->events && s->end == STREAM_OPEN && !s->is_paused && !stream_is_choked(s) &&
	       (s->phase == PHASE_CLEAR || s->phase == PHASE_TLS) &&
	       s->input.len < s->limits.input_max;
}

char *stream_scratch(struct loop *loop)
{
	if (!loop->scratch)
		loop->scratch = xmalloc(LOOP_SCRATCH);
	return loop->scratch;
}

void stream_fill(struct stream *s)
{
	size_t have = s->input.len, room = s->limits.input_max - have;
	enum io result = IO_DONE;
	char *at;

	if (have <= SMALL_INPUT) {
		at = stream_scratch(s->loop);
		if (have)
			memcpy(at, s->input.p, have);
		buf_done(&s->in);
		if (room > LOOP_SCRATCH - have)
			room = LOOP_SCRATCH - have;
		s->input = sv_from(at, have);
		at += have;
	} else {
		/* Little by little behind what is there: the buffer doubles, so this is linear. */
		buf_consume(&s->in, (size_t)(s->input.p - s->in.p));
		if (room > LOOP_SCRATCH / 4)
			room = LOOP_SCRATCH / 4;
		if (!buf_reserve(&s->in, room))
			BUG("no room for input");
		s->input = buf_sv(&s->in);
		at = s->in.p + have;
	}
	stream_unpack_turn(s);
	while (room && result == IO_DONE) {
		size_t done;

		result = read_some(s, at, room, &done);
		at += done;
		room -= done;
		s->input.len += done;
		s->octets_in += done;
		if (s->phase != PHASE_TLS && !s->packing)
			break; /* one call gives all there is; TLS gives records, packed input pieces */
		/* A short record with nothing behind it is the last one for now: to ask again would be a system call that
		 * says so. If not, the socket is readable still. */
		if (result == IO_DONE && !s->packing && done < SHORT_RECORD && !tls_has_more(s->tls))
			result = IO_WAIT;
	}
	/* Octets inside TLS, or packed ones, wake nobody: go on until there are none. */
	s->has_more = ((s->phase == PHASE_TLS || s->packing) && result == IO_DONE) ||
		      stream_unpack_has_more(s);
	if (have > SMALL_INPUT)
		s->in.len = s->input.len;
	if (s->input.len > have) {
		s->is_offer_due = true;
		s->quiet_ms = loop_now_ms(s->loop);
		if (s->heard_at)
			atomic_store_explicit(s->heard_at, s->quiet_ms, memory_order_relaxed);
	}
	end_by_io(s, result);
}

void stream_settle(struct stream *s)
{
	bool is_kept = s->in.p && s->input.p >= s->in.p && s->input.p <= s->in.p + s->in.len;

	if (!s->input.len) {
		buf_done(&s->in);
		s->input = SV_NONE;
		return;
	}
	if (is_kept && s->input.len > s->in.cap / 4)
		return;
	struct buf kept;

	buf_init(&kept, SIZE_MAX / 2);
	if (!buf_append(&kept, s->input))
		BUG("no room for input");
	buf_done(&s->in);
	s->in = kept;
	s->input = buf_sv(&s->in);
}
