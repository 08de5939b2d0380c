/* common/master_private.h - what master.c, seats.c and worker.c, the two sides of a daemon, share. */
#ifndef COMMON_MASTER_PRIVATE_H
#define COMMON_MASTER_PRIVATE_H

#include "common/master.h"

/* Between the two, besides requests and answers (control.h), each a line:
 *   worker to master   {"ready":true}                     it serves
 *   master to worker   {"do":"reload","conf":"..."}       take over this configuration, which the
 * master has checked
 *                      {"do":"drain"}            accept no more; end when the last session has ended
 *                      {"do":"certificates"}             read the certificates again, and nothing else */

/* How a worker is told what it is: options of its command line that no person gives. */
struct worker_args {
	unsigned number;
	int control_fd, watchdog_fd, conf_fd;
	const char *listeners;          /* for listener_import() */
	bool is_rehearsal;              /* end where the work would begin (master.h) */
};

/** spec_of_helper - by its name; NULL when the daemon has none of that name. */
const struct daemon_spec *spec_of_helper(const struct daemon_spec *spec, struct sv name);

/* How long workers may take for an answer to a control request. */
#define WORKER_ANSWER_MS 30000
/* Configuration text that fits into one line to a worker, quoted. */
#define RELOAD_TEXT_MAX (CONTROL_LINE_MAX - 1024)

/** daemon_fail - an error at start: to the log, in words for the person at the keyboard. Returns
 * the exit code. */
int daemon_fail(const char *what, struct fault f);
/** daemon_report - errors of a configuration file, one line each, to the log. */
void daemon_report(const struct conf_report *report);
/** worker_main - the life of a worker. */
int worker_main(const struct daemon_spec *spec, const char *root, const struct worker_args *args);

/* Verbs that every daemon has; the master answers them, the worker its part of status and log. */
#define VERB_STATUS "status"
#define VERB_LOG "log"
#define VERB_RELOAD "reload"
#define VERB_STOP "stop"
/** log_level_from - the level named in a "log" request. */
MUST_CHECK struct fault log_level_from(const struct json *request, enum log_level *out);

#endif
