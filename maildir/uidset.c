/* maildir/uidset.c - see uidset.h. */
#include "maildir/uidset.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

/* Index of the first range whose last is >= uid; count when there is none. */
static size_t range_at(const struct uidset *set, uint32_t uid)
{
	size_t lo = 0, hi = set->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (set->ranges[mid].last < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Replace `old` ranges at `at` by the n in fresh (n <= 2). */
static bool splice(struct uidset *set, size_t at, size_t old, const struct uid_range *fresh, size_t n)
{
	size_t count = set->count - old + n;

	if (set->max_ranges && count > set->max_ranges && count > set->count)
		return false;
	if (count > set->cap) {
		set->cap = set->cap ? set->cap * 2 : 4;
		if (set->cap < count)
			set->cap = count;
		set->ranges = xrealloc(set->ranges, set->cap * sizeof(*set->ranges));
	}
	if (old != n && set->count > at + old)
		memmove(set->ranges + at + n, set->ranges + at + old,
			(set->count - at - old) * sizeof(*set->ranges));
	for (size_t i = 0; i < n; i++)
		set->ranges[at + i] = fresh[i];
	set->count = count;
	return true;
}

bool uidset_add(struct uidset *set, uint32_t first, uint32_t last)
{
	if (first > last) {
		uint32_t swap = first;
		first = last;
		last = swap;
	}
	if (!last)
		return true;
	if (!first)
		first = 1;

	/* Nearly every set is made in ascending order: grow or follow the last range without searching. */
	if (set->count && first >= set->ranges[set->count - 1].first) {
		struct uid_range *end = &set->ranges[set->count - 1];
		if (first <= end->last || first - 1 == end->last) {
			if (last > end->last)
				end->last = last;
			return true;
		}
	}
	size_t at = range_at(set, first > 1 ? first - 1 : first), end = at;
	struct uid_range all = { first, last };

	while (end < set->count && (set->ranges[end].first <= last ||
				    set->ranges[end].first - 1 == last)) {
		if (set->ranges[end].first < all.first)
			all.first = set->ranges[end].first;
		if (set->ranges[end].last > all.last)
			all.last = set->ranges[end].last;
		end++;
	}
	return splice(set, at, end - at, &all, 1);
}

bool uidset_remove(struct uidset *set, uint32_t first, uint32_t last)
{
	if (first > last) {
		uint32_t swap = first;
		first = last;
		last = swap;
	}
	if (!last)
		return true;
	if (!first)
		first = 1;
	size_t at = range_at(set, first), end = at, n = 0;
	struct uid_range kept[2];

	while (end < set->count && set->ranges[end].first <= last)
		end++;
	if (end == at)
		return true;
	if (set->ranges[at].first < first)
		kept[n++] = (struct uid_range){ set->ranges[at].first, first - 1 };
	if (set->ranges[end - 1].last > last)
		kept[n++] = (struct uid_range){ last + 1, set->ranges[end - 1].last };
	return splice(set, at, end - at, kept, n);
}

bool uidset_has(const struct uidset *set, uint32_t uid)
{
	size_t at = range_at(set, uid);

	return uid && at < set->count && set->ranges[at].first <= uid;
}

uint64_t uidset_total(const struct uidset *set)
{
	uint64_t n = 0;

	for (size_t i = 0; i < set->count; i++)
		n += (uint64_t)set->ranges[i].last - set->ranges[i].first + 1;
	return n;
}

uint32_t uidset_next(const struct uidset *set, uint32_t from)
{
	size_t at = range_at(set, from);

	if (at == set->count)
		return 0;
	return set->ranges[at].first > from ? set->ranges[at].first : from;
}

uint32_t uidset_run(const struct uidset *set, uint32_t uid)
{
	size_t at = range_at(set, uid);

	return at < set->count ? set->ranges[at].last : uid;
}

uint32_t uidset_rank(const struct uidset *set, uint32_t uid)
{
	uint32_t n = 0;

	for (size_t i = 0; i < set->count && set->ranges[i].first <= uid; i++) {
		uint32_t last = set->ranges[i].last < uid ? set->ranges[i].last : uid;
		n += last - set->ranges[i].first + 1;
	}
	return n;
}

uint32_t uidset_at(const struct uidset *set, uint32_t rank)
{
	if (!rank)
		return 0;
	for (size_t i = 0; i < set->count; i++) {
		uint32_t n = set->ranges[i].last - set->ranges[i].first + 1;
		/* A set of all 2^32-1 UIDs has one range whose length still fits: UIDs start at 1. */
		if (rank <= n)
			return set->ranges[i].first + rank - 1;
		rank -= n;
	}
	return 0;
}

void uidset_copy(struct uidset *to, const struct uidset *from)
{
	to->ranges = NULL;
	to->count = to->cap = from->count;
	to->max_ranges = from->max_ranges;
	if (!from->count)
		return;
	to->ranges = xmalloc(from->count * sizeof(*to->ranges));
	memcpy(to->ranges, from->ranges, from->count * sizeof(*to->ranges));
}

void uidset_done(struct uidset *set)
{
	free(set->ranges);
	set->ranges = NULL;
	set->count = set->cap = 0;
}

bool uidset_write(const struct uidset *set, struct buf *out)
{
	size_t start = out->len;
	bool ok = true;

	for (size_t i = 0; ok && i < set->count; i++) {
		const struct uid_range *r = &set->ranges[i];
		ok = (!i || buf_append_c(out, ',')) && buf_append_u64(out, r->first) &&
		     (r->first == r->last || (buf_append_c(out, ':') && buf_append_u64(out, r->last)));
	}
	if (!ok)
		out->len = start;       /* all or nothing, as every append */
	return ok;
}
