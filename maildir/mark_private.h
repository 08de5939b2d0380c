/* maildir/mark_private.h - the dirty mark: is an index that was written without flushing still to be trusted?
 *
 * `dirty -> <boot id>:<inode of the index folder>` lies in the index folder from before the first commit until a sweep, long after, found the index
 * flushed and unchanged. A mark of another boot means that power failed in between: such an index may open
 * without an error and hold wrong data, so it is made anew, whatever a check might say. Any thread. */
#ifndef MAILDIR_MARK_PRIVATE_H
#define MAILDIR_MARK_PRIVATE_H

#include "common/bytes.h"
#include "common/fault.h"

#define MARK_NAME "dirty"
#define BOOT_ID_MAX 64

enum mark_state {
	MARK_NONE = 0,
	MARK_THIS_BOOT,
	MARK_OTHER_BOOT,
	MARK_COPIED,                    /* made in another folder: a restored tree, of which nobody knows how old it is */
};

/** mark_boot_id - what identifies this boot, NUL-terminated. Tests replace it. */
extern void (*mark_boot_id)(char out[BOOT_ID_MAX]);

enum mark_state mark_look(int index_dir);
/** mark_set - make the mark if it is missing. *made says whether the folder must be flushed before the next commit. */
MUST_CHECK struct fault mark_set(int index_dir, bool *made);
void mark_clear(int index_dir);

#endif
