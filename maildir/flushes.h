/* maildir/flushes.h - many flushes of one job: a disk that is asked for one after the other does a fraction of what it can, so idle threads
 * have it do some meanwhile (common/crew.h). Each is a flush of its own, with an answer of its own from the disk.
 *
 * Blocks; any thread. */
#ifndef MAILDIR_FLUSHES_H
#define MAILDIR_FLUSHES_H

#include <stddef.h>

#include "common/fault.h"

/** flushes_run - one(arg, i) for each i below count, several perhaps at the same time; after a fault no further one is begun. Returns when
 *  all have ended, with the first fault that came. */
MUST_CHECK struct fault flushes_run(size_t count, struct fault (*one)(void *arg, size_t i), void *arg);

#endif
