/* common/textfile.h - small files written whole and durably: keys, states, caches. Everything blocks; any thread. */
#ifndef COMMON_TEXTFILE_H
#define COMMON_TEXTFILE_H

#include <sys/types.h>

#include "common/bytes.h"
#include "common/fault.h"

/** textfile_make - a new file, flushed; its name is the caller's to make durable (textfile_sync_dir). Nothing is left of one
 *  that could not be written. FAULT_EXISTS, from errno. */
MUST_CHECK struct fault textfile_make(const char *path, struct sv text, mode_t mode);
/** textfile_replace - the file has this text, or what it had before, whatever happens in between; durable. Mode 0600. */
MUST_CHECK struct fault textfile_replace(const char *path, struct sv text);
/** textfile_rewrite - the same with a file that is somebody else's to look after: it keeps its mode and, where we may, its owner and group. */
MUST_CHECK struct fault textfile_rewrite(const char *path, struct sv text);
/** textfile_read - append all of it. FAULT_LIMIT: out's max. FAULT_NOT_FOUND, from errno. */
MUST_CHECK struct fault textfile_read(const char *path, struct buf *out);
/** textfile_sync_dir - what was made, renamed and removed in a folder is durable. */
MUST_CHECK struct fault textfile_sync_dir(const char *dir);

#endif
