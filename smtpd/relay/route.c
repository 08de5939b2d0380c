#include "smtpd/relay/route.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/crypt.h"
#include "common/memory.h"
#include "smtpd/relay/smarthost.h"
#include "smtpd/relay/source.h"

#include "common/banned.h"

#define NAME_SIZE (4 * DNS_NAME_MAX + 1)

/* One host that mail may go to: its two address questions. */
struct host {
	struct route_query *query;
	uint16_t preference;
	uint32_t order;                 /* random, among equals */
	char name[256];
	struct dns_query *asked[2];     /* AAAA, A */
	uint8_t ips[2][ROUTE_HOPS_MAX][16];
	size_t counts[2];
	bool secure[2], is_unknown;     /* one of them: nobody answered */
};

struct route_query {
	struct loop *loop;
	struct dns *dns;
	const struct conf *conf;        /* a reference */
	route_fn *fn;
	void *arg;
	struct route_query **handle;
	struct deferred soon;
	struct dns_query *mx;
	struct dns_query *name;         /* of our own IPv6 address */
	bool is_mx_secure;
	struct host *hosts;
	size_t host_count, waiting;
	uint16_t port;
	struct route route;
	char domain[256];
};

static void query_free(struct route_query *q)
{
	if (q->handle)
		*q->handle = NULL;
	deferred_cancel(&q->soon);
	dns_forget(&q->mx);
	dns_forget(&q->name);
	for (size_t i = 0; i < q->host_count; i++) {
		dns_forget(&q->hosts[i].asked[0]);
		dns_forget(&q->hosts[i].asked[1]);
	}
	free(q->hosts);
	conf_unref((struct conf **)&q->conf);
	free(q);
}

static void answer_soon(struct deferred *d)
{
	struct route_query *q = CONTAINER_OF(d, struct route_query, soon);
	struct route route = q->route;
	route_fn *fn = q->fn;
	void *arg = q->arg;

	query_free(q);
	fn(arg, &route);
}

static void conclude(struct route_query *q, enum route_kind kind, const char *status,
		     const char *format, ...) PRINTF_LIKE(4, 5);
static void conclude(struct route_query *q, enum route_kind kind, const char *status,
		     const char *format, ...)
{
	struct buf text;
	va_list ap;

	q->route.kind = kind;
	q->route.status = status;
	buf_init(&text, sizeof(q->route.text) - 1);
	va_start(ap, format);
	(void)buf_vappendf(&text, format, ap);
	va_end(ap);
	snprintf(q->route.text, sizeof(q->route.text), "%.*s", SV_FMT(buf_sv(&text)));
	buf_done(&text);
	deferred_call(&q->soon);
}

static void add_hop(struct route_query *q, const char *host, const uint8_t ip[16], bool is_v4,
		    bool is_secure)
{
	struct route_hop *hop = &q->route.hops[q->route.count];

	if (q->route.count == ROUTE_HOPS_MAX)
		return;
	*hop = (struct route_hop){ .at = { .family = is_v4 ? NET_IPV4 : NET_IPV6, .port = q->port },
				   .is_secure = is_secure };
	memcpy(hop->at.ip, ip, 16);
	snprintf(hop->host, sizeof(hop->host), "%s", host);
	q->route.count++;
}

/* ---- addresses of hosts ---- */

/* ---- IPv6, for which we need a name ---- */

static void keep_family(struct route_query *q, enum net_family family)
{
	struct route *r = &q->route;
	size_t kept = 0;

	for (size_t i = 0; i < r->count; i++)
		if (r->hops[i].at.family == family)
			r->hops[kept++] = r->hops[i];
	r->count = kept;
}

static const struct route_hop *first_of(const struct route_query *q, enum net_family family)
{
	for (size_t i = 0; i < q->route.count; i++)
		if (q->route.hops[i].at.family == family)
			return &q->route.hops[i];
	return NULL;
}

static void on_own_name(void *arg, const struct dns_answer *a)
{
	struct route_query *q = arg;

	if (a->status != DNS_DATA)
		keep_family(q, NET_IPV4);
	conclude(q, ROUTE_HOPS, "", "ok");
}

/* choose_family - large providers refuse what comes from an IPv6 address without a reverse name. Where IPv4 leads there too, it does; and IPv6 that
 * leads nowhere from here is not tried. */
static void choose_family(struct route_query *q)
{
	const struct route_hop *v6 = first_of(q, NET_IPV6), *v4 = first_of(q, NET_IPV4);
	struct netaddr own;
	char name[80];

	if (v6 && v4 && !source_of(&v6->at, &own)) {
		keep_family(q, NET_IPV4);
	} else if (v6 && v4 && source_needs_name(&own)) {
		dns_reverse_name(own.ip, name);
		dns_ask(q->dns, sv_z(name), DNS_PTR, on_own_name, q, &q->name);
		return;
	}
	conclude(q, ROUTE_HOPS, "", "ok");
}

/* All questions are answered: the hosts are in order, so their addresses are. */
static void gather(struct route_query *q)
{
	bool is_unknown = false;

	for (size_t i = 0; i < q->host_count; i++) {
		const struct host *h = &q->hosts[i];
		bool both = h->secure[0] && h->secure[1] && q->is_mx_secure;

		is_unknown |= h->is_unknown;
		for (size_t n = 0; n < ROUTE_HOPS_MAX; n++)
			for (size_t k = 0; k < 2; k++)
				if (n < h->counts[k])
					add_hop(q, h->name, h->ips[k][n], k == 1, both);
	}
	if (q->route.count)
		choose_family(q);
	else if (is_unknown)
		conclude(q, ROUTE_DEFER, "4.4.3",
			 "the DNS does not answer for the addresses of %s's mail servers", q->domain);
	else
		conclude(q, ROUTE_FAIL, "5.4.4", "the mail servers of %s have no address",
			 q->domain);
}

static void on_addresses(struct host *h, size_t k, enum dns_type type, const struct dns_answer *a)
{
	h->secure[k] = a->secure;
	h->is_unknown |= a->status == DNS_TEMPFAIL;
	for (size_t i = 0; i < a->count && h->counts[k] < ROUTE_HOPS_MAX; i++)
		if (dns_ip_from(type, a->records[i], h->ips[k][h->counts[k]]))
			h->counts[k]++;
	if (!--h->query->waiting)
		gather(h->query);
}

static void on_v6(void *arg, const struct dns_answer *a)
{
	on_addresses(arg, 0, DNS_AAAA, a);
}

static void on_v4(void *arg, const struct dns_answer *a)
{
	on_addresses(arg, 1, DNS_A, a);
}

static void ask_addresses(struct route_query *q)
{
	q->waiting = q->host_count * (q->conf->relay.ipv6 ? 2 : 1);
	for (size_t i = 0; i < q->host_count; i++) {
		struct host *h = &q->hosts[i];

		h->query = q;
		h->secure[0] = true;
		if (q->conf->relay.ipv6)
			dns_ask(q->dns, sv_z(h->name), DNS_AAAA, on_v6, h, &h->asked[0]);
		dns_ask(q->dns, sv_z(h->name), DNS_A, on_v4, h, &h->asked[1]);
	}
}

/* ---- MX ---- */

static int by_preference(const void *a, const void *b)
{
	const struct host *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void implicit_mx(struct route_query *q)
{
	q->hosts = xcalloc(1, sizeof(*q->hosts));
	q->host_count = 1;
	snprintf(q->hosts[0].name, sizeof(q->hosts[0].name), "%s", q->domain);
	ask_addresses(q);
}

/* Hosts not nearer than we are ourselves would send it back (RFC 5321 §5.1). */
static void drop_ourselves(struct route_query *q)
{
	for (size_t i = 0; i < q->host_count; i++)
		if (sv_eq_nocase(sv_z(q->hosts[i].name), sv_z(q->conf->host.hostname))) {
			uint16_t ours = q->hosts[i].preference;

			while (i && q->hosts[i - 1].preference == ours)
				i--;
			q->host_count = i;
			return;
		}
}

static void take_mx(struct route_query *q, const struct dns_answer *a)
{
	char name[NAME_SIZE];
	uint16_t preference;
	bool has_null = false;

	q->hosts = xcalloc(a->count, sizeof(*q->hosts));
	for (size_t i = 0; i < a->count; i++) {
		struct host *h = &q->hosts[q->host_count];

		if (!dns_mx_from(a->records[i], &preference, name) ||
		    strlen(name) >= sizeof(h->name))
			continue;
		has_null |= !name[0];
		if (!name[0])
			continue;
		h->preference = preference;
		crypt_random(&h->order, sizeof(h->order));
		memcpy(h->name, name, strlen(name) + 1);
		q->host_count++;
	}
	if (!q->host_count && has_null) {
		conclude(q, ROUTE_FAIL, "5.1.10", "%s takes no mail (null MX, RFC 7505)",
			 q->domain);
		return;
	}
	if (!q->host_count) {
		conclude(q, ROUTE_DEFER, "4.4.4", "the MX records of %s cannot be read", q->domain);
		return;
	}
	qsort(q->hosts, q->host_count, sizeof(*q->hosts), by_preference);
	drop_ourselves(q);
	if (!q->host_count) {
		conclude(q, ROUTE_FAIL, "5.4.6",
			 "the MX records of %s lead to this server, which does not have that domain",
			 q->domain);
		return;
	}
	if (q->host_count > ROUTE_MX_MAX)
		q->host_count = ROUTE_MX_MAX;
	ask_addresses(q);
}

static void on_mx(void *arg, const struct dns_answer *a)
{
	struct route_query *q = arg;

	q->is_mx_secure = a->secure;
	switch (a->status) {
	case DNS_TEMPFAIL:
		conclude(q, ROUTE_DEFER, "4.4.3", "the DNS does not answer for %s: %s", q->domain,
			 a->why ? a->why : "");
		return;
	case DNS_NXDOMAIN:
		conclude(q, ROUTE_FAIL, "5.1.2", "there is no domain %s", q->domain);
		return;
	case DNS_NODATA:
		implicit_mx(q);
		return;
	case DNS_DATA:
		take_mx(q, a);
		return;
	}
}

/* ---- the outside ---- */

/* literal - "[192.0.2.1]", "[IPv6:2001:db8::1]". */
static void literal(struct route_query *q)
{
	struct sv text = sv_z(q->domain);
	struct netaddr at;

	sv_skip(&text, 1);
	text.len -= text.len && text.p[text.len - 1] == ']';
	if (sv_starts_nocase(text, SV("IPv6:")))
		sv_skip(&text, 5);
	if (!netaddr_parse(text, &at)) {
		conclude(q, ROUTE_FAIL, "5.1.3", "%s is no address", q->domain);
		return;
	}
	add_hop(q, "", at.ip, at.family == NET_IPV4, false);
	conclude(q, ROUTE_HOPS, "", "ok");
}

/* smarthost - ">host:port", ">lmtp:host:port": addresses of the host itself, no MX. */
static void smarthost(struct route_query *q)
{
	bool is_lmtp;
	struct sv address = smarthost_address(sv_z(q->domain), &is_lmtp);
	size_t colon = sv_rfind(address, ':');
	uint32_t port;

	if (colon == SIZE_MAX || !sv_to_u32(sv_sub(address, colon + 1, SIZE_MAX), &port) || port > UINT16_MAX)
		BUG("a smarthost without port");
	q->port = (uint16_t)port;
	memmove(q->domain, address.p, colon);
	q->domain[colon] = '\0';
	if (q->domain[0] == '[')
		literal(q);
	else
		implicit_mx(q);
}

void route_find(struct loop *loop, struct dns *dns, const struct conf *conf, struct sv destination,
		route_fn *fn, void *arg, struct route_query **out)
{
	struct route_query *q = xcalloc(1, sizeof(*q));

	q->loop = loop;
	q->dns = dns;
	q->conf = conf_ref((struct conf *)(uintptr_t)conf);
	q->fn = fn;
	q->arg = arg;
	q->handle = out;
	q->port = (uint16_t)conf->relay.port;
	if (out)
		*out = q;
	deferred_init(&q->soon, loop, answer_soon);
	if (destination.len >= sizeof(q->domain)) {
		conclude(q, ROUTE_FAIL, "5.1.2", "the domain's name is too long");
		return;
	}
	memcpy(q->domain, destination.p, destination.len);
	if (q->domain[0] == '[')
		literal(q);
	else if (q->domain[0] == '>')
		smarthost(q);
	else
		dns_ask(q->dns, destination, DNS_MX, on_mx, q, &q->mx);
}

void route_forget(struct route_query **query)
{
	struct route_query *q = *query;

	*query = NULL;
	if (!q)
		return;
	q->handle = NULL;
	query_free(q);
}

bool route_is_ourselves(const struct conf *conf, const struct netaddr *at)
{
	if (!netaddr_is_loopback(at))
		return false;
	for (size_t i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i].kind == LISTENER_MX && !conf->listeners[i].path &&
		    conf->listeners[i].port == at->port)
			return true;
	return false;
}
