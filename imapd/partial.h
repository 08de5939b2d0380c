/* imapd/partial.h - a range of results, counted from the oldest or from the newest one (RFC 9394).
 * Pure: any thread. */
#ifndef IMAPD_PARTIAL_H
#define IMAPD_PARTIAL_H

#include "imapd/args.h"
#include "maildir/uidset.h"

struct partial {
	bool is_from_end;       /* -1 is the last one */
	uint32_t first, last;   /* first <= last, from 1 on */
	struct sv text;         /* as it was written, for the answer; borrowed from the command */
};

/** partial_read - partial-range: "1:500" or "-1:-100", in either order. */
bool partial_read(struct args *args, struct partial *out);
/** partial_bounds - which of `total` results are meant: *first <= *last, counted from 1. False: none of them. */
bool partial_bounds(const struct partial *p, uint64_t total, uint64_t *first, uint64_t *last);
/** partial_of - the members of `all` in the range, into an empty set. */
void partial_of(const struct partial *p, const struct uidset *all, struct uidset *out);

#endif
