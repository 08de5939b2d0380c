/* admin/alias_import.h - aliases out of another server's file. */
#ifndef ADMIN_ALIAS_IMPORT_H
#define ADMIN_ALIAS_IMPORT_H

#include "admin/cli.h"

/** alias_import - run `postroom alias import`. */
int alias_import(struct cli *cli);

#endif
