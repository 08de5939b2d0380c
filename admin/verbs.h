/* admin/verbs.h - the groups of verbs, one per source file; a new noun is one line here and one in main.c. */
#ifndef ADMIN_VERBS_H
#define ADMIN_VERBS_H

#include "admin/cli.h"

extern const struct verb setup_verbs[];
extern const struct verb init_verbs[];
extern const struct verb serve_verbs[];         /* serve, stop, reload, status */
extern const struct verb upgrade_verbs[];
extern const struct verb migrate_verbs[];
extern const struct verb dkim_verbs[];
extern const struct verb dns_verbs[];
extern const struct verb doctor_verbs[];
extern const struct verb domain_verbs[];
extern const struct verb delegate_verbs[];
extern const struct verb account_verbs[];
extern const struct verb app_password_verbs[];
extern const struct verb client_cert_verbs[];
extern const struct verb device_verbs[];
extern const struct verb apply_verbs[];
extern const struct verb auth_verbs[];         /* auth blocked, unblock */
extern const struct verb send_as_verbs[];
extern const struct verb alias_verbs[];
extern const struct verb quota_verbs[];
extern const struct verb mailbox_verbs[];
extern const struct verb deliver_verbs[];
extern const struct verb expire_verbs[];
extern const struct verb explain_verbs[];
extern const struct verb import_verbs[];
extern const struct verb index_verbs[];
extern const struct verb backup_verbs[];
extern const struct verb verify_verbs[];
extern const struct verb restore_verbs[];
extern const struct verb store_verbs[];
extern const struct verb sessions_verbs[];
extern const struct verb queue_verbs[];
extern const struct verb list_verbs[];
extern const struct verb hold_verbs[];          /* hold, suppression */
extern const struct verb recipient_verbs[];
extern const struct verb reports_verbs[];
extern const struct verb trace_verbs[];         /* trace, stats */
extern const struct verb webhook_verbs[];
extern const struct verb sieve_verbs[];
extern const struct verb rule_verbs[];          /* rule, vacation */
extern const struct verb sieve_account_verbs[]; /* sieve list, put, ... */
extern const struct verb contacts_verbs[];
extern const struct verb log_verbs[];
extern const struct verb conf_verbs[];
extern const struct verb web_verbs[];
extern const struct verb mta_sts_verbs[];
extern const struct verb cert_verbs[];
extern const struct verb manual_verbs[];
extern const struct verb completion_verbs[];
extern const struct verb version_verbs[];

/* All of them, in the order of the help text; NULL ends it. */
extern const struct verb *const all_verbs[];

/** verbs_next - the verb behind v in that order, the first one for NULL; NULL behind the last one. */
const struct verb *verbs_next(const struct verb *v);
/** verbs_next_of - the same among those of a noun, which need not stand side by side. */
const struct verb *verbs_next_of(const char *noun, const struct verb *v);

#endif
