/* smtpd/door.h - what speaks to a peer before it is somebody: greeting, STARTTLS, AUTH.
 *
 * The door knows the stream and the authenticator and nothing of mail. It hands over one thing: an
 * identity. The session around it lends it the reading of lines and the writing of replies. Loop
 * thread only. */
#ifndef SMTPD_DOOR_H
#define SMTPD_DOOR_H

#include "common/auth_job.h"
#include "common/conf.h"
#include "common/identity.h"
#include "common/listener.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/roster.h"
#include "common/stream.h"
#include "smtpd/reply.h"

struct door_events {
	/* Write a reply and log a refusal. */
	void (*say)(void *user, enum reply_id reply);
	/* Greet: commands may come from now on. */
	void (*on_open)(void *user);
	/* STARTTLS is done: what was learned in clear is forgotten (RFC 3207 §4.2). */
	void (*on_tls)(void *user);
	/* An AUTH exchange has ended, well (door->identity is set) or not; commands may come. */
	void (*on_auth_end)(void *user);
	/* The user has too many sessions, and this one was silent for longest. */
	void (*evict)(void *user);
	/* End the connection after what was said. */
	void (*close)(void *user, const char *reason);
};

enum door_state {
	DOOR_SHUT = 0, /* handshake of implicit TLS, or the pause before the greeting: nobody may
			  speak */
	DOOR_OPEN,
	DOOR_TLS,       /* handshake after STARTTLS */
	DOOR_AUTH_LINE, /* the next line is an answer to our challenge */
	DOOR_AUTH_JOB,  /* checking; or holding the answer back */
};

struct door {
	struct stream *stream;          /* NULL once the connection is gone */
	struct loop *loop;
	const struct listener *listener;
	struct conf *conf;              /* the session's */
	struct auth *auth;
	struct roster *roster;
	struct tls_server *tls;
	const struct log_ctx *log;
	const char *helo;               /* what the peer calls itself now; "": nothing yet */
	const struct door_events *events;
	void *user;
	struct auth_identity *device;   /* on legacy: who sends without a login; the door's, NULL: nobody */
	enum door_state state;
	struct auth_session *exchange;  /* of this side of STARTTLS; NULL until needed */
	struct auth_job *job;           /* runs */
	enum reply_id held;             /* DOOR_AUTH_JOB: told when `pause` is over */
	struct auth_identity *identity; /* the whole point; NULL: a stranger */
	struct roster_guest guest;      /* once there is one */
	uint32_t failures;
	struct timer pause; /* before the greeting; before the answer to a wrong login */
	struct timer deadline;          /* for logging in */
};

/** door_init - begin: the greeting comes when the peer has shown that it waits for it. The struct's
 * first members are set by the caller: stream to device. */
void door_init(struct door *d);
/** door_done - the connection ends; a running job goes on without us. */
void door_done(struct door *d);

/** door_is_login - does this listener know AUTH at all? */
bool door_is_login(const struct door *d);
/** door_identity - as whom the peer may send: who logged in, or a device that need not. NULL: nobody yet. */
const struct auth_identity *door_identity(const struct door *d);
/** door_is_tls - is the connection encrypted now? */
bool door_is_tls(const struct door *d);
/** door_input - octets came while the door is shut: nobody may speak yet. */
void door_input(struct door *d);
/** door_tls_done - the stream's handshake is over. */
void door_tls_done(struct door *d);
/** door_offers - append the EHLO lines for STARTTLS and AUTH, each "250-KEYWORD ...\r\n"'s middle
 * part and a '\n'. */
void door_offers(const struct door *d, struct buf *out);

/** door_start_tls - STARTTLS. */
void door_start_tls(struct door *d);
/** door_auth - AUTH with its arguments (RFC 4954 §4). */
void door_auth(struct door *d, struct sv args);
/** door_wants_line - the next line is not a command. */
static inline bool door_wants_line(const struct door *d)
{
	return d->state == DOOR_AUTH_LINE;
}
/** door_line - that line, without its CRLF; is_bad: it broke a rule of lines. */
void door_line(struct door *d, struct sv line, bool is_bad);

#endif
