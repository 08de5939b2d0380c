#include "common/expiry.h"

#include "common/banned.h"

static bool read_age(struct sv text, int64_t *out)
{
	static const struct { char unit; int64_t seconds; } units[] = {
		{ 'h', 3600 }, { 'd', 86400 }, { 'w', 7 * 86400 },
	};
	uint64_t n;

	if (!text.len || !sv_to_u64(sv_sub(text, 0, text.len - 1), &n))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (text.p[text.len - 1] != units[i].unit || n > (uint64_t)(EXPIRY_AGE_MAX_S / units[i].seconds))
			continue;
		*out = (int64_t)n * units[i].seconds;
		return *out >= EXPIRY_AGE_MIN_S;
	}
	return false;
}

bool expiry_parse(struct sv word, struct expiry_rule *out)
{
	size_t at = word.len;

	while (at && word.p[at - 1] != '=')     /* the last one: a mailbox name may hold others */
		at--;
	if (at < 2 || !read_age(sv_sub(word, at, SIZE_MAX), &out->age_s))
		return false;
	out->name = sv_sub(word, 0, at - 1);
	out->what = sv_eq(out->name, SV("trash")) ? EXPIRY_TRASH :
		    sv_eq(out->name, SV("junk"))  ? EXPIRY_JUNK :
		    out->name.p[out->name.len - 1] == '*' ? EXPIRY_PREFIX : EXPIRY_NAME;
	if (out->what == EXPIRY_PREFIX)
		out->name = sv_sub(out->name, 0, out->name.len - 1);
	/* Everything an account has is not a mailbox to tidy up. */
	return out->what != EXPIRY_PREFIX || out->name.len;
}
