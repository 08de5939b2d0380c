/* common/elsewhere.h - passwords that are kept outside this server: who is asked for which domain, and that he is asked alike.
 *
 * Each keeper is a module of its own: an LDAP directory (common/ldapauth.h), whoever is behind saslauthd (common/saslauthd.h). They say
 * right, wrong, or that nobody knows: one that is away, slow, or answers oddly never makes a password wrong. After it was away or slow it is
 * not asked for ELSEWHERE_PAUSE_MS, and then by one login until it answers, so that one that is dead or hangs holds one thread, and not all
 * that check passwords. Asking blocks: in a job. Any thread. */
#ifndef COMMON_ELSEWHERE_H
#define COMMON_ELSEWHERE_H

#include <stdatomic.h>

#include "common/bytes.h"
#include "common/conf.h"

#define ELSEWHERE_PAUSE_MS 1000

enum elsewhere_answer { ELSEWHERE_RIGHT = 1, ELSEWHERE_WRONG, ELSEWHERE_UNKNOWN };

struct elsewhere;

/** elsewhere_open - before the sandbox closes. NULL: all passwords are here. What fails is logged, and nothing is known of those domains. */
struct elsewhere *elsewhere_open(const struct conf_auth *conf);
/** elsewhere_close - NULL is fine. */
void elsewhere_close(struct elsewhere **e);
/** elsewhere_covers - is the password of this address kept elsewhere? */
bool elsewhere_covers(const struct elsewhere *e, struct sv address);
/** elsewhere_check - @address: canonical, and covered. An empty password is wrong. */
enum elsewhere_answer elsewhere_check(struct elsewhere *e, struct sv address, struct sv password);
/** elsewhere_ports - add the TCP ports to which workers connect for that. A unix socket needs none, but the right to make sockets, so
 *  it adds one to which nobody connects. Returns the new count. */
size_t elsewhere_ports(const struct conf_auth *conf, uint16_t ports[], size_t count);

/* ---- for the keepers ---- */

/* Until when is nobody asked? 0: it answered the last time. */
struct elsewhere_pause {
	_Atomic uint64_t until_ms;
};
/** elsewhere_pause_begin - it was away, or too slow. */
void elsewhere_pause_begin(struct elsewhere_pause *p);
/** elsewhere_pause_end - it answered, whatever it said. */
void elsewhere_pause_end(struct elsewhere_pause *p);
/** elsewhere_is_paused - may it not be asked now? After a pause one may, and the others not for patience_ms, in which that one begins
 *  or ends a pause. */
bool elsewhere_is_paused(struct elsewhere_pause *p, uint64_t patience_ms);

#endif
