#include "admin/lookup.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/crypt.h"
#include "common/dnsclient.h"
#include "common/loop.h"
#include "common/memory.h"

#include "common/banned.h"

#define OCTETS_MAX 65536

struct entry {
	struct entry *next;
	struct lookup *lookup;
	char name[DNS_NAME_MAX + 1];
	enum dns_type type;
	bool is_answered;
	struct lookup_answer answer;
	struct buf octets;              /* what its records point into */
};

struct lookup {
	struct loop *loop;
	struct dns *dns;
	struct entry *entries;
	struct netaddr servers[LOOKUP_SERVERS_MAX];
	bool is_silent[LOOKUP_SERVERS_MAX];     /* did not answer once: not waited for again */
	size_t server_count;
};

struct fault lookup_new(const struct conf_dns *conf, struct lookup **out)
{
	struct lookup *l = xcalloc(1, sizeof(*l));
	struct fault f = loop_new(&l->loop);

	if (!f.kind)
		f = dns_new_from_conf(l->loop, conf, &l->dns);
	if (f.kind)
		lookup_free(&l);
	else
		*out = l;
	return f;
}

static void forget_all(struct lookup *l)
{
	while (l->entries) {
		struct entry *e = l->entries;

		l->entries = e->next;
		buf_done(&e->octets);
		free(e);
	}
}

static bool all_answered(const struct lookup *l)
{
	for (const struct entry *e = l->entries; e; e = e->next)
		if (!e->is_answered)
			return false;
	return true;
}

void lookup_free(struct lookup **lookup)
{
	struct lookup *l = *lookup;

	if (!l)
		return;
	dns_free(&l->dns);
	forget_all(l);
	loop_free(&l->loop);
	free(l);
	*lookup = NULL;
}

void lookup_at(struct lookup *l, const struct netaddr *servers, size_t count)
{
	while (!all_answered(l))
		loop_run_once(l->loop, 1000);
	forget_all(l);
	memset(l->is_silent, 0, sizeof(l->is_silent));
	l->server_count = count < LOOKUP_SERVERS_MAX ? count : LOOKUP_SERVERS_MAX;
	if (count)
		memcpy(l->servers, servers, l->server_count * sizeof(*servers));
}

/* ---- answers ---- */

static void keep_record(struct entry *e, struct sv rdata)
{
	struct lookup_answer *a = &e->answer;

	/* The buffer has its room from the start, so what points into it stays. */
	if (a->count == LOOKUP_RECORDS_MAX || rdata.len > e->octets.cap - e->octets.len)
		return;
	a->records[a->count++] = sv_from(e->octets.p + e->octets.len, rdata.len);
	buf_append(&e->octets, rdata);
}

static void on_answer(void *arg, const struct dns_answer *answer)
{
	struct entry *e = arg;
	struct lookup_answer *a = &e->answer;

	e->is_answered = true;
	a->status = answer->status;
	a->is_secure = answer->secure;
	a->is_bogus = answer->bogus;
	snprintf(a->why, sizeof(a->why), "%s", answer->why ? answer->why : "");
	snprintf(a->name, sizeof(a->name), "%.*s", SV_FMT(answer->name));
	for (size_t i = 0; i < answer->count; i++)
		keep_record(e, answer->records[i]);
}

static enum dns_status status_of(unsigned rcode, size_t count)
{
	if (rcode == DNSMESSAGE_NXDOMAIN)
		return DNS_NXDOMAIN;
	return rcode != DNSMESSAGE_NOERROR ? DNS_TEMPFAIL : count ? DNS_DATA : DNS_NODATA;
}

/* What one server says. A CNAME that leads out of its zone is followed by nobody here: its target is what counts. */
static void ask_server(struct entry *e, const struct netaddr *server, bool *is_silent)
{
	struct lookup_answer *a = &e->answer;
	struct dnsmessage_record *record = xcalloc(1, sizeof(*record));
	struct dnsmessage_reader *r = xcalloc(1, sizeof(*r));
	char address[NETADDR_TEXT_MAX];
	struct buf message, reply;
	uint16_t id;
	struct fault f = fault(FAULT_INVALID, "this is no name");

	crypt_random(&id, sizeof(id));
	buf_init(&message, DNSMESSAGE_MAX);
	buf_init(&reply, DNSMESSAGE_MAX);
	snprintf(a->name, sizeof(a->name), "%s", e->name);
	if (dnsmessage_begin(&message, id, DNSMESSAGE_QUERY, sv_z(e->name), e->type))
		f = dnsclient_exchange(server, buf_sv(&message), &reply);
	if (!f.kind && !dnsmessage_read(r, buf_sv(&reply)))
		f = fault(FAULT_UNAVAILABLE, "the answer cannot be read");
	while (!f.kind && dnsmessage_next(r, record)) {
		struct sv rdata = record->rdata;

		if (record->section != DNSMESSAGE_ANSWER || record->class != DNSMESSAGE_IN)
			continue;
		if (record->type == e->type) {
			keep_record(e, rdata);
		} else if (record->type == DNS_CNAME) {
			char target[4 * DNS_NAME_MAX + 1];
			if (dns_name_from(&rdata, target) && strlen(target) <= DNS_NAME_MAX)
				memcpy(a->name, target, strlen(target) + 1);
		}
	}
	a->status = f.kind ? DNS_TEMPFAIL : status_of(r->rcode, a->count);
	if (f.kind)
		snprintf(a->why, sizeof(a->why), "%s", f.detail);
	else if (a->status == DNS_TEMPFAIL)
		snprintf(a->why, sizeof(a->why), "%s says %s", netaddr_text(server, address).p, dnsmessage_rcode_name(r->rcode));
	*is_silent = f.kind == FAULT_UNAVAILABLE;
	buf_done(&message);
	buf_done(&reply);
	free(record);
	free(r);
}

static bool has_record(const struct lookup_answer *a, struct sv record)
{
	for (size_t i = 0; i < a->count; i++)
		if (sv_eq(a->records[i], record))
			return true;
	return false;
}

static bool is_same(const struct lookup_answer *a, const struct lookup_answer *b)
{
	if (a->status != b->status || a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!has_record(b, a->records[i]))
			return false;
	return true;
}

static struct entry *new_entry(struct lookup *l, const char *name, enum dns_type type)
{
	struct entry *e = xcalloc(1, sizeof(*e));

	e->lookup = l;
	e->type = type;
	snprintf(e->name, sizeof(e->name), "%s", name);
	buf_init(&e->octets, OCTETS_MAX);
	buf_reserve(&e->octets, OCTETS_MAX);
	return e;
}

/* Every server that answers at all has to say the same; the first that lacks something decides. */
static void ask_servers(struct lookup *l, struct entry *e)
{
	char address[NETADDR_TEXT_MAX];
	bool has_answer = false;

	for (size_t i = 0; i < l->server_count; i++) {
		struct entry *other = new_entry(l, e->name, e->type);

		if (!l->is_silent[i]) {
			ask_server(other, &l->servers[i], &l->is_silent[i]);
		}
		if (l->is_silent[i] || (has_answer && is_same(&e->answer, &other->answer))) {
			if (!has_answer && other->answer.why[0])
				memcpy(e->answer.why, other->answer.why, sizeof(e->answer.why));
		} else if (!has_answer || other->answer.count < e->answer.count) {
			struct buf octets = e->octets;

			if (has_answer)
				snprintf(other->answer.why, sizeof(other->answer.why), "only %s says so, other servers do not",
					 netaddr_text(&l->servers[i], address).p);
			e->answer = other->answer;
			e->octets = other->octets;
			other->octets = octets;
			has_answer = true;
		}
		buf_done(&other->octets);
		free(other);
	}
	if (!has_answer && !e->answer.why[0])
		snprintf(e->answer.why, sizeof(e->answer.why), "no name server of the zone answers");
	e->is_answered = true;
}

static struct entry *find(struct lookup *l, const char *name, enum dns_type type)
{
	struct entry *e = l->entries;

	while (e && (e->type != type || strcmp(e->name, name) != 0))
		e = e->next;
	if (e)
		return e;
	e = new_entry(l, name, type);
	e->next = l->entries;
	l->entries = e;
	if (l->server_count)
		ask_servers(l, e);
	else
		dns_ask(l->dns, sv_z(e->name), type, on_answer, e, NULL);
	return e;
}

void lookup_want(struct lookup *l, const char *name, enum dns_type type)
{
	if (!l->server_count)
		find(l, name, type);
}

const struct lookup_answer *lookup_ask(struct lookup *l, const char *name, enum dns_type type)
{
	struct entry *e = find(l, name, type);

	while (!e->is_answered)         /* within the timeout of dns-timeout */
		loop_run_once(l->loop, 1000);
	return &e->answer;
}

/* ---- more than one answer ---- */

size_t lookup_addresses(struct lookup *l, const char *name, struct netaddr *out, size_t max, bool *failed)
{
	static const enum dns_type types[] = { DNS_AAAA, DNS_A };
	size_t count = 0;

	lookup_want(l, name, DNS_AAAA);
	lookup_want(l, name, DNS_A);
	if (failed)
		*failed = false;
	for (size_t k = 0; k < ARRAY_LEN(types); k++) {
		const struct lookup_answer *a = lookup_ask(l, name, types[k]);

		if (failed && a->status == DNS_TEMPFAIL)
			*failed = true;
		for (size_t i = 0; i < a->count && count < max; i++)
			if (dns_ip_from(types[k], a->records[i], out[count].ip)) {
				out[count].family = types[k] == DNS_A ? NET_IPV4 : NET_IPV6;
				out[count++].port = 0;
			}
	}
	return count;
}

size_t lookup_authorities(struct lookup *l, const char *name, struct netaddr servers[LOOKUP_SERVERS_MAX],
			  char zone[DNS_NAME_MAX + 1])
{
	size_t count = 0;

	/* The zone begins at the nearest name above that has name servers. */
	for (const char *at = name; at && *at && !count; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL) {
		const struct lookup_answer *a = lookup_ask(l, at, DNS_NS);

		snprintf(zone, DNS_NAME_MAX + 1, "%s", at);
		for (size_t i = 0; i < a->count && count < LOOKUP_SERVERS_MAX; i++) {
			struct sv rdata = a->records[i];
			char host[4 * DNS_NAME_MAX + 1];

			if (dns_name_from(&rdata, host))
				count += lookup_addresses(l, host, servers + count, LOOKUP_SERVERS_MAX - count, NULL);
		}
		if (a->count || a->status == DNS_TEMPFAIL)
			break;
	}
	for (size_t i = 0; i < count; i++)
		servers[i].port = DNSCLIENT_PORT;
	return count;
}
