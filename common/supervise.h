/* common/supervise.h - child processes that must live: started, watched, started again with a
 * growing delay. Used by a daemon's master for its workers and by `postroom serve` for the daemons.
 * Belongs to the loop's thread; the process must have no other threads, since it forks. */
#ifndef COMMON_SUPERVISE_H
#define COMMON_SUPERVISE_H

#include <sys/types.h>

#include "common/bytes.h"
#include "common/fault.h"
#include "common/loop.h"

#define SUPERVISE_DELAY_MIN_MS 1000     /* doubles with each early death ... */
#define SUPERVISE_DELAY_MAX_MS 60000
#define SUPERVISE_STEADY_MS 60000       /* ... until a child lived this long */

struct supervisor;
struct child;

struct child_events {
	/* Make argv and what the child inherits; called before each start. Its descriptors in
	 * keep[] lose close-on-exec in the child only. A fault counts as a death. */
	struct fault (*prepare)(void *arg, const char *const **argv, const int **keep,
				size_t *keep_count);
	/* The child was started; the parent closes what is not its own. */
	void (*started)(void *arg, pid_t pid);
	/* It ended. status: of waitpid(). restart_ms: when it is started again; UINT64_MAX: it is
	 * not. */
	void (*ended)(void *arg, int status, uint64_t restart_ms);
};

/** supervisor_new - one per process: it waits for all its children. */
MUST_CHECK struct fault supervisor_new(struct loop *loop, struct supervisor **out);
/** supervisor_free - children must have ended or been forgotten. */
void supervisor_free(struct supervisor **supervisor);

/** child_add - a child, not started yet. @path: program to execute; NULL: this program
 * (/proc/self/exe). */
struct child *child_add(struct supervisor *supervisor, const char *path,
			const struct child_events *events, void *arg);
/** child_start - start it now, and again whenever it ends. */
void child_start(struct child *child);
/** child_stop - SIGTERM now, SIGKILL after grace_ms; not started again. ended() tells. */
void child_stop(struct child *child, uint64_t grace_ms);
/** child_kill - SIGKILL; it is started again. */
void child_kill(struct child *child);
/** child_retire - not started again when it ends; nothing is asked of it. child_stop() may follow. */
void child_retire(struct child *child);
/** child_adopt - one that runs already, started by the program that this process was before; retired. */
struct child *child_adopt(struct supervisor *supervisor, pid_t pid, const struct child_events *events, void *arg);
/** child_signal - send a signal when it runs. */
void child_signal(struct child *child, int signal);
/** child_pid - 0 when it does not run. */
pid_t child_pid(const struct child *child);
uint32_t child_restarts(const struct child *child);
/** supervisor_running - children that run now. */
size_t supervisor_running(const struct supervisor *supervisor);

/** notify_service_manager - one datagram to NOTIFY_SOCKET (sd_notify(3)): "READY=1", "STOPPING=1".
 * Fine without one. */
void notify_service_manager(const char *state);

#endif
