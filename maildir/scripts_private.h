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

#endif
