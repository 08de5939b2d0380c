/* imapd/settings.h - what the account page of the web front may see and change of somebody's mailbox, as control verbs: webd itself sees
 * no mail. Each names the account by address and id; both must be those of one account.
 *
 *   {"verb":"account-settings","address":A,"account":ID}
 *       {"bytes":1,"bytes_max":0,"messages":1,"messages_max":0,"rules_are_edited":false,
 *        "vacation":{"on":true,"message":"...","subject":"...","from":"2026-12-24","until":"2027-01-02"}}
 *   {"verb":"account-vacation","address":A,"account":ID,"on":true,"message":"...","subject":"...","from":"...","until":"..."}
 *       no line
 *
 * Errors: invalid, with a sentence for the account's owner; not-found. Loop thread; the work is done by a job. */
#ifndef IMAPD_SETTINGS_H
#define IMAPD_SETTINGS_H

#include "common/conf.h"
#include "common/control.h"

struct directory;
struct filters;
struct store;

#define SETTINGS_MESSAGE_MAX 8192       /* octets of an out-of-office answer */
#define SETTINGS_SUBJECT_MAX 250

/* Borrowed until the loop has ended. */
struct settings_house {
	struct loop *loop;
	struct directory *directory;
	struct store *store;
	struct filters *filters;
	const struct conf_sieve *conf;
};

/** settings_show, settings_vacation - the two verbs; the reply is theirs. */
void settings_show(const struct settings_house *house, const struct json *request, struct control_reply *reply);
void settings_vacation(const struct settings_house *house, const struct json *request, struct control_reply *reply);

#endif
