/* imapd/ranks.h - many strings to small numbers that compare as the strings do under i;unicode-casemap (RFC 5051,
 * as RFC 5256 §7 wants it). A mailbox has few different subjects and senders, so each is kept and folded once, and
 * sorting compares numbers. Pure: any thread, one at a time. */
#ifndef IMAPD_RANKS_H
#define IMAPD_RANKS_H

#include "common/bytes.h"

#define RANK_NONE UINT32_MAX

/* Zero-initialised with a max it is empty. */
struct ranks {
	size_t max;                     /* octets of memory, never passed */
	struct buf text;
	struct ranked {
		size_t at;
		uint32_t len, rank;
	} *items;
	size_t count, cap;
	uint32_t *slots;                /* item + 1 by hash; 0 is free */
	size_t slot_count;
};

/** ranks_add - the number of a string; the empty one is 0 before anything else. RANK_NONE: max would be passed. */
uint32_t ranks_add(struct ranks *r, struct sv s);
/** ranks_settle - all strings are known: give them their ranks. Equal under folding, equal rank; the empty string has
 *  rank 0. False: max would be passed. */
bool ranks_settle(struct ranks *r);
/** ranks_of - the rank of a number. */
static inline uint32_t ranks_of(const struct ranks *r, uint32_t number)
{
	return r->items[number].rank;
}
size_t ranks_memory(const struct ranks *r);
void ranks_done(struct ranks *r);

#endif
