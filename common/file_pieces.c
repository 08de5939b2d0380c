#include "common/file_pieces.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/memory.h"

#include "common/banned.h"

struct fault file_pieces_each(int fd, uint64_t from, uint64_t end, file_pieces_fn *fn, void *arg)
{
	char *piece = from < end ? xmalloc(FILE_PIECES_SIZE) : NULL;
	struct fault f = FAULT_OK;

	while (!f.kind && from < end) {
		size_t want = end - from < FILE_PIECES_SIZE ? (size_t)(end - from) : FILE_PIECES_SIZE;
		ssize_t n = pread(fd, piece, want, (off_t)from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			f = fault_errno("read", "file");
		else if (!n)
			f = fault(FAULT_INTERNAL, "the file has become shorter");
		else
			f = fn(arg, sv_from(piece, (size_t)n));
		from += n > 0 ? (uint64_t)n : 0;
	}
	free(piece);
	return f;
}
