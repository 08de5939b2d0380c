#include "smtpd/origin.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"

#include "common/banned.h"

#define NAMES_MAX 10

/* One look-up of a list, or of a name of the address. */
struct probe {
	struct origin *origin;
	struct dns_query *query;
	struct sv zone;
	int weight;
	char name[SPF_DOMAIN_MAX + 1];
};

struct origin {
	struct dns *dns;
	struct origin_facts facts;
	struct origin_question q;
	origin_fn *fn;
	void *arg;
	struct deferred done;
	size_t open; /* parts that have not ended */
	struct spf *spf;
	struct dns_query *ptr, *sender;
	enum dns_type sender_type; /* MX, then A, then AAAA */
	struct probe names[NAMES_MAX];
	size_t name_count, names_open;
	struct probe lists[ORIGIN_LISTS_MAX];
};

static void on_done(struct deferred *d)
{
	struct origin *o = CONTAINER_OF(d, struct origin, done);

	o->fn(o->arg, &o->facts);
}

static void end_part(struct origin *o)
{
	if (!--o->open)
		deferred_call(&o->done);
}

static void keep(char *out, size_t size, struct sv text)
{
	text = sv_sub(text, 0, size - 1);
	if (text.len)
		memcpy(out, text.p, text.len);
	out[text.len] = '\0';
}

static enum dns_type address_type(const struct origin *o)
{
	return o->q.peer.family == NET_IPV4 ? DNS_A : DNS_AAAA;
}

/* ---- SPF ---- */

static void on_spf(void *arg, const struct spf_answer *a)
{
	struct origin *o = arg;

	o->spf = NULL;
	o->facts.spf = a->result;
	o->facts.spf_why = a->why;
	keep(o->facts.spf_mechanism, sizeof(o->facts.spf_mechanism), a->mechanism);
	keep(o->facts.spf_explanation, sizeof(o->facts.spf_explanation), a->explanation);
	end_part(o);
}

static void ask_spf(struct origin *o, struct loop *loop)
{
	struct spf_question q = { .ip = o->q.peer,
				  .helo = o->q.helo,
				  .our_name = sv_z(o->q.conf->host.hostname) };

	o->facts.is_spf_of_helo = o->q.sender.is_null;
	q.domain = o->q.sender.is_null ? o->q.helo : o->q.sender.domain;
	q.local = o->q.sender.is_null ? SV_NONE : o->q.sender.local;
	keep(o->facts.spf_domain, sizeof(o->facts.spf_domain), q.domain);
	for (char *p = o->facts.spf_domain; *p; p++)
		*p = ascii_lower(*p);
	o->open++;
	spf_check(o->dns, loop, &q, on_spf, o, &o->spf);
}

/* ---- the name of the address ---- */

static bool leads_back(const struct origin *o, const struct dns_answer *a)
{
	uint8_t ip[16];

	for (size_t i = 0; i < a->count; i++)
		if (dns_ip_from(address_type(o), a->records[i], ip) &&
		    !memcmp(ip, o->q.peer.ip, 16))
			return true;
	return false;
}

static void on_name(void *arg, const struct dns_answer *a)
{
	struct probe *p = arg;
	struct origin *o = p->origin;

	if (leads_back(o, a) && o->facts.name != ORIGIN_NAME_CONFIRMED) {
		o->facts.name = ORIGIN_NAME_CONFIRMED;
		keep(o->facts.host, sizeof(o->facts.host), sv_z(p->name));
	} else if (a->status == DNS_TEMPFAIL && o->facts.name == ORIGIN_NAME_UNCONFIRMED) {
		o->facts.name = ORIGIN_NAME_UNKNOWN;
	}
	if (!--o->names_open)
		end_part(o);
}

static void on_ptr(void *arg, const struct dns_answer *a)
{
	struct origin *o = arg;
	char host[4 * DNS_NAME_MAX + 1];

	if (a->status == DNS_NODATA || a->status == DNS_NXDOMAIN)
		o->facts.name = ORIGIN_NAME_NONE;
	for (size_t i = 0; i < a->count && o->name_count < NAMES_MAX; i++) {
		struct sv rdata = a->records[i];

		if (!dns_name_from(&rdata, host) || !host[0] || strlen(host) > SPF_DOMAIN_MAX)
			continue;
		o->names[o->name_count].origin = o;
		keep(o->names[o->name_count++].name, sizeof(o->names[0].name), sv_z(host));
	}
	if (!o->name_count) {
		if (a->status == DNS_DATA)
			o->facts.name = ORIGIN_NAME_NONE;
		end_part(o);
		return;
	}
	o->facts.name = ORIGIN_NAME_UNCONFIRMED;
	keep(o->facts.host, sizeof(o->facts.host), sv_z(o->names[0].name));
	o->names_open = o->name_count;
	for (size_t i = 0; i < o->name_count; i++)
		dns_ask(o->dns, sv_z(o->names[i].name), address_type(o), on_name, &o->names[i],
			&o->names[i].query);
}

static void ask_name(struct origin *o)
{
	char name[80];

	dns_reverse_name(o->q.peer.ip, name);
	o->open++;
	dns_ask(o->dns, sv_z(name), DNS_PTR, on_ptr, o, &o->ptr);
}

/* ---- the sender's domain ---- */

static void ask_sender_for(struct origin *o, enum dns_type type);

static void on_sender(void *arg, const struct dns_answer *a)
{
	struct origin *o = arg;
	char host[4 * DNS_NAME_MAX + 1];
	uint16_t preference;

	if (a->status == DNS_DATA) {
		bool is_null = o->sender_type == DNS_MX && a->count == 1 &&
			       dns_mx_from(a->records[0], &preference, host) && !host[0];

		o->facts.sender = is_null ? ORIGIN_SENDER_NULL_MX : ORIGIN_SENDER_GOOD;
	} else if (a->status == DNS_NODATA && o->sender_type != DNS_AAAA) {
		ask_sender_for(o, o->sender_type == DNS_MX ? DNS_A : DNS_AAAA);
		return;
	} else if (a->status != DNS_TEMPFAIL) {
		o->facts.sender = ORIGIN_SENDER_ABSENT;
	}
	end_part(o);
}

static void ask_sender_for(struct origin *o, enum dns_type type)
{
	o->sender_type = type;
	dns_ask(o->dns, o->q.sender.domain, type, on_sender, o, &o->sender);
}

static void ask_sender(struct origin *o)
{
	if (o->q.sender.is_null || o->q.sender.is_literal || !o->q.sender.domain.len) {
		o->facts.sender = ORIGIN_SENDER_GOOD;
		return;
	}
	o->open++;
	ask_sender_for(o, DNS_MX);
}

/* ---- lists ---- */

bool origin_list_parse(struct sv item, struct sv *zone, int *weight)
{
	size_t equals = sv_find(item, '=');
	struct sv number = equals == SIZE_MAX ? SV("1") : sv_sub(item, equals + 1, SIZE_MAX);
	bool is_negative = number.len && number.p[0] == '-';
	uint32_t n;

	*zone = sv_sub(item, 0, equals);
	if (is_negative)
		sv_skip(&number, 1);
	if (!sv_to_u32(number, &n) || n > 100 || sv_find(*zone, '.') == SIZE_MAX)
		return false;
	*weight = is_negative ? -(int)n : (int)n;
	return true;
}

/* An answer of a list is 127.0.0.0/8; 127.255.255.0/24 says that the list does not like our
 * question (RFC 5782 §2.1). */
static bool is_listed(const struct dns_answer *a, uint8_t ip[16], bool *is_error)
{
	for (size_t i = 0; i < a->count; i++) {
		if (!dns_ip_from(DNS_A, a->records[i], ip) || ip[12] != 127)
			continue;
		if (ip[13] != 255 || ip[14] != 255)
			return true;
		*is_error = true;
	}
	return false;
}

static void on_list(void *arg, const struct dns_answer *a)
{
	struct probe *p = arg;
	struct origin_facts *f = &p->origin->facts;
	bool is_error = false;
	size_t len = strlen(f->lists);
	uint8_t ip[16];

	if (is_listed(a, ip, &is_error)) {
		f->weight += p->weight;
		snprintf(f->lists + len, sizeof(f->lists) - len, "%s%.*s=%u.%u.%u.%u",
			 len ? " " : "", SV_FMT(p->zone), ip[12], ip[13], ip[14], ip[15]);
	} else if (is_error) {
		static bool is_told; /* once: it is the administrator's to mend, and comes with
					every mail */

		if (!is_told)
			log_warn(NULL, "dns-list.refused", KV_SV("list", p->zone),
				 KV_Z("why", "the list answers 127.255.255.x: it does not serve "
					     "this resolver"));
		is_told = true;
	}
	end_part(p->origin);
}

static void ask_lists(struct origin *o)
{
	const struct conf_list *lists = &o->q.conf->policy.dns_lists;
	char reverse[80], name[DNS_NAME_MAX + 1];
	size_t count = 0;

	dns_reverse_name(o->q.peer.ip, reverse);
	*strstr(reverse, o->q.peer.family == NET_IPV4 ? ".in-addr" : ".ip6") = '\0';
	for (size_t i = 0; i < lists->count && count < ORIGIN_LISTS_MAX; i++) {
		struct probe *p = &o->lists[count];

		if (!origin_list_parse(sv_z(lists->items[i]), &p->zone, &p->weight))
			continue;
		p->origin = o;
		count++;
		o->open++;
		snprintf(name, sizeof(name), "%s.%.*s", reverse, SV_FMT(p->zone));
		dns_ask(o->dns, sv_z(name), DNS_A, on_list, p, &p->query);
	}
}

/* ---- all of it ---- */

struct origin *origin_ask(struct dns *dns, struct loop *loop, const struct origin_question *q,
			  origin_fn *fn, void *arg)
{
	struct origin *o = xcalloc(1, sizeof(*o));

	o->dns = dns;
	o->q = *q;
	o->fn = fn;
	o->arg = arg;
	o->facts.spf_why = "";
	deferred_init(&o->done, loop, on_done);
	o->open = 1;
	if (q->peer.family == NET_IPV4 || q->peer.family == NET_IPV6) {
		ask_name(o);
		ask_lists(o);
	}
	ask_spf(o, loop);
	ask_sender(o);
	end_part(o);
	return o;
}

void origin_free(struct origin **origin)
{
	struct origin *o = *origin;

	*origin = NULL;
	if (!o)
		return;
	spf_cancel(&o->spf);
	dns_forget(&o->ptr);
	dns_forget(&o->sender);
	for (size_t i = 0; i < NAMES_MAX; i++)
		dns_forget(&o->names[i].query);
	for (size_t i = 0; i < ORIGIN_LISTS_MAX; i++)
		dns_forget(&o->lists[i].query);
	deferred_cancel(&o->done);
	free(o);
}
