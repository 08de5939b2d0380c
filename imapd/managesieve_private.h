/* imapd/managesieve_private.h - one ManageSieve connection, inside. */
#ifndef IMAPD_MANAGESIEVE_PRIVATE_H
#define IMAPD_MANAGESIEVE_PRIVATE_H

#include "common/auth.h"
#include "common/log.h"
#include "common/roster.h"
#include "common/sieve/sieve.h"
#include "common/work.h"
#include "imapd/managesieve.h"
#include "imapd/managesieve_grammar.h"
#include "maildir/scripts.h"

enum ms_state {
	MS_STRANGER = 1 << 0,
	MS_KNOWN = 1 << 1,
	MS_ENDING = 1 << 2,
};
#define MS_ANY (MS_STRANGER | MS_KNOWN)

/* What a handler says. */
enum ms_step {
	MS_DONE,        /* answered: the next command may be read */
	MS_WAIT,        /* a job, a timer, a handshake or the client's reading goes on */
	MS_CLOSE,       /* answered for the last time */
};

struct ms_door;

struct ms_session {
	struct ms_house *house;
	struct stream *stream;          /* NULL when closed; the session lives on until its job is done */
	const struct listener *listener;
	struct log_ctx log;
	enum ms_state state;
	struct ms_grammar grammar;
	struct timer deadline;          /* of everything before login */
	struct ms_door *door;           /* until login */
	struct auth_identity *identity;
	struct roster_guest guest;      /* once there is one */
	struct scripts *scripts;        /* from login on; while a job runs it is the job's */
	struct buf reply;               /* a long one on its way out */
	size_t reply_at;
	uint64_t began_ms;
	uint32_t bad, commands;
	bool is_job_running;
	const char *end_reason;
	struct ms_session *next, **at;
};

/* ---- replies ---- */

/** ms_reply - "NO (CODE) \"text\"": word OK, NO or BYE; code may be NULL; text in any octets. */
enum ms_step ms_reply(struct ms_session *s, const char *word, const char *code, struct sv text);
/** ms_ok, ms_no - the usual ones. */
enum ms_step ms_ok(struct ms_session *s, const char *text);
enum ms_step ms_no(struct ms_session *s, const char *code, const char *text);
/** ms_fault - a fault of the store, worded. */
enum ms_step ms_fault(struct ms_session *s, const char *what, struct fault f);
/** ms_put_string - append a string as the server may send it: quoted, or a literal. */
bool ms_put_string(struct buf *out, struct sv text);
/** ms_send - a reply of any length; takes the buffer. */
enum ms_step ms_send(struct ms_session *s, struct buf *out);
/** ms_capabilities - the lines of CAPABILITY, and an OK. */
enum ms_step ms_capabilities(struct ms_session *s);
/** ms_next - a job or timer has answered: go on. */
void ms_next(struct ms_session *s, enum ms_step step);
/** ms_enter - the one place where a state is set. */
void ms_enter(struct ms_session *s, enum ms_state state);

/* ---- jobs ---- */

struct ms_job {
	struct work work;
	struct ms_session *session;     /* run() looks at its house and identity only */
	struct scripts *scripts;
	void (*run)(struct ms_job *job);
	enum ms_step (*finish)(struct ms_session *s, struct ms_job *job);
	struct buf name, text;          /* copies of the arguments */
	uint32_t size;
	struct buf out;
	struct sieve_errors errors;
	struct scripts_quota quota;
	struct fault result;
};
struct ms_job *ms_job_new(struct ms_session *s, void (*run)(struct ms_job *), enum ms_step (*finish)(struct ms_session *, struct ms_job *));
enum ms_step ms_job_start(struct ms_session *s, struct ms_job *job);

/* ---- managesieve_door.c ---- */
void ms_door_open(struct ms_session *s);
void ms_door_close(struct ms_session *s);
bool ms_door_expects_response(const struct ms_session *s);
enum ms_step ms_door_response(struct ms_session *s, bool is_good);
/** ms_door_mechanisms - append them. */
void ms_door_mechanisms(struct ms_session *s, struct buf *out);
bool ms_door_has_starttls(const struct ms_session *s);
enum ms_step ms_do_authenticate(struct ms_session *s);
enum ms_step ms_do_starttls(struct ms_session *s);

/* ---- managesieve_room.c ---- */
/** ms_room_enter - open the account's scripts; the answer to AUTHENTICATE follows. */
enum ms_step ms_room_enter(struct ms_session *s);
enum ms_step ms_do_checkscript(struct ms_session *s);
enum ms_step ms_do_deletescript(struct ms_session *s);
enum ms_step ms_do_getscript(struct ms_session *s);
enum ms_step ms_do_havespace(struct ms_session *s);
enum ms_step ms_do_listscripts(struct ms_session *s);
enum ms_step ms_do_putscript(struct ms_session *s);
enum ms_step ms_do_renamescript(struct ms_session *s);
enum ms_step ms_do_setactive(struct ms_session *s);
enum ms_step ms_do_unauthenticate(struct ms_session *s);

#endif
