/* webd/status.h - the status page: how the server is, and how the last day was, for the administrator on this machine. It changes
 * nothing. */
#ifndef WEBD_STATUS_H
#define WEBD_STATUS_H

#include <pthread.h>

#include "common/chore.h"
#include "webd/routes.h"

struct history;

/* Samples, each minute and with each page; kept in ROOT/events/hours. Lives as long as the worker. */
struct status_recorder {
	const struct instance *instance;
	struct history *history;
	struct chore chore;
	pthread_mutex_t asking;         /* one at a time asks and adds: an older answer behind a newer one would look like a restart */
	unsigned samples;
};
/** status_recorder_open - with what was kept. Blocks. */
void status_recorder_open(struct status_recorder *r, const struct instance *instance);
void status_recorder_start(struct status_recorder *r, struct loop *loop);
/** status_recorder_close - behind the loop's end. */
void status_recorder_close(struct status_recorder *r);

/** status_show - a handler: only from this machine, only under its own name, and not passed on, so that neither a web server in front nor
 *  a name that an attacker lets point here shows it to others. Else 404. A web server that neither keeps the Host header nor says that it
 *  passes something on cannot be told from a browser here. */
void status_show(const struct route_context *ctx, const struct request *q, struct response *out);

#endif
