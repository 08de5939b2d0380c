/* smtpd/rates.h - how many in the last minute, per address and per network: messages and recipients
 * of strangers. Memory of one worker, of fixed size: when it is full the one that was silent
 * longest is forgotten. Monotonic time. Loop thread only. */
#ifndef SMTPD_RATES_H
#define SMTPD_RATES_H

#include "common/netaddr.h"

#define RATES_ROWS 4096

struct rates;
struct rates *rates_new(void);
void rates_free(struct rates **rates);
/** rates_add - n more from this address, or network (netaddr_cut()). Returns how many there were in
 * the last minute, these included: the minute that runs, and the share of the one before that is
 * not a minute ago yet. */
uint32_t rates_add(struct rates *rates, const struct netaddr *from, uint64_t now_ms, uint32_t n);

#endif
