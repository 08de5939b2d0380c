#include "smtpd/feedback.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/date.h"
#include "common/daybook.h"
#include "common/deflate.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/mime.h"
#include "common/netaddr.h"
#include "common/xml.h"

#include "common/banned.h"

#define TEXT_MAX 253            /* octets of a name or id that are kept */
#define NO_TIME 0

struct text {
	char p[TEXT_MAX + 1];
};

/* One source of mail that failed, or one kind of failure of TLS. */
struct failure {
	struct text ip, what, domain, host;
	uint64_t count;
};

/* What is kept of a report, whichever kind it is. */
struct report {
	const char *kind;
	struct text by, id, domain, policy;
	uint64_t begin_s, end_s, passed, failed;
	struct failure *failures;       /* FEEDBACK_ROWS_MAX */
	size_t count;
};

static void set(struct text *t, struct sv value)
{
	value = sv_sub(value, 0, TEXT_MAX);
	memcpy(t->p, value.p ? value.p : "", value.len);
	t->p[value.len] = '\0';
}

/* add - sums of numbers that strangers wrote do not wrap. */
static uint64_t add(uint64_t a, uint64_t b)
{
	const uint64_t most = INT64_MAX;

	return b > most || a > most - b ? most : a + b;
}

/* ---- DMARC: XML ---- */

/* Elements are told apart by their own name and that of the one around them. */
#define PATH_MAX_NAMES 32
struct dmarc_reading {
	struct report *report;
	char path[PATH_MAX_NAMES][32];
	size_t depth;
	bool is_feedback;
	/* of the record at hand */
	struct failure row;
	bool is_dkim_good, is_spf_good;
	struct text disposition;
};

static struct sv around(const struct dmarc_reading *d, size_t levels)
{
	return d->depth > levels ? sv_z(d->path[d->depth - levels - 1]) : SV_NONE;
}

static void on_begin(void *arg, struct sv name)
{
	struct dmarc_reading *d = arg;

	if (!d->depth)
		d->is_feedback = sv_eq(name, SV("feedback"));
	name = sv_sub(name, 0, sizeof(d->path[0]) - 1);
	memcpy(d->path[d->depth], name.p, name.len);
	d->path[d->depth++][name.len] = '\0';
	if (sv_eq(name, SV("record"))) {
		memset(&d->row, 0, sizeof(d->row));
		memset(&d->disposition, 0, sizeof(d->disposition));
		d->is_dkim_good = d->is_spf_good = false;
	}
}

static void end_record(struct dmarc_reading *d)
{
	struct report *r = d->report;

	if (d->is_dkim_good || d->is_spf_good) {
		r->passed = add(r->passed, d->row.count);
		return;
	}
	r->failed = add(r->failed, d->row.count);
	if (r->count == FEEDBACK_ROWS_MAX)
		return;
	d->row.what = d->disposition;
	d->row.count = add(0, d->row.count);
	r->failures[r->count++] = d->row;
}

static void take_metadata(struct report *r, struct sv parent, struct sv name, struct sv text)
{
	if (sv_eq(parent, SV("date_range"))) {
		if (sv_eq(name, SV("begin")))
			(void)!sv_to_u64(text, &r->begin_s);
		else if (sv_eq(name, SV("end")))
			(void)!sv_to_u64(text, &r->end_s);
	} else if (sv_eq(parent, SV("report_metadata"))) {
		if (sv_eq(name, SV("org_name")))
			set(&r->by, text);
		else if (sv_eq(name, SV("report_id")))
			set(&r->id, text);
	} else if (sv_eq(parent, SV("policy_published"))) {
		if (sv_eq(name, SV("domain")))
			set(&r->domain, text);
		else if (sv_eq(name, SV("p")))
			set(&r->policy, text);
	}
}

static void take_row(struct dmarc_reading *d, struct sv parent, struct sv name, struct sv text)
{
	if (sv_eq(parent, SV("row"))) {
		if (sv_eq(name, SV("source_ip")))
			set(&d->row.ip, text);
		else if (sv_eq(name, SV("count")))
			(void)!sv_to_u64(text, &d->row.count);
	} else if (sv_eq(parent, SV("policy_evaluated"))) {
		if (sv_eq(name, SV("disposition")))
			set(&d->disposition, text);
		else if (sv_eq(name, SV("dkim")))
			d->is_dkim_good = sv_eq_nocase(text, SV("pass"));
		else if (sv_eq(name, SV("spf")))
			d->is_spf_good = sv_eq_nocase(text, SV("pass"));
	} else if (sv_eq(parent, SV("identifiers")) && sv_eq(name, SV("header_from"))) {
		set(&d->row.domain, text);
	}
}

static void on_end(void *arg, struct sv name, struct sv text)
{
	struct dmarc_reading *d = arg;
	struct sv parent;

	d->depth--;
	parent = around(d, 0);
	if (sv_eq(name, SV("record")))
		end_record(d);
	take_metadata(d->report, parent, name, text);
	take_row(d, parent, name, text);
}

static struct fault parse_dmarc(struct sv text, struct report *r)
{
	struct dmarc_reading reading = { .report = r };
	const struct xml_handler handler = { on_begin, on_end, &reading };
	struct fault f;

	_Static_assert(PATH_MAX_NAMES >= XML_DEPTH_MAX, "each level has a name");
	r->kind = "dmarc";
	f = xml_read(text, &handler);
	if (!f.kind && (!reading.is_feedback || !r->domain.p[0]))
		f = fault(FAULT_INVALID, "feedback: XML of another kind");
	return f;
}

/* ---- TLS: JSON ---- */

/* time_from - "2016-04-01T00:00:00Z" (RFC 3339 §5.6); a zone is not looked at: reports are of whole UTC days. */
static uint64_t time_from(struct sv s)
{
	static const unsigned char at[] = { 0, 5, 8, 11, 14, 17 };
	uint32_t n[6];
	struct date_civil c;
	struct date d;

	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		if (s.len < 19 || !sv_to_u32(sv_sub(s, at[i], i ? 2 : 4), &n[i]))
			return NO_TIME;
	c = (struct date_civil){ .year = (int)n[0], .month = (int)n[1], .day = (int)n[2],
				 .hour = (int)n[3], .minute = (int)n[4], .second = (int)n[5] };
	return date_from_civil(&c, 0, &d) && d.seconds > 0 ? (uint64_t)d.seconds : NO_TIME;
}

static void copy_text(const struct json *object, const char *name, struct text *out)
{
	struct sv value;

	if (json_get_sv(object, name, &value))
		set(out, value);
}

static void take_details(const struct json *details, const struct text *domain, struct report *r)
{
	for (size_t i = 0; i < json_count(details) && r->count < FEEDBACK_ROWS_MAX; i++) {
		const struct json *d = json_at(details, i);
		struct failure *f = &r->failures[r->count++];

		memset(f, 0, sizeof(*f));
		f->domain = *domain;
		copy_text(d, "result-type", &f->what);
		copy_text(d, "receiving-ip", &f->ip);
		copy_text(d, "receiving-mx-hostname", &f->host);
		(void)json_get_u64(d, "failed-session-count", &f->count);
	}
}

/* has_few_values - before anything is parsed: "[[],[],..." becomes a hundred times as large in memory. */
static bool has_few_values(struct sv text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.p[i] == ',' || text.p[i] == '[' || text.p[i] == '{';
	return count <= FEEDBACK_VALUES_MAX;
}

static struct fault parse_tls(struct sv text, struct report *r)
{
	const struct json *policies, *range, *summary;
	struct json *whole = NULL;
	struct fault f = has_few_values(text) ? json_parse(text, &whole) : fault(FAULT_LIMIT, "feedback: too many values");
	struct sv stamp;

	if (f.kind)
		return f;
	r->kind = "tls";
	copy_text(whole, "organization-name", &r->by);
	copy_text(whole, "report-id", &r->id);
	range = json_get(whole, "date-range");
	if (json_get_sv(range, "start-datetime", &stamp))
		r->begin_s = time_from(stamp);
	if (json_get_sv(range, "end-datetime", &stamp))
		r->end_s = time_from(stamp);
	policies = json_get(whole, "policies");
	for (size_t i = 0; i < json_count(policies); i++) {
		const struct json *p = json_at(policies, i), *policy = json_get(p, "policy");
		struct text domain = { "" };
		uint64_t n;

		copy_text(policy, "policy-domain", &domain);
		if (!r->domain.p[0]) {
			r->domain = domain;
			copy_text(policy, "policy-type", &r->policy);
		}
		summary = json_get(p, "summary");
		if (json_get_u64(summary, "total-successful-session-count", &n))
			r->passed = add(r->passed, n);
		if (json_get_u64(summary, "total-failure-session-count", &n))
			r->failed = add(r->failed, n);
		take_details(json_get(p, "failure-details"), &domain, r);
	}
	json_free(&whole);
	return r->domain.p[0] ? FAULT_OK : fault(FAULT_INVALID, "feedback: JSON of another kind");
}

/* ---- a line ---- */

static void put_failures(struct json_out *j, const struct report *r)
{
	json_out_array(j, "failures");
	for (size_t i = 0; i < r->count; i++) {
		const struct failure *f = &r->failures[i];

		json_out_object(j, NULL);
		json_out_z(j, "ip", f->ip.p);
		json_out_u64(j, "count", f->count);
		json_out_z(j, "what", f->what.p);
		json_out_z(j, "domain", f->domain.p);
		if (f->host.p[0])
			json_out_z(j, "host", f->host.p);
		json_out_object_end(j);
	}
	json_out_array_end(j);
}

static struct fault put_line(const struct report *r, const struct feedback_mail *mail, struct buf *line)
{
	size_t before = line->len;
	struct json_out j;

	json_out_init(&j, line);
	json_out_object(&j, NULL);
	json_out_i64(&j, "at", mail->at_s);
	json_out_z(&j, "kind", r->kind);
	json_out_z(&j, "domain", r->domain.p);
	json_out_z(&j, "by", r->by.p);
	json_out_sv(&j, "sender", sv_sub(mail->sender, 0, TEXT_MAX));
	json_out_bool(&j, "proven", mail->is_proven);
	json_out_z(&j, "id", r->id.p);
	json_out_u64(&j, "begin", add(0, r->begin_s));
	json_out_u64(&j, "end", add(0, r->end_s));
	json_out_z(&j, "policy", r->policy.p);
	json_out_u64(&j, "passed", r->passed);
	json_out_u64(&j, "failed", r->failed);
	put_failures(&j, r);
	json_out_object_end(&j);
	if (!j.overflow)
		return FAULT_OK;
	line->len = before;
	return fault(FAULT_LIMIT, "feedback: too much for a line");
}

/* unpack - what is packed; else the octets themselves. */
static bool unpack(struct sv octets, struct buf *out, struct sv *text)
{
	bool is_gzip = sv_starts(octets, SV("\x1f\x8b")), is_zip = sv_starts(octets, SV("PK\3\4"));

	*text = octets;
	if (!is_gzip && !is_zip)
		return true;
	if (is_gzip ? !gzip_unpack(octets, out) : !zip_unpack_first(octets, out))
		return false;
	*text = buf_sv(out);
	return true;
}

/* parse - @budget: octets that may still be unpacked and read; less afterwards. What cannot be unpacked uses all of it up: nobody knows
 * how much work it was. */
static struct fault parse(struct sv octets, const struct feedback_mail *mail, struct buf *line, size_t *budget)
{
	struct report *r = xcalloc(1, sizeof(*r));
	struct fault f = FAULT_OK;
	struct buf unpacked;
	struct sv text;

	r->failures = xcalloc(FEEDBACK_ROWS_MAX, sizeof(*r->failures));
	buf_init(&unpacked, *budget);
	if (!*budget || !unpack(octets, &unpacked, &text) || text.len > *budget) {
		text.len = *budget;
		f = fault(FAULT_LIMIT, "feedback: cannot be unpacked, or is too large");
	}
	*budget -= text.len;
	if (!f.kind && sv_starts(sv_trim(text), SV("{")))
		f = parse_tls(text, r);
	else if (!f.kind)
		f = parse_dmarc(text, r);
	if (!f.kind)
		f = put_line(r, mail, line);
	buf_done(&unpacked);
	free(r->failures);
	free(r);
	return f;
}

struct fault feedback_parse(struct sv octets, const struct feedback_mail *mail, struct buf *line)
{
	size_t budget = FEEDBACK_DOCUMENT_MAX;

	return parse(octets, mail, line, &budget);
}

/* ---- messages ---- */

/* is_candidate - of a type that reports come as; many come as application/octet-stream. */
static bool is_candidate(const struct mime_part *p)
{
	static const char *const types[] = { "gzip", "x-gzip", "zip", "x-zip-compressed", "xml", "octet-stream", "json",
					     "tlsrpt+gzip", "tlsrpt+json", "x-zip", "gzip-compressed", "x-gunzip" };

	if (p->kind == MIME_TEXT)
		return sv_eq(p->subtype, SV("xml"));
	for (size_t i = 0; p->kind == MIME_LEAF && i < ARRAY_LEN(types); i++)
		if (sv_eq(p->type, SV("application")) && sv_eq(p->subtype, sv_z(types[i])))
			return true;
	return false;
}

static bool take_part(struct sv message, const struct mime_part *p, const struct feedback_mail *mail, struct buf *lines, size_t *budget)
{
	struct transfer_decoder decoder;
	size_t before = lines->len;
	struct buf octets, line;
	struct fault f;

	buf_init(&octets, FEEDBACK_MAIL_MAX);
	buf_init(&line, DAYBOOK_LINE_MAX);
	transfer_decoder_init(&decoder, p->encoding);
	if (!transfer_decoder_feed(&decoder, sv_sub(message, (size_t)p->body_offset, (size_t)p->body_len), &octets) ||
	    !transfer_decoder_finish(&decoder, &octets))
		f = fault(FAULT_LIMIT, "feedback: too large");
	else
		f = parse(buf_sv(&octets), mail, &line, budget);
	if (!f.kind && (!buf_append(lines, buf_sv(&line)) || !buf_append_c(lines, '\n'))) {
		f = fault(FAULT_LIMIT, "feedback: too many reports in a message");
		lines->len = before;
	}
	buf_done(&octets);
	buf_done(&line);
	if (f.kind)
		log_info(NULL, "feedback.unreadable", KV_SV("sender", mail->sender), KV_FAULT("fault", f));
	return !f.kind;
}

/* put_complaint - in the shape of the others: one failure. */
static bool put_complaint(const struct complaint *c, const struct feedback_mail *mail, struct buf *lines)
{
	struct sv sender = sv_z(c->sender);
	size_t at = sv_rfind(sender, '@'), before = lines->len;
	struct failure failure;
	struct report r = { .kind = "complaint", .failed = 1, .failures = &failure, .count = 1 };
	struct buf line;
	bool fits;

	memset(&failure, 0, sizeof(failure));
	failure.count = 1;
	set(&failure.ip, sv_z(c->ip));
	set(&failure.what, sv_z(c->type));
	set(&failure.domain, sender);
	set(&failure.host, sv_z(c->recipient));
	set(&r.by, sv_z(c->by));
	set(&r.id, sv_z(c->message_id));
	set(&r.policy, sv_z(c->type));
	set(&r.domain, at == SIZE_MAX ? sender : sv_sub(sender, at + 1, SIZE_MAX));
	buf_init(&line, DAYBOOK_LINE_MAX);
	fits = !put_line(&r, mail, &line).kind && buf_append(lines, buf_sv(&line)) && buf_append_c(lines, '\n');
	if (!fits)
		lines->len = before;
	buf_done(&line);
	return fits;
}

size_t feedback_take(struct sv message, const struct feedback_mail *mail, struct buf *lines, struct complaint *complaint)
{
	struct mime_message *m = mime_parse(message);
	struct mime_part part;
	size_t count = 0, looked_at = 0, budget = FEEDBACK_DOCUMENT_MAX;

	if (complaint_read(message, m, complaint))
		count += put_complaint(complaint, mail, lines);
	for (uint32_t i = 0; looked_at < FEEDBACK_PARTS_MAX && budget && mime_part_at(m, i, &part); i++) {
		if (!is_candidate(&part))
			continue;
		looked_at++;
		count += take_part(message, &part, mail, lines, &budget);
	}
	mime_message_free(&m);
	return count;
}

static bool read_all(int fd, uint64_t size, struct buf *out)
{
	if (size > FEEDBACK_MAIL_MAX || !buf_reserve(out, (size_t)size))
		return false;
	while (out->len < size) {
		ssize_t n = pread(fd, out->p + out->len, (size_t)size - out->len, (off_t)out->len);

		if (n <= 0)
			return false;
		out->len += (size_t)n;
	}
	return true;
}

void feedback_keep(int fd, uint64_t size, const struct feedback_mail *mail, const char *folder, struct complaint *complaint)
{
	struct buf message, lines;
	struct fault f = FAULT_OK;
	size_t count = 0;

	buf_init(&message, FEEDBACK_MAIL_MAX);
	buf_init(&lines, FEEDBACK_PARTS_MAX * (DAYBOOK_LINE_MAX + 1));
	if (read_all(fd, size, &message))
		count = feedback_take(buf_sv(&message), mail, &lines, complaint);
	else
		f = fault(FAULT_LIMIT, "feedback: too large a message, or it cannot be read");
	if (count)
		f = daybook_write(folder, daybook_day(mail->at_s), buf_sv(&lines));
	log_info(NULL, "feedback.kept", KV_SV("sender", mail->sender), KV_U64("reports", count), KV_FAULT("fault", f));
	buf_done(&message);
	buf_done(&lines);
}
