#include "smtpd/reporter.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/date.h"
#include "common/daybook.h"
#include "common/deflate.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/transfer.h"
#include "common/work.h"
#include "smtpd/fetch.h"
#include "smtpd/outlet.h"

#include "common/banned.h"

#define SPREAD_S (4 * 3600)     /* reports leave some time after midnight, not everybody's at once (RFC 8460 §4.1) */
#define LOOK_MS 600000
#define FIRST_LOOK_MS 2000
#define LATER_MS 5000           /* a job that found no room is tried again */
#define READ_MAX (DAYBOOK_DAY_MAX + (1u << 20))
#define PACKED_MAX (16u << 20)  /* zlib wants room for what cannot be packed */
#define MAIL_MAX (2u << 20)

/* What a job does. */
enum task { TASK_READ, TASK_PACK, TASK_MAIL, TASK_DROP };

struct reporter {
	struct loop *loop;
	const struct report_kind *kind;
	struct reporter_settings s;
	char *hostname, *folder, *control;
	struct timer look;
	bool is_freed;

	/* one job at a time */
	struct work work;
	enum task task;
	bool has_job, is_late;          /* late: the task waits for room */

	/* the reports of one day */
	void *day;                      /* NULL: none are being sent */
	int64_t day_s;
	size_t at;                      /* domain */
	struct dns_query *txt;
	struct fetch *fetch;
	struct report_invitation *invitation;
	char *uris[REPORT_URIS_MAX];
	size_t uri_count, uri_at;
	char to[REPORT_URI_MAX + 1];    /* the one at hand, as it was allowed */
	char id[QUEUE_ID_LEN + 1];
	char organisation[256];
	struct buf packed;              /* the report of this domain, gzip */
	bool is_packed;
	size_t sent;
};

static void next_uri(struct reporter *r);

static const char *domain_of(const struct reporter *r)
{
	return r->kind->day_domain(r->day, r->at);
}

/* ---- the day ---- */

static void read_day(struct reporter *r)
{
	int64_t due_s = date_now().seconds - DAYBOOK_DAY_S - (int64_t)(sv_hash(sv_z(r->hostname)) % SPREAD_S);
	struct directory_domain domain;
	struct buf text;
	struct sv rest, line;
	struct fault f;

	if (!daybook_first(r->folder, 0, due_s, &r->day_s) || directory_domain_default(r->s.directory, &domain).kind)
		return;
	snprintf(r->organisation, sizeof(r->organisation), "%s", domain.name);
	buf_init(&text, READ_MAX);
	f = daybook_read(r->folder, r->day_s, &text);
	if (f.kind)
		log_error(NULL, "report.read", KV_Z("kind", r->kind->name), KV_FAULT("fault", f));
	r->day = r->kind->day_new();
	rest = buf_sv(&text);
	while (sv_split(&rest, '\n', &line))
		r->kind->day_add(r->day, line);
	buf_done(&text);
}

/* ---- one report ---- */

static void day_text(int64_t day_s, char out[16])
{
	struct date_civil c;

	date_to_civil((struct date){ .seconds = day_s }, &c);
	snprintf(out, 16, "%04d-%02d-%02d", c.year, c.month, c.day);
}

/* pack - the report of the domain at hand. */
static void pack(struct reporter *r)
{
	char contact[300];
	const struct report_facts facts = { r->organisation, contact, r->id, r->day_s, r->hostname };
	struct buf text;

	snprintf(contact, sizeof(contact), "postmaster@%s", r->organisation);
	buf_init(&text, r->kind->octets_max);
	buf_clear(&r->packed);
	r->is_packed = r->kind->write(r->day, r->at, &facts, &text) && gzip_pack(buf_sv(&text), &r->packed);
	buf_done(&text);
}

static bool append_folded(struct buf *out, struct sv octets)
{
	struct buf text;
	bool fits;

	buf_init(&text, MAIL_MAX);
	fits = base64_encode(octets, &text);
	for (size_t at = 0; at < text.len && fits; at += 76)
		fits = buf_append(out, sv_sub(buf_sv(&text), at, 76)) && buf_append(out, SV("\r\n"));
	buf_done(&text);
	return fits;
}

/* write_mail - RFC 8460 §5.3, RFC 9990 §3.5.2: both want the same subject and the same form of file name. */
static bool write_mail(const struct reporter *r, struct sv to, struct buf *out)
{
	const struct report_facts facts = { r->organisation, "", r->id, r->day_s, r->hostname };
	const struct report_kind *kind = r->kind;
	const char *domain = domain_of(r);
	char day[16];

	day_text(r->day_s, day);
	return buf_appendf(out, "From: Reports <postmaster@%s>\r\nTo: <%.*s>\r\nDate: ", r->organisation, SV_FMT(to)) &&
	       date_append_5322(out, date_now()) &&
	       buf_appendf(out,
			   "\r\nMessage-ID: <%s@%s>\r\nSubject: Report Domain: %s\r\n Submitter: %s\r\n Report-ID: <%s@%s>\r\n",
			   r->id, r->hostname, domain, r->organisation, r->id, r->hostname) &&
	       kind->write_fields(&facts, domain, out) &&
	       buf_appendf(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: %s boundary=\"=_%s\"\r\n\r\n",
			   kind->mail_type, r->id) &&
	       buf_appendf(out, "--=_%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n", r->id) &&
	       kind->write_sentence(&facts, domain, day, out) &&
	       buf_appendf(out,
			   "--=_%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n"
			   "Content-Disposition: attachment;\r\n filename=\"%s!%s!%lld!%lld!%s.%s\"\r\n\r\n",
			   r->id, kind->type, r->organisation, domain, (long long)r->day_s,
			   (long long)r->day_s + DAYBOOK_DAY_S - 1, r->id, kind->extension) &&
	       append_folded(out, buf_sv(&r->packed)) && buf_appendf(out, "--=_%s--\r\n", r->id);
}

struct sv report_uri_address(struct sv uri)
{
	if (!sv_starts_nocase(uri, SV("mailto:")))
		return SV_NONE;
	uri = sv_sub(uri, 7, sv_find(uri, '?') - 7);
	return sv_sub(uri, 0, sv_find(uri, '!'));
}

size_t report_uris(struct sv value, bool with_https, struct sv uris[REPORT_URIS_MAX])
{
	size_t count = 0;
	struct sv uri;

	while (count < REPORT_URIS_MAX && sv_split(&value, ',', &uri)) {
		uri = sv_trim(uri);
		if (uri.len <= REPORT_URI_MAX &&
		    (sv_starts_nocase(uri, SV("mailto:")) || (with_https && sv_starts_nocase(uri, SV("https://")))))
			uris[count++] = uri;
	}
	return count;
}

static void send_mail(struct reporter *r)
{
	struct sv to = report_uri_address(sv_z(r->to));
	char id[QUEUE_ID_LEN + 1];
	struct address address;
	struct arena arena;
	struct fault f = fault(FAULT_LIMIT, "report too long");
	struct buf mail;

	arena_init(&arena, 8192);
	buf_init(&mail, MAIL_MAX);
	queue_new_id(id);
	if (!to.len || address_parse(&arena, to, &address).kind || sv_has_8bit(to) || memchr(to.p, '\r', to.len) ||
	    memchr(to.p, '\n', to.len))
		f = fault(FAULT_INVALID, "not an address");
	else if (write_mail(r, to, &mail))
		f = outlet_send(r->s.queue, id, &to, 1, SV_NONE, buf_sv(&mail), NULL);
	log_info(NULL, "report.mail", KV_Z("kind", r->kind->name), KV_Z("domain", domain_of(r)), KV_SV("to", to),
		 KV_FAULT("fault", f));
	r->sent += !f.kind;
	buf_done(&mail);
	arena_done(&arena);
}

/* ---- jobs ---- */

static void run(struct work *w)
{
	struct reporter *r = CONTAINER_OF(w, struct reporter, work);

	switch (r->task) {
	case TASK_READ:
		read_day(r);
		break;
	case TASK_PACK:
		pack(r);
		break;
	case TASK_MAIL:
		send_mail(r);
		break;
	case TASK_DROP:
		daybook_drop(r->folder, r->day_s);
		break;
	}
}

static void release(struct reporter *r)
{
	r->kind->day_free(&r->day);
	for (size_t i = 0; i < r->uri_count; i++)
		free(r->uris[i]);
	buf_done(&r->packed);
	free(r->hostname);
	free(r->folder);
	free(r->control);
	free(r);
}

static void next_domain(struct reporter *r);

static void go_on(struct reporter *r, bool is_cancelled)
{
	switch (r->task) {
	case TASK_READ:
		r->at = 0;
		if (r->day)
			next_domain(r);
		break;
	case TASK_PACK:
		if (is_cancelled)
			break;
		if (!r->is_packed) {
			log_warn(NULL, "report.too-long", KV_Z("kind", r->kind->name), KV_Z("domain", domain_of(r)));
			r->uri_at = r->uri_count;
		}
		next_uri(r);
		break;
	case TASK_MAIL:
		r->uri_at++;
		next_uri(r);
		break;
	case TASK_DROP:
		log_info(NULL, "report.day", KV_Z("kind", r->kind->name), KV_U64("domains", r->kind->day_count(r->day)),
			 KV_U64("reports", r->sent));
		r->kind->day_free(&r->day);
		if (!is_cancelled)
			timer_start_ms(&r->look, FIRST_LOOK_MS);        /* there may be another day */
		break;
	}
}

static void done(struct work *w, bool is_cancelled)
{
	struct reporter *r = CONTAINER_OF(w, struct reporter, work);

	r->has_job = false;
	if (r->is_freed)
		release(r);
	else
		go_on(r, is_cancelled);
}

static bool submit(struct reporter *r, enum task task)
{
	r->work = (struct work){ .run = run, .done = done };
	r->task = task;
	r->has_job = !work_submit(r->loop, WORK_MAIL, &r->work).kind;
	return r->has_job;
}

/* start - now, or when there is room: a day that was begun goes on where it is, since who has his report shall not get it twice. */
static void start(struct reporter *r, enum task task)
{
	r->is_late = !submit(r, task);
	if (r->is_late)
		timer_start_ms(&r->look, LATER_MS);
}

/* ---- a day's reports, one domain after another ---- */

static void drop_uris(struct reporter *r)
{
	for (size_t i = 0; i < r->uri_count; i++)
		free(r->uris[i]);
	r->uri_count = r->uri_at = 0;
}

static void on_posted(void *arg, const struct fetch_result *result)
{
	struct reporter *r = arg;
	bool good = !result->fault.kind && result->status / 100 == 2;

	r->fetch = NULL;
	log_info(NULL, "report.post", KV_Z("kind", r->kind->name), KV_Z("domain", domain_of(r)), KV_Z("url", r->to),
		 KV_U64("status", result->status), KV_FAULT("fault", result->fault));
	r->sent += good;
	r->uri_at++;
	next_uri(r);
}

/* send_there - to r->to. */
static void send_there(struct reporter *r)
{
	if (sv_starts_nocase(sv_z(r->to), SV("mailto:"))) {
		start(r, TASK_MAIL);
	} else {
		const struct fetch_request request = { .url = sv_z(r->to), .body = buf_sv(&r->packed),
						       .type = sv_z(r->kind->type), .octets_max = 4096 };

		fetch_ask(r->loop, r->control, &request, on_posted, r, &r->fetch);
	}
}

static void on_invited(void *arg, struct sv uri)
{
	struct reporter *r = arg;

	snprintf(r->to, sizeof(r->to), "%.*s", SV_FMT(sv_sub(uri, 0, REPORT_URI_MAX)));
	r->kind->invite_forget(&r->invitation);
	if (r->to[0]) {
		send_there(r);
		return;
	}
	log_info(NULL, "report.uninvited", KV_Z("kind", r->kind->name), KV_Z("domain", domain_of(r)),
		 KV_Z("uri", r->uris[r->uri_at]));
	r->uri_at++;
	next_uri(r);
}

/* next_uri - to the next place where this domain wants it. */
static void next_uri(struct reporter *r)
{
	if (r->uri_at == r->uri_count) {
		drop_uris(r);
		r->at++;
		next_domain(r);
		return;
	}
	snprintf(r->to, sizeof(r->to), "%s", r->uris[r->uri_at]);
	if (r->kind->invite)
		r->invitation = r->kind->invite(r->loop, r->s.dns, sv_z(domain_of(r)), sv_z(r->to), on_invited, r);
	else
		send_there(r);
}

static void take_record(struct reporter *r, struct sv text)
{
	struct sv uris[REPORT_URIS_MAX];
	size_t count = r->kind->uris(text, uris);

	for (size_t i = 0; i < count && r->uri_count < REPORT_URIS_MAX; i++)
		r->uris[r->uri_count++] = sv_copy_z(uris[i]);
}

static void on_txt(void *arg, const struct dns_answer *answer)
{
	struct reporter *r = arg;
	struct buf text;

	r->txt = NULL;
	buf_init(&text, 4096);
	for (size_t i = 0; answer->status == DNS_DATA && i < answer->count; i++) {
		buf_clear(&text);
		if (dns_txt_from(answer->records[i], &text) && !r->uri_count)
			take_record(r, buf_sv(&text));
	}
	buf_done(&text);
	queue_new_id(r->id);
	if (r->uri_count)
		start(r, TASK_PACK);
	else
		next_uri(r);
}

static void next_domain(struct reporter *r)
{
	char name[300];

	buf_done(&r->packed);
	if (r->at == r->kind->day_count(r->day)) {
		start(r, TASK_DROP);
		return;
	}
	snprintf(name, sizeof(name), "%s.%s", r->kind->record, domain_of(r));
	dns_ask(r->s.dns, sv_z(name), DNS_TXT, on_txt, r, &r->txt);
}

static void look(struct reporter *r)
{
	timer_start_ms(&r->look, LOOK_MS);
	if (r->is_late) {
		start(r, r->task);
	} else if (!r->day && !r->has_job) {
		r->sent = 0;
		(void)submit(r, TASK_READ);
	}
}

static void on_look(struct timer *t)
{
	look(CONTAINER_OF(t, struct reporter, look));
}

/* ---- life ---- */

struct reporter *reporter_new(struct loop *loop, const struct report_kind *kind, const struct reporter_settings *settings)
{
	struct reporter *r = xcalloc(1, sizeof(*r));

	r->loop = loop;
	r->kind = kind;
	r->s = *settings;
	r->hostname = xstrdup(settings->hostname);
	r->folder = xstrdup(settings->folder);
	r->control = xstrdup(settings->control);
	buf_init(&r->packed, PACKED_MAX);
	timer_init(&r->look, loop, on_look);
	timer_start_ms(&r->look, FIRST_LOOK_MS);
	return r;
}

void reporter_free(struct reporter **pr)
{
	struct reporter *r = *pr;

	*pr = NULL;
	if (!r)
		return;
	timer_stop(&r->look);
	dns_forget(&r->txt);
	fetch_forget(&r->fetch);
	if (r->kind->invite_forget)
		r->kind->invite_forget(&r->invitation);
	r->is_freed = true;
	if (!r->has_job)
		release(r);
}
