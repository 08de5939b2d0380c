/* TLS reports as text: a day's lines counted together, and the report made of them (RFC 8460 §4). */
#include <stdio.h>
#include <stdlib.h>

#include "common/date.h"
#include "common/json.h"
#include "common/memory.h"
#include "smtpd/taglist.h"
#include "smtpd/tlsreport.h"

#include "common/banned.h"

#define BUCKETS 1024
#define TEXT_MAX 4096           /* octets of one text of a line that are looked at */

struct detail {
	char *result, *host, *ip, *reason;
	uint64_t count;
};

struct policy {
	char *type, *text;              /* text: a line for each string */
	uint64_t good, bad;
	struct detail details[TLSREPORT_DETAILS_MAX];
	size_t count;
};

struct domain {
	char *name;
	struct domain *next;            /* of the bucket */
	struct policy *policies[TLSREPORT_POLICIES_MAX];
	size_t count;
};

struct tlsreport_day {
	struct domain *buckets[BUCKETS];
	struct domain **domains;
	size_t count, room;
};

struct tlsreport_day *tlsreport_day_new(void)
{
	return xcalloc(1, sizeof(struct tlsreport_day));
}

static void policy_free(struct policy *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->details[i].result);
		free(p->details[i].host);
		free(p->details[i].ip);
		free(p->details[i].reason);
	}
	free(p->type);
	free(p->text);
	free(p);
}

void tlsreport_day_free(struct tlsreport_day **pd)
{
	struct tlsreport_day *d = *pd;

	*pd = NULL;
	if (!d)
		return;
	for (size_t i = 0; i < d->count; i++) {
		struct domain *domain = d->domains[i];

		for (size_t k = 0; k < domain->count; k++)
			policy_free(domain->policies[k]);
		free(domain->name);
		free(domain);
	}
	free(d->domains);
	free(d);
}

size_t tlsreport_day_count(const struct tlsreport_day *d)
{
	return d->count;
}

const char *tlsreport_day_domain(const struct tlsreport_day *d, size_t i)
{
	return d->domains[i]->name;
}

/* ---- counting ---- */

static struct domain *get_domain(struct tlsreport_day *d, struct sv name)
{
	struct domain **bucket = &d->buckets[sv_hash(name) % BUCKETS], *domain = *bucket;

	while (domain && !sv_eq(sv_z(domain->name), name))
		domain = domain->next;
	if (domain || d->count == TLSREPORT_DOMAINS_MAX)
		return domain;
	if (d->count == d->room) {
		d->room = d->room ? 2 * d->room : 64;
		d->domains = xrealloc(d->domains, d->room * sizeof(struct domain *));
	}
	domain = xcalloc(1, sizeof(*domain));
	domain->name = sv_copy_z(name);
	domain->next = *bucket;
	*bucket = d->domains[d->count++] = domain;
	return domain;
}

static struct policy *get_policy(struct domain *domain, struct sv type, struct sv text)
{
	struct policy *p;

	for (size_t i = 0; i < domain->count; i++)
		if (sv_eq(sv_z(domain->policies[i]->type), type) && sv_eq(sv_z(domain->policies[i]->text), text))
			return domain->policies[i];
	if (domain->count == TLSREPORT_POLICIES_MAX)
		return NULL;
	p = xcalloc(1, sizeof(*p));
	p->type = sv_copy_z(type);
	p->text = sv_copy_z(text);
	domain->policies[domain->count++] = p;
	return p;
}

/* One line, taken apart. */
struct line {
	struct sv domain, type, policy, host, ip, result, reason;
};

static void add_detail(struct policy *p, const struct line *l)
{
	struct detail *d = NULL;

	for (size_t i = 0; i < p->count && !d; i++)
		if (sv_eq(sv_z(p->details[i].result), l->result) && sv_eq(sv_z(p->details[i].host), l->host) &&
		    sv_eq(sv_z(p->details[i].ip), l->ip) && sv_eq(sv_z(p->details[i].reason), l->reason))
			d = &p->details[i];
	if (!d && p->count == TLSREPORT_DETAILS_MAX)
		return;
	if (!d) {
		d = &p->details[p->count++];
		*d = (struct detail){ sv_copy_z(l->result), sv_copy_z(l->host), sv_copy_z(l->ip), sv_copy_z(l->reason), 0 };
	}
	d->count++;
}

static bool is_type(struct sv type)
{
	return sv_eq(type, SV("tlsa")) || sv_eq(type, SV("sts")) || sv_eq(type, SV("no-policy-found"));
}

void tlsreport_day_add(struct tlsreport_day *d, struct sv text)
{
	struct line l = { SV_NONE, SV_NONE, SV_NONE, SV_NONE, SV_NONE, SV_NONE, SV_NONE };
	const struct {
		const char *name;
		struct sv *at;
	} members[] = {
		{ "domain", &l.domain }, { "type", &l.type }, { "policy", &l.policy }, { "host", &l.host }, { "ip", &l.ip },
		{ "result", &l.result }, { "reason", &l.reason },
	};
	struct json *line = NULL;
	struct domain *domain;
	struct policy *p;

	if (json_parse(text, &line).kind)
		return;
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		(void)json_get_sv(line, members[i].name, members[i].at);
		*members[i].at = sv_sub(*members[i].at, 0, TEXT_MAX);
	}
	domain = l.domain.len && is_type(l.type) ? get_domain(d, l.domain) : NULL;
	p = domain ? get_policy(domain, l.type, l.policy) : NULL;
	if (p && !l.result.len) {
		p->good++;
	} else if (p) {
		p->bad++;
		add_detail(p, &l);
	}
	json_free(&line);
}

/* ---- the report ---- */

static void put_time(struct json_out *j, const char *name, int64_t at_s)
{
	struct date_civil c;
	char text[64];

	date_to_civil((struct date){ .seconds = at_s }, &c);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ", c.year, c.month, c.day, c.hour, c.minute, c.second);
	json_out_z(j, name, text);
}

/* put_lines - an array of a policy's strings; only_mx: of the hosts in it. */
static void put_lines(struct json_out *j, const char *name, const char *text, bool only_mx)
{
	struct sv rest = sv_z(text), line;

	json_out_array(j, name);
	while (sv_split(&rest, '\n', &line)) {
		if (only_mx && !sv_starts(line, SV("mx: ")))
			continue;
		json_out_sv(j, NULL, only_mx ? sv_sub(line, 4, line.len) : line);
	}
	json_out_array_end(j);
}

static void put_detail(struct json_out *j, const struct detail *d)
{
	json_out_object(j, NULL);
	json_out_z(j, "result-type", d->result);
	if (*d->host)
		json_out_z(j, "receiving-mx-hostname", d->host);
	if (*d->ip)
		json_out_z(j, "receiving-ip", d->ip);
	json_out_u64(j, "failed-session-count", d->count);
	if (*d->reason)
		json_out_z(j, "failure-reason-code", d->reason);
	json_out_object_end(j);
}

static void put_policy(struct json_out *j, const struct policy *p, const char *domain)
{
	json_out_object(j, NULL);
	json_out_object(j, "policy");
	json_out_z(j, "policy-type", p->type);
	if (*p->text)
		put_lines(j, "policy-string", p->text, false);
	json_out_z(j, "policy-domain", domain);
	if (!strcmp(p->type, "sts"))
		put_lines(j, "mx-host", p->text, true);
	json_out_object_end(j);
	json_out_object(j, "summary");
	json_out_u64(j, "total-successful-session-count", p->good);
	json_out_u64(j, "total-failure-session-count", p->bad);
	json_out_object_end(j);
	if (p->count) {
		json_out_array(j, "failure-details");
		for (size_t i = 0; i < p->count; i++)
			put_detail(j, &p->details[i]);
		json_out_array_end(j);
	}
	json_out_object_end(j);
}

bool tlsreport_day_json(const struct tlsreport_day *d, size_t i, const struct report_facts *facts, struct buf *out)
{
	const struct domain *domain = d->domains[i];
	struct json_out j;

	json_out_init(&j, out);
	json_out_object(&j, NULL);
	json_out_z(&j, "organization-name", facts->organisation);
	json_out_object(&j, "date-range");
	put_time(&j, "start-datetime", facts->day_s);
	put_time(&j, "end-datetime", facts->day_s + 86399);
	json_out_object_end(&j);
	json_out_z(&j, "contact-info", facts->contact);
	json_out_z(&j, "report-id", facts->id);
	json_out_array(&j, "policies");
	for (size_t k = 0; k < domain->count; k++)
		put_policy(&j, domain->policies[k], domain->name);
	json_out_array_end(&j);
	json_out_object_end(&j);
	return !j.overflow;
}

size_t tlsreport_record_parse(struct sv text, struct sv uris[REPORT_URIS_MAX])
{
	struct taglist tags;
	struct sv rest;

	if (!sv_starts(text, SV("v=TLSRPTv1")) || !taglist_parse(text, &tags) || !taglist_is(&tags, SV("v"), SV("TLSRPTv1")) ||
	    !taglist_get(&tags, SV("rua"), &rest))
		return 0;
	return report_uris(rest, true, uris);
}
