/* webd/session.h - one connection: requests in, one at a time, answers out. Loop thread only. */
#ifndef WEBD_SESSION_H
#define WEBD_SESSION_H

#include "common/listener.h"

struct session;
struct web_server;

/** session_start - a listener_fn; @server: struct web_server. */
void session_start(struct stream *stream, const struct listener *listener, void *server);
/** session_stop_all - those without a job end now, the others when they have answered. */
void session_stop_all(struct web_server *server);

#endif
