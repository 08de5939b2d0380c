/* DMARC aggregate reports as text: a day's lines counted together, and the report made of them (RFC 9990 §3.1.1). */
#include <stdlib.h>

#include "common/daybook.h"
#include "common/json.h"
#include "common/memory.h"
#include "smtpd/dmarc.h"
#include "smtpd/dmarcreport.h"

#include "common/banned.h"

#define BUCKETS 4096

/* Messages of which just the same is known. */
struct row {
	struct row *next;               /* of the bucket */
	struct domain *domain;
	char *line;
	uint64_t count;
};

struct domain {
	struct domain *next;            /* of the bucket */
	char *name;
	struct row **rows;
	size_t count, room;
	const struct row *last;         /* whose record is told: the one that was seen last (§3.3) */
	uint64_t left_out;              /* messages behind DMARCREPORT_ROWS_MAX */
};

struct dmarcreport_day {
	struct domain *names[BUCKETS];
	struct row *lines[BUCKETS];
	struct domain **domains;
	size_t count, room;
};

struct dmarcreport_day *dmarcreport_day_new(void)
{
	return xcalloc(1, sizeof(struct dmarcreport_day));
}

static void domain_free(struct domain *domain)
{
	for (size_t k = 0; k < domain->count; k++) {
		free(domain->rows[k]->line);
		free(domain->rows[k]);
	}
	free(domain->rows);
	free(domain->name);
	free(domain);
}

void dmarcreport_day_free(struct dmarcreport_day **pd)
{
	struct dmarcreport_day *d = *pd;

	*pd = NULL;
	if (!d)
		return;
	for (size_t i = 0; i < d->count; i++)
		domain_free(d->domains[i]);
	free(d->domains);
	free(d);
}

size_t dmarcreport_day_count(const struct dmarcreport_day *d)
{
	return d->count;
}

const char *dmarcreport_day_domain(const struct dmarcreport_day *d, size_t i)
{
	return d->domains[i]->name;
}

/* ---- counting ---- */

/* get_room - for one more pointer. */
static void *get_room(void *list, size_t count, size_t *room)
{
	if (count < *room)
		return list;
	*room = *room ? 2 * *room : 16;
	return xrealloc(list, *room * sizeof(void *));
}

static struct domain *get_domain(struct dmarcreport_day *d, struct sv name)
{
	struct domain **bucket = &d->names[sv_hash(name) % BUCKETS], *domain = *bucket;

	while (domain && !sv_eq(sv_z(domain->name), name))
		domain = domain->next;
	if (domain || d->count == DMARCREPORT_DOMAINS_MAX)
		return domain;
	d->domains = get_room(d->domains, d->count, &d->room);
	domain = xcalloc(1, sizeof(*domain));
	domain->name = sv_copy_z(name);
	domain->next = *bucket;
	*bucket = d->domains[d->count++] = domain;
	return domain;
}

static struct row *find_row(const struct dmarcreport_day *d, struct sv line)
{
	struct row *row = d->lines[sv_hash(line) % BUCKETS];

	while (row && !sv_eq(sv_z(row->line), line))
		row = row->next;
	return row;
}

static void add_row(struct dmarcreport_day *d, struct domain *domain, struct sv line)
{
	struct row **bucket = &d->lines[sv_hash(line) % BUCKETS], *row;

	if (domain->count == DMARCREPORT_ROWS_MAX) {
		domain->left_out++;
		return;
	}
	row = xcalloc(1, sizeof(*row));
	row->domain = domain;
	row->line = sv_copy_z(line);
	row->count = 1;
	row->next = *bucket;
	domain->rows = get_room(domain->rows, domain->count, &domain->room);
	domain->last = *bucket = domain->rows[domain->count++] = row;
}

void dmarcreport_day_add(struct dmarcreport_day *d, struct sv line)
{
	struct row *row = find_row(d, line);
	struct json *facts = NULL;
	struct domain *domain = NULL;
	struct sv name, ip;

	if (row) {
		row->count++;
		row->domain->last = row;
		return;
	}
	if (line.len > DAYBOOK_LINE_MAX || json_parse(line, &facts).kind)
		return;
	if (json_get_sv(facts, "policy", &name) && name.len && name.len <= DMARC_DOMAIN_MAX && json_get_sv(facts, "ip", &ip))
		domain = get_domain(d, name);
	if (domain)
		add_row(d, domain, line);
	json_free(&facts);
}

/* ---- the report ---- */

/* put - an element with text; what XML cannot hold becomes '?'. */
static bool put(struct buf *out, const char *name, struct sv text)
{
	bool ok = buf_appendf(out, "<%s>", name);

	for (size_t i = 0; i < text.len && ok; i++) {
		unsigned char c = (unsigned char)text.p[i];

		ok = c == '&'   ? buf_append(out, SV("&amp;"))
		     : c == '<' ? buf_append(out, SV("&lt;"))
		     : c == '>' ? buf_append(out, SV("&gt;"))
				: buf_append_c(out, c < ' ' || c == 0x7f ? '?' : (char)c);
	}
	return ok && buf_appendf(out, "</%s>\n", name);
}

static struct sv member(const struct json *facts, const char *name)
{
	struct sv text = SV_NONE;

	(void)json_get_sv(facts, name, &text);
	return text;
}

/* copy - the element has the name of the member. */
static bool copy(struct buf *out, const struct json *facts, const char *name)
{
	return put(out, name, member(facts, name));
}

static bool put_row(struct buf *out, const struct json *facts, uint64_t count)
{
	struct sv reason = member(facts, "reason"), comment = member(facts, "comment");

	return buf_append(out, SV("<row>\n")) && put(out, "source_ip", member(facts, "ip")) &&
	       buf_appendf(out, "<count>%llu</count>\n<policy_evaluated>\n", (unsigned long long)count) &&
	       copy(out, facts, "disposition") && copy(out, facts, "dkim") && copy(out, facts, "spf") &&
	       (!reason.len || (buf_append(out, SV("<reason>\n")) && put(out, "type", reason) &&
				(!comment.len || put(out, "comment", comment)) && buf_append(out, SV("</reason>\n")))) &&
	       buf_append(out, SV("</policy_evaluated>\n</row>\n"));
}

static bool put_results(struct buf *out, const struct json *facts)
{
	const struct json *signatures = json_get(facts, "dkims");
	bool ok = buf_append(out, SV("<auth_results>\n"));

	for (size_t i = 0; i < json_count(signatures) && ok; i++) {
		const struct json *s = json_at(signatures, i);

		ok = buf_append(out, SV("<dkim>\n")) && copy(out, s, "domain") && copy(out, s, "selector") &&
		     copy(out, s, "result") && buf_append(out, SV("</dkim>\n"));
	}
	return ok && buf_append(out, SV("<spf>\n")) && put(out, "domain", member(facts, "spf_domain")) &&
	       buf_append(out, SV("<scope>mfrom</scope>\n")) && put(out, "result", member(facts, "spf_result")) &&
	       buf_append(out, SV("</spf>\n</auth_results>\n"));
}

static bool put_record(struct buf *out, const struct row *row)
{
	struct json *facts = NULL;
	bool ok = !json_parse(sv_z(row->line), &facts).kind && buf_append(out, SV("<record>\n")) &&
		  put_row(out, facts, row->count) && buf_append(out, SV("<identifiers>\n")) &&
		  put(out, "header_from", member(facts, "from")) && put(out, "envelope_from", member(facts, "envelope")) &&
		  buf_append(out, SV("</identifiers>\n")) && put_results(out, facts) && buf_append(out, SV("</record>\n"));

	json_free(&facts);
	return ok;
}

static bool put_published(struct buf *out, const struct domain *domain)
{
	static const char *const names[] = { "p", "sp", "np", "adkim", "aspf", "testing" };
	struct json *facts = NULL;
	bool ok = !json_parse(sv_z(domain->last->line), &facts).kind && buf_append(out, SV("<policy_published>\n")) &&
		  put(out, "domain", sv_z(domain->name)) && put(out, "discovery_method", SV("treewalk"));

	for (size_t i = 0; i < ARRAY_LEN(names) && ok; i++)
		ok = copy(out, facts, names[i]);
	json_free(&facts);
	return ok && buf_append(out, SV("</policy_published>\n"));
}

/* put_metadata - the id is the one of the subject (§3.1.1.12). */
static bool put_metadata(struct buf *out, const struct domain *domain, const struct report_facts *facts)
{
	return buf_append(out, SV("<report_metadata>\n")) && put(out, "org_name", sv_z(facts->organisation)) &&
	       put(out, "email", sv_z(facts->contact)) &&
	       buf_appendf(out, "<report_id>%s@%s</report_id>\n<date_range>\n<begin>%lld</begin>\n<end>%lld</end>\n</date_range>\n",
			   facts->id, facts->hostname, (long long)facts->day_s,
			   (long long)facts->day_s + DAYBOOK_DAY_S - 1) &&
	       (!domain->left_out ||
		buf_appendf(out, "<error>%llu more messages came from too many sources to be told apart</error>\n",
			    (unsigned long long)domain->left_out)) &&
	       buf_append(out, SV("<generator>Postroom</generator>\n</report_metadata>\n"));
}

bool dmarcreport_day_xml(const struct dmarcreport_day *d, size_t i, const struct report_facts *facts, struct buf *out)
{
	const struct domain *domain = d->domains[i];
	bool ok = buf_append(out, SV("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
				     "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n<version>1.0</version>\n")) &&
		  put_metadata(out, domain, facts) && put_published(out, domain);

	for (size_t k = 0; k < domain->count && ok; k++)
		ok = put_record(out, domain->rows[k]);
	return ok && buf_append(out, SV("</feedback>\n"));
}

size_t dmarcreport_record_parse(struct sv text, struct sv uris[REPORT_URIS_MAX])
{
	struct dmarc_record record;
	struct sv tag, name;

	if (!dmarc_parse(text, &record) && !sv_starts(sv_trim(text), SV("v=DMARC1")))
		return 0;
	while (sv_split(&text, ';', &tag))
		if (sv_split(&tag, '=', &name) && sv_eq_nocase(sv_trim(name), SV("rua")))
			return report_uris(tag, false, uris);
	return 0;
}
