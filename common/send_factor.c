#include "common/send_factor.h"

#include "common/banned.h"

bool send_factor_parse(const char *item, struct sv *who, uint32_t *factor)
{
	struct sv rest = sv_z(item);

	return sv_split(&rest, '=', who) && sv_find(*who, '@') != SIZE_MAX && sv_to_u32(rest, factor) && *factor;
}

uint64_t send_factor(const struct conf *conf, struct sv account)
{
	size_t at = sv_rfind(account, '@');
	struct sv domain = sv_sub(account, at, SIZE_MAX), who;
	uint64_t best = 1;
	uint32_t factor;

	for (size_t i = 0; i < conf->smtp.send_factors.count; i++)
		if (send_factor_parse(conf->smtp.send_factors.items[i], &who, &factor) &&
		    (sv_eq_nocase(who, account) || sv_eq_nocase(who, domain)) && factor > best)
			best = factor;
	return best;
}
