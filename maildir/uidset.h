/* maildir/uidset.h - a set of UIDs as sorted, disjoint, non-adjacent ranges.
 * Pure values: any thread, one at a time. A million consecutive UIDs cost one range. */
#ifndef MAILDIR_UIDSET_H
#define MAILDIR_UIDSET_H

#include "common/bytes.h"

struct uid_range {
	uint32_t first, last;   /* inclusive, first <= last, first >= 1 */
};

/* Zero-initialised it is the empty set without a limit; max_ranges bounds its memory (0: no bound, for sets
 * that we make ourselves from a mailbox). */
struct uidset {
	struct uid_range *ranges;
	size_t count, cap, max_ranges;
};

/** uidset_add - add first..last (any order of arguments). false when max_ranges would be passed. */
bool uidset_add(struct uidset *set, uint32_t first, uint32_t last);
/** uidset_remove - take first..last out. false when max_ranges would be passed. */
bool uidset_remove(struct uidset *set, uint32_t first, uint32_t last);
bool uidset_has(const struct uidset *set, uint32_t uid);
/** uidset_total - how many UIDs are in it. */
uint64_t uidset_total(const struct uidset *set);
/** uidset_next - the smallest member >= from; 0 when there is none. */
uint32_t uidset_next(const struct uidset *set, uint32_t from);
/** uidset_run - the last UID of the range that `uid`, a member, lies in. */
uint32_t uidset_run(const struct uidset *set, uint32_t uid);
/** uidset_rank - how many members are <= uid (so the sequence number of a member). O(log ranges) where possible. */
uint32_t uidset_rank(const struct uidset *set, uint32_t uid);
/** uidset_at - the member with this rank, 1..total; 0 beyond. */
uint32_t uidset_at(const struct uidset *set, uint32_t rank);
/** uidset_copy, uidset_done - deep copy into an empty set; release. */
void uidset_copy(struct uidset *to, const struct uidset *from);
void uidset_done(struct uidset *set);
/** uidset_write - as IMAP writes it: 1:3,7. false when the buffer's max is passed. The empty set writes nothing. */
bool uidset_write(const struct uidset *set, struct buf *out);

#endif
