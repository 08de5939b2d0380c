/* imapd/limit.h - how many messages one command may work on (RFC 9738). What is beyond it is left to the client's next
 * command: the newest messages are done, and the answer names the lowest UID among them. */
#ifndef IMAPD_LIMIT_H
#define IMAPD_LIMIT_H

#include "imapd/command.h"

/** limit_narrow - leave no more in *set than one command may work on; the tagged answer will say so. */
void limit_narrow(struct command *c, struct uidset *set);
/** limit_refuse - is `count` more than a command may work on that does all or nothing? Then the answer is NO. @uid: the
 *  lowest one that would have been done, 0 for none. @is_copy: COPY and APPEND are limited by SAVELIMIT, too. */
bool limit_refuse(struct command *c, uint64_t count, uint32_t uid, bool is_copy);
/** limit_lowest - the lowest UID among the newest ones of a set that is too large. */
uint32_t limit_lowest(const struct command *c, const struct uidset *set);
/** limit_write_answer - the response code, or, where the answer has one already, a response of its own. */
void limit_write_answer(struct command *c);

#endif
