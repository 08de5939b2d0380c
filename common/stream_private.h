/* common/stream_private.h - a stream from inside, for stream.c, stream_io.c and listener.c. */
#ifndef COMMON_STREAM_PRIVATE_H
#define COMMON_STREAM_PRIVATE_H

#include <uv.h>

#include "common/stream.h"

/* --- for listener.c --- */

/** stream_new_from - stream_new(), without events so far, of a socket whose peer is known. */
MUST_CHECK struct fault stream_new_from(struct loop *loop, int fd, const struct stream_limits *limits, const struct netaddr *peer,
					struct stream **out);
/** stream_set_stranger - has its peer still to prove who it is? What comes in from strangers waits behind those who did
 *  (deferred_queue()). */
void stream_set_stranger(struct stream *s, bool is_stranger);
/** stream_on_gone - call gone(arg) once, when the stream's socket has been closed. */
void stream_on_gone(struct stream *s, void (*gone)(void *arg), void *arg);
/** stream_gone_arg - arg, if gone is what was set; else NULL. */
void *stream_gone_arg(const struct stream *s, void (*gone)(void *arg));

/* --- the stream --- */

enum phase {
	PHASE_CLEAR,
	PHASE_GO_AHEAD, /* the last octets in clear are on their way; nothing is read */
	PHASE_HANDSHAKE,
	PHASE_TLS,
};

/* What the owner's stream_close() left to do. */
enum farewell {
	FAREWELL_NOT_YET,
	FAREWELL_FLUSH,
	FAREWELL_NOTIFY,        /* TLS close_notify */
	FAREWELL_LINGER,
	FAREWELL_DONE,          /* handles are closing */
};

struct stream {
	uv_poll_t poll;
	struct loop *loop;
	struct loop_member member;
	struct deferred soon;           /* a turn without an event of the socket */
	struct deferred queued;         /* a stranger's turn */
	struct timer timer;             /* the earliest of all deadlines, looked at lazily */
	const struct stream_events *events;     /* NULL: nobody listens (any more) */
	void *user;
	struct stream_limits limits;
	int fd;
	struct tls_conn *tls;

	/* Input that was not taken: in `in`, or, during a turn, in the loop's scratch. */
	struct sv input;
	struct buf in;
	/* Output that was not sent: out from out_at on. */
	struct buf out;
	size_t out_at;
	size_t clear_left;              /* of it, what goes out before the handshake */

	uint64_t octets_in, octets_out;
	_Atomic uint64_t *heard_at;     /* see stream_note_heard() */
	uint64_t quiet_ms;              /* since when nothing was heard, sent or worked on */
	uint64_t progress_ms; /* since when the peer has not taken output, or the handshake runs */
	uint64_t closing_ms;
	size_t lingered;
	uint32_t idle_ms;

	enum phase phase;
	enum farewell farewell;
	enum stream_end end;
	uint8_t polled;                 /* events the socket is watched for */
	uint8_t due;                    /* events that came */
	bool has_failed;                /* so did an error of the socket */
	bool is_stranger;
	uint8_t read_wants, write_wants;        /* what the next attempt waits for */
	bool is_turning;                /* inside turn() */
	bool is_paused;
	bool is_offer_due;              /* on_input has not seen this yet */
	bool is_choked; /* was above output_high: input may wait for being offered */
	bool is_full;                   /* on_writable is owed */
	bool is_end_told;
	bool is_unwanted;               /* readable, and we are not reading */
	bool has_more;                  /* TLS may hold input that the socket does not know of */
	bool is_owned;                  /* stream_close() was not called yet */
	bool is_gone;                   /* the handle is closed */
	char detail[96];
	struct netaddr peer;
	struct stream_packing *packing; /* NULL: octets go as they are */
	void (*gone)(void *arg);
	void *gone_arg;
};

/* --- stream_io.c --- */

enum io { IO_DONE, IO_WAIT, IO_EOF, IO_CUT, IO_RESET, IO_BROKEN };

enum io stream_handshake(struct stream *s);
/** stream_read_raw - from the socket or TLS. IO_DONE: at least one octet was read. */
enum io stream_read_raw(struct stream *s, char *p, size_t n, size_t *done);
/** stream_say_goodbye - TLS close_notify; nothing in clear. */
enum io stream_say_goodbye(struct stream *s);
/** stream_end_with - note why it ended; the first reason counts, but a cut overrules a peaceful
 *  end. */
void stream_end_with(struct stream *s, enum stream_end why, const char *detail);
/** stream_is_cut - ended without peace: nothing can be sent any more. */
bool stream_is_cut(const struct stream *s);
void stream_drop_output(struct stream *s);
bool stream_is_choked(const struct stream *s);
/** stream_send - send what the kernel takes, and see what that makes possible again. */
void stream_send(struct stream *s);
bool stream_wants_input(const struct stream *s);
/** stream_fill - read once, as much as limit and scratch allow. Input begins in the loop's scratch,
 *  which costs no memory if the session takes all of it; what it leaves is kept by stream_settle().
 *  */
void stream_fill(struct stream *s);
/** stream_settle - the turn is over: keep what the session left, in no more memory than it needs.
 *  */
void stream_settle(struct stream *s);
/** stream_scratch - LOOP_SCRATCH octets that are anybody's until the callback returns. */
char *stream_scratch(struct loop *loop);

/* --- stream_deflate.c --- */

/** stream_unpack_turn - a new turn may read its share of packed octets. */
void stream_unpack_turn(struct stream *s);
/** stream_unpack - like stream_read_raw(), unpacked. */
enum io stream_unpack(struct stream *s, char *p, size_t n, size_t *done);
bool stream_unpack_has_more(const struct stream *s);
/** stream_packed_pending - packed octets that were not sent. */
size_t stream_packed_pending(const struct stream *s);
/** stream_packed_output - what is to be sent next; packs some of the output when it is its turn. */
struct sv stream_packed_output(struct stream *s);
/** stream_packed_sent - so many octets of it went. */
void stream_packed_sent(struct stream *s, size_t n);
/** stream_packed_drop - forget packed output. */
void stream_packed_drop(struct stream *s);
void stream_packing_free(struct stream *s);

#endif
