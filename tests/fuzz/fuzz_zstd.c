/* Packed files that anybody may have put there: reading in pieces and as a whole agree, or both fail. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/zstd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WHOLE_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char *whole, *pieces;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	size_t got, len = 0, at = 0;
	uint64_t octets;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (!whole) {
		whole = malloc(WHOLE_MAX);
		pieces = malloc(WHOLE_MAX);
	}
	struct zstd_reader *one = zstd_reader_new(fd), *other = zstd_reader_new(fd);
	struct fault f = zstd_read(one, 0, whole, WHOLE_MAX, &len), g = FAULT_OK;

	while (!g.kind && at < WHOLE_MAX) {
		size_t want = 1 + at * 7 % 5000;
		g = zstd_read(other, at, pieces + at, want < WHOLE_MAX - at ? want : WHOLE_MAX - at, &got);
		if (!g.kind && !got)
			break;
		at += g.kind ? 0 : got;
	}
	if ((f.kind != 0) != (g.kind != 0) || (!f.kind && (at != len || memcmp(whole, pieces, len))))
		abort();
	if (!f.kind && len < WHOLE_MAX && (zstd_octets(fd, &octets).kind || octets != len))
		abort();
	zstd_reader_free(&one);
	zstd_reader_free(&other);
	close(fd);
	return 0;
}
