/* Lists whose words have a form of their own: `conf check` names a bad one before a daemon refuses to start with it. What the words
 * mean is known to whoever obeys the option. */
#include "common/conf_private.h"
#include "common/netaddr.h"
#include "common/provider.h"
#include "common/unsubscribe.h"

#include "common/banned.h"

static bool is_domain(struct sv s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) && !strchr("-._", s.p[i]))
			return false;
	return s.len > 0;
}

/* is_dns_list - "zen.example=3", "wl.example=-2", "bl.example". */
static bool is_dns_list(struct sv s)
{
	size_t equals = sv_find(s, '=');
	struct sv zone = sv_sub(s, 0, equals), weight = equals == SIZE_MAX ? SV("1") : sv_sub(s, equals + 1, s.len);
	uint32_t n;

	if (weight.len && weight.p[0] == '-')
		sv_skip(&weight, 1);
	return is_domain(zone) && sv_find(zone, '.') != SIZE_MAX && sv_to_u32(weight, &n) && n <= 100;
}

/* is_exception - "lists.example.org=none". */
static bool is_exception(struct sv s)
{
	static const char *const policies[] = { "none", "quarantine", "reject" };
	struct sv domain;

	if (!sv_split(&s, '=', &domain) || !is_domain(domain))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(policies); i++)
		if (sv_eq_nocase(s, sv_z(policies[i])))
			return true;
	return false;
}

/* is_place - "127.0.0.1:11332", "[::1]:11332" or "/run/filter.sock", each also with "rspamd:" in front. */
static bool is_place(struct sv s)
{
	struct netaddr address;

	if (sv_starts(s, SV("rspamd:")))
		sv_skip(&s, 7);
	return sv_starts(s, SV("/")) || netaddr_parse_port(s, &address);
}

static bool is_address(struct sv s)
{
	size_t at = sv_rfind(s, '@');

	return at != SIZE_MAX && at > 0 && is_domain(sv_sub(s, at + 1, s.len));
}

static bool is_reporter(struct sv s)
{
	return is_domain(s) || is_address(s);
}

static bool is_provider(struct sv s)
{
	struct sv name, suffix;

	return provider_parse(s, &name, &suffix);
}

static bool is_bulk_sender(struct sv s)
{
	enum unsubscribe_mode mode;
	struct sv who;

	return unsubscribe_parse(s, &who, &mode);
}

/* is_asking - a kind of listener where somebody logs in, over TLS. */
static bool is_asking(struct sv s)
{
	for (size_t i = 0; i < conf_kind_count; i++)
		if (sv_eq(s, sv_z(conf_kinds[i].name)))
			return conf_kinds[i].kind & (LISTENERS_IMAPD | LISTENERS_POP3D | LISTENER_SUBMISSION | LISTENER_SUBMISSIONS);
	return false;
}

static const struct {
	const char *option;
	bool (*is_good)(struct sv word);
	const char *expected;
} forms[] = {
	{ "dns-lists", is_dns_list, "zones with a weight, such as zen.example.net=2" },
	{ "dmarc-exceptions", is_exception, "domains with a policy, such as lists.example.org=none" },
	{ "milters", is_place, "places such as 127.0.0.1:11332, /run/filter.sock or rspamd:127.0.0.1:11333" },
	{ "submission-milters", is_place, "places such as 127.0.0.1:11332, /run/filter.sock or rspamd:127.0.0.1:11333" },
	{ "bulk-senders", is_bulk_sender, "senders such as news@example.org=add or @example.org=check" },
	{ "complaint-reporters", is_reporter, "addresses such as fbl@example.net, or domains" },
	{ "mail-providers", is_provider, "names with the end of a host, such as google=google.com" },
	{ "tls-client-certificates", is_asking, "kinds of listeners where people log in, such as imaps submissions" },
	{ "report-addresses", is_address, "addresses such as reports@example.org" },
};

bool conf_words_check(const struct conf_option *option, const struct sv *words, size_t count, struct buf *why)
{
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (strcmp(option->name, forms[i].option) != 0)
			continue;
		for (size_t k = 0; k < count; k++) {
			if ((count == 1 && sv_eq(words[k], SV("none"))) || forms[i].is_good(words[k]))
				continue;
			(void)buf_appendf(why, "\"%.*s\" cannot be understood; expected %s, or none", SV_FMT(sv_sub(words[k], 0, 80)),
					  forms[i].expected);
			return false;
		}
	}
	return true;
}
