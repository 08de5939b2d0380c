#include "webd/acme/dnsproof.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/dnsrdata.h"
#include "common/dnsupdate.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/netaddr.h"
#include "common/textfile.h"
#include "common/work.h"
#include "webd/acme/jws.h"

#include "common/banned.h"

#define LABEL "_acme-challenge."
#define FILE_PREFIX "dns."              /* a dot: no token of http-01 has one */
#define TTL_S 60
#define HOSTS_MAX 8                     /* the primary, and the zone's name servers */
#define SERVERS_MAX 16
#define LOOK_MIN_MS 250
#define LOOK_MAX_MS 4000
#define VALUE_MAX 64
#define TEXT_MAX 2048

/* What a record is made of, and where it goes: all that a job needs to know. */
struct place {
	char zone[DNS_NAME_MAX + 1], owner[DNS_NAME_MAX + 1], value[VALUE_MAX];
	struct netaddr primary;
};

enum task { TASK_PUT, TASK_LOOK, TASK_TAKE_AWAY };

struct task_job {
	struct work work;
	enum task task;
	struct dnsproof *proof;         /* NULL: nobody waits for it */
	const struct dnsproof_zone *zone;
	struct place place;
	struct netaddr servers[SERVERS_MAX];
	size_t server_count;
	char path[4096];
	struct fault fault;
	char detail[300];
};

enum step { STEP_ALIAS, STEP_ZONE, STEP_SERVERS, STEP_ADDRESSES, STEP_PUT, STEP_LOOK };

struct dnsproof {
	const struct dnsproof_zone *zone;
	dnsproof_fn *fn;
	void *arg;
	struct dns_query *query;
	struct task_job *job;
	struct timer pause;
	struct deferred soon;
	enum step step;
	struct place place;
	const char *at;                 /* the name whose SOA is asked for: the owner, or above */
	char hosts[HOSTS_MAX][DNS_NAME_MAX + 1];
	size_t host_count, host_at;
	bool asks_ipv6;                 /* of that host, as the second question */
	struct netaddr servers[SERVERS_MAX];
	size_t server_count;
	bool has_primary, is_put;
	uint64_t pause_ms, until_ms;
	char path[4096];
	struct fault fault;
	char detail[300];
};

/* ---- jobs ---- */

static bool add_change(const struct place *place, bool is_added, struct buf *message)
{
	struct buf rdata;
	bool fits;

	buf_init(&rdata, TEXT_MAX);
	fits = dnsrdata_txt(&rdata, sv_z(place->value)) &&
	       dnsmessage_add(message, DNSMESSAGE_CHANGE, sv_z(place->owner), DNS_TXT, is_added ? DNSMESSAGE_IN : DNSMESSAGE_NONE,
			      is_added ? TTL_S : 0, buf_sv(&rdata));
	buf_done(&rdata);
	return fits;
}

static struct fault update(struct task_job *job, bool is_added)
{
	char address[NETADDR_TEXT_MAX];
	struct dnsupdate_answer answer;
	struct fault f = fault(FAULT_LIMIT, "the name is too long for a proof by DNS");
	struct buf message;

	buf_init(&message, DNSMESSAGE_MAX);
	if (dnsupdate_begin(&message, job->place.zone) && add_change(&job->place, is_added, &message))
		f = dnsupdate_send(&job->place.primary, job->zone->key, &message, &answer);
	if (!f.kind && (answer.doubt || answer.rcode != DNSMESSAGE_NOERROR)) {
		netaddr_text_port(&job->place.primary, address);
		f = fault_detail(FAULT_DENIED, "%s says %s%s%s to the update of %s: its key must be the one in keys/" DNSUPDATE_KEY
				 ", and may change TXT records there", address, dnsmessage_rcode_name(answer.rcode), answer.doubt ? ", " : "",
				 answer.doubt ? answer.doubt : "", job->place.zone);
	}
	buf_done(&message);
	return f;
}

/* Does this name server show the record? FAULT_NOT_FOUND: not yet. */
static struct fault look_at(const struct place *place, const struct netaddr *server)
{
	struct dnsmessage_reader *r = xcalloc(1, sizeof(*r));
	struct dnsmessage_record *record = xcalloc(1, sizeof(*record));
	struct buf message, reply, text;
	struct fault f = fault(FAULT_INVALID, "this is no name");
	bool is_there = false;
	uint16_t id;

	crypt_random(&id, sizeof(id));
	buf_init(&message, DNSMESSAGE_MAX);
	buf_init(&reply, DNSMESSAGE_MAX);
	buf_init(&text, DNSMESSAGE_MAX);
	if (dnsmessage_begin(&message, id, DNSMESSAGE_QUERY, sv_z(place->owner), DNS_TXT))
		f = dnsclient_exchange(server, buf_sv(&message), &reply);
	if (!f.kind && !dnsmessage_read(r, buf_sv(&reply)))
		f = fault(FAULT_UNAVAILABLE, "the answer cannot be read");
	while (!f.kind && !is_there && dnsmessage_next(r, record)) {
		buf_clear(&text);
		is_there = record->section == DNSMESSAGE_ANSWER && record->type == DNS_TXT && dns_txt_from(record->rdata, &text) &&
			   sv_eq(buf_sv(&text), sv_z(place->value));
	}
	if (!f.kind && !is_there)
		f = fault(FAULT_NOT_FOUND, "it is not there");
	buf_done(&message);
	buf_done(&reply);
	buf_done(&text);
	free(record);
	free(r);
	return f;
}

/* Each that answers has to show it. One that is silent here is not waited for while another one answers: it may be reached from elsewhere. */
static struct fault look(struct task_job *job)
{
	char address[NETADDR_TEXT_MAX];
	size_t seen = 0;

	for (size_t i = 0; i < job->server_count; i++) {
		struct fault f = look_at(&job->place, &job->servers[i]);

		if (f.kind == FAULT_NOT_FOUND)
			return fault_detail(f.kind, "the name server %s does not show the proof at %s", netaddr_text(&job->servers[i], address).p,
					    job->place.owner);
		seen += !f.kind;
	}
	return seen ? FAULT_OK : fault_detail(FAULT_UNAVAILABLE, "no name server of %s answers", job->place.zone);
}

static void task_run(struct work *work)
{
	struct task_job *job = CONTAINER_OF(work, struct task_job, work);

	switch (job->task) {
	case TASK_PUT:       job->fault = update(job, true); break;
	case TASK_LOOK:      job->fault = look(job); break;
	case TASK_TAKE_AWAY:
		job->fault = update(job, false);
		if (!job->fault.kind)
			unlink(job->path);
		break;
	}
	/* A detail lives until the next fault of this thread. */
	snprintf(job->detail, sizeof(job->detail), "%s", job->fault.detail ? job->fault.detail : fault_name(job->fault.kind));
	if (job->fault.kind)
		job->fault.detail = job->detail;
}

static void on_task(struct dnsproof *p, const struct task_job *job);

static void task_done(struct work *work, bool is_cancelled)
{
	struct task_job *job = CONTAINER_OF(work, struct task_job, work);
	struct dnsproof *p = job->proof;

	if (p)
		p->job = NULL;
	if (!is_cancelled && job->task == TASK_TAKE_AWAY && job->fault.kind)
		log_warn(NULL, "acme.record_stays", KV_Z("name", job->place.owner), KV_FAULT("fault", job->fault));
	if (p && !is_cancelled)
		on_task(p, job);
	else if (p && !p->fn)
		free(p);        /* the process ends; the next one takes away what the file names */
	free(job);
}

/* False: too much to do, or the process ends. */
static bool begin_task(const struct dnsproof_zone *zone, enum task task, const struct place *place, const char *path, struct dnsproof *p)
{
	struct task_job *job = xcalloc(1, sizeof(*job));

	*job = (struct task_job){ .work = { .run = task_run, .done = task_done }, .task = task, .proof = p, .zone = zone, .place = *place };
	snprintf(job->path, sizeof(job->path), "%s", path);
	if (p) {
		memcpy(job->servers, p->servers, sizeof(job->servers));
		job->server_count = p->server_count;
	}
	if (work_submit(zone->loop, WORK_MAIL, &job->work).kind) {
		free(job);
		return false;
	}
	if (p)
		p->job = job;
	return true;
}

/* ---- files ---- */

static struct fault place_write(const char *path, const struct place *place)
{
	char address[NETADDR_TEXT_MAX];
	struct buf text;
	struct fault f;

	buf_init(&text, TEXT_MAX);
	(void)buf_appendf(&text, "%s@%u %s %s %s\n", netaddr_text(&place->primary, address).p, (unsigned)place->primary.port, place->zone, place->owner,
			  place->value);
	f = textfile_replace(path, buf_sv(&text));
	buf_done(&text);
	return f;
}

static bool take_word(struct sv *line, char *out, size_t size)
{
	struct sv word;

	if (!sv_split(line, ' ', &word) || !word.len || word.len >= size)
		return false;
	memcpy(out, word.p, word.len);
	out[word.len] = '\0';
	return true;
}

static bool place_read(const char *path, struct place *out)
{
	char address[NETADDR_TEXT_MAX + 8];
	struct sv line;
	struct buf text;
	bool good;

	buf_init(&text, TEXT_MAX);
	good = !textfile_read(path, &text).kind;
	line = sv_trim(buf_sv(&text));
	good = good && take_word(&line, address, sizeof(address)) && dnsclient_parse_server(address, &out->primary) &&
	       take_word(&line, out->zone, sizeof(out->zone)) && take_word(&line, out->owner, sizeof(out->owner)) &&
	       take_word(&line, out->value, sizeof(out->value)) && !line.len;
	buf_done(&text);
	return good;
}

void dnsproof_sweep(const struct dnsproof_zone *zone)
{
	DIR *dir = opendir(zone->folder);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		struct place place;
		char path[4096];
		int n = snprintf(path, sizeof(path), "%s/%s", zone->folder, e->d_name);

		if (!sv_starts(sv_z(e->d_name), SV(FILE_PREFIX)) || n < 0 || (size_t)n >= sizeof(path))
			continue;
		if (!place_read(path, &place))
			unlink(path);
		else if (!begin_task(zone, TASK_TAKE_AWAY, &place, path, NULL))
			break;
	}
	if (dir)
		closedir(dir);
}

/* ---- end ---- */

static void stop(struct dnsproof *p)
{
	dns_forget(&p->query);
	timer_stop(&p->pause);
	deferred_cancel(&p->soon);
}

static void tell(struct dnsproof *p)
{
	dnsproof_fn *fn = p->fn;

	stop(p);
	p->fn = NULL;
	fn(p->arg, p->fault);   /* *p may be gone now */
}

static void on_soon(struct deferred *d)
{
	struct dnsproof *p = CONTAINER_OF(d, struct dnsproof, soon);

	tell(p);
}

static void fail(struct dnsproof *p, struct fault f)
{
	snprintf(p->detail, sizeof(p->detail), "%s", f.detail ? f.detail : fault_name(f.kind));
	p->fault = fault(f.kind, p->detail);
	deferred_call(&p->soon);
}

void dnsproof_take_away(struct dnsproof **proof)
{
	struct dnsproof *p = *proof;

	*proof = NULL;
	if (!p)
		return;
	stop(p);
	p->fn = NULL;
	if (p->job && p->step == STEP_PUT)
		return;         /* it is being put: when that has ended */
	if (p->job)
		p->job->proof = NULL;
	if (p->is_put)
		(void)begin_task(p->zone, TASK_TAKE_AWAY, &p->place, p->path, NULL);    /* else the next process does, by the file */
	free(p);
}

/* ---- where it goes ---- */

static void ask(struct dnsproof *p, enum step step);

static void begin(struct dnsproof *p, enum task task)
{
	if (!begin_task(p->zone, task, &p->place, p->path, p))
		fail(p, fault(FAULT_BUSY, "too much to do"));
}

static void put(struct dnsproof *p)
{
	struct fault f;

	p->step = STEP_PUT;
	if (!p->server_count) {
		fail(p, fault_detail(FAULT_UNAVAILABLE, "the name servers of %s have no address", p->place.zone));
		return;
	}
	if (!p->has_primary)    /* a primary that nobody is to know: those that are known may pass it on (RFC 2136 §6) */
		p->place.primary = p->servers[0];
	f = place_write(p->path, &p->place);
	if (f.kind) {
		fail(p, f);
		return;
	}
	p->is_put = true;
	begin(p, TASK_PUT);
}

/* The name above; NULL: there is none. */
static const char *above(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot && dot[1] ? dot + 1 : NULL;
}

static void add_host(struct dnsproof *p, const char *host)
{
	if (p->host_count < HOSTS_MAX && *host && strlen(host) <= DNS_NAME_MAX)
		memcpy(p->hosts[p->host_count++], host, strlen(host) + 1);
}

/* RFC 1035 §5.1: the zone begins where its SOA is. */
static void take_zone(struct dnsproof *p, const struct dns_answer *a)
{
	char host[4 * DNS_NAME_MAX + 1] = "";
	struct sv rdata = a->count ? a->records[0] : SV_NONE;

	if (a->status == DNS_TEMPFAIL) {
		fail(p, fault_detail(FAULT_UNAVAILABLE, "the zone of %s cannot be found: %s", p->place.owner, a->why ? a->why : "no answer"));
	} else if (a->status == DNS_DATA && sv_eq_nocase(a->name, sv_z(p->at)) && dns_name_from(&rdata, host)) {
		snprintf(p->place.zone, sizeof(p->place.zone), "%s", p->at);
		add_host(p, host);
		ask(p, STEP_SERVERS);
	} else if ((p->at = above(p->at))) {
		ask(p, STEP_ZONE);
	} else {
		fail(p, fault_detail(FAULT_UNAVAILABLE, "no zone holds %s", p->place.owner));
	}
}

static void take_servers(struct dnsproof *p, const struct dns_answer *a)
{
	for (size_t i = 0; i < a->count; i++) {
		char host[4 * DNS_NAME_MAX + 1];
		struct sv rdata = a->records[i];

		if (dns_name_from(&rdata, host))
			add_host(p, host);
	}
	if (!p->host_count)
		put(p);
	else
		ask(p, STEP_ADDRESSES);
}

/* The first host is the primary. It is looked at only if it is among the zone's name servers, too: it may be one that serves nobody. */
static void take_addresses(struct dnsproof *p, const struct dns_answer *a)
{
	for (size_t i = 0; i < a->count; i++) {
		struct netaddr address = { .family = p->asks_ipv6 ? NET_IPV6 : NET_IPV4, .port = DNSCLIENT_PORT };

		if (!dns_ip_from(p->asks_ipv6 ? DNS_AAAA : DNS_A, a->records[i], address.ip))
			continue;
		if (!p->host_at && !p->has_primary) {
			p->place.primary = address;
			p->has_primary = true;
		}
		if ((p->host_at || p->host_count == 1) && p->server_count < SERVERS_MAX)
			p->servers[p->server_count++] = address;
	}
	p->host_at += p->asks_ipv6;
	p->asks_ipv6 = !p->asks_ipv6;
	if (p->host_at < p->host_count)
		ask(p, STEP_ADDRESSES);
	else
		put(p);
}

static void on_answer(void *arg, const struct dns_answer *a)
{
	struct dnsproof *p = arg;

	p->query = NULL;
	if (p->step == STEP_ALIAS) {
		if (a->name.len && a->name.len <= DNS_NAME_MAX && a->status != DNS_TEMPFAIL)
			snprintf(p->place.owner, sizeof(p->place.owner), "%.*s", SV_FMT(a->name));
		p->at = p->place.owner;
		ask(p, STEP_ZONE);
	} else if (p->step == STEP_ZONE) {
		take_zone(p, a);
	} else if (p->step == STEP_SERVERS) {
		take_servers(p, a);
	} else {
		take_addresses(p, a);
	}
}

static void ask(struct dnsproof *p, enum step step)
{
	const char *name = p->place.owner;
	enum dns_type type = DNS_TXT;

	p->step = step;
	if (step == STEP_ZONE) {
		name = p->at;
		type = DNS_SOA;
	} else if (step == STEP_SERVERS) {
		name = p->place.zone;
		type = DNS_NS;
	} else if (step == STEP_ADDRESSES) {
		name = p->hosts[p->host_at];
		type = p->asks_ipv6 ? DNS_AAAA : DNS_A;
	}
	dns_ask(p->zone->dns, sv_z(name), type, on_answer, p, &p->query);
}

/* ---- put, and seen ---- */

static void on_task(struct dnsproof *p, const struct task_job *job)
{
	struct loop *loop = p->zone->loop;

	if (!p->fn) {           /* taken away meanwhile */
		dnsproof_take_away(&p);
		return;
	}
	if (job->task == TASK_PUT) {
		if (job->fault.kind) {
			fail(p, job->fault);
			return;
		}
		log_debug(NULL, "acme.record", KV_Z("name", p->place.owner), KV_Z("zone", p->place.zone));
		p->step = STEP_LOOK;
		p->until_ms = loop_now_ms(loop) + DNSPROOF_WAIT_MS;
		begin(p, TASK_LOOK);
	} else if (!job->fault.kind) {
		tell(p);
	} else if (loop_now_ms(loop) >= p->until_ms) {
		fail(p, job->fault);
	} else {
		p->pause_ms = p->pause_ms ? p->pause_ms * 2 : LOOK_MIN_MS;
		if (p->pause_ms > LOOK_MAX_MS)
			p->pause_ms = LOOK_MAX_MS;
		timer_start_ms(&p->pause, p->pause_ms);
	}
}

static void on_pause(struct timer *t)
{
	begin(CONTAINER_OF(t, struct dnsproof, pause), TASK_LOOK);
}

struct dnsproof *dnsproof_put(const struct dnsproof_zone *zone, struct sv name, struct sv value, dnsproof_fn *fn, void *arg)
{
	struct dnsproof *p = xcalloc(1, sizeof(*p));
	int n = snprintf(p->path, sizeof(p->path), "%s/" FILE_PREFIX "%.*s", zone->folder, SV_FMT(value));

	p->zone = zone;
	p->fn = fn;
	p->arg = arg;
	timer_init(&p->pause, zone->loop, on_pause);
	deferred_init(&p->soon, zone->loop, on_soon);
	if (!jws_is_base64url(value) || value.len >= sizeof(p->place.value) || n < 0 || (size_t)n >= sizeof(p->path) ||
	    sizeof(LABEL) - 1 + name.len > DNS_NAME_MAX) {
		fail(p, fault(FAULT_LIMIT, "the name is too long for a proof by DNS"));
		return p;
	}
	snprintf(p->place.value, sizeof(p->place.value), "%.*s", SV_FMT(value));
	snprintf(p->place.owner, sizeof(p->place.owner), LABEL "%.*s", SV_FMT(name));
	ask(p, STEP_ALIAS);
	return p;
}
