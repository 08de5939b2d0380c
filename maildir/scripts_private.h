/* maildir/scripts_private.h - what scripts.c and scripts_seen.c share. */
#ifndef MAILDIR_SCRIPTS_PRIVATE_H
#define MAILDIR_SCRIPTS_PRIVATE_H

#include <sys/types.h>

#include "maildir/scripts.h"

#define SCRIPTS_FOLDER "sieve"

struct scripts {
	int dir;                        /* the account's folder */
	mode_t mode_dir, mode_file;
};

/** scripts_backup - copy the scripts of the account folder `from` into `to`. A link is no file that a backup can vouch for: which one is
 *  active stands in a file sieve/.active there. Nothing is flushed. */
MUST_CHECK struct fault scripts_backup(int from, int to);
/** scripts_restored - in a folder that was restored, make the link again. */
MUST_CHECK struct fault scripts_restored(int account);

#endif
