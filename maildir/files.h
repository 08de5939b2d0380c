/* maildir/files.h - the few ways in which the store touches files, each relative to a folder it has open.
 * Paths never follow a symbolic link in any component (openat2 with RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH where the kernel
 * has it, O_NOFOLLOW step by step where not), and only regular files are read. All of it blocks; any thread. */
#ifndef MAILDIR_FILES_H
#define MAILDIR_FILES_H

#include <sys/stat.h>

#include "common/bytes.h"
#include "common/fault.h"

struct zstd_reader;

#define FILES_TEMP_LEN 80       /* room for a name made by files_temp_name() */

/** files_open - open a file or folder below `dir`. `flags` as for open(2); O_NOFOLLOW and O_CLOEXEC are added.
 *  Returns -1 with errno. */
int files_open(int dir, const char *path, int flags, mode_t mode);
/** files_open_regular - for reading; FAULT_CORRUPT when it is no regular file. */
MUST_CHECK struct fault files_open_regular(int dir, const char *path, int *out);
/** files_open_sized - likewise, and how large it is. */
MUST_CHECK struct fault files_open_sized(int dir, const char *path, int *out, uint64_t *size);
/** files_unpacked_reader - reads a message's file that was packed (common/zstd.h): its size is not that of the message, and it begins
 *  so. NULL: it has the octets themselves, or is damaged. zstd_reader_free() ends it; fd is borrowed. */
struct zstd_reader *files_unpacked_reader(int fd, uint64_t octets);
/** files_is_packed - is it a packed file that stands for so many octets? Reads all of it. */
bool files_is_packed(int fd, uint64_t octets);
/** files_read - append a whole file; FAULT_LIMIT when out's max is too small. */
MUST_CHECK struct fault files_read(int dir, const char *path, struct buf *out);
/** files_temp_name - prefix, a dot, and what no other process or thread uses. */
void files_temp_name(const char *prefix, char out[FILES_TEMP_LEN]);
/** files_write_new - write and flush a new file (mode `mode`). On a fault it is removed. */
MUST_CHECK struct fault files_write_new(int dir, const char *path, struct sv content, mode_t mode);
/** files_replace - the same, and only then in the place of what is there (nothing, too): at every moment the file is the old one or the
 *  new one. The name is durable after files_sync_dir(). */
MUST_CHECK struct fault files_replace(int dir, const char *path, struct sv content, mode_t mode);
/** files_write_unflushed - likewise, to be flushed by files_sync_file() later: many new files then share a journal commit. */
MUST_CHECK struct fault files_write_unflushed(int dir, const char *path, struct sv content, mode_t mode);
/** files_sync_file - flush a file's octets and its existence. */
MUST_CHECK struct fault files_sync_file(int dir, const char *path);
/** files_write_all - every octet to a descriptor, whatever write(2) takes at a time. */
MUST_CHECK struct fault files_write_all(int fd, struct sv octets);
/** files_mkdir - make one folder; being there already is fine. *made (may be NULL) says which. */
MUST_CHECK struct fault files_mkdir(int dir, const char *path, mode_t mode, bool *made);
/** files_sync_dir - flush a folder's names. */
MUST_CHECK struct fault files_sync_dir(int dir, const char *path);
/** files_rename_new - rename which never replaces: FAULT_EXISTS. Falls back to link and unlink where the file system
 *  knows no RENAME_NOREPLACE (folders: to a check and a plain rename). */
MUST_CHECK struct fault files_rename_new(int from_dir, const char *from, int to_dir, const char *to);
/** files_exists - by the name itself, not through a link. */
bool files_exists(int dir, const char *path);
/** files_mtime - a folder's modification time in nanoseconds; 0 when it cannot be read. */
int64_t files_mtime(int dir, const char *path);
/** files_is_fresh - is this modification time so young that a change which comes only now may leave the same one? It goes by the
 *  ticks of the kernel's clock, which are 10 ms at most. So is one in the near future: a clock that was put back, or a file server's. */
bool files_is_fresh(int64_t mtime);
/** files_remove_tree - remove a folder and what is in it, a few levels deep, without following links. */
void files_remove_tree(int dir, const char *path);
/** files_each - call fn for each name but . and .. until it returns false. type is d_type (DT_UNKNOWN is resolved). */
typedef bool files_each_fn(void *arg, const char *name, unsigned char type);
MUST_CHECK struct fault files_each(int dir, const char *path, files_each_fn *fn, void *arg);

#endif
