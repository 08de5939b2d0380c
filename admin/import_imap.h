/* admin/import_imap.h - accounts of other IMAP servers moved here: one that is named, or all of a table. */
#ifndef ADMIN_IMPORT_IMAP_H
#define ADMIN_IMPORT_IMAP_H

#include "admin/cli.h"

/** import_imap - run `postroom import imap`. Reads passwords before it becomes the instance's owner. */
int import_imap(struct cli *cli);

#endif
