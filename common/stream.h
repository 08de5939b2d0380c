/* common/stream.h - a connection: bytes in, bytes out, in clear or over TLS, with every limit and
 * deadline it needs.
 *
 * A stream lives on the loop and belongs to its thread. It takes a connected, non-blocking socket
 * (TCP, unix) and reads into a bounded input buffer from which the session takes what it can use;
 * it copies what the session writes into an output queue and sends that once per turn of the loop,
 * so a reply of many lines is one packet. An idle stream holds no buffers at all.
 *
 * The peer is hostile and slow:
 *  - input is never longer than the limit the session set for its present state;
 *  - the session is not called while it is paused (a job runs), nor while more than output_high
 *    octets wait for a peer that does not read; then nothing is read from the socket either, and
 *    the kernel slows the peer down;
 *  - one turn reads at most 64 KiB, then others have their turn;
 *  - a handshake, unread output and silence each have a deadline.
 *
 * Callbacks come from the loop, never from inside a call of this header, and never after
 * stream_close(). A callback may close its stream. */
#ifndef COMMON_STREAM_H
#define COMMON_STREAM_H

#include "common/bytes.h"
#include "common/fault.h"
#include "common/loop.h"
#include "common/netaddr.h"

struct stream;
struct tls_server;
struct tls_client;
struct tls_expect;
struct tls_role;
struct tls_conn;

/* Why a stream ended. */
enum stream_end {
	STREAM_OPEN = 0,
	STREAM_EOF,        /* the peer sends no more; it may still read: answer, then close */
	STREAM_IDLE,       /* the peer was silent for too long: say goodbye, then close */
	STREAM_RESET,      /* the connection is gone */
	STREAM_STALLED,    /* the peer did not read its output for too long */
	STREAM_TLS_FAILED, /* handshake refused, or the peer broke the TLS protocol */
	STREAM_TLS_SLOW,   /* handshake not done in time */
	STREAM_TRUNCATED,  /* TLS ended without close_notify (RFC 8446 §6.1): input was cut off */
};

struct stream_events {
	/* There is input (stream_input) that was not there at the last call, or stream_resume() was
	 * called, or the output drained below output_high. Take what can be used; the rest is
	 * offered again with the next octets. */
	void (*on_input)(struct stream *s, void *user);
	/* stream_has_room() became true again. May be NULL. */
	void (*on_writable)(struct stream *s, void *user);
	/* The handshake is done: stream_tls() has the facts. May be NULL. */
	void (*on_tls)(struct stream *s, void *user);
	/* No more input will come, and all that came was offered to on_input before (with
	 * STREAM_EOF and STREAM_IDLE only when not paused). Called once; then no other callback.
	 * After STREAM_EOF and STREAM_IDLE output still reaches the peer; after the others it is
	 * dropped. The session calls stream_close(), now or later. */
	void (*on_end)(struct stream *s, enum stream_end why, void *user);
};

struct stream_limits {
	uint32_t input_max;             /* octets kept of what the session did not take yet */
	uint32_t output_low;            /* stream_has_room() holds at or below it */
	uint32_t output_high;           /* above it nothing more is read from the peer */
	uint32_t output_max;            /* stream_write() refuses beyond it */
	uint32_t handshake_ms;
	uint32_t stall_ms;              /* longest time without the peer taking any output */
	uint32_t keepalive_ms;          /* TCP probes after so long without traffic; 0 none */
	bool is_set_up;                 /* the listening socket had stream_set_up(): its connections inherit that */
};

/** stream_set_up - what stream_new() sets on a TCP socket: no delay, and probes. */
void stream_set_up(int fd, const struct stream_limits *limits);

/* 8 KiB, 32 KiB, 128 KiB, 1 MiB, 30 s, 5 min, 2 min */
extern const struct stream_limits stream_limits_default;

/**
 * stream_new - take over a connected socket.
 * @fd:     made non-blocking, TCP_NODELAY and keepalive set; closed by the stream, also when this
 *          fails
 * @limits: NULL for the defaults; copied
 * @events: must outlive the stream (a static table)
 * Reading begins in the next turn. Errors: FAULT_INTERNAL.
 */
MUST_CHECK struct fault stream_new(struct loop *loop, int fd, const struct stream_limits *limits,
                                   const struct stream_events *events, void *user,
                                   struct stream **out);
/** stream_set_events - another owner takes over (the door hands the stream to the room). */
void stream_set_events(struct stream *s, const struct stream_events *events, void *user);
/** stream_close - no callback comes any more, *s is NULL. NULL is fine. is_graceful: what was
 *  written is still sent (as long as the peer keeps taking it, see stall_ms, at most 60 s in all),
 *  TLS says close_notify, and input that is on its way is thrown away for up to 2 s so that the
 *  last reply is not lost to a reset. Otherwise the connection ends at once. */
void stream_close(struct stream **s, bool is_graceful);

/* --- input --- */

/** stream_input - what was read and not taken yet; valid until the callback returns or
 *  stream_take() is called. */
struct sv stream_input(const struct stream *s);
/** stream_take - drop the first n octets of stream_input(). */
void stream_take(struct stream *s, size_t n);
/** stream_input_is_full - input_max octets are there and no more are read until some are taken: a
 *  line without end. */
bool stream_input_is_full(const struct stream *s);
/** stream_set_input_max - the limit for the session's present state. What is already there stays.
 *  */
void stream_set_input_max(struct stream *s, uint32_t octets);
/** stream_pause - a job runs: do not read, do not call on_input; the idle clock stands still. */
void stream_pause(struct stream *s);
/** stream_resume - on_input comes in the next turn if there is input left, without waiting for
 *  more. */
void stream_resume(struct stream *s);
/** stream_input_is_ready - input is there and on_input would be called with it: not paused, output
 *  not above high water, not ended by an error. The condition of a loop that handles several
 *  pipelined commands in one on_input. */
bool stream_input_is_ready(const struct stream *s);

/* --- output --- */

/** stream_write - queue a copy; sent at the end of this turn. False: output_max would be passed and
 *  nothing was queued (the session should end). After the connection is gone the octets are dropped
 *  and the answer is true. */
bool stream_write(struct stream *s, struct sv octets);
bool stream_writef(struct stream *s, const char *format, ...) PRINTF_LIKE(2, 3);
/** stream_write_buf - like stream_write, but takes b's memory instead of copying where it can; b is
 *  empty afterwards unless the answer is false. For the 64 KiB chunks of a job. */
bool stream_write_buf(struct stream *s, struct buf *b);
/** stream_pending - octets queued and not yet taken by the kernel. */
size_t stream_pending(const struct stream *s);
/** stream_has_room - at most output_low octets pending: go on with the next chunk; otherwise
 *  on_writable will come. */
bool stream_has_room(const struct stream *s);

/* --- deadlines --- */

/** stream_set_idle_ms - on_end(STREAM_IDLE) after so long without input, output under way, or a
 *  pause; 0 never. Costs nothing to keep alive: input only notes the time. */
void stream_set_idle_ms(struct stream *s, uint32_t idle_ms);
/** stream_note_heard - at each input write the time (monotonic, milliseconds) there, which others may read; NULL: no more. */
void stream_note_heard(struct stream *s, _Atomic uint64_t *place);
/** stream_idle_ms - how long the peer has been silent; 0 while paused. */
uint64_t stream_idle_ms(const struct stream *s);

/* --- TLS --- */

/**
 * stream_start_tls - shake hands as the server. Right after stream_new() for implicit TLS; for
 * STARTTLS from on_input, after taking the command and writing the go-ahead, which is still sent in
 * clear. on_tls follows, or on_end. What is written meanwhile is sent encrypted, after the
 * handshake.
 * @role: which listener this is (ALPN, ticket separation); must outlive the stream
 * Errors: FAULT_DENIED: octets wait behind STARTTLS, sent in clear by the client or put there by a
 * man in the middle (RFC 3207 §4.2, CVE-2021-33515): close the stream. FAULT_INVALID: TLS is on
 * already. FAULT_INTERNAL.
 */
MUST_CHECK struct fault stream_start_tls(struct stream *s, struct tls_server *server,
                                         const struct tls_role *role);
/**
 * stream_start_tls_client - the same as the client: right after stream_new() for implicit TLS; for
 * STARTTLS from on_input, after taking the server's go-ahead. What a man in the middle put behind
 * the go-ahead is FAULT_DENIED (RFC 3207 §6).
 * @expect: borrowed for the call; when the other side does not meet it, on_end(STREAM_TLS_FAILED)
 */
MUST_CHECK struct fault stream_start_tls_client(struct stream *s, struct tls_client *client,
						const struct tls_expect *expect);
/** stream_is_tls - the handshake is done. */
bool stream_is_tls(const struct stream *s);
/** stream_tls - the connection's TLS, for its facts and channel bindings (common/tls.h); NULL
 *  before the handshake is done. */
struct tls_conn *stream_tls(const struct stream *s);

/* --- compression --- */

/** stream_compress - RFC 4978: pack what is written from now on, unpack what comes from now on. What
 *  was written before still goes as it is; input that was not taken yet is packed input. Limits of
 *  input hold for the unpacked octets. Once. */
void stream_compress(struct stream *s);
/** stream_rest - a long silence is expected (IDLE), or is over: meanwhile no memory is kept that only
 *  serves to pack better. Nothing to do without compression. */
void stream_rest(struct stream *s, bool is_resting);

/* --- facts --- */

const struct netaddr *stream_peer(const struct stream *s);
/** stream_peer_user - who connected to a unix socket, as the kernel says (SO_PEERCRED, unix(7)). False: it does not. */
bool stream_peer_user(const struct stream *s, uid_t *out);
/** stream_end_detail - for the log: what exactly ended it ("Connection reset by peer", OpenSSL's
 *  reason). Never NULL. */
const char *stream_end_detail(const struct stream *s);
/** stream_end_name - "eof", "idle", ...: one word for logs. */
const char *stream_end_name(enum stream_end why);
/** stream_octets - octets of the protocol since the start, without TLS's own, unpacked. */
void stream_octets(const struct stream *s, uint64_t *in, uint64_t *out);
struct loop *stream_loop(const struct stream *s);

#endif
