/* imapd/listing.c - see listing.h. */
#include "imapd/listing.h"

#include <stdlib.h>

#include "common/banned.h"

#define DELIMITER '/'

struct listed *listing_add(struct listing *l, struct sv name)
{
	if (l->count == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 32;
		struct listed *rows = arena_array(l->arena, cap, sizeof(*rows));

		if (!rows)
			return NULL;
		if (l->count)
			memcpy(rows, l->rows, l->count * sizeof(*rows));
		l->rows = rows;
		l->cap = cap;
	}
	struct sv kept = arena_copy(l->arena, name);

	if (!kept.p)
		return NULL;
	l->rows[l->count] = (struct listed){ .name = kept, .parent = SIZE_MAX };
	return &l->rows[l->count++];
}

/* Tree order: the delimiter sorts before everything, so that children stand right behind their
 * parent. */
static int in_tree_order(const void *a, const void *b)
{
	struct sv x = ((const struct listed *)a)->name, y = ((const struct listed *)b)->name;
	bool x_inbox = sv_eq(x, SV("INBOX")) || sv_starts(x, SV("INBOX/"));
	bool y_inbox = sv_eq(y, SV("INBOX")) || sv_starts(y, SV("INBOX/"));
	size_t n = x.len < y.len ? x.len : y.len;

	if (x_inbox != y_inbox)
		return x_inbox ? -1 : 1;
	for (size_t i = 0; i < n; i++) {
		int p = x.p[i] == DELIMITER ? -1 : (unsigned char)x.p[i];
		int q = y.p[i] == DELIMITER ? -1 : (unsigned char)y.p[i];

		if (p != q)
			return p < q ? -1 : 1;
	}
	return x.len < y.len ? -1 : x.len > y.len;
}

static bool is_below(struct sv name, struct sv parent)
{
	return name.len > parent.len && name.p[parent.len] == DELIMITER && sv_starts(name, parent);
}

/* parent_of - the nearest row above row i among those before it. */
static size_t parent_of(const struct listing *l, size_t i)
{
	size_t up = i ? i - 1 : SIZE_MAX;

	while (up != SIZE_MAX && !is_below(l->rows[i].name, l->rows[up].name))
		up = l->rows[up].parent;
	return up;
}

struct fault listing_arrange(struct listing *l)
{
	size_t given = l->count;

	qsort(l->rows, l->count, sizeof(*l->rows), in_tree_order);
	for (size_t i = 0; i < given; i++) {
		l->rows[i].parent = parent_of(l, i);
		/* Levels between this one and the next row above it are no mailboxes and still have
		 * to be shown. */
		struct sv name = l->rows[i].name;
		size_t known =
			l->rows[i].parent == SIZE_MAX ? 0 : l->rows[l->rows[i].parent].name.len;
		/* The row before may share a missing level, which then was added for it. */
		struct sv before = i ? l->rows[i - 1].name : SV_NONE;
		bool exists = l->rows[i].exists;

		for (size_t k = known + 1; k < name.len; k++) {
			if (name.p[k] != DELIMITER || is_below(before, sv_sub(name, 0, k)))
				continue;
			struct listed *row = listing_add(l, sv_sub(name, 0, k));

			if (!row)
				return fault(FAULT_LIMIT, "too many mailboxes for one listing");
			row->has_children = exists;
		}
	}
	if (l->count > given) {
		qsort(l->rows, l->count, sizeof(*l->rows), in_tree_order);
		for (size_t i = 0; i < l->count; i++)
			l->rows[i].parent = parent_of(l, i);
	}
	return FAULT_OK;
}

void listing_choose(struct listing *l, bool (*chosen)(const struct listed *row, unsigned options),
		    unsigned options)
{
	for (size_t i = 0; i < l->count; i++) {
		l->rows[i].is_chosen = chosen(&l->rows[i], options);
		if (!l->rows[i].is_chosen)
			continue;
		for (size_t up = l->rows[i].parent; up != SIZE_MAX && !l->rows[up].has_chosen_child;
		     up = l->rows[up].parent)
			l->rows[up].has_chosen_child = true;
	}
}

/* inbox_prefix - how many octets at the start of the name are to be compared without case. */
static size_t inbox_prefix(struct sv name)
{
	return sv_eq(name, SV("INBOX")) || sv_starts(name, SV("INBOX/")) ? 5 : 0;
}

/* All the ways to read the pattern are followed at once: reached[k] says that the pattern so far
 * can end behind the first k octets of the name. So the time is bounded by the product of the
 * lengths, whatever the pattern is. */
bool pattern_matches(struct sv pattern, struct sv name)
{
	bool reached[MAILBOX_NAME_MAX + 1] = { true };
	size_t nocase = inbox_prefix(name);

	if (sv_eq(pattern, SV("*")))
		return true;
	if (name.len > MAILBOX_NAME_MAX)
		return false;
	for (size_t i = 0; i < pattern.len; i++) {
		char c = pattern.p[i];
		bool any = false;

		if (c == '*' || c == '%') {
			for (size_t k = 0; k < name.len; k++)
				reached[k + 1] |=
					reached[k] && (c == '*' || name.p[k] != DELIMITER);
			continue;
		}
		for (size_t k = name.len; k > 0; k--) {
			char x = name.p[k - 1];
			bool is_same = x == c || (k <= nocase && ascii_upper(x) == ascii_upper(c));

			reached[k] = reached[k - 1] && is_same;
			any |= reached[k];
		}
		reached[0] = false;
		if (!any)
			return false;
	}
	return reached[name.len];
}
