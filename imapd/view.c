/* imapd/view.c - see view.h. */
#include "imapd/view.h"

#include "common/fault.h"

#include "common/banned.h"

#define SET_RANGES_MAX 65536    /* more than a 64 KiB line can hold */

void view_set(struct view *v, struct uidset *uids, uint64_t modseq)
{
	view_done(v);
	v->uids = *uids;
	*uids = (struct uidset){ 0 };
	v->count = (uint32_t)uidset_total(&v->uids);
	v->told = v->count;
	v->modseq = modseq;
}

void view_done(struct view *v)
{
	uidset_done(&v->uids);
	uidset_done(&v->gone);
	uidset_done(&v->recent);
	uidset_done(&v->saved);
	*v = (struct view){ 0 };
}

uint32_t view_highest(const struct view *v)
{
	return v->uids.count ? v->uids.ranges[v->uids.count - 1].last : 0;
}

bool view_add(struct view *v, uint32_t uid)
{
	if (uid <= view_highest(v))
		return false;
	uidset_add(&v->uids, uid, uid);
	v->count++;
	return true;
}

bool view_lose(struct view *v, uint32_t uid, uint64_t modseq)
{
	if (!uidset_has(&v->uids, uid))
		return false;
	if (!v->gone.count || modseq < v->gone_modseq)
		v->gone_modseq = modseq;
	uidset_add(&v->gone, uid, uid);
	return true;
}

size_t view_expunge(struct view *v, size_t max, void (*fn)(void *arg, uint32_t seq, uint32_t uid),
		    void *arg)
{
	size_t done = 0;

	/* Highest first, so that no number told here moves another one told here. */
	while (done < max && v->gone.count) {
		struct uid_range r = v->gone.ranges[v->gone.count - 1];
		uint32_t first = r.last - r.first >= max - done
					 ? r.last - (uint32_t)(max - done) + 1
					 : r.first;
		uint32_t seq = uidset_rank(&v->uids, r.last);

		for (uint32_t uid = r.last;; uid--, seq--) {
			/* One that came and went before its EXISTS was told is only forgotten. */
			if (seq <= v->told) {
				fn(arg, seq, uid);
				v->told--;
			}
			done++;
			if (uid == first)
				break;
		}
		uidset_remove(&v->uids, first, r.last);
		uidset_remove(&v->gone, first, r.last);
		uidset_remove(&v->recent, first, r.last);
		v->count -= r.last - first + 1;
	}
	return done;
}

struct view_cursor view_cursor(const struct view *v)
{
	return (struct view_cursor){ .v = v };
}

uint32_t view_cursor_seq(struct view_cursor *c, uint32_t uid)
{
	const struct uidset *s = &c->v->uids;

	while (c->range < s->count && s->ranges[c->range].last < uid) {
		c->before += s->ranges[c->range].last - s->ranges[c->range].first + 1;
		c->range++;
	}
	if (c->range == s->count || s->ranges[c->range].first > uid)
		return 0;
	return c->before + (uid - s->ranges[c->range].first) + 1;
}

/* read_number - seq-number = nz-number / "*" */
static bool read_number(struct sv *text, uint32_t star, uint32_t *n, bool *is_star)
{
	size_t digits = 0;
	uint64_t value = 0;

	*is_star = text->len && *text->p == '*';
	if (*is_star) {
		sv_skip(text, 1);
		*n = star;
		return true;
	}
	while (digits < text->len && ascii_is_digit(text->p[digits]) && value <= UINT32_MAX)
		value = value * 10 + (uint64_t)(text->p[digits++] - '0');
	if (!value || value > UINT32_MAX || *text->p == '0')
		return false;
	sv_skip(text, digits);
	*n = (uint32_t)value;
	return true;
}

struct set_item {
	uint32_t first, last;
	bool has_star;
};

/* read_item - one number or range off the text, and the comma behind it. */
static bool read_item(struct sv *text, uint32_t star, struct set_item *item)
{
	bool is_star;

	if (!read_number(text, star, &item->first, &is_star))
		return false;
	item->last = item->first;
	item->has_star = is_star;
	if (text->len && *text->p == ':') {
		sv_skip(text, 1);
		if (!read_number(text, star, &item->last, &is_star))
			return false;
		item->has_star |= is_star;
	}
	if (item->first > item->last) {         /* RFC 3501 §9: 4:2 is 2:4 */
		uint32_t first = item->last;

		item->last = item->first;
		item->first = first;
	}
	if (!text->len)
		return true;
	if (*text->p != ',' || text->len == 1)
		return false;
	sv_skip(text, 1);
	return true;
}

enum set_result uidset_parse(struct sv text, uint32_t star, struct uidset *out)
{
	struct set_item item;

	out->max_ranges = SET_RANGES_MAX;
	if (!text.len)
		return SET_BAD;
	while (text.len) {
		if (!read_item(&text, star, &item) || (item.has_star && !star))
			return SET_BAD;
		if (!uidset_add(out, item.first, item.last))
			return SET_LIMIT;
	}
	return SET_OK;
}

void uidset_subtract(struct uidset *a, const struct uidset *b)
{
	struct uidset left = { 0 };
	size_t k = 0;

	for (size_t i = 0; i < a->count; i++) {
		uint32_t first = a->ranges[i].first, last = a->ranges[i].last;

		while (k < b->count && b->ranges[k].last < first)
			k++;
		for (size_t at = k; first <= last; at++) {
			uint32_t hole = at < b->count ? b->ranges[at].first : 0;

			if (!hole || hole > last) {
				uidset_add(&left, first, last);
				break;
			}
			if (hole > first)
				uidset_add(&left, first, hole - 1);
			if (b->ranges[at].last >= last)
				break;
			first = b->ranges[at].last + 1;
		}
	}
	left.max_ranges = a->max_ranges;
	uidset_done(a);
	*a = left;
}

void uidset_intersect(const struct uidset *a, const struct uidset *b, struct uidset *out)
{
	size_t i = 0, k = 0;

	while (i < a->count && k < b->count) {
		struct uid_range x = a->ranges[i], y = b->ranges[k];
		uint32_t first = x.first > y.first ? x.first : y.first,
			 last = x.last < y.last ? x.last : y.last;

		if (first <= last)
			uidset_add(out, first, last);
		if (x.last < y.last)
			i++;
		else
			k++;
	}
}

/* numbers_to_uids - both sets ascend, so one walk over each is enough. */
static void numbers_to_uids(const struct view *v, const struct uidset *numbers, struct uidset *out)
{
	size_t range = 0;
	uint64_t before = 0;

	for (size_t i = 0; i < numbers->count; i++) {
		uint64_t first = numbers->ranges[i].first, last = numbers->ranges[i].last;

		while (first <= last && range < v->uids.count) {
			struct uid_range r = v->uids.ranges[range];
			uint64_t size = (uint64_t)r.last - r.first + 1;

			if (first > before + size) {
				before += size;
				range++;
				continue;
			}
			uint64_t end = last < before + size ? last : before + size;

			uidset_add(out, r.first + (uint32_t)(first - before - 1),
				   r.first + (uint32_t)(end - before - 1));
			first = end + 1;
		}
	}
}

enum set_result view_resolve(const struct view *v, struct sv text, enum set_kind kind,
			     struct uidset *out)
{
	uint32_t highest = kind == SET_UIDS ? view_highest(v) : v->count;
	struct uidset asked = { .max_ranges = SET_RANGES_MAX };
	enum set_result result = text.len ? SET_OK : SET_BAD;
	struct set_item item;

	if (v->has_saved && sv_eq(text, SV("$"))) {
		uidset_intersect(&v->saved, &v->uids, out);
		return SET_OK;
	}
	while (text.len && result == SET_OK) {
		/* In an empty mailbox `*` is nothing: 1 keeps the syntax check going and finds no
		 * member. */
		if (!read_item(&text, highest ? highest : 1, &item))
			result = SET_BAD;
		else if (kind == SET_NUMBERS && item.last > v->count && !item.has_star)
			result = SET_BAD;
		else if (item.has_star && item.last > highest && highest)
			item.first = item.last =
				highest; /* n:* beyond the end is the last one (RFC 3501 §6.4.8) */
		if (result == SET_OK && !uidset_add(&asked, item.first, item.last))
			result = SET_LIMIT;
	}
	if (result == SET_OK) {
		if (kind == SET_UIDS)
			uidset_intersect(&asked, &v->uids, out);
		else
			numbers_to_uids(v, &asked, out);
	}
	uidset_done(&asked);
	return result;
}
