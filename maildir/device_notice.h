/* maildir/device_notice.h - a message into an account's own INBOX at the first login from a new device. Blocks: a worker's job. */
#ifndef MAILDIR_DEVICE_NOTICE_H
#define MAILDIR_DEVICE_NOTICE_H

#include "common/directory.h"
#include "common/logins.h"
#include "maildir/store.h"

/* Where it goes. Borrowed, and there as long as logins are written down. */
struct device_notice {
	struct directory *directory;
	struct store *store;
};

/** device_notice - a logins_new_fn; @arg: struct device_notice. A failure is logged, nobody waits for it. */
void device_notice(void *arg, const struct logins_device *device);

#endif
