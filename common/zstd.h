/* common/zstd.h - files packed by Zstandard (RFC 8878), the one keeper of libzstd.
 *
 * A packed file is a row of frames of at most 128 KiB of octets each, with their size and a checksum: `zstd -d` reads it, and reading from
 * an offset unpacks one frame. Its size is never that of the octets it stands for, so who knows their number sees by the
 * size alone that a file is not packed. Memory is bounded whatever a file holds. Blocks; any thread, one reader one at a time. */
#ifndef COMMON_ZSTD_H
#define COMMON_ZSTD_H

#include "common/bytes.h"
#include "common/fault.h"

#define ZSTD_FRAME_OCTETS ((size_t)128 << 10)

/** zstd_pack - all octets of the file `from` to the end of `to`. @packed: how many that made. */
MUST_CHECK struct fault zstd_pack(int from, int to, uint64_t *packed);
/** zstd_is_packed - does the file begin like one? */
bool zstd_is_packed(int fd);
/** zstd_octets - how many octets a packed file stands for; reads all of it, unpacks nothing. FAULT_CORRUPT. */
MUST_CHECK struct fault zstd_octets(int fd, uint64_t *out);

struct zstd_reader;
/** zstd_reader_new - fd is borrowed; its offset does not matter and stays. */
struct zstd_reader *zstd_reader_new(int fd);
/** zstd_reader_free - NULL is fine. */
void zstd_reader_free(struct zstd_reader **r);
/**
 * zstd_read - up to n octets from offset on; *got less than n only at the end. Any order of offsets; going back starts over.
 * FAULT_CORRUPT: not one of our files, or damaged.
 */
MUST_CHECK struct fault zstd_read(struct zstd_reader *r, uint64_t offset, char *p, size_t n, size_t *got);

#endif
