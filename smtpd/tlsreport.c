#include "smtpd/tlsreport.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/date.h"
#include "common/deflate.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/textfile.h"
#include "common/transfer.h"
#include "common/work.h"
#include "smtpd/fetch.h"
#include "smtpd/outlet.h"

#include "common/banned.h"

#define DAY_S 86400
#define SPREAD_S (4 * 3600)     /* reports leave some time after midnight, not everybody's at once (RFC 8460 §4.1) */
#define WRITE_MS 5000           /* lines gather so long */
#define LOOK_MS 600000
#define FIRST_LOOK_MS 2000
#define LINES_MAX (256u << 10)
#define FILE_MAX_OCTETS (64u << 20)     /* of one day; what comes behind is not counted */
#define MAIL_MAX (2u << 20)

/* What a job does. */
enum task { TASK_WRITE, TASK_READ, TASK_MAIL, TASK_DROP };

struct tlsreport {
	struct loop *loop;
	struct tlsreport_settings s;
	char *hostname, *folder, *control;
	struct timer write, look;
	struct buf lines;               /* gather */
	int64_t lines_day_s;
	bool is_freed;

	/* one job at a time */
	struct work work;
	enum task task, next;           /* next: when has_next, begun as soon as the one that runs is done */
	bool has_job, has_next;
	struct buf chunk;               /* TASK_WRITE */
	int64_t chunk_day_s;

	/* the reports of one day */
	struct tlsreport_day *day;      /* NULL: none are being sent */
	int64_t day_s;
	size_t at;                      /* domain */
	struct dns_query *txt;
	struct fetch *fetch;
	char *uris[TLSREPORT_URIS_MAX];
	size_t uri_count, uri_at;
	char id[QUEUE_ID_LEN + 1];
	char organisation[256];
	struct buf packed;              /* the report of this domain, gzip */
	size_t sent;
};

static void next_uri(struct tlsreport *r);

/* ---- files ---- */

static void path_of(const struct tlsreport *r, int64_t day_s, char out[4200])
{
	struct date_civil c;

	date_to_civil((struct date){ .seconds = day_s }, &c);
	snprintf(out, 4200, "%s/%04d-%02d-%02d", r->folder, c.year, c.month, c.day);
}

static void write_lines(struct tlsreport *r)
{
	char path[4200];
	struct stat st;
	int fd;

	path_of(r, r->chunk_day_s, path);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st) != 0) {
		struct fault f = fault_errno("open", path);

		log_error(NULL, "tlsreport.write", KV_FAULT("fault", f));
	} else if (st.st_size < (off_t)FILE_MAX_OCTETS && write(fd, r->chunk.p, r->chunk.len) < 0) {
		log_error(NULL, "tlsreport.write", KV_FAULT("fault", fault_errno("write", path)));
	}
	if (fd >= 0)
		close(fd);
}

/* day_from - the day that a file is named for; false for other files. */
static bool day_from(struct sv name, int64_t *day_s)
{
	struct date_civil c = { .hour = 0 };
	uint32_t year, month, day;
	struct date date;

	if (name.len != 10 || name.p[4] != '-' || name.p[7] != '-' || !sv_to_u32(sv_sub(name, 0, 4), &year) ||
	    !sv_to_u32(sv_sub(name, 5, 2), &month) || !sv_to_u32(sv_sub(name, 8, 2), &day))
		return false;
	c.year = (int)year;
	c.month = (int)month;
	c.day = (int)day;
	if (!date_from_civil(&c, 0, &date))
		return false;
	*day_s = date.seconds;
	return true;
}

/* find_day - the oldest one that is over, and whose time to report has come. */
static bool find_day(const struct tlsreport *r, int64_t *out)
{
	int64_t due_s = date_now().seconds - DAY_S - (int64_t)(sv_hash(sv_z(r->hostname)) % SPREAD_S), day_s;
	DIR *d = opendir(r->folder);
	struct dirent *e;
	bool found = false;

	while (d && (e = readdir(d)))
		if (day_from(sv_z(e->d_name), &day_s) && day_s <= due_s && (!found || day_s < *out)) {
			*out = day_s;
			found = true;
		}
	if (d)
		closedir(d);
	return found;
}

static void read_day(struct tlsreport *r)
{
	struct directory_domain domain;
	struct buf text;
	struct sv rest, line;
	char path[4200];
	struct fault f;

	if (!find_day(r, &r->day_s) || directory_domain_default(r->s.directory, &domain).kind)
		return;
	snprintf(r->organisation, sizeof(r->organisation), "%s", domain.name);
	path_of(r, r->day_s, path);
	buf_init(&text, FILE_MAX_OCTETS + LINES_MAX);
	f = textfile_read(path, &text);
	if (f.kind)
		log_error(NULL, "tlsreport.read", KV_FAULT("fault", f));
	r->day = tlsreport_day_new();
	rest = buf_sv(&text);
	while (sv_split(&rest, '\n', &line))
		tlsreport_day_add(r->day, line);
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
static bool pack(struct tlsreport *r)
{
	char contact[300];
	const struct tlsreport_facts facts = { r->organisation, contact, r->id, r->day_s };
	struct buf json;
	bool fits;

	snprintf(contact, sizeof(contact), "postmaster@%s", r->organisation);
	buf_init(&json, TLSREPORT_JSON_MAX);
	buf_clear(&r->packed);
	fits = tlsreport_day_json(r->day, r->at, &facts, &json) && gzip_pack(buf_sv(&json), &r->packed);
	buf_done(&json);
	return fits;
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

/* write_mail - RFC 8460 §5.3. */
static bool write_mail(const struct tlsreport *r, struct sv to, struct buf *out)
{
	const char *domain = tlsreport_day_domain(r->day, r->at);
	char day[16];
	bool fits;

	day_text(r->day_s, day);
	fits = buf_appendf(out, "From: TLS reports <postmaster@%s>\r\nTo: <%.*s>\r\nDate: ", r->organisation, SV_FMT(to)) &&
	       date_append_5322(out, date_now()) &&
	       buf_appendf(out,
			   "\r\nMessage-ID: <%s@%s>\r\nSubject: Report Domain: %s Submitter: %s\r\n Report-ID: <%s@%s>\r\n"
			   "TLS-Report-Domain: %s\r\nTLS-Report-Submitter: %s\r\nTLS-Required: No\r\n"
			   "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
			   "Content-Type: multipart/report; report-type=\"tlsrpt\"; boundary=\"=_%s\"\r\n\r\n",
			   r->id, r->hostname, domain, r->organisation, r->id, r->hostname, domain, r->organisation, r->id) &&
	       buf_appendf(out,
			   "--=_%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
			   "This is a report of TLS connections from %s to servers of\r\n%s on %s (UTC), as RFC 8460 has it.\r\n"
			   "--=_%s\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n"
			   "Content-Disposition: attachment;\r\n filename=\"%s!%s!%lld!%lld!%s.json.gz\"\r\n\r\n",
			   r->id, r->organisation, domain, day, r->id, r->organisation, domain, (long long)r->day_s,
			   (long long)r->day_s + DAY_S - 1, r->id) &&
	       append_folded(out, buf_sv(&r->packed)) && buf_appendf(out, "--=_%s--\r\n", r->id);
	return fits;
}

/* send_mail - "mailto:reports@example.org": what stands behind "?" or "!" is for other programs. */
static void send_mail(struct tlsreport *r)
{
	struct sv to = sv_z(r->uris[r->uri_at] + 7);
	char id[QUEUE_ID_LEN + 1];
	struct address address;
	struct arena arena;
	struct fault f = fault(FAULT_LIMIT, "report too long");
	struct buf mail;

	to = sv_sub(to, 0, sv_find(to, '?'));
	to = sv_sub(to, 0, sv_find(to, '!'));
	arena_init(&arena, 8192);
	buf_init(&mail, MAIL_MAX);
	queue_new_id(id);
	if (address_parse(&arena, to, &address).kind || sv_has_8bit(to) || memchr(to.p, '\r', to.len) ||
	    memchr(to.p, '\n', to.len))
		f = fault(FAULT_INVALID, "not an address");
	else if (write_mail(r, to, &mail))
		f = outlet_send(r->s.queue, id, &to, 1, SV_NONE, buf_sv(&mail), NULL);
	log_info(NULL, "tlsreport.mail", KV_Z("domain", tlsreport_day_domain(r->day, r->at)), KV_SV("to", to),
		 KV_FAULT("fault", f));
	r->sent += !f.kind;
	buf_done(&mail);
	arena_done(&arena);
}

/* ---- jobs ---- */

static void run(struct work *w)
{
	struct tlsreport *r = CONTAINER_OF(w, struct tlsreport, work);
	char path[4200];

	switch (r->task) {
	case TASK_WRITE:
		write_lines(r);
		break;
	case TASK_READ:
		read_day(r);
		break;
	case TASK_MAIL:
		send_mail(r);
		break;
	case TASK_DROP:
		path_of(r, r->day_s, path);
		unlink(path);
		break;
	}
}

static void release(struct tlsreport *r)
{
	tlsreport_day_free(&r->day);
	for (size_t i = 0; i < r->uri_count; i++)
		free(r->uris[i]);
	buf_done(&r->lines);
	buf_done(&r->chunk);
	buf_done(&r->packed);
	free(r->hostname);
	free(r->folder);
	free(r->control);
	free(r);
}

static bool submit(struct tlsreport *r, enum task task);
static void next_domain(struct tlsreport *r);
static void give_up_for_now(struct tlsreport *r);

static void go_on(struct tlsreport *r, bool is_cancelled)
{
	switch (r->task) {
	case TASK_WRITE:
		break;
	case TASK_READ:
		r->at = 0;
		if (r->day)
			next_domain(r);
		break;
	case TASK_MAIL:
		r->uri_at++;
		next_uri(r);
		break;
	case TASK_DROP:
		log_info(NULL, "tlsreport.day", KV_U64("domains", tlsreport_day_count(r->day)), KV_U64("reports", r->sent));
		tlsreport_day_free(&r->day);
		if (!is_cancelled)
			timer_start_ms(&r->look, FIRST_LOOK_MS);        /* there may be another day */
		break;
	}
}

static void done(struct work *w, bool is_cancelled)
{
	struct tlsreport *r = CONTAINER_OF(w, struct tlsreport, work);

	r->has_job = false;
	if (r->is_freed) {
		release(r);
		return;
	}
	go_on(r, is_cancelled);
	if (r->has_next && !r->has_job) {
		r->has_next = false;
		if (!submit(r, r->next))
			give_up_for_now(r);
	}
}

static bool submit(struct tlsreport *r, enum task task)
{
	if (r->has_job) {
		r->next = task;
		r->has_next = true;
		return true;
	}
	r->work = (struct work){ .run = run, .done = done };
	r->task = task;
	r->has_job = !work_submit(r->loop, WORK_MAIL, &r->work).kind;
	return r->has_job;
}

/* ---- a day's reports, one domain after another ---- */

static void give_up_for_now(struct tlsreport *r)
{
	tlsreport_day_free(&r->day);    /* the file is there: all of it again later */
	timer_start_ms(&r->look, LOOK_MS);
}

static void on_posted(void *arg, const struct fetch_result *result)
{
	struct tlsreport *r = arg;
	bool good = !result->fault.kind && result->status / 100 == 2;

	r->fetch = NULL;
	log_info(NULL, "tlsreport.post", KV_Z("domain", tlsreport_day_domain(r->day, r->at)), KV_Z("url", r->uris[r->uri_at]),
		 KV_U64("status", result->status), KV_FAULT("fault", result->fault));
	r->sent += good;
	r->uri_at++;
	next_uri(r);
}

/* next_uri - to the next place where this domain wants it. */
static void next_uri(struct tlsreport *r)
{
	if (r->uri_at == r->uri_count) {
		for (size_t i = 0; i < r->uri_count; i++)
			free(r->uris[i]);
		r->uri_count = r->uri_at = 0;
		r->at++;
		next_domain(r);
	} else if (sv_starts_nocase(sv_z(r->uris[r->uri_at]), SV("mailto:"))) {
		if (!submit(r, TASK_MAIL))
			give_up_for_now(r);
	} else {
		const struct fetch_request request = { .url = sv_z(r->uris[r->uri_at]), .body = buf_sv(&r->packed),
						       .type = SV("application/tlsrpt+gzip"), .octets_max = 4096 };

		fetch_ask(r->loop, r->control, &request, on_posted, r, &r->fetch);
	}
}

static void take_record(struct tlsreport *r, struct sv text)
{
	struct sv uris[TLSREPORT_URIS_MAX];
	size_t count = tlsreport_record_parse(text, uris);

	for (size_t i = 0; i < count && r->uri_count < TLSREPORT_URIS_MAX; i++)
		r->uris[r->uri_count++] = sv_copy_z(uris[i]);
}

static void on_txt(void *arg, const struct dns_answer *answer)
{
	struct tlsreport *r = arg;
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
	if (r->uri_count && !pack(r)) {
		log_warn(NULL, "tlsreport.too-long", KV_Z("domain", tlsreport_day_domain(r->day, r->at)));
		r->uri_at = r->uri_count;
	}
	next_uri(r);
}

static void next_domain(struct tlsreport *r)
{
	char name[300];

	if (r->at == tlsreport_day_count(r->day)) {
		if (!submit(r, TASK_DROP))
			give_up_for_now(r);
		return;
	}
	snprintf(name, sizeof(name), "_smtp._tls.%s", tlsreport_day_domain(r->day, r->at));
	dns_ask(r->s.dns, sv_z(name), DNS_TXT, on_txt, r, &r->txt);
}

static void look(struct tlsreport *r)
{
	if (!r->day && !r->has_job && !r->has_next) {
		r->sent = 0;
		(void)submit(r, TASK_READ);
	}
	timer_start_ms(&r->look, LOOK_MS);
}

static void on_look(struct timer *t)
{
	look(CONTAINER_OF(t, struct tlsreport, look));
}

/* ---- counting ---- */

static void flush(struct tlsreport *r)
{
	struct buf b = r->chunk;

	if (!r->lines.len || r->has_job || r->has_next)
		return;
	r->chunk = r->lines;
	r->chunk_day_s = r->lines_day_s;
	r->lines = b;
	buf_clear(&r->lines);
	(void)submit(r, TASK_WRITE);
}

static void on_write(struct timer *t)
{
	struct tlsreport *r = CONTAINER_OF(t, struct tlsreport, write);

	flush(r);
	timer_start_ms(&r->write, WRITE_MS);
}

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
	int64_t now_s = date_now().seconds, day_s = now_s - now_s % DAY_S;
	char ip[NETADDR_TEXT_MAX];
	size_t before = r->lines.len;
	struct json_out j;

	if (!*policy->domain || policy->domain[0] == '[')
		return;
	if (day_s != r->lines_day_s)
		flush(r);
	if (r->lines.len && day_s != r->lines_day_s)
		return;                 /* the old day's are still being written */
	r->lines_day_s = day_s;
	json_out_init(&j, &r->lines);
	json_out_object(&j, NULL);
	json_out_z(&j, "domain", policy->domain);
	json_out_z(&j, "type", type_of(policy));
	json_out_sv(&j, "policy", policy->policy);
	json_out_z(&j, "host", policy->host);
	json_out_sv(&j, "ip", at ? netaddr_text(at, ip) : SV_NONE);
	json_out_z(&j, "result", result ? result : "");
	json_out_z(&j, "reason", reason ? reason : "");
	json_out_object_end(&j);
	if (j.overflow || !buf_append_c(&r->lines, '\n'))
		r->lines.len = before;
}

/* ---- life ---- */

struct tlsreport *tlsreport_new(struct loop *loop, const struct tlsreport_settings *settings)
{
	struct tlsreport *r = xcalloc(1, sizeof(*r));

	r->loop = loop;
	r->s = *settings;
	r->hostname = xstrdup(settings->hostname);
	r->folder = xstrdup(settings->folder);
	r->control = xstrdup(settings->control);
	buf_init(&r->lines, LINES_MAX);
	buf_init(&r->chunk, LINES_MAX);
	buf_init(&r->packed, TLSREPORT_JSON_MAX);
	timer_init(&r->write, loop, on_write);
	timer_init(&r->look, loop, on_look);
	if (mkdir(r->folder, 0700) != 0 && errno != EEXIST)
		log_error(NULL, "tlsreport.folder", KV_FAULT("fault", fault_errno("make", r->folder)));
	timer_start_ms(&r->write, WRITE_MS);
	timer_start_ms(&r->look, FIRST_LOOK_MS);
	return r;
}

void tlsreport_free(struct tlsreport **pr)
{
	struct tlsreport *r = *pr;

	*pr = NULL;
	if (!r)
		return;
	timer_stop(&r->write);
	timer_stop(&r->look);
	dns_forget(&r->txt);
	fetch_forget(&r->fetch);
	if (!r->has_job)
		flush(r);
	r->is_freed = true;
	if (!r->has_job)
		release(r);
}
