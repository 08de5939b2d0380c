/* imapd/partial.c - see partial.h. */
#include "imapd/partial.h"

#include "common/banned.h"

static bool read_number(struct sv text, bool *is_negative, uint32_t *out)
{
	*is_negative = text.len && *text.p == '-';
	if (*is_negative)
		sv_skip(&text, 1);
	return text.len && *text.p != '0' && sv_to_u32(text, out);
}

bool partial_read(struct args *args, struct partial *out)
{
	struct args try = *args;
	struct sv word, low;
	bool is_negative[2];

	if (!args_raw(&try, &word))
		return false;
	out->text = word;
	if (!sv_split(&word, ':', &low) || !read_number(low, &is_negative[0], &out->first) ||
	    !read_number(word, &is_negative[1], &out->last) || is_negative[0] != is_negative[1])
		return false;
	out->is_from_end = is_negative[0];
	if (out->first > out->last) {           /* RFC 9394 §4: 500:400 is 400:500 */
		uint32_t first = out->last;

		out->last = out->first;
		out->first = first;
	}
	*args = try;
	return true;
}

bool partial_bounds(const struct partial *p, uint64_t total, uint64_t *first, uint64_t *last)
{
	if (p->first > total)
		return false;
	*first = p->first;
	*last = p->last < total ? p->last : total;
	if (p->is_from_end) {
		uint64_t newest = total + 1 - *first;

		*first = total + 1 - *last;
		*last = newest;
	}
	return true;
}

void partial_of(const struct partial *p, const struct uidset *all, struct uidset *out)
{
	uint64_t first, last, before = 0;

	if (!partial_bounds(p, uidset_total(all), &first, &last))
		return;
	for (size_t i = 0; i < all->count && before < last; i++) {
		struct uid_range r = all->ranges[i];
		uint64_t size = (uint64_t)r.last - r.first + 1;

		if (before + size >= first) {
			uint64_t skip = first > before + 1 ? first - before - 1 : 0;
			uint64_t end = last - before < size ? last - before : size;

			uidset_add(out, r.first + (uint32_t)skip, r.first + (uint32_t)(end - 1));
		}
		before += size;
	}
}
