/* The texts of MTA-STS: what a policy says (RFC 8461 §3.2), and the record that announces it (§3.1). */
#include "smtpd/sts.h"
#include "smtpd/taglist.h"

#include "common/banned.h"

/* is_pattern - a host name without a dot at its end, or "*." and one. */
static bool is_pattern(struct sv s)
{
	bool dot = true;

	if (sv_starts(s, SV("*.")))
		sv_skip(&s, 2);
	if (!s.len || s.len > 253)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '.' && dot)
			return false;
		dot = c == '.';
		if (!dot && !ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' && c != '_')
			return false;
	}
	return !dot;
}

static bool read_mode(struct sv value, enum sts_mode *mode)
{
	static const struct sv names[] = { SV_INIT("none"), SV_INIT("testing"), SV_INIT("enforce") };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!sv_eq(value, names[i]))
			continue;
		*mode = (enum sts_mode)i;
		return true;
	}
	return false;
}

/* What was seen of a policy so far: of a key that may stand once, the first counts. */
struct reading {
	bool has_version, has_mode, has_age;
};

static bool read_line(struct sv line, struct reading *r, struct sts_policy *out)
{
	size_t colon = sv_find(line, ':');
	struct sv key = sv_trim(sv_sub(line, 0, colon)), value;
	bool good = true;

	if (colon == SIZE_MAX)
		return false;
	value = sv_trim(sv_sub(line, colon + 1, line.len));
	if (sv_eq(key, SV("version")) && !r->has_version) {
		good = sv_eq(value, SV("STSv1"));
		r->has_version = true;
	} else if (sv_eq(key, SV("mode")) && !r->has_mode) {
		good = read_mode(value, &out->mode);
		r->has_mode = true;
	} else if (sv_eq(key, SV("max_age")) && !r->has_age) {
		good = value.len <= 10 && sv_to_u32(value, &out->max_age_s);
		if (out->max_age_s > STS_AGE_MAX_S)
			out->max_age_s = STS_AGE_MAX_S;
		r->has_age = true;
	} else if (sv_eq(key, SV("mx"))) {
		if (sv_ends(value, SV(".")))
			value.len--;    /* a name as DNS writes it, which is no Domain of RFC 5321, but means one */
		good = is_pattern(value) && out->mx_count < STS_MX_MAX;
		if (good)
			out->mx[out->mx_count++] = value;
	}
	return good;            /* a key that is not known is for others (RFC 8461 §3.2) */
}

bool sts_policy_parse(struct sv text, struct sts_policy *out)
{
	struct reading r = { .has_version = false };
	struct sv line;
	bool good = text.len <= STS_POLICY_MAX;

	memset(out, 0, sizeof(*out));
	while (good && sv_split(&text, '\n', &line)) {
		if (!sv_trim(line).len)
			continue;
		good = read_line(line, &r, out);
	}
	good = good && r.has_version && r.has_mode && r.has_age && (out->mode == STS_NONE || out->mx_count);
	if (!good)
		memset(out, 0, sizeof(*out));
	return good;
}

bool sts_policy_allows(const struct sts_policy *policy, struct sv host)
{
	if (sv_ends(host, SV(".")))
		host.len--;
	for (size_t i = 0; i < policy->mx_count; i++) {
		struct sv pattern = policy->mx[i], rest = host;
		size_t dot = sv_find(host, '.');

		if (sv_eq_nocase(pattern, host))
			return true;
		if (!sv_starts(pattern, SV("*.")) || dot == SIZE_MAX || !dot)
			continue;
		/* The star is one whole label, the leftmost (RFC 8461 §4.1, RFC 6125 §6.4.3). */
		sv_skip(&rest, dot);
		sv_skip(&pattern, 1);
		if (sv_eq_nocase(pattern, rest))
			return true;
	}
	return false;
}

bool sts_record_parse(struct sv text, char id[STS_ID_MAX + 1])
{
	struct taglist tags;
	struct sv value;

	if (!sv_starts(text, SV("v=STSv1")) || !taglist_parse(text, &tags) || !taglist_is(&tags, SV("v"), SV("STSv1")) ||
	    !taglist_get(&tags, SV("id"), &value) || !value.len || value.len > STS_ID_MAX)
		return false;
	for (size_t i = 0; i < value.len; i++)
		if (!ascii_is_alpha(value.p[i]) && !ascii_is_digit(value.p[i]))
			return false;
	memcpy(id, value.p, value.len);
	id[value.len] = '\0';
	return true;
}
