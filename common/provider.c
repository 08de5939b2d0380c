#include "common/provider.h"

#include "common/conf.h"

#include "common/banned.h"

bool provider_parse(struct sv word, struct sv *name, struct sv *suffix)
{
	*suffix = word;
	if (sv_find(word, '=') == SIZE_MAX || !sv_split(suffix, '=', name) || !name->len || !suffix->len || suffix->p[0] == '.')
		return false;
	for (size_t i = 0; i < word.len; i++)
		if (!ascii_is_alpha(word.p[i]) && !ascii_is_digit(word.p[i]) && !strchr("-_.=", word.p[i]))
			return false;
	return sv_find(*suffix, '=') == SIZE_MAX;
}

/* is_below - the host is the suffix, or its name ends in it behind a dot. */
static bool is_below(struct sv host, struct sv suffix)
{
	struct sv end = host.len >= suffix.len ? sv_sub(host, host.len - suffix.len, SIZE_MAX) : SV_NONE;

	return end.len && sv_eq_nocase(end, suffix) && (host.len == suffix.len || host.p[host.len - suffix.len - 1] == '.');
}

struct sv provider_of(const struct conf_list *providers, struct sv host)
{
	struct sv best = SV_NONE, name, suffix;
	size_t best_len = 0;

	if (sv_ends(host, SV(".")))
		host.len--;
	for (size_t i = 0; i < providers->count; i++)
		if (provider_parse(sv_z(providers->items[i]), &name, &suffix) && suffix.len > best_len && is_below(host, suffix)) {
			best = name;
			best_len = suffix.len;
		}
	return best;
}

struct sv provider_of_remote(const struct conf_list *providers, struct sv remote)
{
	struct sv host = SV_NONE, name;
	size_t dot;

	if (!sv_split(&remote, ' ', &host) || !host.len || *host.p == '[')
		return SV_NONE;
	name = provider_of(providers, host);
	dot = sv_rfind(host, '.');
	dot = dot == SIZE_MAX ? SIZE_MAX : sv_rfind(sv_sub(host, 0, dot), '.');
	return name.len ? name : dot == SIZE_MAX ? host : sv_sub(host, dot + 1, SIZE_MAX);
}
