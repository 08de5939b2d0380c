#include "smtpd/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/banned.h"

/* open_file - where the file system has no nameless files, one that loses its name at once. */
static struct fault open_file(struct spill *s, const char *folder)
{
	char path[4096];

	s->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (s->fd >= 0)
		return FAULT_OK;
	if (snprintf(path, sizeof(path), "%s/.spill-XXXXXX", folder) >= (int)sizeof(path))
		return fault(FAULT_INTERNAL, "spill: the path is too long");
	s->fd = mkostemp(path, O_CLOEXEC);
	if (s->fd < 0)
		return fault_errno("open", "spill");
	unlink(path);
	return FAULT_OK;
}

struct fault spill_write(struct spill *s, const char *folder, struct sv octets)
{
	struct fault f = s->fd < 0 ? open_file(s, folder) : FAULT_OK;

	while (!f.kind && octets.len) {
		ssize_t n = write(s->fd, octets.p, octets.len);

		if (n < 0 && errno != EINTR)
			f = fault_errno("write", "spill");
		if (n > 0) {
			sv_skip(&octets, (size_t)n);
			s->size += (uint64_t)n;
		}
	}
	return f;
}

struct fault spill_read(const struct spill *s, file_pieces_fn *fn, void *arg)
{
	return file_pieces_each(s->fd, 0, s->size, fn, arg);
}

void spill_close(struct spill *s)
{
	if (s->fd >= 0)
		close(s->fd);
	*s = SPILL_NONE;
}
