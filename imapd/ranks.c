/* imapd/ranks.c - see ranks.h. */
#include "imapd/ranks.h"

#include <stdlib.h>

#include "common/charset.h"
#include "common/memory.h"

#include "common/banned.h"

size_t ranks_memory(const struct ranks *r)
{
	return r->text.cap + r->cap * sizeof(*r->items) + r->slot_count * sizeof(*r->slots);
}

static struct sv text_of(const struct ranks *r, const struct ranked *item)
{
	return sv_from(r->text.p + item->at, item->len);
}

/* slot_of - where a string stands, or would stand. */
static uint32_t *slot_of(struct ranks *r, struct sv s)
{
	size_t i = (size_t)sv_hash(s) & (r->slot_count - 1);

	while (r->slots[i] && !sv_eq(text_of(r, &r->items[r->slots[i] - 1]), s))
		i = (i + 1) & (r->slot_count - 1);
	return &r->slots[i];
}

static void grow_slots(struct ranks *r)
{
	free(r->slots);
	r->slot_count = r->slot_count ? r->slot_count * 2 : 1024;
	r->slots = xcalloc(r->slot_count, sizeof(*r->slots));
	for (size_t i = 0; i < r->count; i++)
		*slot_of(r, text_of(r, &r->items[i])) = (uint32_t)i + 1;
}

static uint32_t append(struct ranks *r, struct sv s)
{
	/* Everything doubles: what there will be, at worst. */
	size_t more = s.len + r->text.cap + (r->count == r->cap ? (r->cap + 64) * sizeof(*r->items) : 0) +
		      (r->count * 2 >= r->slot_count ? (r->slot_count + 1024) * sizeof(*r->slots) : 0);

	if (more > r->max || ranks_memory(r) > r->max - more)
		return RANK_NONE;
	r->text.max = r->max;
	if (r->count == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 64;
		r->items = xrealloc(r->items, r->cap * sizeof(*r->items));
	}
	r->items[r->count] = (struct ranked){ .at = r->text.len, .len = (uint32_t)s.len };
	if (!buf_append(&r->text, s))
		return RANK_NONE;
	r->count++;
	if (r->count * 2 > r->slot_count)
		grow_slots(r);
	else
		*slot_of(r, s) = (uint32_t)r->count;
	return (uint32_t)r->count - 1;
}

uint32_t ranks_add(struct ranks *r, struct sv s)
{
	if (!r->count && append(r, SV("")) == RANK_NONE)
		return RANK_NONE;
	if (!s.len)
		return 0;
	uint32_t there = *slot_of(r, s);

	return there ? there - 1 : append(r, s);
}

static int by_text(const void *a, const void *b, void *arg)
{
	const struct ranked *x = *(struct ranked *const *)a, *y = *(struct ranked *const *)b;
	const char *folded = arg;
	size_t common = x->len < y->len ? x->len : y->len;
	int order = common ? memcmp(folded + x->at, folded + y->at, common) : 0;

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

bool ranks_settle(struct ranks *r)
{
	struct buf folded;
	struct ranked **order;
	bool is_good = true;

	if (!r->count)
		return true;
	if (r->count * sizeof(*order) > r->max)
		return false;
	free(r->slots);                 /* nothing is added any more */
	r->slots = NULL;
	r->slot_count = 0;
	buf_init(&folded, r->max - r->count * sizeof(*order));
	order = xmalloc(r->count * sizeof(*order));
	for (size_t i = 0; i < r->count && is_good; i++) {
		size_t at = folded.len;

		is_good = utf8_casemap(text_of(r, &r->items[i]), &folded);
		r->items[i].at = at;
		r->items[i].len = (uint32_t)(folded.len - at);
		order[i] = &r->items[i];
	}
	buf_done(&r->text);
	if (is_good) {
		uint32_t rank = 0;

		qsort_r(order, r->count, sizeof(*order), by_text, folded.p);
		for (size_t i = 0; i < r->count; i++) {
			if (i && by_text(&order[i - 1], &order[i], folded.p))
				rank++;
			order[i]->rank = rank;
		}
	}
	free(order);
	buf_done(&folded);
	return is_good;
}

void ranks_done(struct ranks *r)
{
	buf_done(&r->text);
	free(r->items);
	free(r->slots);
	*r = (struct ranks){ .max = r->max };
}
