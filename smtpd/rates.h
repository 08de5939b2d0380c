/* smtpd/rates.h - how many in the last minute, per address and per network: messages and recipients of strangers, over all workers.
 *
 *   ROOT/run/rates   a file of fixed size that each process maps (common/shared.h)
 *
 * When it is full the one that was silent longest is forgotten. A call waits for at most RATES_WAIT_MS; without the memory nothing is
 * counted. Any thread, any process. */
#ifndef SMTPD_RATES_H
#define SMTPD_RATES_H

#include "common/fault.h"
#include "common/instance.h"
#include "common/netaddr.h"

#define RATES_ROWS 8192         /* of each kind */
#define RATES_WAIT_MS 20

enum rates_kind { RATES_MESSAGES = 0, RATES_RECIPIENTS, RATES_KINDS };

struct rates;
/** rates_open - @path: NULL: memory of this process alone. */
MUST_CHECK struct fault rates_open(const char *path, struct rates **out);
/** rates_open_instance - for a worker, before its sandbox closes. Never NULL: what cannot be shared is logged, and counted by each
 *  process for itself. */
struct rates *rates_open_instance(const struct instance *instance);
void rates_free(struct rates **rates);
/** rates_now_ms - the clock of the memory: the same in each process. */
uint64_t rates_now_ms(void);
/** rates_add - n more from this address, or network (netaddr_cut()). Returns how many there were in
 * the last minute, these included: the minute that runs, and the share of the one before that is
 * not a minute ago yet. */
uint32_t rates_add(struct rates *rates, enum rates_kind kind, const struct netaddr *from, uint64_t now_ms, uint32_t n);

#endif
