/* admin/upgrade.h - `postroom serve` becomes another program without a door being shut: the process, its children and the listening
 * sockets stay, what the new program must know of them stands in its environment. Blocks; before other threads exist. */
#ifndef ADMIN_UPGRADE_H
#define ADMIN_UPGRADE_H

#include <sys/types.h>

#include "common/handover.h"

#define UPGRADE_FORMER_MAX 256          /* masters of former programs that still serve somebody */

struct upgrade_inheritance {
	int sockets[HANDOVER_MAX];      /* listening ones of all daemons */
	size_t socket_count;
	pid_t former[UPGRADE_FORMER_MAX];
	size_t former_count;
	int pidfile;                    /* locked: nobody may think meanwhile that nothing runs; -1: none */
};

/** upgrade_inherit - what the program before us left; nothing when there was none. */
void upgrade_inherit(struct upgrade_inheritance *from);
/** upgrade_execute - become the program at that path, or, when it cannot be executed, this one anew. Returns only when both fail. Signals
 *  that come meanwhile wait until upgrade_unblock_signals(). */
void upgrade_execute(const char *program, const char *root, const struct upgrade_inheritance *to);
/** upgrade_unblock_signals - whoever is to hear of them listens now. */
void upgrade_unblock_signals(void);

#endif
