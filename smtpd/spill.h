/* smtpd/spill.h - the octets of a message that must be known whole before anybody may have it: a
 * file without a name, which is gone when it is closed, whatever happens. Never flushed: nothing
 * was promised yet. Blocks: jobs only. */
#ifndef SMTPD_SPILL_H
#define SMTPD_SPILL_H

#include "common/file_pieces.h"

struct spill {
	int fd; /* -1: not open */
	uint64_t size;
};
#define SPILL_NONE ((struct spill){ .fd = -1 })

/** spill_write - append; the first one makes the file in folder. Errors: FAULT_NO_SPACE,
 * FAULT_INTERNAL. */
MUST_CHECK struct fault spill_write(struct spill *s, const char *folder, struct sv octets);
/** spill_read - all of it from the beginning, in pieces (file_pieces_each()). */
MUST_CHECK struct fault spill_read(const struct spill *s, file_pieces_fn *fn, void *arg);
void spill_close(struct spill *s);

#endif
