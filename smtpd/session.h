/* smtpd/session.h - one connection. Loop thread only. */
#ifndef SMTPD_SESSION_H
#define SMTPD_SESSION_H

#include "common/json.h"
#include "common/listener.h"
#include "smtpd/smtpd.h"

/** session_start - a listener_fn: take over a new connection; user is the struct smtpd. */
void session_start(struct stream *stream, const struct listener *listener, void *user);
/** session_stop - end it as soon as it does nothing that a peer waits for. */
void session_stop(struct session *s);
/** session_free - when the loop is gone and with it every stream: release what is left. */
void session_free(struct session **s);
struct session *session_next_of(const struct session *s);
struct kick;
/** session_kick - end it, whatever it does, if it is named; a message that was not accepted yet is not taken. */
bool session_kick(struct session *s, const struct kick *kick);
/** session_is_open - has it a connection? */
bool session_is_open(const struct session *s);
/** session_describe - for the control verb `sessions`: members of one line. It has a connection. */
void session_describe(const struct session *s, struct json_out *j);

#endif
