/* admin/account_import.h - accounts out of another server's file. */
#ifndef ADMIN_ACCOUNT_IMPORT_H
#define ADMIN_ACCOUNT_IMPORT_H

#include "admin/bulk.h"

/** account_import - run `postroom account import`. @iterations: of the accounts' own verifiers */
int account_import(struct cli *cli, uint32_t iterations);
/** account_import_from - a passwd-file of Dovecot, as a part of more. @scheme: of passwords that name none; empty: CRYPT */
int account_import_from(struct cli *cli, const struct bulk_source *source, struct sv scheme, struct bulk_counts *counts);
/** account_iterations - how much work a new verifier is to cost, as the configuration says. */
uint32_t account_iterations(struct cli *cli);
/** account_export - run `postroom account export`. */
int account_export(struct cli *cli);

#endif
