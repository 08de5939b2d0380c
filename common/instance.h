/* common/instance.h - an instance on disk: where everything lies, what version it has, who runs it.
 *
 *   ROOT/format               "postroom 2": written last when an instance is made
 *   ROOT/migrating            there while an instance is brought to a newer format (admin/migrate.h)
 *   ROOT/postroom.conf        may be a symbolic link into /etc
 *   ROOT/directory/           account directory (LMDB, synced)
 *   ROOT/mail/DOMAIN/USER/    Maildir/ and index/
 *   ROOT/queue/               spool files, and LMDB made from them
 *   ROOT/sieve/               mail filters for everybody (doc/sieve.md); may be missing
 *   ROOT/events/              what happened (LMDB with a retention)
 *   ROOT/keys/ ROOT/tls/      DKIM and TLS keys, certificates
 *   ROOT/issuer/              keys of the OpenID issuer, as they were fetched (common/issuer.h)
 *   ROOT/run/                 control sockets, pid files
 *
 * Everything blocks. An open instance does not change: any thread may read it. */
#ifndef COMMON_INSTANCE_H
#define COMMON_INSTANCE_H

#include <stdint.h>
#include <sys/types.h>

#include "common/bytes.h"
#include "common/fault.h"

#define INSTANCE_FORMAT 2       /* what this program writes, and the newest it reads */

enum instance_place {
	INSTANCE_ROOT = 0,
	INSTANCE_FORMAT_FILE,
	INSTANCE_CONF,
	INSTANCE_DIRECTORY,
	INSTANCE_MAIL,
	INSTANCE_QUEUE,
	INSTANCE_SIEVE,
	INSTANCE_EVENTS,
	INSTANCE_KEYS,
	INSTANCE_TLS,
	INSTANCE_TLS_CERT,
	INSTANCE_TLS_KEY,
	INSTANCE_ISSUER,
	INSTANCE_RUN,
	INSTANCE_MIGRATING,
	INSTANCE_PLACES,
};

struct instance;

/**
 * instance_open - look at an instance before it is used.
 * @root: its folder; made absolute
 * @out:  the caller owns it
 * Errors: FAULT_NOT_FOUND (there is no instance), FAULT_UNSUPPORTED (made by a newer program),
 * FAULT_DENIED (the folder or a secret in it is open to others, or belongs to somebody else than
 * us), FAULT_BUSY (it is between two formats), FAULT_CORRUPT, FAULT_INTERNAL. The detail is a sentence for the person at the keyboard. */
MUST_CHECK struct fault instance_open(const char *root, struct instance **out);
/** instance_open_to_migrate - also one that is between two formats. */
MUST_CHECK struct fault instance_open_to_migrate(const char *root, struct instance **out);
/** instance_format - which it has; changed by instance_stamp() alone. */
uint32_t instance_format(const struct instance *instance);
/** instance_format_read - of a format file: a backup's, for one. FAULT_NOT_FOUND, FAULT_CORRUPT, FAULT_UNSUPPORTED: newer than this program. */
MUST_CHECK struct fault instance_format_read(const char *path, uint32_t *format);
void instance_close(struct instance **instance);
/**
 * instance_create - make ROOT and the folders in it, mode 0700. The instance exists once
 * instance_seal() was called. Errors: FAULT_EXISTS (ROOT is an instance already, or a folder with
 * other things in it), from errno. */
MUST_CHECK struct fault instance_create(const char *root, struct instance **out);
/** instance_seal - write the format file, durably: from now on it is an instance. */
MUST_CHECK struct fault instance_seal(struct instance *instance);
/** instance_stamp - the same with an older format: of what was restored, or is being migrated. */
MUST_CHECK struct fault instance_stamp(struct instance *instance, uint32_t format);
/** instance_make_folders - those that are missing. Made by whoever calls, who is the instance's owner. */
MUST_CHECK struct fault instance_make_folders(const struct instance *instance);

/**
 * instance_settle_run - called by who is about to serve. Where run/ can only be read, or its disk is full, pid files, sockets and counters go to a folder in memory,
 * /dev/shm/postroom-UID-DEVICE-INODE (of ROOT), instead: whoever opens the instance then finds them there. When run/ can be written again, and
 * nobody serves there, it goes.
 */
MUST_CHECK struct fault instance_settle_run(struct instance *instance);
/** instance_leave_run - whoever has served ends: a folder in memory goes, unless somebody else serves there. */
void instance_leave_run(const struct instance *instance);
/** instance_read_only - the first place that can only be read, where mail or queue are among them: no mail is taken then. NULL: none. Borrowed. */
const char *instance_read_only(const struct instance *instance);

/** instance_path - absolute path of a place; borrowed from the instance. */
const char *instance_path(const struct instance *instance, enum instance_place place);
/** instance_run_path - ROOT/run/NAME and SUFFIX ("smtpd", ".sock"); the caller frees it. */
char *instance_run_path(const struct instance *instance, const char *name, const char *suffix);

/* A process that may run once per instance holds run/NAME.pid, locked for its life. */
struct pidfile {
	int fd;         /* -1: not held */
	char *path;
};
#define PIDFILE_NONE ((struct pidfile){ -1, NULL })

/** pidfile_take - Errors: FAULT_IN_USE ("smtpd runs already, as process 4711"), from errno. */
MUST_CHECK struct fault pidfile_take(const struct instance *instance, const char *name,
				     struct pidfile *out);
/** pidfile_keep - take over the descriptor of one that this process took before it executed another program; closed when it is no such (any
 *  more), and then another one may be taken. Errors: FAULT_NOT_FOUND. */
MUST_CHECK struct fault pidfile_keep(const struct instance *instance, const char *name, int fd, struct pidfile *out);
/** pidfile_drop - remove it. Fine when not held. */
void pidfile_drop(struct pidfile *pidfile);
/** pidfile_holder - the process that holds run/NAME.pid now; 0 when none does. */
pid_t pidfile_holder(const struct instance *instance, const char *name);
/** pidfile_holder_at - the same of an instance that is not open yet. */
pid_t pidfile_holder_at(const char *root, const char *name);

#endif
