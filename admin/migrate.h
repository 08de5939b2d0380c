/* admin/migrate.h - an instance of an older format becomes one of this program's (common/instance.h), and goes back.
 *
 *   ROOT/before-2/     the snapshot: an instance of format 1 but for its mail, queue and events, which no step changes: format
 *                      postroom.conf directory/ keys/ tls/ sieve/
 *   ROOT/migrating     from the stamp of the new format on until all steps are done. Nobody else opens the instance meanwhile: an older
 *                      program refuses the stamp, this one the file
 *
 * Whenever it is cut off, the next call goes on: without the stamp from the beginning, with a new snapshot, since the older program may have
 * run; with the stamp from the first step, since each may be repeated. A step that fails, on a full disk for one, puts the stamp back.
 * Blocks. Only one process at a time: whoever holds the pid file of `postroom`, with no daemon beside but former ones. */
#ifndef ADMIN_MIGRATE_H
#define ADMIN_MIGRATE_H

#include "common/fault.h"
#include "common/instance.h"

#define MIGRATE_PATH_MAX 4096

/** Called before each thing that is done. */
typedef void migrate_note_fn(void *arg, const char *what);

/** migrate_is_needed - is it of an older format, or between two? */
bool migrate_is_needed(const struct instance *instance);
/** migrate_run - on a fault the instance is what it was, unless migrate_is_unfinished(). @note: may be NULL. */
MUST_CHECK struct fault migrate_run(struct instance *instance, migrate_note_fn *note, void *arg);
/** migrate_is_unfinished - it can only go on. */
bool migrate_is_unfinished(const struct instance *instance);
/** migrate_snapshot - ROOT/before-N of the format that the instance has. */
void migrate_snapshot(const struct instance *instance, char out[MIGRATE_PATH_MAX]);
/** migrate_back - the snapshot is in force again, for the older program; mail, queue and events stay, and the directory of accounts as it was
 *  just now lies in the snapshot's folder (directory-2.mdb). FAULT_NOT_FOUND: there is none. */
MUST_CHECK struct fault migrate_back(struct instance *instance, migrate_note_fn *note, void *arg);

#endif
