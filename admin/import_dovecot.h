/* admin/import_dovecot.h - a whole server of Dovecot and Postfix moved here, by the same ways in as its parts. */
#ifndef ADMIN_IMPORT_DOVECOT_H
#define ADMIN_IMPORT_DOVECOT_H

#include "admin/cli.h"

/** import_dovecot - run `postroom import dovecot`. Reads settings and passwords before it becomes the instance's owner. */
int import_dovecot(struct cli *cli);

#endif
