#include "webd/acme/names.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"
#include "common/tls_request.h"

#include "common/banned.h"

#define ADDRESSES_MAX 16
#define CANDIDATES_MAX 256      /* names that are looked up; the certificate has room for ACME_NAMES_MAX of them */

/* In this order for each domain: without its policy other servers cannot send securely, without settings people can type them. */
static const char *const labels[] = { "mta-sts", "autoconfig", "autodiscover" };
static const enum dns_type types[] = { DNS_A, DNS_AAAA };

struct candidate;

struct question {
	struct candidate *candidate;
	enum dns_type type;
	struct dns_query *query;
};

struct candidate {
	struct acme_look *look;
	char name[ADDRESS_DOMAIN_MAX + 1];
	bool is_given;                  /* acme-names has it, so nobody asks whether it leads here */
	bool is_unknown;                /* the DNS did not answer */
	uint8_t addresses[ADDRESSES_MAX][16];
	size_t address_count;
	struct question questions[ARRAY_LEN(types)];
};

struct acme_look {
	const struct conf *conf;
	acme_names_fn *fn;
	void *arg;
	struct acme_look **handle;
	struct deferred soon;           /* fn is called in a turn of its own */
	struct candidate host;          /* where "here" is */
	struct candidate items[CANDIDATES_MAX];
	size_t count, open;             /* questions without an answer */
};

static void look_free(struct acme_look *l)
{
	deferred_cancel(&l->soon);
	for (size_t k = 0; k < ARRAY_LEN(types); k++) {
		dns_forget(&l->host.questions[k].query);
		for (size_t i = 0; i < l->count; i++)
			dns_forget(&l->items[i].questions[k].query);
	}
	if (l->handle)
		*l->handle = NULL;
	free(l);
}

void acme_names_forget(struct acme_look **look)
{
	if (*look)
		look_free(*look);
	*look = NULL;
}

/* ---- judging ---- */

static bool has_address(const struct candidate *c, const uint8_t ip[16])
{
	for (size_t i = 0; i < c->address_count; i++)
		if (memcmp(c->addresses[i], ip, 16) == 0)
			return true;
	return false;
}

/* Every address, since the authority takes any of them. */
static bool leads_to(const struct candidate *c, const struct candidate *host)
{
	for (size_t i = 0; i < c->address_count; i++)
		if (!has_address(host, c->addresses[i]))
			return false;
	return c->address_count > 0;
}

static bool is_wanted(const struct acme_look *l, const struct candidate *c)
{
	const struct sv name = sv_z(c->name);

	if (c->is_given)
		return true;
	/* A name server that fails today must not take a name off the certificate. */
	if (c->is_unknown || l->host.is_unknown)
		return tls_request_is_met(l->conf->tls.certificate, &name, 1);
	return leads_to(c, &l->host);
}

static void tell(struct deferred *d)
{
	struct acme_look *l = CONTAINER_OF(d, struct acme_look, soon);
	struct acme_names *names = xcalloc(1, sizeof(*names));
	acme_names_fn *fn = l->fn;
	void *arg = l->arg;

	for (size_t i = 0; i < l->count && names->count < ACME_NAMES_MAX; i++) {
		const struct candidate *c = &l->items[i];

		if (!is_wanted(l, c))
			continue;
		memcpy(names->text[names->count], c->name, sizeof(c->name));
		if (!names->missing && !c->address_count && !c->is_unknown)
			names->missing = names->text[names->count];
		names->count++;
	}
	look_free(l);
	fn(arg, names);
	free(names);
}

/* ---- asking ---- */

static void on_address(void *arg, const struct dns_answer *a)
{
	struct question *q = arg;
	struct candidate *c = q->candidate;
	struct acme_look *l = c->look;

	q->query = NULL;
	c->is_unknown |= a->status == DNS_TEMPFAIL;
	for (size_t i = 0; i < a->count && c->address_count < ADDRESSES_MAX; i++)
		c->address_count += dns_ip_from(q->type, a->records[i], c->addresses[c->address_count]);
	if (!--l->open)
		deferred_call(&l->soon);
}

static void ask(struct dns *dns, struct acme_look *l, struct candidate *c)
{
	c->look = l;
	for (size_t k = 0; k < ARRAY_LEN(types); k++) {
		struct question *q = &c->questions[k];

		*q = (struct question){ .candidate = c, .type = types[k] };
		l->open++;
		dns_ask(dns, sv_z(c->name), types[k], on_address, q, &q->query);
	}
}

static void add(struct acme_look *l, const char *label, struct sv domain, bool is_given)
{
	struct candidate *c = &l->items[l->count];

	if (l->count == CANDIDATES_MAX || domain.len + strlen(label) + 1 > ADDRESS_DOMAIN_MAX)
		return;
	*c = (struct candidate){ .is_given = is_given };
	snprintf(c->name, sizeof(c->name), "%s%s%.*s", label, *label ? "." : "", SV_FMT(domain));
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->items[i].name, c->name) == 0)
			return;
	l->count++;
}

static void add_domains(struct acme_look *l, struct sv domains)
{
	struct sv domain;

	while (sv_split(&domains, '\n', &domain))
		for (size_t i = 0; domain.len && i < ARRAY_LEN(labels); i++)
			add(l, labels[i], domain, false);
}

void acme_names_look(struct loop *loop, struct dns *dns, const struct conf *conf, struct sv domains, acme_names_fn *fn, void *arg,
		     struct acme_look **out)
{
	struct acme_look *l = xcalloc(1, sizeof(*l));
	const struct conf_list *given = &conf->acme.names;

	l->conf = conf;
	l->fn = fn;
	l->arg = arg;
	deferred_init(&l->soon, loop, tell);
	snprintf(l->host.name, sizeof(l->host.name), "%s", conf->host.hostname);
	/* Those that are given come first: there is room for them. */
	for (size_t i = 0; i < given->count; i++)
		if (strcmp(given->items[i], "domains") != 0)
			add(l, "", sv_z(strcmp(given->items[i], "hostname") == 0 ? conf->host.hostname : given->items[i]), true);
	for (size_t i = 0; i < given->count; i++)
		if (strcmp(given->items[i], "domains") == 0)
			add_domains(l, domains);
	*out = l;
	l->handle = out;
	ask(dns, l, &l->host);
	for (size_t i = 0; i < l->count; i++)
		ask(dns, l, &l->items[i]);
}
