#include "common/dns.h"

#include <stdio.h>
#include <stdlib.h>

#include <unbound.h>
#include <uv.h>

#include "common/dnscache.h"
#include "common/log.h"
#include "common/memory.h"

#include "common/banned.h"

struct dns {
	struct loop *loop;
	struct loop_member member;
	struct ub_ctx *ctx;
	uv_poll_t *poll;                /* its memory lives until its close callback */
	struct dnscache *cache;
	bool forgets_absence;
	uint32_t timeout_ms;
	struct dns_query *queries;
	dns_script_fn *script;          /* instead of ctx */
	void *script_arg;
};

/* A query holds its resolver's place in a list. libunbound knows it by pointer until it is answered or cancelled. */
struct dns_query {
	struct dns *dns;
	struct dns_query *next, **at;
	struct dns_query **handle;      /* the caller's, set to NULL when the query ends */
	dns_fn *fn;
	void *arg;
	int id;
	bool is_asked;                  /* libunbound has it */
	bool is_known;                  /* it was in the cache when it was asked */
	struct timer timer;             /* the deadline; for what is answered here, the next turn */
	enum dns_status ready;
	enum dns_type type;
	const char *why;
	char name[DNS_NAME_MAX + 2];
};

static void free_query(struct dns_query *q)
{
	timer_stop(&q->timer);
	*q->at = q->next;
	if (q->next)
		q->next->at = q->at;
	if (q->handle)
		*q->handle = NULL;
	free(q);
}

static void answer(struct dns_query *q, const struct dns_answer *a)
{
	dns_fn *fn = q->fn;
	void *arg = q->arg;

	free_query(q);
	fn(arg, a);
}

/* libunbound says SERVFAIL with neither error nor bogus: it must not look like an empty answer. */
static enum dns_status status_of(const struct ub_result *r)
{
	if (r->bogus)
		return DNS_TEMPFAIL;
	if (r->nxdomain)
		return DNS_NXDOMAIN;
	if (r->rcode != 0)
		return DNS_TEMPFAIL;
	return r->havedata ? DNS_DATA : DNS_NODATA;
}

static const char *rcode_name(int rcode)
{
	switch (rcode) {
	case 1: return "FORMERR";
	case 2: return "SERVFAIL";
	case 4: return "NOTIMP";
	case 5: return "REFUSED";
	default: return "an error";
	}
}

static void on_answer(void *arg, int err, struct ub_result *r)
{
	struct dns_query *q = arg;
	struct dns_answer *a = xcalloc(1, sizeof(*a));
	char name[DNS_NAME_MAX + 2];

	q->is_asked = false;
	memcpy(name, q->name, sizeof(name));
	a->name = sv_z(name);
	if (err || !r) {
		a->why = err ? ub_strerror(err) : "no answer";
	} else {
		a->status = status_of(r);
		a->secure = r->secure && a->status != DNS_TEMPFAIL;
		a->bogus = r->bogus;
		a->ttl_s = r->ttl > 0 ? (uint32_t)r->ttl : 0;
		if (r->canonname && *r->canonname)
			a->name = sv_z(r->canonname);
		if (a->status == DNS_TEMPFAIL)
			a->why = r->bogus ? (r->why_bogus ? r->why_bogus : "bogus") : rcode_name(r->rcode);
		for (size_t i = 0; a->status == DNS_DATA && r->data[i] && a->count < DNS_RECORDS_MAX; i++)
			a->records[a->count++] = sv_from(r->data[i], r->len[i] > 0 ? (size_t)r->len[i] : 0);
	}
	if (a->name.len && a->name.p[a->name.len - 1] == '.')
		a->name.len--;
	if (a->status == DNS_DATA || !q->dns->forgets_absence)
		dnscache_keep(q->dns->cache, sv_z(name), q->type, a, loop_now_ms(q->dns->loop));
	answer(q, a);
	ub_resolve_free(r);
	free(a);
}

static void ask_resolver(struct dns_query *q)
{
	int rc = ub_resolve_async(q->dns->ctx, q->name, (int)q->type, 1, q, on_answer, &q->id);

	q->is_asked = rc == 0;
	q->why = rc ? ub_strerror(rc) : NULL;
	timer_start_ms(&q->timer, rc ? 0 : q->dns->timeout_ms);
}

/* Timed out, or answered without asking. */
static void on_timer(struct timer *t)
{
	struct dns_query *q = CONTAINER_OF(t, struct dns_query, timer);
	char name[DNS_NAME_MAX + 2];
	struct dns_answer *a = xcalloc(1, sizeof(*a));

	memcpy(name, q->name, sizeof(name));
	if (q->is_known) {
		q->is_known = false;
		if (dnscache_find(q->dns->cache, sv_z(name), q->type, loop_now_ms(q->dns->loop), a))
			answer(q, a);
		else
			ask_resolver(q);        /* its place was taken meanwhile */
		free(a);
		return;
	}
	a->name = sv_z(name);
	a->status = q->ready;
	a->why = q->why;
	if (q->dns->script && q->is_asked && !q->dns->script(q->dns->script_arg, a->name, q->type, a)) {
		q->is_asked = false;
		q->why = "timeout";
		timer_start_ms(&q->timer, q->dns->timeout_ms);
		free(a);
		return;
	}
	if (q->is_asked && !q->dns->script) {
		/* A dead server takes 17 s to become SERVFAIL; nobody waits so long for us. */
		ub_cancel(q->dns->ctx, q->id);
		a->status = DNS_TEMPFAIL;
		a->why = "timeout";
	}
	answer(q, a);
	free(a);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct dns *dns = poll->data;

	(void)events;
	if (status == 0)
		ub_process(dns->ctx);
}

static void free_poll(uv_handle_t *handle)
{
	free(handle);
}

static void close_dns(struct loop_member *m)
{
	struct dns *dns = CONTAINER_OF(m, struct dns, member);

	loop_leave(&dns->member);
	while (dns->queries) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see that free_query() moves dns->queries on */
		if (dns->queries->is_asked && dns->ctx)
			ub_cancel(dns->ctx, dns->queries->id);
		free_query(dns->queries);
	}
	if (dns->poll) {
		uv_poll_stop(dns->poll);
		uv_close((uv_handle_t *)dns->poll, free_poll);
		dns->poll = NULL;
	}
}

static struct fault ub_fault(const char *what, const char *which, int rc)
{
	return fault_detail(FAULT_INVALID, "dns: %s%s%s: %s", what, which ? " " : "", which ? which : "", ub_strerror(rc));
}

/* Key signing keys of the root zone: of 2017, and of 2024, which signs from October 2026 on
 * (https://data.iana.org/root-anchors/root-anchors.xml). */
static const char *const root_anchors[] = {
	". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
	". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
};

/* What comes from where, in the order that libunbound wants. */
static struct fault configure(struct dns *dns, const struct dns_settings *s)
{
	static const struct { const char *option, *value; } options[] = {
		{ "module-config:", "validator iterator" },
		/* A forwarder or a test's server on this host is meant. */
		{ "do-not-query-localhost:", "no" },
		{ "msg-cache-size:", "1m" },
		{ "rrset-cache-size:", "2m" },
		{ "qname-minimisation:", "yes" },
		{ "harden-dnssec-stripped:", "yes" },
	};
	int rc = ub_ctx_async(dns->ctx, 1);

	if (rc)
		return ub_fault("threads", NULL, rc);
	ub_ctx_debugout(dns->ctx, NULL);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		rc = ub_ctx_set_option(dns->ctx, options[i].option, options[i].value);
		if (rc)
			return ub_fault("option", options[i].option, rc);
	}
	if (s->forgets_absence) {
		rc = ub_ctx_set_option(dns->ctx, "cache-max-negative-ttl:", "0");
		rc = rc ? rc : ub_ctx_set_option(dns->ctx, "aggressive-nsec:", "no");   /* proofs of absence live on by themselves */
		if (rc)
			return ub_fault("option", "cache-max-negative-ttl", rc);
	}
	if (s->forwarder_count || s->use_system) {
		/* Whoever names a server means the names that only it knows, private reverse zones and networks for tests included. */
		rc = ub_ctx_set_option(dns->ctx, "unblock-lan-zones:", "yes");
		rc = rc ? rc : ub_ctx_set_option(dns->ctx, "insecure-lan-zones:", "yes");
		rc = rc ? rc : ub_ctx_set_option(dns->ctx, "local-zone:", "127.in-addr.arpa. transparent");
		rc = rc ? rc : ub_ctx_set_option(dns->ctx, "local-zone:", "test. transparent");         /* RFC 6761 §6.2 */
		if (rc)
			return ub_fault("option", "lan-zones", rc);
	}
	for (size_t i = 0; s->has_root_anchors && i < ARRAY_LEN(root_anchors); i++) {
		rc = ub_ctx_add_ta(dns->ctx, root_anchors[i]);
		if (rc)
			return ub_fault("trust anchor", "root", rc);
	}
	if (s->use_system) {
		rc = ub_ctx_resolvconf(dns->ctx, NULL);
		if (rc)
			return ub_fault("configuration", "/etc/resolv.conf", rc);
	}
	for (size_t i = 0; i < s->anchor_count; i++) {
		rc = ub_ctx_add_ta_file(dns->ctx, s->anchor_files[i]);
		if (rc)
			return ub_fault("trust anchor", s->anchor_files[i], rc);
	}
	for (size_t i = 0; i < s->forwarder_count; i++) {
		char *address = sv_copy_z(s->forwarders[i]);
		rc = ub_ctx_set_fwd(dns->ctx, address);
		struct fault f = rc ? ub_fault("forwarder", address, rc) : FAULT_OK;
		free(address);
		if (f.kind)
			return f;
	}
	if (s->config_file) {
		rc = ub_ctx_config(dns->ctx, s->config_file);
		if (rc)
			return ub_fault("configuration", s->config_file, rc);
	}
	return FAULT_OK;
}

struct fault dns_new(struct loop *loop, const struct dns_settings *settings, struct dns **out)
{
	struct dns *dns = xcalloc(1, sizeof(*dns));

	dns->loop = loop;
	dns->timeout_ms = settings->timeout_ms ? settings->timeout_ms : DNS_TIMEOUT_MS;
	dns->forgets_absence = settings->forgets_absence;
	dns->ctx = ub_ctx_create();
	if (!dns->ctx) {
		free(dns);
		return fault(FAULT_INTERNAL, "dns: no resolver could be made");
	}
	struct fault f = configure(dns, settings);
	int fd = f.kind ? -1 : ub_fd(dns->ctx);

	if (!f.kind && fd < 0)
		f = fault(FAULT_INTERNAL, "dns: no descriptor");
	if (!f.kind) {
		dns->poll = xcalloc(1, sizeof(*dns->poll));
		dns->poll->data = dns;
		if (uv_poll_init(loop_uv(loop), dns->poll, fd) != 0 ||
		    uv_poll_start(dns->poll, UV_READABLE, on_readable) != 0) {
			free(dns->poll);
			f = fault(FAULT_INTERNAL, "dns: cannot watch the resolver");
		}
	}
	if (f.kind) {
		ub_ctx_delete(dns->ctx);
		free(dns);
		return f;
	}
	dns->cache = dnscache_new();
	dns->member.close = close_dns;
	loop_join(loop, &dns->member);
	*out = dns;
	return FAULT_OK;
}

struct dns *dns_new_scripted(struct loop *loop, dns_script_fn *script, void *arg)
{
	struct dns *dns = xcalloc(1, sizeof(*dns));

	dns->loop = loop;
	dns->timeout_ms = DNS_TIMEOUT_MS;
	dns->script = script;
	dns->script_arg = arg;
	dns->member.close = close_dns;
	loop_join(loop, &dns->member);
	return dns;
}

void dns_free(struct dns **dns)
{
	if (!*dns)
		return;
	if ((*dns)->poll || (*dns)->script)
		close_dns(&(*dns)->member);
	if ((*dns)->ctx)
		ub_ctx_delete((*dns)->ctx);
	dnscache_free((*dns)->cache);
	free(*dns);
	*dns = NULL;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

/* Labels of 1 to 63 octets, 255 in all, printable ASCII: the rest is no name that mail could go to. */
static bool is_name(struct sv name)
{
	struct sv label;

	if (!name.len || name.len > DNS_NAME_MAX - 2)
		return false;
	while (name.len) {
		if (!sv_split(&name, '.', &label) || !label.len || label.len > 63)
			return false;
		for (size_t i = 0; i < label.len; i++)
			if (label.p[i] <= ' ' || (unsigned char)label.p[i] >= 0x7f || label.p[i] == '\\')
				return false;
		if (name.p && !name.len)
			return false;   /* it ended in two dots */
	}
	return true;
}

void dns_ask(struct dns *dns, struct sv name, enum dns_type type, dns_fn *fn, void *arg, struct dns_query **out)
{
	struct dns_query *q = xcalloc(1, sizeof(*q));

	q->dns = dns;
	q->fn = fn;
	q->arg = arg;
	q->handle = out;
	q->next = dns->queries;
	q->at = &dns->queries;
	if (q->next)
		q->next->at = &q->next;
	dns->queries = q;
	if (out)
		*out = q;
	timer_init(&q->timer, dns->loop, on_timer);
	if (name.len && name.p[name.len - 1] == '.')
		name.len--;
	if (!is_name(name)) {
		q->ready = DNS_NXDOMAIN;
		timer_start_ms(&q->timer, 0);
		return;
	}
	memcpy(q->name, name.p, name.len);
	q->type = type;
	if (dns->script) {
		q->is_asked = true;
		timer_start_ms(&q->timer, 0);
		return;
	}
	q->is_known = dnscache_has(dns->cache, sv_z(q->name), type, loop_now_ms(dns->loop));
	if (q->is_known)
		timer_start_ms(&q->timer, 0);
	else
		ask_resolver(q);
}

void dns_forget(struct dns_query **query)
{
	struct dns_query *q = *query;

	if (!q)
		return;
	if (q->is_asked && q->dns->ctx)
		ub_cancel(q->dns->ctx, q->id);
	if (q->handle != query)
		*query = NULL;
	free_query(q);
}

void dns_reverse_name(const uint8_t ip[16], char out[80])
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	char *p = out;

	if (memcmp(ip, mapped, sizeof(mapped)) == 0) {
		snprintf(out, 80, "%u.%u.%u.%u.in-addr.arpa", ip[15], ip[14], ip[13], ip[12]);
		return;
	}
	for (size_t i = 16; i-- > 0;) {
		*p++ = "0123456789abcdef"[ip[i] & 15];
		*p++ = '.';
		*p++ = "0123456789abcdef"[ip[i] >> 4];
		*p++ = '.';
	}
	memcpy(p, "ip6.arpa", sizeof("ip6.arpa"));
}

/* --- RDATA -------------------------------------------------------------------------------------------------------- */

bool dns_name_from(struct sv *rdata, char out[4 * DNS_NAME_MAX + 1])
{
	struct sv s = *rdata;
	size_t len = 0, wire = 0;

	for (;;) {
		if (!s.len)
			return false;
		size_t n = (unsigned char)s.p[0];
		sv_skip(&s, 1);
		wire += n + 1;
		if (n > 63 || n > s.len || wire > DNS_NAME_MAX)
			return false;           /* compressed, cut, too long */
		if (!n)
			break;
		if (len)
			out[len++] = '.';
		for (size_t i = 0; i < n; i++) {
			unsigned char c = (unsigned char)ascii_lower(s.p[i]);
			if (c == '.' || c == '\\' || c <= ' ' || c >= 0x7f) {
				snprintf(out + len, 5, "\\%03u", c);
				len += 4;
			} else {
				out[len++] = (char)c;
			}
		}
		sv_skip(&s, n);
	}
	out[len] = '\0';
	*rdata = s;
	return true;
}

static uint16_t u16_at(struct sv s)
{
	return (uint16_t)((unsigned char)s.p[0] << 8 | (unsigned char)s.p[1]);
}

bool dns_mx_from(struct sv rdata, uint16_t *preference, char host[4 * DNS_NAME_MAX + 1])
{
	if (rdata.len < 3)
		return false;
	*preference = u16_at(rdata);
	sv_skip(&rdata, 2);
	return dns_name_from(&rdata, host) && rdata.len == 0;
}

bool dns_txt_from(struct sv rdata, struct buf *out)
{
	size_t before = out->len;

	while (rdata.len) {
		size_t n = (unsigned char)rdata.p[0];
		sv_skip(&rdata, 1);
		if (n > rdata.len || !buf_append(out, sv_sub(rdata, 0, n))) {
			out->len = before;
			return false;
		}
		sv_skip(&rdata, n);
	}
	return true;
}

bool dns_ip_from(enum dns_type type, struct sv rdata, uint8_t out[16])
{
	if (type == DNS_A && rdata.len == 4) {
		memset(out, 0, 10);
		out[10] = out[11] = 0xff;
		memcpy(out + 12, rdata.p, 4);
		return true;
	}
	if (type == DNS_AAAA && rdata.len == 16) {
		memcpy(out, rdata.p, 16);
		return true;
	}
	return false;
}

bool dns_tlsa_from(struct sv rdata, struct dns_tlsa *out)
{
	if (rdata.len < 4)
		return false;
	out->usage = (uint8_t)rdata.p[0];
	out->selector = (uint8_t)rdata.p[1];
	out->matching = (uint8_t)rdata.p[2];
	out->data = sv_sub(rdata, 3, SIZE_MAX);
	return true;
}
