#include "smtpd/dmarcinvite.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"
#include "smtpd/dmarc.h"
#include "smtpd/dmarcreport.h"

#include "common/banned.h"

struct report_invitation {
	struct loop *loop;
	struct dns *dns;
	char *domain, *uri;
	char host[DMARC_DOMAIN_MAX + 1];        /* A-labels, lower case; "": not an address */
	struct dmarc_ask *walk;
	struct dns_query *txt;
	struct deferred now;
	report_invited_fn *fn;
	void *arg;
};

static void answer(struct report_invitation *i, struct sv uri)
{
	char *copy = sv_copy_z(uri);            /* fn may forget us, and what the view lies in */

	i->fn(i->arg, sv_z(copy));
	free(copy);
}

/* host_of - the domain of an address, as the DNS knows it. */
static void host_of(struct sv uri, char out[DMARC_DOMAIN_MAX + 1])
{
	struct sv text = report_uri_address(uri);
	struct address a;
	struct arena arena;

	arena_init(&arena, 8192);
	out[0] = '\0';
	if (text.len && !address_parse(&arena, text, &a).kind && !a.is_literal && a.domain.len <= DMARC_DOMAIN_MAX)
		snprintf(out, DMARC_DOMAIN_MAX + 1, "%.*s", SV_FMT(a.domain));
	arena_done(&arena);
}

/* redirected - where that record wants the report: our own place, another one of the same host, or nowhere (§4 step 9). */
static struct sv redirected(const struct report_invitation *i, const struct sv *uris, size_t count)
{
	char host[DMARC_DOMAIN_MAX + 1];

	if (!count)
		return sv_z(i->uri);
	host_of(uris[0], host);
	return sv_eq(sv_z(host), sv_z(i->host)) ? uris[0] : SV_NONE;
}

static void on_txt(void *arg, const struct dns_answer *a)
{
	struct report_invitation *i = arg;
	struct sv uris[REPORT_URIS_MAX], uri = SV_NONE, text;
	struct buf record;
	bool is_found = false;

	i->txt = NULL;
	buf_init(&record, UINT16_MAX);
	for (size_t k = 0; a->status == DNS_DATA && k < a->count && !is_found; k++) {
		buf_clear(&record);
		if (!dns_txt_from(a->records[k], &record))
			continue;
		text = sv_trim(buf_sv(&record));
		is_found = sv_starts(text, SV("v=DMARC1")) && (text.len == 8 || text.p[8] == ';' || text.p[8] == ' ');
		if (is_found)
			uri = redirected(i, uris, dmarcreport_record_parse(text, uris));
	}
	answer(i, uri);
	buf_done(&record);
}

static void on_walk(void *arg, const struct dmarc_answers *answers)
{
	struct report_invitation *i = arg;
	char name[2 * DMARC_DOMAIN_MAX + 32];

	if (dmarc_is_one_organization(answers, sv_z(i->domain), sv_z(i->host))) {
		answer(i, sv_z(i->uri));
		return;
	}
	snprintf(name, sizeof(name), "%s._report._dmarc.%s", i->domain, i->host);
	dns_ask(i->dns, sv_z(name), DNS_TXT, on_txt, i, &i->txt);
}

static void on_now(struct deferred *d)
{
	struct report_invitation *i = CONTAINER_OF(d, struct report_invitation, now);

	answer(i, i->host[0] ? sv_z(i->uri) : SV_NONE);
}

struct report_invitation *dmarc_invite(struct loop *loop, struct dns *dns, struct sv domain, struct sv uri,
				       report_invited_fn *fn, void *arg)
{
	struct report_invitation *i = xcalloc(1, sizeof(*i));
	struct sv host;

	i->loop = loop;
	i->dns = dns;
	i->domain = sv_copy_z(domain);
	i->uri = sv_copy_z(uri);
	i->fn = fn;
	i->arg = arg;
	host_of(uri, i->host);
	host = sv_z(i->host);
	deferred_init(&i->now, loop, on_now);
	if (!host.len || sv_eq(host, domain))
		deferred_call(&i->now);
	else
		i->walk = dmarc_ask(dns, loop, domain, &host, 1, on_walk, i);
	return i;
}

void dmarc_invite_forget(struct report_invitation **pi)
{
	struct report_invitation *i = *pi;

	*pi = NULL;
	if (!i)
		return;
	dmarc_ask_free(&i->walk);
	dns_forget(&i->txt);
	deferred_cancel(&i->now);
	free(i->domain);
	free(i->uri);
	free(i);
}
