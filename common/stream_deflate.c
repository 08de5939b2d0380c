/* A stream's compression (RFC 4978): it stands between the session's octets and TLS or the socket. What
 * was read is unpacked as far as the session's limits have room, so a bomb goes off in pieces that are
 * no larger than any other input; what is to be sent is packed a piece at a time when it is its turn. */
#include <stdio.h>
#include <stdlib.h>

#include "common/deflate.h"
#include "common/memory.h"
#include "common/stream_private.h"

#include "common/banned.h"

#define PACKED_READ ((size_t)4 << 10)   /* packed octets read at once */
#define PACKED_TURN ((size_t)64 << 10)  /* ... and in a turn: what unpacks to nothing must not hold up others */
#define PACK_AT_ONCE ((size_t)64 << 10)

struct stream_packing {
	struct deflate *deflate;
	struct buf in;                  /* packed octets, from in_at on not unpacked */
	size_t in_at;
	struct buf out;                 /* packed octets, from out_at on not sent */
	size_t out_at;
	size_t plain_left;              /* of the stream's output, what still goes as it is */
	size_t turn_left;
	bool has_more;                  /* there may be input without the socket having any */
	bool is_resting;
};

void stream_compress(struct stream *s)
{
	struct stream_packing *z = xcalloc(1, sizeof(*z));

	if (s->packing)
		BUG("compression twice");
	z->deflate = deflate_new();
	buf_init(&z->in, SIZE_MAX / 2);
	buf_init(&z->out, SIZE_MAX / 2);
	z->plain_left = stream_pending(s);
	/* What came behind the command is packed already: clients do not always wait. */
	if (!buf_append(&z->in, s->input))
		BUG("no room for input");
	s->octets_in -= s->input.len;
	s->input = SV_NONE;
	s->packing = z;
	s->has_more = true;
	if (s->farewell != FAREWELL_DONE)
		deferred_call(&s->soon);
}

void stream_rest(struct stream *s, bool is_resting)
{
	struct stream_packing *z = s->packing;

	if (!z)
		return;
	z->is_resting = is_resting;
	if (is_resting && !stream_pending(s))
		deflate_rest(z->deflate);
}

void stream_packing_free(struct stream *s)
{
	struct stream_packing *z = s->packing;

	if (!z)
		return;
	deflate_free(&z->deflate);
	buf_done(&z->in);
	buf_done(&z->out);
	free(z);
	s->packing = NULL;
}

/* ---- input ---- */

void stream_unpack_turn(struct stream *s)
{
	if (s->packing)
		s->packing->turn_left = PACKED_TURN;
}

bool stream_unpack_has_more(const struct stream *s)
{
	return s->packing && s->packing->has_more;
}

/* refill - the next packed octets, when all that came is unpacked. */
static enum io refill(struct stream *s)
{
	struct stream_packing *z = s->packing;
	size_t got = 0;

	buf_clear(&z->in);
	z->in_at = 0;
	if (!z->turn_left) {
		z->has_more = true;
		return IO_WAIT;
	}
	if (!buf_reserve(&z->in, PACKED_READ))
		BUG("no room for input");
	enum io result = stream_read_raw(s, z->in.p, PACKED_READ, &got);

	if (result != IO_DONE)
		buf_done(&z->in);       /* an idle stream holds no buffers */
	z->in.len = got;
	z->turn_left -= got < z->turn_left ? got : z->turn_left;
	return result;
}

enum io stream_unpack(struct stream *s, char *p, size_t n, size_t *done)
{
	struct stream_packing *z = s->packing;
	enum io result;

	for (;;) {
		struct sv in = sv_sub(buf_sv(&z->in), z->in_at, SIZE_MAX);
		enum deflate_result unpacked = deflate_unpack(z->deflate, &in, p, n, done);

		z->in_at = z->in.len - in.len;
		z->has_more = *done == n || in.len;
		if (*done)
			return IO_DONE;
		if (unpacked == DEFLATE_END)
			return IO_EOF;
		if (unpacked == DEFLATE_BROKEN) {
			snprintf(s->detail, sizeof(s->detail), "compressed input is damaged");
			return IO_RESET;
		}
		result = refill(s);
		if (result != IO_DONE)
			return result;
	}
}

/* ---- output ---- */

size_t stream_packed_pending(const struct stream *s)
{
	return s->packing ? s->packing->out.len - s->packing->out_at : 0;
}

struct sv stream_packed_output(struct stream *s)
{
	struct stream_packing *z = s->packing;
	struct sv plain = sv_sub(buf_sv(&s->out), s->out_at, SIZE_MAX);

	if (z->plain_left)
		return sv_sub(plain, 0, z->plain_left);
	if (z->out_at == z->out.len && plain.len) {
		plain = sv_sub(plain, 0, PACK_AT_ONCE);
		buf_clear(&z->out);
		z->out_at = 0;
		if (!deflate_pack(z->deflate, plain, &z->out))
			BUG("no room for output");
		s->out_at += plain.len;
		s->octets_out += plain.len;
	}
	return sv_sub(buf_sv(&z->out), z->out_at, SIZE_MAX);
}

void stream_packed_sent(struct stream *s, size_t n)
{
	struct stream_packing *z = s->packing;

	if (z->plain_left) {
		z->plain_left -= n;
		s->out_at += n;
		s->octets_out += n;
	} else {
		z->out_at += n;
	}
}

void stream_packed_drop(struct stream *s)
{
	struct stream_packing *z = s->packing;

	if (!z)
		return;
	buf_done(&z->out);
	z->out_at = z->plain_left = 0;
	if (z->is_resting)
		deflate_rest(z->deflate);
}
