/* imapd/binary.c - see binary.h. */
#include "imapd/binary.h"

#include "common/banned.h"

#define HELD_MAX 64     /* what the decoder may give back on top of what it is fed */

void binary_begin(struct binary *b, enum transfer encoding, uint64_t from, uint64_t count)
{
	binary_done(b);
	*b = (struct binary){ .from = from,
			      .end = count > UINT64_MAX - from ? UINT64_MAX : from + count };
	buf_init(&b->piece, SIZE_MAX / 2);
	transfer_decoder_init(&b->decoder, encoding);
}

void binary_done(struct binary *b)
{
	buf_done(&b->piece);
}

/* give - what was decoded now: count it, and pass on what is asked for. */
static bool give(struct binary *b, struct buf *out)
{
	struct sv piece = buf_sv(&b->piece);
	uint64_t start = b->size, from = b->from, end = b->end;

	b->size += piece.len;
	if (from < start)
		from = start;
	if (end > b->size)
		end = b->size;
	if (from >= end)
		return true;
	piece = sv_sub(piece, (size_t)(from - start), (size_t)(end - from));
	b->given += piece.len;
	b->has_nul = b->has_nul || sv_find(piece, '\0') != SIZE_MAX;
	return !out || buf_append(out, piece);
}

bool binary_feed(struct binary *b, struct sv raw, struct buf *out)
{
	buf_clear(&b->piece);
	if (!buf_reserve(&b->piece, raw.len + HELD_MAX) ||
	    !transfer_decoder_feed(&b->decoder, raw, &b->piece))
		return false;
	return give(b, out);
}

bool binary_finish(struct binary *b, struct buf *out)
{
	buf_clear(&b->piece);
	return transfer_decoder_finish(&b->decoder, &b->piece) && give(b, out);
}
