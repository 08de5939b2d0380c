/* common/watchdog.h - since when is a thread of a worker inside an index write transaction?
 * A process that stops inside one (a debugger, a dead disk, a bug) blocks the account for everyone.
 * Each worker publishes the times in a page it shares with its master; the master kills a worker
 * that is inside for too long. */
#ifndef COMMON_WATCHDOG_H
#define COMMON_WATCHDOG_H

#include "common/bytes.h"
#include "common/fault.h"

/* In a worker. Without watchdog_attach() both are no-ops: the command line uses the same code. */

/** watchdog_enter - called with the lock of a write transaction just taken. Returns the slot to
 * leave. Any thread. */
unsigned watchdog_enter(void);
void watchdog_leave(unsigned slot);
/** watchdog_attach - publish in the page behind this descriptor from now on; closes it. Before
 * threads start. */
MUST_CHECK struct fault watchdog_attach(int fd);

/* In the master. */
struct watchdog_page;
/** watchdog_page_new - a page for one worker; *fd is for the worker alone, close it after starting
 * it. */
MUST_CHECK struct fault watchdog_page_new(struct watchdog_page **out, int *fd);
void watchdog_page_free(struct watchdog_page **page);
/** watchdog_longest_ms - for how long the longest is inside by now; 0: nobody. */
uint64_t watchdog_longest_ms(const struct watchdog_page *page);

#endif
