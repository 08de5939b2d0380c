/* smtpd/wishes.h - what a sender asks of time and order, by parameters of MAIL: not before a time (FUTURERELEASE, RFC 4865), before
 * a time or tell me (DELIVERBY, RFC 2852), before or behind other mail (MT-PRIORITY, RFC 6710). The envelope keeps the parameters
 * as they came; everybody who acts on them reads them here. Pure, any thread. */
#ifndef SMTPD_WISHES_H
#define SMTPD_WISHES_H

#include "smtpd/envelope.h"

struct wishes {
	int64_t not_before_s;           /* Unix time; 0: at once */
	bool has_by, is_by_return, is_by_trace;
	int64_t by_s;                   /* Unix time: then it is given up, or its sender is told that it is late */
	int priority;                   /* -9 to 9 */
	struct sv hold;                 /* "for;600": what stands in a DSN (RFC 4865 §5.1.2); borrowed */
	char hold_kind[6];              /* "for" or "until"; "": neither */
};

/** wishes_hold_for, wishes_hold_until, wishes_by, wishes_priority - a parameter's value; false for what is none. by: seconds
 * from now, which may be past. */
bool wishes_hold_for(struct sv value, uint64_t *seconds);
bool wishes_hold_until(struct sv value, int64_t *at_s);
bool wishes_by(struct sv value, int64_t *seconds, bool *is_return, bool *is_trace);
bool wishes_priority(struct sv value, int *priority);

/** wishes_of - of an envelope; times count from when it was received. What cannot be read is not wished. */
struct wishes wishes_of(const struct envelope *e);

/* Messages of one destination go by these levels, those of a higher one first; the values of RFC 6710's default policy (Appendix
 * B: -4, -2, 0, 2, 4, 6), others are rounded up. */
#define WISHES_LEVELS 6
/** wishes_level - 0 to WISHES_LEVELS - 1. */
unsigned wishes_level(int priority);

#endif
