/* smtpd/local.h - programs of this host (listener kind `local`, the `sendmail` command): who they are, and as whom they may
 * write. The kernel says which user is at the other end of the socket; his name and the instance's first domain make his address.
 *
 * Users are read once, before the sandbox: who is made later is "uid1234" until the next start. Does not change afterwards, any
 * thread. */
#ifndef SMTPD_LOCAL_H
#define SMTPD_LOCAL_H

#include <sys/types.h>

#include "common/address.h"
#include "common/bytes.h"
#include "common/conf.h"

struct local;

/** local_new - users: text of /etc/passwd (passwd(5)); lines that are none are left out. domain: A-labels. Both are copied. */
struct local *local_new(struct sv users, struct sv domain);
void local_free(struct local **l);

/** local_domain - what is added to bare names. */
struct sv local_domain(const struct local *l);
/** local_address - "root@example.org". False: out's max. */
MUST_CHECK bool local_address(const struct local *l, uid_t uid, struct buf *out);
/** local_has - is this the address of a user of this host? One without a name counts whatever his number. */
bool local_has(const struct local *l, const struct address *a);
/** local_may_send_any - root, and who runs the server: they own its files and keys anyway. */
bool local_may_send_any(uid_t uid);

/** local_senders_check - is this an item of `local-senders`: USER=ADDRESS or USER=@DOMAIN? */
bool local_senders_check(const char *item);
/** local_may_send - does a user (an address of local_address()) write as this address? His own name, with a tag or not, at
 * the domain or at this host, and what `local-senders` says. Source: RFC 6409 §6.1. */
bool local_may_send(const struct conf *conf, struct sv user, const struct address *as);

#endif
