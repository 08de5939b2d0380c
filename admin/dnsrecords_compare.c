/* A record that a domain needs, against what the DNS says: one finding each. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "admin/dnsrecords.h"
#include "admin/sts_evidence.h"

#include "common/banned.h"

#define TXT_MAX 8192

/* ---- what was found, in words ---- */

/* found_text - the records as zone files have them, or why there are none. */
static const char *found_text(struct findings *fs, const struct dnsrecord *r, const struct lookup_answer *a)
{
	const char *text = "nothing";
	struct buf out;

	if (a->status == DNS_TEMPFAIL)
		return findings_text(fs, "no answer: %s", a->why);
	buf_init(&out, TXT_MAX);
	for (size_t i = 0; i < a->count; i++) {
		if (i)
			buf_append(&out, SV(", "));
		dnsrdata_print(r->type, a->records[i], &out);
	}
	if (out.len && a->why[0])
		buf_appendf(&out, " (%s)", a->why);
	if (out.len)
		text = findings_text(fs, "%.*s", SV_FMT(buf_sv(&out)));
	else if (a->why[0])
		text = findings_text(fs, "nothing (%s)", a->why);
	buf_done(&out);
	return text;
}

static const char *subject_of(struct findings *fs, const struct dnsrecord *r)
{
	return findings_text(fs, "%s %s", dnsrdata_type_name(r->type), r->name);
}

static void say(struct findings *fs, const struct dnsrecord *r, enum check_state state, const char *found, const char *mend)
{
	bool is_good = state == CHECK_GOOD;

	findings_add(fs, (struct finding){ .state = state, .subject = subject_of(fs, r), .found = found,
					   .expected = findings_text(fs, "%s", r->text), .meanwhile = is_good ? NULL : r->kind->meanwhile, .mend = is_good ? NULL : mend });
}

/* What it means when a record is not there. */
static enum check_state state_of(const struct dnsrecord *r)
{
	switch (r->kind->level) {
	case DNSRECORD_MUST:   return CHECK_FAULT;
	case DNSRECORD_SHOULD: return CHECK_WARNING;
	case DNSRECORD_MAY:    return CHECK_ADVICE;
	}
	BUG("level %d", r->kind->level);
}

static const char *publish_it(struct findings *fs, const struct dnsrecord *r, const char *how)
{
	return findings_text(fs, "%s: %s. %s %s", how, r->name, dnsrdata_type_name(r->type), r->text);
}

/* say_missing - true when there is no answer or no record, and that was said. */
static bool say_missing(struct findings *fs, const struct dnsrecord *r, const struct lookup_answer *a)
{
	if (a->status == DNS_DATA && !a->why[0])
		return false;
	if (a->status == DNS_TEMPFAIL)
		say(fs, r, CHECK_UNKNOWN, found_text(fs, r, a), "try again later; the name servers of the domain do not answer");
	else
		say(fs, r, state_of(r), found_text(fs, r, a),
		    a->why[0] ? "make the name servers of the domain say the same; it may take until they have copied the zone" :
				publish_it(fs, r, "add the record"));
	return true;
}

/* Text of record i; false when it is none. */
static bool txt_at(const struct lookup_answer *a, size_t i, struct buf *out)
{
	buf_clear(out);
	return dns_txt_from(a->records[i], out);
}

/* ---- by kind ---- */

void dnsrecord_compare_mx(const struct facts *facts, const struct dnsrecord *r, const struct lookup_answer *a, struct findings *fs)
{
	char host[4 * DNS_NAME_MAX + 1];
	uint16_t preference, ours = 0, best = UINT16_MAX;
	bool is_there = false;

	if (say_missing(fs, r, a))
		return;
	for (size_t i = 0; i < a->count; i++) {
		if (!dns_mx_from(a->records[i], &preference, host))
			continue;
		if (preference < best)
			best = preference;
		if (sv_eq_nocase(sv_z(host), sv_z(facts->conf->host.hostname))) {
			is_there = true;
			ours = preference;
		}
	}
	if (!is_there)
		say(fs, r, CHECK_FAULT, found_text(fs, r, a), publish_it(fs, r, "put this host in place of the others"));
	else if (ours > best)
		say(fs, r, CHECK_WARNING, found_text(fs, r, a),
		    "other servers bring mail to the host with the lowest number first; give this one the lowest, if mail is read here");
	else
		say(fs, r, CHECK_GOOD, found_text(fs, r, a), NULL);
}

/* Does a term of an SPF record let one of our addresses pass? What leads elsewhere (include, redirect, exists) may. */
static bool spf_term_fits(const struct facts *facts, struct sv term, const struct netaddr *own, size_t own_count, bool *is_elsewhere)
{
	static const char *const elsewhere[] = { "include:", "redirect=", "exists:", "ptr", "a:", "a/", "mx:" };
	struct ipnet net;
	size_t colon;

	if (term.len && *term.p == '+')
		sv_skip(&term, 1);
	if (sv_eq_nocase(term, SV("mx")) || sv_starts_nocase(term, SV("mx/")) || sv_eq_nocase(term, SV("all")))
		return true;
	if (sv_starts_nocase(term, SV("a:")) && sv_eq_nocase(sv_sub(term, 2, SIZE_MAX), sv_z(facts->conf->host.hostname)))
		return true;
	colon = sv_find(term, ':');
	if (sv_starts_nocase(term, SV("ip")) && colon != SIZE_MAX && ipnet_parse(sv_sub(term, colon + 1, SIZE_MAX), &net)) {
		for (size_t i = 0; i < own_count; i++)
			if (ipnet_has(&net, own[i].ip))
				return true;
		return false;
	}
	*is_elsewhere |= sv_eq_nocase(term, SV("a"));
	for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++)
		*is_elsewhere |= sv_starts_nocase(term, sv_z(elsewhere[i]));
	return false;
}

static bool spf_fits(const struct facts *facts, struct sv record)
{
	struct netaddr own[FACTS_ADDRESSES_MAX];
	size_t own_count = facts->is_at_authorities ? 0 : lookup_addresses(facts->lookup, facts->conf->host.hostname, own,
									     ARRAY_LEN(own), NULL);
	bool is_elsewhere = facts->is_at_authorities;
	struct sv term;

	(void)sv_split(&record, ' ', &term);
	while (sv_split(&record, ' ', &term))
		if (spf_term_fits(facts, term, own, own_count, &is_elsewhere))
			return true;
	return is_elsewhere;
}

void dnsrecord_compare_spf(const struct facts *facts, const struct dnsrecord *r, const struct lookup_answer *a, struct findings *fs)
{
	size_t count = 0;
	bool fits = false;
	struct buf text;

	if (a->status == DNS_TEMPFAIL && say_missing(fs, r, a))
		return;
	buf_init(&text, TXT_MAX);
	for (size_t i = 0; i < a->count; i++)
		if (txt_at(a, i, &text) && (sv_eq_nocase(buf_sv(&text), SV("v=spf1")) || sv_starts_nocase(buf_sv(&text), SV("v=spf1 ")))) {
			count++;
			fits = spf_fits(facts, buf_sv(&text));
		}
	buf_done(&text);
	if (!count)
		say(fs, r, CHECK_FAULT, "no record that begins with v=spf1", publish_it(fs, r, "add the record"));
	else if (count > 1)
		say(fs, r, CHECK_FAULT, findings_text(fs, "%zu records that begin with v=spf1", count),
		    "make one of them: with two, others treat it as an error (RFC 7208 §4.5)");
	else if (!fits)
		say(fs, r, CHECK_FAULT, found_text(fs, r, a), "add \"mx\" behind v=spf1: this host is not among those that may send");
	else
		say(fs, r, CHECK_GOOD, found_text(fs, r, a), NULL);
}

void dnsrecord_compare_dkim(const struct facts *facts, const struct dnsrecord *r, const struct lookup_answer *a, struct findings *fs)
{
	struct buf ours, text;
	bool is_there = false;
	struct sv key = SV_NONE;

	(void)facts;
	if (say_missing(fs, r, a))
		return;
	buf_init(&ours, TXT_MAX);
	buf_init(&text, TXT_MAX);
	if (dns_txt_from(r->rdata, &ours))
		key = sv_sub(buf_sv(&ours), sv_search(buf_sv(&ours), SV("p=")), SIZE_MAX);
	/* Other tags and spacing are the administrator's. */
	for (size_t i = 0; i < a->count; i++)
		is_there |= txt_at(a, i, &text) && key.len && sv_search(buf_sv(&text), key) != SIZE_MAX;
	if (is_there)
		say(fs, r, CHECK_GOOD, "our key", NULL);
	else
		say(fs, r, CHECK_FAULT, found_text(fs, r, a), publish_it(fs, r, "replace it by the key that signs"));
	buf_done(&ours);
	buf_done(&text);
}

/* A TXT record that begins with v=...: one, whatever else it says. */
void dnsrecord_compare_tagged(const struct facts *facts, const struct dnsrecord *r, const struct lookup_answer *a,
			      struct findings *fs)
{
	struct buf ours, text;
	size_t count = 0;

	(void)facts;
	if (say_missing(fs, r, a))
		return;
	buf_init(&ours, TXT_MAX);
	buf_init(&text, TXT_MAX);
	if (dns_txt_from(r->rdata, &ours)) {
		struct sv version = sv_sub(buf_sv(&ours), 0, sv_find(buf_sv(&ours), ';'));

		for (size_t i = 0; i < a->count; i++)
			count += txt_at(a, i, &text) && sv_starts_nocase(buf_sv(&text), version);
	}
	if (count == 1)
		say(fs, r, CHECK_GOOD, found_text(fs, r, a), NULL);
	else if (count)
		say(fs, r, state_of(r), findings_text(fs, "%zu such records", count), "make one of them: with two, others ignore both");
	else
		say(fs, r, state_of(r), found_text(fs, r, a), publish_it(fs, r, "replace it"));
	buf_done(&ours);
	buf_done(&text);
}

/* The service with this host and port; another host may be there beside it. */
void dnsrecord_compare_srv(const struct facts *facts, const struct dnsrecord *r, const struct lookup_answer *a, struct findings *fs)
{
	struct dnsrdata_srv ours, theirs;
	bool is_there = false;

	(void)facts;
	if (say_missing(fs, r, a) || !dnsrdata_srv_from(r->rdata, &ours))
		return;
	for (size_t i = 0; i < a->count; i++)
		is_there |= dnsrdata_srv_from(a->records[i], &theirs) && theirs.port == ours.port &&
			    sv_eq_nocase(sv_z(theirs.host), sv_z(ours.host));
	if (is_there)
		say(fs, r, CHECK_GOOD, found_text(fs, r, a), NULL);
	else    /* where "." is only good to have, a service that is named there is the administrator's choice */
		say(fs, r, r->kind->level == DNSRECORD_MAY ? CHECK_GOOD : state_of(r), found_text(fs, r, a),
		    publish_it(fs, r, "replace it"));
}

/* A wrong TLSA record is worse than none: servers that check DANE send nothing at all (RFC 7672 §2.2). */
void dnsrecord_compare_tlsa(const struct facts *facts, const struct dnsrecord *r, const struct lookup_answer *a, struct findings *fs)
{
	bool is_there = false;

	(void)facts;
	if (a->status == DNS_NODATA || a->status == DNS_NXDOMAIN) {
		bool is_signed = a->is_secure;

		say(fs, r, is_signed ? CHECK_WARNING : CHECK_ADVICE, is_signed ? "nothing, in a signed zone" : "nothing",
		    is_signed ? publish_it(fs, r, "add the record") :
				findings_text(fs, "sign the zone by DNSSEC, then add: %s. TLSA %s", r->name, r->text));
		return;
	}
	if (say_missing(fs, r, a))
		return;
	for (size_t i = 0; i < a->count; i++) {
		struct dns_tlsa t;

		/* Another usable kind is the administrator's choice: what it means is in the certificate of the authority. */
		is_there |= sv_eq(a->records[i], r->rdata) || (dns_tlsa_from(a->records[i], &t) && (t.usage != 3 || t.selector != 1 ||
												   t.matching != 1));
	}
	if (is_there)
		say(fs, r, CHECK_GOOD, found_text(fs, r, a), NULL);
	else
		findings_add(fs, (struct finding){ .state = CHECK_FAULT, .subject = subject_of(fs, r), .found = found_text(fs, r, a),
						   .expected = findings_text(fs, "%s", r->text),
						   .meanwhile = "servers that check DANE do not bring us mail at all",
						   .mend = publish_it(fs, r, "replace it by the key that is served") });
}

/* Names of authorities that may issue; another choice is the administrator's. */
void dnsrecord_compare_caa(const struct facts *facts, const struct dnsrecord *r, const struct lookup_answer *a, struct findings *fs)
{
	(void)facts;
	if (!say_missing(fs, r, a))
		say(fs, r, CHECK_GOOD, found_text(fs, r, a), NULL);
}

/* A name that leads to this host, by a CNAME or by addresses of its own. */
void dnsrecord_compare_host(const struct facts *facts, const struct dnsrecord *r, const struct lookup_answer *a, struct findings *fs)
{
	struct netaddr host[FACTS_ADDRESSES_MAX], named[FACTS_ADDRESSES_MAX];
	struct sv target = a->count ? a->records[0] : SV_NONE, ours = r->rdata;
	char text[2][4 * DNS_NAME_MAX + 1];
	bool is_there = false;
	size_t count = 0;

	if (a->status == DNS_DATA && !a->why[0])
		is_there = dns_name_from(&target, text[0]) && dns_name_from(&ours, text[1]) && sv_eq_nocase(sv_z(text[0]), sv_z(text[1]));
	if (!is_there && a->status == DNS_NODATA) {
		size_t known = lookup_addresses(facts->lookup, facts->conf->host.hostname, host, ARRAY_LEN(host), NULL);

		count = lookup_addresses(facts->lookup, r->name, named, ARRAY_LEN(named), NULL);
		for (size_t i = 0; i < count; i++)
			for (size_t k = 0; k < known; k++)
				is_there |= netaddr_eq_ip(&named[i], &host[k]);
	}
	if (is_there)
		say(fs, r, CHECK_GOOD, count ? "addresses of this host" : found_text(fs, r, a), NULL);
	else if (!say_missing(fs, r, a))
		say(fs, r, state_of(r), found_text(fs, r, a), publish_it(fs, r, "replace it"));
}

/* The id has to change when the policy does (RFC 8461 §3.1), so it is made from the policy. */
void dnsrecord_compare_sts(const struct facts *facts, const struct dnsrecord *r, const struct lookup_answer *a, struct findings *fs)
{
	bool is_there = false;
	struct sts_evidence e;
	if (say_missing(fs, r, a))
		return;
	for (size_t i = 0; i < a->count; i++)
		is_there |= sv_eq(a->records[i], r->rdata);
	if (is_there && facts->conf->web.sts_policy == CONF_STS_TESTING &&
	    !sts_evidence_read(facts->cli->instance, r->name + sizeof("_mta-sts.") - 1, time(NULL), &e).kind && sts_evidence_suffices(&e))
		say(fs, r, CHECK_ADVICE, findings_text(fs, "testing, and %" PRIu64 " reports in two weeks without a failure", e.reports),
		    "postroom mta-sts enforce");
	else if (is_there)
		say(fs, r, CHECK_GOOD, found_text(fs, r, a), NULL);
	else
		say(fs, r, CHECK_WARNING, found_text(fs, r, a),
		    publish_it(fs, r, "replace it, or other servers go on with the policy that they know"));
}
