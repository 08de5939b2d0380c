/* Checks of the web front as mail programs and other servers see it. */
#include "admin/checks.h"
#include "admin/probe.h"

#include "common/banned.h"

#define HTTPS_PORT 443

static const char *const labels[] = { "mta-sts", "autoconfig", "autodiscover" };

static const struct conf_listener *https_listener(const struct conf *conf)
{
	for (size_t i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i].kind == LISTENER_HTTPS && !conf->listeners[i].path)
			return &conf->listeners[i];
	return NULL;
}

/* leads_here - to the host's addresses alone: elsewhere it is somebody else's to answer. */
static bool leads_here(const struct facts *facts, const char *name)
{
	struct netaddr host[FACTS_ADDRESSES_MAX], own[FACTS_ADDRESSES_MAX];
	size_t host_count = lookup_addresses(facts->lookup, facts->conf->host.hostname, host, ARRAY_LEN(host), NULL);
	size_t count = lookup_addresses(facts->lookup, name, own, ARRAY_LEN(own), NULL);

	for (size_t i = 0; i < count; i++) {
		bool is_there = false;

		for (size_t k = 0; k < host_count; k++)
			is_there |= memcmp(own[i].ip, host[k].ip, sizeof(own[i].ip)) == 0;
		if (!is_there)
			return false;
	}
	return count > 0;
}

static void judge_domain(const struct facts *facts, struct findings *fs, struct tls_client *client, const struct conf_listener *https,
			 const char *domain)
{
	struct finding finding = { .subject = findings_text(fs, "web names of %s", domain), .found = "the certificate is for those that lead here",
				   .expected = "the certificate is for every name that leads here" };
	const char *without = NULL, *doubt, *mend = *facts->conf->acme.directory ?
			"postroom cert renew tells why they are not on it; acme-names with the word domains asks for them" :
			"get a certificate that has these names, too";
	struct tls_cert_facts cert;
	bool is_asked = false, lacks_policy = false;

	for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
		const char *name = findings_text(fs, "%s.%s", labels[i], domain);

		if ((i == 0 && facts->conf->web.sts_policy == CONF_STS_NONE) || !leads_here(facts, name))
			continue;
		/* Where nobody answers at the port, or with another doubt, others tell of it. */
		if (probe_certificate(client, https, name, &cert, &doubt).kind)
			return;
		is_asked = true;
		if (cert.is_self_signed || !doubt || tls_doubt_from(sv_z(doubt)) != TLS_DOUBT_NAME)
			continue;
		without = without ? findings_text(fs, "%s, %s", without, name) : name;
		lacks_policy |= i == 0;
		if (facts->has_cert && strcmp(cert.fingerprint, facts->cert.fingerprint) != 0)
			mend = "another program has the port and serves its own certificate: have it get one for these names, too";
	}
	if (without) {
		finding.state = CHECK_WARNING;
		finding.found = findings_text(fs, "it is not for %s", without);
		finding.meanwhile = lacks_policy ? "other servers cannot read our policy (MTA-STS), and mail programs do not find their settings securely" :
						   "mail programs do not find their settings securely";
		finding.mend = mend;
	}
	if (is_asked)
		findings_add(fs, finding);
}

void check_web_names(const struct facts *facts, struct findings *fs)
{
	const struct conf_listener *https = https_listener(facts->conf);
	struct tls_client *client = NULL;

	if (!https)
		return;
	/* Who asks for these names asks at the usual port. Where ours is another one, a web server in front has that, and its certificate counts. */
	struct conf_listener front = *https;

	if (https->port != HTTPS_PORT + facts->conf->host.port_offset)
		front.port = HTTPS_PORT + facts->conf->host.port_offset;
	if (tls_client_new(*facts->conf->relay.ca_file ? facts->conf->relay.ca_file : NULL, &client).kind)
		return;
	for (size_t i = 0; i < facts->domain_count; i++)
		judge_domain(facts, fs, client, &front, facts->domains[i]);
	tls_client_free(&client);
}
