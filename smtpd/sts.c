#include "smtpd/sts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/date.h"
#include "common/dns.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/textfile.h"
#include "common/work.h"
#include "smtpd/fetch.h"

#include "common/banned.h"

#define BUCKETS 256
#define ENTRIES_MAX 5000       /* domains that are remembered; the oldest idle ones go */
#define CHECK_MS (30 * 60000)   /* the record is looked at again after so long */
#define FAILED_MS (5 * 60000)   /* a fetch that failed is not repeated sooner (RFC 8461 §3.3) */
#define REFRESH_S 86400         /* a policy is fetched again after so long, whatever its id (RFC 8461 §5.1) */
#define FILE_MAX (STS_POLICY_MAX + 256)
#define FILE_WORD "postroom-sts 1"

struct entry {
	struct sts *sts;
	struct entry *next;             /* of the bucket */
	char domain[256];
	char id[STS_ID_MAX + 1], new_id[STS_ID_MAX + 1];
	struct buf text;                /* the policy; empty: none is known */
	struct sts_policy *policy;      /* views of text */
	int64_t fetched_s, expires_s;
	uint64_t fresh_until_ms;        /* loop time: nothing is asked before */
	const char *problem;
	struct sts_query *waiting;
	struct dns_query *txt;
	struct fetch *fetch;
	struct work work;
	struct buf file;                /* the job's */
	char *path;
	bool is_busy, is_loaded, has_job;
};

struct sts {
	struct loop *loop;
	struct dns *dns;
	char *dir;
	uint16_t port;
	sts_fetch_fn *fetch;
	void *fetch_arg;
	struct entry *buckets[BUCKETS];
	size_t count, jobs;
	bool is_freed;                  /* jobs under way end it */
};

struct sts_query {
	struct entry *entry;
	struct sts_query *next, **at;
	struct sts_query **handle;
	sts_fn *fn;
	void *arg;
	struct deferred soon;
};

/* ---- entries ---- */

static void set_policy(struct entry *e, struct sv text)
{
	buf_clear(&e->text);
	free(e->policy);
	e->policy = xcalloc(1, sizeof(*e->policy));
	if (!buf_append(&e->text, text) || !sts_policy_parse(buf_sv(&e->text), e->policy)) {
		buf_clear(&e->text);
		free(e->policy);
		e->policy = NULL;
	}
}

static void entry_free(struct entry *e)
{
	dns_forget(&e->txt);
	fetch_forget(&e->fetch);
	buf_done(&e->text);
	buf_done(&e->file);
	free(e->policy);
	free(e->path);
	free(e);
}

static void query_free(struct sts_query *q)
{
	deferred_cancel(&q->soon);
	*q->at = q->next;
	if (q->next)
		q->next->at = q->at;
	if (q->handle)
		*q->handle = NULL;
	free(q);
}

void sts_forget(struct sts_query **query)
{
	if (*query)
		query_free(*query);
}

struct sts *sts_new(struct loop *loop, struct dns *dns, const char *dir, uint16_t port, sts_fetch_fn *fetch, void *arg)
{
	struct sts *s = xcalloc(1, sizeof(*s));

	*s = (struct sts){ .loop = loop, .dns = dns, .dir = xstrdup(dir), .port = port, .fetch = fetch, .fetch_arg = arg };
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		log_error(NULL, "sts.folder", KV_FAULT("fault", fault_errno("make", dir)));
	return s;
}

static void release(struct sts *s)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		while (s->buckets[i]) {
			struct entry *e = s->buckets[i];

			s->buckets[i] = e->next;
			entry_free(e);
		}
	}
	free(s->dir);
	free(s);
}

void sts_free(struct sts **psts)
{
	struct sts *s = *psts;

	*psts = NULL;
	if (!s)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct entry *e = s->buckets[i]; e; e = e->next) {
			while (e->waiting)
				/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): query_free() moves e->waiting on */
				query_free(e->waiting);
			dns_forget(&e->txt);
			fetch_forget(&e->fetch);
		}
	}
	s->is_freed = true;
	if (!s->jobs)
		release(s);
}

/* make_room - idle entries of one bucket go; what they knew lies on disk. */
static void make_room(struct entry **bucket, struct sts *s)
{
	for (struct entry **at = bucket; s->count >= ENTRIES_MAX && *at;) {
		struct entry *e = *at;

		if (e->is_busy || e->waiting || e->has_job) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		entry_free(e);
		s->count--;
	}
}

static struct entry *get_entry(struct sts *s, struct sv domain)
{
	struct entry **bucket = &s->buckets[sv_hash(domain) % BUCKETS];
	struct entry *e = *bucket;

	while (e && !sv_eq(sv_z(e->domain), domain))
		e = e->next;
	if (e)
		return e;
	make_room(bucket, s);
	e = xcalloc(1, sizeof(*e));
	e->sts = s;
	e->next = *bucket;
	snprintf(e->domain, sizeof(e->domain), "%.*s", SV_FMT(domain));
	buf_init(&e->text, STS_POLICY_MAX);
	buf_init(&e->file, FILE_MAX);
	*bucket = e;
	s->count++;
	return e;
}

/* ---- the end of a look ---- */

/* in_force - the policy, while it is. */
static const struct sts_policy *in_force(const struct entry *e)
{
	return e->policy && date_now().seconds < e->expires_s ? e->policy : NULL;
}

static void tell(struct sts_query *q)
{
	struct entry *e = q->entry;
	sts_fn *fn = q->fn;
	void *arg = q->arg;

	query_free(q);
	fn(arg, in_force(e), e->problem);
}

static void on_soon(struct deferred *d)
{
	tell(CONTAINER_OF(d, struct sts_query, soon));
}

/* settle - nothing more is to be asked for now. Whoever waits is told in the next turn: a callback may ask again. */
static void settle(struct entry *e, uint64_t fresh_ms)
{
	e->is_busy = false;
	e->fresh_until_ms = loop_now_ms(e->sts->loop) + fresh_ms;
	for (struct sts_query *q = e->waiting; q; q = q->next)
		deferred_call(&q->soon);
}

/* ---- on disk ---- */

static bool start_job(struct entry *e, void (*run)(struct work *), void (*done)(struct work *, bool))
{
	struct sts *s = e->sts;

	if (!e->path) {
		size_t room = strlen(s->dir) + strlen(e->domain) + 2;

		e->path = xmalloc(room);
		snprintf(e->path, room, "%s/%s", s->dir, e->domain);
	}
	e->work = (struct work){ .run = run, .done = done };
	if (work_submit(s->loop, WORK_MAIL, &e->work).kind)
		return false;
	e->has_job = true;
	s->jobs++;
	return true;
}

/* job_over - false: everything is gone. */
static bool job_over(struct entry *e)
{
	struct sts *s = e->sts;

	e->has_job = false;
	s->jobs--;
	if (s->is_freed && !s->jobs)
		release(s);
	else if (!s->is_freed)
		return true;
	return false;
}

static void run_save(struct work *w)
{
	struct entry *e = CONTAINER_OF(w, struct entry, work);
	struct fault f = textfile_replace(e->path, buf_sv(&e->file));

	if (f.kind)
		log_error(NULL, "sts.save", KV_Z("domain", e->domain), KV_FAULT("fault", f));
}

static void saved(struct work *w, bool is_cancelled)
{
	struct entry *e = CONTAINER_OF(w, struct entry, work);

	(void)is_cancelled;
	if (!job_over(e))
		return;
	buf_done(&e->file);
	settle(e, CHECK_MS);
}

/* save - then settle. */
static void save(struct entry *e)
{
	buf_clear(&e->file);
	buf_appendf(&e->file, FILE_WORD " %s %lld %lld\n", e->id, (long long)e->fetched_s, (long long)e->expires_s);
	buf_append(&e->file, buf_sv(&e->text));
	if (!start_job(e, run_save, saved))
		settle(e, CHECK_MS);
}

/* take_file - "postroom-sts 1 ID FETCHED EXPIRES" and the policy. */
static void take_file(struct entry *e)
{
	struct sv text = buf_sv(&e->file), line, word;
	uint64_t fetched, expires;

	if (!sv_split(&text, '\n', &line) || !sv_starts(line, SV(FILE_WORD " ")))
		return;
	sv_skip(&line, sizeof(FILE_WORD));
	if (!sv_split(&line, ' ', &word) || word.len > STS_ID_MAX)
		return;
	snprintf(e->id, sizeof(e->id), "%.*s", SV_FMT(word));
	if (!sv_split(&line, ' ', &word) || !sv_to_u64(word, &fetched) || !sv_to_u64(line, &expires) ||
	    fetched > INT64_MAX || expires > INT64_MAX)
		return;
	e->fetched_s = (int64_t)fetched;
	e->expires_s = (int64_t)expires;
	set_policy(e, text);
}

/* ---- HTTPS ---- */

static void on_fetched(void *arg, const struct fetch_result *r)
{
	struct entry *e = arg;
	struct sts_policy *parsed = xcalloc(1, sizeof(*parsed));
	bool good = !r->fault.kind && r->status == 200 && sv_starts_nocase(sv_trim(r->type), SV("text/plain"));

	e->fetch = NULL;
	e->problem = good ? NULL : "sts-policy-fetch-error";
	if (good && !sts_policy_parse(r->body, parsed)) {
		good = false;
		e->problem = "sts-policy-invalid";
	}
	if (good) {
		set_policy(e, r->body);
		snprintf(e->id, sizeof(e->id), "%s", e->new_id);
		e->fetched_s = date_now().seconds;
		e->expires_s = e->fetched_s + parsed->max_age_s;
	}
	free(parsed);
	log_info(NULL, "sts.fetch", KV_Z("domain", e->domain), KV_Z("result", e->problem ? e->problem : "ok"),
		 KV_U64("status", r->status), KV_FAULT("fault", r->fault));
	if (good)
		save(e);
	else
		settle(e, FAILED_MS);   /* what is known stays in force until it expires */
}

static void fetch_policy(struct entry *e)
{
	char url[400], port[8] = "";

	if (e->sts->port != 443)
		snprintf(port, sizeof(port), ":%u", e->sts->port);
	snprintf(url, sizeof(url), "https://mta-sts.%s%s/.well-known/mta-sts.txt", e->domain, port);
	e->sts->fetch(e->sts->fetch_arg, url, on_fetched, e, &e->fetch);
}

/* ---- DNS ---- */

/* find_record - several records that begin like one are as none (RFC 8461 §3.1). */
static bool find_record(const struct dns_answer *answer, char id[STS_ID_MAX + 1])
{
	struct buf text;
	size_t found = 0;
	bool good = false;

	buf_init(&text, 4096);
	for (size_t i = 0; answer->status == DNS_DATA && i < answer->count; i++) {
		buf_clear(&text);
		if (!dns_txt_from(answer->records[i], &text) || !sv_starts(buf_sv(&text), SV("v=STSv1")))
			continue;
		found++;
		good = sts_record_parse(buf_sv(&text), id);
	}
	buf_done(&text);
	return good && found == 1;
}

static void on_txt(void *arg, const struct dns_answer *answer)
{
	struct entry *e = arg;
	int64_t now_s = date_now().seconds;
	bool is_known = in_force(e) != NULL;
	char id[STS_ID_MAX + 1];

	e->txt = NULL;
	if (!find_record(answer, id)) {
		/* Its absence takes nothing back (RFC 8461 §5.1): who can hide it must not win by that. A failure is
		 * asked again soon. */
		settle(e, answer->status == DNS_TEMPFAIL ? FAILED_MS : CHECK_MS);
	} else if (is_known && sv_eq(sv_z(id), sv_z(e->id)) && now_s - e->fetched_s < REFRESH_S) {
		settle(e, CHECK_MS);
	} else {
		snprintf(e->new_id, sizeof(e->new_id), "%s", id);
		fetch_policy(e);
	}
}

static void ask_txt(struct entry *e)
{
	char name[300];

	snprintf(name, sizeof(name), "_mta-sts.%s", e->domain);
	dns_ask(e->sts->dns, sv_z(name), DNS_TXT, on_txt, e, &e->txt);
}

/* ---- a look ---- */

static void run_load(struct work *w)
{
	struct entry *e = CONTAINER_OF(w, struct entry, work);

	if (textfile_read(e->path, &e->file).kind)
		buf_clear(&e->file);
}

static void loaded(struct work *w, bool is_cancelled)
{
	struct entry *e = CONTAINER_OF(w, struct entry, work);

	if (!job_over(e))
		return;
	if (!is_cancelled)
		take_file(e);
	buf_done(&e->file);
	e->is_loaded = true;
	ask_txt(e);
}

static void look(struct entry *e)
{
	e->is_busy = true;
	e->problem = NULL;
	if (e->is_loaded || !start_job(e, run_load, loaded))
		ask_txt(e);
}

/* is_name - it becomes a file's name. */
static bool is_name(struct sv domain)
{
	for (size_t i = 0; i < domain.len; i++)
		if (!ascii_is_alpha(domain.p[i]) && !ascii_is_digit(domain.p[i]) && !memchr("-_.", domain.p[i], 3))
			return false;
	return domain.len && domain.len <= 240 && domain.p[0] != '.';
}

void sts_find(struct sts *sts, struct sv domain, sts_fn *fn, void *arg, struct sts_query **out)
{
	/* An address literal has no policy; "-" is nobody's name and looked up by nobody. */
	struct entry *e = get_entry(sts, is_name(domain) ? domain : SV("-"));
	struct sts_query *q = xcalloc(1, sizeof(*q));

	*q = (struct sts_query){ .entry = e, .next = e->waiting, .at = &e->waiting, .handle = out, .fn = fn, .arg = arg };
	deferred_init(&q->soon, sts->loop, on_soon);
	if (q->next)
		q->next->at = &q->next;
	e->waiting = q;
	if (out)
		*out = q;
	if (e->is_busy)
		return;
	if (!is_name(domain) || loop_now_ms(sts->loop) < e->fresh_until_ms)
		deferred_call(&q->soon);
	else
		look(e);
}
