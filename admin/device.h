/* admin/device.h - who logs in as an account, with what: what `account` shows of it. */
#ifndef ADMIN_DEVICE_H
#define ADMIN_DEVICE_H

#include "admin/cli.h"

struct directory_account;
struct directory_login;
struct logins;
struct table;

/** open_logins - what is known of logins; *out is NULL when nobody has logged in yet. logins_close() ends it. */
int open_logins(struct cli *cli, struct logins **out);
/** end_sessions - by each daemon that runs; who does not run has none. @account: an id, or NULL; @sid: one session, or NULL; @credential: of
 *  the account only what logged in with it, or NULL. */
int end_sessions(struct cli *cli, const char *account, const char *sid, const uint32_t *credential, uint64_t *ended);
/** end_barred_sessions - after an account's state was changed: nobody goes on with what a login may not do any more. */
int end_barred_sessions(struct cli *cli, const struct directory_account *account);
/** device_table - what is known of an account's devices; @l may be NULL. */
MUST_CHECK struct fault device_table(struct logins *l, struct sv account, bool as_json, struct table **out);
/** app_password_table - of an account; @logins may be NULL. */
struct table *app_password_table(const struct directory_login *l, struct logins *logins, bool as_json);
/** run_account_show - `account show ADDRESS`: all that an administrator asks first. */
int run_account_show(struct cli *cli);
/** run_account_logins - `account logins ADDRESS`. */
int run_account_logins(struct cli *cli);

#endif
