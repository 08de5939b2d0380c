/* imapd/door.h - an IMAP connection before login: greeting, CAPABILITY, ID, NOOP, STARTTLS, LOGIN,
 * AUTHENTICATE, LOGOUT.
 *
 * The door knows the stream and the authenticator and nothing of mailboxes. All it hands on is an
 * identity, with the stream and the parser. What a stranger can cost is bounded here: one deadline
 * for everything before login, small limits for lines and literals, lists one level deep, three
 * wrong commands, three wrong passwords. Loop thread only; password checks run as jobs. */
#ifndef IMAPD_DOOR_H
#define IMAPD_DOOR_H

#include "common/auth.h"
#include "common/conf.h"
#include "common/control.h"
#include "common/listener.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/stream.h"
#include "imapd/capability.h"
#include "imapd/client.h"
#include "imapd/grammar.h"

struct door;
struct kick;

/* What all doors of a worker share. The pointers are read at each use: a reload may change them. */
struct door_house {
	struct loop *loop;
	struct conf *conf;
	struct auth *auth;
	struct tls_server *tls;         /* NULL: no STARTTLS */
	capability_set on;
	/* Somebody proved who they are: open their account, then call door_leave() or
	 * door_refuse(), now or later. */
	void (*enter)(struct door *door, struct auth_identity *identity, void *user);
	/* The stream of a door that waits for that is gone: do not call it any more. */
	void (*gone)(struct door *door, void *user);
	void *user;
	struct door *doors;             /* all that are open */
};

/** door_open - take over a new connection. */
void door_open(struct door_house *house, struct stream *stream, const struct listener *listener);

/** door_reopen - somebody went out again (RFC 8437): the stream is a stranger's, without a greeting. @log: the session's, copied. */
void door_reopen(struct door_house *house, struct stream *stream, const struct log_ctx *log);

/* What goes on into the room. */
struct door_handover {
	struct stream *stream;
	struct grammar grammar;
	struct log_ctx log;
	struct sv tag; /* of the login command: heap, free() it; the answer is still owed */
	struct client client;
	uint64_t opened_ms;
};
/** door_leave - the account is open: everything is the caller's now, the door ends. */
void door_leave(struct door **door, struct door_handover *out);
/** door_refuse - the account could not be opened: answer the login, stay at the door. */
void door_refuse(struct door *door, struct fault f);
/** door_turn_away - likewise when its address has too many sessions. */
void door_turn_away(struct door *d);
/** door_close - say BYE and end it. */
void door_close(struct door **door, const char *bye);
/** door_describe_all - for the control verb `sessions`: a line for each. False: nobody reads them any more. */
bool door_describe_all(const struct door_house *house, struct control_reply *reply);
/** door_kick - end the doors that it names; returns how many. */
size_t door_kick(struct door_house *house, const struct kick *kick);
/** door_stream - for those who count who comes in. */
struct stream *door_stream(const struct door *d);
/** door_log - for those who open the account. */
const struct log_ctx *door_log(const struct door *door);

#endif
