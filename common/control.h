/* common/control.h - the control socket: how the command line asks a running daemon.
 *
 * run/smtpd.sock and its like, mode 0600 in a folder of mode 0700; the peer must be the same user
 * or root (SO_PEERCRED). A request is one line of JSON, an answer some lines and a last one:
 *   {"verb":"status"}
 *   {"worker":0,"sessions":12}
 *   {"done":true}     or     {"error":{"kind":"not-found","text":"..."}}
 * The top-level names "done" and "error" belong to the last line. One connection is one request.
 * Verbs are rows. The master answers those it can; the others it passes on to every worker and
 * merges their lines. A request that is wrong gets an error and its connection is closed; nobody
 * else notices. */
#ifndef COMMON_CONTROL_H
#define COMMON_CONTROL_H

#include "common/bytes.h"
#include "common/fault.h"
#include "common/instance.h"
#include "common/json.h"
#include "common/loop.h"

#define CONTROL_PROTOCOL 1              /* grows when an answer changes in a way that breaks who reads it: doc/control.md */
#define CONTROL_LINE_MAX (64u << 10)    /* a request; one line of an answer */
#define CONTROL_ANSWER_MAX (64u << 20)  /* waiting to be read by a slow client */
#define CONTROL_CLIENTS_MAX 32

/* ---- handlers: loop thread; they may answer later, from a job's done() ---- */

/* An answer being given. Owned by the handler until control_finish(). */
struct control_reply;

/** control_line - begin a line: an object to which members are added. */
struct json_out *control_line(struct control_reply *reply);
/** control_line_end - send it. False: the client is gone or too slow; stop, and finish. */
bool control_line_end(struct control_reply *reply);
/** control_finish - the last line. fault.kind 0 is success; else its name and detail are told. Sets
 * *reply to NULL. */
void control_finish(struct control_reply **reply, struct fault f);

struct control_verb {
	const char *name;
	const char *doc;
	/* @request: borrowed for the call. @arg: the worker's or master's. Must lead to
	 * control_finish(), now or later. */
	void (*run)(void *arg, const struct json *request, struct control_reply *reply);
	/* It is about what all workers share: the master asks one that is ready, not every one. */
	bool is_of_all;
};

/* ---- serving, on a loop ---- */

struct control_server;
/** control_listen - bind the socket, without serving yet; a name left by a dead daemon is replaced,
 * so hold the pid file. After privileges were dropped: it belongs to who calls. */
MUST_CHECK struct fault control_listen(const struct instance *instance, const char *name, int *fd);
/**
 * control_server_new - answer on fd, which it owns.
 * @verbs: ends with a row without a name; asked first
 * @other: called for a verb that is in no row; NULL: such a verb is an error */
typedef void control_other_fn(void *arg, struct sv verb, struct sv line,
			      struct control_reply *reply);
struct control_server *control_server_new(struct loop *loop, int fd,
					  const struct control_verb *verbs, control_other_fn *other,
					  void *arg);
/** control_server_free - answers under way find their client gone. Removing the socket's name is
 * the caller's. */
void control_server_free(struct control_server **server);

/* ---- a pipe between a master and its worker ---- */

/* Lines of JSON both ways over a socket pair, on the loop. */
struct control_pipe;
struct control_pipe_events {
	/* a whole line, without its end; borrowed for the call */
	void (*line)(void *arg, struct sv line);
	/* the other end is gone, or sent a line that is too long; control_pipe_free() may be called
	 */
	void (*end)(void *arg);
};
struct control_pipe *control_pipe_new(struct loop *loop, int fd,
				      const struct control_pipe_events *events, void *arg);
/** control_pipe_send - a line and its end; false when the other side does not read any more. */
bool control_pipe_send(struct control_pipe *pipe, struct sv line);
void control_pipe_free(struct control_pipe **pipe);

/* In the master: a request passed on to some workers, whose lines are merged into one answer. */
struct control_relay;
/** control_relay_new - @reply: taken over, *reply is NULL; finished when all who were asked have
 * finished, or died, or wait_ms are over. */
struct control_relay *control_relay_new(struct loop *loop, struct control_reply **reply,
					uint32_t wait_ms);
/** control_relay_ask - send the request to one more worker. */
void control_relay_ask(struct control_relay *relay, struct control_pipe *to, struct sv request);
/** control_relay_go - all were asked. Sets *relay to NULL: from here on it looks after itself. */
void control_relay_go(struct control_relay **relay);
/** control_relay_take - a line from a worker's pipe: true when it was part of an answer. Freeing
 * the pipe counts as the worker's last word. */
bool control_relay_take(struct control_pipe *from, struct sv line);

/** control_serve_line - in a worker: true when the line from the master was a request, which is
 * run. Every line of the answer gets a member "worker" with this number. */
bool control_serve_line(struct control_pipe *pipe, struct sv line, const struct control_verb *verbs,
			void *arg, unsigned worker);

/* ---- asking: blocking, for the command line ---- */

/**
 * control_ask - send one request and read the answer.
 * @daemon:  "smtpd"
 * @request: {"verb":...}, one line without its end
 * @on_line: each line but the last; false ends the asking. NULL: lines are dropped
 * @wait_ms: for the whole answer
 * Errors: FAULT_UNAVAILABLE (no such daemon runs, or it does not answer in time), what the daemon
 * answered. */
MUST_CHECK struct fault control_ask(const struct instance *instance, const char *daemon,
				    struct sv request,
				    bool (*on_line)(void *arg, const struct json *line), void *arg,
				    uint32_t wait_ms);
/** control_ask_at - the same at a socket's path, of something that speaks like a daemon; `daemon` is
 * what errors call it. */
MUST_CHECK struct fault control_ask_at(const char *path, const char *daemon, struct sv request,
				       bool (*on_line)(void *arg, const struct json *line), void *arg,
				       uint32_t wait_ms);

/** control_give_way - before another master takes the place of the one that is @pid: who is asked for in its place gets a name of its own,
 *  which control_ask_former() finds. control_forget_way() removes it. For the master's parent: a sandbox lets nobody name sockets. */
MUST_CHECK struct fault control_give_way(const struct instance *instance, const char *daemon, pid_t pid);
void control_forget_way(const struct instance *instance, const char *daemon, pid_t pid);
/** control_ask_former - control_ask() of every former program of this daemon that still serves somebody; each that cannot be asked is
 *  left out. Fine when there is none. */
void control_ask_former(const struct instance *instance, const char *daemon, struct sv request,
			bool (*on_line)(void *arg, const struct json *line), void *arg, uint32_t wait_ms);

#endif
