/* admin/protocols.h - the protocols that an account or one of its passwords is good for, as words. */
#ifndef ADMIN_PROTOCOLS_H
#define ADMIN_PROTOCOLS_H

#include "admin/cli.h"

#define STATE_WORDS "active, nologin, send-only, receive-only or disabled"
#define PROTOCOL_WORDS "imap, pop3, submission, managesieve"

/** protocols_option - read an option such as --protocols into *scope: what it names is set, the other protocols are cleared, other bits stay.
 *  Without the option *scope stays. False after a usage error that was told. */
bool protocols_option(struct cli *cli, const char *option, unsigned *scope);
/** protocols_parse - words separated by commas, or "none", into *scope: as protocols_option(). False: a word is none of them. */
bool protocols_parse(struct sv text, unsigned *scope);
/** protocols_append - the words of a scope, separated by a space. */
void protocols_append(struct buf *out, unsigned scope);

#endif
