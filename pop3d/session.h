/* pop3d/session.h - one POP3 connection: its state, its commands as a table, its jobs. Loop thread only; what blocks
 * runs in a struct pop3_job, which sees copies and the maildrop, never the session.
 * RFC 1939 (POP3), RFC 2449 (CAPA, response codes), RFC 2595 (STLS), RFC 3206 (AUTH, SYS), RFC 5034 (AUTH), RFC 6856 (UTF8). */
#ifndef POP3D_SESSION_H
#define POP3D_SESSION_H

#include "common/fault.h"
#include "common/lines.h"
#include "common/listener.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/roster.h"
#include "common/stream.h"
#include "common/work.h"
#include "pop3d/ahead.h"
#include "pop3d/maildrop.h"

struct auth_identity;
struct pop3_door;
struct pop3_server;

/* States are bits, so that a command names all in which it is allowed. */
enum pop3_state {
	POP3_AUTHORIZATION = 1 << 0,
	POP3_TRANSACTION = 1 << 1,
	POP3_ENDING = 1 << 2,           /* the last reply is on its way */
};
#define POP3_ANY (POP3_AUTHORIZATION | POP3_TRANSACTION)

struct pop3_session {
	struct pop3_server *server;
	struct stream *stream;          /* NULL when closed; the session lives on until its job is done */
	const struct listener *listener;
	struct log_ctx log;
	enum pop3_state state;
	struct line_reader lines;
	struct timer deadline;          /* of the authorization state, and of a delayed failure */
	struct pop3_door *door;         /* until login */
	struct auth_identity *identity; /* from login on */
	struct roster_guest guest;      /* likewise */
	struct maildrop *drop;          /* in TRANSACTION; while a job runs it belongs to the job */
	struct retrieval *retrieval;    /* a RETR or TOP under way */
	struct ahead ahead;             /* what the next RETRs ask for, likely */
	uint32_t last_retr;             /* the number of the last RETR; 0: none */
	uint32_t uidl_next;             /* a UIDL listing under way: its next message */
	uint32_t bad_commands, commands;
	uint64_t began_ms;
	bool is_utf8, is_job_running;
	const char *end_reason;
	struct pop3_session *next, **at;        /* in the server's list */
};

enum step {
	STEP_DONE,      /* answered: the next command may be read */
	STEP_WAIT,      /* a job, a timer or more input will go on */
	STEP_CLOSE,     /* answered for the last time */
};

struct pop3_command {
	const char *name;
	unsigned states;
	uint32_t args_min, args_max;    /* words; a message number is checked by the handler */
	bool takes_rest;                /* the argument is the rest of the line, spaces and all (PASS) */
	bool is_multiline;              /* for the fuzz target and the documentation: the reply ends with "." */
	enum step (*run)(struct pop3_session *s, struct sv args);
	const char *source;
};
extern const struct pop3_command pop3_commands[];
extern const size_t pop3_command_count;

/** session_start - listener_fn: take over a new connection. */
void session_start(struct stream *stream, const struct listener *listener, void *server);
/** session_enter - the one place where a state is set; logs the move and sets that state's limits and deadlines. */
void session_enter(struct pop3_session *s, enum pop3_state state);
/** session_end - close the connection (what was written is still sent); the session frees itself when its job is done. */
void session_end(struct pop3_session *s, const char *reason);
/** session_evict - the user has too many sessions, and this one was silent for longest. */
void session_evict(void *session);
/** session_is_busy - is something under way that an orderly stop lets finish? */
bool session_is_busy(const struct pop3_session *s);
struct json_out;
/** session_describe - for the control verb `sessions`: members of one line. It has a connection. */
void session_describe(const struct pop3_session *s, struct json_out *j);
/** session_next - a job or timer has answered: go on with pipelined input. */
void session_next(struct pop3_session *s, enum step step);

/** session_ok, session_err - a one-line reply; formats must not contain untrusted text. */
enum step session_ok(struct pop3_session *s, const char *format, ...) PRINTF_LIKE(2, 3);
enum step session_err(struct pop3_session *s, const char *format, ...) PRINTF_LIKE(2, 3);
/** session_fault - -ERR with the response code of a fault; logs its detail. */
enum step session_fault(struct pop3_session *s, const char *what, struct fault f);
/** session_write, session_send - octets of a reply; send takes the memory of the buffer. */
bool session_write(struct pop3_session *s, struct sv octets);
enum step session_send(struct pop3_session *s, struct buf *out);

/* What a job carries. Handlers fill it, run() works on it, finish() answers from it on the loop (not called when the
 * client has gone). */
struct pop3_job {
	struct work work;
	struct pop3_session *session;
	struct fault result;
	void (*run)(struct pop3_job *job);
	enum step (*finish)(struct pop3_session *s, struct pop3_job *job);
	struct maildrop *drop;
	struct retrieval *retrieval;
	uint32_t number, lines;         /* message number, lines of TOP */
	uint32_t removed;
	bool is_done, reads_ahead;
	bool is_memory;                 /* set by the handler: run() does not block, and needs no worker */
	struct buf out;
	struct ahead ahead;
};
/** session_run_job - hand the job (heap; freed afterwards) to a worker, if it needs one; STEP_WAIT, or an error reply when the queue is full. */
enum step session_run_job(struct pop3_session *s, struct pop3_job *job);

/** session_job_is_over - called first when a job is done: false when the client has gone meanwhile; then the session is
 *  gone, too. */
bool session_job_is_over(struct pop3_session *s);

/* The authorization state (pop3d/door.c): knows the stream and the authenticator, nothing of the store. */
enum step door_user(struct pop3_session *s, struct sv args);
enum step door_pass(struct pop3_session *s, struct sv args);
enum step door_auth(struct pop3_session *s, struct sv args);
enum step door_stls(struct pop3_session *s, struct sv args);
/** door_expects_response - AUTH is under way: the next line is not a command but goes to door_response(). */
bool door_expects_response(const struct pop3_session *s);
enum step door_response(struct pop3_session *s, struct sv line);
/** door_capabilities - the lines of CAPA that depend on TLS and login. */
void door_capabilities(struct pop3_session *s, struct buf *out);
void door_open(struct pop3_session *s);
void door_close(struct pop3_session *s);

/* The transaction state (pop3d/room.c). */
/** room_enter - login succeeded: open the maildrop, then answer +OK or -ERR. */
enum step room_enter(struct pop3_session *s);
/** room_writable - the client has drained enough for the next chunk. */
void room_writable(struct pop3_session *s);
enum step room_stat(struct pop3_session *s, struct sv args);
enum step room_list(struct pop3_session *s, struct sv args);
enum step room_uidl(struct pop3_session *s, struct sv args);
enum step room_retr(struct pop3_session *s, struct sv args);
enum step room_top(struct pop3_session *s, struct sv args);
enum step room_dele(struct pop3_session *s, struct sv args);
enum step room_rset(struct pop3_session *s, struct sv args);
enum step room_noop(struct pop3_session *s, struct sv args);
enum step room_quit(struct pop3_session *s, struct sv args);

#endif
