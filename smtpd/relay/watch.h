/* smtpd/relay/watch.h - a folder is watched for files that come. Loop thread only. */
#ifndef SMTPD_RELAY_WATCH_H
#define SMTPD_RELAY_WATCH_H

#include "common/fault.h"
#include "common/loop.h"

struct watch;

struct watch_events {
	/* Somebody who wrote it has closed it, or it was moved here. What is moved here by who still has it open for writing, as a message
	 * is whose sender waits for his 250, is told of when that one closes it: nobody else could work on it before. */
	void (*on_file)(void *arg, const char *name);
	void (*on_overflow)(void *arg);                 /* some were missed: look for yourself */
};
MUST_CHECK struct fault watch_new(struct loop *loop, const char *folder,
				  const struct watch_events *events, void *arg, struct watch **out);
/** watch_look - tell of all that has come until now, without waiting for a turn of the loop. */
void watch_look(struct watch *w);
void watch_free(struct watch **w);

#endif
