/* tests/crash/tracer.h - stop a process at each of its system calls, and decide what becomes of it.
 * One traced process without threads at a time. ptrace(2); x86-64 and aarch64 (results are rewritten in registers). */
#ifndef CRASH_TRACER_H
#define CRASH_TRACER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum trace_do {
	TRACE_GO = 0,
	TRACE_FAKE,             /* at an entry: the call is not made and gives *result */
	TRACE_KILL,             /* SIGKILL, now */
	TRACE_DETACH,           /* let it run free */
};

struct trace_stop {
	pid_t pid;
	unsigned number;        /* of this stop, from 1 */
	bool is_entry;
	long call;              /* SYS_... */
	uint64_t args[6];
};

typedef enum trace_do trace_fn(void *arg, const struct trace_stop *stop, long *result);

/** tracer_works - can this machine do it? */
bool tracer_works(void);
/** tracer_ready - called by the child: wait for the tracer. */
void tracer_ready(void);
/** tracer_run - run a child that calls tracer_ready() to its end; its wait status. */
int tracer_run(pid_t pid, trace_fn *fn, void *arg);
/** tracer_name - name of a system call, for people. */
const char *tracer_name(long call);

/* What kinds of calls change something on disk. */
enum call_class {
	CALL_OTHER = 0,
	CALL_WRITE, CALL_FLUSH, CALL_NAME, CALL_REMOVE, CALL_OPEN, CALL_MKDIR, CALL_SPACE,
};
enum call_class tracer_class(long call);

/** tracer_fd_path - where a descriptor of the traced process leads; "" when it cannot be told. */
void tracer_fd_path(pid_t pid, int fd, char *out, size_t cap);
/** tracer_string - a string of the traced process, cut to cap. */
void tracer_string(pid_t pid, uint64_t at, char *out, size_t cap);

#endif
