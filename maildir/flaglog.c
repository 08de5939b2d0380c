/* maildir/flaglog.c - see flaglog.h. */
#include "maildir/flaglog.h"

#include "common/crc32c.h"

#include "common/banned.h"

#define RANGES_PER_LINE 256     /* at most 22 octets each */

static bool write_line(const struct flag_record *r, const struct uidset *part, struct buf *out)
{
	size_t start = out->len;

	return buf_appendf(out, "F %016llx ", (unsigned long long)r->box) && uidset_write(part, out) &&
	       buf_appendf(out, " %x %016llx%016llx", r->flags, (unsigned long long)r->keywords.w[1],
			   (unsigned long long)r->keywords.w[0]) &&
	       buf_appendf(out, " %08x\n", crc32c(sv_from(out->p + start, out->len - start)));
}

bool flaglog_write(const struct flag_record *r, struct buf *out)
{
	size_t start = out->len;

	for (size_t at = 0; at < r->uids.count; at += RANGES_PER_LINE) {
		struct uidset part = r->uids;
		part.ranges += at;
		part.count = part.count - at > RANGES_PER_LINE ? RANGES_PER_LINE : part.count - at;
		if (!write_line(r, &part, out)) {
			out->len = start;
			return false;
		}
	}
	return true;
}

static bool parse_set(struct sv s, struct uidset *out)
{
	struct sv part;

	while (sv_split(&s, ',', &part)) {
		struct sv first = SV_NONE;
		uint32_t a, b;
		if (!sv_split(&part, ':', &first) || !sv_to_u32(first, &a) || !a)
			return false;
		if (!part.p)
			b = a;
		else if (!sv_to_u32(part, &b) || b < a)
			return false;
		if (!uidset_add(out, a, b))
			return false;
	}
	return out->count > 0;
}

static bool parse_line(struct sv line, struct flag_record *r)
{
	struct sv box = SV_NONE, uids = SV_NONE, flags = SV_NONE, keywords = SV_NONE, rest;
	uint64_t crc, f;
	size_t last = sv_rfind(line, ' ');

	if (last == SIZE_MAX || !sv_hex_to_u64(sv_sub(line, last + 1, SIZE_MAX), &crc) ||
	    crc != crc32c(sv_sub(line, 0, last)))
		return false;
	rest = sv_sub(line, 0, last);
	if (!sv_starts(rest, SV("F ")))
		return false;
	sv_skip(&rest, 2);
	if (!sv_split(&rest, ' ', &box) || !sv_split(&rest, ' ', &uids) || !sv_split(&rest, ' ', &flags) ||
	    !sv_split(&rest, ' ', &keywords) || keywords.len != 32)
		return false;
	if (!sv_hex_to_u64(box, &r->box) || !r->box || !sv_hex_to_u64(flags, &f) || f > UINT32_MAX ||
	    !sv_hex_to_u64(sv_sub(keywords, 0, 16), &r->keywords.w[1]) ||
	    !sv_hex_to_u64(sv_sub(keywords, 16, 16), &r->keywords.w[0]) || !parse_set(uids, &r->uids))
		return false;
	r->flags = (uint32_t)f;
	return true;
}

size_t flaglog_parse(struct sv log, flaglog_fn *fn, void *arg)
{
	struct sv rest = log;
	bool go_on = true;

	while (go_on && rest.len) {
		size_t end = sv_find(rest, '\n');
		if (end == SIZE_MAX)
			break;
		struct flag_record r = { .uids = { .max_ranges = 2 * RANGES_PER_LINE } };
		if (parse_line(sv_sub(rest, 0, end), &r))
			go_on = fn(arg, &r);
		uidset_done(&r.uids);
		sv_skip(&rest, end + 1);
	}
	return log.len - rest.len;
}
