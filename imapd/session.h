/* imapd/session.h - an IMAP session after login: it reads commands one at a time, has them run as
 * jobs, and writes what they put out; commands that wait behind are kept by the stream, whose input
 * is bounded.
 *
 * Who may touch what: the loop owns the session, the stream and the parser; while a job runs, the
 * command and the room are the job's. session_enter() alone sets a state. A session is freed when
 * its last job is done. Loop thread only. */
#ifndef IMAPD_SESSION_H
#define IMAPD_SESSION_H

#include "common/control.h"
#include "common/identity.h"
#include "imapd/door.h"
#include "imapd/room.h"

struct session;

/* What all sessions of a worker share. */
struct filters;
struct kick;
struct logins;
struct roster;
struct training;

struct session_house {
	struct loop *loop;
	struct conf *conf;
	struct store *store;
	struct directory *directory;
	struct filters *filters;
	struct training *training;
	struct roster *roster;
	struct logins *logins;          /* NULL: nobody writes down who logged in */
	capability_set on;
	struct session *sessions;       /* all that are open */
	size_t count;
	uint64_t commands;              /* answered since start */
	bool is_stopping;
	/* The stream is a stranger's again (RFC 8437). @log: borrowed for the call. */
	void (*unauthenticated)(struct stream *stream, const struct log_ctx *log, void *user);
	void (*empty)(void *user);      /* the last session ended while stopping */
	void *user;
};

/** session_begin - somebody logged in: open their account in a job, then take over from the door.
 * Takes the identity. */
void session_begin(struct session_house *house, struct door *door, struct auth_identity *identity);
/** session_door_gone - the door of a session that still opens its account has closed. */
void session_door_gone(struct session_house *house, struct door *door);
/** session_notice - something may have changed in the account of the session that this tag names.
 */
void session_notice(void *tag);
/** session_describe_all - for the control verb `sessions`: a line for each. False: nobody reads them any more. */
bool session_describe_all(const struct session_house *house, struct control_reply *reply);
/** session_kick - say BYE to those that it names, whatever they do; returns how many. */
size_t session_kick(struct session_house *house, const struct kick *kick);
/** session_stop_all - say BYE to everybody who is not in the middle of a command; the others end
 * behind it. */
void session_stop_all(struct session_house *house);

#endif
