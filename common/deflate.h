/* common/deflate.h - DEFLATE (RFC 1951) as a connection uses it: two endless streams, one packed,
 * one unpacked, which the peer can read up to where it was flushed (RFC 4978). The one keeper of zlib.
 *
 * Besides whole files: gzip (RFC 1952) and ZIP.
 *
 * Memory is bounded whatever the peer sends: unpacking fills what the caller has room for and keeps
 * the rest packed, so a few octets that stand for gigabytes cost a window of 32 KiB and a call per
 * piece. Packing costs 144 KiB while it is in use; deflate_rest() gives them back. Pure: any thread,
 * one at a time. */
#ifndef COMMON_DEFLATE_H
#define COMMON_DEFLATE_H

#include "common/bytes.h"

struct deflate;

struct deflate *deflate_new(void);
/** deflate_free - NULL is fine. */
void deflate_free(struct deflate **d);

enum deflate_result {
	DEFLATE_FINE = 0,
	DEFLATE_END,            /* the peer ended its stream: nothing may follow */
	DEFLATE_BROKEN,         /* not DEFLATE: nothing more can be understood */
};
/**
 * deflate_unpack - take packed octets off *in and put at most n unpacked ones to p.
 * @done: how many; if n, there may be more without further input
 * Whatever can be unpacked is, however the peer flushed it.
 */
enum deflate_result deflate_unpack(struct deflate *d, struct sv *in, char *p, size_t n, size_t *done);
/** deflate_pack - append the packed form of octets, up to a point from which the peer can read all of
 *  them. False: out is full, and the stream is of no more use. */
bool deflate_pack(struct deflate *d, struct sv octets, struct buf *out);
/** deflate_rest - nothing is to be packed for a while: give the memory back. What is packed later
 *  does not refer to what was packed before, and costs somewhat more. */
void deflate_rest(struct deflate *d);

/** gzip_pack - append octets as one gzip file (RFC 1952). False: out's max. */
bool gzip_pack(struct sv octets, struct buf *out);

/** gzip_unpack - append what one gzip file holds. False: it is none, is damaged or cut, or out's max would be passed. */
MUST_CHECK bool gzip_unpack(struct sv octets, struct buf *out);
/** zip_unpack_first - the same of the first file in a ZIP archive, stored or deflated. */
MUST_CHECK bool zip_unpack_first(struct sv octets, struct buf *out);

#endif
