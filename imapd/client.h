/* imapd/client.h - the program at the other end, as far as it said by ID (RFC 2971) who it is. Plain data of the loop thread:
 * the door has it first, then the room. */
#ifndef IMAPD_CLIENT_H
#define IMAPD_CLIENT_H

#include "common/log.h"
#include "imapd/id.h"
#include "imapd/workaround.h"

struct client {
	struct sv label;                /* "Thunderbird 140.5 (Linux)"; heap; empty: not said */
	capability_set hidden;          /* not to be offered to it */
	workaround_set workarounds;     /* in force */
};

/**
 * client_introduce - it said who it is, for the first time or again; what was hidden stays so.
 * @workarounds: the option `imap-workarounds`
 * @on:          capabilities that are offered so far
 */
void client_introduce(struct client *client, const struct id *id, const struct conf_list *workarounds,
		      capability_set on, const struct log_ctx *log);
/** client_done - free what it owns; all empty again. */
void client_done(struct client *client);

#endif
