/* admin/alias_import.h - aliases out of another server's file. */
#ifndef ADMIN_ALIAS_IMPORT_H
#define ADMIN_ALIAS_IMPORT_H

#include "admin/bulk.h"

/** alias_import - run `postroom alias import`. */
int alias_import(struct cli *cli);
/** alias_import_from - the same, as a part of more. */
int alias_import_from(struct cli *cli, const struct bulk_source *source, struct bulk_counts *counts);

#endif
