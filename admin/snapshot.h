/* admin/snapshot.h - backups on disk.
 *
 *   DIR/2026-11-21T201530Z/    a finished backup: what an instance holds, without its indexes
 *       manifest               "postroom-backup 1", a line per file (SHA-256, octets, inode, path), "end N"
 *       format postroom.conf directory/ keys/ tls/ queue/ mail/
 *   DIR/unfinished-...         one that was cut off; the next run removes it
 *
 * A backup is finished when it has its name. Files are never changed afterwards; the next backup links to them. */
#ifndef ADMIN_SNAPSHOT_H
#define ADMIN_SNAPSHOT_H

#include "admin/print.h"
#include "common/fault.h"

#define SNAPSHOT_UNFINISHED "unfinished-"
#define SNAPSHOT_PATH_MAX 4096

/** snapshot_find - the backup that DIR names: DIR itself, or the newest finished one in it. False when there is none. */
bool snapshot_find(const char *dir, char out[SNAPSHOT_PATH_MAX]);
/** snapshot_remove_unfinished - what a failed run left. */
void snapshot_remove_unfinished(const char *dir);
/** snapshot_remove - a folder with all in it. */
void snapshot_remove(const char *path);

/** copy_file - one file, flushed, with its mode; symbolic links are followed. FAULT_NOT_FOUND when it is not there. */
MUST_CHECK struct fault copy_file(const char *from, const char *to);
/** copy_tree - a folder and the files in it. LMDB files and sockets are left out. @link: hard links where possible. A file that
 *  vanishes meanwhile is left out. A missing folder is fine. */
MUST_CHECK struct fault copy_tree(const char *from, const char *to, bool link);

/** manifest_write - read every file below root, write root/manifest durably. Files that `previous` (may be NULL) lists under the
 *  same inode are not read again. */
MUST_CHECK struct fault manifest_write(const char *root, const char *previous, struct progress *progress, uint64_t *files);

typedef void manifest_difference_fn(void *arg, const char *path, const char *what);
/** manifest_check - read every file again and compare: size, SHA-256, missing, not listed. FAULT_CORRUPT when the manifest
 *  itself is damaged or cut. */
MUST_CHECK struct fault manifest_check(const char *root, struct progress *progress, manifest_difference_fn *fn, void *arg,
				       uint64_t *files);

#endif
