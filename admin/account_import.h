/* admin/account_import.h - accounts out of another server's file. */
#ifndef ADMIN_ACCOUNT_IMPORT_H
#define ADMIN_ACCOUNT_IMPORT_H

#include "admin/cli.h"

/** account_import - run `postroom account import`. @iterations: of the accounts' own verifiers */
int account_import(struct cli *cli, uint32_t iterations);
/** account_export - run `postroom account export`. */
int account_export(struct cli *cli);

#endif
