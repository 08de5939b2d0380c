#include "admin/dnsrecords.h"

#include <stdio.h>

#include "common/discovery.h"
#include "common/dkimkey.h"
#include "common/instance.h"

#include "common/banned.h"

#define RDATA_MAX 4096
#define TEXT_MAX 16384
#define ARENA_MAX ((size_t)1 << 20)
#define MX_PREFERENCE 10

enum kind {
	KIND_ADDRESS, KIND_MX, KIND_SPF, KIND_DKIM, KIND_DMARC, KIND_TLSRPT, KIND_TLSA, KIND_SRV, KIND_SRV_NONE, KIND_CAA, KIND_WEB,
	KIND_STS, KIND_STS_HOST,
};

static const struct dnsrecord_kind kinds[] = {
	[KIND_ADDRESS] = { "address", DNSRECORD_MUST, "where this server is",
			   "other servers and mail programs do not find this server", NULL },
	[KIND_MX] = { "mx", DNSRECORD_MUST, "other servers bring mail for the domain to this host",
		      "mail from elsewhere does not arrive here", dnsrecord_compare_mx },
	[KIND_SPF] = { "spf", DNSRECORD_MUST, "which hosts may send for the domain: those that its MX names",
		       "large providers put mail from the domain into Junk or refuse it", dnsrecord_compare_spf },
	[KIND_DKIM] = { "dkim", DNSRECORD_MUST, "the key with which others check our signature",
			"our signatures cannot be checked, so mail counts as unsigned", dnsrecord_compare_dkim },
	[KIND_DMARC] = { "dmarc", DNSRECORD_MUST, "what others do with mail that only claims to be from the domain",
			 "anybody can write in the domain's name, and large providers refuse bulk mail from it",
			 dnsrecord_compare_tagged },
	[KIND_TLSRPT] = { "tlsrpt", DNSRECORD_SHOULD, "where others report when TLS to us fails (RFC 8460)",
			  "nobody tells us when other servers cannot send to us securely", dnsrecord_compare_tagged },
	[KIND_TLSA] = { "tlsa", DNSRECORD_MAY, "servers that check DANE accept no other key of ours (RFC 7672); needs a zone "
					       "signed by DNSSEC",
			"servers that check DANE cannot be sure that it is us", dnsrecord_compare_tlsa },
	[KIND_SRV] = { "srv", DNSRECORD_SHOULD, "mail programs find the service (RFC 6186, RFC 8314)",
		       "some mail programs do not find their settings by themselves", dnsrecord_compare_srv },
	[KIND_SRV_NONE] = { "srv-none", DNSRECORD_MAY, "mail programs take the service with TLS from the first octet, not this one",
			    "some mail programs may choose the port that begins without TLS", dnsrecord_compare_srv },
	[KIND_WEB] = { "discovery", DNSRECORD_SHOULD, "mail programs ask there for their settings (Thunderbird, Outlook)",
		       "people have to type server names and ports", dnsrecord_compare_host },
	[KIND_STS] = { "mta-sts", DNSRECORD_SHOULD, "other servers ask for our policy and send by TLS only (RFC 8461)",
		       "an attacker between can make other servers send to us without TLS", dnsrecord_compare_sts },
	[KIND_STS_HOST] = { "mta-sts-host", DNSRECORD_SHOULD, "where that policy is", "other servers cannot read our policy",
			    dnsrecord_compare_host },
	[KIND_CAA] = { "caa", DNSRECORD_MAY, "no other authority issues certificates for the domain (RFC 8659)",
		       "any authority may issue a certificate for the domain", dnsrecord_compare_caa },
};

const char *dnsrecord_level_name(enum dnsrecord_level level)
{
	static const char *const names[] = { [DNSRECORD_MUST] = "must", [DNSRECORD_SHOULD] = "should", [DNSRECORD_MAY] = "may" };

	return names[level];
}

/* ---- making them ---- */

/* What records are made of: rdata is written by one of the functions of dnsrdata.h, then added. */
struct making {
	struct dnsrecords *out;
	const struct facts *facts;
	const char *domain, *host;
	struct buf rdata, text;
	bool is_full;                   /* something did not fit: cannot be for names that are names */
};

static void add(struct making *m, enum kind kind, const char *name, enum dns_type type, bool is_written)
{
	struct dnsrecords *out = m->out;

	buf_clear(&m->text);
	if (is_written && out->count < DNSRECORDS_MAX && dnsrdata_print(type, buf_sv(&m->rdata), &m->text)) {
		struct dnsrecord *r = &out->items[out->count];

		*r = (struct dnsrecord){ &kinds[kind], arena_copy(&out->arena, sv_z(name)).p, type,
					 arena_copy(&out->arena, buf_sv(&m->rdata)), arena_copy(&out->arena, buf_sv(&m->text)).p };
		out->count++;
	} else {
		m->is_full = true;
	}
	buf_clear(&m->rdata);
}

static void add_txt(struct making *m, enum kind kind, const char *name, const char *text)
{
	add(m, kind, name, DNS_TXT, dnsrdata_txt(&m->rdata, sv_z(text)));
}

static void add_addresses(struct making *m)
{
	const struct facts *facts = m->facts;

	for (size_t i = 0; i < facts->address_count; i++) {
		const struct netaddr *a = &facts->addresses[i];

		if (facts->is_local ? a->family == NET_IPV4 && netaddr_is_loopback(a) : !address_is_private(a))
			add(m, KIND_ADDRESS, m->host, a->family == NET_IPV4 ? DNS_A : DNS_AAAA, dnsrdata_ip(&m->rdata, a->ip));
	}
}

/* name_below - "_imaps._tcp" and the domain. */
static const char *name_below(struct making *m, const char *label, const char *domain)
{
	char name[2 * DNS_NAME_MAX];

	snprintf(name, sizeof(name), "%s.%s", label, domain);
	return arena_copy(&m->out->arena, sv_z(name)).p;
}

static void add_srv(struct making *m, const char *label, unsigned priority, enum conf_listener_kind kind)
{
	for (size_t i = 0; i < m->facts->conf->listener_count; i++) {
		const struct conf_listener *l = &m->facts->conf->listeners[i];

		if (l->kind != kind || l->path)
			continue;
		add(m, KIND_SRV, name_below(m, label, m->domain), DNS_SRV,
		    dnsrdata_srv(&m->rdata, (uint16_t)priority, 1, (uint16_t)l->port, sv_z(m->host)));
		return;
	}
	add(m, KIND_SRV_NONE, name_below(m, label, m->domain), DNS_SRV, dnsrdata_srv(&m->rdata, 0, 0, 0, SV("")));
}

static void add_services(struct making *m)
{
	static const char *const plain[] = { "_imap._tcp", "_pop3._tcp", "_submission._tcp" };

	add_srv(m, "_imaps._tcp", 0, LISTENER_IMAPS);
	add_srv(m, "_submissions._tcp", 0, LISTENER_SUBMISSIONS);
	add_srv(m, "_pop3s._tcp", 10, LISTENER_POP3S);
	add_srv(m, "_sieve._tcp", 0, LISTENER_MANAGESIEVE);
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		add(m, KIND_SRV_NONE, name_below(m, plain[i], m->domain), DNS_SRV, dnsrdata_srv(&m->rdata, 0, 0, 0, SV("")));
}

static bool add_key(void *arg, const struct dkimkey *key)
{
	struct making *m = arg;
	char label[DKIMKEY_SELECTOR_MAX + 16];

	if (key->state == DKIMKEY_RETIRED || !key->record[0])
		return true;
	snprintf(label, sizeof(label), "%s._domainkey", key->selector);
	add_txt(m, KIND_DKIM, name_below(m, label, key->domain), key->record);
	return true;
}

/* A smarthost sends for us from addresses that only it knows. */
static void add_spf(struct making *m)
{
	const struct conf_list *hosts = &m->facts->conf->relay.smarthosts;
	bool has_smarthost = hosts->count && !conf_list_is_none(hosts);

	add_txt(m, KIND_SPF, m->domain, has_smarthost ? "v=spf1 mx ~all" : "v=spf1 mx -all");
}

static void add_reporting(struct making *m)
{
	char text[2 * DNS_NAME_MAX];

	snprintf(text, sizeof(text), "v=DMARC1; p=quarantine; rua=mailto:postmaster@%s", m->domain);
	add_txt(m, KIND_DMARC, name_below(m, "_dmarc", m->domain), text);
	snprintf(text, sizeof(text), "v=TLSRPTv1; rua=mailto:postmaster@%s", m->domain);
	add_txt(m, KIND_TLSRPT, name_below(m, "_smtp._tls", m->domain), text);
}

static void add_cname(struct making *m, enum kind kind, const char *label)
{
	add(m, kind, name_below(m, label, m->domain), DNS_CNAME, dnsrdata_name(&m->rdata, sv_z(m->host)));
}

/* What the web front answers, where there is one. */
static void add_web(struct making *m)
{
	const struct conf *conf = m->facts->conf;
	char text[64], id[DISCOVERY_STS_ID_LEN + 1];
	const struct conf_listener *https = NULL;

	for (size_t i = 0; i < conf->listener_count && !https; i++)
		if (conf->listeners[i].kind == LISTENER_HTTPS)
			https = &conf->listeners[i];
	if (!https)
		return;
	if (conf->web.sts_policy != CONF_STS_NONE) {
		discovery_sts_id(conf, id);
		snprintf(text, sizeof(text), "v=STSv1; id=%s", id);
		add_txt(m, KIND_STS, name_below(m, "_mta-sts", m->domain), text);
		add_cname(m, KIND_STS_HOST, "mta-sts");
	}
	add_cname(m, KIND_WEB, "autoconfig");
	add_cname(m, KIND_WEB, "autodiscover");
	add(m, KIND_SRV, name_below(m, "_autodiscover._tcp", m->domain), DNS_SRV,
	    dnsrdata_srv(&m->rdata, 0, 0, (uint16_t)https->port, sv_z(m->host)));
}

struct fault dnsrecords_make(const struct facts *facts, const char *domain, struct dnsrecords *out)
{
	struct making m = { .out = out, .facts = facts, .domain = domain, .host = facts->conf->host.hostname };
	struct fault f;

	*out = (struct dnsrecords){ .count = 0 };
	arena_init(&out->arena, ARENA_MAX);
	buf_init(&m.rdata, RDATA_MAX);
	buf_init(&m.text, TEXT_MAX);
	add_addresses(&m);
	add(&m, KIND_MX, domain, DNS_MX, dnsrdata_mx(&m.rdata, MX_PREFERENCE, sv_z(m.host)));
	add_spf(&m);
	f = dkimkey_list(instance_path(facts->cli->instance, INSTANCE_KEYS), sv_z(domain), add_key, &m);
	add_reporting(&m);
	add_web(&m);
	add_services(&m);
	/* A certificate of an authority changes its key when it is renewed, unless ours keeps it. */
	if (facts->has_cert)
		add(&m, KIND_TLSA, name_below(&m, "_25._tcp", m.host), DNS_TLSA,
		    dnsrdata_tlsa(&m.rdata, 3, 1, 1, sv_z(facts->cert.key_digest)));
	/* Only where we know who issues: a wrong one would keep the administrator's own authority from renewing. */
	if (sv_search(sv_z(facts->conf->acme.directory), SV("letsencrypt.org")) != SIZE_MAX)
		add(&m, KIND_CAA, domain, DNS_CAA, dnsrdata_caa(&m.rdata, 0, SV("issue"), SV("letsencrypt.org")));
	buf_done(&m.rdata);
	buf_done(&m.text);
	if (!f.kind && m.is_full)
		f = fault(FAULT_LIMIT, "the names or keys of this domain are too long for its records");
	return f;
}

void dnsrecords_done(struct dnsrecords *records)
{
	arena_done(&records->arena);
}

/* ---- comparing ---- */

void dnsrecords_compare(const struct facts *facts, const struct dnsrecords *records, struct findings *fs)
{
	for (size_t i = 0; i < records->count; i++)
		lookup_want(facts->lookup, records->items[i].name, records->items[i].type);
	for (size_t i = 0; i < records->count; i++) {
		const struct dnsrecord *r = &records->items[i];

		/* The addresses of the host are one matter, which has a check of its own: host.address. */
		if (r->kind->compare && facts_can_ask(facts, r->name))
			r->kind->compare(facts, r, lookup_ask(facts->lookup, r->name, r->type), fs);
	}
}
