/* Checks of what the DNS says: the resolver, this host's name and addresses, the records of our domains, block lists. */
#include <arpa/inet.h>
#include <stdio.h>

#include "admin/checks.h"
#include "admin/dnsrecords.h"

#include "common/banned.h"

#define PROBE_SIGNED "ietf.org"         /* a name that has been signed for many years */

/* ---- the resolver ---- */

static bool is_word(const struct conf_list *list, const char *word)
{
	for (size_t i = 0; i < list->count; i++)
		if (sv_eq_nocase(sv_z(list->items[i]), sv_z(word)))
			return true;
	return false;
}

static const char *servers_text(const struct facts *facts, struct findings *fs)
{
	const struct conf_list *servers = &facts->conf->dns.servers;

	if (is_word(servers, "recursive"))
		return "Postroom asks the name servers of the Internet itself";
	return findings_text(fs, "dns-servers %s%s", servers->count ? servers->items[0] : "", servers->count > 1 ? " ..." : "");
}

void check_resolver(const struct facts *facts, struct findings *fs)
{
	const char *names[] = { facts->conf->host.hostname, facts->domain_count ? facts->domains[0] : PROBE_SIGNED, PROBE_SIGNED };
	static const enum dns_type types[] = { DNS_A, DNS_MX, DNS_A };
	const struct lookup_answer *a = NULL;
	struct finding finding = { .subject = "resolver", .expected = "names can be looked up" };

	if (facts->is_at_authorities)
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		lookup_want(facts->lookup, names[i], types[i]);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		a = lookup_ask(facts->lookup, names[i], types[i]);
		/* A proof that is wrong came from somewhere: the next check tells more. */
		if (a->status != DNS_TEMPFAIL || a->is_bogus) {
			finding.found = servers_text(facts, fs);
			findings_add(fs, finding);
			return;
		}
	}
	finding.state = CHECK_FAULT;
	finding.found = findings_text(fs, "no answer: %s (%s)", a->why, servers_text(facts, fs));
	finding.meanwhile = "mail is neither sent nor checked, it waits";
	finding.mend = is_word(&facts->conf->dns.servers, "recursive") ?
			       "let UDP and TCP port 53 out, or set dns-servers to a resolver of your provider" :
			       "see that these servers answer, or set dns-servers to others (or to: recursive)";
	findings_add(fs, finding);
}

void check_dnssec(const struct facts *facts, struct findings *fs)
{
	struct finding finding = { .subject = "DNSSEC", .expected = "proofs come through the resolver",
				   .meanwhile = "no name can be trusted, so mail waits",
				   .mend = "set dns-servers to a resolver that passes signatures on (or to: recursive); and see that the "
					   "clock is right" };
	const char *host = facts->conf->host.hostname;

	if (is_word(&facts->conf->dns.anchors, "none")) {
		findings_add(fs, (struct finding){ .subject = finding.subject, .found = "switched off by dns-trust-anchors none",
						   .expected = "what the configuration says" });
		return;
	}
	lookup_want(facts->lookup, PROBE_SIGNED, DNS_A);
	const struct lookup_answer *probe = lookup_ask(facts->lookup, PROBE_SIGNED, DNS_A);
	const struct lookup_answer *own = lookup_ask(facts->lookup, host, DNS_A);

	if (probe->is_secure || own->is_secure) {
		findings_add(fs, (struct finding){ .subject = finding.subject, .expected = finding.expected, .found = "proofs are right" });
		return;
	}
	finding.state = CHECK_FAULT;
	if (probe->is_bogus)
		finding.found = findings_text(fs, "the proof for " PROBE_SIGNED " is wrong: %s", probe->why);
	else if (own->is_bogus)
		finding.found = findings_text(fs, "the proof for %s is wrong: %s", host, own->why);
	else {
		/* A network of its own, without the Internet: nothing signed to look at. */
		finding.state = probe->status == DNS_DATA ? CHECK_WARNING : CHECK_UNKNOWN;
		finding.found = probe->status == DNS_DATA ? "answers without proofs" : PROBE_SIGNED " cannot be looked up";
		finding.meanwhile = "DANE of other servers is not seen";
	}
	findings_add(fs, finding);
}

/* ---- this host ---- */

static const char *address_list(struct findings *fs, const struct netaddr *addresses, size_t count)
{
	char text[NETADDR_TEXT_MAX];
	struct buf out;

	buf_init(&out, 4096);
	for (size_t i = 0; i < count; i++)
		buf_appendf(&out, "%s%s", i ? ", " : "", netaddr_text(&addresses[i], text).p);
	const char *list = count ? findings_text(fs, "%.*s", SV_FMT(buf_sv(&out))) : "no address";

	buf_done(&out);
	return list;
}

/* The addresses that the host name should have, in words. */
static const char *expected_addresses(const struct facts *facts, struct findings *fs)
{
	struct netaddr own[FACTS_ADDRESSES_MAX];
	size_t count = 0;

	for (size_t i = 0; i < facts->address_count; i++)
		if (!address_is_private(&facts->addresses[i]))
			own[count++] = facts->addresses[i];
	if (facts->is_local)
		return "an address of this machine";
	return count ? address_list(fs, own, count) : "the public address of the router in front of this machine";
}

/* Could it be ours? What no interface has is another machine's, unless a router translates addresses. */
static bool may_be_own(const struct facts *facts, const struct netaddr *a)
{
	if (address_is_own(a))
		return facts->is_local || !address_is_private(a);
	return a->family == NET_IPV4 && !facts->is_local && facts_is_behind_nat(facts) && !address_is_private(a);
}

void check_forward(const struct facts *facts, struct findings *fs)
{
	const char *host = facts->conf->host.hostname;
	struct netaddr found[FACTS_ADDRESSES_MAX];
	bool failed;

	if (!facts_can_ask(facts, host))
		return;
	size_t count = lookup_addresses(facts->lookup, host, found, ARRAY_LEN(found), &failed);
	struct finding finding = { .subject = findings_text(fs, "address of %s", host), .found = address_list(fs, found, count),
				   .expected = expected_addresses(facts, fs) };

	for (size_t i = 0; i < count; i++)
		if (!may_be_own(facts, &found[i]))
			finding.state = CHECK_FAULT;
	if (!count)
		finding.state = failed ? CHECK_UNKNOWN : facts->is_before_start ? CHECK_WARNING : CHECK_FAULT;
	if (finding.state != CHECK_GOOD) {
		finding.meanwhile = "other servers and mail programs do not find this server, or not always";
		finding.mend = failed && !count ? "try again later: the name servers of the host name do not answer" :
			       !count && facts->is_before_start ? "nothing yet: the records that are to be published next have it (postroom dns DOMAIN)" :
			       !count ? "add A (and AAAA, where IPv6 works) records for the host name" :
			       findings_text(fs, "let the A and AAAA records of %s name only addresses of this machine", host);
	}
	findings_add(fs, finding);
}

static void check_reverse_of(const struct facts *facts, struct findings *fs, const struct netaddr *address)
{
	const char *host = facts->conf->host.hostname;
	char name[80], text[NETADDR_TEXT_MAX], found[4 * DNS_NAME_MAX + 1] = "";
	bool is_there = false;

	dns_reverse_name(address->ip, name);
	const struct lookup_answer *a = lookup_ask(facts->lookup, name, DNS_PTR);

	for (size_t i = 0; i < a->count && !is_there; i++) {
		struct sv rdata = a->records[i];

		is_there = dns_name_from(&rdata, found) && sv_eq_nocase(sv_z(found), sv_z(host));
	}
	struct finding finding = { .subject = findings_text(fs, "name of %s", netaddr_text(address, text).p), .expected = host };

	if (is_there) {
		finding.found = host;
	} else {
		finding.state = a->status == DNS_TEMPFAIL ? CHECK_UNKNOWN : CHECK_FAULT;
		finding.found = a->status == DNS_TEMPFAIL ? findings_text(fs, "no answer: %s", a->why) :
				a->count ? findings_text(fs, "%s", found) : "no PTR record";
		finding.meanwhile = "many servers refuse mail from an address whose name is another, or none";
		finding.mend = findings_text(fs, "have whoever gave you the address (its provider) set its name, the PTR record, to %s", host);
	}
	findings_add(fs, finding);
}

void check_reverse(const struct facts *facts, struct findings *fs)
{
	struct netaddr found[FACTS_ADDRESSES_MAX];
	size_t count = lookup_addresses(facts->lookup, facts->conf->host.hostname, found, ARRAY_LEN(found), NULL);
	char name[80];

	for (size_t i = 0; i < count; i++) {
		dns_reverse_name(found[i].ip, name);
		lookup_want(facts->lookup, name, DNS_PTR);
	}
	for (size_t i = 0; i < count; i++)
		check_reverse_of(facts, fs, &found[i]);
}

/* ---- block lists ---- */

/* Lists that many receivers ask, for addresses that send. Answers outside 127.0.0.0/8, and 127.255.255.x, are errors of the
 * list, such as a refusal to talk to a large public resolver. */
static const struct {
	const char *zone, *page;
} lists[] = {
	{ "zen.spamhaus.org", "https://check.spamhaus.org" },
	{ "bl.spamcop.net", "https://www.spamcop.net/bl.shtml" },
	{ "psbl.surriel.com", "https://psbl.org" },
};

static void list_name(const struct netaddr *address, const char *zone, char out[2 * DNS_NAME_MAX])
{
	char reverse[80];

	dns_reverse_name(address->ip, reverse);
	*strstr(reverse, address->family == NET_IPV4 ? ".in-addr.arpa" : ".ip6.arpa") = '\0';
	snprintf(out, 2 * (size_t)DNS_NAME_MAX, "%s.%s", reverse, zone);
}

static bool is_listed(const struct lookup_answer *a, uint8_t ip[16])
{
	for (size_t i = 0; i < a->count; i++)
		if (dns_ip_from(DNS_A, a->records[i], ip) && ip[12] == 127 && !(ip[13] == 255 && ip[14] == 255))
			return true;
	return false;
}

void check_lists(const struct facts *facts, struct findings *fs)
{
	struct netaddr own[FACTS_ADDRESSES_MAX];
	size_t count = lookup_addresses(facts->lookup, facts->conf->host.hostname, own, ARRAY_LEN(own), NULL), listed = 0;
	char name[2 * DNS_NAME_MAX], text[NETADDR_TEXT_MAX];
	uint8_t ip[16];

	if (!count)
		return;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
			list_name(&own[i], lists[k].zone, name);
			lookup_want(facts->lookup, name, DNS_A);
		}
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
			list_name(&own[i], lists[k].zone, name);
			if (!is_listed(lookup_ask(facts->lookup, name, DNS_A), ip))
				continue;
			listed++;
			findings_add(fs, (struct finding){
				.state = CHECK_FAULT, .subject = findings_text(fs, "block list %s", lists[k].zone),
				.found = findings_text(fs, "%s stands in it, as 127.%u.%u.%u", netaddr_text(&own[i], text).p, ip[13], ip[14],
						       ip[15]),
				.expected = "not listed", .meanwhile = "servers that ask this list refuse our mail",
				.mend = findings_text(fs, "see at %s why, end the cause, and ask to be removed", lists[k].page) });
		}
	if (!listed)
		findings_add(fs, (struct finding){ .subject = "block lists", .found = "no list that was asked names this host",
						   .expected = "not listed" });
}

/* ---- the records of our domains ---- */

void check_records(const struct facts *facts, struct findings *fs)
{
	for (size_t i = 0; i < facts->domain_count; i++) {
		struct dnsrecords records;
		struct fault f = dnsrecords_make(facts, facts->domains[i], &records);

		if (!f.kind)
			dnsrecords_compare(facts, &records, fs);
		else
			findings_add(fs, (struct finding){ .state = CHECK_FAULT, .subject = findings_text(fs, "records of %s", facts->domains[i]),
							   .found = findings_text(fs, "%s", f.detail ? f.detail : fault_name(f.kind)),
							   .expected = "keys that can be read", .meanwhile = "mail is not signed",
							   .mend = "postroom dkim list" });
		dnsrecords_done(&records);
	}
}
