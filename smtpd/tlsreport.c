#include "smtpd/tlsreport.h"

#include <stdlib.h>

#include "common/daybook.h"
#include "common/json.h"
#include "common/memory.h"
#include "smtpd/reporter.h"

#include "common/banned.h"

struct tlsreport {
	struct daybook *book;
	struct reporter *reporter;
};

/* ---- counting ---- */

const char *tlsreport_result(const struct tlspolicy_answer *policy, struct sv reason)
{
	switch (tls_doubt_from(reason)) {
	case TLS_DOUBT_NONE:    break;
	case TLS_DOUBT_TRUST:   return "certificate-not-trusted";
	case TLS_DOUBT_EXPIRED: return "certificate-expired";
	case TLS_DOUBT_NAME:    return "certificate-host-mismatch";
	case TLS_DOUBT_DANE:    return "tlsa-invalid";
	}
	if (sv_search(reason, SV("STARTTLS")) != SIZE_MAX)
		return "starttls-not-supported";
	if (policy->source == TLSPOLICY_DANE && policy->kind == TLSPOLICY_PASS_OVER)
		return "dnssec-invalid";
	return "validation-failure";
}

static const char *type_of(const struct tlspolicy_answer *policy)
{
	switch (policy->source) {
	case TLSPOLICY_DANE:      return "tlsa";
	case TLSPOLICY_STS:       return "sts";
	case TLSPOLICY_NO_POLICY: break;
	}
	return "no-policy-found";
}

void tlsreport_count(struct tlsreport *r, const struct tlspolicy_answer *policy, const struct netaddr *at, const char *result,
		     const char *reason)
{
	char ip[NETADDR_TEXT_MAX];
	struct json_out j;
	struct buf line;

	if (!*policy->domain || policy->domain[0] == '[')
		return;
	buf_init(&line, DAYBOOK_LINE_MAX);
	json_out_init(&j, &line);
	json_out_object(&j, NULL);
	json_out_z(&j, "domain", policy->domain);
	json_out_z(&j, "type", type_of(policy));
	json_out_sv(&j, "policy", policy->policy);
	json_out_z(&j, "host", policy->host);
	json_out_sv(&j, "ip", at ? netaddr_text(at, ip) : SV_NONE);
	json_out_z(&j, "result", result ? result : "");
	json_out_z(&j, "reason", reason ? reason : "");
	json_out_object_end(&j);
	if (!j.overflow)
		daybook_add(r->book, buf_sv(&line));
	buf_done(&line);
}

/* ---- the kind of report ---- */

static void *day_new(void)
{
	return tlsreport_day_new();
}

static void day_free(void **day)
{
	struct tlsreport_day *d = *day;

	*day = NULL;
	tlsreport_day_free(&d);
}

static void day_add(void *day, struct sv line)
{
	tlsreport_day_add(day, line);
}

static size_t day_count(const void *day)
{
	return tlsreport_day_count(day);
}

static const char *day_domain(const void *day, size_t i)
{
	return tlsreport_day_domain(day, i);
}

static bool write_json(const void *day, size_t i, const struct report_facts *facts, struct buf *out)
{
	return tlsreport_day_json(day, i, facts, out);
}

/* RFC 8460 §5.3; TLS-Required so that a report of broken TLS arrives all the same (RFC 8689 §5). */
static bool write_fields(const struct report_facts *facts, const char *domain, struct buf *out)
{
	return buf_appendf(out, "TLS-Report-Domain: %s\r\nTLS-Report-Submitter: %s\r\nTLS-Required: No\r\n", domain,
			   facts->organisation);
}

static bool write_sentence(const struct report_facts *facts, const char *domain, const char *day, struct buf *out)
{
	return buf_appendf(out,
			   "This is a report of TLS connections from %s to servers of\r\n%s on %s (UTC), as RFC 8460 has it.\r\n",
			   facts->organisation, domain, day);
}

static const struct report_kind kind = {
	.name = "tls",
	.record = "_smtp._tls",
	.type = "application/tlsrpt+gzip",
	.mail_type = "multipart/report; report-type=\"tlsrpt\";",
	.extension = "json.gz",
	.octets_max = TLSREPORT_JSON_MAX,
	.day_new = day_new, .day_free = day_free, .day_add = day_add,
	.day_count = day_count, .day_domain = day_domain,
	.write = write_json,
	.write_fields = write_fields, .write_sentence = write_sentence,
	.uris = tlsreport_record_parse,
};

struct tlsreport *tlsreport_new(struct loop *loop, const struct reporter_settings *settings)
{
	struct tlsreport *r = xcalloc(1, sizeof(*r));

	r->book = daybook_new(loop, settings->folder);
	r->reporter = reporter_new(loop, &kind, settings);
	return r;
}

void tlsreport_free(struct tlsreport **pr)
{
	struct tlsreport *r = *pr;

	*pr = NULL;
	if (!r)
		return;
	reporter_free(&r->reporter);
	daybook_free(&r->book);
	free(r);
}
