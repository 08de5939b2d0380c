/* common/deflate.c - see deflate.h. */
#include "common/deflate.h"

#include <stdlib.h>

#include <zlib.h>

#include "common/fault.h"
#include "common/memory.h"

#include "common/banned.h"

#define RAW_WINDOW (-MAX_WBITS)         /* no zlib header: RFC 4978 §4 */
#define PACK_LEVEL 3                    /* replies shrink to a third; higher ones cost the loop too much */
#define PACK_MEMORY 5                   /* zlib's default is 8, and twice as large */
#define PACK_PIECE ((size_t)16 << 10)

struct deflate {
	z_stream in, out;
	bool is_packing;                /* out is set up */
	bool is_over;                   /* in has ended or is broken */
	enum deflate_result why;
};

static void *take_memory(void *opaque, unsigned count, unsigned size)
{
	(void)opaque;
	return xcalloc(count, size);
}

static void give_memory(void *opaque, void *p)
{
	(void)opaque;
	free(p);
}

struct deflate *deflate_new(void)
{
	struct deflate *d = xcalloc(1, sizeof(*d));

	d->in.zalloc = d->out.zalloc = take_memory;
	d->in.zfree = d->out.zfree = give_memory;
	if (inflateInit2(&d->in, RAW_WINDOW) != Z_OK)
		BUG("inflateInit2");
	return d;
}

void deflate_free(struct deflate **d)
{
	if (!*d)
		return;
	deflate_rest(*d);
	inflateEnd(&(*d)->in);
	free(*d);
	*d = NULL;
}

void deflate_rest(struct deflate *d)
{
	if (d->is_packing)
		deflateEnd(&d->out);
	d->is_packing = false;
}

enum deflate_result deflate_unpack(struct deflate *d, struct sv *in, char *p, size_t n, size_t *done)
{
	uInt given = in->len > UINT32_MAX ? UINT32_MAX : (uInt)in->len;
	uInt room = n > UINT32_MAX ? UINT32_MAX : (uInt)n;

	*done = 0;
	if (d->is_over || !n)
		return d->is_over ? d->why : DEFLATE_FINE;
	d->in.next_in = (Bytef *)(uintptr_t)in->p;
	d->in.avail_in = given;
	d->in.next_out = (Bytef *)p;
	d->in.avail_out = room;
	int result = inflate(&d->in, Z_SYNC_FLUSH);

	sv_skip(in, given - d->in.avail_in);
	*done = room - d->in.avail_out;
	/* Z_BUF_ERROR: it could do nothing without more input, which is no error. */
	if (result == Z_OK || result == Z_BUF_ERROR)
		return DEFLATE_FINE;
	d->is_over = true;
	d->why = result == Z_STREAM_END ? DEFLATE_END : DEFLATE_BROKEN;
	return *done ? DEFLATE_FINE : d->why;
}

bool deflate_pack(struct deflate *d, struct sv octets, struct buf *out)
{
	if (!d->is_packing &&
	    deflateInit2(&d->out, PACK_LEVEL, Z_DEFLATED, RAW_WINDOW, PACK_MEMORY, Z_DEFAULT_STRATEGY) !=
		    Z_OK)
		BUG("deflateInit2");
	d->is_packing = true;
	if (octets.len > UINT32_MAX)
		BUG("%zu octets to pack at once", octets.len);
	d->out.next_in = (Bytef *)(uintptr_t)octets.p;
	d->out.avail_in = (uInt)octets.len;
	do {
		if (!buf_reserve(out, PACK_PIECE))
			return false;
		d->out.next_out = (Bytef *)out->p + out->len;
		d->out.avail_out = PACK_PIECE;
		if (deflate(&d->out, Z_SYNC_FLUSH) == Z_STREAM_ERROR)
			BUG("deflate");
		out->len += PACK_PIECE - d->out.avail_out;
	} while (!d->out.avail_out);
	return true;
}

bool gzip_pack(struct sv octets, struct buf *out)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)octets.p, .avail_in = (uInt)octets.len };
	size_t before = out->len;
	uLong room;
	bool fits;

	if (octets.len > UINT32_MAX / 2)
		return false;
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, PACK_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
		BUG("zlib: no memory");
	room = deflateBound(&z, (uLong)octets.len);
	fits = buf_reserve(out, room);
	if (fits) {
		z.next_out = (Bytef *)(out->p + out->len);
		z.avail_out = (uInt)room;
		fits = deflate(&z, Z_FINISH) == Z_STREAM_END;
		out->len = fits ? before + (size_t)z.total_out : before;
	}
	deflateEnd(&z);
	return fits;
}

/* unpack_all - one stream to its end; windowBits says what is around it. */
static bool unpack_all(struct sv octets, int window, struct buf *out)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)octets.p, .avail_in = (uInt)octets.len };
	size_t before = out->len;
	int result = Z_OK;

	if (octets.len > UINT32_MAX / 2 || inflateInit2(&z, window) != Z_OK)
		return false;
	while (result == Z_OK) {
		size_t room = out->max - out->len < PACK_PIECE ? out->max - out->len : PACK_PIECE;

		if (!room || !buf_reserve(out, room))
			break;          /* more than there may be: a bomb stops here */
		z.next_out = (Bytef *)(out->p + out->len);
		z.avail_out = (uInt)room;
		result = inflate(&z, Z_NO_FLUSH);
		out->len += room - z.avail_out;
	}
	inflateEnd(&z);
	if (result != Z_STREAM_END)
		out->len = before;
	return result == Z_STREAM_END;
}

bool gzip_unpack(struct sv octets, struct buf *out)
{
	return unpack_all(octets, MAX_WBITS + 16, out);
}

static uint32_t little_endian(const char *p, size_t n)
{
	uint32_t value = 0;

	while (n--)
		value = value << 8 | (unsigned char)p[n];
	return value;
}

/* The local header of the first file: signature, version, flags, method, time, CRC, both sizes, lengths of name and extra. */
bool zip_unpack_first(struct sv octets, struct buf *out)
{
	uint32_t method, size, skip;

	if (octets.len < 30 || !sv_starts(octets, SV("PK\3\4")))
		return false;
	method = little_endian(octets.p + 8, 2);
	size = little_endian(octets.p + 18, 4);
	skip = 30 + little_endian(octets.p + 26, 2) + little_endian(octets.p + 28, 2);
	if (skip > octets.len || little_endian(octets.p + 6, 2) & 1)    /* encrypted */
		return false;
	sv_skip(&octets, skip);
	if (method == 8)
		return unpack_all(octets, RAW_WINDOW, out);     /* the stream knows its end; the size may stand behind it */
	return !method && size <= octets.len && buf_append(out, sv_sub(octets, 0, size));
}
