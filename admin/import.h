/* admin/import.h - the mail of one account out of another server's files, as a part of more. */
#ifndef ADMIN_IMPORT_H
#define ADMIN_IMPORT_H

#include "admin/cli.h"
#include "maildir/import.h"

/** import_maildir - a Maildir becomes an account's mail (maildir/import.h), also one that lies in the account's own place. Tells its
 *  error, returns an exit code. options->path is changed on the way. */
int import_maildir(struct cli *cli, const char *address, struct import_options *options, const struct import_events *events);

#endif
