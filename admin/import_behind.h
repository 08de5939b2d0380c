/* admin/import_behind.h - what the settings of a Dovecot and a Postfix say that no import takes over: told, with what there is
 * instead, as long as it is not so here. Reads the instance's configuration and directory; blocks. */
#ifndef ADMIN_IMPORT_BEHIND_H
#define ADMIN_IMPORT_BEHIND_H

#include "admin/cli.h"
#include "admin/dovecot.h"

struct import_behind {
	struct cli *cli;
	const struct dovecot_settings *dovecot;
	struct sv postfix;                              /* as postconf -n prints it; empty: there is none */
	const struct sv *domains, *accounts;            /* those that the import is about */
	size_t domain_count, account_count;
	uint64_t queued;                                /* messages, of import_behind_queue() */
	const struct sv *mailboxes;                     /* texts of the maps in virtual_mailbox_maps */
	size_t mailbox_count;
};

/** import_behind_queue - how many messages Postfix has still to deliver, which is for its user and root to see. @dir: queue_directory */
uint64_t import_behind_queue(const char *dir);
/** import_behind_tell - on standard error. Returns how many of them can be made so here, and are not yet. */
uint64_t import_behind_tell(const struct import_behind *b);

#endif
