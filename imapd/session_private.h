/* imapd/session_private.h - what a session is inside, for its own three sources: session.c (its life), session_input.c (what the client
 * sends) and session_steps.c (the command that runs). Loop thread, but for the room and the command while a job runs. */
#ifndef IMAPD_SESSION_PRIVATE_H
#define IMAPD_SESSION_PRIVATE_H

#include "common/roster.h"
#include "common/work.h"
#include "imapd/command.h"
#include "imapd/session.h"

#define INPUT_MAX (64u << 10)           /* while a message streams in: one piece for a job */

enum session_state {
	SESSION_OPENING = 0,    /* the account is being opened; the door still has the stream */
	SESSION_AUTH,           /* RFC 3501 §3.2 */
	SESSION_SELECTED,       /* §3.3 */
	SESSION_CLOSING,        /* nothing is written any more; the room is being left */
};

/* What the session waits for. */
enum session_wait {
	WAIT_COMMAND = 0,       /* the client's next command, or the rest of one */
	WAIT_JOB,
	WAIT_ROOM,              /* for the client to read its output: the next step */
	WAIT_DRAIN,             /* likewise: the rest of this step's output */
	WAIT_LINE,              /* IDLE */
};

struct session {
	struct work job;
	struct session_house *house;
	struct session *next, **at;
	struct stream *stream;
	struct door *door;              /* while opening */
	struct grammar grammar;
	struct log_ctx log;
	struct conf *conf;
	struct auth_identity *identity;
	struct roster_guest guest;      /* from being let in until the stream is gone */
	struct room room;
	struct command *command;        /* that runs, or whose literal streams in */
	struct buf octets;              /* while a message streams in: a copy of what has come, for a job */
	struct sv ahead;                /* of those: behind what the command has been woken for; the job goes on with it */
	size_t ahead_len;               /* as much as it was given */
	enum grammar_event left;        /* what it met there and left to the loop; GRAMMAR_MORE: nothing */
	size_t written;                 /* of the step's output */
	struct timer retry;
	struct fault opened;
	enum step step;
	enum session_state state;
	enum session_wait wait;
	bool has_notice;                /* came while a job ran */
	bool is_watching;
	bool is_last;                   /* end behind the running command */
	bool is_told;                   /* BYE was said */
	bool is_quota_due;              /* the account was open already: its limits are read by the first step */
	enum { JOB_STEP = 0, JOB_OPEN, JOB_LEAVE } what;        /* is done by the job; set before it runs */
	unsigned bad;
	uint64_t commands, began_ms;
	uint64_t modseq;                /* changes up to it were shown */
	const char *told_label;         /* of the client; compared only */
	struct sv mailbox;              /* selected, for those who look while a job runs; heap */
	const char *reason;             /* of its end */
};

/* ---- session.c ---- */

/** session_enter - alone sets a state, and logs it. */
void session_enter(struct session *s, enum session_state state);
/** session_open_account - in a job; session_opened() is then called on the loop: take over from the door, or have it refuse. */
MUST_CHECK struct fault session_open_account(struct session *s);
/** session_knows_account - on the loop: was it open in this process already? Then only what session_open_account() reads of the directory
 *  is left, to be done by the first job. */
bool session_knows_account(struct session *s);
void session_opened(struct session *s);
/** session_hand_back - RFC 8437: the stream goes to the door, with what the client sent behind the command; everything else ends as
 *  if the client had gone. */
void session_hand_back(struct session *s);
/** session_bye - say it, unless something was said already, and end. @reason: for the log, static. */
void session_bye(struct session *s, const char *text, const char *reason);
/** session_close - the stream goes at once; the room is left in a job, since that may touch files. */
void session_close(struct session *s, const char *reason);
/** session_unwatch - no more notices; on the loop, before the account is closed. */
void session_unwatch(struct session *s);
/** session_forget_command - the one that runs, if any, is over. */
void session_forget_command(struct session *s);
/** session_leave - end the command and the room; session_free() is then called on the loop. */
void session_leave(struct session *s);
void session_free(struct session *s);

/* ---- session_input.c ---- */

/** session_input - on_input of its stream. */
void session_input(struct stream *stream, void *user);
/** session_read_ahead - in a job, behind a step: have the command read what came behind it, too, as far as that needs no answer first. */
void session_read_ahead(struct session *s);
/** session_handle - an event of the parser. False: wait, or the session has ended. */
bool session_handle(struct session *s, enum grammar_event event);
/** session_take_argument - the literal that is announced is an argument like any other. False: the command or the session has ended. */
bool session_take_argument(struct session *s);

/* ---- session_steps.c ---- */

/** session_submit - have the next job run: a step of the command, or, when closing, leaving the room. */
void session_submit(struct session *s);
/** session_retry - the same, later: of the timer `retry`. */
void session_retry(struct timer *t);
/** session_run - wake the command for its next step. The stream stands still until it is done. */
void session_run(struct session *s, enum command_wake wake);
/** session_go_on - the client has read what was written: the next chunk. */
void session_go_on(struct session *s);
/** session_stepped - a step is done: write what it put out, or the rest of that, then do what it wants. */
void session_stepped(struct session *s);
/** session_rewatch - between commands only NOTIFY asks for notices, and ENABLE METADATA, which begins with a look. */
void session_rewatch(struct session *s);
/** session_tell_events - what NOTIFY asked for is told now, if nothing else goes on (true); else when that is over. */
bool session_tell_events(struct session *s);

#endif
