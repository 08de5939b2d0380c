/* admin/device.h - who logs in as an account, with what: what `account` shows of it. */
#ifndef ADMIN_DEVICE_H
#define ADMIN_DEVICE_H

#include "admin/cli.h"

struct logins;

/** open_logins - what is known of logins; *out is NULL when nobody has logged in yet. logins_close() ends it. */
int open_logins(struct cli *cli, struct logins **out);
/** run_account_logins - `account logins ADDRESS`. */
int run_account_logins(struct cli *cli);

#endif
