/* common/file_pieces.h - the octets of a file in bounded pieces, for whoever takes them one after the other. Blocks: jobs only. The file's
 * own position is neither used nor moved, so one descriptor may be read by several threads. */
#ifndef COMMON_FILE_PIECES_H
#define COMMON_FILE_PIECES_H

#include "common/bytes.h"
#include "common/fault.h"

#define FILE_PIECES_SIZE ((size_t)32 << 10)     /* octets of a piece at most: part of what a large message costs */

/** @octets: end with the call. A fault ends the reading, and is its fault. */
typedef struct fault file_pieces_fn(void *arg, struct sv octets);
/**
 * file_pieces_each - the octets from `from` on, up to `end`.
 * Errors: those of fn; FAULT_INTERNAL: the file cannot be read, or has become shorter.
 */
MUST_CHECK struct fault file_pieces_each(int fd, uint64_t from, uint64_t end, file_pieces_fn *fn, void *arg);

#endif
