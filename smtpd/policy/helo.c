/* What a client calls itself (RFC 5321 §4.1.4): our own name or address says that it lies; what is
 * no name at all is how careless programs greet, and some honest ones. */
#include "smtpd/policy/policy.h"

#include "common/banned.h"

/* is_name - letters, digits, hyphens and dots, and one dot at least inside. */
static bool is_name(struct sv helo)
{
	size_t dot = sv_find(helo, '.');

	for (size_t i = 0; i < helo.len; i++)
		if (!ascii_is_alpha(helo.p[i]) && !ascii_is_digit(helo.p[i]) && helo.p[i] != '-' &&
		    helo.p[i] != '.' && helo.p[i] != '_')
			return false;
	return dot != SIZE_MAX && dot > 0 && dot + 1 < helo.len;
}

/* literal_address - "[192.0.2.1]", "[IPv6:2001:db8::1]" (§4.1.3). */
static bool literal_address(struct sv helo, struct netaddr *out)
{
	if (helo.len < 3 || helo.p[0] != '[' || helo.p[helo.len - 1] != ']')
		return false;
	helo = sv_sub(helo, 1, helo.len - 2);
	if (sv_starts_nocase(helo, SV("IPv6:")))
		sv_skip(&helo, 5);
	return netaddr_parse(helo, out);
}

void policy_helo(const struct policy_facts *facts, struct policy_verdict *verdict)
{
	struct netaddr literal, bare;

	if (sv_eq_nocase(facts->helo, sv_z(facts->conf->host.hostname))) {
		policy_suspect(verdict, REPLY_HELO_REFUSED, "You are not %s",
			       facts->conf->host.hostname);
	} else if (literal_address(facts->helo, &literal)) {
		if (!netaddr_eq_ip(&literal, &facts->peer))
			policy_suspect(verdict, REPLY_HELO_REFUSED, "%.*s is not your address",
				       SV_FMT(sv_sub(facts->helo, 0, 60)));
	} else if (!is_name(facts->helo) || netaddr_parse(facts->helo, &bare)) {
		policy_suspect(verdict, REPLY_HELO_REFUSED, "%.*s is no name of a host",
			       SV_FMT(sv_sub(facts->helo, 0, 100)));
	}
}
