#include "smtpd/dmarcreport.h"

#include <stdio.h>

#include "common/daybook.h"
#include "common/json.h"
#include "smtpd/dmarcinvite.h"

#include "common/banned.h"

/* ---- one message, as a line ---- */

static const char *disposition(const struct dmarcreport_message *m)
{
	return m->action >= CONF_DEFER ? "reject" : m->action == CONF_JUNK ? "quarantine" : "none";
}

/* put_reason - why it did not go as the domain asks (RFC 9990 §3.1.6). */
static void put_reason(struct json_out *j, const struct dmarcreport_message *m)
{
	const struct dmarc_verdict *v = &m->author->dmarc;
	const char *type = NULL, *comment = "";

	if (v->result != DMARC_FAIL)
		return;
	if (m->author->is_vouched) {
		type = "trusted_forwarder";
		comment = m->author->voucher;
	} else if (m->refused_by) {
		type = "other";
		comment = "refused for another reason";
	} else if (strcmp(disposition(m), dmarc_policy_name(v->policy)) != 0) {
		type = "local_policy";
	} else if (v->is_testing) {
		type = "policy_test_mode";
	}
	if (!type)
		return;
	json_out_z(j, "reason", type);
	json_out_z(j, "comment", comment);
}

static void put_signatures(struct json_out *j, const struct dkim_verifier *v)
{
	json_out_array(j, "dkims");
	for (size_t i = 0; v && i < dkim_verifier_count(v, NULL) && i < DKIM_SIGNATURES_MAX; i++) {
		const struct dkim_signature *s = dkim_verifier_get(v, i);

		if (!s->domain.len)
			continue;
		json_out_object(j, NULL);
		json_out_sv(j, "domain", sv_sub(s->domain, 0, DMARC_DOMAIN_MAX));
		json_out_sv(j, "selector", sv_sub(s->selector, 0, DMARC_DOMAIN_MAX));
		json_out_z(j, "result", dkim_result_name(s->result));
		json_out_object_end(j);
	}
	json_out_array_end(j);
}

static void put_policy(struct json_out *j, const struct dmarc_record *r)
{
	json_out_z(j, "p", dmarc_policy_name(r->p));
	json_out_z(j, "sp", dmarc_policy_name(r->sp));
	json_out_z(j, "np", dmarc_policy_name(r->np));
	json_out_z(j, "adkim", r->is_dkim_strict ? "s" : "r");
	json_out_z(j, "aspf", r->is_spf_strict ? "s" : "r");
	json_out_z(j, "testing", r->is_testing ? "y" : "n");
}

bool dmarcreport_line(const struct dmarcreport_message *m, struct buf *out)
{
	const struct dmarc_verdict *v = &m->author->dmarc;
	char ip[NETADDR_TEXT_MAX];
	struct json_out j;

	if (!v->record_at[0] || !v->record.has_reports || (v->result != DMARC_PASS && v->result != DMARC_FAIL))
		return false;
	json_out_init(&j, out);
	json_out_object(&j, NULL);
	json_out_z(&j, "policy", v->record_at);
	put_policy(&j, &v->record);
	json_out_z(&j, "from", m->author->domain);
	json_out_sv(&j, "ip", netaddr_text(m->peer, ip));
	json_out_z(&j, "disposition", disposition(m));
	json_out_z(&j, "dkim", v->is_dkim_aligned ? "pass" : "fail");
	json_out_z(&j, "spf", v->is_spf_aligned ? "pass" : "fail");
	put_reason(&j, m);
	json_out_z(&j, "envelope", m->origin->is_spf_of_helo ? "" : m->origin->spf_domain);
	json_out_z(&j, "spf_domain", m->origin->spf_domain);
	json_out_z(&j, "spf_result", spf_result_name(m->origin->spf));
	put_signatures(&j, m->author->dkim);
	json_out_object_end(&j);
	return !j.overflow && out->len <= DAYBOOK_LINE_MAX;
}

/* ---- the kind of report ---- */

static void *day_new(void)
{
	return dmarcreport_day_new();
}

static void day_free(void **day)
{
	struct dmarcreport_day *d = *day;

	*day = NULL;
	dmarcreport_day_free(&d);
}

static void day_add(void *day, struct sv line)
{
	dmarcreport_day_add(day, line);
}

static size_t day_count(const void *day)
{
	return dmarcreport_day_count(day);
}

static const char *day_domain(const void *day, size_t i)
{
	return dmarcreport_day_domain(day, i);
}

static bool write_xml(const void *day, size_t i, const struct report_facts *facts, struct buf *out)
{
	return dmarcreport_day_xml(day, i, facts, out);
}

static bool write_fields(const struct report_facts *facts, const char *domain, struct buf *out)
{
	(void)facts, (void)domain, (void)out;
	return true;
}

static bool write_sentence(const struct report_facts *facts, const char *domain, const char *day, struct buf *out)
{
	return buf_appendf(out,
			   "This is a report of mail that came to %s in the name of\r\n%s on %s (UTC), as DMARC has it (RFC 9990).\r\n",
			   facts->organisation, domain, day);
}

const struct report_kind dmarcreport_kind = {
	.name = "dmarc",
	.record = "_dmarc",
	.type = "application/gzip",
	.mail_type = "multipart/mixed;",
	.extension = "xml.gz",
	.octets_max = DMARCREPORT_XML_MAX,
	.day_new = day_new, .day_free = day_free, .day_add = day_add,
	.day_count = day_count, .day_domain = day_domain,
	.write = write_xml,
	.write_fields = write_fields, .write_sentence = write_sentence,
	.uris = dmarcreport_record_parse,
	.invite = dmarc_invite, .invite_forget = dmarc_invite_forget,
};
