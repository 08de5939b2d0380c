#include "common/zstd.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <zstd.h>

#include "common/memory.h"

#include "common/banned.h"

#define LEVEL 3
#define PACKED_MAX (ZSTD_FRAME_OCTETS + ZSTD_FRAME_OCTETS / 128 + 1024)         /* of one frame of ours */

static const unsigned char magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };       /* RFC 8878 §3.1.1 */
static const unsigned char nothing[8] = { 0x50, 0x2a, 0x4d, 0x18 };     /* a skippable frame of 0 octets, §3.1.2 */

static struct fault read_at(int fd, uint64_t at, char *p, size_t n, size_t *got)
{
	*got = 0;
	while (*got < n) {
		ssize_t m = pread(fd, p + *got, n - *got, (off_t)(at + *got));
		if (m < 0 && errno == EINTR)
			continue;
		if (m < 0)
			return fault_errno("read", "packed file");
		if (!m)
			break;
		*got += (size_t)m;
	}
	return FAULT_OK;
}

static struct fault write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t m = write(fd, p, n);
		if (m < 0 && errno == EINTR)
			continue;
		if (m < 0)
			return fault_errno("write", "packed file");
		p += m;
		n -= (size_t)m;
	}
	return FAULT_OK;
}

struct fault zstd_pack(int from, int to, uint64_t *packed)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	char *in = xmalloc(ZSTD_FRAME_OCTETS), *out = xmalloc(PACKED_MAX);
	uint64_t octets = 0;
	size_t got;
	struct fault f = c ? FAULT_OK : fault(FAULT_INTERNAL, "no memory to pack a file");

	*packed = 0;
	if (!f.kind && (ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, LEVEL)) ||
			ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1))))
		BUG("libzstd knows no levels");
	while (!f.kind) {
		f = read_at(from, octets, in, ZSTD_FRAME_OCTETS, &got);
		if (f.kind || !got)
			break;
		size_t made = ZSTD_compress2(c, out, PACKED_MAX, in, got);
		if (ZSTD_isError(made))
			f = fault_detail(FAULT_INTERNAL, "pack: %s", ZSTD_getErrorName(made));
		else
			f = write_all(to, out, made);
		octets += got;
		*packed += f.kind ? 0 : made;
	}
	if (!f.kind && *packed == octets) {     /* never the same size: see the header */
		f = write_all(to, (const char *)nothing, sizeof(nothing));
		*packed += sizeof(nothing);
	}
	ZSTD_freeCCtx(c);
	free(in);
	free(out);
	return f;
}

bool zstd_is_packed(int fd)
{
	char start[sizeof(magic)];
	size_t got;

	return !read_at(fd, 0, start, sizeof(start), &got).kind && got == sizeof(start) && !memcmp(start, magic, sizeof(magic));
}

/* --- reading ----------------------------------------------------------------------------------------------------------- */

struct zstd_reader {
	int fd;
	ZSTD_DCtx *d;
	uint64_t next;                  /* where in the file the next frame begins */
	uint64_t from;                  /* which octet the frame before begins with ... */
	size_t count;                   /* ... how many it has ... */
	bool is_unpacked;               /* ... and are they in out? */
	size_t in_len;
	char *in, *out;
};

struct zstd_reader *zstd_reader_new(int fd)
{
	struct zstd_reader *r = xcalloc(1, sizeof(*r));

	r->fd = fd;
	r->in = xmalloc(PACKED_MAX);
	return r;
}

void zstd_reader_free(struct zstd_reader **r)
{
	if (!*r)
		return;
	ZSTD_freeDCtx((*r)->d);
	free((*r)->in);
	free((*r)->out);
	free(*r);
	*r = NULL;
}

static struct fault corrupt(void)
{
	return fault(FAULT_CORRUPT, "packed file is damaged, or not one of ours");
}

/* On to the next frame: its octets lie packed in in. *is_end: there is none. */
static struct fault next_frame(struct zstd_reader *r, bool *is_end)
{
	size_t got;
	struct fault f = read_at(r->fd, r->next, r->in, PACKED_MAX, &got);

	*is_end = !f.kind && !got;
	if (f.kind || *is_end)
		return f;
	size_t len = ZSTD_findFrameCompressedSize(r->in, got);
	unsigned long long octets = ZSTD_isError(len) ? ZSTD_CONTENTSIZE_ERROR : ZSTD_getFrameContentSize(r->in, got);

	if (octets > ZSTD_FRAME_OCTETS)         /* the two special values too */
		return corrupt();
	r->from += r->count;
	r->count = (size_t)octets;
	r->next += len;
	r->in_len = len;
	r->is_unpacked = false;
	return FAULT_OK;
}

static struct fault unpack(struct zstd_reader *r)
{
	if (!r->d)
		r->d = ZSTD_createDCtx();
	if (!r->d)
		return fault(FAULT_INTERNAL, "no memory to unpack a file");
	if (!r->out)
		r->out = xmalloc(ZSTD_FRAME_OCTETS);
	r->is_unpacked = ZSTD_decompressDCtx(r->d, r->out, r->count, r->in, r->in_len) == r->count;
	return r->is_unpacked ? FAULT_OK : corrupt();
}

struct fault zstd_read(struct zstd_reader *r, uint64_t offset, char *p, size_t n, size_t *got)
{
	struct fault f = FAULT_OK;
	bool is_end = false;

	*got = 0;
	if (offset < r->from) {
		r->next = r->from = 0;
		r->count = 0;
	}
	while (!f.kind && *got < n) {
		if (offset >= r->from + r->count) {
			f = next_frame(r, &is_end);
			if (f.kind || is_end)
				break;
			continue;
		}
		if (!r->is_unpacked)
			f = unpack(r);
		if (f.kind)
			break;
		size_t skip = (size_t)(offset - r->from), take = r->count - skip < n - *got ? r->count - skip : n - *got;
		memcpy(p + *got, r->out + skip, take);
		*got += take;
		offset += take;
	}
	return f;
}

struct fault zstd_octets(int fd, uint64_t *out)
{
	struct zstd_reader *r = zstd_reader_new(fd);
	bool is_end = false;
	struct fault f;

	do
		f = next_frame(r, &is_end);
	while (!f.kind && !is_end);
	*out = r->from + r->count;
	zstd_reader_free(&r);
	return f;
}
