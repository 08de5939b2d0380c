/* common/throttle.h - how many wrong passwords came, from where and for whom: one memory for every process of an instance.
 *
 *   ROOT/run/throttle   a file of fixed size that each process maps; made anew when the machine was started since
 *
 * Counted are failures per address (IPv4, or /64 of IPv6), per network (/26 or /48), per wider network (/21 or /32) and per
 * account, in windows of a minute and a day that begin with their first failure. The same wrong password counts once as long
 * as it is among the last ten; of an account, failures from addresses that it is known to use do not count at all. A table that is full
 * forgets who failed least. Whoever dies while he counts loses at most his own count. No call waits for longer than
 * THROTTLE_WAIT_MS, and without the memory nobody is blocked. Any thread, any process. */
#ifndef COMMON_THROTTLE_H
#define COMMON_THROTTLE_H

#include "common/bytes.h"
#include "common/fault.h"
#include "common/netaddr.h"

#define THROTTLE_KEY_LEN 16
#define THROTTLE_WAIT_MS 200

struct throttle;

/** throttle_new - a memory of this process alone. */
struct throttle *throttle_new(void);
/**
 * throttle_open - the memory of all.
 * @create: a daemon: make it when it is missing, of another version or from before the machine's last start. Without, FAULT_NOT_FOUND.
 * The disk space is taken at once: FAULT_NO_SPACE.
 */
MUST_CHECK struct fault throttle_open(const char *path, bool create, struct throttle **out);
void throttle_free(struct throttle **t);
/** throttle_now_ms - the clock of the memory: the same in each process, also while the machine sleeps. */
uint64_t throttle_now_ms(void);

/* What may fail. A number is at least 1. */
struct throttle_limits {
	uint64_t per_minute, per_day;   /* of an address; three times as many of a network, nine times of a wider one */
	uint64_t per_account;           /* a day, from addresses it is not known to use */
	uint64_t first_ms, most_ms;     /* delay of the first answer, doubled with each further failure of the address */
};

enum throttle_rule {
	THROTTLE_NONE = 0,
	THROTTLE_ADDRESS_MINUTE,
	THROTTLE_ADDRESS_DAY,
	THROTTLE_NETWORK_MINUTE,
	THROTTLE_NETWORK_DAY,
	THROTTLE_WIDER_MINUTE,
	THROTTLE_WIDER_DAY,
	THROTTLE_ACCOUNT_DAY,
};
/** throttle_rule_name - "address-minute", ...: for logs and listings. */
const char *throttle_rule_name(enum throttle_rule rule);

/* Who tries. */
struct throttle_who {
	struct netaddr address;
	uint8_t account[THROTTLE_KEY_LEN];      /* keyed hash of the name, whether there is such an account or not */
	bool is_known;                          /* the account has logged in from this address lately */
};

/** throttle_look - which limit forbids an attempt? Somebody who is known is never forbidden. */
enum throttle_rule throttle_look(struct throttle *t, const struct throttle_who *who, const struct throttle_limits *limits,
				 uint64_t now_ms);
/**
 * throttle_failure - count a wrong password, and say how long to hold the answer back.
 * @mark: keyed hash of name and password. 0: not known, always counts.
 * An address without failures for fifteen minutes begins with the first delay again.
 */
uint32_t throttle_failure(struct throttle *t, const struct throttle_who *who, uint64_t mark,
			  const struct throttle_limits *limits, uint64_t now_ms);

enum throttle_kind { THROTTLE_ADDRESS = 1, THROTTLE_NETWORK, THROTTLE_WIDER, THROTTLE_ACCOUNT };

/* What is counted of one address, network or account. */
struct throttle_entry {
	enum throttle_kind kind;
	struct netaddr address;                 /* not of an account; of a network its first */
	uint8_t account[THROTTLE_KEY_LEN];
	uint32_t minute, day;                   /* failures in each window */
	uint64_t last_ms;
	uint64_t until_ms;                      /* blocked until then; 0: not blocked */
};
typedef void throttle_fn(void *arg, const struct throttle_entry *e);
/** throttle_list - each whose window of a day is not over. */
void throttle_list(struct throttle *t, const struct throttle_limits *limits, uint64_t now_ms, throttle_fn *fn, void *arg);
/** throttle_forget_address - with both of its networks. True: something was counted. */
bool throttle_forget_address(struct throttle *t, const struct netaddr *address);
bool throttle_forget_account(struct throttle *t, const uint8_t account[THROTTLE_KEY_LEN]);
void throttle_forget_all(struct throttle *t);

#endif
