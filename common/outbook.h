/* common/outbook.h - what an instance remembers of its senders and of those they write to: addresses that take no mail
 * (suppressed), what is held back (a stolen account's mail, or by an administrator's rule), how much each account has sent.
 *
 * It lies in ROOT/queue/outbook (LMDB, flushed) and is live: daemons and the command line read and change it by transaction.
 * Addresses are compared in lower case. Everything blocks: jobs only; any thread, any process. A book that is missing forbids
 * nothing. */
#ifndef COMMON_OUTBOOK_H
#define COMMON_OUTBOOK_H

#include "common/bytes.h"
#include "common/fault.h"

#define OUTBOOK_SUPPRESSED_MAX 200000
#define OUTBOOK_RULES_MAX 1000
#define OUTBOOK_ASKED_MAX 100000
#define OUTBOOK_ASKED_DAYS 7            /* for so long a name that its host knew is remembered; one that it did not, for a day */
#define OUTBOOK_BOUNCE_DAYS 90          /* for so long a bounce counts, and an address that bounced is suppressed */
#define OUTBOOK_REASON_MAX 300

struct outbook;

/** outbook_open - @create: a daemon. Without, FAULT_NOT_FOUND when there is none. */
MUST_CHECK struct fault outbook_open(const char *folder, bool create, struct outbook **out);
void outbook_close(struct outbook **b);

/* ---- suppressed addresses ---- */

struct outbook_address {
	struct sv address;              /* lower case */
	uint32_t bounces;               /* hard ones since the last delivery */
	int64_t since_s, last_s;        /* Unix time */
	bool is_manual;                 /* an administrator's: stays until he takes it out */
	bool is_suppressed;             /* at this time */
	struct sv reason;               /* the last reply, or the administrator's words; borrowed for the call */
};

/** outbook_bounced - an address was refused for good. It is suppressed once that happened `limit` times without a delivery between. */
MUST_CHECK struct fault outbook_bounced(struct outbook *b, struct sv address, struct sv reason, uint32_t limit, int64_t now_s);
/** outbook_delivered - it takes mail: earlier bounces are forgotten. Costs a look unless there were some. */
void outbook_delivered(struct outbook *b, struct sv address);
/** outbook_is_suppressed - why: gets the reason, at most OUTBOOK_REASON_MAX octets. */
bool outbook_is_suppressed(struct outbook *b, struct sv address, uint32_t limit, int64_t now_s, struct buf *why);
MUST_CHECK struct fault outbook_suppress(struct outbook *b, struct sv address, struct sv reason, int64_t now_s);
/** outbook_allow - take it out. FAULT_NOT_FOUND. */
MUST_CHECK struct fault outbook_allow(struct outbook *b, struct sv address);
typedef bool outbook_address_fn(void *arg, const struct outbook_address *a);
/** outbook_addresses - by name, inside a read transaction. False stops. */
MUST_CHECK struct fault outbook_addresses(struct outbook *b, uint32_t limit, int64_t now_s, outbook_address_fn *fn, void *arg);

/* ---- names at relay domains that their host was asked about ---- */

/** outbook_note_asked - what it said. When OUTBOOK_ASKED_MAX are remembered, names that nobody has make room. FAULT_LIMIT: all of them are
 * somebody's. */
MUST_CHECK struct fault outbook_note_asked(struct outbook *b, struct sv address, bool is_known, int64_t now_s);
/** outbook_set_asked_max - less than OUTBOOK_ASKED_MAX, for tests. */
void outbook_set_asked_max(struct outbook *b, uint64_t most);
/** outbook_asked - false: nothing is remembered. */
bool outbook_asked(struct outbook *b, struct sv address, bool *is_known, int64_t *at_s);

/* ---- who wants nothing more of one sender ---- */

enum outbook_no { OUTBOOK_COMPLAINED = 1, OUTBOOK_UNSUBSCRIBED, OUTBOOK_NO_BY_HAND };
/** outbook_no_name - "complaint", "unsubscribed", "administrator". */
const char *outbook_no_name(enum outbook_no no);

struct outbook_refusal {
	struct sv sender, address;      /* lower case; borrowed for the call */
	enum outbook_no no;
	int64_t since_s;
};
/** outbook_refuse - this address gets nothing more from the account, or "@domain". Again keeps the first time. FAULT_LIMIT. */
MUST_CHECK struct fault outbook_refuse(struct outbook *b, struct sv sender, struct sv address, enum outbook_no no, int64_t now_s);
/** outbook_welcome - it does again. FAULT_NOT_FOUND. */
MUST_CHECK struct fault outbook_welcome(struct outbook *b, struct sv sender, struct sv address);
/** outbook_is_refused - to the sender, or to all of its domain. @out: no, since_s. */
bool outbook_is_refused(struct outbook *b, struct sv sender, struct sv address, struct outbook_refusal *out);
typedef bool outbook_refusal_fn(void *arg, const struct outbook_refusal *r);
/** outbook_refusals - by sender. False stops. */
MUST_CHECK struct fault outbook_refusals(struct outbook *b, outbook_refusal_fn *fn, void *arg);

/* ---- what is held back ---- */

enum outbook_who { OUTBOOK_USER = 1, OUTBOOK_FROM, OUTBOOK_TO };
/** outbook_who_name - "user", "from", "to". */
const char *outbook_who_name(enum outbook_who who);

struct outbook_rule {
	enum outbook_who who;
	struct sv address;              /* or "@domain"; borrowed */
	int64_t since_s;
	struct sv reason;
};
/** outbook_hold - mail of this user, from or to this address (or "@domain") waits from now on. FAULT_LIMIT. FAULT_EXISTS: it does
 * already. */
MUST_CHECK struct fault outbook_hold(struct outbook *b, enum outbook_who who, struct sv address, struct sv reason, int64_t now_s);
/** outbook_unhold - FAULT_NOT_FOUND. */
MUST_CHECK struct fault outbook_unhold(struct outbook *b, enum outbook_who who, struct sv address);
/** outbook_is_held - by a rule for the address or its domain. */
bool outbook_is_held(struct outbook *b, enum outbook_who who, struct sv address);
bool outbook_has_rules(struct outbook *b);
typedef bool outbook_rule_fn(void *arg, const struct outbook_rule *rule);
MUST_CHECK struct fault outbook_rules(struct outbook *b, outbook_rule_fn *fn, void *arg);

/* ---- how much an account has sent, to others than our own people ---- */

struct outbook_sent {
	uint64_t minute, hour;          /* messages in the window that runs now */
	uint64_t day, fresh;            /* recipients, and of them those it never wrote to before */
};
/** outbook_sent - zeroes when nothing is known. */
struct outbook_sent outbook_sent(struct outbook *b, struct sv account, int64_t now_s);
/** outbook_count - one message was accepted. */
MUST_CHECK struct fault outbook_count(struct outbook *b, struct sv account, const struct sv *rcpts, size_t count, int64_t now_s);
/** outbook_tidy - forget what is old; some thousand rows at a time. */
void outbook_tidy(struct outbook *b, int64_t now_s);

#endif
