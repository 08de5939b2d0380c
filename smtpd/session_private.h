/* smtpd/session_private.h - what session.c (the connection) and commands.c (the commands) share. */
#ifndef SMTPD_SESSION_PRIVATE_H
#define SMTPD_SESSION_PRIVATE_H

#include "common/lines.h"
#include "smtpd/door.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

/* Where in the dialogue (RFC 5321 §4.1.4). Bits, for the command table. */
enum session_state {
	ST_NEW    = 1 << 0,     /* no EHLO yet */
	ST_READY  = 1 << 1,
	ST_MAIL   = 1 << 2,     /* a sender was accepted */
	ST_RCPT   = 1 << 3,     /* and a recipient */
	ST_CHUNKS = 1 << 4,     /* and a BDAT */
};
#define ST_GREETED (ST_READY | ST_MAIL | ST_RCPT | ST_CHUNKS)
#define ST_ANY (ST_NEW | ST_GREETED)

/* What the next octets are. */
enum session_mode {
	MODE_LINES = 0,         /* commands, or the door's lines */
	MODE_WAIT,              /* nothing is read: a job runs, or an answer is held back */
	MODE_DATA,              /* up to the final dot */
	MODE_CHUNK,             /* of BDAT: `left` octets */
	MODE_SKIP,              /* of a refused BDAT: likewise, dropped */
};

enum step {
	STEP_DONE,
	STEP_WAIT,              /* the answer comes later */
	STEP_CLOSE,
};

#define HELO_MAX 255

struct session {
	struct smtpd *server;
	struct session *next, **at;
	struct stream *stream;          /* NULL: closed, and waiting for its end */
	const struct listener *listener;
	struct conf *conf;
	struct log_ctx log;
	struct door door;
	struct line_reader lines;
	enum session_state state;
	enum session_mode mode;
	struct transaction *mail;
	struct deferred burial;         /* frees s at the end of the turn in which it was closed */
	const char *verb;               /* of the command that runs: a name of the table */
	const char *refused_for;        /* the reason of the last refusal */
	bool is_extended;
	char helo[HELO_MAX + 1];
	struct netaddr peer;            /* of the connection, or who XCLIENT says it is for */
	bool is_helo_fixed;             /* XCLIENT has said it */
	bool is_evicted;                /* make place once the answer that is owed is given */
	bool is_local_admin;            /* on a local listener: root, or who runs the server */
	/* BDAT */
	uint64_t left;
	bool is_last_chunk;
	enum reply_id skip_reply;
	/* counters */
	uint32_t commands, bad, useless, unknown_rcpts, messages;
	/* clocks */
	struct timer delay;             /* an answer is held back: `held` */
	struct buf held;
	const char *held_close;         /* then close, for this reason; NULL: go on */
	struct timer watch;             /* rate of data; age of a session */
	uint64_t began_ms, mail_ms;     /* the connection; the last accepted message */
	uint64_t data_ms, data_octets, paused_ms, paused_at_ms;
};

static inline enum conf_listener_kind session_kind(const struct session *s)
{
	return s->listener->kind->kind;
}

/** session_say - write a row's reply, and log it when it refuses. */
void session_say(struct session *s, enum reply_id reply);
/** session_answer - what a transaction found out, which has logged it. */
void session_answer(struct session *s, const struct transaction_answer *answer);
/** session_greet - 220. */
void session_greet(struct session *s);
/** session_write - a reply with a text of its own; no enhanced code when NULL. */
void session_write(struct session *s, unsigned code, const char *enhanced, struct sv text);
/** session_answer_later - hold the answer back; reading stops. */
void session_answer_later(struct session *s, const struct transaction_answer *answer,
			  uint64_t delay_ms);
/** session_bad - a bad command: counted, slowed down, and in the end too many. */
enum step session_bad(struct session *s, enum reply_id reply);
/** session_go - after a STEP_WAIT: read on, unless the server stops. */
void session_go(struct session *s);
/** session_wait - read nothing until session_go(). */
void session_wait(struct session *s);
/** session_close - end the connection; what was written still goes out. s stays until the end of
 * the turn. */
void session_close(struct session *s, const char *reason);
/** session_close_after_reply - end it for the reason that the peer was told last. */
void session_close_after_reply(struct session *s);
/** session_forget_mail - the transaction is over, however it ended. */
void session_forget_mail(struct session *s);
/** session_begin_octets - DATA or a chunk begins: other clocks, a larger window. */
void session_begin_octets(struct session *s, enum session_mode mode);

/* commands.c */

struct smtp_command {
	const char *name;
	unsigned listeners;             /* enum conf_listener_kind */
	unsigned states;                /* enum session_state in which it may come */
	unsigned flags;
	enum step (*run)(struct session *s, struct sv args);
	const char *source;
};

extern const struct smtp_command smtp_commands[];
extern const size_t smtp_command_count;
/** smtp_command_find - in any case; NULL when there is none of that name here. */
const struct smtp_command *smtp_command_find(struct sv verb, enum conf_listener_kind kind);
/** command_run - one line. */
enum step command_run(struct session *s, struct sv line);
/** command_octets_done - all octets of a message are there. */
void command_octets_done(struct session *s);
/** command_chunk_done - a chunk that is not the last one is there. */
void command_chunk_done(struct session *s);

#endif
