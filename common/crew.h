/* common/crew.h - work of one job that falls into many pieces, done by more than one thread while threads and cores are idle.
 *
 * Whoever calls works through the pieces himself; idle threads of the pool (common/work.h) may join, at most CREW_HELPERS of them,
 * and leave between two pieces when others want them. Nobody waits for a thread to become free, so that a busy server, or a machine
 * with one core, does just what it would do without a crew.
 *
 * A helper has nothing but the piece: it enters no account, begins no transaction and takes no lock for longer than a moment, since
 * the caller waits for it with whatever the caller holds. */
#ifndef COMMON_CREW_H
#define COMMON_CREW_H

#include <stddef.h>

#define CREW_HELPERS 3

typedef void crew_fn(void *arg, size_t piece);

/** crew_run - call fn for each piece below count, exactly once, in rising order of their beginnings but perhaps at the same time;
 *  all have ended when it returns. A piece should take a tenth of a millisecond or more. Where it is called from outside of a job,
 *  or with less than two pieces, the caller does them alone. */
void crew_run(size_t count, crew_fn *fn, void *arg);

#endif
