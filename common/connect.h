/* common/connect.h - a connection on its way to somebody else, without blocking. Loop thread only.
 */
#ifndef COMMON_CONNECT_H
#define COMMON_CONNECT_H

#include "common/fault.h"
#include "common/loop.h"
#include "common/netaddr.h"

struct connector;

/** Called once, in a later turn of the loop. fd: a connected, non-blocking socket that is the
 *  callee's now; -1 with a fault (FAULT_UNAVAILABLE; its detail says why: "Connection refused",
 *  "no answer in time"). The connector is gone. */
typedef void connect_fn(void *arg, int fd, struct fault f);

/** connect_to, connect_to_path - over TCP; to a unix socket. @out: for connect_forget(); NULL: never forgotten. */
void connect_to(struct loop *loop, const struct netaddr *to, uint32_t timeout_ms, connect_fn *fn, void *arg, struct connector **out);
void connect_to_path(struct loop *loop, const char *path, uint32_t timeout_ms, connect_fn *fn, void *arg, struct connector **out);
/** connect_forget - do not call. Sets *connector to NULL. NULL is fine. */
void connect_forget(struct connector **connector);

#endif
