/* admin/credential.h - what an account has beside its password: app passwords and clients' certificates, listed and taken back alike. */
#ifndef ADMIN_CREDENTIAL_H
#define ADMIN_CREDENTIAL_H

#include "admin/cli.h"
#include "admin/print.h"
#include "common/directory.h"

struct logins;
/** credential_table - those of one kind; end it with table_end(). @logins: when they were used last; NULL: nobody has logged in yet. */
struct table *credential_table(const struct directory_login *l, struct logins *logins, bool is_certificate, bool as_json);
/** credential_list - of the account of the first argument, those of one kind. */
int credential_list(struct cli *cli, bool is_certificate);
/** credential_revoke - the one of that kind whose label is the second argument. */
int credential_revoke(struct cli *cli, bool is_certificate);

#endif
