/* common/seats.h - the processes that a master keeps running: its workers, and after them its
 * helpers, one in each seat. Each is started by executing the program again, with the listening
 * sockets, the configuration in force and a control pipe (master_private.h says what goes through
 * it). One that dies is started again (supervise.h); one that is inside a write transaction for
 * longer than stuck-time is killed (watchdog.h). Belongs to the loop's thread. */
#ifndef COMMON_SEATS_H
#define COMMON_SEATS_H

#include "common/conf.h"
#include "common/control.h"
#include "common/master.h"

struct seats;

/* How processes are started. What it points to is borrowed and must outlive the seats. */
struct seats_plan {
	const struct daemon_spec *spec;
	const char *program;            /* argv[0] */
	const char *root;               /* the instance's folder */
	const char *listeners;          /* for listener_import() */
	bool is_rehearsal;              /* one worker, and nobody is started a second time */
};

struct seats_events {
	/* Every process has said for the first time that it serves. */
	void (*ready)(void *arg);
	/* None runs any more, after seats_stop() or seats_give_way(). In a rehearsal: each has shown
	 * that it can start, or one of them has failed. May be called again. */
	void (*ended)(void *arg, bool has_failed);
};

/** seats_new - @conf: seats keep a reference of their own. Nothing is started yet. */
MUST_CHECK struct fault seats_new(struct loop *loop, const struct seats_plan *plan,
				  struct conf *conf, const struct seats_events *events, void *arg,
				  struct seats **out);
/** seats_free - before the loop; processes that still run are left alone and end with their pipe.
 * NULL is fine. */
void seats_free(struct seats **seats);
/** seats_start - start a process in each seat. Once. */
void seats_start(struct seats *seats);

/** seats_take_conf - what is in force from now on, for processes that are started later. */
void seats_take_conf(struct seats *seats, struct conf *conf);
/** seats_tell - a line to each process that runs. */
void seats_tell(struct seats *seats, struct sv line);
/** seats_stop - SIGTERM to all, SIGKILL a little after stop-time. Calls ended() at once when none
 * runs. */
void seats_stop(struct seats *seats);
/** seats_give_way - to another program: workers end with their last session, helpers now. Calls
 * ended() at once when none runs. */
void seats_give_way(struct seats *seats);

/** seats_ask_all - pass a request on to each worker that is ready, and with has_helpers to each
 * helper; their answers become one. *reply is taken over and NULL afterwards. */
void seats_ask_all(struct seats *seats, struct control_reply **reply, struct sv request,
		   bool has_helpers);
/** seats_ask_one - to the first worker that is ready (helper NULL) or to this helper; likewise. */
void seats_ask_one(struct seats *seats, const struct daemon_spec *helper,
		   struct control_reply **reply, struct sv request);

/** seats_are_ready - all have been ready, once. */
bool seats_are_ready(const struct seats *seats);
/** seats_worker_count - without helpers. */
size_t seats_worker_count(const struct seats *seats);
/** seats_restarts - how often a process was started again, all of them together. */
uint64_t seats_restarts(const struct seats *seats);

#endif
