/* common/handover.h - what a daemon's master and `postroom serve`, its parent, say to each other, so that programs are exchanged
 * without a door being shut. It goes over a pair of sockets whose one end the daemon inherits.
 *
 *   daemon to parent   HANDOVER_READY  it serves; with duplicates of its listening sockets, which the parent keeps
 *                      HANDOVER_GONE   asked by SIGUSR2: it accepts no more and has given up its names (pid file, control socket)
 *
 * Whoever is started next by the same parent gets the sockets: connections that come meanwhile wait in the kernel's queue. Sockets of a
 * service manager come in the way of sd_listen_fds(3) and are the parent's already. Not thread-safe. */
#ifndef COMMON_HANDOVER_H
#define COMMON_HANDOVER_H

#include "common/bytes.h"
#include "common/fault.h"

#define HANDOVER_MAX 200        /* listening sockets of one daemon; unix(7) passes 253 at once */

enum handover { HANDOVER_NONE = 0, HANDOVER_READY = 'r', HANDOVER_GONE = 'g' };

/* --- in the parent --- */

/** handover_pair - ends[0] is the parent's, and does not block; ends[1] the daemon's. Both close on exec. */
MUST_CHECK struct fault handover_pair(int ends[2]);
/** handover_offer - say in the environment of the next child which end is its own, and which sockets are there to be taken. */
void handover_offer(int end, const int *sockets, size_t count);
/** handover_receive - what a daemon says, HANDOVER_NONE when it has not said anything. @sockets: now the caller's, close on exec. */
enum handover handover_receive(int end, int sockets[HANDOVER_MAX], size_t *count);

/* --- in a daemon --- */

/** handover_take - our end, close on exec; -1 when nobody wants to know. */
int handover_take(void);
/** handover_tell - nothing with -1. More sockets than HANDOVER_MAX stay unmentioned. */
void handover_tell(int end, enum handover what, const int *sockets, size_t count);
/** handover_sockets - the numbers that the parent offered, taken out of the environment; the open descriptors are the caller's. */
size_t handover_sockets(int out[HANDOVER_MAX]);

#endif
